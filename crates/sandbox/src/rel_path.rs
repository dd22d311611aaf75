//! Paths that can only lead below a sandbox: the type that every open takes.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest relative path accepted, in bytes. It leaves room for the sandbox in front of it within the system's
/// own limit of 4096.
const MAX_BYTES: usize = 2048;

/// The longest component, in bytes (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;

/// A relative path below a sandbox: at least one component, none of them `..`, no NUL, at most 2048 bytes.
///
/// `.` and doubled or trailing slashes mean nothing and are dropped, so `./data//x/` is `data/x`. Whether a component
/// is a symbolic link is for the file system to say, when the path is opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelPath(PathBuf);

/// Why a path cannot be used below a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelPathError {
    /// Nothing is left once `.` and slashes are dropped.
    #[error("path {path:?} names no file below the sandbox")]
    Empty {
        /// The refused path.
        path: String,
    },
    /// It begins with a slash.
    #[error("path {path:?} is absolute, expected one relative to the sandbox")]
    Absolute {
        /// The refused path.
        path: String,
    },
    /// It has a `..` component.
    #[error("path {path:?} contains '..', which could lead out of the sandbox")]
    Parent {
        /// The refused path.
        path: String,
    },
    /// It has a NUL byte.
    #[error("path {path:?} contains a NUL byte")]
    Nul {
        /// The refused path.
        path: String,
    },
    /// It, or one component of it, is too long for a file system.
    #[error(
        "path {path:?}... is too long: at most {MAX_BYTES} bytes in all and {MAX_COMPONENT} in each component"
    )]
    TooLong {
        /// The beginning of the refused path.
        path: String,
    },
}

impl RelPath {
    /// Checks and normalises a path.
    ///
    /// # Errors
    ///
    /// See [`RelPathError`]: empty, absolute, with `..`, with a NUL, or too long.
    pub fn new(path: impl AsRef<OsStr>) -> Result<RelPath, RelPathError> {
        let bytes = path.as_ref().as_bytes();
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
        if bytes.len() > MAX_BYTES {
            return Err(RelPathError::TooLong { path: shown() });
        }
        let whole = || String::from_utf8_lossy(bytes).into_owned();
        if bytes.contains(&0) {
            return Err(RelPathError::Nul { path: whole() });
        }
        if bytes.first() == Some(&b'/') {
            return Err(RelPathError::Absolute { path: whole() });
        }
        let mut clean = PathBuf::new();
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(RelPathError::Parent { path: whole() }),
                _ if component.len() > MAX_COMPONENT => return Err(RelPathError::TooLong { path: shown() }),
                _ => clean.push(OsStr::from_bytes(component)),
            }
        }
        if clean.as_os_str().is_empty() {
            return Err(RelPathError::Empty { path: whole() });
        }
        Ok(RelPath(clean))
    }

    /// The path, relative.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The components, first to last.
    pub(crate) fn components(&self) -> impl Iterator<Item = &OsStr> {
        self.0.iter()
    }

    /// The path of the directory that holds the last component (`None` for the sandbox itself), and that component.
    pub(crate) fn split(&self) -> (Option<RelPath>, &OsStr) {
        let parent = self.0.parent().filter(|parent| !parent.as_os_str().is_empty());
        let name = self.0.file_name().unwrap_or(self.0.as_os_str());
        (parent.map(|parent| RelPath(parent.to_owned())), name)
    }
}

impl FromStr for RelPath {
    type Err = RelPathError;

    fn from_str(path: &str) -> Result<RelPath, RelPathError> {
        RelPath::new(path)
    }
}

impl AsRef<Path> for RelPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepted_paths_are_normalised() {
        for (given, kept) in [
            ("stdout", "stdout"),
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("a/./b", "a/b"),
            ("...", "..."),
            ("a:b/c d\n", "a:b/c d\n"),
            ("-rf", "-rf"),
        ] {
            assert_eq!(RelPath::new(given).expect(given).as_path(), Path::new(kept), "{given:?}");
        }
    }

    #[test]
    fn refused_paths_say_why() {
        let long = "x".repeat(MAX_COMPONENT + 1);
        let deep = "x/".repeat(MAX_BYTES);
        for (given, why) in [
            ("", "names no file"),
            (".", "names no file"),
            ("././", "names no file"),
            ("/etc/shadow", "absolute"),
            ("//", "absolute"),
            ("..", "'..'"),
            ("a/../b", "'..'"),
            ("a/..", "'..'"),
            ("a\0b", "NUL"),
            (long.as_str(), "too long"),
            (deep.as_str(), "too long"),
        ] {
            let error = RelPath::new(given).expect_err(given).to_string();
            assert!(error.contains(why), "{given:?}: {error}");
            assert!(error.len() < 4 * MAX_BYTES);
        }
    }

    #[test]
    fn the_last_component_splits_off() {
        let deep = RelPath::new("a/b/c").expect("valid");
        let (parent, name) = deep.split();
        assert_eq!((parent.expect("has a parent").as_path(), name), (Path::new("a/b"), OsStr::new("c")));
        assert_eq!(RelPath::new("c").expect("valid").split(), (None, OsStr::new("c")));
    }

    proptest! {
        #[test]
        fn no_accepted_path_leaves_the_sandbox(bytes in proptest::collection::vec(
            prop_oneof![Just(b'.'), Just(b'/'), Just(b'a'), Just(0u8), any::<u8>()], 0..40)) {
            if let Ok(path) = RelPath::new(OsStr::from_bytes(&bytes)) {
                prop_assert!(path.as_path().is_relative());
                prop_assert!(path.components().count() > 0);
                for component in path.components() {
                    prop_assert!(component != ".." && component != "." && !component.is_empty());
                    prop_assert!(!component.as_bytes().contains(&0));
                }
            }
        }
    }
}
