//! How long the follower waits, for what.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How many drain deadlines the end of a log may take that is being read: a sandbox that is full makes the same frames
/// be read again.
const LONGEST_DRAIN: u32 = 10;

/// The pauses between passes that brought nothing.
const BACKOFF: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

pub(super) fn backoff(failures: usize) -> Duration {
    BACKOFF[failures.saturating_sub(1).min(BACKOFF.len() - 1)]
}

/// Lets `work` go on for as long as it counts something in every `patience`, up to [`LONGEST_DRAIN`] of them.
pub(super) async fn within_progress<T>(
    patience: Duration,
    count: &AtomicU64,
    work: &mut (impl Future<Output = T> + Unpin),
) -> Option<T> {
    for _ in 0..LONGEST_DRAIN {
        let before = count.load(Ordering::Relaxed);
        if let Ok(done) = timeout(patience, &mut *work).await {
            return Some(done);
        }
        if count.load(Ordering::Relaxed) == before {
            return None;
        }
    }
    None
}

/// Waits before the next pass, or until the container is stopped.
pub(super) async fn pause(failures: usize, stopped: &mut watch::Receiver<bool>) {
    if failures == 0 {
        return;
    }
    let stop = stopped.wait_for(|stopped| *stopped);
    let _ = timeout(backoff(failures), stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn work_that_goes_on_is_waited_for_and_work_that_hangs_is_not() {
        const STEP: Duration = Duration::from_millis(10);
        let count = AtomicU64::new(0);
        let mut busy = std::pin::pin!(async {
            for _ in 0..50 {
                tokio::time::sleep(STEP).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(within_progress(STEP * 8, &count, &mut busy).await, Some(()));
        let mut hung = std::pin::pin!(std::future::pending::<()>());
        assert_eq!(within_progress(STEP, &count, &mut hung).await, None);
        let began = Instant::now();
        let mut endless = std::pin::pin!(async {
            loop {
                tokio::time::sleep(STEP).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(within_progress::<()>(STEP * 2, &count, &mut endless).await, None);
        assert!(began.elapsed() <= STEP * 2 * (LONGEST_DRAIN + 1));
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(backoff(1), BACKOFF[0]);
        assert_eq!(backoff(1000), Duration::from_secs(2));
    }
}
