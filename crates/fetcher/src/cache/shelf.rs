//! The cache as fetches use it: the books with their directory, and who waits for whose download.
//!
//! A fetch takes all its entries at once, one [`Ticket`] for each, and then either fills an entry or waits for the one
//! who does. Nobody waits for a fetch that came later: all entries of a fetch are taken in one step, a fetch starts
//! to fill only what it took in that step, and one that fills takes nothing more. So no circle of waiting can close.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox::Owner;
use tokio::sync::watch;

use super::books::{Books, CacheFile, Completed, EntryId, Key, NoRoom, Taken};
use super::directory::{CacheDirectory, CacheError};
use crate::progress::Validators;

/// How an entry that was waited for turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Nobody knows yet.
    Pending,
    /// Its file is there.
    Complete,
    /// It cannot be cached: its size is not known, or there is no room.
    Uncacheable,
    /// The fetch that was to fill it failed or was killed. Another may fare better.
    Failed,
}

/// The cache of one process.
#[derive(Debug)]
pub struct Cache {
    directory: CacheDirectory,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    books: Books,
    waiting: HashMap<EntryId, watch::Sender<Filled>>,
}

/// One fetch's hold on one entry. Dropping it gives the reference back; an entry that it was to fill and did not is
/// failed, with its file deleted.
#[derive(Debug)]
pub struct Ticket {
    cache: Arc<Cache>,
    id: EntryId,
    file: CacheFile,
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    /// We fill it.
    Fills,
    /// Somebody else does.
    Waits(watch::Receiver<Filled>),
    /// It is complete.
    Reads,
    /// It is no entry any more, and we delete its file when we are done with it.
    Let,
}

impl Cache {
    /// A cache of `limit` bytes in a directory, which is emptied.
    ///
    /// # Errors
    ///
    /// See [`CacheError`].
    pub fn open(path: &std::path::Path, limit: u64) -> Result<Cache, CacheError> {
        let directory = CacheDirectory::open(path)?;
        let kept = Kept { books: Books::new(limit), waiting: HashMap::new() };
        Ok(Cache { directory, kept: Mutex::new(kept) })
    }

    /// The directory of an account, made or mended.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`].
    pub fn account(&self, name: &str, owner: Option<Owner>) -> Result<PathBuf, CacheError> {
        self.directory.account(name, owner)
    }

    /// Bytes in use, and entries.
    #[must_use]
    pub fn used(&self) -> (u64, usize) {
        let kept = self.lock();
        (kept.books.used(), kept.books.entries())
    }

    /// Whether there is a complete entry.
    #[must_use]
    pub fn is_complete(&self, key: &Key) -> bool {
        self.lock().books.complete_entry(key).is_some()
    }

    /// Forgets a complete entry if `is_outdated` says so of its size and of what the source said of its version: nobody
    /// finds it from then on. A fetch that uses it already goes on with it, and the last one deletes its file. Answers
    /// whether it is forgotten.
    pub fn outdate(&self, key: &Key, is_outdated: impl FnOnce(u64, &Validators) -> bool) -> bool {
        let mut kept = self.lock();
        let outdated = kept
            .books
            .complete_entry(key)
            .and_then(|(id, _, size, version)| is_outdated(size, version).then_some(id));
        let Some(id) = outdated else { return false };
        if let Some(file) = kept.books.outdate(id) {
            self.directory.delete(&file);
        }
        true
    }

    /// Takes the entries of a fetch in one step; a name is that of the URI. A complete entry whose file is missing is
    /// forgotten and made anew.
    pub fn take(self: &Arc<Self>, wanted: &[(Key, String)]) -> Vec<Ticket> {
        let mut kept = self.lock();
        let kept = &mut *kept;
        wanted.iter().map(|(key, name)| self.take_one(kept, key, name)).collect()
    }

    fn take_one(self: &Arc<Self>, kept: &mut Kept, key: &Key, name: &str) -> Ticket {
        if let Some((id, file, size, _)) = kept.books.complete_entry(key)
            && self.directory.size(file) != Some(size)
        {
            tracing::info!(
                file = file.name,
                "a file of the fetcher cache is missing or changed; it is fetched again"
            );
            if let Some(file) = kept.books.remove(id) {
                self.directory.delete(&file);
            }
        }
        let taken = kept.books.take(key, name);
        let (Taken::New(id) | Taken::Filling(id) | Taken::Complete(id)) = taken;
        let hold = match taken {
            Taken::New(_) => {
                kept.waiting.insert(id, watch::channel(Filled::Pending).0);
                Hold::Fills
            }
            Taken::Filling(_) => match kept.waiting.get(&id) {
                Some(sender) => Hold::Waits(sender.subscribe()),
                // An entry that fills always has its sender; one without could only be waited for in vain.
                None => Hold::Waits(watch::channel(Filled::Failed).1),
            },
            Taken::Complete(_) => Hold::Reads,
        };
        let file = kept.books.file(id).cloned().unwrap_or_else(|| CacheFile::none(key));
        Ticket { cache: self.clone(), id, file, hold }
    }

