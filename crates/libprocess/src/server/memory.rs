//! Owns the memory that the content of large messages may take at once, and how it is shared out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The unit in which memory is shared out, in bytes. A message up to this size takes no share: it must get through when
/// others hold all of it.
pub(crate) const SHARE: usize = 64 << 10;

/// The memory for large messages.
///
/// Messages take their shares while they come, so several could hold all of it and each wait for the others. Hence one
/// message at a time, the first that has to wait, may go beyond the bound: what is held then is at most the bound and
/// one message, and somebody always gets on.
#[derive(Debug)]
pub(crate) struct Memory {
    shares: Arc<Semaphore>,
    beyond: Arc<Semaphore>,
}

/// What a message holds of it, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share {
    shares: Option<OwnedSemaphorePermit>,
    beyond: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Takes how much there is, in bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let shares = (bytes / SHARE).clamp(1, Semaphore::MAX_PERMITS);
        Self { shares: Arc::new(Semaphore::new(shares)), beyond: Arc::new(Semaphore::new(1)) }
    }
}

impl Share {
    /// Whether more must be taken before a message may have `size` bytes.
    pub(crate) fn is_enough_for(&self, size: usize) -> bool {
        self.missing(size) == 0
    }

    /// Waits until a message may have `size` bytes; gives how long that took.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; what is held already stays held.
    pub(crate) async fn grow(&mut self, size: usize, memory: &Memory) -> Duration {
        let begin = Instant::now();
        let missing = self.missing(size);
        // Neither is ever closed.
        tokio::select! {
            biased;
            Ok(more) = memory.shares.clone().acquire_many_owned(missing), if missing > 0 => match &mut self.shares {
                Some(shares) => shares.merge(more),
                None => self.shares = Some(more),
            },
            Ok(beyond) = memory.beyond.clone().acquire_owned(), if missing > 0 => self.beyond = Some(beyond),
            else => {}
        }
        begin.elapsed()
    }

    fn missing(&self, size: usize) -> u32 {
        if size <= SHARE || self.beyond.is_some() {
            return 0;
        }
        let held = self.shares.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(size.div_ceil(SHARE).saturating_sub(held)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn grows(share: &mut Share, size: usize, memory: &Memory) -> bool {
        timeout(Duration::from_secs(1), share.grow(size, memory)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_hold_all_of_it_do_not_wait_for_each_other() {
        let memory = Memory::new(4 * SHARE);
        let [mut first, mut second, mut third] = [(); 3].map(|()| Share::default());
        assert!(grows(&mut first, 2 * SHARE, &memory).await);
        assert!(grows(&mut second, 2 * SHARE, &memory).await);
        assert!(grows(&mut first, 100 * SHARE, &memory).await, "one may go beyond the bound");
        assert!(first.is_enough_for(1000 * SHARE));
        assert!(!grows(&mut second, 3 * SHARE, &memory).await, "and one only");
        assert!(!grows(&mut third, 2 * SHARE, &memory).await);
        assert!(third.is_enough_for(SHARE), "a small one needs none");
        drop(first);
        assert!(grows(&mut second, 3 * SHARE, &memory).await);
    }
}
