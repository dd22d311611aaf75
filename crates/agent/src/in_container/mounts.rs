//! The mounts that this process sees (`/proc/self/mountinfo`). Parsing is pure.

use std::path::{Path, PathBuf};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// What of its file system is visible.
    pub(super) root: String,
    /// Where.
    pub(super) at: PathBuf,
    /// The directory that takes an overlay's changes.
    pub(super) upper: Option<PathBuf>,
}

/// Reads the text of `mountinfo`; a line of another form is passed over.
pub(super) fn parse(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(3);
        let (root, at) = (unescape(fields.next()?), PathBuf::from(unescape(fields.next()?)));
        // Optional fields end with a dash; behind it are type, source and options.
        let mut options = fields.skip_while(|field| *field != "-").nth(3).unwrap_or_default().split(',');
        let upper = options.find_map(|option| option.strip_prefix("upperdir=")).map(unescape);
        Some(Mount { root, at, upper: upper.map(PathBuf::from) })
    };
    text.lines().filter_map(mount).collect()
}

/// The mount that a path lies on: the deepest of those, and the last where several are at one place.
pub(super) fn of_path<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.at))
        .max_by_key(|mount| mount.at.components().count())
}

/// Undoes the octal escapes of `mountinfo`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 0:20 / / rw,relatime - overlay overlay rw
31 22 8:1 /srv/a\\040b /var/lib/mesos rw,relatime - ext4 /dev/sda1 rw
32 22 0:24 /docker.sock /run/docker.sock rw - tmpfs tmpfs rw
a line of another form
";

    #[test]
    fn the_deepest_mount_holds_a_path() {
        let mounts = parse(TEXT);
        let at = |path: &str| of_path(&mounts, Path::new(path)).map(|mount| mount.root.as_str());
        assert_eq!(at("/var/lib/mesos/slaves"), Some("/srv/a b"));
        assert_eq!(at("/var/lib/mesosphere"), Some("/"));
        assert_eq!(at("/run/docker.sock"), Some("/docker.sock"));
        assert_eq!(of_path(&[], Path::new("/")), None);
    }

    #[test]
    fn the_directory_of_an_overlays_changes_is_read() {
        let upper = |line: &str| parse(line).pop().and_then(|mount| mount.upper);
        let line = "9 8 0:7 / / rw shared:1 master:2 - overlay overlay rw,lowerdir=a:b,upperdir=/d/x/diff,workdir=/d/x/work";
        assert_eq!(upper(line), Some("/d/x/diff".into()));
        assert_eq!(upper("9 8 8:1 / / rw - ext4 /dev/sda1 rw"), None);
        assert_eq!(upper("9 8 8:1 / /"), None);
    }
}
