//! One extraction, from the open archive to the filled sandbox.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use sandbox::Sandbox;

use super::error::{ExtractError, shown};
use super::kind::{self, Compression, Format, Kind, PROBE, kind_of};
use super::meter::{ExtractLimits, Meter, Metered};
use super::notes::{Note, Notes};
use super::source::Source;
use super::stream::decoder;
use super::tree::{Entry, Holes, Tree};
use super::{tar, zip};

/// The mode of a single file that was compressed: what the shell gives `gunzip -c` in Mesos' src/launcher/fetcher.cpp.
const FILE_MODE: u32 = 0o644;

/// What to extract, and where to.
#[derive(Debug)]
pub struct Extraction<'a> {
    /// The archive, a regular file that is open for reading. Its position does not matter.
    pub archive: &'a File,
    /// The last component of the name that the user knows it by. [`kind_of`] must know it.
    pub file_name: &'a OsStr,
    /// The sandbox.
    pub into: &'a Sandbox,
    /// How much it may put there.
    pub limits: ExtractLimits,
    /// Names in the sandbox itself that are left as they are: its log files.
    pub keep_out: &'a [&'a str],
    /// Paths of the sandbox in the task's container, which absolute symbolic links may name beside its path here.
    pub aliases: &'a [&'a Path],
    /// Set to true, by any thread, to give up.
    pub cancel: &'a AtomicBool,
}

/// What was extracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Files, links and directories.
    pub entries: u64,
    /// Bytes of the files, with their holes.
    pub bytes: u64,
    /// Whether one of them is where the Docker client looks for the credentials of registries.
    pub registry_config: bool,
}

/// Extracts an archive into a sandbox, or a compressed file to the name without its ending.
///
/// Follows `extract` of Mesos' src/launcher/fetcher.cpp: entries are put below the sandbox whatever their names begin
/// with, `..` fails, the last of several entries of a name wins, times are restored and owners are not. Permissions are
/// narrowed as by a umask of 022 and by the process' own. Symbolic links must stay inside, which Mesos does not check.
///
/// It blocks, for as long as the disk takes. `say` gets what the task's owner should know, a few lines at most.
///
/// # Errors
///
/// See [`ExtractError`]. Entries before the failure stay, the one that failed is not there.
pub fn extract(extraction: &Extraction<'_>, say: &mut dyn FnMut(&Note)) -> Result<Extracted, ExtractError> {
    let meter = Meter::new(extraction.limits, extraction.cancel);
    meter.check()?;
    let roots: Vec<&Path> =
        std::iter::once(extraction.into.path()).chain(extraction.aliases.iter().copied()).collect();
    let tree = Tree::new(extraction.into, &meter, Notes::new(say), extraction.keep_out, &roots);
    match kind_of(extraction.file_name) {
        Some(Kind::Compressed(compression)) => one_file(extraction, compression, &meter, tree)?,
        Some(Kind::Archive) | None => archive(extraction, &meter, tree)?,
    }
    Ok(Extracted {
        entries: meter.entries(),
        bytes: meter.written(),
        registry_config: meter.has_registry_config(),
    })
}

fn archive<'m>(
    extraction: &Extraction<'m>,
    meter: &'m Meter<'m>,
    mut tree: Tree<'_>,
) -> Result<(), ExtractError> {
    let source = open(extraction)?;
    let head = source.head(PROBE).map_err(|source| ExtractError::Read { source })?;
    let name = extraction.file_name.as_bytes();
    match kind::format_of(&head, name).ok_or_else(|| unknown(name))? {
        Format::Empty => tree.note(&Note::Empty),
        Format::Tar => tar::unpack(source, meter, &mut tree)?,
        Format::Zip => zip::unpack(extraction.archive, meter, &mut tree)?,
        Format::Compressed(compression) => {
            let format = compression.name();
            let opened = |source| decoder(compression, source, meter);
            let damaged = |source| meter.read_error(format, None, source);
            let mut data = opened(source).map_err(damaged)?;
            tar::unpack(&mut data, meter, &mut tree)?;
            tar::drain(data, meter, format)?;
            if meter.has_trailing() {
                tree.note(&Note::Trailing);
            }
        }
    }
    tree.finish();
    Ok(())
}

/// Decompresses a file as `gunzip -c` does. Unlike it, something after the data is no failure, as in archives.
fn one_file<'m>(
    extraction: &Extraction<'m>,
    compression: Compression,
    meter: &'m Meter<'m>,
    mut tree: Tree<'_>,
) -> Result<(), ExtractError> {
    let format = compression.name();
    let name = extraction.file_name.as_bytes();
    let output = kind::single(name).map(|(_, output)| output).filter(|output| !output.is_empty());
    let output = output.ok_or_else(|| ExtractError::NoName { name: shown(name) })?;
    let entry = Entry { name: output.to_owned(), mode: FILE_MODE, modified: None };
    let damaged = |source| meter.read_error(format, None, source);
    let data = decoder(compression, open(extraction)?, meter).map_err(damaged)?;
    tree.file(&entry, Holes::Fill, format, &mut Metered::new(data, meter))?;
    if meter.has_trailing() {
        tree.note(&Note::Trailing);
    }
    tree.finish();
    Ok(())
}

fn open<'m>(extraction: &Extraction<'m>) -> Result<Source<'m>, ExtractError> {
    Source::new(extraction.archive).map_err(|source| ExtractError::Read { source })
}

fn unknown(name: &[u8]) -> ExtractError {
    ExtractError::UnknownFormat { name: shown(name) }
}
