//! How long launches took to have their image, for metrics.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many times are kept, as stock keeps them (`TIME_SERIES_CAPACITY` of libprocess).
const CAPACITY: usize = 1000;

/// For how long one is kept: the window of stock's `containerizer/docker/image_pull_ms`.
const WINDOW: Duration = Duration::from_hours(1);

/// Times of the last hour, at most 1000 of them, and their sum since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageTimes {
    window: VecDeque<(Instant, Duration)>,
    count: u64,
    sum: Duration,
}

impl ImageTimes {
    /// Adds the time of a launch that has its image now.
    pub(super) fn record(&mut self, now: Instant, took: Duration) {
        if self.window.len() == CAPACITY {
            self.window.pop_front();
        }
        self.window.push_back((now, took));
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// The times of the last hour, oldest first.
    pub fn recent(&self, now: Instant) -> impl Iterator<Item = Duration> {
        let is_recent = move |at: Instant| now.saturating_duration_since(at) <= WINDOW;
        self.window.iter().filter(move |(at, _)| is_recent(*at)).map(|(_, took)| *took)
    }

    /// How many launches had their image since the start.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long they took together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_window_has_an_hour_and_a_thousand() {
        let mut times = ImageTimes::default();
        let second = Duration::from_secs(1);
        times.record(Instant::now(), second * 7);
        tokio::time::advance(WINDOW + second).await;
        times.record(Instant::now(), second);
        assert_eq!(times.recent(Instant::now()).collect::<Vec<_>>(), [second]);
        assert_eq!((times.count(), times.sum()), (2, second * 8));
        for _ in 0..2000 {
            times.record(Instant::now(), second);
        }
        assert_eq!((times.recent(Instant::now()).count(), times.count()), (CAPACITY, 2002));
    }
}
