//! Whether a download is begun again, and after how long.
//!
//! Stock never does. Here a cut, a server that says "later", and a connection that does not come about are tried again
//! a bounded number of times; attempts that got well ahead do not count, so a large file survives a bad line, and a
//! server that always cuts at the same byte does not go on for ever.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(250);

/// The longest wait, also when a server asks for a longer one.
const LONGEST: Duration = Duration::from_secs(30);

/// How far beyond any earlier attempt one has to get to be no failure.
const PROGRESS: u64 = 1 << 20;

/// The attempts that are left to a download.
#[derive(Debug)]
pub(super) struct Retries {
    limit: u32,
    failed: u32,
    farthest: u64,
}

impl Retries {
    /// Allows `limit` failures without progress.
    pub(super) fn new(limit: u32) -> Retries {
        Retries { limit, failed: 0, farthest: 0 }
    }

    /// Notes that an attempt ended early with `bytes` in the file, and says how long to wait for the next, or that
    /// there is none. `asked` is what the server asked for.
    pub(super) fn failed_at(&mut self, bytes: u64, asked: Option<Duration>) -> Option<Duration> {
        if bytes >= self.farthest.saturating_add(PROGRESS) {
            self.farthest = bytes;
            self.failed = 0;
        }
        if self.failed >= self.limit {
            return None;
        }
        let wait = FIRST.saturating_mul(1_u32.checked_shl(self.failed).unwrap_or(u32::MAX));
        self.failed += 1;
        Some(asked.unwrap_or(wait).max(wait).min(LONGEST))
    }

    /// The number of the next attempt after a failure, from 1.
    pub(super) fn number(&self) -> u32 {
        self.failed
    }
}

/// Takes up to a quarter off a wait, so that a hundred agents that lost one server do not come back at once.
pub(super) fn jittered(wait: Duration) -> Duration {
    let quarter = wait / 4;
    let parts = u32::try_from(RandomState::new().hash_one(0_u8) % 1024).unwrap_or(0);
    wait - quarter * parts / 1024
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    #[test]
    fn waits_double_and_end() {
        let mut retries = Retries::new(3);
        let waits: Vec<_> = (0..4).map(|_| retries.failed_at(0, None).map(|wait| wait.as_millis())).collect();
        assert_eq!(waits, [Some(250), Some(500), Some(1000), None]);
    }

    #[test]
    fn a_server_may_ask_for_more_but_not_for_ever() {
        let mut retries = Retries::new(9);
        assert_eq!(retries.failed_at(0, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(retries.failed_at(0, Some(Duration::from_secs(3600))), Some(LONGEST));
        assert_eq!(retries.failed_at(0, Some(Duration::ZERO)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn progress_gives_all_attempts_back() {
        let mut retries = Retries::new(1);
        for megabyte in 1..50 {
            assert!(retries.failed_at(megabyte << 20, None).is_some());
        }
        assert_eq!(retries.failed_at(49 << 20, None), None, "the same place again is no progress");
    }

    proptest! {
        /// However a server cuts, the attempts are bounded by the limit and the size of the file.
        #[test]
        fn attempts_are_bounded(limit in 0_u32..6, places in proptest::collection::vec(0_u64..20 << 20, 1..400)) {
            let mut retries = Retries::new(limit);
            let attempts = places.iter().take_while(|at| retries.failed_at(**at, None).is_some()).count();
            prop_assert!(attempts <= (limit as usize + 1) * 21);
        }

        #[test]
        fn jitter_only_shortens_a_little(millis in any::<u16>()) {
            let wait = Duration::from_millis(millis.into());
            let jittered = jittered(wait);
            prop_assert!(jittered <= wait && jittered >= wait / 4 * 3);
        }
    }
}
