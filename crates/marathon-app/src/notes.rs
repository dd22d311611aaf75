//! What a user should know about a definition that is accepted.

use std::fmt;

use crate::error::JsonPath;

/// One line about one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The field.
    pub path: JsonPath,
    /// The sentence.
    pub text: String,
}

/// The notes of one app, in the order of its fields.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    /// Says that a field changes nothing here.
    pub(crate) fn no_effect(&mut self, path: JsonPath, reason: &str) {
        let text =
            if reason.is_empty() { "no effect here".to_owned() } else { format!("no effect here, {reason}") };
        self.0.push(Note { path, text });
    }

    /// The notes.
    pub(crate) fn into_vec(self) -> Vec<Note> {
        self.0
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}
