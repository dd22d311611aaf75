//! What the owner of a task should know about an extraction that goes on.

use std::fmt;

/// Notes of one extraction that are passed on; an archive may give occasion for millions.
const MAX_NOTES: u64 = 20;

/// Something that was done differently than the archive says. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The file's set-user-id, set-group-id or sticky bit was dropped.
    SpecialBits {
        /// The entry's name, escaped.
        entry: String,
    },
    /// The entry was left out, as it would replace a file that the agent keeps in the sandbox.
    KeptOut {
        /// The entry's name, escaped.
        entry: String,
    },
    /// The archive is an empty file.
    Empty,
    /// There is something after the end of the compressed data.
    Trailing,
    /// The archive ends without an end mark, so more may be missing.
    NoEnd,
    /// There were more notes than are shown.
    More {
        /// How many more.
        count: u64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::SpecialBits { entry } => {
                write!(f, "Dropped the set-user-id, set-group-id or sticky bit of {entry}")
            }
            Note::KeptOut { entry } => write!(f, "Left out {entry}, which is a log file of the sandbox"),
            Note::Empty => f.write_str("The archive is an empty file"),
            Note::Trailing => f.write_str("Ignored what follows the end of the compressed data"),
            Note::NoEnd => f.write_str("The archive has no end mark, it may have been cut short"),
            Note::More { count } => write!(f, "... and {count} more notes of this kind"),
        }
    }
}

/// Passes the first notes on and counts the others.
pub(super) struct Notes<'a> {
    say: &'a mut dyn FnMut(&Note),
    count: u64,
}

impl<'a> Notes<'a> {
    pub(super) fn new(say: &'a mut dyn FnMut(&Note)) -> Notes<'a> {
        Notes { say, count: 0 }
    }

    pub(super) fn add(&mut self, note: &Note) {
        self.count += 1;
        if self.count <= MAX_NOTES {
            (self.say)(note);
        }
    }

    /// Says how many were not passed on.
    pub(super) fn finish(&mut self) {
        if let Some(count) = self.count.checked_sub(MAX_NOTES).filter(|count| *count > 0) {
            (self.say)(&Note::More { count });
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_notes_are_a_few_lines() {
        let mut said = Vec::new();
        let mut say = |note: &Note| said.push(note.to_string());
        let mut notes = Notes::new(&mut say);
        for _ in 0..1_000_000 {
            notes.add(&Note::Empty);
        }
        notes.finish();
        notes.finish();
        assert_eq!(said.len(), 21);
        assert_eq!(said[20], "... and 999980 more notes of this kind");
    }
}
