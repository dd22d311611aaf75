//! From JSON to a value that holds no others: numbers, texts, bytes and names of enum values.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{EnumDescriptor, Kind, Value};
use serde_json::{Number, Value as Json};

use super::{
    error::JsonError,
    names,
    path::{Path, quoted},
};

/// Padding may be left out when reading, as many encoders do.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Up to here every integer has a double of its own, so one written as `1.0` or `1e3` is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An error names all values of an enum that has no more than this.
const FEW: usize = 6;

/// Reads a value of a kind that is not a message.
pub(super) fn read(value: Json, kind: &Kind, path: &Path<'_>) -> Result<Value, JsonError> {
    match kind {
        Kind::Double => double(&value).map(Value::F64).ok_or_else(|| number_wrong(path, &value)),
        #[expect(clippy::cast_possible_truncation, reason = "a float field holds the nearest float")]
        Kind::Float => double(&value).map(|f| Value::F32(f as f32)).ok_or_else(|| number_wrong(path, &value)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer::<i32>(&value, path).map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer::<i64>(&value, path).map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => integer::<u32>(&value, path).map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => integer::<u64>(&value, path).map(Value::U64),
        Kind::Bool => {
            value.as_bool().map(Value::Bool).ok_or_else(|| wrong(path, "true or false", shown(&value)))
        }
        Kind::String => match value {
            Json::String(text) => Ok(Value::String(text)),
            other => Err(wrong(path, "a string", kind_of(&other))),
        },
        Kind::Bytes => bytes(&value, path),
        Kind::Enum(kind) => enum_value(&value, kind, path),
        Kind::Message(_) => Err(wrong(path, "an object", kind_of(&value))),
    }
}

/// An error about a value of the wrong type.
pub(super) fn wrong(path: &Path<'_>, expected: impl Into<String>, found: String) -> JsonError {
    JsonError::WrongType { path: path.to_string(), expected: expected.into(), found }
}

/// What a value is, without its content.
pub(super) fn kind_of(value: &Json) -> String {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
    .to_owned()
}

/// What a value is, with its content where that is short. Only for fields that hold no text, as text may be a secret.
fn shown(value: &Json) -> String {
    match value {
        Json::Bool(b) => b.to_string(),
        Json::Number(n) => n.to_string(),
        Json::String(s) => quoted(s),
        other => kind_of(other),
    }
}

/// The types that protobuf integers have in Rust, with their bounds for an error.
trait Integer: TryFrom<i128> + std::fmt::Display {
    const MIN: Self;
    const MAX: Self;
}

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Integer for $type {
            const MIN: Self = <$type>::MIN;
            const MAX: Self = <$type>::MAX;
        }
    )+};
}
integers!(i32, i64, u32, u64);

fn integer<T: Integer>(value: &Json, path: &Path<'_>) -> Result<T, JsonError> {
    let number = match value {
        Json::Number(number) => whole(number),
        Json::String(text) => number_in(text).as_ref().and_then(whole),
        _ => None,
    };
    number
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| wrong(path, format!("an integer {}..={}", T::MIN, T::MAX), shown(value)))
}

/// The integer that a JSON number is, also when it is written with a fraction of zero.
fn whole(number: &Number) -> Option<i128> {
    if let Some(n) = number.as_i64() {
        return Some(n.into());
    }
    if let Some(n) = number.as_u64() {
        return Some(n.into());
    }
    let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is at most 2^53")]
    Some(float as i128)
}

/// The number in a string, which must hold nothing else.
fn number_in(text: &str) -> Option<Number> {
    let inside = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    if text.chars().all(inside) { serde_json::from_str(text).ok() } else { None }
}

fn double(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::NAN),
            text => number_in(text)?.as_f64(),
        },
        _ => None,
    }
}

fn number_wrong(path: &Path<'_>, value: &Json) -> JsonError {
    wrong(path, "a number, \"Infinity\", \"-Infinity\" or \"NaN\"", shown(value))
}

fn bytes(value: &Json, path: &Path<'_>) -> Result<Value, JsonError> {
    let Json::String(text) = value else {
        return Err(wrong(path, "base64 in a string", kind_of(value)));
    };
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    match engine.decode(text) {
        Ok(bytes) => Ok(Value::Bytes(bytes.into())),
        Err(_) => Err(wrong(path, "base64", "a string that is not".to_owned())),
    }
}

