//! Compressed data: decoders that read all members of a file and hold a bounded amount of memory.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

use super::kind::Compression;
use super::meter::Meter;
use super::source::Source;

/// The largest Zstandard window, as a power of two: 128 MiB, what `zstd` reads without being asked for more.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Memory for an xz decoder, in KiB: enough for the dictionary of `xz -9`, which is 64 MiB, twice over.
const XZ_MEMORY_KIB: u32 = 160 * 1024;

/// Bytes of a file read at once by a decoder.
const BUFFER: usize = 64 * 1024;

/// Opens compressed data from its beginning.
pub(super) fn decoder<'a>(
    compression: Compression,
    source: Source<'a>,
    meter: &'a Meter<'a>,
) -> io::Result<Box<dyn Read + 'a>> {
    let input = BufReader::with_capacity(BUFFER, source);
    Ok(match compression {
        Compression::Gzip => Box::new(Members::new(Member::gzip(input), meter)),
        Compression::Bzip2 => Box::new(Members::new(Member::bzip2(input), meter)),
        Compression::Xz => Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Reads content of a known length, and fails at its end when there was less or more.
#[derive(Debug)]
pub(super) struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Exactly<R> {
    pub(super) fn new(inner: R, length: u64) -> Exactly<R> {
        Exactly { inner, left: length }
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            let text = format!("{} bytes of it are missing", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let left = self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.left = left
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is longer than its header says"))?;
        Ok(count)
    }
}

/// One member of a gzip file, or one stream of a bzip2 file.
enum Member<R> {
    Gzip(Box<GzDecoder<R>>),
    Bzip2(Box<BzDecoder<R>>),
}

impl<R: BufRead> Member<R> {
    fn gzip(input: R) -> Member<R> {
        Member::Gzip(Box::new(GzDecoder::new(input)))
    }

    fn bzip2(input: R) -> Member<R> {
        Member::Bzip2(Box::new(BzDecoder::new(input)))
    }

    /// Reads on in the same file: the next member, or the rest of the input when there is none.
    fn next(self) -> io::Result<Next<R>> {
        let (mut input, first, make): (R, u8, fn(R) -> Member<R>) = match self {
            Member::Gzip(decoder) => (decoder.into_inner(), 0x1f, Member::gzip),
            Member::Bzip2(decoder) => (decoder.into_inner(), b'B', Member::bzip2),
        };
        loop {
            let found = input.fill_buf()?;
            // Zeros are padding, from tapes and block devices.
            let zeros = found.iter().take_while(|byte| **byte == 0).count();
            match found.get(zeros) {
                None if found.is_empty() => return Ok(Next::End),
                None => {}
                Some(byte) if *byte == first => {
                    input.consume(zeros);
                    return Ok(Next::Member(make(input)));
                }
                Some(_) => return Ok(Next::Trailing),
            }
            input.consume(zeros);
        }
    }
}

impl<R: BufRead> Read for Member<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Member::Gzip(decoder) => decoder.read(buffer),
            Member::Bzip2(decoder) => decoder.read(buffer),
        }
    }
}

/// What follows a member.
enum Next<R> {
    Member(Member<R>),
    /// Something that is no member, which gzip, bzip2 and libarchive ignore.
    Trailing,
    End,
}

/// All members of a file, one after the other.
struct Members<'a, R> {
    current: Option<Member<R>>,
    meter: &'a Meter<'a>,
}

impl<'a, R: BufRead> Members<'a, R> {
    fn new(first: Member<R>, meter: &'a Meter<'a>) -> Members<'a, R> {
        Members { current: Some(first), meter }
    }
}

impl<R: BufRead> Read for Members<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let (false, Some(mut member)) = (buffer.is_empty(), self.current.take()) {
            let count = member.read(buffer)?;
            if count > 0 {
                self.current = Some(member);
                return Ok(count);
            }
            // A file may be made of nothing but empty members.
            if self.meter.check().is_err() {
                return Err(io::Error::other("cancelled"));
            }
            match member.next()? {
                Next::Member(next) => self.current = Some(next),
                Next::Trailing => self.meter.set_trailing(),
                Next::End => {}
            }
        }
        Ok(0)
    }
}
