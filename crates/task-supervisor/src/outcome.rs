//! How the end of a container becomes a task's terminal status: pure, one row of stock's table each.
//!
//! Source: `src/docker/executor.cpp` (`reaped`) for containers that ran, `src/slave/slave.cpp` for launches that
//! failed. States, reasons and the first sentence of a message are stock's, since frameworks match on them. Departs
//! where stock says nothing or something false: an out-of-memory kill, an exit that nobody saw.

use docker_containerizer::{Ending, Exit, Limitation, Phase, Termination};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use mesos_types::Megabytes;
use serde::{Deserialize, Serialize};

/// Who wants a task to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillCause {
    /// The framework, or a person in its place.
    Framework,
    /// `max_completion_time` has passed.
    CompletionTime,
}

/// What a terminal status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The terminal state.
    pub state: TaskState,
    /// The reason, where stock gives one.
    pub reason: Option<Reason>,
    /// For people.
    pub message: String,
    /// The memory limit that was hit.
    pub memory_limit: Option<Megabytes>,
    /// What `docker run` would have ended with.
    pub exit_code: u8,
}

/// The outcome of a task whose container ended like this; `cause` is of the kill, if there was one.
pub fn outcome(termination: &Termination, cause: Option<KillCause>) -> Outcome {
    match &termination.ending {
        Ending::LaunchFailed(failure) => {
            let (message, reason) = match failure.phase() {
                // The stock executor runs the container, after the agent has launched the executor.
                "create" | "start" | "inspect" | "attach" => {
                    (format!("Failed to run docker container: {}", failure.message()), None)
                }
                _ => (
                    format!("Failed to launch container: {}", failure.message()),
                    Some(Reason::ContainerLaunchFailed),
                ),
            };
            Outcome {
                state: TaskState::TaskFailed,
                reason,
                message,
                memory_limit: None,
                exit_code: u8::try_from(failure.docker_run_code()).unwrap_or(125),
            }
        }
        Ending::DestroyedBeforeStart(phase) => Outcome {
            state: TaskState::TaskKilled,
            reason: Some(Reason::TaskKilledDuringLaunch),
            message: match phase {
                Phase::Fetching => "Container destroyed while fetching",
                Phase::Pulling => "Container destroyed while pulling image",
                Phase::Mounting => "Container destroyed while mounting volumes",
                Phase::Starting => "Container destroyed while starting",
            }
            .to_owned(),
            memory_limit: None,
            exit_code: 137,
        },
        Ending::Exited(exit) => exited(termination, exit, cause),
    }
}

fn exited(termination: &Termination, exit: &Exit, cause: Option<KillCause>) -> Outcome {
    let (code, message) = match exit {
        Exit::Code(code) => (u8::try_from(*code).unwrap_or(125), describe(*code)),
        Exit::Unknown(why) => (125, format!("Failed to get exit status of container: {why}")),
    };
    let plain = |state, reason| Outcome {
        state,
        reason,
        message: message.clone(),
        memory_limit: None,
        exit_code: code,
    };
    let mut outcome = match (cause, termination.limitation, exit) {
        (Some(KillCause::CompletionTime), _, _) => {
            plain(TaskState::TaskFailed, Some(Reason::MaxCompletionTimeReached))
        }
        (Some(KillCause::Framework), _, _) => return plain(TaskState::TaskKilled, None),
        (None, Some(Limitation::Memory(limit)), _) => Outcome {
            message: match limit {
                Some(limit) => format!("Memory limit exceeded: {}MB; {message}", limit.0),
                None => format!("Memory of the host exhausted; {message}"),
            },
            memory_limit: limit,
            ..plain(TaskState::TaskFailed, Some(Reason::ContainerLimitationMemory))
        },
        (None, None, Exit::Code(0)) => return plain(TaskState::TaskFinished, None),
        (None, None, Exit::Code(_) | Exit::Unknown(_)) => plain(TaskState::TaskFailed, None),
    };
    if let Some(error) = &termination.engine_error {
        outcome.message = format!("{}; {error}", outcome.message);
    }
    outcome
}

