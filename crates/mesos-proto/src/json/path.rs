//! Where in a JSON document the reader is. Built on the stack on the way down, printed only for an error.

use std::fmt;

/// How much of a key or value from outside an error shows, in characters.
const SHOWN: usize = 60;

/// A place in a JSON document, as a chain to the root.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The document itself, printed as `$`.
    Root,
    /// A member of an object that is a message; the name comes from outside.
    Field(&'a Path<'a>, &'a str),
    /// An element of an array.
    Index(&'a Path<'a>, usize),
    /// A value of an object that is a map; the key comes from outside.
    Key(&'a Path<'a>, &'a str),
}

impl Path<'_> {
    /// The number of steps from the root.
    pub(super) fn depth(&self) -> usize {
        let (mut depth, mut at) = (0, self);
        while let Path::Field(up, _) | Path::Index(up, _) | Path::Key(up, _) = at {
            depth += 1;
            at = up;
        }
        depth
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => f.write_str("$"),
            Path::Field(up, name) if plain(name) => write!(f, "{up}.{name}"),
            Path::Field(up, key) | Path::Key(up, key) => write!(f, "{up}[{}]", quoted(key)),
            Path::Index(up, index) => write!(f, "{up}[{index}]"),
        }
    }
}

/// Whether a name can stand after a dot.
fn plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= SHOWN
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The text in quotes on one line, cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_each_kind_of_step() {
        let limits = Path::Field(&Path::Root, "limits");
        let key = Path::Key(&limits, "cpus");
        let value = Path::Field(&key, "value");
        let index = Path::Index(&value, 3);
        assert_eq!(index.to_string(), r#"$.limits["cpus"].value[3]"#);
        assert_eq!(index.depth(), 4);
        assert_eq!(Path::Root.depth(), 0);
    }

    #[test]
    fn names_from_outside_stay_on_one_line_and_short() {
        assert_eq!(Path::Field(&Path::Root, "a\nb\u{1b}[0m").to_string(), r#"$["a\nb\u{1b}[0m"]"#);
        assert_eq!(Path::Field(&Path::Root, "").to_string(), r#"$[""]"#);
        let long = "é".repeat(1_000_000);
        let shown = Path::Key(&Path::Root, &long).to_string();
        assert!(shown.ends_with("… (2000000 bytes)]"), "{shown}");
        assert!(shown.chars().count() < 100);
    }
}
