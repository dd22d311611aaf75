//! Which files are archives: by name whether to unpack, by content how.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Endings of the archives that Mesos extracts (src/launcher/fetcher.cpp, `extract`), and `.tar.zst`.
const ARCHIVES: [&str; 9] =
    [".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst", ".zip"];

/// Bytes of a tar header, which are enough to know every format.
pub(super) const PROBE: usize = 512;

/// What a file is to be taken for, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An archive, whose format its content tells.
    Archive,
    /// One compressed file, which becomes a file of the name without the ending.
    Compressed(Compression),
}

/// A compression of whole files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip, one or many members.
    Gzip,
    /// bzip2, one or many streams.
    Bzip2,
    /// xz, one or many streams.
    Xz,
    /// Zstandard, one or many frames.
    Zstd,
}

/// How the content of a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Tar,
    Zip,
    Compressed(Compression),
    Empty,
}

impl Compression {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }
}

/// Tells by the end of a file's name whether Mesos would extract it, in its letters exactly. `None` means that it is
/// copied as it is.
///
/// Follows `extract` of Mesos' src/launcher/fetcher.cpp, and knows `.tar.zst` and `.zst` too.
#[must_use]
pub fn kind_of(file_name: impl AsRef<OsStr>) -> Option<Kind> {
    let name = file_name.as_ref().as_bytes();
    if ARCHIVES.iter().any(|ending| name.ends_with(ending.as_bytes())) {
        return Some(Kind::Archive);
    }
    single(name).map(|(compression, _)| Kind::Compressed(compression))
}

/// The compression of a file that holds one other, and the other's name.
pub(super) fn single(name: &[u8]) -> Option<(Compression, &[u8])> {
    let gzip = name.strip_suffix(b".gz").map(|rest| (Compression::Gzip, rest));
    gzip.or_else(|| name.strip_suffix(b".zst").map(|rest| (Compression::Zstd, rest)))
}

/// Tells from the first bytes of a file, at most [`PROBE`] of them, how it is packed. `name` settles what the bytes
/// leave open: a zip archive may begin with anything, as a self-extracting one does.
pub(super) fn format_of(head: &[u8], name: &[u8]) -> Option<Format> {
    let compressed = |compression| Some(Format::Compressed(compression));
    match head {
        [] => Some(Format::Empty),
        // A checksum of 512 bytes is a stronger sign than a few letters, which may be the first file's name.
        _ if is_tar(head) => Some(Format::Tar),
        [0x1f, 0x8b, ..] => compressed(Compression::Gzip),
        [b'B', b'Z', b'h', ..] => compressed(Compression::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => compressed(Compression::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => compressed(Compression::Zstd),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => Some(Format::Zip),
        _ if name.ends_with(b".zip") => Some(Format::Zip),
        _ => None,
    }
}

/// Says whether a block is a tar header, by its checksum, or the end of an empty archive.
pub(super) fn is_tar(head: &[u8]) -> bool {
    let Ok(block) = <&[u8; PROBE]>::try_from(head) else { return false };
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let header = ::tar::Header::from_byte_slice(block);
    let spaces = 8 * u32::from(b' ');
    let sum: u32 = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum();
    header.cksum().is_ok_and(|wanted| wanted == sum + spaces)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a.tar", Some(Kind::Archive))]
    #[case("a.tgz", Some(Kind::Archive))]
    #[case("a.tar.gz", Some(Kind::Archive))]
    #[case("a.tbz2", Some(Kind::Archive))]
    #[case("a.tar.bz2", Some(Kind::Archive))]
    #[case("a.txz", Some(Kind::Archive))]
    #[case("a.tar.xz", Some(Kind::Archive))]
    #[case("a.tar.zst", Some(Kind::Archive))]
    #[case("a.zip", Some(Kind::Archive))]
    #[case("a.gz", Some(Kind::Compressed(Compression::Gzip)))]
    #[case("a.zst", Some(Kind::Compressed(Compression::Zstd)))]
    #[case("a.bz2", None)]
    #[case("a.xz", None)]
    #[case("a.jar", None)]
    #[case("a.TAR", None)]
    #[case("tar", None)]
    #[case("a.tar.gz.asc", None)]
    #[case("", None)]
    fn names_tell_what_is_extracted(#[case] name: &str, #[case] expected: Option<Kind>) {
        assert_eq!(kind_of(name), expected);
    }

    #[test]
    fn names_need_not_be_text() {
        assert_eq!(kind_of(OsString::from_vec(b"\xff.tar".to_vec())), Some(Kind::Archive));
    }

    #[test]
    fn content_tells_the_format_whatever_the_name_says() {
        let mut header = ::tar::Header::new_gnu();
        header.set_path("PK").expect("a path");
        header.set_cksum();
        for (head, name, expected) in [
            (&b""[..], &b"a.zip"[..], Some(Format::Empty)),
            (header.as_bytes(), b"a.zip", Some(Format::Tar)),
            (&[0; PROBE], b"a.tgz", Some(Format::Tar)),
            (&[0; PROBE - 1], b"a.tar", None),
            (b"\x1f\x8b\x08", b"a.zip", Some(Format::Compressed(Compression::Gzip))),
            (b"BZh9", b"a.tar", Some(Format::Compressed(Compression::Bzip2))),
            (b"\xfd7zXZ\0", b"a.tar", Some(Format::Compressed(Compression::Xz))),
            (b"\x28\xb5\x2f\xfd", b"a.tar", Some(Format::Compressed(Compression::Zstd))),
            (b"PK\x03\x04", b"a.tgz", Some(Format::Zip)),
            (b"PK\x05\x06", b"a.tgz", Some(Format::Zip)),
            (b"#!/bin/sh", b"a.zip", Some(Format::Zip)),
            (b"#!/bin/sh", b"a.tar", None),
            (b"\x1f", b"a.gz", None),
        ] {
            assert_eq!(format_of(head, name), expected, "{head:?}");
        }
    }
}
