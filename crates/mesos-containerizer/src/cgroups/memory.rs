//! Whether the kernel killed a process of a container for memory.
//!
//! The counter `oom_kill` tells it also afterwards; a kernel before 4.13 has none with v1. An event tells it at once: with
//! v1 an eventfd that is registered for `memory.oom_control`, which fires when memory has run out, a moment before
//! somebody is killed; with v2 a change of `memory.events`, which a poll of the file tells.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use containerizer::cgroups::{Version, count, keyed};
use containerizer::register;
use rustix::event::{EventfdFlags, eventfd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep};

use super::dirs::{GroupDir, GroupDirs, write_file};
use super::error::CgroupsError;
use super::hierarchies::Controller;

/// How long after the event of v1 the counter may take.
const COUNTED: Duration = Duration::from_secs(2);

/// How often a v1 group has reached a limit: of memory, and of memory with swap.
const LIMIT_REACHED: [&str; 2] = ["memory.failcnt", "memory.memsw.failcnt"];

/// The pause between looks at the counter then.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How often the kernel killed a process of the container because that had reached its limit; `None` where it does not
/// count, or has no group for it.
///
/// The kernel counts a process that it killed because the machine was out of memory too, which is none of the container's
/// limits.
pub(crate) fn oom_kills(dirs: &GroupDirs) -> Option<u64> {
    oom_kills_of(dirs.of(Controller::Memory)?)
}

fn oom_kills_of(dir: &GroupDir) -> Option<u64> {
    let text = fs::read_to_string(counter(dir)).ok()?;
    let counts = keyed(&text);
    let kills = counts.get("oom_kill").copied()?;
    let reached = match dir.version {
        Version::V1 => LIMIT_REACHED.iter().filter_map(|file| count(&dir.path.join(file))).reduce(u64::max),
        Version::V2 => counts.get("oom").copied(),
    };
    Some(if reached == Some(0) { 0 } else { kills })
}

fn counter(dir: &GroupDir) -> PathBuf {
    dir.path.join(match dir.version {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    })
}

/// A watch over the memory of one container.
#[derive(Debug)]
pub(crate) struct OomWatch {
    dir: GroupDir,
    event: Event,
}

/// What tells that it is worth while to look.
#[derive(Debug)]
enum Event {
    V1 {
        fd: AsyncFd<OwnedFd>,
        /// The kernel keeps it open for the registration, and so do we.
        _control: File,
    },
    V2(Changes),
}

/// The changes of a file of a group.
#[derive(Debug)]
struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    fn of(file: File) -> io::Result<Self> {
        register(file.into(), Interest::PRIORITY).map(Self)
    }

    /// Waits for the next change.
    async fn next(&self) -> io::Result<()> {
        // The kernel tells a change to those alone who have read what was before.
        let mut text = [0; 512];
        let mut ready = self.0.ready(Interest::PRIORITY).await?;
        let _ = rustix::io::pread(ready.get_inner(), &mut text, 0);
        ready.clear_ready();
        Ok(())
    }
}

impl OomWatch {
    /// Begins to watch; `None` for a container without a group for memory.
    ///
    /// # Errors
    ///
    /// A group that is gone, or a kernel that does not tell.
    pub(crate) fn new(dirs: &GroupDirs) -> Result<Option<Self>, CgroupsError> {
        let Some(dir) = dirs.of(Controller::Memory) else { return Ok(None) };
        let path = counter(dir);
        let file = File::open(&path).map_err(CgroupsError::of("watch", &path))?;
        let event = match dir.version {
            Version::V1 => {
                let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
                    .map_err(|errno| CgroupsError::of("watch", &path)(errno.into()))?;
                let order = format!("{} {}", fd.as_raw_fd(), file.as_raw_fd());
                write_file(&dir.path.join("cgroup.event_control"), &order)?;
                let fd = register(fd, Interest::READABLE).map_err(CgroupsError::of("watch", &path))?;
                Event::V1 { fd, _control: file }
            }
            Version::V2 => Event::V2(Changes::of(file).map_err(CgroupsError::of("watch", &path))?),
        };
        Ok(Some(Self { dir: dir.clone(), event }))
    }

