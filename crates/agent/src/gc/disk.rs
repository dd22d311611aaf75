//! How full the disk is, and how old a directory is. Everything here blocks on the file system.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{OFlags, StatVfs, statvfs};

/// The fraction of a file system's blocks that is used, from 0 to 1 (`fs::usage`). Blocks that only root may use count
/// as free.
///
/// # Errors
///
/// When the file system cannot be asked.
pub fn disk_usage(path: &Path) -> io::Result<f64> {
    Ok(used_share(&statvfs(path)?))
}

#[expect(clippy::cast_precision_loss, reason = "a share of blocks needs no 53 bits")]
fn used_share(of: &StatVfs) -> f64 {
    if of.f_blocks == 0 {
        return 0.0;
    }
    (of.f_blocks.saturating_sub(of.f_bfree)) as f64 / of.f_blocks as f64
}

/// How long ago a directory was changed; nothing for one that was changed in the future. Links are not followed.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn age(path: &Path) -> io::Result<Duration> {
    let modified = path.symlink_metadata()?.modified()?;
    Ok(SystemTime::now().duration_since(modified).unwrap_or_default())
}

/// Makes a directory as if changed now, so that it is kept for the whole delay (`os::utime`).
///
/// # Errors
///
/// When it is no directory or cannot be changed.
pub fn touch(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW);
    let flags = i32::try_from(flags.bits()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let directory = File::options().read(true).custom_flags(flags).open(path)?;
    directory.set_modified(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_used_to_a_share() {
        let usage = disk_usage(Path::new("/")).unwrap();
        assert!((0.0..=1.0).contains(&usage), "{usage}");
        // A file system without blocks.
        assert_eq!(disk_usage(Path::new("/proc")).unwrap(), 0.0);
        assert!(disk_usage(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_touched_directory_is_new() {
        let root = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_secs(1000);
        File::open(root.path()).unwrap().set_modified(old).unwrap();
        assert!(age(root.path()).unwrap() >= Duration::from_secs(1000));
        touch(root.path()).unwrap();
        assert!(age(root.path()).unwrap() < Duration::from_secs(900));
        File::open(root.path()).unwrap().set_modified(SystemTime::now() + Duration::from_secs(1000)).unwrap();
        assert_eq!(age(root.path()).unwrap(), Duration::ZERO);
        std::os::unix::fs::symlink(root.path(), root.path().join("link")).unwrap();
        assert!(touch(&root.path().join("link")).is_err());
    }
}
