//! What is still mounted below a directory that is to be removed (`GarbageCollectorProcess::remove` in
//! `src/slave/gc.cpp` does the same before it removes).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::directory::Sandbox;
use crate::error::{Context, SandboxError};
use crate::mounts::mounts_below;
use crate::rel_path::RelPath;
use crate::resolve::pin;

/// Detaches every mount strictly below a directory, deepest first, and tells which they were. Their content stays. A
/// directory that is not there has none.
///
/// A mount point is found from the directory's own descriptor and never through a symbolic link, so whoever can write
/// below the directory cannot make this unmount anything else.
///
/// # Errors
///
/// The first mount that could not be detached, after which the directory must not be removed. Those before it are
/// detached.
pub fn detach_mounts(path: &Path) -> Result<Vec<PathBuf>, SandboxError> {
    let sandbox = match Sandbox::open(path) {
        Ok(sandbox) => sandbox,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (dir, base) = sandbox.into_parts();
    let mut mounts = mounts_below(&dir).context("list the mounts below", &*base)?;
    // A mount on another one has the longer path, or stands later in the kernel's list.
    mounts.reverse();
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.as_os_str().len()));
    let canonical =
        std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).context("look at", &*base)?;
    for mount in &mounts {
        detach(&dir, &canonical, mount)?;
    }
    Ok(mounts)
}

fn detach(dir: &File, canonical: &Path, mount: &Path) -> Result<(), SandboxError> {
    let operation = "unmount";
    let unresolvable = || SandboxError::from_errno(operation, mount, Errno::INVAL);
    let below = mount.strip_prefix(canonical).map_err(|_| unresolvable())?;
    let rel = RelPath::new(below).map_err(|_| unresolvable())?;
    let point = pin(dir.as_fd(), &rel)
        .map_err(|refused| SandboxError::from_errno(operation, canonical.join(refused.at), refused.errno))?
        .into_file();
    // The system refuses with EINVAL what is no mount point.
    unmount(format!("/proc/self/fd/{}", point.as_raw_fd()), UnmountFlags::DETACH).context(operation, mount)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::mount::{MountFlags, mount, mount_bind};

    use super::*;

    /// Mounts on mounts, one of the same file system and one under a name with a space.
    #[test]
    fn what_is_mounted_below_is_detached_and_keeps_its_content() {
        let root = tempfile::tempdir().expect("a directory");
        let (base, outside) = (root.path().join("sandbox"), root.path().join("outside"));
        std::fs::create_dir_all(base.join("a b/bound")).expect("made");
        std::fs::create_dir_all(outside.join("inner")).expect("made");
        std::fs::write(outside.join("precious"), "data").expect("written");
        if let Err(errno) = mount_bind(&outside, base.join("a b/bound")) {
            println!("SKIPPED: mounts below a directory that is removed: {errno}");
            return;
        }
        mount("tmpfs", base.join("a b/bound/inner"), "tmpfs", MountFlags::empty(), None).expect("mounted");
        mount("tmpfs", base.join("a b/bound/inner"), "tmpfs", MountFlags::empty(), None)
            .expect("mounted twice");
        let detached = detach_mounts(&base).expect("detached");
        let bound = base.canonicalize().expect("there").join("a b/bound");
        assert_eq!(detached, [bound.join("inner"), bound.join("inner"), bound.clone()]);
        assert_eq!(detach_mounts(&base).expect("nothing left"), Vec::<PathBuf>::new());
        crate::remove_all(&base).expect("removed");
        assert_eq!(std::fs::read(outside.join("precious")).expect("kept"), b"data");
        assert_eq!(detach_mounts(&base).expect("nothing there"), Vec::<PathBuf>::new());
    }

    /// The list says one thing, and the tree has changed since.
    #[test]
    fn a_mount_point_is_never_found_through_a_link() {
        let root = tempfile::tempdir().expect("a directory");
        let base = root.path().join("sandbox");
        std::fs::create_dir_all(base.join("plain")).expect("made");
        symlink("/proc", base.join("link")).expect("linked");
        let dir = File::open(&base).expect("opened");
        for (point, plain) in [("link", false), ("link/self", false), ("plain", true), ("../outside", false)]
        {
            let error = detach(&dir, &base, &base.join(point)).expect_err("no mount");
            assert_eq!(matches!(error, SandboxError::Io { .. }), plain || point == "../outside", "{error:?}");
        }
        assert!(Path::new("/proc/self/status").exists());
    }
}