    /// Waits until the kernel has killed for memory; for ever once the group is gone.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn killed(&self) {
        // It may have happened before the watch began.
        while oom_kills_of(&self.dir).is_none_or(|kills| kills == 0) {
            let event = self.event().await;
            if event.is_err() || !self.dir.path.is_dir() {
                // Watching has no end that is worth more than the exit of the container, where the counter is read again.
                std::future::pending::<()>().await;
            }
            if self.was_counted().await {
                return;
            }
        }
    }

    async fn event(&self) -> io::Result<()> {
        match &self.event {
            Event::V1 { fd, .. } => {
                let mut ready = fd.readable().await?;
                let mut count = [0; 8];
                // Whoever reads the count makes the next event one.
                let _ = rustix::io::read(ready.get_inner(), &mut count);
                ready.clear_ready();
            }
            Event::V2(changes) => changes.next().await?,
        }
        Ok(())
    }

    /// Whether what the event announced has come to a kill.
    async fn was_counted(&self) -> bool {
        let began = Instant::now();
        loop {
            match (oom_kills_of(&self.dir), self.dir.version) {
                (Some(0), Version::V1) if began.elapsed() < COUNTED => sleep(LOOK_AGAIN).await,
                (Some(kills), _) => return kills > 0,
                // A kernel that does not count kills at this event; one without the file has no group any more.
                (None, _) => return self.dir.path.is_dir(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, GroupDirs) {
        let group = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(group.path().join(name), text).unwrap();
        }
        let dir =
            GroupDir { path: group.path().to_owned(), version, controllers: [Controller::Memory].into() };
        (group, GroupDirs::new(vec![dir]))
    }

    /// As Linux 4.19 with v1 and Linux 6.1 with v2 print them.
    #[rstest::rstest]
    #[case(Version::V1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", Some(3))]
    #[case(Version::V1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", None)]
    #[case(
        Version::V2,
        "memory.events",
        "low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\noom_group_kill 1\n",
        Some(1)
    )]
    #[case::for_the_machine(Version::V2, "memory.events", "max 0\noom 0\noom_kill 1\n", Some(0))]
    #[case(Version::V2, "memory.other", "oom_kill 1\n", None)]
    fn kills_are_counted(
        #[case] version: Version,
        #[case] file: &str,
        #[case] text: &str,
        #[case] expected: Option<u64>,
    ) {
        let (_group, dirs) = group(version, &[(file, text)]);
        assert_eq!(oom_kills(&dirs), expected);
        assert_eq!(oom_kills(&GroupDirs::default()), None);
    }

    #[rstest::rstest]
    #[case::of_its_limit("7", "0", 1)]
    #[case::of_its_limit_with_swap("0", "7", 1)]
    #[case::of_the_machine("0", "0", 0)]
    fn a_v1_group_that_never_reached_its_limit_was_killed_for_another(
        #[case] alone: &str,
        #[case] with_swap: &str,
        #[case] expected: u64,
    ) {
        let files = [
            ("memory.oom_control", "oom_kill 1\n"),
            ("memory.failcnt", alone),
            ("memory.memsw.failcnt", with_swap),
        ];
        let (_group, dirs) = group(Version::V1, &files);
        assert_eq!(oom_kills(&dirs), Some(expected));
    }

    /// A change of a file of a real group is told as one of `memory.events` is: `cgroup.events` is polled the same way, and
    /// every v2 hierarchy has it, also one beside v1.
    #[tokio::test]
    async fn a_change_of_a_groups_file_is_told() {
        let Some(unified) = super::super::Hierarchies::detect("/sys/fs/cgroup".as_ref())
            .ok()
            .and_then(|machine| machine.unified().map(std::path::Path::to_owned))
        else {
            println!("skipped: no unified hierarchy is mounted");
            return;
        };
        let group = unified.join(format!("mesos-test-{}", std::process::id()));
        if let Err(error) = fs::create_dir(&group) {
            println!("skipped: control groups cannot be made: {error}");
            return;
        }
        let changes = Changes::of(File::open(group.join("cgroup.events")).unwrap()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        write_file(&group.join("cgroup.procs"), &child.id().to_string()).unwrap();
        let told = tokio::time::timeout(Duration::from_secs(20), async {
            while !fs::read_to_string(group.join("cgroup.events")).unwrap().contains("populated 1") {
                changes.next().await.unwrap();
            }
            write_file(&group.join("cgroup.kill"), "1").unwrap();
            while !fs::read_to_string(group.join("cgroup.events")).unwrap().contains("populated 0") {
                changes.next().await.unwrap();
            }
        });
        let told = told.await;
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir(&group).unwrap();
        told.unwrap();
    }
}
