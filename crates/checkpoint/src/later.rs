//! Writes that wait for the disk together: each file is written under a temporary name, then all are synced, then all are
//! renamed, then the directories are synced, each once. What a crash leaves of them is what it leaves of single writes.
//!
//! A file system with a journal commits at the first sync nearly all that the others wait for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, fsync, renameat, unlinkat};

use crate::error::{CheckpointError, Context};

/// How many writes wait at most: each holds a file and a directory open.
const MOST: usize = 32;

/// The writes of one store that wait; none outside of [`crate::Store::later`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Later(Arc<Mutex<Option<Waiting>>>);

#[derive(Debug, Default)]
struct Waiting {
    replacements: Vec<Replacement>,
    appended: BTreeMap<PathBuf, File>,
    directories: BTreeMap<PathBuf, File>,
}

/// A file that is written and has not its name yet.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) file: File,
    pub(crate) directory: File,
    pub(crate) temporary: OsString,
    pub(crate) name: OsString,
    /// Of the file, for a person.
    pub(crate) path: PathBuf,
    pub(crate) directory_path: PathBuf,
}

impl Later {
    /// Lets writes wait from now on.
    pub(crate) fn begin(&self) {
        self.waiting().get_or_insert_default();
    }

    /// Lets no more writes wait, and waits for those that do.
    pub(crate) fn end(&self) -> Result<(), CheckpointError> {
        let taken = self.waiting().take();
        taken.map_or(Ok(()), Waiting::settle)
    }

    /// Waits for the disk now, for what waits.
    pub(crate) fn settle(&self) -> Result<(), CheckpointError> {
        let taken = self.waiting().as_mut().map(std::mem::take);
        taken.map_or(Ok(()), Waiting::settle)
    }

    /// Takes a file that is to be synced and renamed; gives it back where nothing waits.
    pub(crate) fn replace(&self, replacement: Replacement) -> Result<Option<Replacement>, CheckpointError> {
        let mut guard = self.waiting();
        let Some(waiting) = guard.as_mut() else { return Ok(Some(replacement)) };
        waiting.replacements.push(replacement);
        self.limit(guard)?;
        Ok(None)
    }

    /// Takes a file that is to be synced; says whether it was taken.
    pub(crate) fn append(&self, path: PathBuf, file: &File) -> Result<bool, CheckpointError> {
        let mut guard = self.waiting();
        let Some(waiting) = guard.as_mut() else { return Ok(false) };
        let clone = file.try_clone().context("hold", &path)?;
        waiting.appended.insert(path, clone);
        self.limit(guard)?;
        Ok(true)
    }

    /// Takes a directory that is to be synced; says whether it was taken.
    pub(crate) fn directory(&self, path: &std::path::Path, file: &File) -> Result<bool, CheckpointError> {
        let mut guard = self.waiting();
        let Some(waiting) = guard.as_mut() else { return Ok(false) };
        if !waiting.directories.contains_key(path) {
            waiting.directories.insert(path.to_owned(), file.try_clone().context("hold", path)?);
        }
        self.limit(guard)?;
        Ok(true)
    }

    fn limit(&self, mut guard: MutexGuard<'_, Option<Waiting>>) -> Result<(), CheckpointError> {
        let is_much = |waiting: &&mut Waiting| {
            waiting.replacements.len() + waiting.appended.len() + waiting.directories.len() >= MOST * 2
        };
        let taken = guard.as_mut().filter(is_much).map(std::mem::take);
        drop(guard);
        taken.map_or(Ok(()), Waiting::settle)
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn settle(mut self) -> Result<(), CheckpointError> {
        let mut replacements = std::mem::take(&mut self.replacements).into_iter();
        let settled = self.replace(&mut replacements);
        for left in replacements {
            // The error is told; what is left of the others are temporary files, which the next start removes, too.
            let _ = unlinkat(&left.directory, &left.temporary, AtFlags::empty());
        }
        settled
    }

    fn replace(self, replacements: &mut std::vec::IntoIter<Replacement>) -> Result<(), CheckpointError> {
        for waiting in replacements.as_slice() {
            waiting.file.sync_all().context("write", &waiting.path)?;
        }
        for (path, file) in self.appended {
            file.sync_data().context("sync", path)?;
        }
        let mut directories = self.directories;
        for waiting in replacements.by_ref() {
            let Replacement { directory, temporary, name, path, directory_path, .. } = waiting;
            let renamed = renameat(&directory, &temporary, &directory, &name).context("rename to", path);
            if renamed.is_err() {
                let _ = unlinkat(&directory, &temporary, AtFlags::empty());
            }
            renamed?;
            directories.entry(directory_path).or_insert(directory);
        }
        for (path, directory) in directories {
            fsync(&directory).context("sync directory", path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Store;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_waits_gets_its_name_at_the_end_and_the_last_write_counts() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let dir = store.layout().root().join("meta/x");
        let later = store.later();
        for (name, text) in [("a", "old"), ("b", "b"), ("a", "new")] {
            store.write_text(&dir.join(name), text).unwrap();
        }
        assert!(!dir.join("a").exists() && !dir.join("b").exists());
        later.settle().unwrap();
        assert_eq!(names(&dir), ["a", "b"]);
        assert_eq!(std::fs::read_to_string(dir.join("a")).unwrap(), "new");
        store.write_text(&dir.join("c"), "c").unwrap();
        assert!(dir.join("c").exists(), "alone it does not wait");
    }

    #[test]
    fn what_is_removed_stays_so_and_what_is_dropped_stands() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let dir = store.layout().root().join("meta/x");
        let later = store.later();
        store.write_text(&dir.join("a"), "a").unwrap();
        store.remove(&dir.join("a")).unwrap();
        store.write_text(&dir.join("b"), "b").unwrap();
        drop(later);
        assert_eq!(names(&dir), ["b"]);
    }

    #[test]
    fn many_that_wait_are_not_all_held_open() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let dir = store.layout().root().join("meta/x");
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        let later = store.later();
        for number in 0..1000 {
            store.write_text(&dir.join(format!("file-{number}")), "text").unwrap();
            // Other tests of this process open files as well.
            assert!(open() < before + 300);
        }
        later.settle().unwrap();
        assert_eq!(names(&dir).len(), 1000);
    }

    #[test]
    fn one_that_cannot_have_its_name_is_told_and_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let dir = store.layout().root().join("meta/x");
        std::fs::create_dir_all(dir.join("b/in the way")).unwrap();
        let later = store.later();
        for name in ["a", "b", "c"] {
            store.write_text(&dir.join(name), name).unwrap();
        }
        let error = later.settle().unwrap_err().to_string();
        assert!(error.contains("meta/x/b"), "{error}");
        assert_eq!(names(&dir), ["a", "b"]);
    }
}
