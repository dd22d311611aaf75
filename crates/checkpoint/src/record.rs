//! The form of a file: each message after its length in bytes, a 32-bit number in the machine's byte order
//! (`stout/protobuf.hpp`). A file holds one message, a list of them, or a stream that is appended to. There is no
//! checksum.
//!
//! What a power cut leaves of a file that was never synced is nothing, or zeros: both count as nothing written. The end
//! of a stream may be cut anywhere; the complete records before it stand.

use std::io::{self, Read};

use prost::{DecodeError, Message};

/// Bytes of a record's length.
pub const PREFIX: usize = 4;

/// The longest record that is read, in bytes.
pub const MAX_RECORD: u32 = 256 << 20;

/// Bytes that are made room for before a record's content has been seen.
const FIRST_READ: usize = 64 << 10;

/// Appends one record to `out`.
///
/// # Errors
///
/// [`TooLong`] for a message of more than [`MAX_RECORD`] bytes, which no reader would take.
pub fn encode_into(message: &impl Message, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let length = message.encoded_len();
    let prefix =
        u32::try_from(length).ok().filter(|length| *length <= MAX_RECORD).ok_or(TooLong { length })?;
    out.reserve(PREFIX + length);
    out.extend_from_slice(&prefix.to_ne_bytes());
    out.extend_from_slice(&message.encode_to_vec());
    Ok(())
}

/// One record.
///
/// # Errors
///
/// As [`encode_into`].
pub fn encode(message: &impl Message) -> Result<Vec<u8>, TooLong> {
    let mut out = Vec::new();
    encode_into(message, &mut out)?;
    Ok(out)
}

/// A list: its records one after the other.
///
/// # Errors
///
/// As [`encode_into`].
pub fn encode_list<'a, M: Message + 'a>(
    messages: impl IntoIterator<Item = &'a M>,
) -> Result<Vec<u8>, TooLong> {
    let mut out = Vec::new();
    for message in messages {
        encode_into(message, &mut out)?;
    }
    Ok(out)
}

/// A message that is too long for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message has {length} bytes, more than the {MAX_RECORD} of a record")]
pub struct TooLong {
    /// Its length in bytes.
    pub length: usize,
}

/// Why a file of one message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file ends before the record does.
    #[error("it ends after {found} of {expected} bytes")]
    Short {
        /// Bytes that are there.
        found: u64,
        /// Bytes that the length announces, the length included.
        expected: u64,
    },
    /// The record does not decode.
    #[error("it does not decode")]
    Decode(#[source] DecodeError),
}

/// Reads a file of one message. `None` when nothing was written yet; a length of zero alone is a message whose fields
/// are all unset. What follows the first record is ignored, as stock
/// does.
///
/// # Errors
///
/// [`Unreadable`] for a short or wrong record.
pub fn decode<M: Message + Default>(bytes: &[u8]) -> Result<Option<M>, Unreadable> {
    if is_blank(bytes) && bytes.len() != PREFIX {
        return Ok(None);
    }
    let short = |expected: u64| Unreadable::Short { found: bytes.len() as u64, expected };
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>().ok_or_else(|| short(PREFIX as u64))?;
    let length = u32::from_ne_bytes(*prefix);
    let message = usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(..length))
        .ok_or_else(|| short(PREFIX as u64 + u64::from(length)))?;
    M::decode(message).map(Some).map_err(Unreadable::Decode)
}

/// How a stream or list ends.
#[derive(Debug)]
pub enum End {
    /// With its last record.
    Clean,
    /// In the middle of a record, or with zeros: a write that was cut short.
    Cut,
    /// With a complete record that is wrong.
    Damaged(String),
}

/// What was read of a stream or list.
#[derive(Debug)]
pub struct Records<T> {
    /// The complete records, in order.
    pub records: Vec<T>,
    /// Bytes of the complete records, from the start of the file.
    pub good: u64,
    /// What follows them.
    pub end: End,
}

/// Reads records until the first that is cut or wrong. `check` turns a message into what the caller keeps, or says what
/// is wrong with it. Room is made only for bytes that are there, whatever a length announces.
///
/// # Errors
///
/// Those of the reader.
pub fn read_all<M: Message + Default, T>(
    mut from: impl Read,
    mut check: impl FnMut(M) -> Result<T, String>,
) -> io::Result<Records<T>> {
    let mut found = Records { records: Vec::new(), good: 0, end: End::Clean };
    let mut buffer = Vec::with_capacity(FIRST_READ);
    loop {
        let mut prefix = [0; PREFIX];
        let got = fill(&mut from, &mut prefix)?;
        if got < PREFIX {
            found.end = if got == 0 { End::Clean } else { End::Cut };
            return Ok(found);
        }
        let length = u32::from_ne_bytes(prefix);
        // No message of ours is empty, so a length of zero is the start of a blank tail or of something wrong.
        if length == 0 {
            found.end = match rest_is_blank(&mut from)? {
                true => End::Cut,
                false => End::Damaged("a record of no bytes is followed by others".to_owned()),
            };
            return Ok(found);
        }
        buffer.clear();
        let got = from.by_ref().take(u64::from(length.min(MAX_RECORD))).read_to_end(&mut buffer)?;
        if u64::try_from(got).unwrap_or(u64::MAX) < u64::from(length) {
            found.end = match length > MAX_RECORD && got as u64 == u64::from(MAX_RECORD) {
                true => End::Damaged(format!("a record announces {length} bytes")),
                false => End::Cut,
            };
            return Ok(found);
        }
        match M::decode(buffer.as_slice()).map_err(|error| error.to_string()).and_then(&mut check) {
            Ok(record) => found.records.push(record),
            Err(reason) => {
                found.end = End::Damaged(reason);
                return Ok(found);
            }
        }
        found.good += PREFIX as u64 + u64::from(length);
    }
}

