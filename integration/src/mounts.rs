//! Owns the removal of mounts that a process left when it was killed: a private engine's, or those that a stock agent
//! makes in sandboxes for persistent volumes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{UnmountFlags, unmount};

/// Unmounts what is mounted below a directory when it is dropped.
#[derive(Debug)]
pub struct UnmountOnDrop(PathBuf);

impl UnmountOnDrop {
    /// For this directory; nothing may be mounted below it any more once this is dropped.
    pub fn below(dir: &Path) -> Self {
        Self(dir.to_owned())
    }
}

impl Drop for UnmountOnDrop {
    fn drop(&mut self) {
        if let Err(error) = unmount_below(&self.0) {
            eprintln!("{error:#}");
        }
    }
}

/// Unmounts everything below a directory, the innermost first.
///
/// # Errors
///
/// The mount table cannot be read, or a mount does not go.
pub fn unmount_below(dir: &Path) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("read the mount table")?;
    for point in mount_points_below(&table, dir).iter().rev() {
        unmount(point, UnmountFlags::DETACH).with_context(|| format!("unmount {}", point.display()))?;
    }
    Ok(())
}

fn mount_points_below(table: &str, dir: &Path) -> Vec<PathBuf> {
    // Our own directories' names hold nothing that the kernel would escape.
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|point| point.starts_with(dir))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_directory_are_found() {
        let table = "1 2 0:1 / / rw - ext4 a b\n\
                     3 1 0:2 / /t/mpe-a/d/overlay2/x/merged rw shared:1 - overlay overlay rw\n\
                     4 1 0:3 / /t/mpe-ab/x rw - tmpfs a b\n\
                     5 1 0:4 net:[1] /t/mpe-a/x/netns/y rw - nsfs nsfs rw\n";
        let found = mount_points_below(table, Path::new("/t/mpe-a"));
        assert_eq!(found, [Path::new("/t/mpe-a/d/overlay2/x/merged"), Path::new("/t/mpe-a/x/netns/y")]);
    }
}
