//! Why a download failed, with what a person needs to know about it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use sandbox::{Kind, SandboxError};

use crate::uri::{Checksum, SourceError, shown_path};

/// Why a file could not be had. The caller names the URI.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The URI leads nowhere.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The target could not be made.
    #[error(transparent)]
    Target(#[from] SandboxError),
    /// A local file could not be read.
    #[error("cannot {operation} '{}'", shown_path(path))]
    Local {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A local path is no regular file.
    #[error("'{}' is {kind}, expected a regular file", shown_path(path))]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// The target could not be written.
    #[error("cannot write '{}' after {written} bytes", shown_path(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// Bytes that were written.
        written: u64,
        /// Why not.
        source: io::Error,
    },
    /// The disk or the quota is full.
    #[error("no space left for '{}': {}", shown_path(path), sizes(*written, *total, *free))]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Bytes that were written.
        written: u64,
        /// Bytes that there were to be.
        total: Option<u64>,
        /// Bytes that were free at that moment.
        free: Option<u64>,
        /// What the system said.
        source: io::Error,
    },
    /// An HTTP server answered with something else than the file. The words are stock's.
    #[error("Error downloading resource, received HTTP/FTP return code {status}")]
    Status {
        /// The code.
        status: u16,
    },
    /// An FTP server refused a command. The words are stock's.
    #[error("Error downloading resource, received HTTP/FTP return code {status} to {command}: {text}")]
    FtpReply {
        /// The command, without its argument.
        command: &'static str,
        /// The code.
        status: u32,
        /// What the server said.
        text: String,
    },
    /// An FTP connection failed.
    #[error("Error downloading resource: {command} failed")]
    Ftp {
        /// The command, without its argument.
        command: &'static str,
        /// Why.
        source: suppaftp::FtpError,
    },
    /// A part of an FTP URL cannot be sent.
    #[error("the {part} of an FTP URI must not have line breaks or be other than UTF-8")]
    FtpPart {
        /// Which part.
        part: &'static str,
    },
    /// No answer came.
    #[error("Error downloading resource")]
    Request {
        /// Why. Without the URL, which may have secrets in it.
        source: reqwest::Error,
    },
    /// The connection ended too early.
    #[error("Error downloading resource: the connection ended after {bytes} of {} bytes", known(*total))]
    Cut {
        /// Bytes that came.
        bytes: u64,
        /// Bytes that were announced.
        total: Option<u64>,
        /// What was seen.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server has another version of the file than the one that was begun.
    #[error("Error downloading resource: the file changed on the server while it was downloaded")]
    Changed,
    /// The source gave another number of bytes than it had said.
    #[error("Error downloading resource: received {bytes} bytes, {total} were announced")]
    Length {
        /// Bytes that came.
        bytes: u64,
        /// Bytes that were announced.
        total: u64,
    },
    /// Less than a byte a second for too long.
    #[error(
        "Error downloading resource: less than 1 byte a second for {} seconds (--fetcher_stall_timeout)",
        timeout.as_secs_f64()
    )]
    Stalled {
        /// For how long.
        timeout: Duration,
    },
    /// The file is not the one that was meant.
    #[error("the file's SHA-256 is {found}, the URI asks for {expected}")]
    Checksum {
        /// What the URI says.
        expected: Checksum,
        /// What came.
        found: Checksum,
    },
    /// An object store refused.
    #[error("cannot get the object from {provider}")]
    Object {
        /// Which provider.
        provider: &'static str,
        /// Why.
        source: object_store::Error,
    },
    /// A client for the network could not be made.
    #[error("cannot set up {what}")]
    Setup {
        /// What was to be set up.
        what: &'static str,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The Hadoop client cannot be run.
    #[error(
        "Skipping fetch with Hadoop client: cannot run '{}'; install it or name its directory in --hadoop_home",
        program.display()
    )]
    NoHadoop {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The Hadoop client failed.
    #[error("HDFS copyToLocal failed: '{} {command}' ended with {status}", program.display())]
    Hadoop {
        /// The program.
        program: PathBuf,
        /// What it was to do, without the URI.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// The URI names a directory, which the Hadoop client copies.
    #[error(
        "it is a directory, and only files are fetched; pack it into an archive, or name its files one by one"
    )]
    HadoopDirectory,
    /// The Hadoop client did not say a size.
    #[error("'{} fs -du' printed no size", program.display())]
    HadoopSize {
        /// The program.
        program: PathBuf,
    },
    /// The server does not say how large the file is.
    #[error("the server does not say how large the file is")]
    NoSize,
}

fn known(total: Option<u64>) -> String {
    total.map_or_else(|| "an unknown number of".to_owned(), |total| total.to_string())
}

fn sizes(written: u64, total: Option<u64>, free: Option<u64>) -> String {
    let free = free.map_or_else(String::new, |free| format!(", {free} bytes are free"));
    match total {
        Some(total) => format!("{written} of {total} bytes were written{free}"),
        None => format!("{written} bytes were written{free}"),
    }
}
