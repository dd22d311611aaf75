//! The reader of one recovery: its rules for what is missing, cut or unreadable, which all parts share.

use std::ffi::OsStr;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use prost::Message;
use rustix::fs::{Mode, OFlags};

use super::Strictness;
use super::state::{Finding, FindingKind, Leftover, LeftoverReason, RecoveredState};
use crate::boot::BootId;
use crate::dir::{Dir, Entry, EntryKind, is_temporary};
use crate::error::{CheckpointError, Context};
use crate::layout::{LATEST, QUARANTINE};
use crate::record::{self, End, Records, Unreadable};
use crate::store::{Missing, Store};

/// The largest file of one message, in bytes.
const LARGEST_MESSAGE: u64 = record::MAX_RECORD as u64 + record::PREFIX as u64;

/// The longest text file, in bytes.
const LONGEST_TEXT: u64 = 4096;

/// The mode of quarantine directories.
const QUARANTINE_MODE: Mode = Mode::from_raw_mode(0o700);

/// A recovery under way.
pub(super) struct Reader<'a> {
    pub(super) store: &'a Store,
    strictness: Strictness,
    pub(super) state: RecoveredState,
    /// Where this recovery moves what it cannot read, below the quarantine.
    batch: String,
}

impl<'a> Reader<'a> {
    pub(super) fn new(store: &'a Store, strictness: Strictness) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let batch = format!("{}-{}", since.as_secs(), std::process::id());
        Self { store, strictness, state: RecoveredState::default(), batch }
    }

    /// Reads everything.
    pub(super) fn work_dir(&mut self, boot: &BootId) -> Result<RecoveredState, CheckpointError> {
        let meta = self.store.directory(&self.store.layout().meta(), Missing::Make)?;
        self.quarantined_before(&meta)?;
        self.sweep(&meta, |_| ())?;
        let recorded = self.part(&meta, "boot_id", BootId::read(&meta))?;
        self.state.boot = recorded.flatten();
        self.state.rebooted = self.state.boot.as_ref().is_some_and(|recorded| recorded != boot);
        self.state.resources = self.resources(&meta)?;
        self.state.agent = self.agent(&meta)?;
        Ok(std::mem::take(&mut self.state))
    }

    fn quarantined_before(&mut self, meta: &Dir) -> Result<(), CheckpointError> {
        let Some(quarantine) = meta.child(QUARANTINE)? else { return Ok(()) };
        for entry in quarantine.entries()? {
            self.leftover(quarantine.path().join(entry.name), LeftoverReason::Quarantine);
        }
        Ok(())
    }

    /// Judges a part: when lenient, one that could not be read is moved aside and counts as missing. `name` is what is
    /// moved.
    pub(super) fn part<T>(
        &mut self,
        dir: &Dir,
        name: impl AsRef<OsStr>,
        read: Result<T, CheckpointError>,
    ) -> Result<Option<T>, CheckpointError> {
        match (read, self.strictness) {
            (Ok(read), _) => Ok(Some(read)),
            (Err(error), Strictness::Strict) => Err(error),
            (Err(why), Strictness::Lenient) => {
                let to = self.quarantine(dir, name.as_ref()).ok();
                self.state.errors += 1;
                self.finding(dir.path().join(name.as_ref()), FindingKind::Quarantined { to, why });
                Ok(None)
            }
        }
    }

    /// Moves an entry aside, below its own path.
    fn quarantine(&self, dir: &Dir, name: &OsStr) -> Result<PathBuf, CheckpointError> {
        let meta = self.store.directory(&self.store.layout().meta(), Missing::Make)?;
        let mut to = meta
            .make_child(OsStr::new(QUARANTINE), QUARANTINE_MODE)?
            .make_child(OsStr::new(&self.batch), QUARANTINE_MODE)?;
        let below = dir.path().strip_prefix(meta.path()).unwrap_or(Path::new(""));
        for component in below {
            to = to.make_child(component, QUARANTINE_MODE)?;
        }
        dir.move_to(name, &to)?;
        Ok(to.path().join(name))
    }