/// Stock's sentence, with what the number means where it has a meaning of its own.
fn describe(code: i64) -> String {
    let meaning = match code {
        125 => " (the engine failed to run it)",
        126 => " (the command cannot be run)",
        127 => " (the command was not found)",
        134 => " (SIGABRT)",
        137 => " (SIGKILL)",
        139 => " (SIGSEGV)",
        143 => " (SIGTERM)",
        _ => "",
    };
    format!("Container exited with status {code}{meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_containerizer::{Failure, LogsEnd, Unknown};

    fn ended(ending: Ending, limitation: Option<Limitation>) -> Termination {
        Termination {
            ending,
            killed: None,
            limitation,
            engine_error: None,
            last_errors: String::new(),
            logs: LogsEnd::Complete,
        }
    }

    fn exit(code: i64) -> Termination {
        ended(Ending::Exited(Exit::Code(code)), None)
    }

    const KILLED: Option<KillCause> = Some(KillCause::Framework);
    const COMPLETED: Option<KillCause> = Some(KillCause::CompletionTime);

    #[rstest::rstest]
    #[case::finished(exit(0), None, TaskState::TaskFinished, None, "Container exited with status 0", 0)]
    #[case::failed(exit(3), None, TaskState::TaskFailed, None, "Container exited with status 3", 3)]
    #[case::killed_wins_over_the_code(
        exit(0),
        KILLED,
        TaskState::TaskKilled,
        None,
        "Container exited with status 0",
        0
    )]
    #[case::killed_by_sigkill(
        exit(137),
        KILLED,
        TaskState::TaskKilled,
        None,
        "Container exited with status 137 (SIGKILL)",
        137
    )]
    #[case::completion_time(
        exit(143),
        COMPLETED,
        TaskState::TaskFailed,
        Some(Reason::MaxCompletionTimeReached),
        "Container exited with status 143 (SIGTERM)",
        143
    )]
    #[case::out_of_memory(
        ended(Ending::Exited(Exit::Code(137)), Some(Limitation::Memory(Some(Megabytes(32))))),
        None,
        TaskState::TaskFailed,
        Some(Reason::ContainerLimitationMemory),
        "Memory limit exceeded: 32MB; Container exited with status 137 (SIGKILL)",
        137
    )]
    #[case::nobody_saw_the_exit(
        ended(Ending::Exited(Exit::Unknown(Unknown::RemovedOutside)), None),
        None,
        TaskState::TaskFailed,
        None,
        "Failed to get exit status of container: the container was removed from outside",
        125
    )]
    #[case::killed_and_nobody_saw_the_exit(
        ended(Ending::Exited(Exit::Unknown(Unknown::EngineMissedIt)), None),
        KILLED,
        TaskState::TaskKilled,
        None,
        "Failed to get exit status of container: the process ended and the engine did not report its exit",
        125
    )]
    #[case::pull_failed(
        ended(Ending::LaunchFailed(Failure::new("pull", "E")), None),
        None,
        TaskState::TaskFailed,
        Some(Reason::ContainerLaunchFailed),
        "Failed to launch container: E",
        125
    )]
    #[case::start_failed(
        ended(Ending::LaunchFailed(Failure::new("start", "E").exit_code(127)), None), None,
        TaskState::TaskFailed, None, "Failed to run docker container: E", 127)]
    #[case::killed_while_pulling(
        ended(Ending::DestroyedBeforeStart(Phase::Pulling), None),
        KILLED,
        TaskState::TaskKilled,
        Some(Reason::TaskKilledDuringLaunch),
        "Container destroyed while pulling image",
        137
    )]
    fn an_end_has_its_status(
        #[case] termination: Termination,
        #[case] cause: Option<KillCause>,
        #[case] state: TaskState,
        #[case] reason: Option<Reason>,
        #[case] message: &str,
        #[case] exit_code: u8,
    ) {
        let outcome = outcome(&termination, cause);
        assert_eq!((outcome.state, outcome.reason, outcome.exit_code), (state, reason, exit_code));
        assert_eq!(outcome.message, message);
    }
}
