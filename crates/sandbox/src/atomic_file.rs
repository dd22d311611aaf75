//! Files of our own, in directories that no container sees: written whole or not at all, read with a bound.
//!
//! The supervision records use it. A file is written under a temporary name in the same directory and renamed, so a
//! reader, and a successor after a crash, sees the old content or the new one.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::error::{Context, SandboxError};
use crate::node::{Found, Kind, adopt};

/// What temporary names begin with and contain after the file's own name.
const PREFIX: &str = ".";
const INFIX: &str = ".tmp-";

/// The longest name, which leaves room for the temporary form of it.
const MAX_NAME: usize = 200;

/// Temporary names tried: leftovers of a process that had our id may have taken some.
const ATTEMPTS: u32 = 1000;

/// Makes temporary names of one process differ.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// What a written file is to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process, by whatever signal. Costs no wait for a disk.
    Process,
    /// The end of the machine's power: file and directory are synced.
    PowerLoss,
}

/// Writes a file whole: `name` in `dir` has the new content and the nine permission bits of `mode`, or is untouched.
///
/// Several writers at once do no harm; the last rename wins.
///
/// # Errors
///
/// [`SandboxError::InvalidName`] for a name that is no single component of at most 200 bytes,
/// [`SandboxError::NoSpace`], and errors of the system. The temporary file is removed then.
pub fn write_atomic(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), SandboxError> {
    let component = !name.is_empty() && name.len() <= MAX_NAME && !matches!(name, "." | "..");
    if !component || name.bytes().any(|byte| byte == b'/' || byte == 0) {
        let name = name.chars().take(MAX_NAME).collect();
        return Err(SandboxError::InvalidName { path: dir.to_owned(), name });
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = File::from(openat(CWD, dir, flags, Mode::empty()).context("open directory", dir)?);
    let (mut file, temporary) = create_temporary(&directory, name).context("create", dir.join(name))?;
    let result = fill(&mut file, bytes, mode, durability).context("write", dir.join(name)).and_then(|()| {
        renameat(&directory, &temporary, &directory, name).context("rename to", dir.join(name))
    });
    if let Err(error) = result {
        let _ = unlinkat(&directory, &temporary, AtFlags::empty());
        return Err(error);
    }
    match durability {
        Durability::Process => Ok(()),
        Durability::PowerLoss => fsync(&directory).context("sync directory", dir),
    }
}

/// Says whether a file name is that of a write that was cut short, to be skipped by whoever lists a directory.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX)
        && name.rsplit_once(INFIX).is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        })
}

/// Removes what writes that were cut short have left in a directory, and says how many. Only for the one process that
/// writes there.
///
/// # Errors
///
/// As the system gives them.
pub fn remove_temporaries(dir: &Path) -> Result<u64, SandboxError> {
    let mut removed = 0;
    for entry in std::fs::read_dir(dir).context("list", dir)? {
        let entry = entry.context("list", dir)?;
        if entry.file_name().to_str().is_some_and(is_temporary) {
            match std::fs::remove_file(entry.path()) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => {
                    result.context("remove", entry.path())?;
                    removed += 1;
                }
            }
        }
    }
    Ok(removed)
}

/// Reads a file of at most `max` bytes whole.
///
/// # Errors
///
/// [`SandboxError::is_not_found`], [`SandboxError::TooLarge`], [`SandboxError::Symlink`] or
/// [`SandboxError::Unexpected`] for what is no regular file, and errors of the system.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, SandboxError> {
    let operation = "read";
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, path, flags, Mode::empty()).context(operation, path)?);
    let metadata = file.metadata().context(operation, path)?;
    if !metadata.is_file() {
        let found = Found::Node(Kind::from(metadata.file_type()));
        return Err(SandboxError::Unexpected {
            operation,
            path: path.to_owned(),
            found,
            expected: "a regular file",
        });
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).context(operation, path)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(SandboxError::TooLarge { path: path.to_owned(), max });
    }
    Ok(bytes)
}

fn create_temporary(directory: &File, name: &str) -> Result<(File, String), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut result = Err(Errno::EXIST);
    for _ in 0..ATTEMPTS {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{PREFIX}{name}{INFIX}{}-{number}", std::process::id());
        // Nobody else may read it before it has its own mode.
        result = openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map(|fd| (File::from(fd), temporary));
        if !matches!(result, Err(Errno::EXIST)) {
            break;
        }
    }
    result
}

fn fill(file: &mut File, bytes: &[u8], mode: u32, durability: Durability) -> std::io::Result<()> {
    file.write_all(bytes)?;
    adopt(&*file, mode, None)?;
    match durability {
        Durability::Process => Ok(()),
        Durability::PowerLoss => file.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_temporary_names_are_recognised() {
        for (name, expected) in [
            (".supervision.tmp-12-0", true),
            (".a.tmp-1.tmp-3-4", true),
            ("supervision", false),
            ("supervision.tmp-12-0", false),
            (".supervision.tmp-", false),
            (".supervision.tmp-x", false),
            (".hidden", false),
        ] {
            assert_eq!(is_temporary(name), expected, "{name}");
        }
    }
}
