//! What others may see of a container by its record: people who list tasks, without owning them.

use std::path::Path;

use crate::processes::{ProcessId, boot_id, look};
use crate::record::Record;

/// The first process of a container, as a look from outside shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Runs(ProcessId),
    /// It has ended, or the system was restarted since.
    Gone,
}

/// Looks at the container whose record is in `state`; `None` if there is none: it was not started. Blocks for a moment.
#[must_use]
pub fn seen(state: &Path) -> Option<Seen> {
    let record = Record::load(state).ok().flatten()?;
    let is_of_this_boot = boot_id().is_ok_and(|boot| boot == record.boot_id);
    let now = look(record.command.pid).filter(|stat| stat.id == record.command && !stat.is_zombie);
    Some(if is_of_this_boot && now.is_some() { Seen::Runs(record.command) } else { Seen::Gone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::GroupDirs;

    #[test]
    fn a_process_is_there_until_it_ends_and_another_is_not_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(seen(dir.path()), None);
        let own = look(std::process::id()).unwrap().id;
        let store = |boot: &str, command: ProcessId| {
            Record::new(boot.to_owned(), own, command, GroupDirs::default()).store(dir.path()).unwrap();
            seen(dir.path())
        };
        let boot = boot_id().unwrap();
        assert_eq!(store(&boot, own), Some(Seen::Runs(own)));
        assert_eq!(store(&boot, ProcessId { start: own.start + 1, ..own }), Some(Seen::Gone));
        assert_eq!(store("another boot", own), Some(Seen::Gone));
    }
}
