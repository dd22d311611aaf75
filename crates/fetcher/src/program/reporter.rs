//! What the agent and the task's owner see of a fetch while it goes on.
//!
//! Events go to the agent over the pipe that is our standard input, at most one a second for each download. Lines go to
//! standard error, for downloads that take long, every ten seconds.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::log::Log;
use crate::download::{Meter, Reading};
use crate::progress::Event;
use crate::uri::{FetchUri, shown_text};

/// Time between two events of one download.
const TICK: Duration = Duration::from_secs(1);

/// Time between two lines of one download.
const LINE: Duration = Duration::from_secs(10);

/// How long an event that matters waits for a pipe that is full.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// The longest message in an event, in bytes. The pipe takes it whole.
const MAX_MESSAGE: usize = 2048;

/// Reports on all downloads of a fetch. Cheap to share.
#[derive(Debug)]
pub(super) struct Reporter {
    log: Log,
    pipe: Option<Mutex<std::fs::File>>,
    active: Mutex<Vec<Active>>,
}

/// A download that goes on.
#[derive(Debug)]
struct Active {
    index: usize,
    uri: String,
    meter: Arc<Meter>,
    ticked: (Instant, u64),
    lined: (Instant, u64),
}

/// Ends the reports on a download when it is dropped.
#[derive(Debug)]
pub(super) struct Followed<'a> {
    reporter: &'a Reporter,
    index: usize,
    /// Where the downloader counts.
    pub(super) meter: Arc<Meter>,
}

impl Reporter {
    /// Reports to the log, and to the agent where there is a pipe.
    pub(super) fn new(log: Log, pipe: Option<OwnedFd>) -> Reporter {
        let pipe = pipe.map(|pipe| Mutex::new(std::fs::File::from(pipe)));
        Reporter { log, pipe, active: Mutex::default() }
    }

    pub(super) fn log(&self) -> Log {
        self.log
    }

    /// Begins to report on a download.
    pub(super) fn follow(&self, index: usize, uri: &FetchUri) -> Followed<'_> {
        let meter = Arc::new(Meter::default());
        let now = (Instant::now(), 0);
        let active =
            Active { index, uri: uri.to_string(), meter: Arc::clone(&meter), ticked: now, lined: now };
        self.active().push(active);
        Followed { reporter: self, index, meter }
    }

    /// Sends an event that matters.
    pub(super) fn send(&self, event: &Event) {
        self.write(event, &PATIENCE);
    }

    /// Reports on what goes on, once a second, for ever.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub(super) async fn run(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick(Instant::now());
        }
    }

    fn tick(&self, now: Instant) {
        let mut events = Vec::new();
        for active in self.active().iter_mut() {
            let Reading { bytes, total } = active.meter.read();
            if bytes != active.ticked.1 {
                let rate = rate(active.ticked, (now, bytes));
                let uri = active.uri.clone();
                events.push(Event::Progress { item: active.index, uri, bytes, total, rate });
                active.ticked = (now, bytes);
            }
            if now.duration_since(active.lined.0) >= LINE {
                self.log.info(&line(&active.uri, bytes, total, rate(active.lined, (now, bytes))));
                active.lined = (now, bytes);
            }
        }
        for event in events {
            self.write(&event, &Timespec { tv_sec: 0, tv_nsec: 0 });
        }
    }

    /// Writes an event once the pipe has room for a whole line.
    fn write(&self, event: &Event, patience: &Timespec) {
        let Some(pipe) = &self.pipe else { return };
        let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let mut polled = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT)];
        let ready = poll(&mut polled, Some(patience)).is_ok();
        if ready && polled[0].revents().contains(PollFlags::OUT) {
            // When the agent is gone the lifeline ends us.
            let _ = pipe.write_all(event.to_line().as_bytes());
        }
    }

    fn active(&self) -> MutexGuard<'_, Vec<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Followed<'_> {
    fn drop(&mut self) {
        self.reporter.active().retain(|active| active.index != self.index);
    }
}

/// Bytes a second between two moments.
fn rate(from: (Instant, u64), to: (Instant, u64)) -> u64 {
    let millis = to.0.duration_since(from.0).as_millis().max(1);
    let bytes = u128::from(to.1.saturating_sub(from.1));
    u64::try_from(bytes * 1000 / millis).unwrap_or(u64::MAX)
}

fn line(uri: &str, bytes: u64, total: Option<u64>, rate: u64) -> String {
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = u128::from(bytes) * 100 / u128::from(total);
            format!(
                "Downloaded {} of {} ({percent}%) at {}/s from '{uri}'",
                size(bytes),
                size(total),
                size(rate)
            )
        }
        None => format!("Downloaded {} at {}/s from '{uri}'", size(bytes), size(rate)),
    }
}

/// A size for people, in powers of 1024 as Mesos prints them.
fn size(bytes: u64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let unit = (0..units.len()).rev().find(|unit| bytes >> (10 * unit) > 0).unwrap_or(0);
    let whole = bytes >> (10 * unit);
    let tenth = if unit == 0 { 0 } else { ((bytes >> (10 * (unit - 1))) & 1023) * 10 / 1024 };
    match unit {
        0 => format!("{whole}{}", units[unit]),
        _ => format!("{whole}.{tenth}{}", units[unit]),
    }
}

/// Makes a message for people, and cuts it to what the pipe takes.
pub(super) fn shortened(message: &str) -> String {
    let mut message = shown_text(message);
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push_str("...");
    }
    message
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn lines_are_for_people() {
        assert_eq!(
            line("/a", 512 << 20, Some(1 << 30), 3 << 19),
            "Downloaded 512.0MB of 1.0GB (50%) at 1.5MB/s from '/a'"
        );
        assert_eq!(line("/a", 1000, None, 0), "Downloaded 1000B at 0B/s from '/a'");
        assert_eq!(line("/a", 0, Some(0), 0), "Downloaded 0B at 0B/s from '/a'");
        assert_eq!(size(u64::MAX), "16777215.9TB");
    }

    #[test]
    fn messages_are_cut_at_a_character() {
        let cut = shortened(&"é".repeat(MAX_MESSAGE));
        assert!(cut.ends_with("é...") && cut.len() <= MAX_MESSAGE + 3);
    }

    #[test]
    fn a_full_pipe_stops_nobody() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let reporter = Reporter::new(Log::new(None), Some(writer.into()));
        let uri = FetchUri::new("/a/b").expect("valid");
        let began = Instant::now();
        let followed = reporter.follow(0, &uri);
        // Far more than a pipe holds.
        for tick in 1..5000 {
            followed.meter.count_for_test(tick);
            reporter.tick(began + Duration::from_secs(tick));
        }
        drop(followed);
        drop(reporter);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        let events: Vec<_> = text.lines().map(|line| Event::from_line(line).expect("an event")).collect();
        assert!(events.len() > 100 && events.len() < 4999, "{}", events.len());
        assert!(matches!(&events[0], Event::Progress { item: 0, bytes: 1, rate: 1, .. }), "{:?}", events[0]);
    }
}
