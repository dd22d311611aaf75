//! Entries of a zip archive, in the order of its central directory.
//!
//! The `zip` crate finds the directory and reads headers and data, entry by entry: its usual index of the whole archive
//! is in memory and holds one entry of each name. What an entry means for the sandbox is decided here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use ::zip::read::{Config, ZipFileEntry};
use ::zip::result::ZipError;
use ::zip::unstable::read::ZipIterable;
use ::zip::{CompressionMethod, DateTime, ExtraField, System, ZipReadOptions};
use sandbox::Modified;

use super::error::{ExtractError, Refusal};
use super::meter::{Meter, Metered};
use super::names::MAX_TARGET;
use super::source::Source;
use super::stream::Exactly;
use super::tree::{Entry, Holes, Tree};

const FORMAT: &str = "zip";

/// Permissions of entries whose archive knows none.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// The bits of a Unix mode that tell the type, and their values.
const TYPE: u32 = 0o170_000;
const TYPE_FIFO: u32 = 0o010_000;
const TYPE_CHARACTER: u32 = 0o020_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_BLOCK: u32 = 0o060_000;
const TYPE_SYMLINK: u32 = 0o120_000;
const TYPE_SOCKET: u32 = 0o140_000;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    File,
    Directory,
    Symlink,
}

/// Parts of the archive that belong to an entry, by their beginning.
#[derive(Debug, Default)]
struct Spans(BTreeMap<u64, u64>);

/// Puts all entries of an archive into the sandbox.
pub(super) fn unpack<'m>(
    file: &'m File,
    meter: &'m Meter<'m>,
    tree: &mut Tree<'_>,
) -> Result<(), ExtractError> {
    let damaged = |error| zip_error(error, None, meter);
    let open = || Source::new(file).map_err(|source| ExtractError::Read { source });
    let mut archive = ZipIterable::try_new(open()?, Config::default()).map_err(damaged)?;
    let limit = meter.limits().max_entries;
    if u64::try_from(archive.len()).unwrap_or(u64::MAX) > limit {
        return Err(ExtractError::TooManyEntries { limit });
    }
    let mut content = open()?;
    let mut spans = Spans::default();
    for entry in archive.files().map_err(damaged)? {
        meter.check()?;
        unpack_entry(entry.map_err(damaged)?, &mut content, &mut spans, meter, tree)?;
    }
    Ok(())
}

fn unpack_entry<'m>(
    entry: ZipFileEntry<'_>,
    content: &mut Source<'m>,
    spans: &mut Spans,
    meter: &'m Meter<'m>,
    tree: &mut Tree<'_>,
) -> Result<(), ExtractError> {
    let mode = unix_mode(entry.system(), entry.external_attributes());
    let name = unix_name(entry.system(), entry.name_raw());
    let mut about = Entry { name, mode: mode.unwrap_or(FILE_MODE), modified: None };
    let what = what(&about.name, mode).map_err(|why| about.refused(why))?;
    if what == What::Directory && mode.is_none() {
        about.mode = DIRECTORY_MODE;
    }
    if entry.encrypted() {
        return Err(about.refused(Refusal::Encrypted));
    }
    if !is_supported(entry.compression()) {
        return Err(about.refused(Refusal::Method(entry.compression().to_string())));
    }
    let (size, packed, start) = (entry.size(), entry.compressed_size(), entry.header_start());
    let options = ZipReadOptions::new();
    let opened =
        entry.with_reader(content, options).map_err(|error| zip_error(error, Some(&about), meter))?;
    let end = opened.data_start().unwrap_or(start).saturating_add(packed);
    if !spans.claim(start, end) {
        return Err(about.refused(Refusal::Overlap));
    }
    let stamp = opened.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(stamp) => stamp.mod_time(),
        _ => None,
    });
    about.modified = match stamp {
        // The number is signed.
        Some(stamp) => Some(Modified { seconds: i64::from(stamp.cast_signed()), nanoseconds: 0 }),
        None => opened.last_modified().and_then(modified),
    };
    let content = Metered::new(opened, meter);
    match what {
        What::Directory => tree.directory(&about),
        What::Symlink => {
            let mut target = Vec::new();
            let limit = u64::try_from(MAX_TARGET).unwrap_or(u64::MAX) + 1;
            let read = content.take(limit).read_to_end(&mut target);
            read.map_err(|source| meter.read_error(FORMAT, Some(about.shown()), source))?;
            tree.symlink(&about, &target)
        }
        What::File => {
            tree.file(&about, Holes::Fill, FORMAT, &mut Exactly::new(content, size))?;
            Ok(())
        }
    }
}

/// The Unix mode of an entry, where its archive was made by a system that has one.
fn unix_mode(system: System, external_attributes: u32) -> Option<u32> {
    let mode = external_attributes >> 16;
    matches!(system, System::Unix | System::OsDarwin).then_some(mode).filter(|mode| *mode != 0)
}

