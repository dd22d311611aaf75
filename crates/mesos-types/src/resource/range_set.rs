//! Sets of whole numbers as ranges, such as the ports of an agent.

use std::fmt;

use mesos_proto::v1;

/// A set of numbers as sorted ranges, both ends included, that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeSet(Vec<(u64, u64)>);

impl RangeSet {
    /// The numbers of all ranges, whatever their order.
    ///
    /// # Errors
    ///
    /// A sentence about a range that ends before it begins.
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Result<Self, String> {
        let ranges: Vec<(u64, u64)> = ranges.into_iter().collect();
        match ranges.iter().find(|(begin, end)| begin > end) {
            Some((begin, end)) => Err(format!("range {begin}-{end} ends before it begins")),
            None => Ok(Self(merged(ranges))),
        }
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Whether there is no number at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every number of `other` is in this set.
    pub fn contains(&self, other: &Self) -> bool {
        let holds =
            |(begin, end): &(u64, u64)| self.0.iter().any(|range| range.0 <= *begin && *end <= range.1);
        other.0.iter().all(holds)
    }

    /// The numbers of either set.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(merged(self.0.iter().chain(&other.0).copied().collect()))
    }

    /// The numbers of this set that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        // Both lists ascend, so what lies before a range of this set never comes up again.
        let mut from = 0;
        for &(begin, end) in &self.0 {
            let mut next = Some(begin);
            while other.0.get(from).is_some_and(|cut| cut.1 < begin) {
                from += 1;
            }
            for &(cut_begin, cut_end) in other.0[from..].iter().take_while(|cut| cut.0 <= end) {
                let Some(start) = next else { break };
                if cut_begin > start {
                    left.push((start, cut_begin - 1));
                }
                next = cut_end.checked_add(1).filter(|&start| start <= end);
            }
            if let Some(start) = next {
                left.push((start, end));
            }
        }
        Self(left)
    }

    pub(crate) fn from_proto(ranges: &v1::value::Ranges) -> Result<Self, String> {
        Self::new(ranges.range.iter().map(|range| (range.begin, range.end)))
    }

    pub(crate) fn to_proto(&self) -> v1::value::Ranges {
        let range = self.0.iter().map(|&(begin, end)| v1::value::Range { begin, end }).collect();
        v1::value::Ranges { range }
    }
}

/// Sorts ranges and joins those that overlap or touch.
fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (begin, end) in ranges {
        match merged.last_mut() {
            Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => merged.push((begin, end)),
        }
    }
    merged
}

impl fmt::Display for RangeSet {
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
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        RangeSet::new(ranges.iter().copied()).unwrap()
    }

    #[test]
    fn ranges_are_sorted_merged_and_printed_as_mesos_does() {
        assert_eq!(
            set(&[(31000, 32000), (8080, 8081), (8082, 8090), (8085, 8086)]).to_string(),
            "[8080-8090, 31000-32000]"
        );
        assert_eq!(set(&[(0, u64::MAX), (3, 4)]).to_string(), format!("[0-{}]", u64::MAX));
        assert!(RangeSet::new([(5, 4)]).is_err());
    }

    #[test]
    fn the_ends_of_the_numbers_are_numbers() {
        let all = set(&[(0, u64::MAX)]);
        assert!(all.minus(&all).is_empty());
        assert_eq!(all.minus(&set(&[(u64::MAX, u64::MAX)])), set(&[(0, u64::MAX - 1)]));
        assert_eq!(all.minus(&set(&[(0, 0)])), set(&[(1, u64::MAX)]));
    }

    fn any_set() -> impl Strategy<Value = RangeSet> {
        proptest::collection::vec((0_u64..60, 0_u64..8), 0..8).prop_map(|pairs| {
            RangeSet::new(pairs.into_iter().map(|(begin, more)| (begin, begin + more))).unwrap()
        })
    }

    fn numbers(set: &RangeSet) -> BTreeSet<u64> {
        set.ranges().iter().flat_map(|&(begin, end)| begin..=end).collect()
    }

    proptest! {
        #[test]
        fn sets_behave_like_sets(a in any_set(), b in any_set()) {
            prop_assert_eq!(numbers(&a.plus(&b)), &numbers(&a) | &numbers(&b));
            prop_assert_eq!(numbers(&a.minus(&b)), &numbers(&a) - &numbers(&b));
            prop_assert_eq!(a.contains(&b), numbers(&a).is_superset(&numbers(&b)));
            prop_assert_eq!(RangeSet::from_proto(&a.to_proto()).unwrap(), a);
        }
    }
}
