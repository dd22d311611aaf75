//! The archive on disk, read by position.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Bytes read at once.
const WINDOW: usize = 64 * 1024;

/// A reader of a file with a position of its own, so that several can be used on one descriptor, and a window of what
/// it read last, which survives a seek: a zip archive is read with two positions that jump by a few bytes.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a File,
    length: u64,
    position: u64,
    window: Vec<u8>,
    /// Where the window begins in the file.
    start: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a File) -> io::Result<Source<'a>> {
        let length = file.metadata()?.len();
        Ok(Source { file, length, position: 0, window: Vec::new(), start: 0 })
    }

    /// The first bytes, at most `count`, wherever the position is.
    pub(super) fn head(&self, count: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.file.read_at(&mut head[filled..], u64::try_from(filled).unwrap_or(u64::MAX))? {
                0 => break,
                read => filled += read,
            }
        }
        head.truncate(filled);
        Ok(head)
    }

    fn in_window(&self) -> &[u8] {
        let offset = self.position.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| self.window.get(offset..)).unwrap_or_default()
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.in_window().is_empty() {
            if buffer.len() >= WINDOW {
                let read = self.file.read_at(buffer, self.position)?;
                self.position = self.position.saturating_add(u64::try_from(read).unwrap_or(0));
                return Ok(read);
            }
            self.window.resize(WINDOW, 0);
            let read = self.file.read_at(&mut self.window, self.position);
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            self.start = self.position;
            read?;
        }
        let found = self.in_window();
        let count = found.len().min(buffer.len());
        buffer[..count].copy_from_slice(&found[..count]);
        self.position = self.position.saturating_add(u64::try_from(count).unwrap_or(0));
        Ok(count)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        // `read_at` takes no offset beyond that of a signed number.
        let position = position.filter(|position| i64::try_from(*position).is_ok());
        self.position = position.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it points before its beginning or beyond its end")
        })?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// It reads what a file reads, however one jumps.
        #[test]
        fn it_reads_as_a_file(jumps in prop::collection::vec((0_usize..200_000, 1_usize..100_000), 1..20)) {
            let mut file = tempfile::tempfile().expect("a file");
            let bytes: Vec<u8> = (0..150_000_u32).map(|at| u8::try_from(at * 31 % 251).expect("less than 256")).collect();
            file.write_all(&bytes).expect("written");
            let mut source = Source::new(&file).expect("opened");
            for (to, count) in jumps {
                source.seek(SeekFrom::Start(to as u64)).expect("sought");
                let mut found = Vec::new();
                (&mut source).take(count as u64).read_to_end(&mut found).expect("read");
                let from = to.min(bytes.len());
                let until = (from + count).min(bytes.len());
                prop_assert_eq!(&found, &bytes[from..until]);
            }
        }
    }

    #[test]
    fn a_seek_out_of_the_file_is_an_error_and_no_overflow() {
        let file = tempfile::tempfile().expect("a file");
        let mut source = Source::new(&file).expect("opened");
        for to in
            [SeekFrom::End(-1), SeekFrom::Current(-1), SeekFrom::Start(u64::MAX), SeekFrom::Current(i64::MIN)]
        {
            source.seek(to).expect_err("refused");
        }
        source.seek(SeekFrom::Start(1 << 40)).expect("beyond the end is fine, as for files");
        assert_eq!(source.read(&mut [0; 8]).expect("read"), 0);
    }
}
