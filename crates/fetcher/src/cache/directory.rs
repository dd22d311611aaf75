//! The cache on disk: one directory, and in it one directory for each account, for its fetches alone.
//!
//! ```text
//! <fetcher_cache_dir>          0711, ours
//!   .lock                      held by the one process that keeps the books
//!   alice/                     0700, alice's: her fetches write it, nobody else looks into it
//!     c7-model.tar.gz
//! ```
//!
//! Only the child of a fetch writes below an account's directory, as that account; no task ever has it mounted. We
//! look at sizes there and delete files, always through descriptors and never through a link. The cache is emptied
//! when it is opened, as in Mesos: of what is found there only what a fetcher writes is deleted. A directory that has
//! anything else in it is refused; where that is in an account's directory, which the account can write, only hers is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, fchmod, fchown, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use sandbox::{Owner, RunLock, RunLockError};

use super::books::CacheFile;
use super::sweep::{DIRECTORY, TEMPORARY, names, remove, sweep};

/// The file that says which process keeps the books.
const LOCK: &str = ".lock";

/// The directory of a cache, held by this process.
#[derive(Debug)]
pub struct CacheDirectory {
    path: PathBuf,
    dir: File,
    /// The accounts whose directories hold something that no fetcher made, and what.
    refused: BTreeMap<Vec<u8>, PathBuf>,
    _lock: RunLock,
}

/// Why a directory cannot be the cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another process keeps its books.
    #[error("the fetcher cache is in use by another process")]
    InUse(#[source] RunLockError),
    /// Its way is open to others, who could put something else in its place.
    #[error(
        "the fetcher cache {path:?} cannot be used: {ancestor:?} can be written by other users; choose another \
         directory with --fetcher_cache_dir"
    )]
    Untrusted {
        /// The cache.
        path: PathBuf,
        /// The directory on its way.
        ancestor: PathBuf,
    },
    /// It has files of somebody else.
    #[error(
        "the fetcher cache {path:?} cannot be used: {foreign:?} in it is not a fetcher's; remove it and start again, \
         or choose an empty directory with --fetcher_cache_dir"
    )]
    Foreign {
        /// The cache.
        path: PathBuf,
        /// What was found.
        foreign: PathBuf,
    },
    /// The system.
    #[error("cannot {operation} {path:?}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl CacheDirectory {
    /// Makes or takes over a directory and empties it. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// See [`CacheError`]; nothing was deleted then, unless the deleting itself failed.
    pub fn open(path: &Path) -> Result<CacheDirectory, CacheError> {
        let fail = |operation: &'static str| {
            move |source: io::Error| CacheError::Io { operation, path: path.to_owned(), source }
        };
        DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(fail("make the fetcher cache"))?;
        let path = path.canonicalize().map_err(fail("find the fetcher cache"))?;
        if let Some(ancestor) = untrusted(&path).map_err(fail("look at the fetcher cache"))? {
            return Err(CacheError::Untrusted { path, ancestor });
        }
        let dir = openat(CWD, &path, DIRECTORY, Mode::empty())
            .map_err(|errno| fail("open the fetcher cache")(errno.into()))?;
        let dir = File::from(dir);
        // A directory that is refused gets no lock file from us either.
        Found::look(&path, &dir)?;
        let lock = RunLock::acquire(&path.join(LOCK)).map_err(|error| match error {
            RunLockError::Held(_) => CacheError::InUse(error),
            RunLockError::File(_) => CacheError::Io {
                operation: "lock the fetcher cache",
                path: path.clone(),
                source: io::Error::other(error),
            },
        })?;
        // A child must pass through to the directory of its account, and has no need to list the others.
        fchmod(&dir, Mode::from_raw_mode(0o711))
            .map_err(|errno| fail("set the mode of the fetcher cache")(errno.into()))?;
        let refused = Found::look(&path, &dir)?.empty(&path, &dir)?;
        Ok(CacheDirectory { path, dir, refused, _lock: lock })
    }

    /// The path of an account's directory, which is made or mended: it belongs to the account, mode 0700.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`]; an account whose name is no file name has no directory. [`CacheError::Foreign`] for one that
    /// had something else than a fetcher's files in it when the cache was opened.
    pub fn account(&self, name: &str, owner: Option<Owner>) -> Result<PathBuf, CacheError> {
        let path = self.path.join(name);
        if let Some(foreign) = self.refused.get(name.as_bytes()) {
            return Err(CacheError::Foreign { path, foreign: foreign.clone() });
        }
        let make = || -> io::Result<()> {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the name of the account is no file name",
                ));
            }
            match mkdirat(&self.dir, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            let account = openat(&self.dir, name, DIRECTORY, Mode::empty())?;
            if let Some(owner) = owner {
                fchown(&account, Some(Uid::from_raw(owner.uid())), Some(Gid::from_raw(owner.gid())))?;
            }
            Ok(fchmod(&account, Mode::RWXU)?)
        };
        match make() {
            Ok(()) => Ok(path),
            Err(source) => Err(CacheError::Io { operation: "make the directory", path, source }),
        }
    }

    /// The size of an entry's file in bytes; `None` when there is no regular file of that name.
    #[must_use]
    pub fn size(&self, file: &CacheFile) -> Option<u64> {
        let account = openat(&self.dir, &*file.user, DIRECTORY, Mode::empty()).ok()?;
        let found = statat(&account, &*file.name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        (FileType::from_raw_mode(found.st_mode) == FileType::RegularFile)
            .then(|| u64::try_from(found.st_size).unwrap_or(0))
    }

    /// Deletes an entry's file, if it is there. What cannot be deleted is logged: the books have let go of it, and the
    /// next start deletes it.
    pub fn delete(&self, file: &CacheFile) {
        let result = openat(&self.dir, &*file.user, DIRECTORY, Mode::empty())
            .and_then(|account| unlinkat(&account, &*file.name, AtFlags::empty()));
        match result {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                tracing::warn!(file = file.name, %errno, "a file of the fetcher cache was not deleted")
            }
        }
    }

    /// Deletes what a child that was killed left half done: the temporary names with its process id.
    pub fn sweep(&self, account: &str, pid: u32) {
        let Ok(dir) = openat(&self.dir, account, DIRECTORY, Mode::empty()) else { return };
        let dir = File::from(dir);
        if let Err(error) = sweep(&dir, pid) {
            tracing::warn!(account, %error, "half a download may be left in the fetcher cache");
        }
    }
}