/// Says whether a file holds nothing but zeros.
pub fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn rest_is_blank(from: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match fill(from, &mut buffer)? {
            0 => return Ok(true),
            got if buffer.get(..got).is_some_and(is_blank) => {}
            _ => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use mesos_proto::v1::{FrameworkId, TaskId};
    use proptest::prelude::*;

    use super::*;

    fn task(value: &str) -> TaskId {
        TaskId { value: value.to_owned() }
    }

    fn read(bytes: &[u8]) -> Records<TaskId> {
        read_all(bytes, Ok).unwrap()
    }

    /// The bytes of a record, spelled out.
    #[test]
    fn a_record_is_a_length_in_the_machines_order_and_a_message() {
        let mut expected = 3_u32.to_ne_bytes().to_vec();
        expected.extend([0x0a, 1, b't']);
        assert_eq!(encode(&task("t")).unwrap(), expected);
    }

    #[rstest::rstest]
    #[case(b"", true)]
    #[case(&[0; 4096], true)]
    #[case(&[0, 0], true)]
    fn a_file_of_nothing_is_one_that_was_never_written(#[case] bytes: &[u8], #[case] none: bool) {
        assert_eq!(decode::<TaskId>(bytes).unwrap().is_none(), none);
        assert!(read(bytes).records.is_empty());
        assert_eq!(read(bytes).good, 0);
    }

    #[test]
    fn a_message_of_nothing_is_a_message() {
        let empty = mesos_proto::v1::DrainConfig::default();
        let bytes = encode(&empty).unwrap();
        assert_eq!(bytes, [0; PREFIX]);
        assert_eq!(decode(&bytes).unwrap(), Some(empty));
    }

    #[test]
    fn a_message_that_is_cut_or_wrong_is_told_apart() {
        let whole = encode(&task("task")).unwrap();
        for cut in 1..whole.len() {
            let error = decode::<TaskId>(&whole[..cut]).unwrap_err();
            assert!(matches!(error, Unreadable::Short { .. }), "{cut}: {error}");
        }
        let mut wrong = whole.clone();
        wrong[PREFIX] = 0xff;
        assert!(matches!(decode::<TaskId>(&wrong), Err(Unreadable::Decode(_))));
        let mut longer = whole;
        longer.push(7);
        assert_eq!(decode::<TaskId>(&longer).unwrap().unwrap(), task("task"));
    }

    /// A length of four gigabytes asks for no memory.
    #[test]
    fn a_hostile_length_is_a_cut_record() {
        let mut bytes = encode(&task("good")).unwrap();
        let good = bytes.len() as u64;
        bytes.extend(u32::MAX.to_ne_bytes());
        bytes.extend(b"some bytes");
        let found = read(&bytes);
        assert_eq!((found.records.len(), found.good), (1, good));
        assert!(matches!(found.end, End::Cut));
    }

    #[test]
    fn a_stream_ends_at_the_first_wrong_record() {
        let mut bytes = encode_list(&[task("a"), task("b")]).unwrap();
        let good = bytes.len() as u64;
        bytes.extend(encode(&FrameworkId { value: String::new() }).unwrap());
        bytes.extend(encode(&task("c")).unwrap());
        let refusing: Records<TaskId> =
            read_all(bytes.as_slice(), |task: TaskId| match task.value.as_str() {
                "" => Err("no value".to_owned()),
                _ => Ok(task),
            })
            .unwrap();
        assert_eq!((refusing.records.len(), refusing.good), (2, good));
        assert!(matches!(refusing.end, End::Damaged(reason) if reason == "no value"));
    }

    proptest! {
        /// Wherever a stream is cut, the records before the cut stand and nothing else does.
        #[test]
        fn a_cut_stream_gives_its_complete_records(values in prop::collection::vec("[a-z]{1,40}", 0..8), cut in 0_usize..400) {
            let messages: Vec<TaskId> = values.iter().map(|value| task(value)).collect();
            let mut ends = vec![0];
            let mut bytes = Vec::new();
            for message in &messages {
                encode_into(message, &mut bytes).unwrap();
                ends.push(bytes.len());
            }
            let cut = cut.min(bytes.len());
            let found = read(&bytes[..cut]);
            let complete = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(&found.records[..], &messages[..complete]);
            prop_assert_eq!(found.good, ends[complete] as u64);
            prop_assert_eq!(matches!(found.end, End::Clean), ends[complete] == cut);
        }

        /// No bytes make a reader fail or give more than there is.
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let found = read(&bytes);
            prop_assert!(found.good <= bytes.len() as u64);
            let _ = decode::<TaskId>(&bytes);
        }
    }
}
