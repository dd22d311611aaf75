//! Who descends from whom, in a list of all processes.

use std::collections::{HashMap, HashSet};

use super::stat::{ProcessId, Stat};

/// Everything that descends from the process `root`, without itself. A process whose parent ended is the child of the
/// nearest subreaper above it, so nothing leaves the tree of one.
#[must_use]
pub fn descendants(all: &[Stat], root: u32) -> Vec<ProcessId> {
    below(all, &[root])
}

/// What belongs to the session or the process group that `leader` began, and everything that descends from it: what can
/// still be found of a tree whose root has ended. A leader's number is not given to another process as long as there are
/// members, so it is another's only when it is there with another start time; then nothing is of it.
#[must_use]
pub fn of_session(all: &[Stat], leader: ProcessId) -> Vec<ProcessId> {
    let is_anothers = all.iter().any(|stat| stat.id.pid == leader.pid && stat.id.start != leader.start);
    if is_anothers {
        return Vec::new();
    }
    let is_member = |stat: &&Stat| {
        (stat.session == leader.pid || stat.group == leader.pid) && stat.id.start >= leader.start
    };
    let members: Vec<&Stat> = all.iter().filter(is_member).collect();
    let numbers: Vec<u32> = members.iter().map(|stat| stat.id.pid).collect();
    let mut found: Vec<ProcessId> =
        members.iter().filter(|stat| !stat.is_zombie).map(|stat| stat.id).collect();
    found.extend(below(all, &numbers).into_iter().filter(|id| !numbers.contains(&id.pid)));
    found.sort_unstable();
    found.dedup_by_key(|id| id.pid);
    found
}

/// What descends from these; zombies count as links only.
fn below(all: &[Stat], roots: &[u32]) -> Vec<ProcessId> {
    let mut children: HashMap<u32, Vec<&Stat>> = HashMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(stat);
    }
    let mut seen: HashSet<u32> = roots.iter().copied().collect();
    let mut next: Vec<u32> = roots.to_vec();
    let mut found = Vec::new();
    while let Some(pid) = next.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            // The list was not read at one moment, so that a number may be in it twice.
            if seen.insert(child.id.pid) {
                next.push(child.id.pid);
                if !child.is_zombie {
                    found.push(child.id);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stat(pid: u32, parent: u32, session: u32) -> Stat {
        let id = ProcessId { pid, start: u64::from(pid) * 10 };
        Stat { id, parent, group: session, session, is_zombie: false }
    }

    fn pids(mut found: Vec<ProcessId>) -> Vec<u32> {
        found.sort_unstable();
        found.into_iter().map(|id| id.pid).collect()
    }

    #[test]
    fn a_tree_is_all_that_descends() {
        let mut all =
            vec![stat(1, 0, 1), stat(5, 1, 5), stat(6, 5, 6), stat(7, 6, 6), stat(8, 7, 8), stat(9, 1, 9)];
        assert_eq!(pids(descendants(&all, 5)), [6, 7, 8]);
        all[3].is_zombie = true;
        assert_eq!(pids(descendants(&all, 5)), [6, 8], "what a zombie left is found, and it is not");
        assert!(descendants(&all, 4).is_empty());
    }

    #[test]
    fn a_session_is_found_without_its_root() {
        // 6 was the command; its parent and itself are gone.
        let all = [stat(1, 0, 1), stat(7, 1, 6), stat(8, 7, 8), stat(9, 1, 9)];
        assert_eq!(pids(of_session(&all, ProcessId { pid: 6, start: 60 })), [7, 8]);
    }

    #[test]
    fn a_session_of_another_leader_is_left_alone() {
        let all = [stat(1, 0, 1), stat(6, 1, 6), stat(7, 6, 6)];
        assert!(of_session(&all, ProcessId { pid: 6, start: 59 }).is_empty());
        assert_eq!(pids(of_session(&all, ProcessId { pid: 6, start: 60 })), [6, 7]);
        // What is older than the leader was never in its session.
        assert!(of_session(&[stat(7, 1, 6)], ProcessId { pid: 6, start: 1000 }).is_empty());
    }

    proptest! {
        /// Whatever a list that was read while processes came and went says, the walk ends, and tells nobody twice.
        #[test]
        fn any_list_is_walked(links in proptest::collection::vec((1u32..12, 0u32..12, 0u32..12), 0..30), root in 0u32..12) {
            let all: Vec<_> = links.iter().map(|(pid, parent, session)| stat(*pid, *parent, *session)).collect();
            for found in [descendants(&all, root), of_session(&all, ProcessId { pid: root, start: 0 })] {
                let distinct: HashSet<u32> = found.iter().map(|id| id.pid).collect();
                prop_assert_eq!(distinct.len(), found.len());
            }
            prop_assert!(!descendants(&all, root).iter().any(|id| id.pid == root));
        }
    }
}
