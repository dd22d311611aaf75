//! The last few of something.

use std::collections::VecDeque;
use std::sync::Arc;

/// Keeps the newest values, up to a bound; what is pushed out is dropped.
///
/// A value never changes once it is in here, so a reader outside the core shares it instead of copying it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ring<T> {
    values: VecDeque<Arc<T>>,
    bound: usize,
}

impl<T> Ring<T> {
    /// An empty ring for at most `bound` values; 0 keeps none.
    pub fn new(bound: usize) -> Self {
        Self { values: VecDeque::new(), bound }
    }

    /// Adds the newest value, and answers the one that it pushed out.
    pub fn push(&mut self, value: T) -> Option<Arc<T>> {
        self.values.push_back(Arc::new(value));
        if self.values.len() > self.bound { self.values.pop_front() } else { None }
    }

    /// Takes the newest value that matches out.
    pub fn take(&mut self, matches: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let at = self.values.iter().rposition(|value| matches(value))?;
        self.values.remove(at)
    }

    /// The values, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.values.iter().map(AsRef::as_ref)
    }

    /// The values, oldest first, to be kept.
    pub fn shared(&self) -> impl DoubleEndedIterator<Item = Arc<T>> + ExactSizeIterator {
        self.values.iter().map(Arc::clone)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut ring = Ring::new(2);
        assert_eq!([ring.push(1), ring.push(2), ring.push(3)], [None, None, Some(Arc::new(1))]);
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(Ring::new(0).push(1), Some(Arc::new(1)));
        assert_eq!(
            (ring.take(|value| *value == 2), ring.take(|value| *value == 2)),
            (Some(Arc::new(2)), None)
        );
        assert_eq!(ring.len(), 1);
    }
}