fn enum_value(value: &Json, kind: &EnumDescriptor, path: &Path<'_>) -> Result<Value, JsonError> {
    let found = match value {
        Json::String(name) => names::find_value(kind, name),
        Json::Number(number) => {
            number.as_i64().and_then(|n| i32::try_from(n).ok()).and_then(|n| kind.get_value(n))
        }
        other => return Err(wrong(path, format!("the name of a {}", kind.name()), kind_of(other))),
    };
    found.map(|v| Value::EnumNumber(v.number())).ok_or_else(|| {
        let known = || kind.values().map(|v| Cow::Owned(v.name().to_owned()));
        let few = kind.values().len() <= FEW;
        JsonError::UnknownValue {
            path: path.to_string(),
            found: shown(value),
            nearest: value.as_str().and_then(|name| names::nearest(name, known())),
            known: few.then(|| known().collect::<Vec<_>>().join(", ")),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(value: Json, kind: Kind) -> String {
        read(value, &kind, &Path::Root).unwrap_err().to_string()
    }

    #[test]
    fn integers() {
        let table = [
            (json!(0), Kind::Uint32, Value::U32(0)),
            (json!(4_294_967_295_u64), Kind::Uint32, Value::U32(u32::MAX)),
            (json!(-2_147_483_648_i64), Kind::Int32, Value::I32(i32::MIN)),
            (json!(u64::MAX), Kind::Uint64, Value::U64(u64::MAX)),
            (json!("18446744073709551615"), Kind::Uint64, Value::U64(u64::MAX)),
            (json!("-9223372036854775808"), Kind::Int64, Value::I64(i64::MIN)),
            (json!(8080.0), Kind::Uint32, Value::U32(8080)),
            (json!(1e3), Kind::Int64, Value::I64(1000)),
        ];
        for (json, kind, expected) in table {
            assert_eq!(read(json.clone(), &kind, &Path::Root).unwrap(), expected, "{json}");
        }
        for bad in
            [json!(-1), json!(1.5), json!(4_294_967_296_u64), json!("x"), json!(" 1"), json!(""), json!(true)]
        {
            assert!(read(bad.clone(), &Kind::Uint32, &Path::Root).is_err(), "{bad}");
        }
        // 2^64 is a double in JSON; its nearest integers are not what was written.
        assert!(read(json!(18_446_744_073_709_551_616.0), &Kind::Uint64, &Path::Root).is_err());
        assert_eq!(error(json!("x"), Kind::Uint32), r#"$: expected an integer 0..=4294967295, found "x""#);
        assert_eq!(
            error(json!(1.5), Kind::Int64),
            "$: expected an integer -9223372036854775808..=9223372036854775807, found 1.5"
        );
    }

    #[test]
    fn doubles() {
        let table = [
            (json!(1), 1.0),
            (json!(0.1), 0.1),
            (json!(1e308), 1e308),
            (json!("Infinity"), f64::INFINITY),
            (json!("-Infinity"), f64::NEG_INFINITY),
            (json!("2.5"), 2.5),
        ];
        for (json, expected) in table {
            assert_eq!(read(json, &Kind::Double, &Path::Root).unwrap(), Value::F64(expected));
        }
        assert!(double(&json!("NaN")).unwrap().is_nan());
        for bad in [json!("inf"), json!("nan"), json!("1e999"), json!("1 "), json!(null), json!([1])] {
            assert!(read(bad.clone(), &Kind::Double, &Path::Root).is_err(), "{bad}");
        }
    }

    #[test]
    fn base64_with_and_without_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(
                read(json!(text), &Kind::Bytes, &Path::Root).unwrap(),
                Value::Bytes(vec![0xfb, 0xff].into())
            );
        }
    }

    #[test]
    fn content_that_may_be_secret_is_not_shown() {
        let table = [
            (error(json!("hunter2!"), Kind::Bytes), "$: expected base64, found a string that is not"),
            (error(json!(12345), Kind::Bytes), "$: expected base64 in a string, found a number"),
            (error(json!(12345), Kind::String), "$: expected a string, found a number"),
            (error(json!({"a": 1}), Kind::String), "$: expected a string, found an object"),
        ];
        for (error, expected) in table {
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn enums_by_name_or_number() {
        let kind = crate::DESCRIPTORS.get_enum_by_name("mesos.v1.TaskStatus.Source").unwrap();
        for agent in [json!("SOURCE_AGENT"), json!("SOURCE_SLAVE"), json!(1)] {
            assert_eq!(read(agent, &Kind::Enum(kind.clone()), &Path::Root).unwrap(), Value::EnumNumber(1));
        }
        assert_eq!(
            error(json!("SOURCE_AGNET"), Kind::Enum(kind.clone())),
            r#"$: unknown value "SOURCE_AGNET", did you mean SOURCE_AGENT?"#
        );
        assert_eq!(
            error(json!(7), Kind::Enum(kind.clone())),
            "$: unknown value 7, expected one of SOURCE_MASTER, SOURCE_AGENT, SOURCE_EXECUTOR"
        );
        assert_eq!(error(json!(true), Kind::Enum(kind)), "$: expected the name of a Source, found a boolean");
    }
}
