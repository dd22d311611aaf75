//! `--attributes`: facts about an agent that frameworks choose by (Mesos `src/common/attributes.cpp`).

use std::collections::BTreeMap;

use mesos_proto::v1::{self, Attribute, value};

use crate::resource::summary::SummaryValue;
use crate::resource::{RangeSet, TextValue, parse_value};

/// A part of `--attributes` that is no attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} is not an attribute: {reason}")]
pub struct AttributeError {
    part: String,
    reason: String,
}

/// Reads `key:value;key:value`. A value is a number, `[ranges]` or a text; spaces in it are dropped, as Mesos does.
///
/// # Errors
///
/// The first part without a colon, or with a value that is a set, empty, or a broken range.
pub fn parse(text: &str) -> Result<Vec<Attribute>, AttributeError> {
    text.split([';', '\n']).filter(|part| !part.is_empty()).map(one).collect()
}

fn one(part: &str) -> Result<Attribute, AttributeError> {
    let refuse = |reason: &str| AttributeError {
        part: part.chars().take(64).collect(),
        reason: reason.chars().take(128).collect(),
    };
    let (name, text) = part.split_once(':').ok_or_else(|| refuse("expected key:value"))?;
    if name.trim().is_empty() {
        return Err(refuse("it has no key"));
    }
    let mut attribute = Attribute { name: name.to_owned(), ..Default::default() };
    match parse_value(text).map_err(|reason| refuse(&reason))? {
        TextValue::Number(value) => {
            attribute.r#type = value::Type::Scalar.into();
            attribute.scalar = Some(value::Scalar { value });
        }
        TextValue::Ranges(ranges) => {
            attribute.r#type = value::Type::Ranges.into();
            attribute.ranges = Some(ranges.to_proto());
        }
        TextValue::Text(value) if value.is_empty() => return Err(refuse("it has no value")),
        TextValue::Text(value) => {
            attribute.r#type = value::Type::Text.into();
            attribute.text = Some(value::Text { value });
        }
        TextValue::Set(_) => return Err(refuse("an attribute cannot be a set")),
    }
    Ok(attribute)
}

/// The attributes as `/state` shows them: `{"rack": "r1", "size": 3.0, "ports": "[1-5]"}`. Of one key the last counts.
pub fn summary(attributes: &[Attribute]) -> BTreeMap<String, SummaryValue> {
    let value = |attribute: &Attribute| match Kind::of(attribute) {
        Kind::Number(value) => SummaryValue::Number(value),
        Kind::Ranges(ranges) => SummaryValue::Text(ranges.to_string()),
        Kind::Words(words) => SummaryValue::Text(format!("{{{}}}", words.join(", "))),
        Kind::Text(text) => SummaryValue::Text(text.to_owned()),
    };
    attributes.iter().map(|attribute| (attribute.name.clone(), value(attribute))).collect()
}

/// An attribute by its shape; what the message does not have is empty.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    Number(f64),
    Ranges(RangeSet),
    Words(Vec<&'a str>),
    Text(&'a str),
}

impl<'a> Kind<'a> {
    pub(crate) fn of(attribute: &'a v1::Attribute) -> Self {
        match attribute.r#type() {
            value::Type::Scalar => Self::Number(attribute.scalar.as_ref().map_or(0.0, |scalar| scalar.value)),
            value::Type::Ranges => {
                let ranges = attribute.ranges.as_ref().and_then(|ranges| RangeSet::from_proto(ranges).ok());
                Self::Ranges(ranges.unwrap_or_default())
            }
            value::Type::Set => {
                let words = attribute.set.iter().flat_map(|set| set.item.iter().map(String::as_str));
                let mut words: Vec<&str> = words.collect();
                words.sort_unstable();
                Self::Words(words)
            }
            value::Type::Text => Self::Text(attribute.text.as_ref().map_or("", |text| &text.value)),
        }
    }

    /// Whether two attributes say the same; numbers are compared in thousandths, as Mesos does.
    pub(crate) fn is_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => (one * 1000.0).round() == (other * 1000.0).round(),
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_those_of_a_stock_agent() {
        // Given to a stock 1.11.0 agent, whose /state showed the same.
        let text =
            "rack:a b; x:1.5;r:[1-2, 4-5,2-3];u:http://a:80/b;n:1e3;h:0x10;sp: lead;f:3.;v:1.0005;w:0.00049";
        let shown = summary(&parse(text).unwrap());
        let number = SummaryValue::Number;
        let text = |text: &str| SummaryValue::Text(text.to_owned());
        let expected = [
            ("rack", text("ab")),
            (" x", number(1.5)),
            ("r", text("[1-5]")),
            ("u", text("http://a:80/b")),
            ("n", number(1000.0)),
            ("h", text("0x10")),
            ("sp", text("lead")),
            ("f", number(3.0)),
            ("v", number(1.0005)),
            ("w", number(0.00049)),
        ];
        assert_eq!(shown, expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn what_is_no_attribute_is_named() {
        for (text, message) in [
            ("rack", "\"rack\" is not an attribute: expected key:value"),
            ("a:1;b:{x}", "\"b:{x}\" is not an attribute: an attribute cannot be a set"),
            ("a:", "\"a:\" is not an attribute: it has no value"),
            (":a", "\":a\" is not an attribute: it has no key"),
            ("a:[5-4]", "\"a:[5-4]\" is not an attribute: range 5-4 ends before it begins"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
    }
}
