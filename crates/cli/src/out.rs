//! Writing to our standard streams. A reader that went away is no panic: it ends the command quietly, as with `| head`.

use std::io::{self, ErrorKind, Write};

use crate::failure::{Failure, one_line};

/// Writes to standard output at once.
///
/// # Errors
///
/// [`Failure::closed`] when nobody reads any more, or the system's error, such as a full disk.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| refused(&error))
}

/// Writes a line to standard output.
///
/// # Errors
///
/// As [`write()`].
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// Writes a JSON value over several lines to standard output.
///
/// # Errors
///
/// As [`write()`].
pub(crate) fn pretty(value: &serde_json::Value) -> Result<(), Failure> {
    line(&format!("{value:#}"))
}

/// Writes a line for the person to standard error; that nobody reads it changes nothing.
pub(crate) fn note(text: &str) {
    // The exit code tells the rest.
    let _ = writeln!(io::stderr().lock(), "{}", one_line(text));
}

fn refused(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::closed(),
        _ => Failure::of("cannot write to standard output", error),
    }
}
