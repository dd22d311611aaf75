//! What can be wrong with a JSON document.

use thiserror::Error;

/// Says why a JSON document is not the message that was asked for, with the JSON path of the fault.
///
/// The content of strings and bytes is never part of an error, as it may be a secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON.
    #[error("not valid JSON")]
    Syntax {
        /// Where and why.
        source: serde_json::Error,
    },
    /// A message has no field of this name.
    #[error("{path}: unknown field{}", did_you_mean(.nearest.as_deref()))]
    UnknownField {
        /// The JSON path, the unknown name included.
        path: String,
        /// The nearest name that the message has, if one is near.
        nearest: Option<String>,
    },
    /// An enum has no value of this name or number.
    #[error("{path}: unknown value {found}{}", did_you_mean_or(.nearest.as_deref(), .known.as_deref()))]
    UnknownValue {
        /// The JSON path.
        path: String,
        /// The value as it came, cut when long.
        found: String,
        /// The nearest name that the enum has, if one is near.
        nearest: Option<String>,
        /// All names that the enum has, if they are few.
        known: Option<String>,
    },
    /// A value is of another type than its field, or out of its range.
    #[error("{path}: expected {expected}, found {found}")]
    WrongType {
        /// The JSON path.
        path: String,
        /// What the field takes.
        expected: String,
        /// What came; its content only where that cannot be a secret.
        found: String,
    },
    /// A required field is not there.
    #[error("{path}: required, but not set")]
    Missing {
        /// The JSON path of the field.
        path: String,
    },
    /// The same field is set by two names, or two fields are set of which only one can be.
    #[error("{path}: set together with {other}, but only one of them can be")]
    Conflict {
        /// The JSON path of the one that came second.
        path: String,
        /// The name of the one that came first.
        other: String,
    },
    /// The document is nested deeper than any message is.
    #[error("{path}: nested deeper than {limit} levels")]
    TooDeep {
        /// The JSON path at which reading stopped.
        path: String,
        /// The greatest depth that is read.
        limit: usize,
    },
    /// The message is well-formed, but does not pass through its own encoding.
    #[error("$: cannot be turned into a {message}")]
    Transcode {
        /// The full name of the message.
        message: String,
        /// What prost says.
        source: prost::DecodeError,
    },
}

impl JsonError {
    /// The JSON path of the fault; `$` if it concerns the document as a whole.
    pub fn path(&self) -> &str {
        match self {
            Self::Syntax { .. } | Self::Transcode { .. } => "$",
            Self::UnknownField { path, .. }
            | Self::UnknownValue { path, .. }
            | Self::WrongType { path, .. }
            | Self::Missing { path }
            | Self::Conflict { path, .. }
            | Self::TooDeep { path, .. } => path,
        }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|n| format!(", did you mean {n}?")).unwrap_or_default()
}

fn did_you_mean_or(nearest: Option<&str>, known: Option<&str>) -> String {
    match (nearest, known) {
        (None, Some(known)) => format!(", expected one of {known}"),
        (nearest, _) => did_you_mean(nearest),
    }
}
