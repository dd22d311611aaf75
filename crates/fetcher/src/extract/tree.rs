//! Entries put into the sandbox, one at a time: the only part of the extraction that changes anything.
//!
//! Every entry is reached from the sandbox's own descriptor again, without following a link, so a directory that
//! somebody swaps meanwhile leads nowhere. The last of several entries with one name wins.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sandbox::{FileId, Kind, MadeDirectory, Modified, Place, RelPath, Sandbox, SandboxError, Staged};

use super::error::{ExtractError, Refusal, shown};
use super::meter::Meter;
use super::names::{self, Spot};
use super::notes::{Note, Notes};

/// Bytes copied at once, between two looks at the cancellation.
const BLOCK: usize = 64 * 1024;

/// The mode of directories that no entry describes, before the umask.
const IMPLIED_MODE: u32 = 0o755;

/// Where the Docker client looks for the credentials of registries when its home is the sandbox.
const REGISTRY_CONFIGS: [&str; 2] = [".docker/config.json", ".dockercfg"];

/// Directories whose time of modification is restored in the end, and the bytes of their paths.
const MAX_TIMES: usize = 65_536;
const MAX_TIME_BYTES: usize = 16 * 1024 * 1024;

/// Times that something in the way of a directory is removed for somebody who keeps putting it there.
const ATTEMPTS: u32 = 16;

/// What an archive says about an entry, beside its content.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The name as it is in the archive.
    pub(super) name: Vec<u8>,
    /// Permissions, with the special bits.
    pub(super) mode: u32,
    pub(super) modified: Option<Modified>,
}

/// How zeros are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holes {
    /// As they are.
    Fill,
    /// Blocks of them are left out, as the archive says that the file has holes.
    Keep,
}

/// A failure of copying an entry's content: which side it was.
enum Copying {
    Read(io::Error),
    Failed(ExtractError),
}

/// The sandbox being filled.
pub(super) struct Tree<'a> {
    sandbox: &'a Sandbox,
    meter: &'a Meter<'a>,
    notes: Notes<'a>,
    /// Names in the sandbox itself that are not touched.
    keep_out: &'a [&'a str],
    /// Absolute paths that mean the sandbox.
    roots: &'a [&'a Path],
    /// Files that got more than one name from this archive.
    linked: HashSet<FileId>,
    times: Vec<(RelPath, Modified)>,
    time_bytes: usize,
    buffer: Vec<u8>,
}

impl Entry {
    pub(super) fn shown(&self) -> String {
        shown(&self.name)
    }

    /// The error that refuses this entry.
    pub(super) fn refused(&self, why: Refusal) -> ExtractError {
        ExtractError::Refused { entry: self.shown(), why }
    }

    fn put(&self, source: SandboxError) -> ExtractError {
        match source {
            SandboxError::NotEmpty { .. } => self.refused(Refusal::FullDirectory),
            source => ExtractError::Put { entry: self.shown(), source },
        }
    }
}

