//! Numbers as the docker client reads them: Go's own rules for integers, booleans and durations, and Docker's for sizes
//! and fractions of CPUs.

/// Nanoseconds of the units of a duration, longest spelling first.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The largest decimal exponent of a number of CPUs that is looked at.
const LARGEST_EXPONENT: i32 = 18;

/// Reads what `strconv.ParseBool` reads.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads what `strconv.ParseInt` reads with base 0: a sign, a prefix for the base, digits with single underscores.
pub(super) fn integer(value: &str) -> Option<i64> {
    let (negative, digits) = match value.as_bytes().first()? {
        b'-' => (true, &value[1..]),
        b'+' => (false, &value[1..]),
        _ => (false, value),
    };
    let magnitude = i128::from(natural(digits)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Reads what `strconv.ParseUint` reads with base 0.
pub(super) fn natural(value: &str) -> Option<u64> {
    let prefix = value.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match prefix.as_deref() {
        Some("0x") => (16, &value[2..]),
        Some("0b") => (2, &value[2..]),
        Some("0o") => (8, &value[2..]),
        _ if value.len() > 1 && value.starts_with('0') => (8, &value[1..]),
        _ => (10, value),
    };
    // An underscore stands between two digits, or between the base's prefix and a digit.
    let after_prefix = radix != 10 && digits.starts_with('_');
    let digits = if after_prefix { &digits[1..] } else { digits };
    let parts: Vec<_> = digits.split('_').collect();
    let well_formed =
        parts.iter().all(|part| !part.is_empty() && part.chars().all(|digit| digit.is_digit(radix)));
    if !well_formed {
        return None;
    }
    u64::from_str_radix(&parts.concat(), radix).ok()
}

/// Reads what `units.RAMInBytes` of the newest client reads: a decimal number, a space or not, and `b`, or one of `k`,
/// `m`, `g`, `t`, `p` with nothing, `b` or `ib` behind it. Units are powers of 1024.
pub(super) fn size(value: &str) -> Option<i64> {
    let end = value.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, suffix) = value.split_at(end);
    let number: f64 = decimal(number.strip_suffix(' ').unwrap_or(number))?.parse().ok()?;
    let mut suffix = suffix.chars().map(|c| c.to_ascii_lowercase());
    let shift = match suffix.next() {
        None | Some('b') => 0,
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        Some('p') => 50,
        Some(_) => return None,
    };
    let rest: String = suffix.collect();
    if !(rest.is_empty() || shift > 0 && (rest == "b" || rest == "ib")) {
        return None;
    }
    let bytes = number * 2_f64.powi(shift);
    #[expect(clippy::cast_precision_loss, reason = "the bound need not be exact")]
    let fits = (0.0..i64::MAX as f64).contains(&bytes);
    #[expect(clippy::cast_possible_truncation, reason = "the client truncates, and the range was checked")]
    fits.then_some(bytes as i64)
}

/// Only what both Go and Rust take for a decimal number: no `inf`, no `nan`.
fn decimal(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    (text.chars().any(|c| c.is_ascii_digit()) && text.chars().all(plain)).then_some(text)
}

/// Reads what `time.ParseDuration` reads, into nanoseconds.
pub(super) fn duration(value: &str) -> Option<i64> {
    let (negative, mut rest) = match value.as_bytes().first()? {
        b'-' => (true, &value[1..]),
        b'+' => (false, &value[1..]),
        _ => (false, value),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    loop {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (unit, scale) =
            UNITS.iter().filter(|(unit, _)| after.starts_with(unit)).max_by_key(|(unit, _)| unit.len())?;
        rest = &after[unit.len()..];
        total += scaled(whole, fraction, *scale)?;
        if total > i128::from(u64::MAX) {
            return None;
        }
        if rest.is_empty() {
            break;
        }
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// The leading digits of a text, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `whole.fraction` times `scale`, cut to a whole number.
fn scaled(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    // Digits that are worth less than a nanosecond of the longest unit say nothing.
    let fraction = &fraction[..fraction.len().min(15)];
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
    let power = u32::try_from(fraction.len()).ok().map(|digits| 10_i128.pow(digits))?;
    Some(whole * scale + part * scale / power)
}

/// Reads a number of CPUs as a rational number, `1.5`, `3/2` or `15e-1`, into billionths, which must be whole.
pub(super) fn nano_cpus(value: &str) -> Option<i64> {
    let (numerator, denominator) = value.split_once('/').unwrap_or((value, "1"));
    let is_fraction = value.contains('/');
    let (numerator, mut exponent) = rational(numerator, is_fraction)?;
    let (denominator, _) = rational(denominator, true)?;
    if denominator <= 0 {
        return None;
    }
    exponent += 9;
    let (mut numerator, mut denominator) = (numerator, denominator);
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        numerator = numerator.checked_mul(power)?;
    } else {
        denominator = denominator.checked_mul(power)?;
    }
    (numerator >= 0 && numerator % denominator == 0).then(|| i64::try_from(numerator / denominator).ok())?
}

/// A decimal number as digits and an exponent of ten; a part of a fraction is a plain integer.
fn rational(text: &str, integer: bool) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some(_) if integer => return None,
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some(_) if integer => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 18 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i128 = digits.parse().ok()?;
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    (exponent.abs() <= LARGEST_EXPONENT).then_some((if negative { -number } else { number }, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("64", Some(64))]
    #[case("64b", Some(64))]
    #[case("2k", Some(2048))]
    #[case("3MB", Some(3 << 20))]
    #[case("1gib", Some(1 << 30))]
    #[case("1.5g", Some(3 << 29))]
    #[case(".5g", Some(1 << 29))]
    #[case("10 MB", Some(10 << 20))]
    #[case("1e3", Some(1000))]
    #[case("2p", Some(2 << 50))]
    #[case("0", Some(0))]
    #[case("1.1.1g", None)]
    #[case("10ib", None)]
    #[case("10i", None)]
    #[case("10bb", None)]
    #[case("10  m", None)]
    #[case("-1", None)]
    #[case("1x", None)]
    #[case("inf", None)]
    #[case("9999999999999g", None)]
    #[case("", None)]
    #[case(" ", None)]
    #[case("é", None)]
    #[case("1é", None)]
    fn a_size_is_read_as_the_client_reads_it(#[case] value: &str, #[case] expected: Option<i64>) {
        assert_eq!(size(value), expected);
    }

    #[rstest::rstest]
    #[case("10", Some(10))]
    #[case("+5", Some(5))]
    #[case("-1", Some(-1))]
    #[case("0x10", Some(16))]
    #[case("010", Some(8))]
    #[case("0o10", Some(8))]
    #[case("0b11", Some(3))]
    #[case("1_0", Some(10))]
    #[case("0x_f", Some(15))]
    #[case("0_7", Some(7))]
    #[case("0", Some(0))]
    #[case("-9223372036854775808", Some(i64::MIN))]
    #[case("9223372036854775808", None)]
    #[case("_1", None)]
    #[case("1__0", None)]
    #[case("1_", None)]
    #[case("09", None)]
    #[case("0x", None)]
    #[case(" 1", None)]
    #[case("", None)]
    #[case("-", None)]
    #[case("é", None)]
    fn an_integer_is_read_as_go_reads_it(#[case] value: &str, #[case] expected: Option<i64>) {
        assert_eq!(integer(value), expected);
    }

    #[rstest::rstest]
    #[case("1m30s", Some(90_000_000_000))]
    #[case("100us", Some(100_000))]
    #[case("1µs", Some(1_000))]
    #[case("1.5h", Some(5_400_000_000_000))]
    #[case(".5s", Some(500_000_000))]
    #[case("-1s", Some(-1_000_000_000))]
    #[case("0", Some(0))]
    #[case("0s", Some(0))]
    #[case("0s1s", Some(1_000_000_000))]
    #[case("5", None)]
    #[case("s", None)]
    #[case(".s", None)]
    #[case("1d", None)]
    #[case("1s ", None)]
    #[case("9999999999h", None)]
    #[case("99999999999999999999999s", None)]
    #[case("", None)]
    #[case("-", None)]
    fn a_duration_is_read_as_go_reads_it(#[case] value: &str, #[case] expected: Option<i64>) {
        assert_eq!(duration(value), expected);
    }

    #[rstest::rstest]
    #[case("1.5", Some(1_500_000_000))]
    #[case("3/2", Some(1_500_000_000))]
    #[case("1e-1", Some(100_000_000))]
    #[case("2", Some(2_000_000_000))]
    #[case("0.000000001", Some(1))]
    #[case("0.0000000001", None)]
    #[case("1/3", None)]
    #[case("1/0", None)]
    #[case("-1", None)]
    #[case("1e99", None)]
    #[case("", None)]
    #[case(".", None)]
    #[case("1.5/2", None)]
    #[case("a", None)]
    fn cpus_are_a_rational_number(#[case] value: &str, #[case] expected: Option<i64>) {
        assert_eq!(nano_cpus(value), expected);
    }
}
