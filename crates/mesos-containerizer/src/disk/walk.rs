//! Adding up what a directory takes of its disk, as `du` does, whatever a task has built there.
//!
//! The walk holds a descriptor of the directory that it is in and goes down by name and up by `..`, so that depth costs
//! nothing, no symbolic link is followed and no other file system entered. A directory that is moved away meanwhile ends it:
//! what was found until then is told. It works no more than half of the time, so that a sandbox with millions of files
//! takes longer and no more of the machine.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, statat};
use rustix::io::Errno;

/// Units of `st_blocks`, on every file system.
const BLOCK: u64 = 512;

/// Bytes of directory entries read at once.
const BATCH_BYTES: usize = 32 * 1024;

/// How long it works before it pauses for as long.
const TURN: Duration = Duration::from_millis(10);

/// What a name takes besides its text.
const NAME: usize = 32;

/// How much a walk remembers, whatever a task has built: some 60 MB.
const BOUNDS: Bounds = Bounds { waiting: 32 << 20, depth: 100_000, linked: 1_000_000 };

/// Opening a directory that is no link.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// Whether a walk has everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    /// This many bytes.
    Bytes(u64),
    /// At least this many: it was stopped, or something could not be looked at.
    AtLeast(u64),
}

/// How much a walk remembers.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Bytes of the names of directories that wait to be entered; those beyond are left out.
    waiting: usize,
    /// Directories within one another; what is deeper is left out.
    depth: usize,
    /// Files with several links. Of those beyond it is not known whether they were counted, so they are not: nobody is
    /// stopped for what it does not take.
    linked: usize,
}

/// Ends a walk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Measured {
    /// The bytes that were found.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) | Self::AtLeast(bytes) => bytes,
        }
    }
}

impl Stop {
    /// Ends the walks that were given this.
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Adds up a directory. It blocks.
///
/// # Errors
///
/// The directory itself cannot be opened.
pub(crate) fn measure(directory: &Path, stop: &Stop) -> std::io::Result<Measured> {
    measure_within(directory, stop, BOUNDS)
}

fn measure_within(directory: &Path, stop: &Stop, bounds: Bounds) -> std::io::Result<Measured> {
    let top = openat(CWD, directory, DIRECTORY, Mode::empty())?;
    let stat = fstat(&top)?;
    let mut walk = Walk {
        device: stat.st_dev,
        bytes: 0,
        is_whole: true,
        linked: HashSet::new(),
        waiting: 0,
        turn: Instant::now(),
        stop,
        bounds,
    };
    walk.count(&stat);
    walk.run(top, id(&stat));
    Ok(if walk.is_whole { Measured::Bytes(walk.bytes) } else { Measured::AtLeast(walk.bytes) })
}

/// A directory on the way down.
struct Level {
    id: (u64, u64),
    /// Directories in it that are still to be entered.
    names: Vec<CString>,
}

struct Walk<'a> {
    device: u64,
    bytes: u64,
    is_whole: bool,
    /// Files with several links that were counted.
    linked: HashSet<u64>,
    /// Bytes of the names that wait.
    waiting: usize,
    turn: Instant,
    stop: &'a Stop,
    bounds: Bounds,
}

impl Walk<'_> {
    fn run(&mut self, top: OwnedFd, top_id: (u64, u64)) {
        let mut here = top;
        let mut levels = vec![Level { id: top_id, names: self.list(&here) }];
        while let Some(level) = levels.last_mut() {
            if self.stop.is_stopped() {
                self.is_whole = false;
                return;
            }
            if let Some(name) = level.names.pop() {
                self.waiting -= cost(&name);
                if levels.len() >= self.bounds.depth {
                    self.is_whole = false;
                    continue;
                }
                if let Some((fd, id)) = self.enter(&here, &name) {
                    here = fd;
                    levels.push(Level { id, names: self.list(&here) });
                }
                continue;
            }
            levels.pop();
            if let Some(above) = levels.last() {
                match openat(&here, "..", DIRECTORY, Mode::empty()).and_then(|fd| Ok((fstat(&fd)?, fd))) {
                    Ok((stat, fd)) if id(&stat) == above.id => here = fd,
                    // Somebody moved it: there is no way back to where the walk came from.
                    _ => {
                        self.is_whole = false;
                        return;
                    }
                }
            }
        }
    }

    /// Opens a directory below, unless it is of another file system or was replaced meanwhile.
    fn enter(&mut self, here: &OwnedFd, name: &CString) -> Option<(OwnedFd, (u64, u64))> {
        let opened = openat(here, name, DIRECTORY, Mode::empty()).and_then(|fd| Ok((fstat(&fd)?, fd)));
        match opened {
            Ok((stat, fd)) if stat.st_dev == self.device => Some((fd, id(&stat))),
            Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => None,
            Err(_) => {
                self.is_whole = false;
                None
            }
        }
    }

    /// Counts what is in a directory; answers the directories in it.
    fn list(&mut self, directory: &OwnedFd) -> Vec<CString> {
        let mut names = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BATCH_BYTES];
        let mut entries = RawDir::new(directory, &mut buffer);
        while let Some(entry) = entries.next() {
            self.pause();
            if self.stop.is_stopped() {
                self.is_whole = false;
                break;
            }
            let Ok(entry) = entry else {
                self.is_whole = false;
                break;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(_) => {
                    self.is_whole = false;
                    continue;
                }
            };
            if stat.st_dev != self.device {
                continue;
            }
            self.count(&stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                if self.waiting < self.bounds.waiting {
                    self.waiting += cost(name);
                    names.push(name.to_owned());
                } else {
                    self.is_whole = false;
                }
            }
        }
        names
    }

    /// Counts a file once, under however many names.
    fn count(&mut self, stat: &Stat) {
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_directory && stat.st_nlink > 1 {
            if self.linked.len() >= self.bounds.linked {
                self.is_whole = false;
                return;
            }
            if !self.linked.insert(stat.st_ino) {
                return;
            }
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        self.bytes = self.bytes.saturating_add(blocks.saturating_mul(BLOCK));
    }

    fn pause(&mut self) {
        let worked = self.turn.elapsed();
        if worked >= TURN {
            #[expect(
                clippy::disallowed_methods,
                reason = "the walker gives the disk to others, in a thread of its own"
            )]
            sleep(worked.min(TURN * 10));
            self.turn = Instant::now();
        }
    }
}