/// The name of an entry. Some programs on Windows separate directories by backslashes, which libarchive corrects under
/// the same conditions.
fn unix_name(system: System, name: &[u8]) -> Vec<u8> {
    let mut name = name.to_owned();
    if system == System::Dos && !name.contains(&b'/') {
        name.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    }
    name
}

fn what(name: &[u8], mode: Option<u32>) -> Result<What, Refusal> {
    match mode.unwrap_or_default() & TYPE {
        TYPE_FIFO => Err(Refusal::Fifo),
        TYPE_CHARACTER | TYPE_BLOCK => Err(Refusal::Device),
        TYPE_SOCKET => Err(Refusal::Socket),
        TYPE_SYMLINK => Ok(What::Symlink),
        TYPE_DIRECTORY => Ok(What::Directory),
        _ if name.ends_with(b"/") => Ok(What::Directory),
        _ => Ok(What::File),
    }
}

/// Methods that we unpack: those of Info-ZIP, and Zstandard.
fn is_supported(method: CompressionMethod) -> bool {
    matches!(
        method,
        CompressionMethod::Stored
            | CompressionMethod::Deflated
            | CompressionMethod::Bzip2
            | CompressionMethod::Zstd
    )
}

/// A time of MS-DOS, which has no zone: taken as UTC, in which servers run.
fn modified(time: DateTime) -> Option<Modified> {
    let small = |value: u8| i8::try_from(value).ok();
    let date =
        jiff::civil::Date::new(i16::try_from(time.year()).ok()?, small(time.month())?, small(time.day())?);
    let clock = jiff::civil::Time::new(small(time.hour())?, small(time.minute())?, small(time.second())?, 0);
    let stamp = jiff::tz::TimeZone::UTC.to_timestamp(date.ok()?.to_datetime(clock.ok()?)).ok()?;
    Some(Modified { seconds: stamp.as_second(), nanoseconds: 0 })
}

fn zip_error(error: ZipError, about: Option<&Entry>, meter: &Meter<'_>) -> ExtractError {
    let source = match error {
        ZipError::Io(source) => source,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    };
    meter.read_error(FORMAT, about.map(Entry::shown), source)
}

impl Spans {
    /// Claims a part of the archive. `false` when another entry has some of it.
    fn claim(&mut self, start: u64, end: u64) -> bool {
        let before = self.0.range(..end).next_back();
        if before.is_some_and(|(_, other)| *other > start) {
            return false;
        }
        self.0.insert(start, end);
        true
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a", None, Ok(What::File))]
    #[case("a/", None, Ok(What::Directory))]
    #[case("a", Some(0o100_644), Ok(What::File))]
    #[case("a", Some(0o644), Ok(What::File))]
    #[case("a", Some(0o040_755), Ok(What::Directory))]
    #[case("a", Some(0o120_777), Ok(What::Symlink))]
    #[case("a", Some(0o010_644), Err("it is a FIFO"))]
    #[case("a", Some(0o020_644), Err("it is a device node"))]
    #[case("a/", Some(0o060_644), Err("it is a device node"))]
    #[case("a", Some(0o140_644), Err("it is a socket"))]
    fn types_come_from_the_mode_and_the_name(
        #[case] name: &str,
        #[case] mode: Option<u32>,
        #[case] expected: Result<What, &str>,
    ) {
        let found = what(name.as_bytes(), mode).map_err(|why| why.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn backslashes_separate_only_where_windows_wrote_them() {
        assert_eq!(unix_name(System::Dos, b"a\\b\\"), b"a/b/");
        assert_eq!(unix_name(System::Dos, b"a/b\\c"), b"a/b\\c");
        assert_eq!(unix_name(System::Unix, b"a\\b"), b"a\\b");
    }

    #[test]
    fn modes_are_those_of_unix_only() {
        assert_eq!(unix_mode(System::Unix, 0o100_755 << 16), Some(0o100_755));
        assert_eq!(unix_mode(System::OsDarwin, 0o100_755 << 16), Some(0o100_755));
        assert_eq!(unix_mode(System::Dos, 0o100_755 << 16), None);
        assert_eq!(unix_mode(System::Unix, 0x10), None);
    }

    #[test]
    fn times_of_dos_are_utc() {
        let time = DateTime::from_date_and_time(2001, 9, 9, 1, 46, 40).expect("a time");
        assert_eq!(modified(time), Some(Modified { seconds: 1_000_000_000, nanoseconds: 0 }));
    }

    #[test]
    fn parts_of_an_archive_are_claimed_once() {
        let mut spans = Spans::default();
        for (start, end, free) in [
            (10, 20, true),
            (20, 30, true),
            (0, 10, true),
            (15, 16, false),
            (5, 6, false),
            (29, 40, false),
            (0, 100, false),
            (40, 50, true),
            (30, 40, true),
        ] {
            assert_eq!(spans.claim(start, end), free, "{start}..{end}");
        }
    }
}
