//! The groups of one container: who is in them, entering them, writing to them, removing them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use containerizer::cgroups::Version;
use serde::{Deserialize, Serialize};

use super::error::CgroupsError;
use super::hierarchies::Controller;
use super::limits::{Need, Write};

/// Groups below a container's own that are removed with it; more are left, and told.
const MOST_BELOW: usize = 10_000;

/// One group of a container, in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDir {
    /// Its directory.
    pub path: PathBuf,
    /// The kind of hierarchy.
    pub version: Version,
    /// What the container is under there.
    pub controllers: BTreeSet<Controller>,
}

/// The groups of one container, the one that follows its processes first; none where processes are not contained by
/// control groups. Its serialised form is in our record of the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupDirs {
    dirs: Vec<GroupDir>,
}

impl GroupDir {
    /// The processes in the group and below.
    pub(crate) fn processes(&self) -> Result<BTreeSet<u32>, CgroupsError> {
        let mut pids = BTreeSet::new();
        for group in below(&self.path)? {
            pids.extend(processes_of(&group)?);
        }
        Ok(pids)
    }
}

impl GroupDirs {
    pub(crate) fn new(dirs: Vec<GroupDir>) -> Self {
        Self { dirs }
    }

    /// Whether there is no group at all, so that processes are not contained by control groups.
    pub fn is_none(&self) -> bool {
        self.dirs.is_empty()
    }

    /// Each group.
    pub fn iter(&self) -> impl Iterator<Item = &GroupDir> {
        self.dirs.iter()
    }

