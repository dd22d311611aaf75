//! The text form of values in `--resources` and `--attributes` (Mesos `src/common/values.cpp`, `parse`).

use std::collections::BTreeSet;

use super::amount::Amount;
use super::range_set::RangeSet;
use super::value::ResourceValue;

/// A value as text spells it; what is nothing else is a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TextValue {
    /// A number, not yet an amount.
    Number(f64),
    /// `[1-2, 5-6]`.
    Ranges(RangeSet),
    /// `{a, b}`.
    Set(BTreeSet<String>),
    /// Anything else, without its spaces.
    Text(String),
}

/// Reads a value; spaces anywhere in it are dropped, as Mesos does.
///
/// # Errors
///
/// A sentence about brackets that do not match, or a range that is none.
pub(crate) fn parse_value(text: &str) -> Result<TextValue, String> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("a range without its closing bracket")?;
        return ranges(inner).map(TextValue::Ranges);
    }
    if let Some(inner) = text.strip_prefix('{') {
        let inner = inner.strip_suffix('}').ok_or("a set without its closing brace")?;
        let words: Vec<&str> = inner.split(',').filter(|word| !word.is_empty()).collect();
        let set: BTreeSet<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if set.len() < words.len() {
            return Err("a set has a word twice".to_owned());
        }
        return Ok(TextValue::Set(set));
    }
    // What Rust also takes for a number, such as inf and nan, is a text.
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match text.parse::<f64>() {
        Ok(number) if is_number && number.is_finite() => Ok(TextValue::Number(number)),
        _ => Ok(TextValue::Text(text)),
    }
}

fn ranges(text: &str) -> Result<RangeSet, String> {
    let mut ranges = Vec::new();
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let ends =
            range.split_once('-').and_then(|(begin, end)| Some((begin.parse().ok()?, end.parse().ok()?)));
        ranges.push(ends.ok_or_else(|| format!("{range:?} is not a range, expected such as 31000-32000"))?);
    }
    RangeSet::new(ranges)
}

impl TextValue {
    /// The value of a resource, which cannot be a text.
    pub(super) fn into_resource(self) -> Result<ResourceValue, String> {
        match self {
            Self::Number(number) => Amount::from_f64(number).map(ResourceValue::Scalar),
            Self::Ranges(ranges) => Ok(ResourceValue::Ranges(ranges)),
            Self::Set(words) => Ok(ResourceValue::Set(words)),
            Self::Text(text) => Err(format!("{text:?} is not a number, [ranges] or a {{set}}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_a_stock_agent_reads_them() {
        // Seen at a stock 1.11.0 agent.
        for (text, value) in [
            ("a b", TextValue::Text("ab".into())),
            ("1.5", TextValue::Number(1.5)),
            ("1e3", TextValue::Number(1000.0)),
            ("3.", TextValue::Number(3.0)),
            ("0x10", TextValue::Text("0x10".into())),
            (" lead", TextValue::Text("lead".into())),
            ("http://a:80/b", TextValue::Text("http://a:80/b".into())),
            ("[1-2, 4-5,2-3]", TextValue::Ranges(RangeSet::new([(1, 5)]).unwrap())),
            ("{a, b}", TextValue::Set(["a".to_owned(), "b".to_owned()].into())),
            ("nan", TextValue::Text("nan".into())),
        ] {
            assert_eq!(parse_value(text).unwrap(), value, "{text}");
        }
        for bad in ["[5]", "[5-4]", "[1-2", "{a", "[a-b]", "[1-2-3]", "{a,a}"] {
            assert!(parse_value(bad).is_err(), "{bad}");
        }
    }
}
