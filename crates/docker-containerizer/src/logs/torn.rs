//! Whether an engine put a frame together from two records of its log.
//!
//! Docker 20.10 can find a record of its driver `local` half written. When it then goes on elsewhere (from the end of
//! what was there to what comes, or from a file to the next one), it fills the record up with what it reads there: the
//! next record, with its head. The frame has a stamp that is right and a payload that is not, and behind it the engine
//! reads nonsense and gives up. Later engines begin such a record anew. A read without follow has the record as it is.

/// What a record begins with, as the driver writes it: four bytes of length, of which two are zero for anything that fits
/// into a record, then the first field, which is the stream, and the tag of the second.
const HEADS: [&[u8; 9]; 2] = [b"\n\x06stdout\x10", b"\n\x06stderr\x10"];

/// The bytes of a record before its first field.
const LENGTH: usize = 4;

/// Whether the payload holds the head of a record, or ends inside one. A task may write such bytes as well.
pub(super) fn may_be_torn(payload: &[u8]) -> bool {
    let whole = |head: &&[u8; 9]| {
        memchr::memmem::find_iter(payload, *head).any(|at| is_length(&payload[at.saturating_sub(LENGTH)..at]))
    };
    HEADS.iter().any(whole) || ends_in_a_head(payload)
}

fn ends_in_a_head(payload: &[u8]) -> bool {
    // The engine ends the line of a record that lost its end. Zeros alone are too common in what tasks write.
    let line = payload.strip_suffix(b"\n").unwrap_or(payload);
    (LENGTH + 1..LENGTH + HEADS[0].len()).filter_map(|len| line.get(line.len().checked_sub(len)?..)).any(
        |end| {
            let (length, field) = end.split_at(end.len().min(LENGTH));
            length.starts_with(&[0, 0]) && HEADS.iter().any(|head| head.starts_with(field))
        },
    )
}

fn is_length(bytes: &[u8]) -> bool {
    bytes.len() == LENGTH && bytes.starts_with(&[0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::the_next_records_head(b"aaa\0\0@^\n\x06stdout\x10\xa0\x81\xc7\x1a\x80\x80\x01\n", true)]
    #[case::of_the_other_stream(b"\0\0\x01\x10\n\x06stderr\x10\xa0\n", true)]
    #[case::a_part_of_a_head(b"aaa\0\0@^\n\x06std\n", true)]
    #[case::hardly_more_than_its_length(b"aaa\0\0@^\n\n", true)]
    #[case::zeros_at_the_end(b"aaa\0\0@^\n", false)]
    #[case::a_line(b"a line\n", false)]
    #[case::an_empty_line(b"\n", false)]
    #[case::nothing(b"", false)]
    #[case::zeros_inside(b"a\0\0b and more than a head has\n", false)]
    #[case::the_words(b"it writes to stdout\n", false)]
    #[case::a_field_without_a_length(b"aaaa\n\x06stdout\x10\n", false)]
    #[case::a_field_at_the_beginning(b"\0\n\x06stdout\x10\n", false)]
    fn a_record_inside_a_payload_is_seen(#[case] payload: &[u8], #[case] expected: bool) {
        assert_eq!(may_be_torn(payload), expected);
    }
}
