//! What is known of an end: the exit as far as it can be believed, the limit that was hit, the rest of the output.

use std::time::Duration;

use docker_engine::{EngineTime, ErrorKind, Inspection};
use mesos_types::{Limit, Megabytes};

use crate::driver::{Driver, Watched};
use crate::exit::SeenExit;
use containerizer::{Ending, EngineSeen, Exit, Limitation, LogsEnd, Termination, Unknown};

/// The pause between looks at a container that should be stopped.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What the engine says of a container whose run has ended.
enum LastWord {
    /// Its inspection.
    Said(Box<Inspection>),
    /// There is no such container any more.
    Gone,
    /// Nothing: the question went wrong.
    None,
    /// Nothing: no engine answers.
    Away,
}

impl LastWord {
    fn inspection(self) -> Option<Inspection> {
        match self {
            Self::Said(inspection) => Some(*inspection),
            Self::Gone | Self::None | Self::Away => None,
        }
    }

    /// The engine's own sentence, or ours where somebody removes the container: then its exit code alone would mislead.
    fn sentence(&self) -> Option<String> {
        match self {
            Self::Gone => Some(Unknown::RemovedOutside.to_string()),
            Self::Said(now) if matches!(now.state.status.as_str(), "removing" | "dead") => {
                Some(Unknown::RemovedOutside.to_string())
            }
            Self::Said(now) => Some(now.state.error.clone()).filter(|error| !error.is_empty()),
            Self::None | Self::Away => None,
        }
    }
}

impl Driver {
    /// Collects what is known of the end: the engine's last word, and the rest of the output.
    pub(crate) async fn conclude(&self, watched: Watched, seen: SeenExit) -> Termination {
        let SeenExit { exit, oom_kills, engine } = seen;
        let (last_word, drained) = tokio::join!(self.last_word(&watched.engine_id, &exit), watched.logs);
        // An engine that stops tells the ends of its containers and takes no questions any more.
        let engine = match (engine, &last_word) {
            (EngineSeen::Throughout, LastWord::Said(_) | LastWord::Gone | LastWord::None) => {
                EngineSeen::Throughout
            }
            (EngineSeen::Ended, _) => EngineSeen::Ended,
            (EngineSeen::Away, _) | (EngineSeen::Throughout, LastWord::Away) if self.shared.live_restore => {
                EngineSeen::Away
            }
            (EngineSeen::Away, _) | (EngineSeen::Throughout, LastWord::Away) => EngineSeen::Ended,
        };
        let sentence = last_word.sentence().filter(|_| exit != Exit::Unknown(Unknown::RemovedOutside));
        let inspection = last_word.inspection();
        let exit = believed(exit, &watched.started_at, inspection.as_ref());
        let oom =
            inspection.as_ref().is_some_and(|now| now.state.oom_killed) || oom_kills.is_some_and(|n| n > 0);
        let limit = match (self.task.limits.mem, self.task.resources.mem) {
            (Some(Limit::Finite(limit)), _) => Some(limit),
            (Some(Limit::Infinite), _) | (None, None) => None,
            (None, Some(request)) => Some(request.max(Megabytes(32))),
        };
        let is_limited = oom && exit != Exit::Code(0) && self.kill.is_none();
        let (logs, last_errors) = drained
            .map_or((LogsEnd::Incomplete, String::new()), |drained| (drained.end, drained.last_errors));
        Termination {
            ending: Ending::Exited(exit),
            killed: self.kill,
            limitation: is_limited.then_some(Limitation::Memory { limit, peak: None }),
            engine_error: sentence,
            engine,
            last_errors,
            logs,
            dumped_core: false,
        }
    }

    /// What the engine says of a container whose run has ended. One that somebody restarted is killed first, since its
    /// task is over: the end is told only when it is known to be stopped.
    async fn last_word(&self, id: &str, exit: &Exit) -> LastWord {
        let engine = &self.shared.engine;
        loop {
            match engine.inspect(id, engine.deadlines().inspect).await {
                Ok(Some(now)) if now.state.running && *exit != Exit::Unknown(Unknown::EngineMissedIt) => {
                    tracing::warn!(
                        container = id,
                        "somebody restarted it after its task had ended: killing it"
                    );
                    if let Err(error) = engine.kill(id, "SIGKILL", engine.deadlines().kill).await {
                        tracing::debug!(container = id, error = crate::chain(&error), "killed again soon");
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Ok(Some(inspection)) => return LastWord::Said(Box::new(inspection)),
                Ok(None) => return LastWord::Gone,
                Err(_) if *exit == Exit::Unknown(Unknown::RestartedOutside) => {
                    tokio::time::sleep(LOOK_AGAIN).await
                }
                Err(error) => {
                    let is_away = matches!(error.kind(), ErrorKind::Unreachable { .. });
                    return if is_away { LastWord::Away } else { LastWord::None };
                }
            }
        }
    }
}

/// The exit as far as it can be believed: the engine sets the code of a container that it starts again to 0, which a
/// wait may read in place of the code of the run that ended.
fn believed(exit: Exit, started_at: &EngineTime, now: Option<&Inspection>) -> Exit {
    let is_another_run = started_at.is_set() && now.is_some_and(|now| now.state.started_at != *started_at);
    match exit {
        Exit::Code(0) if is_another_run => Exit::Unknown(Unknown::RestartedOutside),
        exit => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "2026-11-21T10:00:00.1Z";
    const LATER: &str = "2026-11-21T10:00:05.2Z";

    #[rstest::rstest]
    #[case::the_same_run(Exit::Code(0), START, Exit::Code(0))]
    #[case::another_run_hides_the_code(Exit::Code(0), LATER, Exit::Unknown(Unknown::RestartedOutside))]
    #[case::a_code_that_was_read_in_time(Exit::Code(137), LATER, Exit::Code(137))]
    fn a_code_of_0_counts_only_for_the_run_that_ended(
        #[case] exit: Exit,
        #[case] started_at: &str,
        #[case] expected: Exit,
    ) {
        let json = format!(
            r#"{{"Id": "a", "State": {{"Status": "exited", "Running": false, "StartedAt": "{started_at}"}}}}"#
        );
        let now = Inspection::from_json(json.as_bytes()).unwrap();
        assert_eq!(believed(exit, &EngineTime::new(START), Some(&now)), expected);
    }
}
