//! The books: which file of the cache is whose, how much room is promised, and who must go when there is too little.
//!
//! Pure: no file is touched here and nobody waits. What must be deleted is answered, and the caller deletes it. An
//! entry lives like this:
//!
//! ```text
//! take ──► Filling ──complete──► Complete ──evicted, missing, outdated──► gone
//!             └───────fail───────────────────────────────────────────────► gone
//! ```
//!
//! An outdated entry is found by nobody any more, and goes with the last reference to it.
//!
//! Follows `FetcherProcess::Cache` of Mesos (src/slave/containerizer/fetcher.cpp). Departs where stock loses count: a
//! file that is smaller than announced gives room back, one that is larger stays if room can be made for the rest.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::progress::Validators;

/// The longest part of a URI's name that is kept whole in a file name, in characters.
const LONGEST_NAME: usize = 20;

/// How much of each end of a longer one is kept: the end has the extension, which decides about unpacking.
const KEPT: usize = 10;

/// The most entries: empty files take no room, and would otherwise be kept without a bound.
const MOST_ENTRIES: usize = 65_536;

/// What an entry is found by: the account that fetched it and the URI as the framework gave it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The account's name.
    pub user: String,
    /// The URI, secrets included.
    pub uri: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, crate::uri::redacted(&self.uri))
    }
}

/// One entry for as long as it lives; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(u64);

/// Where the file of an entry is, below the directory of the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheFile {
    /// The account, which is also the name of its directory.
    pub user: String,
    /// The file's name.
    pub name: String,
}

impl CacheFile {
    /// The file of an entry that is gone already: a name that nothing has.
    pub(super) fn none(key: &Key) -> CacheFile {
        CacheFile { user: key.user.clone(), name: "c0-".to_owned() }
    }
}

/// How an entry stands for who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was made now: the one who asked fills it.
    New(EntryId),
    /// Somebody else fills it.
    Filling(EntryId),
    /// Its file is there.
    Complete(EntryId),
}

/// There is no room: everything else is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not enough room in the cache: {wanted} bytes are needed, {free} of {limit} are free and {reclaimable} could be freed"
)]
pub struct NoRoom {
    /// What was asked for, in bytes.
    pub wanted: u64,
    /// What is free.
    pub free: u64,
    /// What entries hold that nobody uses.
    pub reclaimable: u64,
    /// The size of the cache.
    pub limit: u64,
}

/// What became of a file that was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It stays; these go to make room for what it has more than announced.
    Kept(Vec<CacheFile>),
    /// It is too large, and is no entry any more; its file is to be deleted once the fetch that made it is over.
    Refused(Option<CacheFile>, NoRoom),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Filling,
    Complete,
}

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    file: CacheFile,
    state: State,
    /// Bytes: promised while it fills, real when it is complete.
    size: u64,
    /// How many fetches use it. One that fills has at least the one that fills it.
    references: usize,
    /// When it was used last; larger is later.
    used_at: u64,
    validators: Validators,
}

/// The books of one cache. See the module.
#[derive(Debug)]
pub struct Books {
    limit: u64,
    used: u64,
    /// Numbers for entries, file names and times of use: each is given once.
    serial: u64,
    by_key: HashMap<Key, EntryId>,
    entries: BTreeMap<EntryId, Entry>,
}

