//! Why a parameter is refused, as a person is told.

use docker_engine::ApiVersion;
use mesos_types::FieldError;

use super::row::{Refusal, Secrecy};

/// The most characters of a key or a value that an error quotes.
const LONGEST_QUOTE: usize = 64;

/// Why a value cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bad {
    /// It has not the form of the option's row.
    Form,
    /// It has the form, but this is wrong; quotes no value that may be secret.
    Because(String),
    /// A part of it needs a newer engine.
    TooOld {
        /// The part.
        part: &'static str,
        /// The first version that has it.
        needs: ApiVersion,
    },
    /// It is refused whatever its value.
    Refused(Refusal),
}

impl Bad {
    /// A reason in words.
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self::Because(reason.into())
    }
}

/// The parameter that a refusal is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// Its place in the task's list.
    pub(super) at: usize,
    /// The key as the task wrote it.
    pub(super) key: &'a str,
    /// The value as the task wrote it.
    pub(super) value: &'a str,
}

impl Subject<'_> {
    /// The key is no option; `nearest` is the one it is most like.
    pub(super) fn unknown(&self, nearest: Option<String>) -> FieldError {
        let reason = format!("docker run has no option {}", quote(self.key));
        FieldError::new(self.field("key"), reason)
            .hint(nearest.unwrap_or_else(|| "remove it; docs/docker-run-options.md lists all".to_owned()))
    }

    /// The engine lacks the option, or a part of its value.
    pub(super) fn too_old(&self, part: &str, needs: ApiVersion, has: ApiVersion) -> FieldError {
        let of = if part.is_empty() { String::new() } else { format!("{part} of ") };
        let reason = format!(
            "{of}the parameter {} needs an engine with API {needs}, and this one has {has}",
            quote(self.key)
        );
        FieldError::new(self.field("key"), reason)
            .hint("remove it, or run the task where the engine is newer")
    }

    /// The value is bad; `expected` is its form.
    pub(super) fn bad(&self, bad: Bad, expected: &str, secrecy: Secrecy, has: ApiVersion) -> FieldError {
        let value = match secrecy {
            Secrecy::Plain => format!("the value {} of", quote(self.value)),
            Secrecy::Secret => "the value of".to_owned(),
        };
        let key = quote(self.key);
        match bad {
            Bad::Form => {
                let expected = expected.replace('`', "");
                FieldError::new(self.field("value"), format!("{value} the parameter {key} is not {expected}"))
            }
            Bad::Because(reason) => FieldError::new(
                self.field("value"),
                format!("{value} the parameter {key} cannot be used: {reason}"),
            ),
            Bad::TooOld { part, needs } => self.too_old(part, needs, has),
            Bad::Refused(Refusal { reason, remedy }) => {
                FieldError::new(self.field("key"), format!("the parameter {key} is refused: it {reason}"))
                    .hint(remedy)
            }
        }
    }

    fn field(&self, part: &str) -> String {
        format!("container.docker.parameters[{}].{part}", self.at)
    }
}

/// Two parameters, or one and the task itself, that cannot both hold.
pub(super) fn conflict(reason: impl Into<String>) -> FieldError {
    FieldError::new("container.docker.parameters", reason).hint("remove one of them")
}

/// A field of a list that is none of `keys`. It is not quoted, as it may be the end of a secret with a comma in it; the
/// key that it is most like is.
pub(super) fn unknown_field(at: usize, key: &str, keys: &[&str]) -> Bad {
    let key = key.trim();
    let far = |known: &&&str| strsim::damerau_levenshtein(known, key);
    let is_near = |known: &&&str| far(known) <= 2.min(key.len() / 2);
    let short = keys.iter().filter(|_| key.len() <= LONGEST_QUOTE);
    let nearest = short.min_by_key(far).filter(is_near);
    let advice = match nearest {
        Some(known) => format!("did you mean {known:?}?"),
        None => "a comma in a value needs quotes around the field".to_owned(),
    };
    Bad::because(format!("its field {} is no key=value of this option; {advice}", at + 1))
}

/// The beginning of a text of the task, quoted and without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_QUOTE).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