    /// Deletes what a killed child left half done in the directory of an account.
    pub fn sweep(&self, account: &str, pid: u32) {
        self.directory.sweep(account, pid);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Whether this fetch is the one that fills the entry.
    #[must_use]
    pub fn fills(&self) -> bool {
        matches!(self.hold, Hold::Fills)
    }

    /// The entry's file.
    #[must_use]
    pub fn file(&self) -> &CacheFile {
        &self.file
    }

    /// Waits until the entry is filled or is not to be. One that this fetch fills is pending.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn filled(&mut self) -> Filled {
        match &mut self.hold {
            Hold::Fills => Filled::Pending,
            Hold::Reads => Filled::Complete,
            Hold::Let => Filled::Failed,
            Hold::Waits(seen) => {
                let seen = seen.wait_for(|filled| *filled != Filled::Pending).await;
                // A sender that is gone has not filled it.
                seen.map_or(Filled::Failed, |filled| *filled)
            }
        }
    }

    /// Promises room for the file that is about to be downloaded; evicts others for it.
    ///
    /// # Errors
    ///
    /// [`NoRoom`]. The entry is still to be given up then, by [`Ticket::give_up`].
    pub fn reserve(&self, size: u64) -> Result<(), NoRoom> {
        let evicted = self.cache.lock().books.reserve(self.id, size)?;
        self.evict(&evicted);
        Ok(())
    }

    /// Takes note that the file is there, if it is; those who wait go on. Answers whether the entry stays.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] for a file that is larger than announced and than what can be had. It stays on disk until the ticket
    /// is dropped, for the fetch that made it.
    pub fn complete(&mut self, validators: Validators) -> Result<bool, NoRoom> {
        if !self.fills() {
            return Ok(matches!(self.hold, Hold::Reads));
        }
        let Some(size) = self.cache.directory.size(&self.file) else { return Ok(false) };
        let mut kept = self.cache.lock();
        let completed = kept.books.complete(self.id, size, validators);
        let told = match &completed {
            Completed::Kept(_) => Filled::Complete,
            Completed::Refused(..) => Filled::Uncacheable,
        };
        tell(&mut kept, self.id, told);
        drop(kept);
        match completed {
            Completed::Kept(evicted) => {
                self.hold = Hold::Reads;
                self.evict(&evicted);
                Ok(true)
            }
            Completed::Refused(_, no_room) => {
                self.hold = Hold::Let;
                Err(no_room)
            }
        }
    }

    /// Gives an entry up that cannot be cached; those who wait fetch for themselves.
    pub fn give_up(mut self) {
        self.fail(Filled::Uncacheable);
    }

    fn fail(&mut self, told: Filled) {
        if !self.fills() {
            return;
        }
        let mut kept = self.cache.lock();
        kept.books.remove(self.id);
        tell(&mut kept, self.id, told);
        drop(kept);
        self.hold = Hold::Let;
    }

