//! A log file of a sandbox with its rotation, before the command and beside it.

use rustix::io::Errno;
use sandbox::{LogFile, RotateOutcome, SandboxError};

/// Appends bytes, rotating where the file is full. On an error some of them may be in the file.
///
/// # Errors
///
/// As the system gives them.
pub(crate) fn put(file: &mut LogFile, mut bytes: &[u8]) -> Result<(), SandboxError> {
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(file.fitting(bytes));
        if let Err(error) = file.append(now) {
            // A file that its task has stretched as far as files go takes nothing more; the next one does.
            if !is_too_big(&error) {
                return Err(error);
            }
            rotate(file)?;
            file.append(now)?;
        }
        if file.wants_rotation() {
            rotate(file)?;
        }
        bytes = later;
    }
    Ok(())
}

/// A line of ours, on a line of its own.
pub(crate) fn own_line(file: &LogFile, line: &str) -> String {
    let front = if file.is_at_line_end() { "" } else { "\n" };
    format!("{front}[mesos-agent] {line}\n")
}

fn rotate(file: &mut LogFile) -> Result<(), SandboxError> {
    if let RotateOutcome::Replaced { found } = file.rotate()? {
        let line = format!("output is missing here: the task put something else in its place ({found:?})");
        let line = own_line(file, &line);
        file.append(line.as_bytes())?;
    }
    Ok(())
}

/// Whether a file is as large as files can be.
fn is_too_big(error: &SandboxError) -> bool {
    let too_big = Errno::FBIG.raw_os_error();
    matches!(error, SandboxError::Io { source, .. } if source.raw_os_error() == Some(too_big))
}
