//! Reading a stream while it is written: over rotations without gap or double, and over truncations.
//!
//! The reader never waits. Its caller decides when to look again.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;

use super::look::{Look, check_name, look};
use crate::directory::Sandbox;
use crate::error::{Context, SandboxError};
use crate::node::Identity;

/// Attempts to find the next file while rotations move the names.
const ATTEMPTS: u32 = 8;

/// Rotated files looked at in search of one.
const MAX_ROTATED: u32 = 10_000;

/// Where to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The beginning of the oldest rotated file.
    Oldest,
    /// The beginning of the live file.
    Live,
    /// The end of the live file.
    End,
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// So many bytes were put at the beginning of the buffer.
    Data(usize),
    /// Nothing new yet.
    Idle,
    /// The file was read to its end and the next one follows. Read again at once.
    NextFile,
    /// The file became shorter than what was read of it, and is read again from its beginning.
    Truncated,
    /// The file is no longer among the rotated ones, so the live file follows and something between them may be
    /// missing. It is what every rotation looks like when no rotated files are kept.
    Lost,
}

/// Reads one stream of a sandbox, oldest byte first.
#[derive(Debug)]
pub struct LogReader {
    sandbox: Sandbox,
    name: Box<str>,
    start: StartAt,
    current: Option<Current>,
}

/// The file being read.
#[derive(Debug)]
struct Current {
    file: File,
    identity: Identity,
    offset: u64,
}

impl LogReader {
    /// Prepares to read the stream `name`, which need not exist yet.
    ///
    /// # Errors
    ///
    /// [`SandboxError::InvalidName`] for a name that is no single component, or when no descriptor is left.
    pub fn open(sandbox: &Sandbox, name: &str, start: StartAt) -> Result<LogReader, SandboxError> {
        check_name(sandbox, name)?;
        Ok(LogReader { sandbox: sandbox.try_clone()?, name: name.into(), start, current: None })
    }