    /// The files into which a process writes `0` to be in the container from then on, in this order. It has to do so as
    /// root, and before it becomes what somebody else wants: what it forks later is in the container too.
    pub fn procs_files(&self) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| dir.path.join("cgroup.procs")).collect()
    }

    /// The group of a controller.
    pub(crate) fn of(&self, controller: Controller) -> Option<&GroupDir> {
        self.dirs.iter().find(|dir| dir.controllers.contains(&controller))
    }

    /// The group that follows the container's processes.
    pub(crate) fn tracker(&self) -> Option<&GroupDir> {
        self.dirs.first()
    }

    /// Those of the groups that are there.
    pub(crate) fn existing(self) -> Self {
        Self { dirs: self.dirs.into_iter().filter(|dir| dir.path.is_dir()).collect() }
    }

    /// The same groups, with those first that can stop all of their processes at once.
    pub(crate) fn freezer_first(mut self) -> Self {
        self.dirs.sort_by_key(|dir| match dir.version {
            Version::V2 => 0,
            Version::V1 if dir.controllers.contains(&Controller::Freezer) => 1,
            Version::V1 => 2,
        });
        self
    }

    /// Puts a process into the groups; what it forks from then on is in them too.
    ///
    /// # Errors
    ///
    /// The first group that does not take it.
    pub(crate) fn enter(&self, pid: u32) -> Result<(), CgroupsError> {
        self.procs_files().iter().try_for_each(|file| write_file(file, &pid.to_string()))
    }

    /// Writes to the files of the groups, in order.
    ///
    /// # Errors
    ///
    /// The first file that does not take its value.
    pub(crate) fn apply(&self, writes: &[Write]) -> Result<(), CgroupsError> {
        for write in writes {
            let Some(dir) = self.of(write.controller) else { continue };
            match (write_file(&dir.path.join(write.file), &write.value), write.need) {
                (Err(error), Need::IfThere) if error.is_gone() => {}
                (result, _) => result?,
            }
        }
        Ok(())
    }

    /// The processes in the groups and below, each once, as this process sees their ids.
    ///
    /// # Errors
    ///
    /// A group that is there and cannot be read.
    pub fn processes(&self) -> Result<BTreeSet<u32>, CgroupsError> {
        let mut pids = BTreeSet::new();
        for dir in &self.dirs {
            pids.extend(dir.processes()?);
        }
        Ok(pids)
    }

    /// Whether no process is left in the groups.
    ///
    /// # Errors
    ///
    /// A group that is there and cannot be read.
    pub fn is_empty(&self) -> Result<bool, CgroupsError> {
        Ok(self.processes()?.is_empty())
    }

    /// Removes the groups, deepest first; those that are gone are no error.
    ///
    /// # Errors
    ///
    /// The first group that stays, as one does that has processes; the others are gone.
    pub(crate) fn remove(&self) -> Result<(), CgroupsError> {
        let mut first = None;
        for dir in &self.dirs {
            let removed = below(&dir.path).and_then(|groups| {
                groups.iter().rev().try_for_each(|group| match fs::remove_dir(group) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    result => result.map_err(CgroupsError::of("remove the control group", group)),
                })
            });
            if let Err(error) = removed {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// A group and the groups below it, each after the one that it is in; none if it is gone. A task that is root may have
/// made some.
pub(crate) fn below(group: &Path) -> Result<Vec<PathBuf>, CgroupsError> {
    let mut found = vec![group.to_owned()];
    let mut next = 0;
    while let Some(group) = found.get(next).cloned() {
        next += 1;
        let entries = match fs::read_dir(&group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result.map_err(CgroupsError::of("list the control group", &group))?,
        };
        for entry in entries {
            let Ok(entry) = entry else { break };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && found.len() < MOST_BELOW {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// The processes of one group alone. Those of another pid namespace are seen as 0 and left out.
pub(crate) fn processes_of(group: &Path) -> Result<Vec<u32>, CgroupsError> {
    let file = group.join("cgroup.procs");
    match fs::read_to_string(&file) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid != 0).collect()),
        Err(source) => {
            let error = CgroupsError { operation: "read", path: file, source };
            // The file of a threaded v2 group says EOPNOTSUPP; its processes are in the group above.
            let is_threaded =
                error.source.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error());
            if error.is_gone() || is_threaded { Ok(Vec::new()) } else { Err(error) }
        }
    }
}

/// Writes to a file of a group, which is there or an error.
pub(crate) fn write_file(file: &Path, value: &str) -> Result<(), CgroupsError> {
    let opened = OpenOptions::new().write(true).open(file);
    opened.and_then(|mut file| file.write_all(value.as_bytes())).map_err(CgroupsError::of("write to", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(paths: &[&Path]) -> GroupDirs {
        let dir = |path: &&Path| GroupDir {
            path: path.to_path_buf(),
            version: Version::V1,
            controllers: [Controller::Memory].into(),
        };
        GroupDirs::new(paths.iter().map(dir).collect())
    }

    #[test]
    fn processes_of_groups_below_count_and_those_of_other_namespaces_do_not() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(root.path().join("cgroup.procs"), "7\n0\n8\n").unwrap();
        fs::write(inner.join("cgroup.procs"), "8\n9\n").unwrap();
        let dirs = dirs(&[root.path()]);
        assert_eq!(dirs.processes().unwrap(), [7, 8, 9].into());
        assert!(!dirs.is_empty().unwrap());
        assert_eq!(dirs.procs_files(), [root.path().join("cgroup.procs")]);
    }

    #[test]
    fn groups_that_are_gone_are_empty_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let gone = dirs(&[&root.path().join("gone")]);
        assert!(gone.is_empty().unwrap());
        gone.remove().unwrap();
        assert!(gone.existing().is_none());
    }

    #[test]
    fn groups_are_removed_deepest_first() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("group");
        fs::create_dir_all(group.join("a/b")).unwrap();
        dirs(&[&group]).remove().unwrap();
        assert!(!group.exists());
    }

    #[test]
    fn a_file_that_a_kernel_may_lack_is_left_out_and_another_is_told() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("memory.limit_in_bytes"), "").unwrap();
        let write = |file, need| Write { controller: Controller::Memory, file, value: "1".into(), need };
        let dirs = dirs(&[root.path()]);
        dirs.apply(&[
            write("memory.oom.group", Need::IfThere),
            write("memory.limit_in_bytes", Need::Required),
        ])
        .unwrap();
        assert_eq!(fs::read_to_string(root.path().join("memory.limit_in_bytes")).unwrap(), "1");
        let error = dirs.apply(&[write("memory.max", Need::Required)]).unwrap_err().to_string();
        assert!(error.starts_with("cannot write to ") && error.ends_with("memory.max"), "{error}");
    }

    #[test]
    fn they_are_told_to_the_parent_as_they_are() {
        let dirs = dirs(&[Path::new("/sys/fs/cgroup/memory/mesos/c")]);
        let json = serde_json::to_string(&dirs).unwrap();
        assert_eq!(
            json,
            r#"[{"path":"/sys/fs/cgroup/memory/mesos/c","version":"v1","controllers":["memory"]}]"#
        );
        assert_eq!(serde_json::from_str::<GroupDirs>(&json).unwrap(), dirs);
    }
}