/// What a name takes while it waits.
fn cost(name: &CStr) -> usize {
    name.to_bytes().len() + NAME
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    fn du(directory: &Path) -> u64 {
        let output = Command::new("du").args(["-s", "--block-size=512"]).arg(directory).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 512
    }

    #[test]
    fn a_directory_takes_what_du_says() {
        let top = tempfile::tempdir().unwrap();
        let below = top.path().join("a/b/c");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("data"), vec![1; 300_000]).unwrap();
        fs::hard_link(below.join("data"), top.path().join("again")).unwrap();
        symlink("/", top.path().join("root")).unwrap();
        rustix::fs::mknodat(CWD, below.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let sparse = fs::File::create(top.path().join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let found = measure(top.path(), &Stop::default()).unwrap();
        assert_eq!(found, Measured::Bytes(du(top.path())));
        assert!((300_000..1_000_000).contains(&found.bytes()), "{found:?}");
    }

    #[test]
    fn depth_is_no_hiding_place() {
        let top = tempfile::tempdir().unwrap();
        let mut here = openat(CWD, top.path(), DIRECTORY, Mode::empty()).unwrap();
        // Together the names are longer than a path may be.
        let name = "d".repeat(200);
        for _ in 0..100 {
            rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
            here = openat(&here, &name, DIRECTORY, Mode::empty()).unwrap();
        }
        let file = openat(&here, "data", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        rustix::io::write(&file, &[1; 65536]).unwrap();
        let found = measure(top.path(), &Stop::default()).unwrap();
        assert!(matches!(found, Measured::Bytes(bytes) if bytes >= 65536 + 100 * 4096), "{found:?}");
        sandbox::remove_all(top.path()).unwrap();
    }

    #[rstest::rstest]
    #[case::few_names(Bounds { waiting: 200, ..BOUNDS })]
    #[case::not_deep(Bounds { depth: 3, ..BOUNDS })]
    #[case::few_links(Bounds { linked: 5, ..BOUNDS })]
    fn what_is_too_much_to_remember_is_left_out_and_told(#[case] bounds: Bounds) {
        let top = tempfile::tempdir().unwrap();
        for number in 0..20 {
            let directory = top.path().join(format!("{number}/a/b/c"));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("data"), vec![1; 10_000]).unwrap();
            fs::hard_link(directory.join("data"), directory.join("again")).unwrap();
        }
        let all = measure(top.path(), &Stop::default()).unwrap();
        assert_eq!(all, Measured::Bytes(du(top.path())));
        let found = measure_within(top.path(), &Stop::default(), bounds).unwrap();
        let Measured::AtLeast(bytes) = found else { panic!("{found:?}") };
        assert!(bytes < all.bytes(), "{found:?} {all:?}");
    }

    #[test]
    fn a_walk_that_is_stopped_says_so() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("data"), vec![1; 100_000]).unwrap();
        let stop = Stop::default();
        stop.stop();
        assert!(matches!(measure(top.path(), &stop).unwrap(), Measured::AtLeast(_)));
    }

    #[test]
    fn a_sandbox_that_is_gone_or_a_link_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        assert!(measure(&top.path().join("gone"), &Stop::default()).is_err());
        symlink("/", top.path().join("link")).unwrap();
        assert!(measure(&top.path().join("link"), &Stop::default()).is_err());
    }
}
