//! What can be wrong with an app definition: the place as a JSON path, the problem, and the remedy where there is one.
//! `Display` is one line for a person.

use std::fmt;

/// The most characters of a key or a value that a message shows.
const SHOWN: usize = 40;

/// A place in a definition, such as `$.container.docker.image` or `$.env["a b"]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct JsonPath(String);

/// A definition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct AppError {
    /// Where the problem is.
    pub path: JsonPath,
    /// What it is.
    pub problem: Problem,
}

/// The kinds of problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is not JSON.
    #[error("not JSON: {reason}")]
    NotJson {
        /// The parser's sentence with line and column.
        reason: String,
    },
    /// The text is too long to be a definition.
    #[error("{bytes} bytes are too many for a definition, the most is {most}")]
    TooLarge {
        /// The length found, or the first length known to be too much.
        bytes: u64,
        /// The bound.
        most: u64,
    },
    /// Objects and arrays are nested too deeply.
    #[error("nested more than {most} levels deep")]
    TooDeep {
        /// The bound.
        most: usize,
    },
    /// A key appears twice in one object.
    #[error("the key appears twice")]
    DuplicateKey,
    /// A string or a key has a NUL character, which no process can be given.
    #[error("a NUL character cannot be passed to a process")]
    Nul,
    /// No such field.
    #[error("unknown field{}", hint.as_ref().map(|hint| format!(", {hint}")).unwrap_or_default())]
    UnknownField {
        /// What was perhaps meant.
        hint: Option<String>,
    },
    /// A value of another type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// The type with its article.
        expected: &'static str,
        /// What is there, never the content of a string.
        found: &'static str,
    },
    /// A value out of range, or not one of those allowed.
    #[error("{found} is not {expected}")]
    NotAllowed {
        /// The value, shortened.
        found: String,
        /// The range or the allowed values.
        expected: String,
    },
    /// A field that is needed is absent.
    #[error("missing: {needed}")]
    Missing {
        /// What it must hold.
        needed: &'static str,
    },
    /// Two fields contradict each other.
    #[error("conflicts with {other}: {remedy}")]
    Conflict {
        /// The other field.
        other: String,
        /// Which to keep.
        remedy: &'static str,
    },
    /// Known, and not supported.
    #[error("{what}; {remedy}")]
    Refused {
        /// What is refused.
        what: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A host port that the task cannot have.
    #[error("host port {port} {reason}")]
    Port {
        /// The port.
        port: u16,
        /// Why it cannot be had.
        reason: String,
    },
    /// Anything else, in a sentence.
    #[error("{0}")]
    Invalid(String),
}

impl JsonPath {
    /// The whole document.
    pub fn root() -> Self {
        Self("$".to_owned())
    }

    /// The member `key` of this object.
    pub fn key(&self, key: &str) -> Self {
        let plain = !key.is_empty()
            && key.len() <= SHOWN
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if plain { Self(format!("{}.{key}", self.0)) } else { Self(format!("{}[{}]", self.0, quote(key))) }
    }

    /// The element `index` of this array.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// An error at this place.
    pub fn error(&self, problem: Problem) -> AppError {
        AppError { path: self.clone(), problem }
    }

    /// An error at this place in a sentence.
    pub(crate) fn invalid(&self, sentence: impl Into<String>) -> AppError {
        self.error(Problem::Invalid(sentence.into()))
    }

    /// An error for a value that is not one of the allowed ones.
    pub(crate) fn not_allowed(&self, found: impl fmt::Display, expected: impl Into<String>) -> AppError {
        self.error(Problem::NotAllowed { found: found.to_string(), expected: expected.into() })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Quotes a text for a message: one line, escaped, and short.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_readable_and_on_one_line() {
        let path = JsonPath::root().key("container").key("volumes").index(3).key("hostPath");
        assert_eq!(path.to_string(), "$.container.volumes[3].hostPath");
        assert_eq!(JsonPath::root().key("a b\n").to_string(), "$[\"a b\\n\"]");
        assert_eq!(JsonPath::root().key("").to_string(), "$[\"\"]");
        assert!(JsonPath::root().key(&"k".repeat(10_000)).to_string().len() < 60);
    }
}
