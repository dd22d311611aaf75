//! Port numbers and the ranges in which an agent offers them.

use std::fmt;

/// A set of ports as sorted ranges that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortRanges(Vec<(u16, u16)>);

impl PortRanges {
    /// The set of all ports of `ranges` (both ends included), whatever their order.
    ///
    /// # Errors
    ///
    /// A range that ends before it begins or leaves 0 to 65535, as text.
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Result<Self, String> {
        let mut sorted = Vec::new();
        for (begin, end) in ranges {
            match (u16::try_from(begin), u16::try_from(end)) {
                (Ok(begin), Ok(end)) if begin <= end => sorted.push((begin, end)),
                (Ok(_), Ok(_)) => return Err(format!("range {begin}-{end} ends before it begins")),
                _ => return Err(format!("range {begin}-{end} is outside 0-65535")),
            }
        }
        sorted.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
        for (begin, end) in sorted {
            match merged.last_mut() {
                Some(last) if u32::from(begin) <= u32::from(last.1) + 1 => last.1 = last.1.max(end),
                _ => merged.push((begin, end)),
            }
        }
        Ok(Self(merged))
    }

    /// Whether `port` lies in one of the ranges.
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|(begin, end)| (*begin..=*end).contains(&port))
    }

    /// Whether there is no port at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every port, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|(begin, end)| *begin..=*end)
    }
}

impl fmt::Display for PortRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, (begin, end)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{begin}-{end}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_merged() {
        let ranges = PortRanges::new([(10001, 11000), (9998, 9999), (10000, 10000), (5, 7), (6, 9)]).unwrap();
        assert_eq!(ranges.to_string(), "[5-9, 9998-11000]");
    }

    #[test]
    fn a_hole_is_not_contained() {
        let ranges = PortRanges::new([(9998, 9999), (10001, 11000)]).unwrap();
        assert!(!ranges.contains(10000));
        assert!(ranges.contains(9999) && ranges.contains(10001) && ranges.contains(11000));
    }

    #[test]
    fn the_last_port_is_a_port() {
        let ranges = PortRanges::new([(65535, 65535), (65534, 65534)]).unwrap();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [65534, 65535]);
    }

    #[rstest::rstest]
    #[case(7, 5)]
    #[case(0, 65536)]
    #[case(u64::MAX, u64::MAX)]
    fn a_range_that_is_none_is_refused(#[case] begin: u64, #[case] end: u64) {
        assert!(PortRanges::new([(begin, end)]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn membership_is_that_of_the_given_ranges(
            ranges in proptest::collection::vec((0u64..400, 0u64..40), 0..12), port in 0u16..500
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(b, n)| (b, b + n)).collect();
            let expected = ranges.iter().any(|(b, e)| (*b..=*e).contains(&u64::from(port)));
            proptest::prop_assert_eq!(PortRanges::new(ranges).unwrap().contains(port), expected);
        }
    }
}
