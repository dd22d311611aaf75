//! RecordIO: each record is its length in decimal digits, a newline, and its bytes. Pure; the caller reads and decodes.

use bytes::{Buf, Bytes, BytesMut};

/// The longest record that is taken, in bytes: a task with room for all that it may say.
const LONGEST: usize = 16 << 20;

/// The most digits of a length.
const DIGITS: usize = 9;

/// Cuts a stream of bytes into records.
#[derive(Debug, Default)]
pub(super) struct Records {
    buffer: BytesMut,
}

/// A stream that is no RecordIO, or has a record that is too long. Nothing of it can be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The length is no number.
    #[error("the length of a record is no number")]
    Length,
    /// A record is too long.
    #[error("a record has more than {LONGEST} bytes")]
    TooLong,
}

impl Records {
    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next record, if it is complete.
    ///
    /// # Errors
    ///
    /// The stream cannot be read any further.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, RecordError> {
        let head = &self.buffer[..self.buffer.len().min(DIGITS + 1)];
        let Some(digits) = head.iter().position(|byte| *byte == b'\n') else {
            // Digits alone may be the beginning of a length.
            let is_possible = head.len() <= DIGITS && head.iter().all(u8::is_ascii_digit);
            return if is_possible { Ok(None) } else { Err(RecordError::Length) };
        };
        let length = std::str::from_utf8(&head[..digits])
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<usize>().ok())
            .ok_or(RecordError::Length)?;
        if length > LONGEST {
            return Err(RecordError::TooLong);
        }
        let start = digits + 1;
        if self.buffer.len() < start + length {
            return Ok(None);
        }
        self.buffer.advance(start);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(records: &mut Records) -> Vec<Bytes> {
        std::iter::from_fn(|| records.next().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn records_come_out_as_they_went_in_wherever_the_stream_is_cut(
            records: Vec<Vec<u8>>,
            cuts in prop::collection::vec(1_usize..40, 1..20),
        ) {
            let mut stream = Vec::new();
            for record in &records {
                stream.extend_from_slice(format!("{}\n", record.len()).as_bytes());
                stream.extend_from_slice(record);
            }
            let mut reader = Records::default();
            let mut found = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                let (piece, later) = rest.split_at(rest.len().min(*cut));
                reader.push(piece);
                found.extend(all(&mut reader));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, records);
        }
    }

    #[rstest::rstest]
    #[case(b"x\n", RecordError::Length)]
    #[case(b"-1\n", RecordError::Length)]
    #[case(b"\n", RecordError::Length)]
    #[case(b"1234567890", RecordError::Length)]
    #[case(b"<html>", RecordError::Length)]
    #[case(b"16777217\n", RecordError::TooLong)]
    fn a_stream_that_is_none_is_told(#[case] stream: &[u8], #[case] error: RecordError) {
        let mut records = Records::default();
        records.push(stream);
        assert_eq!(records.next(), Err(error));
    }
}