impl<'a> Tree<'a> {
    pub(super) fn new(
        sandbox: &'a Sandbox,
        meter: &'a Meter<'a>,
        notes: Notes<'a>,
        keep_out: &'a [&'a str],
        roots: &'a [&'a Path],
    ) -> Tree<'a> {
        Tree {
            sandbox,
            meter,
            notes,
            keep_out,
            roots,
            linked: HashSet::new(),
            times: Vec::new(),
            time_bytes: 0,
            buffer: vec![0; BLOCK],
        }
    }

    pub(super) fn meter(&self) -> &'a Meter<'a> {
        self.meter
    }

    pub(super) fn note(&mut self, note: &Note) {
        self.notes.add(note);
    }

    /// Puts a regular file. `format` is named when its content cannot be read.
    pub(super) fn file(
        &mut self,
        entry: &Entry,
        holes: Holes,
        format: &'static str,
        content: &mut dyn Read,
    ) -> Result<u64, ExtractError> {
        let Some(path) = self.path(entry, Kind::File)? else { return self.discard(entry, format, content) };
        let place = self.place(entry, &path)?;
        if names::has_special_bits(entry.mode) {
            self.notes.add(&Note::SpecialBits { entry: entry.shown() });
        }
        let mut staged = place.stage(names::permissions(entry.mode)).map_err(|source| entry.put(source))?;
        let bytes = match self.copy(content, &mut staged, holes) {
            Ok(bytes) => bytes,
            Err(Copying::Read(source)) => {
                return Err(self.meter.read_error(format, Some(entry.shown()), source));
            }
            Err(Copying::Failed(error)) => return Err(error),
        };
        if let Some(modified) = entry.modified {
            staged.set_modified(modified).map_err(|source| entry.put(source))?;
        }
        staged.commit().map_err(|source| entry.put(source))?;
        Ok(bytes)
    }

    /// Makes a directory, in the place of anything but a directory.
    pub(super) fn directory(&mut self, entry: &Entry) -> Result<(), ExtractError> {
        let Some(path) = self.path(entry, Kind::Directory)? else { return Ok(()) };
        let place = self.place(entry, &path)?;
        let mode = names::directory_permissions(entry.mode);
        match make_directory(&place, mode, Through::Anything).map_err(|source| entry.put(source))? {
            MadeDirectory::Created => {}
            MadeDirectory::Existed => place.narrow_directory(mode).map_err(|source| entry.put(source))?,
        }
        let bytes = path.as_path().as_os_str().len();
        if let Some(modified) = entry.modified
            && self.times.len() < MAX_TIMES
            && self.time_bytes + bytes <= MAX_TIME_BYTES
        {
            self.time_bytes += bytes;
            self.times.push((path, modified));
        }
        Ok(())
    }

    /// Puts a symbolic link that stays inside.
    pub(super) fn symlink(&mut self, entry: &Entry, target: &[u8]) -> Result<(), ExtractError> {
        let Some(path) = self.path(entry, Kind::Symlink)? else { return Ok(()) };
        names::judge_target(&path, target, self.roots).map_err(|why| entry.refused(why))?;
        let place = self.place(entry, &path)?;
        place.put_symlink(OsStr::from_bytes(target), entry.modified).map_err(|source| entry.put(source))
    }

    /// Gives a file of the sandbox a second name. The file has no names but those that this archive gave it.
    pub(super) fn hard_link(&mut self, entry: &Entry, target: &[u8]) -> Result<(), ExtractError> {
        let Some(path) = self.path(entry, Kind::File)? else { return Ok(()) };
        let target_path = match names::spot(target) {
            Ok(Spot::Below(path)) => path,
            Ok(Spot::Root) => return Err(entry.refused(Refusal::LinkTarget)),
            Err(source) => return Err(entry.refused(Refusal::HardLinkName { target: shown(target), source })),
        };
        if self.is_kept_out(&target_path) {
            self.notes.add(&Note::KeptOut { entry: entry.shown() });
            return Ok(());
        }
        let file = self.sandbox.pin_file(&target_path).map_err(|source| {
            entry.refused(Refusal::HardLinkTarget { target: shown(target), source: Box::new(source) })
        })?;
        if file.links() != 1 && !self.linked.contains(&file.id()) {
            return Err(entry.refused(Refusal::HardLinkShared { target: shown(target) }));
        }
        if path == target_path {
            return Ok(());
        }
        let place = self.place(entry, &path)?;
        place.put_hard_link(&file).map_err(|source| entry.put(source))?;
        self.linked.insert(file.id());
        Ok(())
    }

    /// Restores the times of directories, which had to wait until they were full.
    pub(super) fn finish(mut self) {
        for (path, modified) in &self.times {
            // Meanwhile a later entry may have replaced it, and a time is not worth failing for.
            if let Ok(place) = self.sandbox.place(path) {
                let _ = place.set_directory_modified(*modified);
            }
        }
        self.notes.finish();
    }

    /// Where an entry goes, counted. `None` when it is left out.
    fn path(&mut self, entry: &Entry, kind: Kind) -> Result<Option<RelPath>, ExtractError> {
        let path = match names::spot(&entry.name) {
            Ok(Spot::Below(path)) => path,
            // `./` is the first entry of many archives. The sandbox's own mode and time are the agent's.
            Ok(Spot::Root) if kind == Kind::Directory => return Ok(None),
            Ok(Spot::Root) => return Err(entry.refused(Refusal::Empty)),
            Err(source) => return Err(entry.refused(Refusal::Name(source))),
        };
        if self.is_kept_out(&path) {
            self.notes.add(&Note::KeptOut { entry: entry.shown() });
            return Ok(None);
        }
        self.meter.add_entry()?;
        if kind != Kind::Directory
            && REGISTRY_CONFIGS.iter().any(|config| path.as_path() == Path::new(config))
        {
            self.meter.set_registry_config();
        }
        Ok(Some(path))
    }

    fn is_kept_out(&self, path: &RelPath) -> bool {
        let top = path.as_path().iter().next();
        self.keep_out.iter().any(|name| top == Some(OsStr::new(name)))
    }

    /// Reaches an entry's place, and makes the directories on the way.
    fn place(&self, entry: &Entry, path: &RelPath) -> Result<Place, ExtractError> {
        match self.sandbox.place(path) {
            Ok(place) => return Ok(place),
            Err(SandboxError::Symlink { path, .. }) => {
                return Err(entry.refused(Refusal::ThroughLink { directory: path }));
            }
            // A file or nothing on the way: a directory takes its place.
            Err(SandboxError::Unexpected { .. }) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(entry.put(error)),
        }
        let ancestors: Vec<&Path> = path.as_path().ancestors().skip(1).collect();
        for ancestor in ancestors.into_iter().rev().filter(|ancestor| !ancestor.as_os_str().is_empty()) {
            let rel = RelPath::new(ancestor).map_err(|source| entry.refused(Refusal::Name(source)))?;
            let place = self.sandbox.place(&rel).map_err(|source| entry.put(source))?;
            match make_directory(&place, IMPLIED_MODE, Through::AllButLinks) {
                Ok(MadeDirectory::Created) => self.meter.add_entry()?,
                Ok(MadeDirectory::Existed) => {}
                Err(SandboxError::Symlink { path, .. }) => {
                    return Err(entry.refused(Refusal::ThroughLink { directory: path }));
                }
                Err(source) => return Err(entry.put(source)),
            }
        }
        self.sandbox.place(path).map_err(|source| entry.put(source))
    }

    fn copy(&mut self, content: &mut dyn Read, staged: &mut Staged, holes: Holes) -> Result<u64, Copying> {
        let mut bytes = 0_u64;
        let mut hole_at_end = false;
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Copying::Read(error)),
            };
            let size = u64::try_from(count).unwrap_or(u64::MAX);
            self.meter.add_bytes(size).map_err(Copying::Failed)?;
            let block = &self.buffer[..count];
            hole_at_end = holes == Holes::Keep && block.iter().all(|byte| *byte == 0);
            let written = if hole_at_end {
                staged.file().seek(SeekFrom::Current(i64::try_from(size).unwrap_or(i64::MAX))).map(drop)
            } else {
                staged.write_all(block)
            };
            written.map_err(|source| write_error(staged, bytes, source))?;
            bytes += size;
        }
        if hole_at_end {
            staged.file().set_len(bytes).map_err(|source| write_error(staged, bytes, source))?;
        }
        Ok(bytes)
    }

    /// Reads the content of an entry that is left out.
    fn discard(
        &mut self,
        entry: &Entry,
        format: &'static str,
        content: &mut dyn Read,
    ) -> Result<u64, ExtractError> {
        let read = io::copy(content, &mut io::sink());
        read.map_err(|source| self.meter.read_error(format, Some(entry.shown()), source))
    }
}

/// What a directory may take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Through {
    /// Anything that is no symbolic link: an entry below it expects its content elsewhere.
    AllButLinks,
    /// Anything: the archive says that there is a directory now.
    Anything,
}

fn make_directory(place: &Place, mode: u32, through: Through) -> Result<MadeDirectory, SandboxError> {
    let mut result = place.make_directory(mode);
    for _ in 0..ATTEMPTS {
        match &result {
            Err(SandboxError::Symlink { .. }) if through == Through::Anything => {}
            Err(SandboxError::Unexpected { .. }) => {}
            _ => break,
        }
        place.unlink()?;
        result = place.make_directory(mode);
    }
    result
}

fn write_error(staged: &Staged, bytes: u64, source: io::Error) -> Copying {
    Copying::Failed(ExtractError::Write { path: staged.path().to_owned(), bytes, source })
}

/// Says whether a directory on the way is missing, or a file (which the system calls no directory).
fn is_missing(error: &SandboxError) -> bool {
    match error {
        SandboxError::Io { source, .. } => {
            matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        _ => false,
    }
}
