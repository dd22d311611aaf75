//! What the processes of a container use, where no group counts it (`posix/cpu`, `posix/mem`).

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cgroups::{CgroupsError, GroupDirs};
use crate::processes::{Stat, all, descendants, read};

/// Units of the times in `/proc/<pid>/stat`: the kernel's USER_HZ.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long a list of processes is good for statistics.
const FRESH: Duration = Duration::from_millis(500);

/// Why the processes of a container are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessesError {
    /// `/proc` cannot be listed.
    #[error("cannot list the processes of the machine")]
    List(#[source] io::Error),
    /// A group cannot be read.
    #[error(transparent)]
    Group(#[from] CgroupsError),
    /// There is none.
    #[error("it has no process")]
    None,
}

/// All processes of the machine, as they were a moment ago: statistics ask for every container in a row, and a list costs a
/// look at each process.
#[derive(Debug, Default)]
pub(super) struct Listing(Mutex<Option<(Instant, Arc<Vec<Stat>>)>>);

impl Listing {
    fn get(&self) -> io::Result<Arc<Vec<Stat>>> {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, list)) = &*listed
            && at.elapsed() < FRESH
        {
            return Ok(list.clone());
        }
        let list = Arc::new(all()?);
        *listed = Some((Instant::now(), list.clone()));
        Ok(list)
    }
}

/// What some processes use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sum {
    /// CPU time in user mode, in seconds, also of children that have ended.
    pub(super) user: f64,
    /// CPU time in the kernel, likewise.
    pub(super) system: f64,
    /// Resident memory in bytes; pages that are shared count in each process, as in stock.
    pub(super) resident: u64,
}

/// Sums up the processes in the groups, and the tree below the supervising parent. It is in the sum itself: the time of
/// those who have ended is in it.
///
/// # Errors
///
/// No process, or ones that cannot be listed.
pub(super) fn sum(
    dirs: &GroupDirs,
    supervisor: Option<u32>,
    listing: &Listing,
) -> Result<Sum, ProcessesError> {
    let mut pids: BTreeSet<u32> = dirs.processes()?;
    if let Some(supervisor) = supervisor {
        // With groups nothing but the parent is outside of them.
        if dirs.is_none() {
            let everything = listing.get().map_err(ProcessesError::List)?;
            pids.extend(descendants(&everything, supervisor).iter().map(|id| id.pid));
        }
        pids.insert(supervisor);
    }
    let mut sum = Sum::default();
    let mut seen = 0;
    for pid in pids {
        let Some((user, system)) = times(&text(pid, "stat")) else { continue };
        seen += 1;
        sum.user += user;
        sum.system += system;
        sum.resident += pages(&text(pid, "statm")).saturating_mul(page_size());
    }
    if seen == 0 { Err(ProcessesError::None) } else { Ok(sum) }
}

/// A file of a process; empty once it is gone. Its name, which it chooses, may be no text.
fn text(pid: u32, file: &str) -> String {
    let bytes = read(pid, file).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// CPU seconds in user mode and in the kernel, with those of children that were waited for.
fn times(stat: &str) -> Option<(f64, f64)> {
    // The name, in parentheses, may have any character in it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(|field| field.parse::<f64>().ok());
    let mut next = || fields.next().flatten();
    let (user, system, children_user, children_system) = (next()?, next()?, next()?, next()?);
    Some(((user + children_user) / TICKS_PER_SECOND, (system + children_system) / TICKS_PER_SECOND))
}

/// Resident pages.
fn pages(statm: &str) -> u64 {
    statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0)
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("12 (sh) S 1 12 10 0 -1 4194560 1 2 3 4 150 25 50 75 20 0 1 0 9912345 1 2", Some((2.0, 1.0)))]
    #[case("12 (a) S 9) S 1 12 10 0 -1 4194560 1 2 3 4 100 0 0 0 20 0 1 0 9912345 1 2", Some((1.0, 0.0)))]
    #[case("12 (sh) S 1 12", None)]
    #[case("", None)]
    fn times_are_those_of_the_process_and_its_ended_children(
        #[case] stat: &str,
        #[case] expected: Option<(f64, f64)>,
    ) {
        assert_eq!(times(stat), expected);
    }

    #[test]
    fn memory_is_what_is_resident() {
        assert_eq!(pages("500 20 10 1 0 100 0\n"), 20);
        assert_eq!(pages(""), 0);
    }

    #[test]
    fn a_tree_of_processes_is_summed_up() {
        let listing = Listing::default();
        let own = sum(&GroupDirs::default(), Some(std::process::id()), &listing).unwrap();
        assert!(own.resident > 0 && own.user >= 0.0);
        let none = sum(&GroupDirs::default(), Some(u32::MAX), &listing).unwrap_err();
        assert!(matches!(none, ProcessesError::None), "{none}");
    }

    #[test]
    fn processes_are_listed_once_for_all_who_ask_in_a_row() {
        let listing = Listing::default();
        let first = listing.get().unwrap();
        assert!(Arc::ptr_eq(&first, &listing.get().unwrap()));
        let Some((at, _)) = listing.0.lock().unwrap().as_mut().map(|(at, list)| {
            *at = at.checked_sub(FRESH).unwrap();
            (*at, list.len())
        }) else {
            panic!("it is kept")
        };
        assert!(at.elapsed() >= FRESH && !Arc::ptr_eq(&first, &listing.get().unwrap()));
    }
}
