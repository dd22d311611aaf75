//! Who may read or change a file that the agent trusts.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::source::Notice;

/// The line about a secret, if every user may read it.
pub(super) fn lying_open(flag: &'static str, path: &Path) -> Option<Notice> {
    let is_open = mode(path).is_some_and(|mode| mode & 0o004 != 0);
    is_open.then(|| Notice {
        flag,
        text: format!("{0} holds a secret and every user can read it: chmod 0600 {0}", path.display()),
    })
}

/// Whether every user may change the file or directory. A sticky directory is open to all, too.
pub(super) fn is_writable_by_others(path: &Path) -> bool {
    mode(path).is_some_and(|mode| mode & 0o002 != 0)
}

fn mode(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode())
}