impl Books {
    /// Books of an empty cache of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Books {
        Books { limit, used: 0, serial: 0, by_key: HashMap::new(), entries: BTreeMap::new() }
    }

    /// The size of the cache in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are promised or taken. Never above the limit.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Looks for a complete entry; changes nothing.
    #[must_use]
    pub fn complete_entry(&self, key: &Key) -> Option<(EntryId, &CacheFile, u64, &Validators)> {
        let id = *self.by_key.get(key)?;
        let entry = self.entries.get(&id).filter(|entry| entry.state == State::Complete)?;
        Some((id, &entry.file, entry.size, &entry.validators))
    }

    /// Takes a reference on the entry of `key`, which is made when there is none; it counts as used now.
    ///
    /// `name` is the URI's own name, of which a new entry's file name is made. Every answer holds one reference, to be
    /// given back by [`Books::release`], or by [`Books::fail`] for an entry that was new.
    pub fn take(&mut self, key: &Key, name: &str) -> Taken {
        let now = self.next();
        if let Some(id) = self.by_key.get(key)
            && let Some(entry) = self.entries.get_mut(id)
        {
            entry.references += 1;
            entry.used_at = now;
            return match entry.state {
                State::Filling => Taken::Filling(*id),
                State::Complete => Taken::Complete(*id),
            };
        }
        let id = EntryId(now);
        let file = CacheFile { user: key.user.clone(), name: file_name(now, name) };
        let entry = Entry {
            key: key.clone(),
            file,
            state: State::Filling,
            size: 0,
            references: 1,
            used_at: now,
            validators: Validators::default(),
        };
        self.entries.insert(id, entry);
        self.by_key.insert(key.clone(), id);
        Taken::New(id)
    }

    /// Where the file of an entry is.
    #[must_use]
    pub fn file(&self, id: EntryId) -> Option<&CacheFile> {
        self.entries.get(&id).map(|entry| &entry.file)
    }

    /// Promises `size` bytes to an entry that fills. What is evicted for it is answered.
    ///
    /// # Errors
    ///
    /// [`NoRoom`], and then nothing has changed.
    pub fn reserve(&mut self, id: EntryId, size: u64) -> Result<Vec<CacheFile>, NoRoom> {
        let held = self.entries.get(&id).map_or(0, |entry| entry.size);
        let evicted = self.make_room(size.saturating_sub(held))?;
        if let Some(entry) = self.entries.get_mut(&id) {
            self.used = self.used - entry.size + size;
            entry.size = size;
        }
        Ok(evicted)
    }

    /// Takes note that the file of an entry is there and how large it is. The reference stays.
    pub fn complete(&mut self, id: EntryId, size: u64, validators: Validators) -> Completed {
        match self.reserve(id, size) {
            Ok(evicted) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.state = State::Complete;
                    entry.validators = validators;
                }
                Completed::Kept(evicted)
            }
            Err(no_room) => {
                let file = self.remove(id);
                Completed::Refused(file, no_room)
            }
        }
    }

    /// Removes an entry, whoever still refers to it, and answers its file, which is to be deleted. Its room is free at
    /// once.
    pub fn remove(&mut self, id: EntryId) -> Option<CacheFile> {
        let entry = self.entries.remove(&id)?;
        self.used -= entry.size;
        if self.by_key.get(&entry.key) == Some(&id) {
            self.by_key.remove(&entry.key);
        }
        Some(entry.file)
    }

    /// Lets nobody find a complete entry any more. Where nobody uses it, it goes, and its file is answered; otherwise
    /// it goes with the last reference to it.
    pub fn outdate(&mut self, id: EntryId) -> Option<CacheFile> {
        let entry = self.entries.get(&id).filter(|entry| entry.state == State::Complete)?;
        if self.by_key.get(&entry.key) == Some(&id) {
            self.by_key.remove(&entry.key);
        }
        if entry.references > 0 { None } else { self.remove(id) }
    }

    /// Gives a reference back. An entry that is gone has none. The last one to an outdated entry answers its file, which
    /// is to be deleted.
    #[must_use]
    pub fn release(&mut self, id: EntryId) -> Option<CacheFile> {
        let entry = self.entries.get_mut(&id)?;
        debug_assert!(entry.references > 0, "a reference was given back twice");
        entry.references = entry.references.saturating_sub(1);
        let is_found = self.by_key.get(&entry.key) == Some(&id);
        if entry.references > 0 || is_found { None } else { self.remove(id) }
    }

    /// Frees `wanted` bytes, those that were used longest ago first.
    fn make_room(&mut self, wanted: u64) -> Result<Vec<CacheFile>, NoRoom> {
        let free = self.limit - self.used;
        if wanted <= free && self.entries.len() <= MOST_ENTRIES {
            return Ok(Vec::new());
        }
        let mut idle: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == State::Complete && entry.references == 0)
            .map(|(id, entry)| (entry.used_at, *id, entry.size))
            .collect();
        idle.sort_unstable();
        let reclaimable = idle.iter().map(|(_, _, size)| size).sum::<u64>();
        if wanted > free + reclaimable {
            return Err(NoRoom { wanted, free, reclaimable, limit: self.limit });
        }
        let mut evicted = Vec::new();
        for (_, id, _) in idle {
            if wanted <= self.limit - self.used && self.entries.len() <= MOST_ENTRIES {
                break;
            }
            evicted.extend(self.remove(id));
        }
        Ok(evicted)
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

/// The name of an entry's file: `c<serial>-<name>`, of a long name only its two ends.
fn file_name(serial: u64, name: &str) -> String {
    let length = name.chars().count();
    if length <= LONGEST_NAME {
        return format!("c{serial}-{name}");
    }
    let first: String = name.chars().take(KEPT).collect();
    let last: String = name.chars().skip(length - KEPT).collect();
    format!("c{serial}-{first}_{last}")
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
