//! Errors for the person at the terminal: one line with what failed, and a hint where there is one.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

pub(crate) use docker_containerizer::chain;

/// The exit code for everything that is ours or the engine's, as `docker run` has it.
pub(crate) const OURS: u8 = 125;

/// A failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    said: Said,
}

/// Whether a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It is printed, and the exit code is [`OURS`].
    Aloud,
    /// Nobody reads what we print: the command ends early, without a word and with 0.
    Never,
}

impl Failure {
    /// A failure of ours or the engine's.
    pub(crate) fn ours(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, said: Said::Aloud }
    }

    /// A failure with all its causes, each said once.
    pub(crate) fn of(what: impl Display, error: &dyn Error) -> Self {
        Self::ours(format!("{what}: {}", chain(error)))
    }

    /// The end of a command whose reader has what it wants, as `head` has after its lines.
    pub(crate) fn closed() -> Self {
        Self { message: "nobody reads the output".into(), hint: None, said: Said::Never }
    }

    /// Names where it happened.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Adds what the person can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What failed, in one line.
    pub(crate) fn message(&self) -> String {
        one_line(&self.message)
    }

    /// Prints the failure and answers its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.said == Said::Never {
            return ExitCode::SUCCESS;
        }
        let bold = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        // A closed standard error changes nothing about the exit code.
        let _ = anstream_line(&format!("{bold}error:{bold:#} {}", one_line(&self.message)));
        if let Some(hint) = &self.hint {
            let _ = anstream_line(&format!("  hint: {}", one_line(hint)));
        }
        ExitCode::from(OURS)
    }
}

/// The text without line breaks and control characters, which a definition may hold to fool a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes a line to standard error, with colours only on a terminal.
fn anstream_line(line: &str) -> std::io::Result<()> {
    use std::io::{IsTerminal, Write};

    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        writeln!(stderr, "{line}")
    } else {
        writeln!(stderr, "{}", plain(line))
    }
}

/// The text without colours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // Our own styles end with the letter m.
            for c in chars.by_ref() {
                if c == 'm' {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let failure = Failure::ours("a\nb\u{1b}[31m c\0d").within("x.json");
        assert_eq!(failure.message(), "x.json: a b [31m c d");
    }
}
