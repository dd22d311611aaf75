//! Text to durations, sizes and booleans and back, by the rules of stout (`duration.hpp`, `bytes.hpp`,
//! `flags/parse.hpp`). Errors are sentences without the flag's name; the caller adds it.

use std::time::Duration;

/// The units of a duration with their nanoseconds, in rising order.
const DURATION_UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("secs", 1_000_000_000),
    ("mins", 60 * 1_000_000_000),
    ("hrs", 3_600 * 1_000_000_000),
    ("days", 86_400 * 1_000_000_000),
    ("weeks", 604_800 * 1_000_000_000),
];

/// The units of a size with their bytes, in rising order; all are powers of 1024.
const BYTE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// The longest duration Mesos can hold: 2^63 - 1 nanoseconds.
const MAX_NANOSECONDS: u64 = i64::MAX as u64;

/// Parses a Mesos duration such as `100ns`, `5us`, `1ms`, `5secs`, `1.5mins`, `6hrs`, `1days` or `1weeks`.
///
/// A fraction of a nanosecond is cut off. There is no sign and no space, as in stout's `Duration::parse`.
///
/// # Errors
///
/// A sentence when the number or the unit is missing or unknown, or the result exceeds 2^63 - 1 ns.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_number(text, |c| c.is_ascii_digit() || c == '.');
    if unit.is_empty() || number.is_empty() {
        return Err(format!("invalid duration {}: expected a number and a unit such as 5secs", quote(text)));
    }
    let Some((_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            "unknown duration unit {}: expected one of ns, us, ms, secs, mins, hrs, days, weeks",
            quote(unit)
        ));
    };
    let nanoseconds =
        scale(number, *factor).ok_or_else(|| format!("invalid number in duration {}", quote(text)))?;
    if nanoseconds > u128::from(MAX_NANOSECONDS) {
        return Err(format!("duration {} is too long: the most is 15250 weeks", quote(text)));
    }
    // The comparison above proves that the value fits.
    Ok(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(MAX_NANOSECONDS)))
}

/// Prints a duration as Mesos prints it: in the largest unit that it reaches, or the one below when only that gives
/// a whole number (`10days`, not `1.42857142857143weeks`), with at most 15 significant digits.
pub fn format_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let bucket =
        DURATION_UNITS.iter().rposition(|(_, factor)| nanoseconds >= u128::from(*factor)).unwrap_or(0);
    let whole = |index: usize| nanoseconds.is_multiple_of(u128::from(DURATION_UNITS[index].1));
    // Below a millisecond stout always steps down, above it only when the smaller unit comes out whole.
    let index = match bucket {
        0 => 0,
        _ if whole(bucket) => bucket,
        1 => 0,
        _ if whole(bucket - 1) => bucket - 1,
        _ => bucket,
    };
    let (unit, factor) = DURATION_UNITS[index];
    format!("{}{unit}", fifteen_digits(nanoseconds, u128::from(factor)))
}

/// Parses a Mesos size such as `512B`, `64KB`, `2GB`; units are powers of 1024 and the number is whole.
///
/// # Errors
///
/// A sentence when there is a fraction, an unknown unit, or the result exceeds 2^64 - 1 bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text, |c| c.is_ascii_digit());
    if unit.starts_with('.') {
        return Err(format!("fractional bytes {}: expected a whole number", quote(text)));
    }
    if unit.is_empty() || number.is_empty() {
        return Err(format!("invalid bytes {}: expected a number and a unit such as 64MB", quote(text)));
    }
    let Some((_, factor)) = BYTE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("unknown bytes unit {}: expected one of B, KB, MB, GB, TB", quote(unit)));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|value| value.checked_mul(*factor))
        .ok_or_else(|| format!("bytes {} are more than can be counted", quote(text)))
}

/// Prints a size as Mesos prints it: in the largest unit that loses nothing.
pub fn format_bytes(bytes: u64) -> String {
    let (unit, factor) = BYTE_UNITS
        .iter()
        .rev()
        .find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor))
        .unwrap_or(&BYTE_UNITS[0]);
    format!("{}{unit}", bytes / factor)
}

/// Parses `true`, `1`, `false` or `0`.
///
/// # Errors
///
/// A sentence for anything else, other spellings of true and false included.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("invalid boolean {}: expected true, false, 1 or 0", quote(text))),
    }
}

/// Quotes a value for a message: one line, escaped, and short.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Splits `text` after its leading characters that belong to a number.
fn split_number(text: &str, numeric: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !numeric(c)).unwrap_or(text.len()))
}

/// Multiplies the decimal `number` by `factor` exactly and cuts off what is below one.
fn scale(number: &str, factor: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    // A nanosecond is at most 16 digits below a week, so later digits cannot change the result.
    let fraction = &fraction[..fraction.len().min(18)];
    let below = if fraction.is_empty() {
        0
    } else {
        let power = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / power
    };
    Some(whole * u128::from(factor) + below)
}