    /// Reads what is new, as much as fits into the buffer, which must not be empty for that.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Unexpected`] when something else than a plain file stands in the stream's place and everything
    /// before it was read; and errors of the system. The caller may go on and read again.
    pub fn read_new(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, SandboxError> {
        let Some(current) = &mut self.current else { return self.begin() };
        if buffer.is_empty() {
            return Ok(ReadOutcome::Idle);
        }
        let path = || self.sandbox.path().join(&*self.name);
        if let Some(count) = current.read(buffer).context("read", path())? {
            return Ok(ReadOutcome::Data(count));
        }
        self.at_end(buffer)
    }

    /// Finds out what the end of the current file means.
    fn at_end(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, SandboxError> {
        let Some(current) = &mut self.current else { return self.begin() };
        let path = || self.sandbox.path().join(&*self.name);
        let length = current.file.metadata().context("look at", path())?.len();
        if length < current.offset {
            current.offset = 0;
            return Ok(ReadOutcome::Truncated);
        }
        match look(&self.sandbox, &self.name)? {
            // In the middle of a rotation, or removed by the task.
            Look::Missing => Ok(ReadOutcome::Idle),
            live if live.is(current.identity) => Ok(ReadOutcome::Idle),
            Look::Plain(_) => {
                // The writer may have appended between our read and its rotation. Now it is done with this file.
                match current.read(buffer).context("read", path())? {
                    Some(count) => Ok(ReadOutcome::Data(count)),
                    None => self.advance(),
                }
            }
            Look::Other(_, found) => Err(SandboxError::Unexpected {
                operation: "read",
                path: path(),
                found,
                expected: "a regular file with one link",
            }),
        }
    }

    /// Opens the first file.
    fn begin(&mut self) -> Result<ReadOutcome, SandboxError> {
        for _ in 0..ATTEMPTS {
            let first = if self.start == StartAt::Oldest { self.oldest()? } else { 0 };
            let mut found = None;
            for number in (0..=first).rev() {
                found = self.open_numbered(number)?;
                if found.is_some() {
                    break;
                }
            }
            // If the names have moved since, there may be an older one.
            if self.start == StartAt::Oldest && self.oldest()? != first {
                continue;
            }
            let Some(mut current) = found else { return Ok(ReadOutcome::Idle) };
            if self.start == StartAt::End {
                let path = self.sandbox.path().join(&*self.name);
                current.offset = current.file.metadata().context("look at", path)?.len();
            }
            self.current = Some(current);
            return Ok(ReadOutcome::NextFile);
        }
        Ok(ReadOutcome::Idle)
    }

    /// The number of the oldest rotated file, 0 when there is none.
    fn oldest(&self) -> Result<u32, SandboxError> {
        let mut oldest = 0;
        for number in 1..=MAX_ROTATED {
            if !look(&self.sandbox, &self.numbered(number))?.is_missing() {
                oldest = number;
            } else if number > oldest + 1 {
                // A rotation under way leaves one number free for a moment, but not two.
                break;
            }
        }
        Ok(oldest)
    }

    /// Goes from a file that is complete to the next younger one.
    fn advance(&mut self) -> Result<ReadOutcome, SandboxError> {
        let Some(done) = self.current.as_ref().map(|current| current.identity) else { return self.begin() };
        for _ in 0..ATTEMPTS {
            let Some(number) = self.find(done)? else {
                if let Some(live) = self.open_numbered(0)? {
                    self.current = Some(live);
                    return Ok(ReadOutcome::Lost);
                }
                return Ok(ReadOutcome::Idle);
            };
            if let Some(next) = self.follow(done, number)? {
                self.current = Some(next);
                return Ok(ReadOutcome::NextFile);
            }
        }
        Ok(ReadOutcome::Idle)
    }

    /// Opens the file that follows the complete one, which was seen under `number`. `None` when the names have moved
    /// since, so that it may not be the right one.
    fn follow(&self, done: Identity, number: u32) -> Result<Option<Current>, SandboxError> {
        for younger in (0..number).rev() {
            if let Some(next) = self.open_numbered(younger)? {
                // A rotation moves the older file first. If that did not move, what we opened was in its place too.
                let unmoved = look(&self.sandbox, &self.numbered(number))?.is(done);
                return Ok(unmoved.then_some(next));
            }
        }
        Ok(None)
    }

    /// Finds the number under which a rotated file is now.
    fn find(&self, identity: Identity) -> Result<Option<u32>, SandboxError> {
        let mut missing = 0;
        for number in 1..=MAX_ROTATED {
            match look(&self.sandbox, &self.numbered(number))? {
                // A rotation under way leaves one number free for a moment.
                Look::Missing if missing > 0 => return Ok(None),
                Look::Missing => missing += 1,
                found if found.is(identity) => return Ok(Some(number)),
                _ => missing = 0,
            }
        }
        Ok(None)
    }

    /// Opens a file of the stream, 0 being the live one. What is missing or no plain file is `None`.
    fn open_numbered(&self, number: u32) -> Result<Option<Current>, SandboxError> {
        let name = self.numbered(number);
        let Look::Plain(pinned) = look(&self.sandbox, &name)? else { return Ok(None) };
        let file = pinned.open(OFlags::RDONLY).context("open", self.sandbox.path().join(name))?;
        Ok(Some(Current { file, identity: pinned.identity(), offset: 0 }))
    }

    fn numbered(&self, number: u32) -> String {
        if number == 0 { self.name.to_string() } else { format!("{}.{number}", self.name) }
    }
}

impl Current {
    /// Reads on. `None` at the end.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<Option<usize>> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok((count > 0).then_some(count))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::{LogFile, RotationPolicy};

    fn stream() -> (tempfile::TempDir, LogFile, LogReader) {
        let root = tempfile::tempdir().expect("a directory");
        let sandbox = Sandbox::create(&root.path().join("run"), None).expect("a sandbox");
        let policy = RotationPolicy { max_size: NonZeroU64::new(4), max_files: 9 };
        let log = LogFile::create(&sandbox, "stdout", None, policy).expect("created");
        let mut reader = LogReader::open(&sandbox, "stdout", StartAt::Live).expect("opened");
        assert_eq!(reader.read_new(&mut []).expect("begun"), ReadOutcome::NextFile);
        assert_eq!(reader.read_new(&mut []).expect("no room"), ReadOutcome::Idle);
        (root, log, reader)
    }

    fn identity(reader: &LogReader) -> Identity {
        reader.current.as_ref().expect("a current file").identity
    }

    /// The writer appends and rotates right after we read to the end and before we look at the name.
    #[test]
    fn what_comes_before_a_rotation_is_read() {
        let (_root, mut log, mut reader) = stream();
        let mut buffer = [0; 10];
        assert_eq!(reader.read_new(&mut buffer).expect("read"), ReadOutcome::Idle);
        log.append(b"late\n").expect("appended");
        log.rotate().expect("rotated");
        assert_eq!(reader.at_end(&mut buffer).expect("read"), ReadOutcome::Data(5));
        assert_eq!(&buffer[..5], b"late\n");
        assert_eq!(reader.at_end(&mut buffer).expect("read"), ReadOutcome::NextFile);
    }

    /// The writer rotates after we found the number of the file that we are done with.
    #[test]
    fn a_number_that_moved_is_not_followed() {
        let (_root, mut log, reader) = stream();
        let done = identity(&reader);
        for _ in 0..3 {
            log.append(b"line\n").expect("appended");
            log.rotate().expect("rotated");
        }
        let number = reader.find(done).expect("looked").expect("found");
        assert_eq!(number, 3);
        let right = reader.follow(done, number).expect("looked").expect("opened").identity;
        log.append(b"line\n").expect("appended");
        log.rotate().expect("rotated");
        assert!(reader.follow(done, number).expect("looked").is_none());
        let number = reader.find(done).expect("looked").expect("found");
        assert_eq!(reader.follow(done, number).expect("looked").expect("opened").identity, right);
    }
}
