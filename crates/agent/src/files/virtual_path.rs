//! The paths that clients name.

use super::error::FilesError;

/// A virtual path: absolute, without empty and `.` components, `/a/b`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct VirtualPath(String);

impl VirtualPath {
    /// Reads a path as a client or the agent names it.
    ///
    /// # Errors
    ///
    /// A path with `..` is refused even where it would stay inside: a link could make it mean anything. One that is not
    /// absolute is not found.
    pub(super) fn parse(path: &str) -> Result<Self, FilesError> {
        if !path.starts_with('/') {
            return Err(FilesError::NotFound);
        }
        let mut clean = String::with_capacity(path.len());
        for component in path.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    return Err(FilesError::Invalid(format!("'{path}' is inaccessible: it contains '..'")));
                }
                _ => {
                    clean.push('/');
                    clean.push_str(component);
                }
            }
        }
        Ok(Self(clean))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path and the ways to it, longest first, each with what is left after it.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        let ends = std::iter::once(self.0.len()).chain(self.0.rmatch_indices('/').map(|(at, _)| at));
        ends.filter(|end| *end > 0).map(|end| (&self.0[..end], self.0[end..].trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (given, kept) in
            [("/a/b", "/a/b"), ("//a/./b//", "/a/b"), ("/", ""), ("/.", ""), ("/a/...", "/a/...")]
        {
            assert_eq!(VirtualPath::parse(given).unwrap().as_str(), kept, "{given}");
        }
        for refused in ["/..", "/a/../b", "/a/..", "/../etc"] {
            assert!(matches!(VirtualPath::parse(refused), Err(FilesError::Invalid(_))), "{refused}");
        }
        for unknown in ["", "a", "a/b", "./a", ".."] {
            assert!(matches!(VirtualPath::parse(unknown), Err(FilesError::NotFound)), "{unknown}");
        }
    }

    #[test]
    fn prefixes_go_from_the_longest() {
        let path = VirtualPath::parse("/a/bc/d").unwrap();
        assert_eq!(path.prefixes().collect::<Vec<_>>(), [("/a/bc/d", ""), ("/a/bc", "d"), ("/a", "bc/d")]);
        assert_eq!(VirtualPath::parse("/").unwrap().prefixes().count(), 0);
    }

    proptest! {
        #[test]
        fn a_prefix_and_its_rest_are_the_path(path in "(/|\\.|a|b){0,20}") {
            if let Ok(path) = VirtualPath::parse(&path) {
                for (prefix, rest) in path.prefixes() {
                    let joined = if rest.is_empty() { prefix.to_owned() } else { format!("{prefix}/{rest}") };
                    prop_assert_eq!(&joined, path.as_str());
                    prop_assert!(!rest.split('/').any(|component| component == ".."));
                }
            }
        }
    }
}