/// Divides and prints with at most 15 significant digits, without trailing zeros.
fn fifteen_digits(value: u128, unit: u128) -> String {
    let whole = (value / unit).to_string();
    let decimals = 15_usize.saturating_sub(whole.len());
    let power = 10_u128.pow(u32::try_from(decimals).unwrap_or(0));
    // Rounding may carry into the whole part, so both parts are printed from the rounded value.
    let rounded = (value * power + unit / 2) / unit;
    let fraction = format!("{:0decimals$}", rounded % power);
    let fraction = if power == 1 { "" } else { fraction.trim_end_matches('0') };
    let whole = rounded / power;
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_parse_in_every_unit() {
        let table: [(&str, u64); 12] = [
            ("100ns", 100),
            ("5us", 5_000),
            ("1ms", 1_000_000),
            ("5secs", 5_000_000_000),
            ("1.5mins", 90_000_000_000),
            ("6hrs", 21_600_000_000_000),
            ("1days", 86_400_000_000_000),
            ("1weeks", 604_800_000_000_000),
            ("0ns", 0),
            ("0.5ns", 0),
            (".5secs", 500_000_000),
            ("1.secs", 1_000_000_000),
        ];
        for (text, nanoseconds) in table {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn bad_durations_are_refused_with_a_sentence() {
        for (text, message) in [
            ("", "invalid duration \"\""),
            ("5", "invalid duration \"5\""),
            ("secs", "invalid duration \"secs\""),
            ("-1secs", "invalid duration \"-1secs\""),
            ("5 secs", "unknown duration unit \" secs\""),
            ("5m", "unknown duration unit \"m\""),
            ("1.2.3secs", "invalid number in duration \"1.2.3secs\""),
            (".secs", "invalid number in duration \".secs\""),
            ("20000weeks", "duration \"20000weeks\" is too long"),
            ("99999999999999999999999999secs", "invalid number in duration"),
        ] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }

    #[test]
    fn durations_print_as_mesos_prints_them() {
        let table = [
            ("0ns", "0ns"),
            ("999ns", "999ns"),
            ("1001ns", "1001ns"),
            ("2us", "2us"),
            ("1500us", "1500us"),
            ("1ms", "1ms"),
            ("1000005ns", "1.000005ms"),
            ("1500ms", "1500ms"),
            ("90secs", "90secs"),
            ("60secs", "1mins"),
            ("1.5mins", "90secs"),
            ("6hrs", "6hrs"),
            ("90mins", "90mins"),
            ("24hrs", "1days"),
            ("10days", "10days"),
            ("7days", "1weeks"),
            ("240hrs", "10days"),
            // Neither weeks nor days come out whole, so the bucket's own unit is kept.
            ("250hrs", "1.48809523809524weeks"),
        ];
        for (text, printed) in table {
            assert_eq!(format_duration(parse_duration(text).unwrap()), printed, "{text}");
        }
    }

    #[test]
    fn sizes_parse_and_print() {
        for (text, bytes, printed) in [
            ("0B", 0, "0B"),
            ("1023B", 1023, "1023B"),
            ("1024B", 1024, "1KB"),
            ("64MB", 64 << 20, "64MB"),
            ("2GB", 2 << 30, "2GB"),
            ("1536MB", 1536 << 20, "1536MB"),
            ("1TB", 1 << 40, "1TB"),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes));
            assert_eq!(format_bytes(bytes), printed);
        }
        for text in
            ["", "5", "MB", "1.5GB", "1kb", "1PB", "-1B", "1 MB", "18446744073709551616B", "99999999TB"]
        {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_have_four_spellings() {
        assert_eq!((parse_bool("true"), parse_bool("1")), (Ok(true), Ok(true)));
        assert_eq!((parse_bool("false"), parse_bool("0")), (Ok(false), Ok(false)));
        for text in ["", "TRUE", "yes", "no", "2"] {
            assert!(parse_bool(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quoted_values_are_short_and_on_one_line() {
        assert_eq!(quote("a\nb"), "\"a\\nb\"");
        assert!(quote(&"x".repeat(1000)).len() < 60);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = (parse_duration(&text), parse_bytes(&text), parse_bool(&text));
        }

        #[test]
        fn printed_sizes_parse_back(bytes: u64) {
            prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        }

        #[test]
        fn printed_durations_parse_back_within_fifteen_digits(nanoseconds in 0..=MAX_NANOSECONDS) {
            let back = parse_duration(&format_duration(Duration::from_nanos(nanoseconds))).unwrap();
            let off = u128::from(nanoseconds).abs_diff(back.as_nanos());
            prop_assert!(off <= u128::from(nanoseconds) / 100_000_000_000_000 + 1);
        }
    }
}
