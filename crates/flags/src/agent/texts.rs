//! The texts of all flags, files read and defaults filled in, and how a value is taken from them.

use std::collections::BTreeMap;

use super::table::row;
use crate::definition::FlagKind;
use crate::error::FlagError;
use crate::values::{format_bytes, format_duration, parse_bool, parse_bytes, parse_duration, quote};

/// The texts of the flags that were set.
pub(super) struct Texts(BTreeMap<&'static str, String>);

impl Texts {
    pub(super) fn new(texts: BTreeMap<&'static str, String>) -> Self {
        Self(texts)
    }

    /// The text of a flag that the table is known to have, or its default.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).or_else(|| row(name)?.flag.default)
    }

    /// The text of a flag, where empty is unset.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// The value of a flag that has a default.
    pub(super) fn required<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, FlagError> {
        let text = self.text(name).ok_or(FlagError::MissingValue { name })?;
        parse(text).map_err(|reason| FlagError::invalid(name, reason))
    }

    /// The value of a flag that may be unset or empty.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, FlagError> {
        let value = self.filled(name).map(parse).transpose();
        value.map_err(|reason| FlagError::invalid(name, reason))
    }
}

/// Spells a value as stock prints it after parsing it: `120secs` is `2mins`, `1` of a boolean is `true`.
///
/// # Errors
///
/// A sentence when the text is no value of this kind.
pub(super) fn canonical(kind: FlagKind, text: &str) -> Result<String, String> {
    match kind {
        FlagKind::Bool => parse_bool(text).map(|value| value.to_string()),
        FlagKind::Duration => parse_duration(text).map(format_duration),
        FlagKind::Bytes => parse_bytes(text).map(format_bytes),
        FlagKind::Count => match text.parse::<u64>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("{} is not a whole number", quote(text))),
        },
        FlagKind::Fraction => fraction(text).map(|value| value.to_string()),
        FlagKind::Json => json(text).map(|value| value.to_string()),
        FlagKind::File => Ok(text.strip_prefix("file://").unwrap_or(text).to_owned()),
        FlagKind::Path | FlagKind::Text => Ok(text.to_owned()),
    }
}

/// A decimal number that is one.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{} is not a number", quote(text)))
}

/// Any JSON; where it breaks is told, what is in it is not.
fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("the value is not JSON (line {}, column {})", error.line(), error.column()))
}