/// Something of the cache that an earlier process left, by the directory in it.
struct Found {
    /// Accounts' directories that can be emptied.
    accounts: Vec<Vec<u8>>,
    /// Files of a fetcher in the directory of the cache itself, which stock puts there.
    files: Vec<Vec<u8>>,
    /// Accounts' directories in which there is something else: whose they are could put it there, and it is not ours to
    /// delete.
    refused: BTreeMap<Vec<u8>, PathBuf>,
}

impl Found {
    /// Looks through the directory of a cache, of which the accounts' directories may be of any size.
    ///
    /// # Errors
    ///
    /// [`CacheError::Foreign`] for something else in the directory itself, into which only we write.
    fn look(path: &Path, root: &File) -> Result<Found, CacheError> {
        let listed = names(root).map_err(|source| CacheError::Io {
            operation: "list",
            path: path.to_owned(),
            source,
        })?;
        let mut found = Found { accounts: Vec::new(), files: Vec::new(), refused: BTreeMap::new() };
        for name in listed {
            if name == LOCK.as_bytes() {
                continue;
            }
            if is_ours(&name) {
                found.files.push(name);
                continue;
            }
            let below = path.join(OsStr::from_bytes(&name));
            let Ok(account) = openat(root, OsStr::from_bytes(&name), DIRECTORY, Mode::empty()) else {
                return Err(CacheError::Foreign { path: path.to_owned(), foreign: below });
            };
            match foreign(&account.into()) {
                Ok(None) => found.accounts.push(name),
                Ok(Some(foreign)) => {
                    drop(found.refused.insert(name, below.join(OsStr::from_bytes(&foreign))))
                }
                Err(error) => {
                    tracing::warn!(path = %below.display(), %error, "a directory of the fetcher cache cannot be listed");
                    found.refused.insert(name, below);
                }
            }
        }
        Ok(found)
    }

