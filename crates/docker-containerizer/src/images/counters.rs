//! What the agent tells of pulls in its metrics.

use super::failure::PullClass;

/// Counts of one pull manager. The first two are of now, the others since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullCounters {
    /// Pulls with the engine.
    pub running: usize,
    /// Pulls that wait for their turn or for their next attempt.
    pub queued: usize,
    /// Pulls that were begun.
    pub begun: u64,
    /// Waiters that joined a pull of others.
    pub shared: u64,
    /// Pulls that ended well.
    pub succeeded: u64,
    /// Attempts after a failed one.
    pub retried: u64,
    /// Pulls that were set aside for a small one.
    pub set_aside: u64,
    /// Pulls that ended since nobody waited any more.
    pub abandoned: u64,
    /// Waiters that were answered from the memory of refusals.
    pub remembered: u64,
    /// Failed attempts by class, in the order of [`PullClass::ALL`].
    pub failed: [u64; PullClass::ALL.len()],
}

impl PullCounters {
    /// Failed attempts of a class.
    pub fn failed_of(&self, class: PullClass) -> u64 {
        PullClass::ALL
            .iter()
            .zip(self.failed)
            .find(|(known, _)| **known == class)
            .map_or(0, |(_, count)| count)
    }

    pub(crate) fn count_failure(&mut self, class: PullClass) {
        for (known, count) in PullClass::ALL.iter().zip(&mut self.failed) {
            *count += u64::from(*known == class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_count() {
        let mut counters = PullCounters::default();
        for (at, class) in PullClass::ALL.into_iter().enumerate() {
            (0..=at).for_each(|_| counters.count_failure(class));
        }
        for (at, class) in PullClass::ALL.into_iter().enumerate() {
            assert_eq!(counters.failed_of(class), at as u64 + 1);
        }
    }
}
