//! What can go wrong with an archive, in words for the task's owner.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use sandbox::{RelPathError, SandboxError};

/// Bytes of a name that are shown.
const SHOWN: usize = 200;

/// An extraction that failed.
///
/// Names come from the archive and are printed escaped and cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The content is of no known format.
    #[error(
        "cannot extract {name}: it is neither tar, zip, gzip, bzip2, xz nor zstd (repack it, or set extract to false)"
    )]
    UnknownFormat {
        /// The file's name, escaped.
        name: String,
    },
    /// The name leaves nothing for the file inside.
    #[error("cannot extract {name}: no name is left without its ending (name it with output_file)")]
    NoName {
        /// The file's name, escaped.
        name: String,
    },
    /// The archive or one of its entries is damaged or cut short.
    #[error("cannot extract: the {format} data is damaged{}", at_entry(.entry))]
    Damaged {
        /// What was being read.
        format: &'static str,
        /// The entry being read, escaped.
        entry: Option<String>,
        /// What is wrong.
        source: io::Error,
    },
    /// An entry is not put into the sandbox, for safety or because it means something that is not supported.
    #[error("cannot extract entry {entry} (change the archive, or set extract to false)")]
    Refused {
        /// The entry's name, escaped.
        entry: String,
        /// Why.
        #[source]
        why: Refusal,
    },
    /// The content is larger than allowed.
    #[error(
        "cannot extract: the archive holds more than the {limit} bytes that are left to it (raise \
         --fetcher_extract_max_size if it should)"
    )]
    TooManyBytes {
        /// The limit, in bytes: [`ExtractLimits::max_bytes`](super::ExtractLimits::max_bytes).
        limit: u64,
    },
    /// There are more entries than allowed.
    #[error(
        "cannot extract: the archive holds more than the {limit} files and directories that are left to it (raise \
         --fetcher_extract_max_entries if it should)"
    )]
    TooManyEntries {
        /// The limit: [`ExtractLimits::max_entries`](super::ExtractLimits::max_entries).
        limit: u64,
    },
    /// The sandbox did not take an entry.
    #[error("cannot extract entry {entry}")]
    Put {
        /// The entry's name, escaped.
        entry: String,
        /// Why.
        #[source]
        source: SandboxError,
    },
    /// A write of an entry's content failed.
    #[error("cannot write {path:?} after {bytes} bytes{}", hint(.source))]
    Write {
        /// The file being written. It is not there, as it was not whole.
        path: PathBuf,
        /// Bytes of it that were written.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// The archive could not be read from disk.
    #[error("cannot read the archive")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// The caller gave up.
    #[error("the extraction was cancelled")]
    Cancelled,
}

/// Why an entry is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its name cannot be a path below the sandbox.
    #[error("its name cannot be used")]
    Name(#[source] RelPathError),
    /// It names the sandbox itself, and is no directory.
    #[error("its name is empty")]
    Empty,
    /// A symbolic link whose target is outside of the sandbox.
    #[error("it is a symbolic link to {target}, which is outside of the sandbox")]
    LinkOut {
        /// The target, escaped.
        target: String,
    },
    /// A symbolic link whose target goes down and up again, so that other links decide where it ends.
    #[error("it is a symbolic link to {target}, and '..' is only allowed at the beginning of a target")]
    LinkTurns {
        /// The target, escaped.
        target: String,
    },
    /// A symbolic link whose target is empty, too long, or has a NUL byte.
    #[error("it is a symbolic link whose target is empty, too long, or holds a NUL byte")]
    LinkTarget,
    /// A hard link whose target's name cannot be used.
    #[error("it is a hard link to {target}, which is no path below the sandbox")]
    HardLinkName {
        /// The target, escaped.
        target: String,
        /// What is wrong with it.
        #[source]
        source: RelPathError,
    },
    /// A hard link whose target is missing, no regular file, or behind a symbolic link.
    #[error("it is a hard link to {target}, which is no regular file of the sandbox")]
    HardLinkTarget {
        /// The target, escaped.
        target: String,
        /// What was found.
        #[source]
        source: Box<SandboxError>,
    },
    /// A hard link to a file that has other names, which may be outside of the sandbox.
    #[error("it is a hard link to {target}, which has names that this archive did not give it")]
    HardLinkShared {
        /// The target, escaped.
        target: String,
    },
    /// A directory on its way is a symbolic link.
    #[error("its directory {directory:?} is a symbolic link, and links are never followed while extracting")]
    ThroughLink {
        /// The link.
        directory: PathBuf,
    },
    /// It would replace a directory that holds something.
    #[error("a directory of that name is there and not empty")]
    FullDirectory,
    /// A device node.
    #[error("it is a device node")]
    Device,
    /// A FIFO.
    #[error("it is a FIFO")]
    Fifo,
    /// A socket.
    #[error("it is a socket")]
    Socket,
    /// A type of entry that is not known.
    #[error("it is of the unknown type {0:?}")]
    Type(char),
    /// It is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// It is packed in a way that is not supported.
    #[error("it is packed with {0}, which is not supported")]
    Method(String),
    /// It shares bytes of the archive with another entry, as only bombs do.
    #[error("it overlaps another entry of the archive")]
    Overlap,
}

/// A name from an archive, escaped and cut for a message.
pub(super) fn shown(name: &[u8]) -> String {
    match name.get(..SHOWN) {
        Some(head) if name.len() > SHOWN => format!("{:?}...", OsStr::from_bytes(head)),
        _ => format!("{:?}", OsStr::from_bytes(name)),
    }
}

/// An error of a library on an archive, with its causes in one line. Libraries quote the archive as it is.
pub(super) fn quoted(error: &io::Error) -> io::Error {
    let mut text = error.to_string();
    let mut cause = error.get_ref().and_then(std::error::Error::source);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let mut line = String::new();
    for letter in text.chars().take(SHOWN) {
        match letter {
            ' '..='~' => line.push(letter),
            letter if letter.is_alphanumeric() => line.push(letter),
            letter => line.extend(letter.escape_unicode()),
        }
    }
    io::Error::new(error.kind(), line)
}

fn at_entry(entry: &Option<String>) -> String {
    entry.as_ref().map(|entry| format!(" at entry {entry}")).unwrap_or_default()
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (free disk space or raise the quota of its file system)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_archive_says_is_quoted_in_one_short_line() {
        let cause = io::Error::other(format!("a\n\u{1b}[2J caf\u{e9} \u{202e}{}", "x".repeat(1000)));
        let error = io::Error::new(io::ErrorKind::InvalidData, cause);
        let line = quoted(&error);
        assert_eq!(line.kind(), io::ErrorKind::InvalidData);
        assert!(line.to_string().starts_with("a\\u{a}\\u{1b}[2J caf\u{e9} \\u{202e}xxx"), "{line}");
        assert!(line.to_string().len() < 300);
        assert_eq!(shown(b"\xff\x1b"), r#""\xFF\u{1b}""#);
        assert_eq!(shown(&[b'x'; 300]).len(), SHOWN + 5);
    }
}
