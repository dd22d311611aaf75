//! What the tests of this crate share: a sandbox beside things that must not be touched, and deadlines.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use sandbox::{RelPath, RotationPolicy, Sandbox};
use tempfile::TempDir;

/// How long a call may take that must not block. Far more than it needs on a loaded machine.
const PROMPT: Duration = Duration::from_secs(20);

/// What the file outside of the sandbox holds.
pub(crate) const SECRET: &str = "root:*:19000:0:99999:7:::\n";

/// A sandbox, and beside it a directory that nothing may change.
pub(crate) struct Scene {
    root: TempDir,
    pub(crate) sandbox: Sandbox,
    before: BTreeMap<PathBuf, State>,
}

type State = (u32, u32, u32, u64, i64, i64, Option<Vec<u8>>);

/// What a hostile task can put in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    LinkToFile,
    LinkToDirectory,
    LinkToNothing,
    LinkToItself,
    HardLink,
    Fifo,
    Directory,
    FullDirectory,
    Socket,
    Device,
}

impl Plant {
    pub(crate) const ALL: [Plant; 10] = [
        Plant::LinkToFile,
        Plant::LinkToDirectory,
        Plant::LinkToNothing,
        Plant::LinkToItself,
        Plant::HardLink,
        Plant::Fifo,
        Plant::Directory,
        Plant::FullDirectory,
        Plant::Socket,
        Plant::Device,
    ];

    pub(crate) fn is_link(self) -> bool {
        matches!(
            self,
            Plant::LinkToFile | Plant::LinkToDirectory | Plant::LinkToNothing | Plant::LinkToItself
        )
    }

    pub(crate) fn is_directory(self) -> bool {
        matches!(self, Plant::Directory | Plant::FullDirectory)
    }
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let root = TempDir::new().expect("a temporary directory");
        let outside = root.path().join("outside");
        std::fs::create_dir_all(outside.join("deep")).expect("made");
        std::fs::write(outside.join("secret"), SECRET).expect("written");
        std::fs::write(outside.join("deep/stdout"), SECRET).expect("written");
        let sandbox = Sandbox::create(&root.path().join("work/runs/1"), None).expect("a sandbox");
        let before = snapshot(&outside);
        Scene { root, sandbox, before }
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    /// Puts something hostile at a name. `false` when this machine does not allow it, which is printed.
    pub(crate) fn plant(&self, plant: Plant, name: &str) -> bool {
        let at = self.path(name);
        match plant {
            Plant::LinkToFile => symlink(self.outside().join("secret"), at).expect("linked"),
            Plant::LinkToDirectory => symlink(self.outside(), at).expect("linked"),
            Plant::LinkToNothing => symlink(self.outside().join("new"), at).expect("linked"),
            Plant::LinkToItself => symlink(name, at).expect("linked"),
            Plant::HardLink => std::fs::hard_link(self.outside().join("secret"), at).expect("linked"),
            Plant::Fifo => mknodat(CWD, at, FileType::Fifo, Mode::RWXU, 0).expect("made"),
            Plant::Directory => std::fs::create_dir(at).expect("made"),
            Plant::FullDirectory => std::fs::create_dir_all(at.join("sub/sub")).expect("made"),
            Plant::Socket => drop(UnixListener::bind(at).expect("bound")),
            Plant::Device => {
                if let Err(errno) = mknodat(CWD, at, FileType::CharacterDevice, Mode::RWXU, makedev(1, 7)) {
                    println!("SKIPPED: device nodes in hostile sandboxes: mknod: {errno}");
                    return false;
                }
            }
        }
        // A hard link outside changes the link count and the time of change of what it links to.
        true
    }

    /// Asserts that nothing outside of the sandbox was created, removed, changed, or given to somebody else.
    pub(crate) fn assert_outside_unchanged(&self, why: &str) {
        assert_eq!(snapshot(&self.outside()), self.before, "{why}");
    }
}

fn snapshot(directory: &Path) -> BTreeMap<PathBuf, State> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = path.symlink_metadata().expect("there");
        let mut content = None;
        if metadata.is_dir() {
            pending
                .extend(std::fs::read_dir(&path).expect("listed").map(|entry| entry.expect("read").path()));
        } else {
            content = Some(std::fs::read(&path).expect("read"));
        }
        let state = (
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.ino(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            content,
        );
        found.insert(path, state);
    }
    found
}

/// Runs a call on a thread of its own and fails the test when it does not come back: a FIFO's open would hang.
pub(crate) fn promptly<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        scope.spawn(move || done.send(call()));
        match finished.recv_timeout(PROMPT) {
            Ok(value) => value,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the call panicked"),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // The scope would wait for the hanging thread for ever.
                eprintln!("a call that must not block did not return within {PROMPT:?}");
                std::process::abort()
            }
        }
    })
}

pub(crate) fn rel(path: &str) -> RelPath {
    RelPath::new(path).expect("a valid path")
}

pub(crate) fn policy(max_size: u64, max_files: u32) -> RotationPolicy {
    RotationPolicy { max_size: NonZeroU64::new(max_size), max_files }
}

/// The content of a stream, oldest byte first, over all rotated files.
pub(crate) fn whole_stream(sandbox: &Sandbox, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in (1..)
        .take_while(|number| sandbox.path().join(format!("{name}.{number}")).exists())
        .collect::<Vec<u32>>()
        .into_iter()
        .rev()
    {
        bytes.extend(std::fs::read(sandbox.path().join(format!("{name}.{number}"))).expect("read"));
    }
    bytes.extend(std::fs::read(sandbox.path().join(name)).expect("read"));
    bytes
}

/// A small file system in memory, mounted at a directory of the test for as long as this lives.
pub(crate) struct TinyDisk(PathBuf);

impl TinyDisk {
    /// Mounts it, or prints why the test named by `what` is skipped.
    pub(crate) fn mount(at: &Path, what: &str) -> Option<TinyDisk> {
        use rustix::mount::{MountFlags, mount};
        match mount("tmpfs", at, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, c"size=64k") {
            Ok(()) => Some(TinyDisk(at.to_owned())),
            Err(errno) => {
                println!("SKIPPED: {what}: mounting a tmpfs: {errno}");
                None
            }
        }
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
