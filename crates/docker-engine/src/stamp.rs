//! The engine's time stamps: RFC 3339 with up to nine decimals, read without a date library on the log path.

use std::fmt;

/// The length of the stamp that the engine puts before each log line: `2006-01-02T15:04:05.000000000Z`.
const FIXED_LEN: usize = 30;

/// The longest stamp that is looked for: nine decimals and a numeric offset.
const MAX_LEN: usize = 35;

/// A point in time with nanoseconds, ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    secs: i64,
    nanos: u32,
}

impl Stamp {
    /// Makes a stamp from seconds since 1970 and nanoseconds, which are kept below one second.
    pub fn new(secs: i64, nanos: u32) -> Self {
        Self { secs: secs + i64::from(nanos / 1_000_000_000), nanos: nanos % 1_000_000_000 }
    }

    /// Returns the whole seconds since 1970, rounded down. This is what a log request's `since` takes.
    pub fn secs(self) -> i64 {
        self.secs
    }

    /// Returns the nanoseconds within the second, 0 to 999 999 999.
    pub fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// Returns the nanoseconds since 1970.
    pub fn as_nanos(self) -> i128 {
        i128::from(self.secs) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// Reads a stamp that fills the whole of `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let (stamp, len) = parse_prefix(text.as_bytes())?;
        (len == text.len()).then_some(stamp)
    }
}

/// A time of an inspection: the engine's text, and the same parsed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EngineTime {
    text: String,
    stamp: Option<Stamp>,
}

impl EngineTime {
    /// Reads the text of an inspection.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), stamp: Stamp::parse(text) }
    }

    /// Returns the text as the engine wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parsed time; `None` for text that is no time.
    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Says whether this is a time at all: the engine writes the year 1 for "never".
    pub fn is_set(&self) -> bool {
        self.stamp.is_some_and(|stamp| stamp.secs > YEAR_ONE)
    }
}

impl fmt::Display for EngineTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EngineTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EngineTime({})", self.text)
    }
}

/// `0001-01-01T00:00:00Z`, Go's zero time, in seconds since 1970.
const YEAR_ONE: i64 = -62_135_596_800;

/// Reads the stamp and the space before a log line; returns the stamp and the length of both.
pub(crate) fn parse_log_prefix(line: &[u8]) -> Option<(Stamp, usize)> {
    if line.get(FIXED_LEN) == Some(&b' ')
        && let Some((stamp, FIXED_LEN)) = parse_prefix(&line[..FIXED_LEN])
    {
        return Some((stamp, FIXED_LEN + 1));
    }
    let (stamp, len) = parse_prefix(&line[..line.len().min(MAX_LEN)])?;
    (line.get(len) == Some(&b' ')).then_some((stamp, len + 1))
}

/// Reads an RFC 3339 stamp at the front of `text`; returns it with its length.
fn parse_prefix(text: &[u8]) -> Option<(Stamp, usize)> {
    let year = digits(text, 0, 4)?;
    let month = digits_after(text, 4, b'-')?;
    let day = digits_after(text, 7, b'-')?;
    let hour = digits_after(text, 10, b'T')?;
    let minute = digits_after(text, 13, b':')?;
    let second = digits_after(text, 16, b':')?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range {
        return None;
    }
    let (nanos, at) = fraction(text, 19)?;
    let (offset, at) = offset_secs(text, at)?;
    let secs = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some((Stamp { secs, nanos }, at))
}

