//! When a log file is full, and where to cut. Pure decisions.

use std::num::NonZeroU64;

/// How large a log file grows and how many old ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RotationPolicy {
    /// The size, in bytes, from which a file is rotated at the next end of a line. `None` never rotates.
    ///
    /// A line that is longer may take the file to twice this size. Then it is cut.
    pub max_size: Option<NonZeroU64>,
    /// Rotated files kept besides the live one.
    pub max_files: u32,
}

impl RotationPolicy {
    /// The policy of a file that grows without end.
    pub const UNLIMITED: RotationPolicy = RotationPolicy { max_size: None, max_files: 0 };

    /// Says whether a file of `size` bytes is to be rotated now.
    pub(crate) fn is_due(&self, size: u64, at_line_end: bool) -> bool {
        match self.max_size {
            None => false,
            Some(max) => size >= self.hard_limit(max) || (size >= max.get() && at_line_end),
        }
    }

    /// Says how many of `bytes` belong to a file of `size` bytes before it is to be rotated: up to the end of the
    /// line that reaches the size, and not beyond the hard limit. At least one, so that a caller gets on.
    pub(crate) fn fitting(&self, size: u64, bytes: &[u8]) -> usize {
        let Some(max) = self.max_size else { return bytes.len() };
        let clamp = |room: u64| usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let hard = clamp(self.hard_limit(max).saturating_sub(size)).max(1).min(bytes.len());
        // The byte that brings the file to its size is the first that may end it.
        let soft = clamp(max.get().saturating_sub(size).saturating_sub(1));
        match bytes.get(soft..hard).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
            Some(newline) => soft + newline + 1,
            None => hard,
        }
    }

    fn hard_limit(&self, max: NonZeroU64) -> u64 {
        max.get().saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(max: u64) -> RotationPolicy {
        RotationPolicy { max_size: NonZeroU64::new(max), max_files: 3 }
    }

    #[test]
    fn a_file_is_due_at_a_line_end_or_at_twice_its_size() {
        for (size, at_line_end, due) in [
            (0, true, false),
            (9, true, false),
            (10, true, true),
            (10, false, false),
            (19, false, false),
            (20, false, true),
            (25, false, true),
        ] {
            assert_eq!(policy(10).is_due(size, at_line_end), due, "{size} {at_line_end}");
        }
        assert!(!RotationPolicy::UNLIMITED.is_due(u64::MAX, true));
        assert!(policy(u64::MAX).is_due(u64::MAX, true));
    }

    #[test]
    fn bytes_fit_to_the_end_of_the_line_that_reaches_the_size() {
        for (size, bytes, fits) in [
            (0, &b"abc\n"[..], 4),
            (0, b"abcdefghi\nxyz\n", 10),
            (0, b"abcdefghij\nxyz\n", 11),
            (0, b"a\nb\nc\nd\ne\nf\n", 10),
            (8, b"a\nb\n", 2),
            (9, b"a\nb\n", 2),
            (10, b"a\nb\n", 2),
            (12, b"no newline at all", 8),
            (30, b"already over", 1),
            (0, b"", 0),
        ] {
            assert_eq!(policy(10).fitting(size, bytes), fits, "{size} {bytes:?}");
        }
        assert_eq!(RotationPolicy::UNLIMITED.fitting(99, b"abc"), 3);
    }

    proptest! {
        #[test]
        fn what_fits_makes_progress_and_is_due_when_something_is_left(
            max in 1u64..40, size in any::<u64>(), bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'x')], 1..200)) {
            let policy = policy(max);
            // Any size at which the file is not due in the middle of a line.
            let size = size % (2 * max);
            let fits = policy.fitting(size, &bytes);
            prop_assert!(fits >= 1 && fits <= bytes.len());
            let after = size + fits as u64;
            prop_assert!(after <= 2 * max);
            if fits < bytes.len() {
                prop_assert!(policy.is_due(after, bytes[fits - 1] == b'\n'));
            }
        }
    }
}
