//! A copy of the output for somebody who looks on: `mesos-docker run`.
//!
//! Each piece is the number of its stream, its length in four bytes, and its bytes. The writer waits for the reader, as
//! the writer of a terminal does; one that is gone is forgotten, and its task goes on.

use std::io::{self, Read, Write};

use containerizer::StreamName;

/// The longest piece, in bytes.
pub const LONGEST: usize = 64 << 10;

/// Writes a piece.
///
/// # Errors
///
/// The reader is gone.
pub fn write(to: &mut impl Write, stream: StreamName, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(LONGEST) {
        let [a, b, c, d] = u32::try_from(piece.len()).unwrap_or(u32::MAX).to_le_bytes();
        to.write_all(&[number(stream), a, b, c, d])?;
        to.write_all(piece)?;
    }
    Ok(())
}

/// Reads a piece into `buffer`; `None` at the end.
///
/// # Errors
///
/// What is no piece, and errors of the system.
pub fn read(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<StreamName>> {
    let mut header = [0; 5];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let (stream, length) = head(header)?;
    buffer.resize(length, 0);
    from.read_exact(buffer)?;
    Ok(Some(stream))
}

/// The stream and the length of a piece, by what is in front of it.
///
/// # Errors
///
/// What is no piece.
pub fn head(header: [u8; 5]) -> io::Result<(StreamName, usize)> {
    let [stream, a, b, c, d] = header;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let stream = [StreamName::Stdout, StreamName::Stderr].into_iter().find(|name| number(*name) == stream);
    match stream {
        Some(stream) if length <= LONGEST => Ok((stream, length)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "what was read is no output")),
    }
}

fn number(stream: StreamName) -> u8 {
    match stream {
        StreamName::Stdout => 1,
        StreamName::Stderr => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_as_they_were_written() {
        let long = vec![b'x'; LONGEST + 1];
        let mut wire = Vec::new();
        write(&mut wire, StreamName::Stderr, b"why\n").unwrap();
        write(&mut wire, StreamName::Stdout, &long).unwrap();
        let (mut wire, mut piece) = (wire.as_slice(), Vec::new());
        assert_eq!(read(&mut wire, &mut piece).unwrap(), Some(StreamName::Stderr));
        assert_eq!(piece, b"why\n");
        assert_eq!(read(&mut wire, &mut piece).unwrap(), Some(StreamName::Stdout));
        assert_eq!(piece.len(), LONGEST);
        assert_eq!(read(&mut wire, &mut piece).unwrap(), Some(StreamName::Stdout));
        assert_eq!(piece, b"x");
        assert_eq!(read(&mut wire, &mut piece).unwrap(), None);
        assert!(head([1, 255, 255, 255, 255]).is_err());
        assert!(head([9, 0, 0, 0, 0]).is_err());
    }
}
