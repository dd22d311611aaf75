//! A whole file, to be sent piece by piece.

use std::fs::File;

use sandbox::{SandboxError, Viewed};

use super::error::FilesError;
use super::mime;
use super::table::{Files, Reached};

/// A file that is ready to be sent.
#[derive(Debug)]
pub struct Download {
    /// The open file, at its beginning.
    pub file: File,
    /// How much of it is sent: its size when it was opened, in bytes.
    pub size: u64,
    /// Its type.
    pub content_type: &'static str,
    /// The value of `Content-Disposition`, in visible ASCII.
    pub disposition: String,
}

/// Opens a file for a download (`FilesProcess::download`).
///
/// # Errors
///
/// See [`FilesError`].
pub fn open_download(files: &Files, path: &str) -> Result<Download, FilesError> {
    let file = match files.reach(path)? {
        Reached::Own(file) | Reached::Below(_, Viewed::File(file)) => file,
        Reached::Below(_, Viewed::Directory(_)) => {
            return Err(FilesError::Invalid("Cannot download a directory.".to_owned()));
        }
    };
    let size = file.metadata().map_err(|source| {
        let source = SandboxError::Io { operation: "look at", path: path.into(), source };
        FilesError::Failed { path: path.to_owned(), source }
    })?;
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let content_type = mime::of_name(name);
    Ok(Download { file, size: size.len(), content_type, disposition: disposition(name) })
}

/// The header that makes a browser save the file. A name that is no token is quoted and told again in UTF-8 (RFC 6266);
/// stock sends it raw, so that a line feed in it ends the header.
fn disposition(name: &str) -> String {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_token) {
        return format!("attachment; filename={name}");
    }
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '_' })
        .collect();
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_sent_safely() {
        for (name, header) in [
            ("stdout", "attachment; filename=stdout"),
            ("a-b_c.tar.gz", "attachment; filename=a-b_c.tar.gz"),
            ("sp ace", "attachment; filename=\"sp ace\"; filename*=UTF-8''sp%20ace"),
            ("new\nline", "attachment; filename=\"new_line\"; filename*=UTF-8''new%0Aline"),
            ("q\"\\;é", "attachment; filename=\"q__;_\"; filename*=UTF-8''q%22%5C%3B%C3%A9"),
        ] {
            assert_eq!(disposition(name), header, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_is_visible_ascii(name in ".*") {
            prop_assert!(disposition(&name).bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }
    }

    #[test]
    fn a_download_has_the_size_of_the_file() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.txt"), "four").unwrap();
        let files = Files::default();
        let ids = ("F".parse().unwrap(), "E".parse().unwrap());
        let run =
            super::super::RunDirectory { framework_id: &ids.0, executor_id: &ids.1, directory: root.path() };
        files.attach_run(run);
        let latest = "/frameworks/F/executors/E/runs/latest";
        let download = open_download(&files, &format!("{latest}/a.txt")).unwrap();
        assert_eq!((download.size, download.content_type), (4, "text/plain"));
        assert!(matches!(open_download(&files, latest), Err(FilesError::Invalid(_))));
        assert!(matches!(open_download(&files, "/a.txt"), Err(FilesError::NotFound)));
    }
}