    /// Deletes what can be deleted, and answers the accounts that have no directory then, with what is in the way.
    fn empty(mut self, path: &Path, root: &File) -> Result<BTreeMap<Vec<u8>, PathBuf>, CacheError> {
        let failed = |name: &[u8], source: io::Error| CacheError::Io {
            operation: "empty the fetcher cache: cannot delete",
            path: path.join(OsStr::from_bytes(name)),
            source,
        };
        for name in &self.files {
            remove(root, name).map_err(|source| failed(name, source))?;
        }
        for name in self.accounts {
            let emptied = openat(root, OsStr::from_bytes(&name), DIRECTORY, Mode::empty())
                .map_err(io::Error::from)
                .and_then(|account| empty(&account.into()));
            if let Err(error) = emptied {
                let below = path.join(OsStr::from_bytes(&name));
                tracing::warn!(path = %below.display(), %error, "a directory of the fetcher cache cannot be emptied");
                self.refused.insert(name, below);
            }
        }
        for foreign in self.refused.values() {
            tracing::warn!(
                foreign = %foreign.display(),
                "something in the fetcher cache is not a fetcher's; the user whose directory it is in has no cache"
            );
        }
        Ok(self.refused)
    }
}

/// The first thing in an account's directory that no fetcher made.
fn foreign(account: &File) -> io::Result<Option<Vec<u8>>> {
    for entry in Dir::read_from(account)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && !is_ours(name) {
            return Ok(Some(name.to_vec()));
        }
    }
    Ok(None)
}

/// Deletes what a fetcher made in an account's directory.
fn empty(account: &File) -> io::Result<()> {
    for entry in Dir::read_from(account)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && is_ours(name) {
            remove(account, name)?;
        }
    }
    Ok(())
}

/// Whether a name is one that a fetcher, ours or stock's, gives a file of its cache: `c<serial>-...`, or temporary.
fn is_ours(name: &[u8]) -> bool {
    let numbered = name.strip_prefix(b"c").and_then(|rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (digits > 0).then_some(rest.get(digits) == Some(&b'-'))
    });
    numbered == Some(true) || name.starts_with(TEMPORARY)
}

