//! Listing a directory.

use std::path::PathBuf;

use sandbox::{Entry, Viewed};

use super::error::FilesError;
use super::owners::Owners;
use super::table::{Files, Reached};

/// One line of a listing (`FileInfo` of `include/mesos/mesos.proto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// The virtual path, which begins with the one that was listed.
    pub path: String,
    /// The number of names.
    pub nlink: u64,
    /// The size in bytes.
    pub size: u64,
    /// The time of last modification, in seconds since 1970.
    pub mtime: i64,
    /// The type and the permission bits, as `stat` gives them.
    pub mode: u32,
    /// The owner by name, or by number where it has none.
    pub uid: String,
    /// The group by name, or by number where it has none.
    pub gid: String,
}

/// Lists a directory, sorted by path (`FilesProcess::browse`). A file has no entries.
///
/// # Errors
///
/// See [`FilesError`]; more than `most` entries are refused.
pub fn browse(files: &Files, path: &str, most: usize) -> Result<Vec<FileInfo>, FilesError> {
    let Reached::Below(sandbox, Viewed::Directory(directory)) = files.reach(path)? else {
        return Ok(Vec::new());
    };
    let entries = directory.list(&sandbox, most).map_err(|error| FilesError::of(path, error))?;
    let mut owners = Owners::default();
    Ok(entries.into_iter().map(|entry| info(path, entry, &mut owners)).collect())
}

fn info(path: &str, entry: Entry, owners: &mut Owners) -> FileInfo {
    FileInfo {
        path: PathBuf::from(path).join(&entry.name).to_string_lossy().into_owned(),
        nlink: entry.links,
        size: entry.size,
        mtime: entry.modified,
        mode: entry.mode,
        uid: owners.user(entry.uid),
        gid: owners.group(entry.gid),
    }
}

impl FileInfo {
    /// The mode as `ls` shows it, `drwxr-xr-x` (`jsonFileInfo` of `src/files/files.cpp`, which has no set-id bits).
    pub fn mode_text(&self) -> String {
        let kind = match self.mode & 0o170_000 {
            0o040_000 => 'd',
            0o120_000 => 'l',
            0o010_000 => 'p',
            0o140_000 => 's',
            0o020_000 => 'c',
            0o060_000 => 'b',
            _ => '-',
        };
        let bits = (0..9).map(|at| match self.mode & (0o400 >> at) {
            0 => '-',
            _ => ['r', 'w', 'x'][at % 3],
        });
        std::iter::once(kind).chain(bits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_as_ls_shows_them() {
        for (mode, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o010_600, "prw-------"),
            (0o140_000, "s---------"),
            (0o020_001, "c--------x"),
            (0o060_010, "b-----x---"),
        ] {
            let info = FileInfo {
                path: String::new(),
                nlink: 1,
                size: 0,
                mtime: 0,
                mode,
                uid: String::new(),
                gid: String::new(),
            };
            assert_eq!(info.mode_text(), text, "{mode:o}");
        }
    }

    #[test]
    fn a_listing_names_what_can_be_read() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("runs/1");
        std::fs::create_dir_all(run.join("sub")).unwrap();
        std::fs::write(run.join("stdout"), "four").unwrap();
        let files = Files::default();
        let ids = ("F".parse().unwrap(), "E".parse().unwrap());
        files.attach_run(super::super::RunDirectory {
            framework_id: &ids.0,
            executor_id: &ids.1,
            directory: &run,
        });

        let latest = "/frameworks/F/executors/E/runs/latest";
        let listed = browse(&files, latest, 10).unwrap();
        let paths: Vec<_> = listed.iter().map(|info| info.path.as_str()).collect();
        assert_eq!(paths, [format!("{latest}/stdout"), format!("{latest}/sub")]);
        assert_eq!((listed[0].size, listed[0].mode_text().as_str()), (4, "-rw-r--r--"));
        // A trailing slash, as a browser's link may have, gives the same paths.
        assert_eq!(browse(&files, &format!("{latest}/"), 10).unwrap(), listed);
        assert_eq!(browse(&files, &listed[0].path, 10).unwrap(), []);
        assert_eq!(browse(&files, &listed[1].path, 10).unwrap(), []);
        assert!(matches!(browse(&files, latest, 1), Err(FilesError::Invalid(_))));
        assert!(matches!(browse(&files, "/etc", 10), Err(FilesError::NotFound)));
        assert!(matches!(browse(&files, &format!("{latest}/stdout/x"), 10), Err(FilesError::NotFound)));
    }
}