    fn evict(&self, files: &[CacheFile]) {
        for file in files {
            tracing::debug!(file = file.name, "evicted from the fetcher cache");
            self.cache.directory.delete(file);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.fail(Filled::Failed);
        match self.hold {
            Hold::Let => self.cache.directory.delete(&self.file),
            Hold::Fills | Hold::Waits(_) | Hold::Reads => {
                let outdated = self.cache.lock().books.release(self.id);
                if let Some(file) = outdated {
                    self.cache.directory.delete(&file);
                }
            }
        }
    }
}

/// Tells those who wait. The sender goes: an entry is told of once.
fn tell(kept: &mut Kept, id: EntryId, filled: Filled) {
    if let Some(sender) = kept.waiting.remove(&id) {
        sender.send_replace(filled);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Scene {
        dir: tempfile::TempDir,
        cache: Arc<Cache>,
    }

    fn scene(limit: u64) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path(), limit).unwrap());
        cache.account("alice", None).unwrap();
        Scene { dir, cache }
    }

    impl Scene {
        fn take(&self, uri: &str) -> Ticket {
            let key = Key { user: "alice".into(), uri: uri.into() };
            self.cache.take(&[(key, uri.to_owned())]).remove(0)
        }

        fn write(&self, ticket: &Ticket, bytes: usize) {
            fs::write(self.dir.path().join("alice").join(&ticket.file().name), vec![0; bytes]).unwrap();
        }

        fn files(&self) -> usize {
            fs::read_dir(self.dir.path().join("alice")).unwrap().count()
        }
    }

    #[tokio::test]
    async fn those_who_wait_read_what_one_filled() {
        let scene = scene(100);
        let mut filler = scene.take("u");
        let mut waiter = scene.take("u");
        assert!(filler.fills() && !waiter.fills());
        filler.reserve(10).unwrap();
        scene.write(&filler, 10);
        assert_eq!(filler.complete(Validators::default()), Ok(true));
        assert_eq!(waiter.filled().await, Filled::Complete);
        assert_eq!(scene.take("u").filled().await, Filled::Complete);
        drop((filler, waiter));
        assert_eq!((scene.cache.used(), scene.files()), ((10, 1), 1));
    }

    #[tokio::test]
    async fn a_filler_that_goes_leaves_nothing_and_lets_another_try() {
        let scene = scene(100);
        let filler = scene.take("u");
        let mut waiter = scene.take("u");
        filler.reserve(10).unwrap();
        scene.write(&filler, 10);
        drop(filler);
        assert_eq!(waiter.filled().await, Filled::Failed);
        assert_eq!((scene.cache.used(), scene.files()), ((0, 0), 0));
        assert!(scene.take("u").fills());
        drop(waiter);
        assert_eq!(scene.cache.used(), (0, 0));
    }

    #[tokio::test]
    async fn what_cannot_be_cached_is_told_so() {
        let scene = scene(5);
        let filler = scene.take("u");
        let mut waiter = scene.take("u");
        filler.reserve(10).unwrap_err();
        filler.give_up();
        assert_eq!(waiter.filled().await, Filled::Uncacheable);
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_stays_for_the_fetch_that_made_it() {
        let scene = scene(5);
        let mut filler = scene.take("u");
        filler.reserve(1).unwrap();
        scene.write(&filler, 10);
        filler.complete(Validators::default()).unwrap_err();
        assert_eq!((scene.cache.used(), scene.files()), ((0, 0), 1));
        drop(filler);
        assert_eq!(scene.files(), 0);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_or_changed_is_fetched_again() {
        let scene = scene(100);
        let gone: fn(&std::path::Path) = |path| fs::remove_file(path).unwrap();
        let changed: fn(&std::path::Path) = |path| fs::write(path, "x").unwrap();
        for change in [gone, changed] {
            let mut filler = scene.take("u");
            assert!(filler.fills());
            scene.write(&filler, 10);
            filler.complete(Validators::default()).unwrap();
            change(&scene.dir.path().join("alice").join(&filler.file().name));
            drop(filler);
        }
        assert!(scene.take("u").fills());
        assert_eq!(scene.files(), 0);
    }

    #[tokio::test]
    async fn eviction_deletes_the_file_and_spares_what_is_used() {
        let scene = scene(20);
        let mut tickets = Vec::new();
        for uri in ["0", "1"] {
            let mut ticket = scene.take(uri);
            ticket.reserve(10).unwrap();
            scene.write(&ticket, 10);
            ticket.complete(Validators::default()).unwrap();
            tickets.push(ticket);
        }
        let third = scene.take("2");
        third.reserve(10).unwrap_err();
        tickets.remove(0);
        third.reserve(10).unwrap();
        assert_eq!(scene.files(), 1);
        assert!(scene.take("0").fills());
    }

    #[tokio::test]
    async fn an_outdated_entry_is_not_found_and_goes_with_its_last_use() {
        let scene = scene(20);
        let key = Key { user: "alice".into(), uri: "u".into() };
        let mut filler = scene.take("u");
        scene.write(&filler, 10);
        let etag = Validators { etag: Some("\"1\"".into()), last_modified: None };
        filler.complete(etag.clone()).unwrap();
        let outdate = |expected: &Validators| {
            scene.cache.outdate(&key, |size, version| size == 10 && version == expected)
        };
        assert!(!outdate(&Validators::default()) && scene.cache.is_complete(&key));
        let reader = scene.take("u");
        assert!(!reader.fills() && outdate(&etag) && !outdate(&etag));
        drop(filler);
        assert_eq!(scene.files(), 1, "it is in use");
        // Another task gets the new version while the old one is still read.
        let mut new = scene.take("u");
        assert!(new.fills());
        scene.write(&new, 7);
        new.complete(Validators::default()).unwrap();
        assert_eq!((scene.files(), scene.cache.used()), (2, (17, 2)));
        drop(reader);
        assert_eq!((scene.files(), scene.cache.used()), (1, (7, 1)));
        drop(new);
        assert!(scene.cache.outdate(&key, |_, _| true));
        assert_eq!((scene.files(), scene.cache.used()), (0, (0, 0)));
    }
}
