//! What a directory entry turned out to be, and who may own the ones that we create.

use std::fmt;
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, fchown};

use rustix::fs::{CWD, Mode, OFlags, fchmod, openat};
use rustix::io::Errno;

/// Flags of every open of an existing file: no wait for a FIFO's other end or for a lease, no terminal taken over,
/// nothing inherited by a child.
const SAFE: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The numeric owner of what is created for a task.
///
/// Looking up a user's name is the caller's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    uid: u32,
    gid: u32,
}

/// A user or group id that `chown` would take as "leave it as it is".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("4294967295 is not a user or group id")]
pub struct InvalidOwner;

impl Owner {
    /// Makes an owner of two ids.
    ///
    /// # Errors
    ///
    /// 4294967295 is no id: the system reads it as "no change", so files would quietly stay ours.
    pub const fn new(uid: u32, gid: u32) -> Result<Owner, InvalidOwner> {
        if uid == u32::MAX || gid == u32::MAX { Err(InvalidOwner) } else { Ok(Owner { uid, gid }) }
    }

    /// The user that a number names where no user has it for a name: group of the same number. Mesos knows names only
    /// (`os::getuid` of stout), so the number is taken as it is written, in the one way to write it, and never as root:
    /// an operator who forbids tasks of `root` does so by name.
    #[must_use]
    pub fn from_number(text: &str) -> Option<Owner> {
        let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let number = text.parse().ok().filter(|_| is_canonical)?;
        Owner::new(number, number).ok()
    }

    /// The user id.
    #[must_use]
    pub const fn uid(self) -> u32 {
        self.uid
    }

    /// The group id.
    #[must_use]
    pub const fn gid(self) -> u32 {
        self.gid
    }
}

/// The kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character or block device.
    Device,
    /// A kind that this program does not know.
    Unknown,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Kind {
        if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Symlink
        } else if kind.is_fifo() {
            Kind::Fifo
        } else if kind.is_socket() {
            Kind::Socket
        } else if kind.is_char_device() || kind.is_block_device() {
            Kind::Device
        } else {
            Kind::Unknown
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::File => "a regular file",
            Kind::Directory => "a directory",
            Kind::Symlink => "a symbolic link",
            Kind::Fifo => "a FIFO",
            Kind::Socket => "a socket",
            Kind::Device => "a device",
            Kind::Unknown => "something unknown",
        })
    }
}

/// What was found at a name where one of our files was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A regular file with one link, but not the one that we wrote.
    OtherFile,
    /// A regular file with more than one name, one of which may be outside of the sandbox.
    HardLinked {
        /// The number of names.
        links: u64,
    },
    /// A regular file that the system does not let us open for writing: it is being executed, leased, immutable, ...
    Locked,
    /// Anything that is no regular file.
    Node(Kind),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Missing => f.write_str("missing"),
            Found::OtherFile => f.write_str("another file"),
            Found::HardLinked { links } => write!(f, "a file with {links} hard links"),
            Found::Locked => f.write_str("a file that cannot be opened for writing"),
            Found::Node(kind) => kind.fmt(f),
        }
    }
}

/// Device and inode: the identity of an open file for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Identity {
    /// Reads the identity of a file from its metadata.
    pub(crate) fn of(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// What a listing shows of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) modified: i64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// An entry of a sandbox that is held without having been opened (`O_PATH`).
///
/// Opening a device node may already do something (a watchdog starts, a tape rewinds), and a check by name before
/// the open can be raced. So an entry is pinned first, judged, and only then opened through its pinned descriptor.
#[derive(Debug)]
pub(crate) struct Pinned {
    file: File,
    metadata: Metadata,
}

impl Pinned {
    /// Looks at what an `O_PATH` descriptor refers to.
    pub(crate) fn new(file: File) -> io::Result<Pinned> {
        let metadata = file.metadata()?;
        Ok(Pinned { file, metadata })
    }

    /// The pinned entry's identity.
    pub(crate) fn identity(&self) -> Identity {
        Identity::of(&self.metadata)
    }

    /// The pinned entry's kind.
    pub(crate) fn kind(&self) -> Kind {
        Kind::from(self.metadata.file_type())
    }

    /// The number of its names when it was pinned.
    pub(crate) fn links(&self) -> u64 {
        self.metadata.nlink()
    }

    /// What `stat` says of it, for a listing.
    pub(crate) fn status(&self) -> Status {
        let metadata = &self.metadata;
        Status {
            mode: metadata.mode(),
            size: metadata.size(),
            modified: metadata.mtime(),
            uid: metadata.uid(),
            gid: metadata.gid(),
        }
    }

    /// The descriptor, which is good for `fstat` and for linking.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Judges whether this is a regular file with one link, and says what it is when not.
    pub(crate) fn plain(&self) -> Result<(), Found> {
        match (self.kind(), self.metadata.nlink()) {
            (Kind::File, 0 | 1) => Ok(()),
            (Kind::File, links) => Err(Found::HardLinked { links }),
            (kind, _) => Err(Found::Node(kind)),
        }
    }

    /// Opens the pinned inode itself, whatever its name refers to by now. Only for regular files.
    pub(crate) fn open(&self, flags: OFlags) -> Result<File, Errno> {
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        openat(CWD, link, flags | SAFE, Mode::empty()).map(File::from)
    }

    /// Gives up the descriptor, which is still only a pin.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

/// Sets mode and owner of something that we just created, through its descriptor.
///
/// The mode is set again because the process' umask took part in the creation.
pub(crate) fn adopt(file: impl AsFd, mode: u32, owner: Option<Owner>) -> io::Result<()> {
    fchmod(&file, Mode::from_raw_mode(mode & 0o777))?;
    match owner {
        Some(owner) => fchown(file, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_user_in_one_spelling_and_never_root() {
        assert_eq!(Owner::from_number("1000"), Owner::new(1000, 1000).ok());
        for text in
            ["0", "00", "+0", "-0", "+7", "007", " 7", "7 ", "", "x", "4294967295", "4294967296", "\u{667}"]
        {
            assert_eq!(Owner::from_number(text), None, "{text:?}");
        }
    }

    #[test]
    fn ids_that_mean_no_change_are_refused() {
        assert_eq!(Owner::new(u32::MAX, 0), Err(InvalidOwner));
        assert_eq!(Owner::new(0, u32::MAX), Err(InvalidOwner));
        assert_eq!(Owner::new(65534, 7).map(|owner| (owner.uid(), owner.gid())), Ok((65534, 7)));
    }

    #[test]
    fn what_was_found_reads_as_part_of_a_sentence() {
        assert_eq!(Found::Node(Kind::Fifo).to_string(), "a FIFO");
        assert_eq!(Found::HardLinked { links: 3 }.to_string(), "a file with 3 hard links");
    }
}
