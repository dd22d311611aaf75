//! Control groups, v1 and v2: where a container's are, and what their files say. No daemon call.
//!
//! Finding: `/proc/<pid>/cgroup` names the groups of a process, `/proc/self/mountinfo` where hierarchies are mounted.
//! Parsing is pure; see `usage` for what is made of the numbers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The control groups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// One directory for each controller.
    V1 { cpu: PathBuf, cpuacct: PathBuf, memory: PathBuf },
    /// One directory for all.
    V2 { unified: PathBuf },
}

/// Why the control groups of a process are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not say what is needed.
    #[error("{} has no {what}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is not in it.
        what: &'static str,
    },
    /// The process is in the root group, as a process that is about to go is.
    #[error("process {pid} is in the root control group")]
    Root {
        /// The process.
        pid: u32,
    },
}

impl Cgroups {
    /// Finds the groups of the process `pid`.
    pub(crate) fn of(pid: u32) -> Result<Self, CgroupError> {
        let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let groups = parse_membership(&read(&path)?);
        let mounts = parse_mounts(&read(Path::new("/proc/self/mountinfo"))?);
        let find = |controller: &'static str| -> Result<PathBuf, CgroupError> {
            let missing = || CgroupError::Missing { path: path.clone(), what: controller };
            let group = groups.get(controller).ok_or_else(missing)?;
            if group == "/" {
                return Err(CgroupError::Root { pid });
            }
            let mount = mounts.get(controller).ok_or_else(missing)?;
            Ok(mount.place(group))
        };
        if groups.contains_key("memory") && groups.contains_key("cpuacct") {
            return Ok(Self::V1 { cpu: find("cpu")?, cpuacct: find("cpuacct")?, memory: find("memory")? });
        }
        Ok(Self::V2 { unified: find(UNIFIED)? })
    }

    /// How often the kernel killed a process of the group for memory; `None` where the kernel does not count.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let path = match self {
            Self::V1 { memory, .. } => memory.join("memory.oom_control"),
            Self::V2 { unified } => unified.join("memory.events"),
        };
        keyed(&fs::read_to_string(path).ok()?).get("oom_kill").copied()
    }
}

/// The key of the unified hierarchy, which has no controller names.
const UNIFIED: &str = "";

/// Whether the process `pid` is in a control group that is named after the container `id`.
pub(crate) fn belongs_to(pid: u32, id: &str) -> bool {
    let named = |group: &String| group.contains(id);
    read(Path::new(&format!("/proc/{pid}/cgroup")))
        .is_ok_and(|text| parse_membership(&text).values().any(named))
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    /// The group that is visible at the mount point.
    root: String,
    at: PathBuf,
}

impl Mounted {
    /// The directory of a group.
    fn place(&self, group: &str) -> PathBuf {
        let below = group.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(group);
        self.at.join(below.trim_start_matches('/'))
    }
}

/// The group of a process by controller; the unified hierarchy has the empty name.
fn parse_membership(text: &str) -> BTreeMap<String, String> {
    let mut groups = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        if let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) {
            for controller in controllers.split(',') {
                groups.insert(controller.to_owned(), group.to_owned());
            }
        }
    }
    groups
}

/// The mounted hierarchies by controller.
fn parse_mounts(text: &str) -> BTreeMap<String, Mounted> {
    let mut mounts = BTreeMap::new();
    for line in text.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let mut front = front.split(' ').skip(3);
        let (Some(root), Some(at)) = (front.next(), front.next()) else { continue };
        let mut back = back.split(' ');
        let (kind, _, options) = (back.next(), back.next(), back.next());
        let mounted = || Mounted { root: unescape(root), at: PathBuf::from(unescape(at)) };
        match kind {
            Some("cgroup2") => {
                mounts.entry(UNIFIED.to_owned()).or_insert_with(mounted);
            }
            Some("cgroup") => {
                for option in options.unwrap_or_default().split(',') {
                    mounts.entry(option.to_owned()).or_insert_with(mounted);
                }
            }
            _ => {}
        }
    }
    mounts
}

/// Undoes the octal escapes of `mountinfo`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Reads a file of lines `key value`.
pub(crate) fn keyed(text: &str) -> BTreeMap<&str, u64> {
    let pair = |line: &'_ str| line.split_once(' ').and_then(|(_, value)| value.trim().parse().ok());
    text.lines().filter_map(|line| Some((line.split_once(' ')?.0, pair(line)?))).collect()
}

/// Reads a small file as text.
pub(crate) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MEMBERSHIP: &str = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/x\n";
    const V1_MOUNTS: &str = "\
31 30 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
";

    #[test]
    fn controllers_are_found_by_name() {
        let groups = parse_membership(V1_MEMBERSHIP);
        assert_eq!(groups["cpuacct"], "/docker/abc");
        assert_eq!(groups[UNIFIED], "/x");
        let mounts = parse_mounts(V1_MOUNTS);
        assert_eq!(
            mounts["cpuacct"].place("/docker/abc"),
            Path::new("/sys/fs/cgroup/cpu,cpuacct/docker/abc")
        );
    }

    #[test]
    fn the_unified_hierarchy_is_found_and_a_mounted_part_of_it() {
        let line = "40 30 0:30 /docker /sys/fs/cg\\040roup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let mounts = parse_mounts(line);
        assert_eq!(mounts[UNIFIED].place("/docker/abc"), Path::new("/sys/fs/cg roup/abc"));
    }

    #[test]
    fn our_own_groups_are_found() {
        let pid = std::process::id();
        match Cgroups::of(pid) {
            Ok(_) | Err(CgroupError::Root { .. }) => {}
            Err(error) => assert!(matches!(error, CgroupError::Missing { .. }), "{error}"),
        }
        assert!(!belongs_to(pid, "no such container"));
    }

    #[test]
    fn counters_are_read_by_key() {
        let text = "low 0\nhigh 3\nmax 12\noom 1\noom_kill 2\nodd\nworse x\n";
        assert_eq!(keyed(text)["oom_kill"], 2);
        assert_eq!(keyed(text).len(), 5);
    }
}
