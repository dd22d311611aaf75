//! Files with holes in POSIX tar archives, as GNU tar writes them: versions 0.0, 0.1 and 1.0.
//!
//! The older form with a type of entry of its own is read by the `tar` crate.

use std::io::{self, Read};

/// Pieces of one file that are kept in memory.
const MAX_PIECES: usize = 1 << 18;

/// Bytes that a map in the data is padded to.
const BLOCK: usize = 512;

/// Decimal digits of the largest number.
const MAX_DIGITS: usize = 20;

/// A run of bytes that is in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    offset: u64,
    length: u64,
}

/// Where the map of a file's pieces is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Map {
    /// In the extended header (versions 0.0 and 0.1).
    Given(Vec<Piece>),
    /// At the beginning of the data (version 1.0).
    InData,
}

/// What the extended headers of an entry say about holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SparseHeaders {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    version: Option<(u64, u64)>,
    map: Vec<Piece>,
    offset: Option<u64>,
}

/// A file with holes, whose content reads as if they were zeros.
#[derive(Debug)]
pub(super) struct Sparse {
    /// The file's real name, when the entry has another.
    pub(super) name: Option<Vec<u8>>,
    /// Its size with the holes, in bytes.
    size: u64,
    map: Map,
}

/// Reads a file with holes from the data of its entry.
pub(super) struct SparseReader<R> {
    data: R,
    pieces: std::vec::IntoIter<Piece>,
    current: Piece,
    position: u64,
    size: u64,
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn number(bytes: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() <= MAX_DIGITS);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| invalid("the map of holes has what is no number"))
}