    /// Opens a subdirectory; `None` when it is missing, or is something else and was moved aside.
    pub(super) fn child(&mut self, dir: &Dir, name: &'static str) -> Result<Option<Dir>, CheckpointError> {
        let opened = dir.child(name);
        Ok(self.part(dir, name, opened)?.flatten())
    }

    /// Reads a file of one message; `None` when it is missing, empty or moved aside. `check` says what is wrong with a
    /// message that decodes.
    pub(super) fn message<M: Message + Default>(
        &mut self,
        dir: &Dir,
        name: &'static str,
        message: &'static str,
        check: impl Fn(&M) -> Result<(), String>,
    ) -> Result<Option<M>, CheckpointError> {
        let read = read_message(dir, name, message, check);
        Ok(self.part(dir, name, read)?.flatten())
    }

    /// Reads a text file without the white space around it; `None` when it is missing, empty or moved aside.
    pub(super) fn text<T>(
        &mut self,
        dir: &Dir,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, CheckpointError> {
        let read = dir.read(name, LONGEST_TEXT).and_then(|bytes| {
            let damaged = |reason| CheckpointError::Damaged { path: dir.path().join(name), reason };
            let text = String::from_utf8(bytes.unwrap_or_default())
                .map_err(|_| damaged("it is no text".to_owned()))?;
            match text.trim_matches(|c: char| c.is_whitespace() || c == '\0') {
                "" => Ok(None),
                text => parse(text).map(Some).map_err(damaged),
            }
        });
        Ok(self.part(dir, name, read)?.flatten())
    }

    /// Gives `take` the records of a stream or list, and says whether there is a file. A cut end is cut off. What is
    /// wrong is an error when strict; otherwise the whole file is moved aside, and what stands before the wrong record
    /// is kept and written again. `take` says what is wrong with a message that decodes.
    pub(super) fn records<M: Message + Default>(
        &mut self,
        dir: &Dir,
        name: &'static str,
        take: impl FnMut(M) -> Result<(), String>,
    ) -> Result<bool, CheckpointError> {
        let opened = dir.open_file(name, OFlags::RDWR);
        let Some(mut file) = self.part(dir, name, opened)?.flatten() else { return Ok(false) };
        let path = dir.path().join(name);
        let found: Records<()> = record::read_all(BufReader::new(&file), take).context("read", &path)?;
        match found.end {
            End::Clean => {}
            End::Cut => {
                let length = file.metadata().context("look at", &path)?.len();
                file.set_len(found.good).context("truncate", &path)?;
                self.finding(path, FindingKind::Cut { bytes: length.saturating_sub(found.good) });
            }
            End::Damaged(reason) => {
                let reason = format!("after {} bytes, {reason}", found.good);
                self.part(dir, name, Err::<(), _>(CheckpointError::Damaged { path: path.clone(), reason }))?;
                let mut good = Vec::new();
                file.rewind().context("read", &path)?;
                file.take(found.good).read_to_end(&mut good).context("read", &path)?;
                dir.replace(OsStr::new(name), &good)?;
            }
        }
        Ok(true)
    }

    /// Lists the subdirectories whose names are ids. Temporary files are removed, names that no id has are noted.
    pub(super) fn ids<I: FromStr>(&mut self, dir: &Dir) -> Result<Vec<(I, Dir)>, CheckpointError> {
        let mut found = Vec::new();
        let mut listed = Vec::new();
        self.sweep(dir, |entry| listed.push(entry.clone()))?;
        for entry in listed {
            let id = entry.name.to_str().and_then(|name| name.parse().ok());
            match (id, entry.kind) {
                (Some(id), EntryKind::Directory) => {
                    if let Some(child) = dir.child(&entry.name)? {
                        found.push((id, child));
                    }
                }
                (_, EntryKind::Symlink) if entry.name == LATEST => {}
                _ => self.finding(dir.path().join(&entry.name), FindingKind::UnknownName),
            }
        }
        Ok(found)
    }

    /// Removes the temporary files of a directory and gives the other entries to `keep`.
    pub(super) fn sweep(&mut self, dir: &Dir, mut keep: impl FnMut(&Entry)) -> Result<(), CheckpointError> {
        for entry in dir.entries()? {
            if matches!(entry.kind, EntryKind::File | EntryKind::Symlink) && is_temporary(&entry.name) {
                dir.remove(&entry.name)?;
                self.finding(dir.path().join(&entry.name), FindingKind::TemporaryRemoved);
            } else {
                keep(&entry);
            }
        }
        Ok(())
    }

    /// Reads which entry of its directory a `latest` link names; `None` when there is no link.
    ///
    /// Only the last component counts, and the way to it must be this directory, unless that place is gone: then the
    /// work directory was moved.
    pub(super) fn latest<I: FromStr>(&mut self, dir: &Dir) -> Result<Option<I>, CheckpointError> {
        let name = LATEST;
        let read = self.judge_latest(dir);
        match self.part(dir, name, read)?.flatten() {
            Some((id, moved)) => {
                if let Some(target) = moved {
                    self.finding(dir.path().join(name), FindingKind::Moved { target });
                }
                Ok(Some(id))
            }
            None => Ok(None),
        }
    }

    fn judge_latest<I: FromStr>(&self, dir: &Dir) -> Result<Option<(I, Option<PathBuf>)>, CheckpointError> {
        let name = LATEST;
        let Some(target) = dir.read_link(name)? else { return Ok(None) };
        let path = dir.path().join(name);
        let outside = || CheckpointError::Outside { path: path.clone(), target: target.clone() };
        let (Some(last), Some(parent)) = (target.file_name(), target.parent()) else { return Err(outside()) };
        let moved = match dir.is_at(&dir.path().join(parent))? {
            Some(true) => None,
            Some(false) => return Err(outside()),
            None => Some(target.clone()),
        };
        let id =
            last.to_str().and_then(|last| last.parse().ok()).ok_or_else(|| CheckpointError::Damaged {
                path: path.clone(),
                reason: format!("it points to {last:?}, which is no id"),
            })?;
        if dir.child(last)?.is_none() {
            return Err(CheckpointError::Damaged {
                path: path.clone(),
                reason: format!("it points to {last:?}, which is not there"),
            });
        }
        Ok(Some((id, moved)))
    }

    pub(super) fn finding(&mut self, path: PathBuf, what: FindingKind) {
        self.state.findings.push(Finding { path, what });
    }

    pub(super) fn leftover(&mut self, path: PathBuf, why: LeftoverReason) {
        self.state.leftovers.push(Leftover { path, why });
    }

    /// Notes that a part was passed over because `missing` is not there, and that its directories are of no use.
    pub(super) fn skipped(&mut self, missing: PathBuf, directories: [&Path; 2]) {
        self.finding(missing, FindingKind::Missing);
        for directory in directories {
            self.leftover(directory.to_owned(), LeftoverReason::Skipped);
        }
    }
}

fn read_message<M: Message + Default>(
    dir: &Dir,
    name: &'static str,
    message: &'static str,
    check: impl Fn(&M) -> Result<(), String>,
) -> Result<Option<M>, CheckpointError> {
    let Some(bytes) = dir.read(name, LARGEST_MESSAGE)? else { return Ok(None) };
    let path = dir.path().join(name);
    match record::decode::<M>(&bytes) {
        Ok(None) => Ok(None),
        Ok(Some(read)) => match check(&read) {
            Ok(()) => Ok(Some(read)),
            Err(reason) => Err(CheckpointError::Damaged { path, reason }),
        },
        Err(short @ Unreadable::Short { .. }) => {
            Err(CheckpointError::Damaged { path, reason: short.to_string() })
        }
        Err(Unreadable::Decode(source)) => Err(CheckpointError::Undecodable { path, message, source }),
    }
}
