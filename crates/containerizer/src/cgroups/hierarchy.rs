//! Which hierarchies are mounted where, and which group of each a process is in. Parsing is pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The key of the unified hierarchy, which has no controller names.
pub const UNIFIED: &str = "";

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The group that is visible at the mount point.
    pub root: String,
    /// The mount point.
    pub at: PathBuf,
}

/// The mounted hierarchies by controller, [`UNIFIED`] among them; a named one is there as `name=systemd`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mounts(BTreeMap<String, Mounted>);

/// The group of a process by controller, [`UNIFIED`] among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership(BTreeMap<String, String>);

impl Mounted {
    /// The directory of a group.
    pub fn place(&self, group: &str) -> PathBuf {
        let below = group.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(group);
        self.at.join(below.trim_start_matches('/'))
    }
}

impl Mounts {
    /// Reads the text of `/proc/self/mountinfo`; of two mounts of one hierarchy the first counts.
    pub fn parse(text: &str) -> Self {
        Self::parse_below(text, Path::new("/"))
    }

    /// Like [`Mounts::parse`], of mounts at or below a directory alone.
    pub fn parse_below(text: &str, base: &Path) -> Self {
        let mut mounts = BTreeMap::new();
        for line in text.lines() {
            let Some((front, back)) = line.split_once(" - ") else { continue };
            let mut front = front.split(' ').skip(3);
            let (Some(root), Some(at)) = (front.next(), front.next()) else { continue };
            let mut back = back.split(' ');
            let (kind, _, options) = (back.next(), back.next(), back.next());
            let at = PathBuf::from(unescape(at));
            if !at.starts_with(base) {
                continue;
            }
            let mounted = || Mounted { root: unescape(root), at: at.clone() };
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
        Self(mounts)
    }

    /// The hierarchy of a controller.
    pub fn get(&self, controller: &str) -> Option<&Mounted> {
        self.0.get(controller)
    }
}

impl Membership {
    /// Reads the text of `/proc/<pid>/cgroup`.
    pub fn parse(text: &str) -> Self {
        let mut groups = BTreeMap::new();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            if let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) {
                for controller in controllers.split(',') {
                    groups.insert(controller.to_owned(), group.to_owned());
                }
            }
        }
        Self(groups)
    }

    /// The group for a controller.
    pub fn get(&self, controller: &str) -> Option<&str> {
        self.0.get(controller).map(String::as_str)
    }

    /// Every group, by controller.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(controller, group)| (controller.as_str(), group.as_str()))
    }
}

/// Undoes the octal escapes of `mountinfo`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
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
        let groups = Membership::parse(V1_MEMBERSHIP);
        assert_eq!(groups.get("cpuacct"), Some("/docker/abc"));
        assert_eq!(groups.get(UNIFIED), Some("/x"));
        assert_eq!(groups.iter().count(), 4);
        let mounts = Mounts::parse(V1_MOUNTS);
        assert_eq!(
            mounts.get("cpuacct").unwrap().place("/docker/abc"),
            Path::new("/sys/fs/cgroup/cpu,cpuacct/docker/abc")
        );
    }

    #[test]
    fn the_unified_hierarchy_is_found_and_a_mounted_part_of_it() {
        let line = "40 30 0:30 /docker /sys/fs/cg\\040roup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let mounts = Mounts::parse(line);
        assert_eq!(mounts.get(UNIFIED).unwrap().place("/docker/abc"), Path::new("/sys/fs/cg roup/abc"));
    }

    #[test]
    fn mounts_elsewhere_are_left_out() {
        let mounts = Mounts::parse_below(V1_MOUNTS, Path::new("/sys/fs/cgroup/memory"));
        assert!(mounts.get("memory").is_some() && mounts.get("cpu").is_none());
        assert_eq!(Mounts::parse_below(V1_MOUNTS, Path::new("/host/cgroup")), Mounts::default());
    }
}
