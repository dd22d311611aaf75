//! Groups that an agent left behind which was killed.
//!
//! At the start of the agent a group is emptied and removed if it is ours and nobody carries its container any more. It is
//! ours if it says so ([`crate::cgroups::Mark`]); one that says nothing is ours if our own checkpoint has a run of that
//! name. What is anything else, also what is not named like a container, is never touched: several agents may share
//! `--cgroups_root`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use containerizer::blocking;
use mesos_types::ContainerId;

use super::contained::{kill_all, remove};
use super::containment::Containment;
use super::error::ContainmentError;
use crate::cgroups::{GroupDirs, Mark, mark_of};

/// Groups of ours that nobody carried.
#[derive(Debug, Default)]
pub struct Swept {
    /// Containers whose groups are gone.
    pub removed: Vec<ContainerId>,
    /// Those whose are not, and why.
    pub left: Vec<ContainmentError>,
}

impl Containment {
    /// Empties and removes what is ours and of none of the containers in `carried`; `is_run_of_ours` says whether the
    /// checkpoint has a run of this name.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn sweep(
        &self,
        carried: &BTreeSet<ContainerId>,
        is_run_of_ours: impl Fn(ContainerId) -> bool,
    ) -> Swept {
        let mut swept = Swept::default();
        let orphans = blocking(|| self.orphans(carried, is_run_of_ours));
        let timeout = self.shared.settings.destroy_timeout;
        for (id, dirs) in orphans {
            let killed =
                kill_all(&dirs, timeout).await.map_err(|source| ContainmentError::Kill { id, source });
            let result = match killed {
                Ok(()) => remove(&dirs, id, timeout).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => swept.removed.push(id),
                Err(error) => swept.left.push(error),
            }
        }
        swept
    }

    fn orphans(
        &self,
        carried: &BTreeSet<ContainerId>,
        is_run_of_ours: impl Fn(ContainerId) -> bool,
    ) -> BTreeMap<ContainerId, GroupDirs> {
        let settings = &self.shared.settings;
        let mut whose: BTreeMap<ContainerId, Mark> = BTreeMap::new();
        for hierarchy in self.shared.hierarchies.all() {
            let root = hierarchy.join(&settings.root);
            for (id, mark) in marks(&root, &settings.work_dir) {
                // Each of a container's groups has the same mark or, where the kernel keeps none, no mark.
                let known = whose.entry(id).or_insert(mark);
                if mark != Mark::None {
                    *known = mark;
                }
            }
        }
        let is_ours = |id: ContainerId, mark: Mark| match mark {
            Mark::Ours => true,
            Mark::Others => false,
            Mark::None => is_run_of_ours(id),
        };
        whose
            .into_iter()
            .filter(|(id, mark)| !carried.contains(id) && is_ours(*id, *mark))
            .map(|(id, _)| (id, self.every_group(&id.to_string())))
            .collect()
    }
}

/// The groups in a directory that are named like a container, with their marks.
fn marks(root: &Path, work_dir: &Path) -> Vec<(ContainerId, Mark)> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let group = |entry: fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        entry.file_type().ok()?.is_dir().then(|| (id, mark_of(&entry.path(), work_dir)))
    };
    entries.filter_map(Result::ok).filter_map(group).collect()
}
