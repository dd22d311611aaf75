//! The command's output, from two pipes into the sandbox's files, with the rotation of Docker tasks.
//!
//! What cannot be written, on a disk that is full, is left out and told in the file by one line once there is room: the
//! command goes on, as it would if it wrote into the file itself, as in Mesos.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use containerizer::{Recent, StreamName, chain};
use rustix::io::{ioctl_fionbio, ioctl_fionread};
use sandbox::{LogFile, Sandbox, SandboxError};

use super::messages::Order;
use super::tap;
use crate::log::{own_line, put};

/// How much is read at once, in bytes: what a pipe holds.
const PIECE: usize = 64 << 10;

/// Both streams, and what is done with them.
#[derive(Debug)]
pub(super) struct Output {
    streams: [Stream; 2],
    tap: Option<File>,
    recent: Recent,
    buffer: Vec<u8>,
    /// Whether something was left out.
    is_incomplete: bool,
}

#[derive(Debug)]
struct Stream {
    name: StreamName,
    /// The pipe; `None` from its end on.
    pipe: Option<File>,
    file: LogFile,
    /// Bytes that were not written since the last that were, and why.
    lost: Option<(u64, String)>,
}

impl Output {
    /// Opens the log files, behind what the agent has written there.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub(super) fn files(order: &Order) -> Result<[LogFile; 2], SandboxError> {
        let sandbox = Sandbox::open(&order.sandbox)?;
        let open = |name| LogFile::go_on(&sandbox, name, order.log_owner(), order.rotation());
        Ok([open("stdout")?, open("stderr")?])
    }

    pub(super) fn new(
        files: [LogFile; 2],
        stdout: OwnedFd,
        stderr: OwnedFd,
        tap: Option<File>,
    ) -> io::Result<Self> {
        for pipe in [&stdout, &stderr] {
            ioctl_fionbio(pipe, true)?;
        }
        let [out, err] = files;
        let stream = |name, pipe: OwnedFd, file| Stream { name, pipe: Some(pipe.into()), file, lost: None };
        Ok(Self {
            streams: [stream(StreamName::Stdout, stdout, out), stream(StreamName::Stderr, stderr, err)],
            tap,
            recent: Recent::default(),
            buffer: Vec::new(),
            is_incomplete: false,
        })
    }

    /// The pipes that are open, by the number of their stream.
    pub(super) fn pipes(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let pipe = |(at, stream)| {
            let stream: &Stream = stream;
            stream.pipe.as_ref().map(|pipe| (at, pipe.as_fd()))
        };
        self.streams.iter().enumerate().filter_map(pipe)
    }

    /// Copies what one read of a stream's pipe gives.
    pub(super) fn copy(&mut self, at: usize) {
        self.copy_up_to(at, PIECE);
    }

    /// Copies what is in the pipes now, and closes them. For when nobody of the command is left; somebody else who was
    /// given a pipe is listened to no longer.
    pub(super) fn drain(&mut self) {
        for at in 0..self.streams.len() {
            let held = self.streams[at].pipe.as_ref().and_then(|pipe| ioctl_fionread(pipe).ok()).unwrap_or(0);
            let mut left = usize::try_from(held).unwrap_or(usize::MAX);
            while left > 0 {
                match self.copy_up_to(at, left.min(PIECE)) {
                    0 => break,
                    count => left -= count.min(left),
                }
            }
            self.streams[at].pipe = None;
            let told = self.streams[at].mend();
            self.note_failure(told.err());
        }
        self.tap = None;
    }

    /// Appends a line of ours to standard error, where the task's owner looks.
    pub(super) fn note(&mut self, line: &str) {
        let stream = &mut self.streams[1];
        let text = own_line(&stream.file, line);
        // A remark that finds no room is no output that is lost.
        let _ = put(&mut stream.file, text.as_bytes());
    }

    /// The last lines of standard error.
    pub(super) fn last_errors(&self, max_lines: usize) -> String {
        self.recent.last_lines(max_lines)
    }

    /// Whether all of the output is in the files.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_incomplete
    }

    /// Answers how many bytes were there; 0 when there are none now, or none any more.
    fn copy_up_to(&mut self, at: usize, most: usize) -> usize {
        self.buffer.resize(PIECE, 0);
        let stream = &mut self.streams[at];
        let Some(pipe) = &mut stream.pipe else { return 0 };
        let count = match pipe.read(&mut self.buffer[..most]) {
            Ok(0) => {
                stream.pipe = None;
                return 0;
            }
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return 0;
            }
            Err(_) => {
                stream.pipe = None;
                return 0;
            }
        };
        let bytes = &self.buffer[..count];
        if stream.name == StreamName::Stderr {
            self.recent.push(bytes);
        }
        if let Some(tap) = &mut self.tap
            && tap::write(tap, stream.name, bytes).is_err()
        {
            self.tap = None;
        }
        let written = stream.append(bytes);
        self.note_failure(written.err());
        count
    }

    fn note_failure(&mut self, error: Option<SandboxError>) {
        self.is_incomplete |= error.is_some();
    }
}

impl Stream {
    /// Appends bytes, or takes note of how many are lost.
    fn append(&mut self, bytes: &[u8]) -> Result<(), SandboxError> {
        let result = self.mend().and_then(|()| put(&mut self.file, bytes));
        if let Err(error) = &result {
            let (lost, _) = self.lost.take().unwrap_or_default();
            let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.lost = Some((lost.saturating_add(bytes), chain(error)));
        }
        result
    }

    /// Tells what was lost, where there is room for it again.
    fn mend(&mut self) -> Result<(), SandboxError> {
        let Some((bytes, why)) = &self.lost else { return Ok(()) };
        let line = own_line(&self.file, &format!("about {bytes} bytes of output are missing here: {why}"));
        self.file.append(line.as_bytes())?;
        self.lost = None;
        Ok(())
    }
}
