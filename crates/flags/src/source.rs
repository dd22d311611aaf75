//! Where the text of a flag's value comes from: the value itself, or a file that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::definition::{FlagDef, FlagKind};
use crate::error::FlagError;

/// The most bytes a file named by a flag may have.
pub const MAX_FLAG_FILE_BYTES: u64 = 1 << 20;

/// Where a value's text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagSource {
    /// The value is its own text.
    Inline,
    /// `file:///path`: the text is the content of the file.
    File(PathBuf),
    /// A bare absolute path given to a JSON flag: works as in Mesos, with a warning.
    BarePath(PathBuf),
}

/// Something the operator should know about a flag that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The flag, or `(none)`.
    pub flag: &'static str,
    /// One sentence.
    pub text: String,
}

impl FlagSource {
    /// Decides where the text of `value` is for `flag` (stout `flags/fetch.hpp`; Mesos' bare paths for JSON flags).
    pub fn of(flag: &FlagDef, value: &str) -> Self {
        if flag.kind == FlagKind::File {
            Self::Inline
        } else if let Some(path) = value.strip_prefix("file://") {
            Self::File(PathBuf::from(path))
        } else if flag.kind == FlagKind::Json && value.starts_with('/') {
            Self::BarePath(PathBuf::from(value))
        } else {
            Self::Inline
        }
    }
}

/// Finds the text of a value, reading the file if it names one.
///
/// One line end at the end of a file is dropped, so that `echo 5secs > file` works.
///
/// # Errors
///
/// [`FlagError::Read`] when the file is not absolute, not a regular file, larger than [`MAX_FLAG_FILE_BYTES`], not
/// UTF-8 or cannot be read.
pub fn resolve(flag: &'static FlagDef, value: &str, notices: &mut Vec<Notice>) -> Result<String, FlagError> {
    let path = match FlagSource::of(flag, value) {
        FlagSource::Inline => return Ok(value.to_owned()),
        FlagSource::File(path) => path,
        FlagSource::BarePath(path) => {
            notices.push(Notice {
                flag: flag.name,
                text: format!("a bare path is deprecated, write --{}=file://{}", flag.name, path.display()),
            });
            path
        }
    };
    match read_bounded(&path) {
        Ok(mut text) => {
            if text.ends_with('\n') {
                text.pop();
            }
            Ok(text)
        }
        Err(source) => Err(FlagError::Read { name: flag.name, path, source }),
    }
}

/// Reads a small regular file as UTF-8.
pub(crate) fn read_bounded(path: &Path) -> io::Result<String> {
    if !path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path after file:// is not absolute"));
    }
    // A FIFO would hold up the start of the program at open, so the type is asked first.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FLAG_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FLAG_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 1 MB"));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Sensitivity;
    use std::error::Error;

    static JSON: FlagDef = FlagDef {
        name: "docker_config",
        kind: FlagKind::Json,
        default: None,
        help: "",
        sensitivity: Sensitivity::Secret,
    };
    static TEXT: FlagDef =
        FlagDef { name: "docker_socket", kind: FlagKind::Path, sensitivity: Sensitivity::Public, ..JSON };

    #[test]
    fn inline_values_are_their_own_text() {
        let mut notices = Vec::new();
        assert_eq!(resolve(&JSON, "{}", &mut notices).unwrap(), "{}");
        assert_eq!(resolve(&TEXT, "/run/docker.sock", &mut notices).unwrap(), "/run/docker.sock");
        assert!(notices.is_empty());
    }

    #[test]
    fn files_are_read_for_every_flag_and_bare_paths_for_json_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        std::fs::write(&path, "{\"auths\":{}}\n").unwrap();
        let mut notices = Vec::new();
        let by_url = format!("file://{}", path.display());
        assert_eq!(resolve(&JSON, &by_url, &mut notices).unwrap(), "{\"auths\":{}}");
        assert_eq!(resolve(&TEXT, &by_url, &mut notices).unwrap(), "{\"auths\":{}}");
        assert!(notices.is_empty());
        assert_eq!(resolve(&JSON, path.to_str().unwrap(), &mut notices).unwrap(), "{\"auths\":{}}");
        assert!(notices[0].text.contains("deprecated"), "{notices:?}");
    }

    #[test]
    fn unreadable_files_are_named_with_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large");
        std::fs::write(&large, "x".repeat((1 << 20) + 1)).unwrap();
        let binary = dir.path().join("binary");
        std::fs::write(&binary, [0xff, 0xfe]).unwrap();
        for (path, cause) in [
            ("relative".to_owned(), "not absolute"),
            (dir.path().display().to_string(), "not a regular file"),
            (dir.path().join("absent").display().to_string(), "No such file"),
            (large.display().to_string(), "larger than"),
            (binary.display().to_string(), "not UTF-8"),
        ] {
            let error = resolve(&JSON, &format!("file://{path}"), &mut Vec::new()).unwrap_err();
            assert!(error.to_string().contains(&path) && error.to_string().contains("--docker_config"));
            assert!(error.source().unwrap().to_string().contains(cause), "{error:?}");
        }
    }
}