fn digits(text: &[u8], at: usize, count: usize) -> Option<i64> {
    text.get(at..at + count)?
        .iter()
        .try_fold(0i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn digits_after(text: &[u8], at: usize, separator: u8) -> Option<i64> {
    if *text.get(at)? != separator {
        return None;
    }
    digits(text, at + 1, 2)
}

/// Reads `.123`, with up to nine digits that count; returns the nanoseconds and where it ended.
fn fraction(text: &[u8], at: usize) -> Option<(u32, usize)> {
    if text.get(at) != Some(&b'.') {
        return Some((0, at));
    }
    let run = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if run == 0 || run > 9 {
        return None;
    }
    let value =
        text[at + 1..at + 1 + run].iter().fold(0u32, |value, byte| value * 10 + u32::from(byte - b'0'));
    let missing = 9 - u32::try_from(run).ok()?;
    Some((value * 10u32.pow(missing), at + 1 + run))
}

/// Reads `Z` or `+01:30`; returns the offset in seconds and where it ended.
fn offset_secs(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let sign = match text.get(at)? {
        b'Z' => return Some((0, at + 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(text, at + 1, 2)?;
    let minutes = digits_after(text, at + 3, b':')?;
    (hours < 24 && minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), at + 6))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Counts the days from 1970-01-01 in the Gregorian calendar, with years that begin in March so that the leap day
/// is the last one of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("1970-01-01T00:00:00Z", 0, 0)]
    #[case("1969-12-31T23:59:59.5Z", -1, 500_000_000)]
    #[case("2000-02-29T12:34:56.000000001Z", 951_827_696, 1)]
    #[case("2024-02-29T23:59:59.123Z", 1_709_251_199, 123_000_000)]
    #[case("2026-08-01T10:00:00.123456789+02:00", 1_785_571_200, 123_456_789)]
    #[case("2026-08-01T06:30:00-01:30", 1_785_571_200, 0)]
    #[case("0001-01-01T00:00:00Z", YEAR_ONE, 0)]
    fn stamps_are_read(#[case] text: &str, #[case] secs: i64, #[case] nanos: u32) {
        assert_eq!(Stamp::parse(text), Some(Stamp { secs, nanos }));
    }

    #[rstest]
    #[case("")]
    #[case("2026-08-01")]
    #[case("2026-08-01 10:00:00Z")]
    #[case("2026-13-01T10:00:00Z")]
    #[case("2026-02-29T10:00:00Z")]
    #[case("2026-08-01T24:00:00Z")]
    #[case("2026-08-01T10:00:00.Z")]
    #[case("2026-08-01T10:00:00.1234567890Z")]
    #[case("2026-08-01T10:00:00")]
    #[case("2026-08-01T10:00:00Z ")]
    #[case("2026-08-01T10:00:00+2:00")]
    fn what_is_no_stamp_is_refused(#[case] text: &str) {
        assert_eq!(Stamp::parse(text), None);
    }

    #[rstest]
    #[case(b"2026-08-01T10:00:00.123456789Z hello\n".as_slice(), 31)]
    #[case(b"2026-08-01T10:00:00.12Z hello\n", 24)]
    #[case(b"2026-08-01T10:00:00Z \n", 21)]
    #[case(b"2026-08-01T10:00:00.123456789+02:00 x", 36)]
    fn a_log_prefix_ends_after_its_space(#[case] line: &[u8], #[case] len: usize) {
        assert_eq!(parse_log_prefix(line).map(|(_, len)| len), Some(len));
    }

    #[rstest]
    #[case(b"hello".as_slice())]
    #[case(b"2026-08-01T10:00:00.123456789Zhello")]
    #[case(b"2026-08-01T10:00:00.123456789Z")]
    fn a_line_without_a_stamp_has_no_prefix(#[case] line: &[u8]) {
        assert_eq!(parse_log_prefix(line), None);
    }

    #[test]
    fn the_zero_time_is_not_set() {
        assert!(!EngineTime::new("0001-01-01T00:00:00Z").is_set());
        assert!(!EngineTime::new("").is_set());
        assert!(EngineTime::new("2026-08-01T10:00:00Z").is_set());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((_, len)) = parse_log_prefix(&bytes) {
                prop_assert_eq!(bytes[len - 1], b' ');
            }
        }

        #[test]
        fn days_count_up_by_one(year in 1i64..9999, month in 1i64..=12, day in 1i64..=28) {
            let here = days_since_1970(year, month, day);
            let (mut y, mut m, mut d) = (year, month, day + 1);
            if d > days_in_month(y, m) { d = 1; m += 1; }
            if m > 12 { m = 1; y += 1; }
            prop_assert_eq!(days_since_1970(y, m, d), here + 1);
        }
    }
}
