//! Times as people read them.

use std::time::{Duration, SystemTime};

/// How long ago something was, in its largest unit; `?` where that is not known.
pub(crate) fn age(since: Option<SystemTime>) -> String {
    since.and_then(|since| SystemTime::now().duration_since(since).ok()).map_or_else(|| "?".into(), short)
}

/// A number of bytes, in its largest unit.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MB", bytes >> 20),
        _ => format!("{} GB", bytes >> 30),
    }
}

fn short(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, "0s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(7200, "2h")]
    #[case(172_800, "2d")]
    fn an_age_is_in_its_largest_unit(#[case] seconds: u64, #[case] expected: &str) {
        assert_eq!(short(Duration::from_secs(seconds)), expected);
    }

    #[rstest::rstest]
    #[case(5, "5 B")]
    #[case(2048, "2 KB")]
    #[case(3 << 20, "3 MB")]
    #[case(4 << 30, "4 GB")]
    fn a_size_is_in_its_largest_unit(#[case] size: u64, #[case] expected: &str) {
        assert_eq!(bytes(size), expected);
    }
}
