//! Reading a piece of a file.

use std::io;
use std::os::unix::fs::FileExt as _;

use sandbox::{SandboxError, Viewed};

use super::error::FilesError;
use super::table::{Files, Reached};

/// The most that one read answers, in bytes: 16 pages of 4 KiB, as stock.
pub const MAX_READ: u64 = 64 * 1024;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The size of the file.
    pub size: u64,
    /// The bytes from the offset on; none without an offset, and none beyond the end.
    pub bytes: Vec<u8>,
}

/// Reads from `offset` on, at most `length` bytes and [`MAX_READ`] (`FilesProcess::_read`).
///
/// # Errors
///
/// See [`FilesError`]. An offset beyond the end is no error.
pub fn read(
    files: &Files,
    path: &str,
    offset: Option<u64>,
    length: Option<u64>,
) -> Result<Content, FilesError> {
    let file = match files.reach(path)? {
        Reached::Own(file) | Reached::Below(_, Viewed::File(file)) => file,
        Reached::Below(_, Viewed::Directory(_)) => {
            return Err(FilesError::Invalid("Cannot read a directory.".to_owned()));
        }
    };
    let failed = |source| {
        let source = SandboxError::Io { operation: "read", path: path.into(), source };
        FilesError::Failed { path: path.to_owned(), source }
    };
    let size = file.metadata().map_err(failed)?.len();
    let bytes = match offset {
        None => Vec::new(),
        Some(offset) => {
            let most = size.saturating_sub(offset).min(length.unwrap_or(MAX_READ)).min(MAX_READ);
            read_at(&file, offset, most).map_err(failed)?
        }
    };
    Ok(Content { size, bytes })
}

/// Reads until `most` bytes are there or the file ends, which a task may have shortened meanwhile.
fn read_at(file: &std::fs::File, offset: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(most).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

impl Content {
    /// The bytes as text for JSON. Each byte that is no UTF-8 becomes one U+FFFD, so that a reader that counts
    /// characters, as the web UI does, counts these bytes right; stock passes them through, which is no JSON.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes.len());
        for chunk in self.bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;

    fn attached(content: &[u8]) -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("f"), content).unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        let files = Files::default();
        let ids = ("F".parse().unwrap(), "E".parse().unwrap());
        let run =
            super::super::RunDirectory { framework_id: &ids.0, executor_id: &ids.1, directory: root.path() };
        files.attach_run(run);
        (root, files)
    }

    const LATEST: &str = "/frameworks/F/executors/E/runs/latest";

    #[rstest]
    #[case(None, None, "")]
    #[case(None, Some(1), "")]
    #[case(Some(0), None, "0123456789")]
    #[case(Some(0), Some(0), "")]
    #[case(Some(3), Some(4), "3456")]
    #[case(Some(8), Some(4), "89")]
    #[case(Some(10), Some(4), "")]
    #[case(Some(11), None, "")]
    #[case(Some(u64::MAX), Some(u64::MAX), "")]
    #[case(Some(1), Some(u64::MAX), "123456789")]
    #[case(Some(i64::MAX.unsigned_abs() + 1), None, "")]
    fn a_piece_is_what_lies_within_the_file(
        #[case] offset: Option<u64>,
        #[case] length: Option<u64>,
        #[case] expected: &str,
    ) {
        let (_root, files) = attached(b"0123456789");
        let content = read(&files, &format!("{LATEST}/f"), offset, length).unwrap();
        assert_eq!((content.size, content.text().as_str()), (10, expected));
    }

    #[test]
    fn a_read_is_at_most_16_pages() {
        let (_root, files) = attached(&vec![b'x'; 200_000]);
        for length in [None, Some(70_000), Some(u64::MAX)] {
            let content = read(&files, &format!("{LATEST}/f"), Some(1), length).unwrap();
            assert_eq!((content.size, content.bytes.len()), (200_000, 65_536));
        }
    }

    #[test]
    fn directories_and_strangers_are_not_read() {
        let (_root, files) = attached(b"");
        for directory in [LATEST.to_owned(), format!("{LATEST}/d")] {
            let error = read(&files, &directory, Some(0), None).unwrap_err();
            assert_eq!(error.to_string(), "Cannot read a directory.");
        }
        for missing in ["/etc/passwd".to_owned(), "/".to_owned(), format!("{LATEST}/none")] {
            assert!(matches!(read(&files, &missing, None, None), Err(FilesError::NotFound)), "{missing}");
        }
        let parent = format!("{LATEST}/../../../etc/passwd");
        assert!(matches!(read(&files, &parent, None, None), Err(FilesError::Invalid(_))));
    }

    #[test]
    fn bytes_that_are_no_text_are_counted() {
        let content = Content { size: 0, bytes: b"a\xff\xfeb\xe2\x82\xac\xe2\x82".to_vec() };
        assert_eq!(content.text(), "a\u{fffd}\u{fffd}b€\u{fffd}\u{fffd}");
    }
}
