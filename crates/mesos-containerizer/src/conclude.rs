//! What is known of an end, by what the parent has left.

use std::path::Path;

use containerizer::{Exit, LogsEnd, Unknown, chain};

use crate::parent::ended::{End, Ended};

/// What is known of an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) exit: Exit,
    /// Why the command never began, if its parent says that.
    pub(crate) never_started: Option<String>,
    pub(crate) last_errors: String,
    pub(crate) logs: LogsEnd,
    /// Whether it left a core dump.
    pub(crate) dumped_core: bool,
}

/// Reads what the parent of a run has left in its state directory; `why` says why nothing is known when it has left
/// nothing. A parent that was killed leaves nothing, and its output may be cut.
pub(crate) fn seen(state: Option<&Path>, why: Unknown) -> Seen {
    // A process without a parent of ours has written into its files itself.
    let logs = if why == Unknown::NotOurs { LogsEnd::Complete } else { LogsEnd::Incomplete };
    let unknown = || Seen {
        exit: Exit::Unknown(why),
        never_started: None,
        last_errors: String::new(),
        logs,
        dumped_core: false,
    };
    let Some(state) = state else { return unknown() };
    match End::load(state) {
        Ok(Some(end)) => Seen {
            exit: match end.ended {
                Ended::Exited { code } => Exit::Code(code.into()),
                Ended::Signalled { signal } => Exit::Signal(signal),
                Ended::NeverStarted { .. } => Exit::Unknown(why),
            },
            never_started: match end.ended {
                Ended::NeverStarted { why } => Some(why),
                Ended::Exited { .. } | Ended::Signalled { .. } => None,
            },
            last_errors: end.last_errors,
            logs: if end.is_complete { LogsEnd::Complete } else { LogsEnd::Incomplete },
            dumped_core: end.dumped_core,
        },
        Ok(None) => unknown(),
        Err(error) => {
            tracing::warn!(error = chain(&error), "how a command ended cannot be read");
            unknown()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_what_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let write = |ended: &str| {
            let text = format!(
                r#"{{"version":1,"ended":{ended},"at_millis":5,"last_errors":"e","is_complete":false}}"#
            );
            std::fs::write(dir.path().join("plain-ended"), text).unwrap();
            seen(Some(dir.path()), Unknown::WatcherKilled)
        };
        for why in [Unknown::WatcherKilled, Unknown::Rebooted] {
            assert_eq!(seen(Some(dir.path()), why).exit, Exit::Unknown(why));
        }
        assert_eq!(seen(None, Unknown::NotOurs).logs, LogsEnd::Complete);
        let code = Seen {
            exit: Exit::Code(3),
            never_started: None,
            last_errors: "e".into(),
            logs: LogsEnd::Incomplete,
            dumped_core: false,
        };
        assert_eq!(write(r#"{"exited":{"code":3}}"#), code);
        assert_eq!(write(r#"{"signalled":{"signal":9}}"#).exit, Exit::Signal(9));
        let never = write(r#"{"never_started":{"why":"the agent went away"}}"#).never_started;
        assert_eq!(never.as_deref(), Some("the agent went away"));
        assert_eq!(write("{").exit, Exit::Unknown(Unknown::WatcherKilled));
    }
}
