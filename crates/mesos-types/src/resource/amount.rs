//! Amounts in fixed point, so that `0.1 + 0.2` is `0.3`.

use std::fmt;

/// The largest amount that is taken from a message or flag: a million million, in its unit.
const LARGEST: f64 = 1e12;

/// An amount of a scalar resource in thousandths, as Mesos computes (`src/common/values.cpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of this many thousandths.
    pub const fn from_thousandths(thousandths: u64) -> Self {
        Self(thousandths)
    }

    /// Reads a number, rounded to thousandths, half away from zero.
    ///
    /// # Errors
    ///
    /// A sentence for what is negative, infinite, no number, or more than any machine has.
    pub fn from_f64(value: f64) -> Result<Self, String> {
        if !value.is_finite() {
            return Err(format!("{value} is not an amount"));
        }
        if value < 0.0 {
            return Err(format!("{value} is negative"));
        }
        if value > LARGEST {
            return Err(format!("{value:e} is more than any machine has"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the value is between 0 and 1e15, checked above"
        )]
        Ok(Self((value * 1000.0).round() as u64))
    }

    /// The number as Mesos sends it.
    #[expect(clippy::cast_precision_loss, reason = "sums stay far below 2^53 thousandths")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The amount in thousandths.
    pub const fn thousandths(self) -> u64 {
        self.0
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum; it cannot get out of range.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, nothing if `other` is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        match part {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{}", format!("{part:03}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thousandths_are_exact() {
        let sum = Amount::from_f64(0.1).unwrap().plus(Amount::from_f64(0.2).unwrap());
        assert_eq!(sum, Amount::from_f64(0.3).unwrap());
        assert_eq!(sum.to_string(), "0.3");
        assert_eq!(Amount::from_f64(0.0004).unwrap(), Amount::ZERO);
        assert_eq!(Amount::from_f64(0.0005).unwrap().thousandths(), 1);
        assert_eq!(Amount::from_f64(1024.9999).unwrap().to_string(), "1025");
        assert_eq!(Amount::from_thousandths(1005).to_string(), "1.005");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for value in [-0.001, f64::NAN, f64::INFINITY, 1e13] {
            assert!(Amount::from_f64(value).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_sum_of_thousandths_is_exact_and_comes_back(parts in proptest::collection::vec(0_u64..10_000_000, 0..200)) {
            let mut sum = Amount::ZERO;
            for &part in &parts {
                #[expect(clippy::cast_precision_loss, reason = "at most ten million")]
                let value = part as f64 / 1000.0;
                sum = sum.plus(Amount::from_f64(value).unwrap());
            }
            prop_assert_eq!(sum.thousandths(), parts.iter().sum::<u64>());
            prop_assert_eq!(Amount::from_f64(sum.as_f64()).unwrap(), sum);
            for &part in &parts {
                sum = sum.minus(Amount::from_thousandths(part));
            }
            prop_assert!(sum.is_zero());
        }
    }
}