impl SparseHeaders {
    /// Takes one extended header, if it is about holes.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let Some(key) = key.strip_prefix(b"GNU.sparse.") else { return Ok(()) };
        match key {
            b"name" => self.name = Some(value.to_owned()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"major" => self.version.get_or_insert_default().0 = number(value)?,
            b"minor" => self.version.get_or_insert_default().1 = number(value)?,
            b"offset" => self.offset = Some(number(value)?),
            b"numbytes" => {
                let offset =
                    self.offset.take().ok_or_else(|| invalid("the map of holes has a length only"))?;
                self.add(offset, number(value)?)?;
            }
            b"map" => {
                self.map.clear();
                let mut numbers = value.split(|byte| *byte == b',');
                while let Some(offset) = numbers.next().filter(|offset| !offset.is_empty()) {
                    let length =
                        numbers.next().ok_or_else(|| invalid("the map of holes has an odd number"))?;
                    self.add(number(offset)?, number(length)?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, offset: u64, length: u64) -> io::Result<()> {
        if self.map.len() >= MAX_PIECES {
            return Err(invalid("the map of holes is too long"));
        }
        self.map.push(Piece { offset, length });
        Ok(())
    }

    /// Says whether the entry is a file with holes.
    pub(super) fn finish(self) -> io::Result<Option<Sparse>> {
        let map = match self.version {
            None if self.map.is_empty() && self.size.is_none() => return Ok(None),
            None | Some((0, _)) => Map::Given(self.map),
            Some((1, 0)) => Map::InData,
            Some(_) => return Err(invalid("the file has holes in an unknown form")),
        };
        let size = self.size.ok_or_else(|| invalid("the file has holes and no size"))?;
        Ok(Some(Sparse { name: self.name, size, map }))
    }
}

impl Sparse {
    /// Begins to read the content from the entry's data.
    pub(super) fn reader<R: Read>(self, mut data: R) -> io::Result<SparseReader<R>> {
        let pieces = match self.map {
            Map::Given(pieces) => pieces,
            Map::InData => read_map(&mut data)?,
        };
        let mut end = 0;
        for piece in &pieces {
            if piece.offset < end {
                return Err(invalid("the map of holes is out of order"));
            }
            end = piece
                .offset
                .checked_add(piece.length)
                .ok_or_else(|| invalid("the map of holes overflows"))?;
        }
        if end > self.size {
            return Err(invalid("the map of holes goes beyond the file's end"));
        }
        let current = Piece { offset: 0, length: 0 };
        Ok(SparseReader { data, pieces: pieces.into_iter(), current, position: 0, size: self.size })
    }
}

/// Reads the map of version 1.0: decimal numbers, one a line, the number of pieces first, padded to a block.
fn read_map(data: &mut impl Read) -> io::Result<Vec<Piece>> {
    let mut block = [0; BLOCK];
    let mut at = BLOCK;
    let mut next = || {
        let mut digits = Vec::with_capacity(MAX_DIGITS);
        loop {
            if at == BLOCK {
                data.read_exact(&mut block)?;
                at = 0;
            }
            let byte = block[at];
            at += 1;
            match byte {
                b'\n' => return number(&digits),
                byte if digits.len() < MAX_DIGITS => digits.push(byte),
                _ => return Err(invalid("the map of holes has what is no number")),
            }
        }
    };
    let count = usize::try_from(next()?).unwrap_or(usize::MAX);
    if count > MAX_PIECES {
        return Err(invalid("the map of holes is too long"));
    }
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push(Piece { offset: next()?, length: next()? });
    }
    Ok(pieces)
}

impl<R: Read> Read for SparseReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (hole, left) = loop {
            let end = self.current.offset + self.current.length;
            if self.position < self.current.offset {
                break (true, self.current.offset - self.position);
            }
            if self.position < end {
                break (false, end - self.position);
            }
            match self.pieces.next() {
                Some(piece) => self.current = piece,
                None => break (true, self.size - self.position),
            }
        };
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = if hole {
            buffer[..count].fill(0);
            count
        } else {
            self.data.read(&mut buffer[..count])?
        };
        if count == 0 && left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += u64::try_from(count).unwrap_or(0);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> io::Result<Option<Sparse>> {
        let mut headers = SparseHeaders::default();
        for (key, value) in pairs {
            headers.take(key.as_bytes(), value.as_bytes())?;
        }
        headers.finish()
    }

    fn content(pairs: &[(&str, &str)], data: &[u8]) -> io::Result<Vec<u8>> {
        let sparse = headers(pairs)?.expect("has holes");
        let mut content = Vec::new();
        sparse.reader(data)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn the_three_versions_read_alike() {
        let expected = b"\0\0ab\0\0\0c\0\0";
        let zero_zero = [
            ("GNU.sparse.size", "10"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "2"),
            ("GNU.sparse.numbytes", "2"),
            ("GNU.sparse.offset", "7"),
            ("GNU.sparse.numbytes", "1"),
        ];
        assert_eq!(content(&zero_zero, b"abc").expect("read"), expected);
        let zero_one = [("GNU.sparse.map", "2,2,7,1"), ("GNU.sparse.size", "10"), ("GNU.sparse.name", "x")];
        assert_eq!(content(&zero_one, b"abc").expect("read"), expected);
        let mut data = b"2\n2\n2\n7\n1\n".to_vec();
        data.resize(BLOCK, 0);
        data.extend(b"abc");
        let one = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "10")];
        assert_eq!(content(&one, &data).expect("read"), expected);
        assert_eq!(headers(&one).expect("read").expect("has holes").name, None);
        assert!(headers(&[("mtime", "1"), ("path", "a")]).expect("read").is_none());
    }

    #[test]
    fn wrong_maps_are_errors() {
        let one = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "10")];
        let padded = |text: &str| {
            let mut data = text.as_bytes().to_vec();
            data.resize(data.len().div_ceil(BLOCK) * BLOCK, 0);
            data
        };
        for map in
            ["", "x\n", "1\n", "99999999999\n", "123456789012345678901\n", "2\n5\n2\n3\n1\n", "1\n9\n2\n"]
        {
            content(&one, &padded(map)).expect_err(map);
        }
        for (what, map) in [
            ("out of order", "7,1,2,2"),
            ("beyond the end", "2,9"),
            ("odd", "2"),
            ("no number", "a,b"),
            ("overflow", "18446744073709551615,2"),
            ("cut data", "0,4"),
        ] {
            content(&[("GNU.sparse.map", map), ("GNU.sparse.size", "10")], b"abc").expect_err(what);
        }
        headers(&[("GNU.sparse.major", "2"), ("GNU.sparse.size", "1")]).expect_err("a version to come");
        headers(&[("GNU.sparse.map", "0,1")]).expect_err("no size");
        headers(&[("GNU.sparse.numbytes", "1")]).expect_err("no offset");
    }
}
