//! Reading one object of a definition by its table of fields. `null` is the same as absent, as in Marathon.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::{AppError, JsonPath, Problem, quote};
use crate::known_fields::{Kind, Role, Schema};
use crate::notes::Notes;

/// An object whose fields are all known.
pub(crate) struct Object<'v> {
    /// Where it is.
    pub(crate) path: JsonPath,
    members: &'v Map<String, Value>,
    schema: &'static Schema,
}

impl<'v> Object<'v> {
    /// Opens `value`: refuses unknown fields and those not supported, and notes those without effect.
    pub(crate) fn open(
        value: &'v Value,
        path: JsonPath,
        schema: &'static Schema,
        notes: &mut Notes,
    ) -> Result<Self, AppError> {
        let Value::Object(members) = value else { return Err(wrong_type(&path, "an object", value)) };
        for (name, member) in members {
            let path = path.key(name);
            let Some(field) = schema.field(name) else {
                return Err(path.error(Problem::UnknownField { hint: schema.hint(name) }));
            };
            match field.role {
                Role::Read => {}
                Role::NoEffect(kind, reason) => {
                    check_kind(&path, member, kind)?;
                    if !says_nothing(member) {
                        notes.no_effect(path, reason);
                    }
                }
                Role::Refused(_, _) if says_nothing(member) => {}
                Role::Refused(what, remedy) => return Err(path.error(Problem::Refused { what, remedy })),
            }
        }
        Ok(Self { path, members, schema })
    }

    /// The place of a field.
    pub(crate) fn at(&self, name: &str) -> JsonPath {
        self.path.key(name)
    }

    /// Whether the table of this object has a field.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.schema.field(name).is_some()
    }

    /// A field's value, whatever it is.
    pub(crate) fn value(&self, name: &str) -> Option<&'v Value> {
        debug_assert!(self.knows(name), "{name} is in no table");
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// A string.
    pub(crate) fn string(&self, name: &str) -> Result<Option<&'v str>, AppError> {
        self.value(name).map(|value| string(value, &self.at(name))).transpose()
    }

    /// A string with something in it.
    pub(crate) fn filled_string(&self, name: &str) -> Result<Option<&'v str>, AppError> {
        match self.string(name)? {
            Some("") => Err(self.at(name).invalid("must not be empty")),
            other => Ok(other),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, AppError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong_type(&self.at(name), "true or false", other)),
        }
    }

    /// A number from zero to `most`.
    pub(crate) fn number(&self, name: &str, most: f64) -> Result<Option<f64>, AppError> {
        self.value(name).map(|value| number(value, &self.at(name), most)).transpose()
    }

    /// A whole number in `range`.
    pub(crate) fn integer(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, AppError> {
        self.value(name).map(|value| integer(value, &self.at(name), range)).transpose()
    }

    /// A port, 0 included.
    pub(crate) fn port(&self, name: &str) -> Result<Option<u16>, AppError> {
        self.value(name).map(|value| port(value, &self.at(name))).transpose()
    }

    /// The elements of an array with their places; `None` when there is no array.
    pub(crate) fn array(&self, name: &str) -> Result<Option<Vec<(JsonPath, &'v Value)>>, AppError> {
        self.value(name).map(|value| array(value, &self.at(name))).transpose()
    }

    /// An array of strings.
    pub(crate) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, AppError> {
        let Some(items) = self.array(name)? else { return Ok(None) };
        items
            .into_iter()
            .map(|(path, item)| string(item, &path).map(str::to_owned))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// An object of strings.
    pub(crate) fn string_map(&self, name: &str) -> Result<BTreeMap<String, String>, AppError> {
        let path = self.at(name);
        match self.value(name) {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(members)) => members
                .iter()
                .map(|(key, value)| Ok((key.clone(), string(value, &path.key(key))?.to_owned())))
                .collect(),
            Some(other) => Err(wrong_type(&path, "an object of strings", other)),
        }
    }

    /// An object with its own table.
    pub(crate) fn object(
        &self,
        name: &str,
        schema: &'static Schema,
        notes: &mut Notes,
    ) -> Result<Option<Object<'v>>, AppError> {
        self.value(name).map(|value| Object::open(value, self.at(name), schema, notes)).transpose()
    }

    /// A string that is one of `choices`; the others are in the message.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, AppError> {
        let Some(found) = self.string(name)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == found) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                Err(self.at(name).not_allowed(quote(found), format!("one of {}", words.join(", "))))
            }
        }
    }
}

/// A string at `path`.
pub(crate) fn string<'v>(value: &'v Value, path: &JsonPath) -> Result<&'v str, AppError> {
    value.as_str().ok_or_else(|| wrong_type(path, "a string", value))
}

/// A number from zero to `most` at `path`.
pub(crate) fn number(value: &Value, path: &JsonPath, most: f64) -> Result<f64, AppError> {
    let number = value.as_f64().ok_or_else(|| wrong_type(path, "a number", value))?;
    if (0.0..=most).contains(&number) {
        Ok(number)
    } else {
        Err(path.not_allowed(value, format!("a number from 0 to {most}")))
    }
}

/// A whole number in `range` at `path`; `80.0` is whole, as in Marathon.
pub(crate) fn integer(value: &Value, path: &JsonPath, range: RangeInclusive<u32>) -> Result<u32, AppError> {
    let number = value.as_f64().ok_or_else(|| wrong_type(path, "a whole number", value))?;
    let whole = number.fract() == 0.0;
    if whole && (f64::from(*range.start())..=f64::from(*range.end())).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole and in a u32 range"
        )]
        return Ok(number as u32);
    }
    Err(path.not_allowed(value, format!("a whole number from {} to {}", range.start(), range.end())))
}

/// A port at `path`, 0 included.
pub(crate) fn port(value: &Value, path: &JsonPath) -> Result<u16, AppError> {
    let port = integer(value, path, 0..=u32::from(u16::MAX))?;
    // The range above is that of u16.
    Ok(u16::try_from(port).unwrap_or(u16::MAX))
}

/// The elements of an array at `path`.
pub(crate) fn array<'v>(value: &'v Value, path: &JsonPath) -> Result<Vec<(JsonPath, &'v Value)>, AppError> {
    match value {
        Value::Array(items) => {
            Ok(items.iter().enumerate().map(|(index, item)| (path.index(index), item)).collect())
        }
        other => Err(wrong_type(path, "an array", other)),
    }
}

/// The error for a value of another type. It never shows the value: it could be a password.
pub(crate) fn wrong_type(path: &JsonPath, expected: &'static str, found: &Value) -> AppError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    path.error(Problem::WrongType { expected, found })
}

/// Checks the type of a field that is not read.
fn check_kind(path: &JsonPath, value: &Value, kind: Kind) -> Result<(), AppError> {
    let (fits, expected) = match kind {
        Kind::Array => (value.is_array(), "an array"),
        Kind::Object => (value.is_object(), "an object"),
        Kind::ObjectOrWord => (value.is_object() || value.is_string(), "an object or a string"),
        Kind::Number => (value.is_number(), "a number"),
        Kind::Word => (value.is_string(), "a string"),
        Kind::Flag => (value.is_boolean(), "true or false"),
    };
    if fits || value.is_null() { Ok(()) } else { Err(wrong_type(path, expected, value)) }
}

/// Whether a value is one that Marathon prints for a field that nobody set.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
