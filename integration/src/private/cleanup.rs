//! Owns the removal of a private engine, from nothing but its directory: daemons, containers, shims, cgroups, mounts,
//! files. Called when an engine is dropped and, for what a killed test run left, before one starts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;

use super::daemon::Identity;
use crate::mounts::unmount_below;

/// The first characters of a private engine's directory.
pub(super) const PREFIX: &str = "mpe-";
/// The file in it that its owner holds locked.
pub(super) const OWNER_LOCK: &str = "owner.lock";
/// The file in it that dockerd's containerd listens on; shims are known by it.
pub(super) const CONTAINERD_SOCKET: &str = "c.sock";

const CGROUPS: &str = "/sys/fs/cgroup";
/// How long a killed process may take to end, and all of them together.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// Removes everything a private engine is made of.
///
/// # Errors
///
/// Something could not be removed; the rest was tried all the same, and all causes are named.
pub(super) fn remove(dir: &Path) -> Result<()> {
    let mut causes = Vec::new();
    let mut attempt = |what: &str, result: Result<()>| {
        if let Err(error) = result {
            causes.push(format!("{what}: {error:#}"));
        }
    };
    for name in ["dockerd", "containerd"] {
        if let Some(identity) = Identity::read(&dir.join(format!("{name}.identity"))) {
            attempt(name, identity.kill_and_wait(KILL_DEADLINE));
        }
    }
    let groups = cgroups_of(dir);
    attempt("containers", kill_cgroups(&groups));
    attempt("shims", kill_shims(dir));
    attempt("shim sockets", remove_shim_sockets(dir));
    attempt("cgroups", groups.iter().try_for_each(|group| remove_cgroup(group)));
    attempt("mounts", unmount_below(dir));
    attempt("files", fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display())));
    if causes.is_empty() { Ok(()) } else { bail!("removal of {}: {}", dir.display(), causes.join("; ")) }
}

/// Removes the private engines below `parent` whose owners are gone.
///
/// # Errors
///
/// As [`remove`], for the first that fails.
pub(super) fn remove_stale(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).with_context(|| format!("list {}", parent.display()))? {
        let path = entry?.path();
        let named = path.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
        if named && path.is_dir() && !is_owned(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn is_owned(dir: &Path) -> bool {
    // The lock ends with its owner, however that ended.
    File::open(dir.join(OWNER_LOCK))
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// Returns the name of the cgroup under which dockerd puts the engine's containers.
pub(super) fn cgroup_parent(dir: &Path) -> String {
    format!("/{}", dir.file_name().unwrap_or(OsStr::new(PREFIX)).to_string_lossy())
}

/// Returns the engine's cgroups in all hierarchies: one with cgroup v2, one per controller with v1.
fn cgroups_of(dir: &Path) -> Vec<PathBuf> {
    let name = dir.file_name().unwrap_or(OsStr::new(PREFIX));
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut groups: Vec<_> = std::iter::once(PathBuf::from(CGROUPS))
        .chain(hierarchies.filter(|path| path.is_dir()))
        .map(|hierarchy| hierarchy.join(name))
        .filter(|group| group.is_dir())
        .collect();
    // Hierarchies may be there twice, as cpu and cpu,cpuacct.
    groups.sort();
    groups.dedup();
    groups
}

fn kill_cgroups(groups: &[PathBuf]) -> Result<()> {
    let deadline = Instant::now() + KILL_DEADLINE;
    loop {
        let mut pids = Vec::new();
        groups.iter().for_each(|group| pids_below(group, &mut pids));
        pids.sort_unstable();
        pids.dedup();
        let running: Vec<_> = pids.into_iter().filter_map(Pid::from_raw).filter_map(Identity::of).collect();
        if running.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{} processes are still there", running.len());
        }
        running.into_iter().try_for_each(|identity| identity.kill_and_wait(KILL_DEADLINE))?;
    }
}

fn pids_below(group: &Path, pids: &mut Vec<i32>) {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    subdirectories(group).iter().for_each(|child| pids_below(child, pids));
}

fn remove_cgroup(group: &Path) -> Result<()> {
    subdirectories(group).iter().try_for_each(|child| remove_cgroup(child))?;
    match fs::remove_dir(group) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", group.display()))
        }
        _ => Ok(()),
    }
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Kills the shims of the engine's containerd; their command line names its socket.
fn kill_shims(dir: &Path) -> Result<()> {
    let socket = dir.join(CONTAINERD_SOCKET);
    for entry in fs::read_dir("/proc").context("list /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        let Some(identity) = Identity::of(pid) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let program = Path::new(OsStr::from_bytes(words.next().unwrap_or_default()));
        let is_shim = program.file_name().is_some_and(|name| name.as_bytes().starts_with(b"containerd-shim"));
        if is_shim && words.any(|word| word == socket.as_os_str().as_bytes()) {
            identity.kill_and_wait(KILL_DEADLINE)?;
        }
    }
    Ok(())
}

/// Removes the sockets that shims leave in a directory which all containerds share.
fn remove_shim_sockets(dir: &Path) -> Result<()> {
    for namespace in subdirectories(&dir.join("cs/io.containerd.runtime.v2.task")) {
        for container in subdirectories(&namespace) {
            let address = fs::read_to_string(container.join("address")).unwrap_or_default();
            let Some(path) = address.trim().strip_prefix("unix://").map(Path::new) else { continue };
            if path.starts_with("/run/containerd/s") && path.exists() {
                fs::remove_file(path).with_context(|| format!("remove {}", path.display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_stale_only_when_nobody_holds_its_lock() {
        let parent = tempfile::tempdir().expect("a directory");
        let (owned, stale, other) =
            (parent.path().join("mpe-owned"), parent.path().join("mpe-stale"), parent.path().join("other"));
        for dir in [&owned, &stale, &other] {
            fs::create_dir(dir).expect("a directory");
            File::create(dir.join(OWNER_LOCK)).expect("a lock file");
        }
        let held = File::open(owned.join(OWNER_LOCK)).expect("the lock file");
        flock(&held, FlockOperation::LockExclusive).expect("locked");
        remove_stale(parent.path()).expect("removed");
        assert_eq!((owned.exists(), stale.exists(), other.exists()), (true, false, true));
    }
}