/// The first directory on the way that somebody else than root and us could change, if there is one. A directory with
/// the sticky bit, as `/tmp`, is fine: in it nobody moves what belongs to others.
fn untrusted(path: &Path) -> io::Result<Option<PathBuf>> {
    let us = geteuid().as_raw();
    for ancestor in path.ancestors() {
        let found = ancestor.symlink_metadata()?;
        let is_sticky = found.mode() & 0o1000 != 0 && ancestor != path;
        let is_open = found.mode() & 0o022 != 0 && !is_sticky;
        if is_open || (found.uid() != 0 && found.uid() != us) {
            return Ok(Some(ancestor.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(user: &str, name: &str) -> CacheFile {
        CacheFile { user: user.into(), name: name.into() }
    }

    #[test]
    fn a_cache_is_private_for_each_account() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CacheDirectory::open(&dir.path().join("a/cache")).unwrap();
        let alice = cache.account("alice", None).unwrap();
        assert_eq!(fs::metadata(&alice).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(alice.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o711);
        fs::write(alice.join("c1-x"), "12345").unwrap();
        assert_eq!(cache.size(&file("alice", "c1-x")), Some(5));
        assert_eq!(cache.size(&file("bob", "c1-x")), None);
        cache.delete(&file("alice", "c1-x"));
        assert_eq!(cache.size(&file("alice", "c1-x")), None);
        for bad in ["", ".", "..", "../bob", "a/b", ".lock"] {
            assert!(cache.account(bad, None).is_err(), "{bad}");
        }
    }

    /// Peer: FetcherCacheHttpTest.DISABLED_HttpCachedRecovery.
    #[test]
    fn a_restart_empties_the_cache_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("c1-kept"), "x").unwrap();
        let path = dir.path().join("cache");
        let cache = CacheDirectory::open(&path).unwrap();
        let alice = cache.account("alice", None).unwrap();
        fs::write(alice.join("c1-a.tgz"), "x").unwrap();
        fs::write(alice.join(".fetch.tmp-12-0"), "x").unwrap();
        fs::create_dir(alice.join(".fetch.tmp-hadoop-12-0")).unwrap();
        fs::write(alice.join(".fetch.tmp-hadoop-12-0/part"), "x").unwrap();
        fs::write(path.join("c2-stock"), "x").unwrap();
        symlink(&outside, alice.join("c3-link")).unwrap();
        drop(cache);
        let cache = CacheDirectory::open(&path).unwrap();
        assert_eq!(fs::read_dir(&alice).unwrap().count(), 0);
        assert!(outside.join("c1-kept").exists() && !path.join("c2-stock").exists());
        // A link in place of an account's directory is nothing that we write into or empty.
        fs::remove_dir(&alice).unwrap();
        symlink(&outside, &alice).unwrap();
        assert!(cache.account("alice", None).is_err());
        drop(cache);
        assert!(matches!(CacheDirectory::open(&path), Err(CacheError::Foreign { .. })));
        assert!(outside.join("c1-kept").exists());
    }

    #[test]
    fn a_directory_of_something_else_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("alice")).unwrap();
        fs::write(dir.path().join("alice/c1-mine"), "x").unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        let error = CacheDirectory::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("thesis.tex") && error.contains("--fetcher_cache_dir"), "{error}");
        assert!(dir.path().join("alice/c1-mine").exists());
    }

    #[test]
    fn what_one_user_puts_into_her_directory_takes_the_cache_from_her_alone() {
        let dir = tempfile::tempdir().unwrap();
        for account in ["alice", "bob"] {
            fs::create_dir(dir.path().join(account)).unwrap();
            fs::write(dir.path().join(account).join("c1-file"), "x").unwrap();
        }
        fs::create_dir(dir.path().join("alice/x")).unwrap();
        let cache = CacheDirectory::open(dir.path()).unwrap();
        let error = cache.account("alice", None).unwrap_err();
        assert!(
            matches!(error, CacheError::Foreign { .. }) && error.to_string().contains("alice/x"),
            "{error}"
        );
        assert_eq!(fs::read_dir(dir.path().join("alice")).unwrap().count(), 2, "it is hers");
        let bob = cache.account("bob", None).unwrap();
        assert_eq!(fs::read_dir(bob).unwrap().count(), 0);
        drop(cache);
        fs::remove_dir(dir.path().join("alice/x")).unwrap();
        let cache = CacheDirectory::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(cache.account("alice", None).unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn one_process_keeps_the_books() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CacheDirectory::open(dir.path()).unwrap();
        assert!(matches!(CacheDirectory::open(dir.path()), Err(CacheError::InUse(_))));
        drop(cache);
        CacheDirectory::open(dir.path()).unwrap();
    }

    #[test]
    fn a_way_that_others_can_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = CacheDirectory::open(&open.join("cache")).unwrap_err();
        assert!(matches!(error, CacheError::Untrusted { .. }), "{error}");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        CacheDirectory::open(&open.join("cache")).unwrap();
    }

    #[test]
    fn only_the_rests_of_one_child_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CacheDirectory::open(dir.path()).unwrap();
        let alice = cache.account("alice", None).unwrap();
        for name in [".fetch.tmp-7-0", ".fetch.tmp-8-7", ".fetch.tmp-77-0", "c1-x"] {
            fs::write(alice.join(name), "x").unwrap();
        }
        fs::create_dir(alice.join(".fetch.tmp-hadoop-7-1")).unwrap();
        cache.sweep("alice", 7);
        let mut left: Vec<_> = fs::read_dir(&alice)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".fetch.tmp-77-0", ".fetch.tmp-8-7", "c1-x"]);
    }
}
