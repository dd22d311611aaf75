//! How the end of a container becomes a task's terminal status: pure, one row of stock's table each.
//!
//! Source: `src/docker/executor.cpp` and `src/launcher/executor.cpp` (`reaped`) for containers that ran,
//! `src/slave/slave.cpp` for launches that failed. States, reasons and the first sentence of a message are stock's, since frameworks match on them. Departs
//! where stock says nothing or something false: an out-of-memory kill, an exit that nobody saw.

use docker_containerizer::{Ending, EngineSeen, Exit, Limitation, Phase, Termination};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use serde::{Deserialize, Serialize};

use crate::composing::Kind;
use crate::signals::{signal_name, strsignal};

/// The longest line of standard error in a message, in bytes; a message has five at most.
const LONGEST_LINE: usize = 256;

/// Who wants a task to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillCause {
    /// The framework, or a person in its place.
    Framework,
    /// `max_completion_time` has passed.
    CompletionTime,
    /// The task's health check has failed too often.
    HealthCheck,
    /// Its executor is shut down: the framework or the agent goes.
    Shutdown,
    /// The agent is drained.
    Drain,
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
    /// What ran out.
    pub limitation: Option<Limitation>,
    /// `false` if the health check ended it.
    pub healthy: Option<bool>,
    /// What `docker run` would have ended with.
    pub exit_code: u8,
}

/// The outcome of a task whose container ended like this; `cause` is of the kill, if there was one.
pub fn outcome(kind: Kind, termination: &Termination, cause: Option<KillCause>) -> Outcome {
    match &termination.ending {
        // Killed before the process that launched it was gone: its container never ran.
        Ending::LaunchFailed(failure) if failure.phase() == "recover" && cause.is_some() => {
            destroyed(Phase::Starting, cause)
        }
        Ending::LaunchFailed(failure) => {
            let (message, reason) = match (kind, failure.phase()) {
                // The stock executor runs the container, after the agent has launched the executor.
                (Kind::Docker, "create" | "start" | "inspect" | "attach") => {
                    (format!("Failed to run docker container: {}", failure.message()), None)
                }
                (Kind::Docker | Kind::Mesos, _) => (
                    format!("Failed to launch container: {}", failure.message()),
                    Some(Reason::ContainerLaunchFailed),
                ),
            };
            Outcome {
                state: TaskState::TaskFailed,
                reason,
                message,
                limitation: None,
                healthy: unhealthy(cause),
                exit_code: u8::try_from(failure.docker_run_code()).unwrap_or(125),
            }
        }
        Ending::DestroyedBeforeStart(phase) => destroyed(*phase, cause),
        Ending::Exited(exit) => exited(kind, termination, exit, cause),
    }
}

fn destroyed(phase: Phase, cause: Option<KillCause>) -> Outcome {
    Outcome {
        state: TaskState::TaskKilled,
        reason: Some(Reason::TaskKilledDuringLaunch),
        message: match phase {
            Phase::Fetching => "Container destroyed while fetching",
            Phase::Pulling => "Container destroyed while pulling image",
            Phase::Mounting => "Container destroyed while mounting volumes",
            Phase::Starting => "Container destroyed while starting",
        }
        .to_owned(),
        limitation: None,
        healthy: unhealthy(cause),
        exit_code: 137,
    }
}

