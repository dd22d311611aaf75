//! The exit code that `docker run` gives for a container that could not be started.
//!
//! This is for people and scripts that know 125, 126 and 127; nothing of ours branches on it. It is the only place
//! that reads an engine sentence, because the engine tells these cases apart by text alone.

use crate::error::{EngineError, Op};

/// The engine or we failed before the command could be tried.
const ENGINE_FAILED: u8 = 125;

/// The command exists and cannot be run.
const NOT_EXECUTABLE: u8 = 126;

/// The command does not exist.
const NOT_FOUND: u8 = 127;

/// Sentences of runc, crun and containerd that mean that there is no such command.
const NOT_FOUND_SENTENCES: [&str; 2] = ["executable file not found", "no such file or directory"];

/// Sentences that mean that the command cannot be run.
const NOT_EXECUTABLE_SENTENCES: [&str; 3] = ["permission denied", "is a directory", "exec format error"];

/// Returns the exit code of a start that failed: 127 for a command that is not there, 126 for one that cannot be
/// run, 125 for all else, also for errors of other operations.
///
/// Follows `docker run`, which reads the same sentences; `exec format error` is 126 here, as a shell has it.
pub fn start_failure_exit_code(error: &EngineError) -> u8 {
    match (error.op(), error.engine_message()) {
        (Op::Start, Some(sentence)) => exit_code_of_sentence(sentence),
        _ => ENGINE_FAILED,
    }
}

/// Returns the exit code of a command in a container that the engine refused to start, as
/// [`start_failure_exit_code`] does for a container: 126 or 127 where the command is at fault, 125 for all else.
pub fn exec_failure_exit_code(error: &EngineError) -> u8 {
    match (error.op(), error.engine_message()) {
        (Op::Exec, Some(sentence)) => exit_code_of_sentence(sentence),
        _ => ENGINE_FAILED,
    }
}

fn exit_code_of_sentence(sentence: &str) -> u8 {
    let sentence = sentence.to_ascii_lowercase();
    let has = |any: &[&str]| any.iter().any(|part| sentence.contains(part));
    if has(&NOT_FOUND_SENTENCES) {
        NOT_FOUND
    } else if has(&NOT_EXECUTABLE_SENTENCES) {
        NOT_EXECUTABLE
    } else {
        ENGINE_FAILED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The first four were seen from an engine 20.10 with runc 1.1; the others are of other runtimes and versions.
    #[rstest]
    #[case(r#"failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "no-such-command": executable file not found in $PATH: unknown"#, 127)]
    #[case(r#"failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/no/such/file": stat /no/such/file: no such file or directory: unknown"#, 127)]
    #[case(r#"failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/bin/not-executable": permission denied: unknown"#, 126)]
    #[case(r#"failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/bin": permission denied: unknown"#, 126)]
    #[case(r#"OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/bin": is a directory: unknown"#, 126)]
    #[case(
        r#"OCI runtime create failed: crun: open executable: Permission denied: OCI permission denied"#,
        126
    )]
    #[case(r#"OCI runtime start failed: exec user process caused: exec format error: unknown"#, 126)]
    #[case("driver failed programming external connectivity on endpoint x: port is already allocated", 125)]
    #[case("OCI runtime create failed: error setting rlimits: operation not permitted: unknown", 125)]
    #[case("", 125)]
    fn a_sentence_has_its_exit_code(#[case] sentence: &str, #[case] expected: u8) {
        let body = serde_json::json!({ "message": sentence }).to_string();
        let error = EngineError::from_status(Op::Start, "c", 400, body.as_bytes(), None);
        assert_eq!(start_failure_exit_code(&error), expected);
    }

    #[test]
    fn only_a_start_can_fail_for_its_command() {
        let body = br#"{"message":"no such file or directory"}"#;
        let error = EngineError::from_status(Op::Create, "c", 400, body, None);
        assert_eq!(start_failure_exit_code(&error), ENGINE_FAILED);
    }
}
