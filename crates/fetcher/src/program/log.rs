//! Lines on standard error in the form of Google's logging library, which operators' tools read.

use std::io::Write;

use jiff::Zoned;

use crate::uri::shown_text;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// What is done.
    Info,
    /// What should be looked at.
    Warning,
    /// What failed.
    Error,
}

/// Writes lines from a level on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Log {
    lowest: Option<Level>,
}

impl Log {
    /// Writes lines from `lowest` on, or none at all.
    pub(super) fn new(lowest: Option<Level>) -> Log {
        Log { lowest }
    }

    /// Says what is done.
    pub(super) fn info(self, message: &str) {
        self.line(Level::Info, message);
    }

    /// Says what should be looked at.
    pub(super) fn warning(self, message: &str) {
        self.line(Level::Warning, message);
    }

    /// Says what failed.
    pub(super) fn error(self, message: &str) {
        self.line(Level::Error, message);
    }

    fn line(self, level: Level, message: &str) {
        if self.lowest.is_some_and(|lowest| level >= lowest) {
            let line = format_line(level, &Zoned::now(), std::process::id(), message);
            // One write for each line, so that lines of several threads do not mix. Nobody can be told of a failure.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

fn format_line(level: Level, now: &Zoned, pid: u32, message: &str) -> String {
    let letter = match level {
        Level::Info => 'I',
        Level::Warning => 'W',
        Level::Error => 'E',
    };
    // Errors name paths, which are made of URIs. A message with line breaks must not look like several.
    let message = shown_text(message);
    format!("{letter}{} {pid} mesos-fetcher] {message}\n", now.strftime("%m%d %H:%M:%S.%6f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_that_tools_read() {
        let at = "2026-11-21T14:05:06.000789Z".parse::<jiff::Timestamp>().expect("a time");
        let line = format_line(Level::Warning, &at.to_zoned(jiff::tz::TimeZone::UTC), 42, "a\nb\u{1b}c");
        assert_eq!(line, "W1121 14:05:06.000789 42 mesos-fetcher] a b\\u{1b}c\n");
    }
}
