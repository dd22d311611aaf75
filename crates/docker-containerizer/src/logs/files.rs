//! The two log files of a run and the cursors that go with them; blocking, run off the runtime's threads.

use std::io::IoSlice;

use bytes::Bytes;
use sandbox::{LogFile, Owner, ResumeOutcome, RotateOutcome, RotationPolicy, Sandbox, SandboxError};
use tokio::sync::mpsc;

use super::cursor::{CursorStore, Cursors};
use super::matcher::{Marks, StreamName};

/// How the sandbox's log files are kept (`--docker_log_max_size`, `--docker_log_max_files`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// When a file is rotated, and how many are kept.
    pub rotation: RotationPolicy,
}

/// Where a copy of the output goes besides the files: a bounded channel; a receiver that is gone is forgotten.
pub type LogTap = mpsc::Sender<LogChunk>;

/// A piece of output, in the order in which it reached the files.
#[derive(Debug, Clone)]
pub struct LogChunk {
    /// Its stream.
    pub stream: StreamName,
    /// The bytes as the container wrote them.
    pub bytes: Bytes,
}

/// A frame on its way into a file.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) chunk: LogChunk,
    /// What is delivered once this frame is in the file; `None` for a stream without stamps.
    pub(crate) marks: Option<Marks>,
}

/// The open files of a run with their cursors.
#[derive(Debug)]
pub(crate) struct LogFiles {
    stdout: LogFile,
    stderr: LogFile,
    cursors: Cursors,
    store: CursorStore,
    rotates: bool,
}

impl LogFiles {
    /// Makes both files of a new run.
    pub(crate) fn create(
        sandbox: &Sandbox,
        owner: Option<Owner>,
        settings: LogSettings,
        store: CursorStore,
    ) -> Result<Self, SandboxError> {
        let stdout = LogFile::create(sandbox, "stdout", owner, settings.rotation)?;
        let stderr = LogFile::create(sandbox, "stderr", owner, settings.rotation)?;
        let cursors = Cursors::fresh(stdout.position(), stderr.position());
        store.store(&cursors)?;
        Ok(Self { stdout, stderr, cursors, store, rotates: settings.rotation.max_size.is_some() })
    }

    /// Opens both files of an adopted run where its cursors are. Answers a line for everything worth one.
    pub(crate) fn resume(
        sandbox: &Sandbox,
        owner: Option<Owner>,
        settings: LogSettings,
        store: CursorStore,
    ) -> Result<(Self, Vec<String>), SandboxError> {
        let Some(cursors) = store.load() else {
            let files = Self::create(sandbox, owner, settings, store)?;
            return Ok((files, vec!["the log cursors were lost, and the log begins anew".into()]));
        };
        let stdout = LogFile::resume(sandbox, "stdout", &cursors.stdout, owner, settings.rotation)?;
        let stderr = LogFile::resume(sandbox, "stderr", &cursors.stderr, owner, settings.rotation)?;
        let remarks =
            [("stdout", stdout.outcome), ("stderr", stderr.outcome)].into_iter().filter_map(remark).collect();
        let rotates = settings.rotation.max_size.is_some();
        Ok((Self { stdout: stdout.file, stderr: stderr.file, cursors, store, rotates }, remarks))
    }

    pub(crate) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Appends pieces in their order. After an error the pieces that are in the files are told by the cursors, so the
    /// same read can be made again from there.
    pub(crate) fn append(&mut self, pieces: &[Piece]) -> Result<(), SandboxError> {
        if self.rotates {
            return pieces.iter().try_for_each(|piece| self.append_and_rotate(piece));
        }
        for run in pieces.chunk_by(|a, b| a.chunk.stream == b.chunk.stream) {
            let mut slices: Vec<_> = run.iter().map(|piece| IoSlice::new(&piece.chunk.bytes)).collect();
            self.file(run[0].chunk.stream).append_vectored(&mut slices)?;
            self.advance(run.iter().rev().find_map(|piece| piece.marks));
        }
        Ok(())
    }

    /// Appends what a program of ours printed before the container starts.
    pub(crate) fn print(&mut self, stream: StreamName, bytes: &[u8]) -> Result<(), SandboxError> {
        self.append(&[Piece {
            chunk: LogChunk { stream, bytes: Bytes::copy_from_slice(bytes) },
            marks: None,
        }])
    }

    /// Appends a line of ours, in both files, in the order of the output.
    pub(crate) fn remark(&mut self, line: &str) -> Result<(), SandboxError> {
        append_line(&mut self.stdout, line)?;
        append_line(&mut self.stderr, line)?;
        self.advance(None);
        Ok(())
    }

    /// Appends a line of ours to standard error, where the task's owner looks.
    pub(crate) fn note(&mut self, line: &str) -> Result<(), SandboxError> {
        append_line(&mut self.stderr, line)?;
        self.advance(None);
        self.persist()
    }

    /// Stores the cursors.
    pub(crate) fn persist(&mut self) -> Result<(), SandboxError> {
        self.store.store(&self.cursors)
    }

    /// Stores that nothing is left to read.
    pub(crate) fn complete(&mut self) -> Result<(), SandboxError> {
        self.cursors.complete = true;
        self.persist()
    }

    /// The last lines of standard error, for the message of a failed task.
    pub(crate) fn last_error_lines(&self, max_bytes: usize, max_lines: usize) -> String {
        sandbox::last_lines(self.stderr.file(), max_bytes, max_lines).unwrap_or_default()
    }

    fn append_and_rotate(&mut self, piece: &Piece) -> Result<(), SandboxError> {
        let file = self.file(piece.chunk.stream);
        file.append(&piece.chunk.bytes)?;
        let due = file.wants_rotation();
        self.advance(piece.marks);
        if due {
            // The cursor must be at the old file's end when the file gets its new name.
            self.persist()?;
            let file = self.file(piece.chunk.stream);
            if let RotateOutcome::Replaced { found } = file.rotate()? {
                tracing::warn!(path = %file.path().display(), ?found, "a log file was replaced from inside the task");
                append_line(
                    file,
                    &format!("output is missing here: the task put something else in its place ({found:?})"),
                )?;
            }
            self.advance(None);
            self.persist()?;
        }
        Ok(())
    }

    fn file(&mut self, stream: StreamName) -> &mut LogFile {
        match stream {
            StreamName::Stdout => &mut self.stdout,
            StreamName::Stderr => &mut self.stderr,
        }
    }

    fn advance(&mut self, marks: Option<Marks>) {
        if let Some(marks) = marks {
            self.cursors.marks = marks;
        }
        self.cursors.stdout = self.stdout.position();
        self.cursors.stderr = self.stderr.position();
    }
}

/// Appends a line of ours, on a line of its own.
fn append_line(file: &mut LogFile, line: &str) -> Result<(), SandboxError> {
    let front = if file.is_at_line_end() { "" } else { "\n" };
    file.append(format!("{front}[mesos-agent] {line}\n").as_bytes())
}

/// What is worth a line after a file was opened again.
fn remark((name, outcome): (&str, ResumeOutcome)) -> Option<String> {
    match outcome {
        ResumeOutcome::Continued { .. } | ResumeOutcome::Rotated { .. } => None,
        ResumeOutcome::Shortened { missing } => {
            Some(format!("{missing} bytes were cut from {name} by the task"))
        }
        ResumeOutcome::Replaced { found } => {
            Some(format!("{name} was replaced by something else ({found:?})"))
        }
    }
}
