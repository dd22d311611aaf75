//! When a source that says nothing is given up.
//!
//! As libcurl's `CURLOPT_LOW_SPEED_LIMIT` of 1 and `CURLOPT_LOW_SPEED_TIME` of the timeout, which stock sets: less than
//! one byte a second for that long is a stall, whatever the source is doing meanwhile.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::download::error::DownloadError;

/// Watches one download.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    since: Instant,
    bytes: u64,
}

impl Stall {
    /// Begins to watch. `limit` is at least some time.
    pub(super) fn new(limit: Duration) -> Stall {
        Stall { limit, since: Instant::now(), bytes: 0 }
    }

    /// Waits for something of the source until it is given up.
    ///
    /// # Cancel safety
    ///
    /// As the future that is waited for.
    pub(super) async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, DownloadError> {
        let stalled = || DownloadError::Stalled { timeout: self.limit };
        timeout_at(self.since + self.limit, future).await.map_err(|_| stalled())
    }

    /// Notes that bytes came. A byte for each second of the timeout begins it anew.
    pub(super) fn received(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes >= self.limit.as_secs().max(1) {
            self.renew();
        }
    }

    /// Begins the timeout anew, for something that was achieved without bytes.
    pub(super) fn renew(&mut self) {
        self.since = Instant::now();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn arrives_after(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_says_enough_in_time_goes_on() {
        let mut stall = Stall::new(Duration::from_secs(10));
        for _ in 0..100 {
            stall.wait(arrives_after(9)).await.expect("in time");
            stall.received(10);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_says_nothing_is_given_up() {
        let stall = Stall::new(Duration::from_secs(10));
        let began = Instant::now();
        let given_up = stall.wait(std::future::pending::<()>()).await;
        assert!(matches!(given_up, Err(DownloadError::Stalled { .. })));
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_a_stall() {
        let mut stall = Stall::new(Duration::from_secs(10));
        let began = Instant::now();
        let given_up = loop {
            match stall.wait(arrives_after(3)).await {
                Ok(()) => stall.received(1),
                Err(error) => break error,
            }
        };
        assert!(matches!(given_up, DownloadError::Stalled { .. }));
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}
