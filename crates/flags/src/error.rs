//! What can be wrong with a flag. Each variant names the flag, the cause and, where there is one, the remedy.

use std::path::PathBuf;

/// A flag that cannot be used, in one line for a person.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// No flag has this name.
    #[error("unknown flag --{name}{}", nearest.map(|n| format!(", did you mean --{n}?")).unwrap_or_default())]
    Unknown {
        /// The name as given, underscores for dashes.
        name: String,
        /// The closest known name, when one is close.
        nearest: Option<&'static str>,
    },
    /// The flag was given twice.
    #[error("flag --{name} is given more than once")]
    Duplicate {
        /// The flag.
        name: &'static str,
    },
    /// The flag needs a value and has none.
    #[error("flag --{name} needs a value: --{name}=VALUE")]
    MissingValue {
        /// The flag.
        name: &'static str,
    },
    /// `--no-name` on a flag that is not boolean, or with a value.
    #[error("flag --no-{name} {reason}")]
    Negated {
        /// The flag without `no-`.
        name: &'static str,
        /// Why it cannot be negated.
        reason: &'static str,
    },
    /// The text of the value cannot be read.
    #[error("cannot read the value of flag --{name} from {}", path.display())]
    Read {
        /// The flag.
        name: &'static str,
        /// The file named by the value.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The value has the wrong form or is out of range. The value itself is in `reason` only if it is no secret.
    #[error("flag --{name}: {reason}")]
    Invalid {
        /// The flag.
        name: &'static str,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// The flag has no default and was not given.
    #[error("flag --{name} is missing: {remedy}")]
    Required {
        /// The flag.
        name: &'static str,
        /// What to write.
        remedy: &'static str,
    },
    /// Two flags cannot be given together.
    #[error("flags --{name} and --{other} exclude each other, give one of them")]
    Exclusive {
        /// One of them.
        name: &'static str,
        /// The other.
        other: &'static str,
    },
    /// The flag asks for what is not built and cannot safely be left out.
    #[error("flag --{name} is refused: {reason}")]
    Refused {
        /// The flag.
        name: &'static str,
        /// Why, and what to do instead.
        reason: &'static str,
    },
}

impl FlagError {
    /// The flag that the error is about, as far as it has a known name.
    pub fn flag(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => None,
            Self::Duplicate { name }
            | Self::MissingValue { name }
            | Self::Negated { name, .. }
            | Self::Read { name, .. }
            | Self::Invalid { name, .. }
            | Self::Required { name, .. }
            | Self::Exclusive { name, .. }
            | Self::Refused { name, .. } => Some(name),
        }
    }

    /// Says that the value of `name` is not acceptable.
    pub(crate) fn invalid(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { name, reason: reason.into() }
    }
}
