//! Taking over containers that an earlier process launched.
//!
//! | record | parent | what was left | then |
//! |---|---|---|---|
//! | none | | none, or that it never started | its launch was begun and nothing ran: it failed |
//! | one | gone | that it never started | likewise |
//! | one | there | | it runs |
//! | one | gone | how it ended | it ended so |
//! | one | gone | nothing | what is left is killed; its exit is not known, as its parent was killed or the machine restarted |
//!
//! The parent of another run of the system is gone, whoever has its number. A record that has become unreadable, as by a
//! disk that lost it, is of one: what its control groups hold is killed, and the exit is not known. What cannot be looked
//! at is an error instead, since it may run.

use std::io;
use std::sync::{Arc, Mutex};

use containerizer::{Failure, RunPaths, StopSignal, Unknown, blocking};
use mesos_types::ContainerId;
use sandbox::SandboxError;

use crate::containerizer::{Containerizer, Handle};
use crate::driver::Watched;
use crate::error::ContainerizerError;
use crate::lifecycle::{Event, Life};
use crate::order::{AdoptOrder, ForeignOrder};
use crate::parent::ended::{End, Ended};
use crate::processes::{ProcessId, boot_id};
use crate::record::Record;
use crate::subject::{Held, Subject, left_of};

/// The phase that failures here are of.
pub(crate) const PHASE: &str = "recover";

/// What a launch that an earlier agent began came to.
const BEGUN: &str = "the agent was restarted during the launch";

/// The process of a container whose record is lost.
const NOBODY: ProcessId = ProcessId { pid: 0, start: 0 };

/// What is found of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// Its parent is there.
    Runs,
    /// It ran, and is over.
    Over,
    /// It never ran.
    NeverRan(String),
}

/// Whether the parent of a record is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    There,
    Gone,
}

/// Judges what was found; `parent` is `None` without a record.
fn judge(parent: Option<Parent>, end: Option<Ended>) -> Found {
    match (parent, end) {
        (Some(Parent::There), _) => Found::Runs,
        (_, Some(Ended::NeverStarted { why })) => Found::NeverRan(why),
        (Some(Parent::Gone), _) => Found::Over,
        // Without a record the word was never given.
        (None, _) => Found::NeverRan(BEGUN.to_owned()),
    }
}

