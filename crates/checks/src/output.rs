//! What a failed check printed, as part of one line for a person.

/// How much of the output of a command is read and kept, in bytes, of each stream: its end.
pub(crate) const KEPT: usize = 1024;

/// The most characters of it that are told.
const TOLD: usize = 256;

/// The most characters of a whole sentence.
const LONGEST: usize = 600;

/// A sentence as it may be told, whatever the task or the engine has put into it: one line, without characters that
/// control a terminal or turn the direction of the text, and not long.
pub(crate) fn sentence(text: &str) -> String {
    let line = words(text);
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The end of what a command printed, in one line: standard error where there is some, else standard output. Control
/// characters are spaces, so that nothing can forge a line; empty if it printed nothing.
pub(crate) fn last_words(stdout: &[u8], stderr: &[u8]) -> String {
    let line = one_line(stderr);
    if line.is_empty() { one_line(stdout) } else { line }
}

fn one_line(bytes: &[u8]) -> String {
    let line = words(&String::from_utf8_lossy(bytes));
    let length = line.chars().count();
    if length <= TOLD {
        return line;
    }
    let end: String = line.chars().skip(length - TOLD).collect();
    format!("...{end}")
}

/// The words of a text with a space between them.
fn words(text: &str) -> String {
    let clean: String = text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    words.join(" ")
}

/// Whether a character shows what it is: not a control character, and none of those that turn the text's direction.
fn is_printable(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_one_line_of_bounded_length() {
        let told = sentence(&format!("a\r\nb\u{2028}c \u{202e}d\x1b[0m {}", "é".repeat(70_000)));
        assert!(told.starts_with("a b c d [0m éé") && told.ends_with("é..."), "{}", &told[..40]);
        assert_eq!(told.chars().count(), LONGEST + 3);
        assert_eq!(sentence("short"), "short");
    }

    #[rstest::rstest]
    #[case(b"out", b"err\n", "err")]
    #[case(b" out\n\nmore\n", b"\n", "out more")]
    #[case(b"", b"", "")]
    #[case(b"", b"a\x1b[31mb\r\nfake line\x00", "a [31mb fake line")]
    #[case(b"", b"\xff\xfe", "\u{fffd}\u{fffd}")]
    fn it_is_one_clean_line(#[case] stdout: &[u8], #[case] stderr: &[u8], #[case] expected: &str) {
        assert_eq!(last_words(stdout, stderr), expected);
    }

    #[test]
    fn the_end_is_kept() {
        let line = last_words(&[b'a'; 2000], b"");
        assert_eq!(line.len(), TOLD + 3);
        let line = last_words(format!("{}end", "é".repeat(500)).as_bytes(), b"");
        assert!(line.starts_with("...é") && line.ends_with("end"));
    }
}
