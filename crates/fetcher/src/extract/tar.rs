//! Entries of a tar archive, old, POSIX or GNU, in the order in which they are written.
//!
//! The `tar` crate reads headers and data; what an entry means for the sandbox is decided here. The crate keeps long
//! names and extended headers in memory, so their bytes are bounded by the meter.

use std::io::{self, Read};

use ::tar::{Archive, EntryType};
use sandbox::Modified;

use super::error::{ExtractError, Refusal};
use super::meter::{Meter, Metered};
use super::notes::Note;
use super::sparse::{Sparse, SparseHeaders};
use super::stream::Exactly;
use super::tree::{Entry, Holes, Tree};

const FORMAT: &str = "tar";

/// Types of entry that GNU tar adds and that are not known to the crate by name.
const GNU_DIRECTORY: u8 = b'D';
const GNU_VOLUME_NAME: u8 = b'V';

type TarEntry<'r, 'm, R> = ::tar::Entry<'r, Metered<'m, R>>;

/// What the extended headers of an entry say.
#[derive(Debug, Default)]
struct Extended {
    sparse: Option<Sparse>,
    modified: Option<Modified>,
}

/// Puts all entries of an archive into the sandbox.
pub(super) fn unpack<'m>(
    reader: impl Read + 'm,
    meter: &'m Meter<'m>,
    tree: &mut Tree<'_>,
) -> Result<(), ExtractError> {
    let mut archive = Archive::new(Metered::new(reader, meter));
    let mut entries = archive.entries().map_err(|source| meter.read_error(FORMAT, None, source))?;
    loop {
        // The entry before was read to its end, so all that is read here are headers.
        meter.begin_headers();
        let next = entries.next();
        meter.end_headers();
        match next {
            None => break,
            Some(Err(source)) => return Err(meter.read_error(FORMAT, None, source)),
            Some(Ok(entry)) => unpack_entry(entry, meter, tree)?,
        }
    }
    if meter.has_ended() {
        tree.note(&Note::NoEnd);
    }
    Ok(())
}

/// Reads what follows the end mark of the archive, so that the checksum at the end of compressed data is checked.
pub(super) fn drain<'m>(
    reader: impl Read + 'm,
    meter: &'m Meter<'m>,
    format: &'static str,
) -> Result<(), ExtractError> {
    io::copy(&mut Metered::new(reader, meter), &mut io::sink())
        .map(drop)
        .map_err(|source| meter.read_error(format, None, source))
}

fn unpack_entry<R: Read>(
    mut entry: TarEntry<'_, '_, R>,
    meter: &Meter<'_>,
    tree: &mut Tree<'_>,
) -> Result<(), ExtractError> {
    let damaged = |name: &Entry, source| meter.read_error(FORMAT, Some(name.shown()), source);
    let mut about = Entry { name: entry.path_bytes().into_owned(), mode: 0, modified: None };
    about.mode = entry.header().mode().map_err(|source| damaged(&about, source))?;
    let extended = extended(&mut entry).map_err(|source| damaged(&about, source))?;
    let seconds = entry.header().mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
    about.modified = extended.modified.or(seconds.map(|seconds| Modified { seconds, nanoseconds: 0 }));

    let kind = entry.header().entry_type();
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            // Archives from before there was a type for directories.
            if about.name.ends_with(b"/") && kind == EntryType::Regular {
                tree.directory(&about)?;
            } else {
                return file(entry, about, extended.sparse, tree);
            }
        }
        EntryType::Directory => tree.directory(&about)?,
        EntryType::Symlink => tree.symlink(&about, &entry.link_name_bytes().unwrap_or_default())?,
        EntryType::Link => tree.hard_link(&about, &entry.link_name_bytes().unwrap_or_default())?,
        EntryType::Char | EntryType::Block => return Err(about.refused(Refusal::Device)),
        EntryType::Fifo => return Err(about.refused(Refusal::Fifo)),
        // Defaults for all entries: owners, comments, character sets, none of which is used.
        EntryType::XGlobalHeader => {}
        other => match other.as_byte() {
            GNU_DIRECTORY => tree.directory(&about)?,
            GNU_VOLUME_NAME => {}
            byte => return Err(about.refused(Refusal::Type(char::from(byte)))),
        },
    }
    io::copy(&mut entry, &mut io::sink()).map(drop).map_err(|source| damaged(&about, source))
}

fn file<R: Read>(
    mut entry: TarEntry<'_, '_, R>,
    mut about: Entry,
    sparse: Option<Sparse>,
    tree: &mut Tree<'_>,
) -> Result<(), ExtractError> {
    let meter = tree.meter();
    let Some(mut sparse) = sparse else {
        let size = entry.size();
        let holes = if entry.header().entry_type().is_gnu_sparse() { Holes::Keep } else { Holes::Fill };
        // The crate ends a file early without an error where the archive ends.
        let mut whole = Exactly::new(&mut entry, size);
        tree.file(&about, holes, FORMAT, &mut whole)?;
        return Ok(());
    };
    about.name = sparse.name.take().unwrap_or(about.name);
    let damaged = |source| meter.read_error(FORMAT, Some(about.shown()), source);
    let mut content = sparse.reader(&mut entry).map_err(damaged)?;
    tree.file(&about, Holes::Keep, FORMAT, &mut content)?;
    io::copy(&mut entry, &mut io::sink()).map(drop).map_err(damaged)
}

fn extended<R: Read>(entry: &mut TarEntry<'_, '_, R>) -> io::Result<Extended> {
    let mut sparse = SparseHeaders::default();
    let mut modified = None;
    if entry.header().entry_type() == EntryType::XGlobalHeader {
        return Ok(Extended::default());
    }
    let Some(extensions) = entry.pax_extensions()? else { return Ok(Extended::default()) };
    for extension in extensions {
        let extension = extension?;
        sparse.take(extension.key_bytes(), extension.value_bytes())?;
        if extension.key_bytes() == b"mtime" {
            modified = time(extension.value_bytes());
        }
    }
    Ok(Extended { sparse: sparse.finish()?, modified })
}

/// Reads a time in decimal seconds, `-1.5` for example. One that cannot be read is no reason to fail.
fn time(text: &[u8]) -> Option<Modified> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    match (whole.starts_with('-'), nanoseconds) {
        (true, 1..) => {
            Some(Modified { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds })
        }
        _ => Some(Modified { seconds, nanoseconds }),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", Some((0, 0)))]
    #[case("1350244992.023960108", Some((1_350_244_992, 23_960_108)))]
    #[case("1.5", Some((1, 500_000_000)))]
    #[case("1.1234567899", Some((1, 123_456_789)))]
    #[case("-1", Some((-1, 0)))]
    #[case("-1.25", Some((-2, 750_000_000)))]
    #[case("-0.5", Some((-1, 500_000_000)))]
    #[case("", None)]
    #[case("1.x", None)]
    #[case("1.-5", None)]
    #[case("99999999999999999999", None)]
    #[case("-9223372036854775808.5", None)]
    fn times_are_rounded_down(#[case] text: &str, #[case] expected: Option<(i64, u32)>) {
        assert_eq!(time(text.as_bytes()).map(|time| (time.seconds, time.nanoseconds)), expected);
    }
}
