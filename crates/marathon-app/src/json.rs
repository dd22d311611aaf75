//! JSON text to a value, strictly: bounded in size and depth, each key once, no NUL. For app definitions and for
//! TaskInfos in Mesos JSON, before anything looks at their meaning.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{AppError, JsonPath, Problem};

/// The most bytes of a definition.
pub const MAX_BYTES: usize = 8 << 20;

/// The most levels of nesting. The deepest known definition has eight.
pub const MAX_DEPTH: usize = 64;

/// What a document describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// A Marathon app definition, `{"app": ...}`, or an array of definitions.
    App,
    /// A `TaskInfo` in Mesos JSON.
    TaskInfo,
}

/// Parses a document.
///
/// # Errors
///
/// An [`AppError`] when the text is longer than [`MAX_BYTES`], is not JSON, is nested deeper than [`MAX_DEPTH`], has
/// a key twice in one object or a NUL in a string.
pub fn parse(text: &[u8]) -> Result<Value, AppError> {
    let root = JsonPath::root();
    if text.len() > MAX_BYTES {
        return Err(root.error(Problem::TooLarge { bytes: text.len() as u64, most: MAX_BYTES as u64 }));
    }
    let found = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_slice(text);
    let seed = Seed { path: root.clone(), depth: 0, found: &found };
    let parsed = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    // What our own visitor refused is kept with its place; the parser's error is only its echo.
    if let Some(error) = found.into_inner() {
        return Err(error);
    }
    let value = parsed.map_err(|error| root.error(Problem::NotJson { reason: error.to_string() }))?;
    check(&value, &root, 0)?;
    Ok(value)
}

/// Tells a TaskInfo from an app definition by the fields only one of them has.
pub fn document_kind(value: &Value) -> DocumentKind {
    let has = |key| value.get(key).is_some();
    if has("task_id") || has("agent_id") || has("slave_id") {
        DocumentKind::TaskInfo
    } else {
        DocumentKind::App
    }
}

/// Checks depth and strings of a value that was not parsed by [`parse`].
pub(crate) fn check(value: &Value, path: &JsonPath, depth: usize) -> Result<(), AppError> {
    if depth > MAX_DEPTH {
        return Err(path.error(Problem::TooDeep { most: MAX_DEPTH }));
    }
    match value {
        Value::String(text) if text.contains('\0') => Err(path.error(Problem::Nul)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check(item, &path.index(index), depth + 1)?;
            }
            Ok(())
        }
        Value::Object(members) => {
            for (key, member) in members {
                let path = path.key(key);
                if key.contains('\0') {
                    return Err(path.error(Problem::Nul));
                }
                check(member, &path, depth + 1)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Builds a [`Value`] and refuses what `serde_json::Value` would let pass.
struct Seed<'e> {
    path: JsonPath,
    depth: usize,
    found: &'e RefCell<Option<AppError>>,
}

impl Seed<'_> {
    fn inside<E: serde::de::Error>(&self, path: JsonPath) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH {
            return Err(self.refuse(&path, Problem::TooDeep { most: MAX_DEPTH }));
        }
        Ok(Self { path, depth, found: self.found })
    }

    fn refuse<E: serde::de::Error>(&self, path: &JsonPath, problem: Problem) -> E {
        *self.found.borrow_mut() = Some(path.error(problem));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.inside(self.path.index(array.len()))?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let path = self.path.key(&key);
            if object.contains_key(&key) {
                return Err(self.refuse(&path, Problem::DuplicateKey));
            }
            let member = members.next_value_seed(self.inside(path)?)?;
            object.insert(key, member);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn values_are_those_of_serde_json() {
        let text = r#"{"a":[1,-2,0.5,true,null,"x\n",{}],"b":{"c":18446744073709551615,"d":1e308}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn bad_text_is_refused_with_the_place() {
        assert_eq!(message(""), "$: not JSON: EOF while parsing a value at line 1 column 0");
        assert_eq!(message("{]"), "$: not JSON: key must be a string at line 1 column 2");
        assert_eq!(message("{} x"), "$: not JSON: trailing characters at line 1 column 4");
        assert_eq!(message(r#"{"env":{"A":"1","A":"2"}}"#), "$.env.A: the key appears twice");
        assert_eq!(message(r#"{"a":["\u0000"]}"#), "$.a[0]: a NUL character cannot be passed to a process");
        assert_eq!(message("1e999"), "$: not JSON: number out of range at line 1 column 5");
        assert!(parse(b"\"\xff\"").unwrap_err().to_string().starts_with("$: not JSON: invalid unicode"));
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert!(message(&deep(MAX_DEPTH + 1)).ends_with(": nested more than 64 levels deep"));
        assert!(message(&"[".repeat(1_000_000)).ends_with(": nested more than 64 levels deep"));
        let large = vec![b' '; 50 << 20];
        assert_eq!(
            parse(&large).unwrap_err().to_string(),
            "$: 52428800 bytes are too many for a definition, the most is 8388608"
        );
    }

    #[test]
    fn task_infos_are_told_from_apps() {
        assert_eq!(document_kind(&json!({"id": "/a"})), DocumentKind::App);
        assert_eq!(document_kind(&json!([{"id": "/a"}])), DocumentKind::App);
        assert_eq!(document_kind(&json!({"name": "a", "task_id": {"value": "t"}})), DocumentKind::TaskInfo);
    }
}
