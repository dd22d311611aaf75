//! The checksum that a URI may carry in its fragment: `#sha256=<64 hexadecimal digits>`.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// How the fragment begins.
pub(super) const MARK: &str = "#sha256=";

/// A SHA-256 of the file as it is downloaded, before it is unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum([u8; 32]);

/// Why a text is no checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct InvalidChecksum;

impl Checksum {
    /// The checksum that a hasher arrived at.
    #[must_use]
    pub fn of(hasher: Sha256) -> Checksum {
        Checksum(hasher.finalize().into())
    }
}

impl FromStr for Checksum {
    type Err = InvalidChecksum;

    fn from_str(text: &str) -> Result<Checksum, InvalidChecksum> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(InvalidChecksum);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Checksum(bytes))
    }
}

fn digit(byte: u8) -> Result<u8, InvalidChecksum> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(InvalidChecksum),
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_read_in_either_case_and_printed_in_lower_case() {
        let text = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        let checksum: Checksum = text.parse().expect("a checksum");
        assert_eq!(checksum, Checksum::of(Sha256::new()));
        assert_eq!(checksum.to_string(), text.to_lowercase());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "e3b0", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65), &"é".repeat(32)] {
            assert_eq!(text.parse::<Checksum>(), Err(InvalidChecksum), "{text}");
        }
    }
}
