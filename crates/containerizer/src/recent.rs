//! The end of what a container wrote to standard error: what the message of a failed task tells.
//!
//! The file in the sandbox has also what the fetcher and we wrote, and the task can write there past the engine.

/// How many bytes are kept.
const KEPT: usize = 4096;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub struct Recent {
    bytes: Vec<u8>,
    /// Whether bytes in front were dropped.
    is_cut: bool,
}

impl Recent {
    /// Takes note of what came.
    pub fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(KEPT)..];
        let surplus = (self.bytes.len() + new.len()).saturating_sub(KEPT);
        self.is_cut |= surplus > 0 || new.len() < bytes.len();
        self.bytes.drain(..surplus.min(self.bytes.len()));
        self.bytes.extend_from_slice(new);
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The last lines. A line whose beginning is not known is left out, unless it is the only one. What is no UTF-8 is
    /// replaced.
    pub fn last_lines(&self, max_lines: usize) -> String {
        let text = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
        if self.is_cut && lines.len() > 1 {
            lines.remove(0);
        }
        let surplus = lines.len().saturating_sub(max_lines);
        String::from_utf8_lossy(&lines[surplus..].join(&b'\n')).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::nothing(&[], "")]
    #[case::the_last_two(&["a\n", "b\nc", "d\n"], "b\ncd")]
    #[case::no_line_end(&["a\nb"], "a\nb")]
    fn the_last_lines_are_put_together(#[case] pieces: &[&str], #[case] expected: &str) {
        let mut recent = Recent::default();
        pieces.iter().for_each(|piece| recent.push(piece.as_bytes()));
        assert_eq!(recent.last_lines(2), expected);
    }

    #[test]
    fn it_is_bounded_and_tells_no_half_line() {
        let mut recent = Recent::default();
        for number in 0..10_000 {
            recent.push(format!("line {number}\n").as_bytes());
        }
        assert!(recent.bytes.len() <= KEPT);
        assert_eq!(recent.last_lines(2), "line 9998\nline 9999");
        assert!(recent.last_lines(usize::MAX).starts_with("line "));
        recent.push(&[b'x'; 3 * KEPT]);
        assert_eq!(recent.last_lines(1).len(), KEPT);
    }
}
