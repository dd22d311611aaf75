//! The two log files of a run and the cursors that go with them; blocking, run off the runtime's threads.

use std::io::IoSlice;

use bytes::Bytes;
use containerizer::{LogChunk, LogSettings, LogTap, Recent, StreamName};
use sandbox::{LogFile, LogPosition, Owner, ResumeOutcome, RotateOutcome, Sandbox, SandboxError};

use super::cursor::{CursorStore, Cursors};
use super::matcher::Marks;

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
    target: Target,
    cursors: Cursors,
    store: CursorStore,
    rotates: bool,
    /// The end of the container's standard error, as far as this process has seen it.
    recent: Recent,
    /// Whether an earlier process has read the beginning.
    is_resumed: bool,
}

/// Where pieces are put.
#[derive(Debug)]
enum Target {
    /// Into the files.
    Files(Box<Files>),
    /// Nowhere: the tap has them. Holds the tap for what is ours.
    Tap(Option<LogTap>),
}

/// The open files.
#[derive(Debug)]
struct Files {
    stdout: LogFile,
    stderr: LogFile,
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
        Self::begin(stdout, stderr, settings, store)
    }

    /// Opens both files of a new run, in which others have written before.
    pub(crate) fn go_on(
        sandbox: &Sandbox,
        owner: Option<Owner>,
        settings: LogSettings,
        store: CursorStore,
    ) -> Result<Self, SandboxError> {
        let stdout = LogFile::go_on(sandbox, "stdout", owner, settings.rotation)?;
        let stderr = LogFile::go_on(sandbox, "stderr", owner, settings.rotation)?;
        Self::begin(stdout, stderr, settings, store)
    }

    fn begin(
        stdout: LogFile,
        stderr: LogFile,
        settings: LogSettings,
        store: CursorStore,
    ) -> Result<Self, SandboxError> {
        let cursors = Cursors::fresh(stdout.position(), stderr.position());
        store.store(&cursors)?;
        Ok(Self {
            target: Target::Files(Box::new(Files { stdout, stderr })),
            cursors,
            store,
            rotates: settings.rotation.max_size.is_some(),
            recent: Recent::default(),
            is_resumed: false,
        })
    }

    /// No files: the tap has everything.
    pub(crate) fn tapped(tap: Option<LogTap>, store: CursorStore) -> Self {
        let nowhere = LogPosition { offset: 0, inode: 0, device: 0 };
        Self {
            target: Target::Tap(tap),
            cursors: Cursors::fresh(nowhere, nowhere),
            store,
            rotates: false,
            recent: Recent::default(),
            is_resumed: false,
        }
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
        let files = Self {
            target: Target::Files(Box::new(Files { stdout: stdout.file, stderr: stderr.file })),
            cursors,
            store,
            rotates: settings.rotation.max_size.is_some(),
            recent: Recent::default(),
            is_resumed: true,
        };
        Ok((files, remarks))
    }

    pub(crate) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Appends pieces in their order. After an error the pieces that are in the files are told by the cursors, so the
    /// same read can be made again from there.
    pub(crate) fn append(&mut self, pieces: &[Piece]) -> Result<(), SandboxError> {
        self.put(pieces)?;
        for piece in pieces.iter().filter(|piece| piece.chunk.stream == StreamName::Stderr) {
            self.recent.push(&piece.chunk.bytes);
        }
        Ok(())
    }

    fn put(&mut self, pieces: &[Piece]) -> Result<(), SandboxError> {
        if self.rotates {
            return pieces.iter().try_for_each(|piece| self.append_and_rotate(piece));
        }
        for run in pieces.chunk_by(|a, b| a.chunk.stream == b.chunk.stream) {
            let mut slices: Vec<_> = run.iter().map(|piece| IoSlice::new(&piece.chunk.bytes)).collect();
            if let Some(file) = self.target.file(run[0].chunk.stream) {
                file.append_vectored(&mut slices)?;
            }
            self.advance(run.iter().rev().find_map(|piece| piece.marks));
        }
        Ok(())
    }

    /// Appends what a program of ours printed before the container starts.
    pub(crate) fn print(&mut self, stream: StreamName, bytes: &[u8]) -> Result<(), SandboxError> {
        let chunk = LogChunk { stream, bytes: Bytes::copy_from_slice(bytes) };
        if let Target::Tap(tap) = &self.target {
            tell(tap.as_ref(), chunk);
            return Ok(());
        }
        self.put(&[Piece { chunk, marks: None }])
    }

    /// Appends a line of ours, in both files, in the order of the output.
    pub(crate) fn remark(&mut self, line: &str) -> Result<(), SandboxError> {
        self.line(StreamName::Stdout, line)?;
        self.line(StreamName::Stderr, line)?;
        self.advance(None);
        Ok(())
    }

    /// Appends a line of ours to standard error, where the task's owner looks.
    pub(crate) fn note(&mut self, line: &str) -> Result<(), SandboxError> {
        self.line(StreamName::Stderr, line)?;
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

    /// The last lines of standard error, for the message of a failed task. What an earlier process read is looked for in
    /// the file.
    pub(crate) fn last_error_lines(&self, max_bytes: usize, max_lines: usize) -> String {
        match &self.target {
            Target::Files(files) if self.is_resumed && self.recent.is_empty() => {
                sandbox::last_lines(files.stderr.file(), max_bytes, max_lines).unwrap_or_default()
            }
            Target::Files(_) | Target::Tap(_) => self.recent.last_lines(max_lines),
        }
    }

    fn append_and_rotate(&mut self, piece: &Piece) -> Result<(), SandboxError> {
        let Some(file) = self.target.file(piece.chunk.stream) else { return Ok(()) };
        file.append(&piece.chunk.bytes)?;
        let due = file.wants_rotation();
        self.advance(piece.marks);
        if due {
            // The cursor must be at the old file's end when the file gets its new name.
            self.persist()?;
            let Some(file) = self.target.file(piece.chunk.stream) else { return Ok(()) };
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

    /// Appends a line of ours, on a line of its own.
    fn line(&mut self, stream: StreamName, line: &str) -> Result<(), SandboxError> {
        if let Target::Tap(tap) = &self.target {
            let bytes = format!("[mesos-agent] {line}\n").into();
            tell(tap.as_ref(), LogChunk { stream, bytes });
        }
        self.target.file(stream).map_or(Ok(()), |file| append_line(file, line))
    }

    fn advance(&mut self, marks: Option<Marks>) {
        if let Some(marks) = marks {
            self.cursors.marks = marks;
        }
        if let Target::Files(files) = &self.target {
            self.cursors.stdout = files.stdout.position();
            self.cursors.stderr = files.stderr.position();
        }
    }
}

impl Target {
    fn file(&mut self, stream: StreamName) -> Option<&mut LogFile> {
        match (self, stream) {
            (Self::Files(files), StreamName::Stdout) => Some(&mut files.stdout),
            (Self::Files(files), StreamName::Stderr) => Some(&mut files.stderr),
            (Self::Tap(_), _) => None,
        }
    }
}

/// Hands on what is ours, where there is room for it.
fn tell(tap: Option<&LogTap>, chunk: LogChunk) {
    if tap.is_some_and(|tap| tap.try_send(chunk).is_err()) {
        tracing::debug!("a line of ours was not taken");
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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn piece(stream: StreamName, text: &'static str) -> Piece {
        Piece { chunk: LogChunk { stream, bytes: Bytes::from_static(text.as_bytes()) }, marks: None }
    }

    /// A host with its own place for the output gets what is ours by the tap, and nothing is written.
    #[test]
    fn without_files_the_tap_has_what_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (tap, mut told) = mpsc::channel(8);
        let mut files = LogFiles::tapped(Some(tap), CursorStore::new(dir.path()));
        files.note("a note").unwrap();
        files.print(StreamName::Stdout, b"fetched\n").unwrap();
        // The follower hands the container's own output to the tap.
        files.append(&[piece(StreamName::Stderr, "why\n"), piece(StreamName::Stdout, "out\n")]).unwrap();
        let mut heard = Vec::new();
        while let Ok(chunk) = told.try_recv() {
            heard.push((chunk.stream, String::from_utf8(chunk.bytes.to_vec()).unwrap()));
        }
        let expected = [(StreamName::Stderr, "[mesos-agent] a note\n"), (StreamName::Stdout, "fetched\n")];
        assert_eq!(heard, expected.map(|(stream, text)| (stream, text.to_owned())));
        // What is ours is not among the last words of the task.
        assert_eq!(files.last_error_lines(4096, 5), "why");
        let names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["log-cursors"]);
    }

    /// A tap that nobody empties keeps nobody waiting.
    #[test]
    fn a_tap_that_is_full_misses_what_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (tap, _told) = mpsc::channel(1);
        let mut files = LogFiles::tapped(Some(tap), CursorStore::new(dir.path()));
        for _ in 0..10 {
            files.note("a note").unwrap();
        }
    }
}
