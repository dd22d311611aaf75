//! Limits of rates: requests take turns (`RateLimiter` of libprocess' `limiter.hpp`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flags::agent::Rate;
use tokio::time::{Instant, sleep_until};

/// Gives turns at most as often as a rate says.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: Option<Rate>,
    /// When the next turn is; in the past when nobody came for a while.
    next: Mutex<Option<Instant>>,
}

/// Too many wait for a turn already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    /// After which time a turn would come.
    pub(super) after: Duration,
}

impl Limiter {
    /// Without a rate there is always a turn.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self { rate, next: Mutex::new(None) }
    }

    /// Waits for a turn; stock lets any number of requests wait for any time.
    ///
    /// # Errors
    ///
    /// The turn would come later than `patience` from now; it is not taken then.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped the turn passes unused.
    pub(super) async fn turn(&self, patience: Duration) -> Result<(), TooMany> {
        let Some(rate) = self.rate else { return Ok(()) };
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            if turn - now > patience {
                return Err(TooMany { after: turn - now });
            }
            *next = Some(turn + rate.pause());
            turn
        };
        sleep_until(turn).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn turns_come_half_a_second_apart() {
        let limiter = Limiter::new(Some(Rate::TWO_A_SECOND));
        let began = Instant::now();
        for expected in [0, 500, 1000, 1500] {
            limiter.turn(PATIENCE).await.unwrap();
            assert_eq!(began.elapsed(), Duration::from_millis(expected));
        }
        // Nobody saves up turns.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        limiter.turn(PATIENCE).await.unwrap();
        limiter.turn(PATIENCE).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told() {
        let limiter = std::sync::Arc::new(Limiter::new(Some(Rate::TWO_A_SECOND)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.turn(PATIENCE).await })
            })
            .collect();
        let mut refused = Vec::new();
        for task in tasks {
            refused.extend(task.await.unwrap().err());
        }
        let late = TooMany { after: Duration::from_millis(2500) };
        assert_eq!(refused, [late, late, late]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let limiter = Limiter::new(None);
        let began = Instant::now();
        for _ in 0..1000 {
            limiter.turn(Duration::ZERO).await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
