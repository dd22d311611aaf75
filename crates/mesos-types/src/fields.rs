//! Errors and notices that name a field of a message: what every refusal and every "accepted, no effect" looks like.

use std::fmt;

/// The longest part of an error that is kept, in bytes; texts of a hostile message are quoted in errors.
const LONGEST_PART: usize = 512;

/// A field that cannot be honoured, with the reason and, where there is one, the remedy.
///
/// The text starts with the sentence that stock Mesos uses where frameworks may match on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FieldError {
    field: String,
    reason: String,
    remedy: Option<String>,
}

impl FieldError {
    /// A refusal of `field` (a path such as `container.docker.image`) because of `reason`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: short_line(field.into()), reason: short_line(reason.into()), remedy: None }
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(short_line(remedy.into()));
        self
    }

    /// The path of the field in the message.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Why it is refused.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (field {})", self.reason, self.field)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// A field that is accepted and has no effect: one line in the sandbox's stderr and a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The path of the field in the message.
    pub field: String,
    /// What does not happen.
    pub what: String,
}

impl Notice {
    /// A notice about `field`.
    pub fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { field: short_line(field.into()), what: short_line(what.into()) }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no effect here: {}", self.field, self.what)
    }
}

/// What happens to a field that is accepted without effect (`--docker_strict_fields`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// Accepted, as stock, with a [`Notice`].
    #[default]
    Lenient,
    /// Refused with a [`FieldError`].
    Strict,
}

/// Who the container's process runs as (`--docker_honor_user`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessUser {
    /// The image's user, as stock.
    #[default]
    Image,
    /// The task's user, if it names one.
    Task,
}

/// How a message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// What becomes of a field without effect.
    pub strictness: Strictness,
    /// Whether the task's user has one.
    pub user: ProcessUser,
}

impl From<Strictness> for Reading {
    fn from(strictness: Strictness) -> Self {
        Self { strictness, user: ProcessUser::Image }
    }
}

/// Collects notices while a message is read, or refuses at the first, as the strictness says.
#[derive(Debug)]
pub(crate) struct Notices {
    strictness: Strictness,
    list: Vec<Notice>,
}

impl Notices {
    pub(crate) fn new(strictness: Strictness) -> Self {
        Self { strictness, list: Vec::new() }
    }

    /// Notes that `field` has no effect.
    pub(crate) fn note(
        &mut self,
        field: impl Into<String>,
        what: impl Into<String>,
    ) -> Result<(), FieldError> {
        let (field, what) = (field.into(), what.into());
        match self.strictness {
            Strictness::Lenient => {
                self.list.push(Notice::new(field, what));
                Ok(())
            }
            Strictness::Strict => Err(FieldError::new(field, what).hint(
                "--docker_strict_fields refuses fields without effect; remove the field or start without the flag",
            )),
        }
    }

    pub(crate) fn into_list(self) -> Vec<Notice> {
        self.list
    }
}

/// A text as part of one line that a person reads: without control characters, and cut when it is long.
fn short_line(text: String) -> String {
    let is_clean = text.len() <= LONGEST_PART && !text.contains(char::is_control);
    if is_clean {
        return text;
    }
    let mut line = String::with_capacity(LONGEST_PART);
    for c in text.chars() {
        let before = line.len();
        if c.is_control() {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        if line.len() > LONGEST_PART {
            line.truncate(before);
            line.push_str("...");
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_message_stays_one_short_line() {
        let error = FieldError::new("limits[a\nb]", format!("{} is long", "é".repeat(4000))).hint("c\u{0}d");
        let text = error.to_string();
        assert!(text.len() < 3 * LONGEST_PART && !text.contains(char::is_control), "{text}");
        assert!(
            text.contains("é...") && text.contains(r"limits[a\nb]") && text.contains(r"c\u{0}d"),
            "{text}"
        );
        assert_eq!(error.field(), r"limits[a\nb]");
    }
}