/// What was read of a file; `None` where what it holds is no such thing, whatever the file was once.
fn readable<T>(id: ContainerId, read: Result<T, SandboxError>) -> Result<Option<T>, SandboxError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(SandboxError::Io { ref path, ref source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
            tracing::error!(container_id = %id, path = %path.display(), %source, "a file of a container has become unreadable");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Containerizer {
    /// Takes over a container that an earlier process launched, running or ended, and carries it to its end.
    ///
    /// # Errors
    ///
    /// An id that is in use, or a record, an end or a process that cannot be looked at now: it may run. A container that is
    /// gone is no error: its end is told, as far as it is known.
    pub async fn adopt(&self, order: AdoptOrder) -> Result<Handle, ContainerizerError> {
        let AdoptOrder { identity, task, overlay, stop_signal, paths, owner } = order;
        let id = identity.container_id;
        let failed = |source| ContainerizerError::Record { container_id: id, source };
        let boot = blocking(boot_id).map_err(ContainerizerError::Boot)?;
        let record = readable(id, blocking(|| Record::load(&paths.state))).map_err(failed)?;
        let is_lost = record.is_none();
        let record = record.flatten();
        let same_boot = record.as_ref().is_some_and(|record| record.boot_id == boot);
        let held = match record.as_ref().filter(|_| same_boot) {
            Some(record) => blocking(|| Held::open(record.parent)),
            None => Ok(None),
        };
        let held = held.map_err(|source| ContainerizerError::Watch { container_id: id, source })?;
        let parent = match (&record, &held) {
            (_, Some(_)) => Some(Parent::There),
            (Some(_), None) => Some(Parent::Gone),
            (None, None) => is_lost.then_some(Parent::Gone),
        };
        // Read after it was seen that the parent is gone, so that it has written what it will.
        let end = readable(id, blocking(|| End::load(&paths.state))).map_err(failed)?.flatten();
        let found = judge(parent, end.map(|end| end.ended));
        let contained = blocking(|| {
            self.shared.settings.containment.adopt(id, record.as_ref().map(|record| record.groups.clone()))
        });
        let beside = self.beside(id, &task, &overlay, &paths.sandbox, owner)?;
        let command = record.map(|record| record.command).or(is_lost.then_some(NOBODY));
        let subject = match (held, command) {
            (Some(parent), Some(command)) => {
                Subject::Ours { parent, command, state: paths.state.clone(), child: Mutex::new(None) }
            }
            (_, command) => {
                let left = command
                    .filter(|_| same_boot)
                    .map(|command| blocking(|| left_of(command, id, &paths.sandbox)));
                let left = left
                    .transpose()
                    .map_err(|source| ContainerizerError::Watch { container_id: id, source })?;
                Subject::Gone(left.flatten())
            }
        };
        let (mut driver, handle) =
            self.enter(id, &task, Some(paths.state.clone()), beside, Life::Starting)?;
        driver.view.send_modify(|view| view.signalled = stop_signal == StopSignal::Sent);
        let unknown = if same_boot { Unknown::WatcherKilled } else { Unknown::Rebooted };
        let RunPaths { sandbox, state } = paths;
        let (subject, state) = (Arc::new(subject), Some(state));
        let watched = Watched { subject, contained, sandbox, state, unknown, copied: None };
        match (found, command) {
            (Found::Runs | Found::Over, Some(command)) => {
                driver.started(&watched, command);
                self.shared.tasks.spawn(driver.run(watched));
            }
            (found, _) => {
                let why = if let Found::NeverRan(why) = found { why } else { BEGUN.to_owned() };
                let event = Event::Failed(Failure::new(PHASE, why));
                self.shared
                    .tasks
                    .spawn(async move { driver.never_ran(event, Some(&watched.contained)).await });
            }
        }
        Ok(handle)
    }

    /// Takes over a process that an agent which is not ours started. Its exit status is told to its parent alone, so it is
    /// never known here.
    ///
    /// # Errors
    ///
    /// An id that is in use, or a process that cannot be looked at now. One that is gone, or not of the container, is no
    /// error: its end is told.
    pub async fn adopt_foreign(&self, order: ForeignOrder) -> Result<Handle, ContainerizerError> {
        let ForeignOrder { identity, task, pid, stop_signal, sandbox } = order;
        let id = identity.container_id;
        let held = blocking(|| Held::open_foreign(pid, id, &sandbox))
            .map_err(|source| ContainerizerError::Watch { container_id: id, source })?;
        let contained = blocking(|| self.shared.settings.containment.adopt_foreign(id, pid));
        let beside = self.beside(id, &task, &[], &sandbox, None)?;
        let (mut driver, handle) = self.enter(id, &task, None, beside, Life::Starting)?;
        driver.view.send_modify(|view| view.signalled = stop_signal == StopSignal::Sent);
        let process = held.as_ref().map_or(ProcessId { pid, start: 0 }, Held::id);
        let subject = held.map_or(Subject::Gone(None), Subject::Foreign);
        let (subject, unknown) = (Arc::new(subject), Unknown::NotOurs);
        let watched = Watched { subject, contained, sandbox, state: None, unknown, copied: None };
        driver.started(&watched, process);
        self.shared.tasks.spawn(driver.run(watched));
        Ok(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Option<Ended> = Some(Ended::Exited { code: 3 });

    #[rstest::rstest]
    #[case::it_runs(Some(Parent::There), None, Found::Runs)]
    #[case::it_is_about_to_end(Some(Parent::There), CODE, Found::Runs)]
    #[case::it_ended(Some(Parent::Gone), CODE, Found::Over)]
    #[case::its_parent_was_killed(Some(Parent::Gone), None, Found::Over)]
    #[case::not_begun(None, None, Found::NeverRan(BEGUN.into()))]
    #[case::given_up(None, Some(Ended::NeverStarted { why: "E".into() }), Found::NeverRan("E".into()))]
    #[case::recorded_and_given_up(Some(Parent::Gone), Some(Ended::NeverStarted { why: "E".into() }), Found::NeverRan("E".into()))]
    fn what_is_found_is_judged(
        #[case] parent: Option<Parent>,
        #[case] end: Option<Ended>,
        #[case] expected: Found,
    ) {
        assert_eq!(judge(parent, end), expected);
    }
}
