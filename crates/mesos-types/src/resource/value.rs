//! The three shapes that a resource's value can have.

use std::collections::BTreeSet;
use std::fmt;

use mesos_proto::v1;

use super::amount::Amount;
use super::range_set::RangeSet;

/// The value of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceValue {
    /// An amount, such as of `cpus`, or megabytes of `mem` and `disk`.
    Scalar(Amount),
    /// Numbers, such as `ports`.
    Ranges(RangeSet),
    /// Words.
    Set(BTreeSet<String>),
}

impl ResourceValue {
    /// Whether it stands for nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(amount) => amount.is_zero(),
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(words) => words.is_empty(),
        }
    }

    /// Whether `other` has the same shape.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether `other` is a part of this; a value of another shape never is.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(all), Self::Scalar(part)) => all >= part,
            (Self::Ranges(all), Self::Ranges(part)) => all.contains(part),
            (Self::Set(all), Self::Set(part)) => all.is_superset(part),
            _ => false,
        }
    }

    /// Adds a value of the same shape; one of another shape changes nothing.
    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(sum), Self::Scalar(more)) => *sum = sum.plus(*more),
            (Self::Ranges(sum), Self::Ranges(more)) => *sum = sum.plus(more),
            (Self::Set(sum), Self::Set(more)) => sum.extend(more.iter().cloned()),
            _ => {}
        }
    }

    /// Takes away what is there of a value of the same shape; one of another shape changes nothing.
    pub(super) fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(rest), Self::Scalar(less)) => *rest = rest.minus(*less),
            (Self::Ranges(rest), Self::Ranges(less)) => *rest = rest.minus(less),
            (Self::Set(rest), Self::Set(less)) => rest.retain(|word| !less.contains(word)),
            _ => {}
        }
    }

    /// Reads the part of `resource` that its type names.
    pub(super) fn from_proto(resource: &v1::Resource) -> Result<Self, String> {
        use v1::value::Type;
        match Type::try_from(resource.r#type) {
            Ok(Type::Scalar) => {
                let scalar = resource.scalar.as_ref().ok_or("its type is SCALAR and it has no scalar")?;
                Amount::from_f64(scalar.value).map(Self::Scalar)
            }
            Ok(Type::Ranges) => {
                let ranges = resource.ranges.as_ref().ok_or("its type is RANGES and it has no ranges")?;
                RangeSet::from_proto(ranges).map(Self::Ranges)
            }
            Ok(Type::Set) => {
                let set = resource.set.as_ref().ok_or("its type is SET and it has no set")?;
                let words: BTreeSet<String> = set.item.iter().cloned().collect();
                if words.len() < set.item.len() {
                    return Err("its set has a word twice".to_owned());
                }
                Ok(Self::Set(words))
            }
            Ok(Type::Text) => Err("a resource cannot be a text".to_owned()),
            Err(_) => Err(format!("{} is no type of a value", resource.r#type)),
        }
    }

    /// Writes the value and its type into `resource`.
    pub(super) fn write(&self, resource: &mut v1::Resource) {
        use v1::value::Type;
        match self {
            Self::Scalar(amount) => {
                resource.r#type = Type::Scalar.into();
                resource.scalar = Some(v1::value::Scalar { value: amount.as_f64() });
            }
            Self::Ranges(ranges) => {
                resource.r#type = Type::Ranges.into();
                resource.ranges = Some(ranges.to_proto());
            }
            Self::Set(words) => {
                resource.r#type = Type::Set.into();
                resource.set = Some(v1::value::Set { item: words.iter().cloned().collect() });
            }
        }
    }
}

impl fmt::Display for ResourceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(amount) => amount.fmt(f),
            Self::Ranges(ranges) => ranges.fmt(f),
            Self::Set(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                write!(f, "{{{}}}", words.join(", "))
            }
        }
    }
}
