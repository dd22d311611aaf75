//! Waking up when something in a directory changes, without looking again and again.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

/// What counts as a change: a file that grew, came or went, under whatever name.
const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// The longest wait. The system's watches are limited and may lose events, so a look now and then is the safety net.
const LONGEST: Duration = Duration::from_secs(1);

/// How long changes are collected after the first, so that a task that writes all the time costs no processor.
const COLLECT: Duration = Duration::from_millis(10);

/// How many bytes of events are taken at once.
const EVENTS: usize = 4096;

/// Watches directories.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Without it, as when the system has no watch left, the safety net is all there is.
    events: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    /// Watches these directories from now on.
    pub(crate) fn new(directories: &[&Path]) -> Self {
        let begin = || -> io::Result<AsyncFd<OwnedFd>> {
            let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            for directory in directories {
                inotify::add_watch(&events, *directory, CHANGES)?;
            }
            register(events)
        };
        let events = begin()
            .inspect_err(
                |error| tracing::debug!(%error, "no watch: the directories are looked at every second"),
            )
            .ok();
        Self { events }
    }

    /// Waits until something changed since the last call, or for a second at most.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn changed(&mut self) {
        let Some(events) = &self.events else { return sleep(LONGEST).await };
        let Ok(Ok(mut ready)) = timeout(LONGEST, events.readable()).await else { return };
        sleep(COLLECT).await;
        let mut buffer = [MaybeUninit::uninit(); EVENTS];
        let mut reader = inotify::Reader::new(events.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(_) => {}
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        ready.clear_ready();
    }
}

#[expect(unsafe_code, reason = "the descriptor must stay open while it is registered, and it does")]
fn register(events: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` gives the same descriptor every time and closes it only when it is dropped, and the
    // `AsyncFd` owns it and never lends it mutably.
    Ok(unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) }?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_change_wakes_up_and_no_change_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(&[dir.path()]);
        std::fs::write(dir.path().join("stdout"), "x").unwrap();
        let begun = Instant::now();
        watch.changed().await;
        assert!(begun.elapsed() < LONGEST, "a change was there already");
        let begun = Instant::now();
        watch.changed().await;
        assert!(begun.elapsed() >= LONGEST, "all changes were taken by the call before");
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_watched_is_looked_at() {
        let mut watch = Watch::new(&[Path::new("/no/such/directory")]);
        assert!(watch.events.is_none());
        let begun = Instant::now();
        watch.changed().await;
        assert!(begun.elapsed() >= LONGEST);
    }
}