fn exited(kind: Kind, termination: &Termination, exit: &Exit, cause: Option<KillCause>) -> Outcome {
    let core = if termination.dumped_core { " (core dumped)" } else { "" };
    let (code, message) = (exit_code(exit), format!("{}{core}", said(kind, exit)));
    let plain = |state, reason| Outcome {
        state,
        reason,
        message: message.clone(),
        limitation: None,
        healthy: unhealthy(cause),
        exit_code: code,
    };
    match (cause, termination.limitation, exit) {
        (Some(KillCause::CompletionTime), _, _) => {
            let outcome = plain(TaskState::TaskFailed, Some(Reason::MaxCompletionTimeReached));
            Outcome { message: with_engine(outcome.message, termination), ..outcome }
        }
        (
            Some(KillCause::Framework | KillCause::HealthCheck | KillCause::Shutdown | KillCause::Drain),
            _,
            _,
        ) => plain(TaskState::TaskKilled, None),
        (None, Some(limitation), _) => {
            let (reason, what) = match limitation {
                Limitation::Memory { limit: Some(limit), peak } => (
                    Reason::ContainerLimitationMemory,
                    match kind {
                        Kind::Docker => format!("Memory limit exceeded: {}MB; {message}", limit.0),
                        // The sentence of stock's isolator (`MemorySubsystemProcess::oom`).
                        Kind::Mesos => {
                            let requested = bytes(limit.0.saturating_mul(1 << 20));
                            let used = peak
                                .map(|peak| format!(" Maximum Used: {}", bytes(peak)))
                                .unwrap_or_default();
                            format!("Memory limit exceeded: Requested: {requested}{used}; {message}")
                        }
                    },
                ),
                Limitation::Memory { limit: None, .. } => {
                    (Reason::ContainerLimitationMemory, format!("Memory of the host exhausted; {message}"))
                }
                Limitation::Disk { used, quota } => (
                    Reason::ContainerLimitationDisk,
                    format!("Disk usage ({}) exceeds quota ({})", bytes(used), bytes(quota)),
                ),
            };
            Outcome {
                message: with_errors(with_engine(what, termination), termination),
                limitation: Some(limitation),
                ..plain(TaskState::TaskFailed, Some(reason))
            }
        }
        // A task that was stopped with its engine is not done, however well it took that. Stock's client fails as well.
        (None, None, Exit::Code(0)) if termination.engine == EngineSeen::Ended => {
            let outcome = plain(TaskState::TaskFailed, None);
            Outcome { message: with_engine(outcome.message, termination), exit_code: 125, ..outcome }
        }
        (None, None, Exit::Code(0)) => plain(TaskState::TaskFinished, None),
        (None, None, Exit::Code(_) | Exit::Signal(_) | Exit::Unknown(_)) => {
            let outcome = plain(TaskState::TaskFailed, None);
            let message = with_engine(outcome.message, termination);
            Outcome { message: with_errors(message, termination), ..outcome }
        }
    }
}

/// What a shell, or `docker run`, would have ended with.
fn exit_code(exit: &Exit) -> u8 {
    match exit {
        Exit::Code(code) => u8::try_from(*code).unwrap_or(125),
        Exit::Signal(number) => {
            number.checked_add(128).and_then(|code| u8::try_from(code).ok()).unwrap_or(125)
        }
        Exit::Unknown(_) => 125,
    }
}

/// Stock's sentence about an exit.
fn said(kind: Kind, exit: &Exit) -> String {
    match (kind, exit) {
        (Kind::Docker, Exit::Code(code)) => describe(*code),
        (Kind::Docker, Exit::Signal(number)) => describe(128 + i64::from(*number)),
        (Kind::Docker, Exit::Unknown(why)) => format!("Failed to get exit status of container: {why}"),
        (Kind::Mesos, Exit::Code(code)) => format!("Command exited with status {code}"),
        (Kind::Mesos, Exit::Signal(number)) => {
            format!("Command terminated with signal {}", strsignal(*number))
        }
        (Kind::Mesos, Exit::Unknown(why)) => format!("Failed to get exit status for Command: {why}"),
    }
}

/// An amount in the words of stock (`Bytes` of stout): the largest unit that leaves no rest.
fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];

    let (mut left, mut unit) = (amount, 0);
    while left > 0 && left.is_multiple_of(1024) && unit + 1 < UNITS.len() {
        left /= 1024;
        unit += 1;
    }
    format!("{left}{}", UNITS[unit])
}

/// `healthy` of a terminal status (`killedByHealthCheck` in `src/docker/executor.cpp`).
fn unhealthy(cause: Option<KillCause>) -> Option<bool> {
    (cause == Some(KillCause::HealthCheck)).then_some(false)
}

/// Stock's sentence, with what the number means where it has a meaning of its own.
fn describe(code: i64) -> String {
    let meaning = match code {
        125 => " (what docker run ends with when the engine fails)".to_owned(),
        126 => " (the command cannot be run)".to_owned(),
        127 => " (the command was not found)".to_owned(),
        code => signal_name(code - 128).map(|name| format!(" ({name})")).unwrap_or_default(),
    };
    format!("Container exited with status {code}{meaning}")
}

/// Adds what the engine says of the end, and whether it was there to see it.
fn with_engine(message: String, termination: &Termination) -> String {
    let said = termination.engine_error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
    let seen = match termination.engine {
        EngineSeen::Throughout => "",
        EngineSeen::Away => "; the Docker Engine was restarted, or away, when it ended",
        EngineSeen::Ended => {
            "; the Docker Engine was restarted and has stopped it (live-restore is off in its configuration)"
        }
    };
    format!("{message}{said}{seen}")
}

/// Adds the last lines that the container wrote to standard error.
fn with_errors(message: String, termination: &Termination) -> String {
    let lines: Vec<_> =
        termination.last_errors.lines().map(legible).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return message;
    }
    format!("{message}; stderr: {}", lines.join(" | "))
}

