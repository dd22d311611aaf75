//! Where ports come from.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// A supply of ports. `mesos-docker` may add a look at the host's own listeners.
pub trait PortSource {
    /// The ports that there are, for messages.
    fn ranges(&self) -> &[RangeInclusive<u16>];

    /// Takes any port that is free.
    fn take_any(&mut self) -> Option<u16>;

    /// Takes this port.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    fn take(&mut self, port: u16) -> Result<(), PortRefusal>;
}

/// Why a port cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortRefusal {
    /// It is in no range.
    NotOffered,
    /// It is in use.
    Taken,
}

/// Ports in ranges, given out in order.
#[derive(Debug, Clone)]
pub struct PortPool {
    ranges: Vec<RangeInclusive<u16>>,
    taken: BTreeSet<u16>,
    next: u16,
}

impl PortPool {
    /// The host ports of an agent without `--resources`, as Mesos has them.
    pub const DEFAULT_HOST_PORTS: RangeInclusive<u16> = 31000..=32000;

    /// Marathon's service ports without flags.
    pub const DEFAULT_SERVICE_PORTS: RangeInclusive<u16> = 10000..=20000;

    /// A pool of these ports. Port 0 is never given out.
    pub fn new(ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        Self { ranges: ranges.into_iter().collect(), taken: BTreeSet::from([0]), next: 0 }
    }

    /// Begins with the first free port at or after `port`, so that programs side by side rarely meet.
    pub fn starting_at(mut self, port: u16) -> Self {
        self.next = port;
        self
    }

    /// Never gives out `port`.
    pub fn mark_taken(&mut self, port: u16) {
        self.taken.insert(port);
    }

    /// Makes `port` free again.
    pub fn give_back(&mut self, port: u16) {
        if port != 0 {
            self.taken.remove(&port);
        }
    }

    fn free_from(&self, first: u16) -> Option<u16> {
        let mut ranges: Vec<_> = self.ranges.iter().collect();
        ranges.sort_by_key(|range| *range.start());
        ranges
            .into_iter()
            .flat_map(|range| (*range.start()).max(first)..=*range.end())
            .find(|port| !self.taken.contains(port))
    }
}

impl PortSource for PortPool {
    fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    fn take_any(&mut self) -> Option<u16> {
        let port = self.free_from(self.next).or_else(|| self.free_from(0))?;
        self.taken.insert(port);
        self.next = port.checked_add(1).unwrap_or(0);
        Some(port)
    }

    fn take(&mut self, port: u16) -> Result<(), PortRefusal> {
        if !self.ranges.iter().any(|range| range.contains(&port)) {
            return Err(PortRefusal::NotOffered);
        }
        if self.taken.insert(port) { Ok(()) } else { Err(PortRefusal::Taken) }
    }
}

/// Ranges for a message: `31000-32000, 40000-40010`.
pub(crate) fn show_ranges(ranges: &[RangeInclusive<u16>]) -> String {
    let words: Vec<String> =
        ranges.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
    if words.is_empty() { "which is empty".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_once_and_wrap_around() {
        let mut pool = PortPool::new([5..=6, 1..=2]).starting_at(6);
        pool.mark_taken(2);
        assert_eq!(
            [pool.take_any(), pool.take_any(), pool.take_any(), pool.take_any()],
            [Some(6), Some(1), Some(5), None]
        );
        pool.give_back(1);
        assert_eq!(pool.take(1), Ok(()));
        assert_eq!(pool.take(1), Err(PortRefusal::Taken));
        assert_eq!(pool.take(3), Err(PortRefusal::NotOffered));
    }

    #[test]
    fn the_ends_of_the_port_space_are_safe() {
        let mut pool = PortPool::new([0..=0, 65535..=65535]);
        assert_eq!([pool.take_any(), pool.take_any()], [Some(65535), None]);
        assert_eq!(pool.take(0), Err(PortRefusal::Taken));
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range must be harmless")]
        let mut empty = PortPool::new([9..=3]);
        assert_eq!(empty.take_any(), None);
        assert_eq!(show_ranges(&[]), "which is empty");
    }
}
