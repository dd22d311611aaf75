//! A file of this host, copied as cheaply as the file system allows: shared blocks, then a copy inside the kernel, then
//! a copy through this process.
//!
//! As stock's `cp` (src/launcher/fetcher.cpp, `copyFile`): symbolic links are followed, the mode is the source's as far
//! as the umask lets it. Departs from it in that only regular files are read: a FIFO would never end.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use sandbox::{Kind, Place, Staged};

use crate::download::error::DownloadError;
use crate::download::meter::Meter;
use crate::download::sink::Sink;
use crate::progress::Validators;
use crate::uri::Checksum;

/// Bytes for each call that copies inside the kernel, so that progress is seen.
const RANGE: usize = 16 << 20;

/// Bytes for each read of a copy through this process.
const BUFFER: usize = 256 << 10;

/// Opens a local file that a URI names. Never waits, whatever is there.
pub(super) fn open(path: &Path) -> Result<(File, Metadata), DownloadError> {
    let failed = |operation| move |source| DownloadError::Local { operation, path: path.to_owned(), source };
    let judge = |metadata: &Metadata| match Kind::from(metadata.file_type()) {
        Kind::File => Ok(()),
        kind => Err(DownloadError::NotRegular { path: path.to_owned(), kind }),
    };
    // Looked at before it is opened, as opening a device may already do something, and again in case it was swapped.
    judge(&std::fs::metadata(path).map_err(failed("find"))?)?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let flags = i32::try_from(flags).map_err(|error| failed("open")(io::Error::other(error)))?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed("open"))?;
    let metadata = file.metadata().map_err(failed("look at"))?;
    judge(&metadata)?;
    Ok((file, metadata))
}

/// The version of an open file: the time of its last change and its number, which another file in its place has not.
pub(super) fn version(metadata: &Metadata) -> Validators {
    let changed = format!("{}.{:09} #{}", metadata.mtime(), metadata.mtime_nsec(), metadata.ino());
    Validators { etag: None, last_modified: Some(changed) }
}

/// Copies an open file. `mode` is narrowed by the umask. Blocks.
pub(super) fn copy(
    mut source: &File,
    path: &Path,
    metadata: &Metadata,
    place: Place,
    expected: Option<Checksum>,
    meter: Arc<Meter>,
) -> Result<(Staged, u64), DownloadError> {
    let mut sink = Sink::create(place, metadata.mode() & 0o777, expected, meter)?;
    // Files of /proc have no size and are only to be read.
    let size = metadata.size();
    let in_kernel = size > 0 && !sink.hashes();
    // A file that is being written has no size to hold the copy to.
    if in_kernel && sink.clone_whole(source, size) {
        return sink.finish();
    }
    let mut in_kernel = in_kernel;
    while in_kernel {
        match sink.copy_range(source, RANGE)? {
            Some(0) => return sink.finish(),
            Some(_) => {}
            // What was copied so far has moved both files on.
            None => in_kernel = false,
        }
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return sink.finish(),
            Ok(read) => sink.write(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(DownloadError::Local { operation: "read", path: path.to_owned(), source });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use sandbox::{RelPath, Sandbox};

    use super::*;

    fn place(dir: &Path) -> Place {
        Sandbox::open(dir).expect("opened").place(&RelPath::new("copy").expect("valid")).expect("a place")
    }

    fn fetch(from: &Path, dir: &Path, expected: Option<Checksum>) -> Result<u64, DownloadError> {
        let (file, metadata) = open(from)?;
        let (staged, bytes) = copy(&file, from, &metadata, place(dir), expected, Arc::default())?;
        staged.commit()?;
        Ok(bytes)
    }

    #[test]
    fn a_file_is_copied_with_its_mode() {
        let dir = tempfile::tempdir().expect("a directory");
        let from = dir.path().join("from");
        std::fs::write(&from, vec![7; BUFFER * 3 + 1]).expect("written");
        std::fs::set_permissions(&from, PermissionsExt::from_mode(0o640)).expect("set");
        assert_eq!(fetch(&from, dir.path(), None).expect("copied"), BUFFER as u64 * 3 + 1);
        let copy = dir.path().join("copy");
        assert_eq!(std::fs::read(&copy).expect("read"), std::fs::read(&from).expect("read"));
        assert_eq!(copy.metadata().expect("there").mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_file_without_a_size_is_read_to_its_end() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(fetch(Path::new("/proc/version"), dir.path(), None).expect("copied") > 0);
    }

    #[test]
    fn a_checksum_is_verified() {
        let dir = tempfile::tempdir().expect("a directory");
        let from = dir.path().join("from");
        std::fs::write(&from, "").expect("written");
        let empty =
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().expect("valid");
        fetch(&from, dir.path(), Some(empty)).expect("the right one");
        std::fs::write(&from, "x").expect("written");
        std::fs::remove_file(dir.path().join("copy")).expect("removed");
        assert!(matches!(fetch(&from, dir.path(), Some(empty)), Err(DownloadError::Checksum { .. })));
        assert!(!dir.path().join("copy").exists());
    }

    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        for path in [dir.path(), Path::new("/dev/zero")] {
            assert!(
                matches!(fetch(path, dir.path(), None), Err(DownloadError::NotRegular { .. })),
                "{path:?}"
            );
        }
        let missing = fetch(&dir.path().join("none"), dir.path(), None).expect_err("none");
        assert!(missing.to_string().starts_with("cannot find"), "{missing}");
    }
}