/// A line of a task's output as a message can hold it: without escape sequences and control characters, and not long.
fn legible(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\t' => text.push(' '),
            character if character.is_control() => {}
            character => text.push(character),
        }
        if text.len() > LONGEST_LINE {
            return format!("{}…", text.trim());
        }
    }
    text.trim().to_owned()
}

/// Skips the rest of an escape sequence of a terminal: `[`, parameters and a letter, or one character.
fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if characters.next() == Some('[') {
        while characters.next().is_some_and(|character| !('@'..='~').contains(&character)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_containerizer::{Failure, Unknown};
    use mesos_types::Megabytes;

    fn ended(ending: Ending, limitation: Option<Limitation>) -> Termination {
        Termination { limitation, ..Termination::new(ending) }
    }

    fn exit(code: i64) -> Termination {
        ended(Ending::Exited(Exit::Code(code)), None)
    }

    const OUT_OF_MEMORY: Limitation = Limitation::Memory { limit: Some(Megabytes(32)), peak: None };
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
        ended(Ending::Exited(Exit::Code(137)), Some(OUT_OF_MEMORY)),
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
    #[case::killed_before_a_restart(
        ended(Ending::LaunchFailed(Failure::new("recover", "E")), None),
        KILLED,
        TaskState::TaskKilled,
        Some(Reason::TaskKilledDuringLaunch),
        "Container destroyed while starting",
        137
    )]
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
        let outcome = outcome(Kind::Docker, &termination, cause);
        assert_eq!((outcome.state, outcome.reason, outcome.exit_code), (state, reason, exit_code));
        assert_eq!(outcome.message, message);
        assert_eq!(outcome.healthy, None);
    }

    #[rstest::rstest]
    #[case::finished(
        Exit::Code(0),
        None,
        None,
        TaskState::TaskFinished,
        None,
        "Command exited with status 0",
        0
    )]
    #[case::failed(Exit::Code(3), None, None, TaskState::TaskFailed, None, "Command exited with status 3", 3)]
    #[case::by_a_signal(
        Exit::Signal(11),
        None,
        None,
        TaskState::TaskFailed,
        None,
        "Command terminated with signal Segmentation fault",
        139
    )]
    #[case::killed(
        Exit::Signal(9),
        None,
        KILLED,
        TaskState::TaskKilled,
        None,
        "Command terminated with signal Killed",
        137
    )]
    #[case::too_long(
        Exit::Signal(15),
        None,
        COMPLETED,
        TaskState::TaskFailed,
        Some(Reason::MaxCompletionTimeReached),
        "Command terminated with signal Terminated",
        143
    )]
    #[case::out_of_memory_as_counted(
        Exit::Signal(9),
        Some(Limitation::Memory { limit: Some(Megabytes(32)), peak: Some((32 << 20) - 4096) }),
        None,
        TaskState::TaskFailed,
        Some(Reason::ContainerLimitationMemory),
        "Memory limit exceeded: Requested: 32MB Maximum Used: 32764KB; Command terminated with signal Killed",
        137
    )]
    #[case::out_of_memory(
        Exit::Signal(9),
        Some(OUT_OF_MEMORY),
        None,
        TaskState::TaskFailed,
        Some(Reason::ContainerLimitationMemory),
        "Memory limit exceeded: Requested: 32MB; Command terminated with signal Killed",
        137
    )]
    #[case::out_of_disk(
        Exit::Signal(9),
        Some(Limitation::Disk { used: 1_048_577, quota: 1 << 20 }),
        None,
        TaskState::TaskFailed,
        Some(Reason::ContainerLimitationDisk),
        "Disk usage (1048577B) exceeds quota (1MB)",
        137
    )]
    #[case::nobody_saw_the_exit(
        Exit::Unknown(Unknown::WatcherKilled),
        None,
        None,
        TaskState::TaskFailed,
        None,
        "Failed to get exit status for Command: the process that watched it was killed",
        125
    )]
    fn the_end_of_a_command_has_its_status(
        #[case] exit: Exit,
        #[case] limitation: Option<Limitation>,
        #[case] cause: Option<KillCause>,
        #[case] state: TaskState,
        #[case] reason: Option<Reason>,
        #[case] message: &str,
        #[case] exit_code: u8,
    ) {
        let outcome = outcome(Kind::Mesos, &ended(Ending::Exited(exit), limitation), cause);
        assert_eq!((outcome.state, outcome.reason, outcome.exit_code), (state, reason, exit_code));
        assert_eq!(outcome.message, message);
        assert_eq!(outcome.limitation, limitation.filter(|_| reason.is_some()));
    }

    #[test]
    fn a_command_that_cannot_be_started_is_no_docker_container() {
        let failed = ended(Ending::LaunchFailed(Failure::new("start", "E")), None);
        let outcome = outcome(Kind::Mesos, &failed, None);
        assert_eq!(outcome.message, "Failed to launch container: E");
        assert_eq!(outcome.reason, Some(Reason::ContainerLaunchFailed));
    }

    #[rstest::rstest]
    #[case(0, "0B")]
    #[case(1023, "1023B")]
    #[case(5 << 20, "5MB")]
    #[case(1 << 50, "1024TB")]
    fn an_amount_has_the_largest_unit_without_a_rest(#[case] amount: u64, #[case] expected: &str) {
        assert_eq!(bytes(amount), expected);
    }

    #[test]
    fn a_failed_task_tells_what_its_owner_would_look_for() {
        let termination = Termination {
            engine_error: Some("no such device".into()),
            engine: EngineSeen::Away,
            last_errors: "\u{1b}[31;1mboom\u{1b}[0m\t!\r\n\n\u{7}last".into(),
            ..exit(3)
        };
        assert_eq!(
            outcome(Kind::Docker, &termination, None).message,
            "Container exited with status 3; no such device; the Docker Engine was restarted, or away, when it ended; \
             stderr: boom ! | last"
        );
        // Frameworks match on what stock says of the other ends.
        assert_eq!(outcome(Kind::Docker, &termination, KILLED).message, "Container exited with status 3");
        let finished = Termination { ending: Ending::Exited(Exit::Code(0)), ..termination };
        assert_eq!(outcome(Kind::Docker, &finished, None).message, "Container exited with status 0");
    }

    #[test]
    fn a_task_that_was_stopped_with_its_engine_has_not_finished() {
        let stopped = |engine| Termination { engine, ..exit(0) };
        assert_eq!(outcome(Kind::Docker, &stopped(EngineSeen::Away), None).state, TaskState::TaskFinished);
        let outcome = outcome(Kind::Docker, &stopped(EngineSeen::Ended), None);
        assert_eq!((outcome.state, outcome.exit_code), (TaskState::TaskFailed, 125));
        assert!(outcome.message.contains("live-restore is off"), "{}", outcome.message);
    }

    /// As stock says it, whoever ended it (`WSTRINGIFY` of stout).
    #[rstest::rstest]
    #[case(None, TaskState::TaskFailed)]
    #[case(KILLED, TaskState::TaskKilled)]
    fn a_core_dump_is_told(#[case] cause: Option<KillCause>, #[case] state: TaskState) {
        let aborted = Termination { dumped_core: true, ..ended(Ending::Exited(Exit::Signal(6)), None) };
        let outcome = outcome(Kind::Mesos, &aborted, cause);
        assert_eq!((outcome.state, outcome.exit_code), (state, 134));
        assert_eq!(outcome.message, "Command terminated with signal Aborted (core dumped)");
    }

    #[test]
    fn a_message_is_bounded() {
        let line = "é".repeat(10_000);
        let termination = Termination { last_errors: [line.as_str(); 5].join("\n"), ..exit(1) };
        assert!(outcome(Kind::Docker, &termination, None).message.len() < 2048);
    }

    #[test]
    fn a_task_that_its_health_check_ended_is_killed_and_not_healthy() {
        let outcome = outcome(Kind::Docker, &exit(137), Some(KillCause::HealthCheck));
        assert_eq!(
            (outcome.state, outcome.reason, outcome.healthy),
            (TaskState::TaskKilled, None, Some(false))
        );
    }

    #[rstest::rstest]
    #[case(129, " (SIGHUP)")]
    #[case(130, " (SIGINT)")]
    #[case(134, " (SIGABRT)")]
    #[case(139, " (SIGSEGV)")]
    #[case(143, " (SIGTERM)")]
    #[case(159, " (SIGSYS)")]
    #[case(162, " (SIGRTMIN)")]
    #[case(165, " (SIGRTMIN+3)")]
    #[case(192, " (SIGRTMIN+30)")]
    #[case(193, "")]
    #[case(128, "")]
    #[case(255, "")]
    #[case(1, "")]
    #[case(126, " (the command cannot be run)")]
    fn a_code_has_its_meaning(#[case] code: i64, #[case] meaning: &str) {
        assert_eq!(describe(code), format!("Container exited with status {code}{meaning}"));
    }
}
