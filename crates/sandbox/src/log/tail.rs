//! The last lines of a file, for error messages.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads the last lines of a file: at most `max_lines` of them and at most `max_bytes` bytes, without the last newline.
///
/// A line whose beginning lies before these bytes is left out, unless it is the only one. What is no UTF-8 is replaced.
///
/// # Errors
///
/// As the system gives them.
pub fn last_lines(file: &File, max_bytes: usize, max_lines: usize) -> io::Result<String> {
    let length = file.metadata()?.len();
    let window = usize::try_from(length).unwrap_or(usize::MAX).min(max_bytes);
    let start = length.saturating_sub(u64::try_from(window).unwrap_or(u64::MAX));
    // One byte more in front tells whether the window begins with a line.
    let from = start.saturating_sub(1);
    let mut bytes = vec![0; window + usize::from(start > 0)];
    let mut filled = 0;
    while filled < bytes.len() {
        let at = from.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(&mut bytes[filled..], at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(pick(&bytes, start > 0, max_lines))
}

/// Picks the last lines out of the end of a file. `cut` says that the first byte only tells what comes before.
fn pick(bytes: &[u8], cut: bool, max_lines: usize) -> String {
    let window = if cut { bytes.get(1..).unwrap_or_default() } else { bytes };
    let text = window.strip_suffix(b"\n").unwrap_or(window);
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if cut && bytes.first() != Some(&b'\n') && lines.len() > 1 {
        lines.remove(0);
    }
    let first = lines.len().saturating_sub(max_lines);
    String::from_utf8_lossy(&lines[first..].join(&b'\n')).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_whole_lines_within_the_bounds() {
        for (content, max_bytes, max_lines, expected) in [
            (&b""[..], 100, 10, ""),
            (b"\n", 100, 10, ""),
            (b"one", 100, 10, "one"),
            (b"one\ntwo\n", 100, 10, "one\ntwo"),
            (b"one\ntwo\nthree\n", 100, 2, "two\nthree"),
            (b"one\ntwo\nthree\n", 100, 0, ""),
            (b"one\ntwo\nthree\n", 8, 10, "three"),
            (b"one\ntwo\nthree\n", 10, 10, "two\nthree"),
            (b"one\ntwo\nthree", 9, 10, "two\nthree"),
            (b"a very long line without an end", 7, 10, "an end"),
            (b"one\n\n\n", 100, 2, "\n"),
            (b"one\ntwo\n", 0, 10, ""),
            (b"bad \xff\xfe\n", 100, 10, "bad \u{fffd}\u{fffd}"),
        ] {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(content).expect("written");
            let tail = last_lines(&file, max_bytes, max_lines).expect("read");
            assert_eq!(tail.trim_start_matches(' '), expected, "{content:?} {max_bytes} {max_lines}");
        }
    }
}
