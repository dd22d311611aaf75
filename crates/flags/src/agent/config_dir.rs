//! The directory of `--config_dir`, as the packages of Mesos keep it: one file for each flag.
//!
//! A file `name` holds the value of `--name`; files `?name` and `?no-name` are `--name` and `--no-name`, whatever is in
//! them. In directories `attributes` and `resources`, each file `key` stands for `key:content`, and they are joined with
//! `;`. Where nothing else names the master, a file `zk` in the directory `mesos` beside it does
//! (`/etc/mesos/zk` beside `/etc/mesos-agent`). Hidden files are left alone, and so are those that package managers and
//! editors leave behind.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{AgentFlagsError, Origin};
use super::layers::{Layer, add};
use super::permissions;
use crate::definition::{FlagKind, Sensitivity, normalize_name};
use crate::error::FlagError;
use crate::source::{Notice, read_bounded};

/// Endings of files that were set aside.
const LEFT_BEHIND: [&str; 17] = [
    "~",
    "#",
    ".bak",
    ".orig",
    ".save",
    ".swp",
    ".dpkg-bak",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".ucf-dist",
    ".ucf-new",
    ".ucf-old",
];

/// Directories whose files are joined into one flag.
const JOINED: [&str; 2] = ["attributes", "resources"];

/// The flag that names the directory; it cannot be in it.
const OWN: &str = "config_dir";

/// Reads the flags of the directory.
///
/// # Errors
///
/// What cannot be read, by its path; a name that is no flag; a flag that is there twice.
pub(super) fn read(dir: &Path, notices: &mut Vec<Notice>) -> Result<Layer, AgentFlagsError> {
    let mut layer = Layer::new();
    if permissions::is_writable_by_others(dir) {
        notices.push(Notice { flag: OWN, text: format!("{} can be changed by every user", dir.display()) });
    }
    for path in entries(dir)? {
        let Some(name) = path.file_name().and_then(OsStr::to_str).map(str::to_owned) else {
            return Err(failed(&path, io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8")));
        };
        if is_left_behind(&name) {
            continue;
        }
        let origin = Origin::File(path.clone());
        let metadata = fs::metadata(&path).map_err(|error| failed(&path, error))?;
        if metadata.is_dir() && JOINED.contains(&name.as_str()) {
            add(&mut layer, &name, joined(&path)?, origin)?;
        } else if metadata.is_dir() {
            notices.push(Notice { flag: OWN, text: format!("directory {} is not read", path.display()) });
        } else if let Some(flag) = name.strip_prefix('?') {
            add_boolean(&mut layer, flag, origin)?;
        } else if normalize_name(&name) == OWN {
            let reason = "a directory of flags cannot name another one, write it on the command line";
            return Err(AgentFlagsError::at(Some(&origin), FlagError::invalid(OWN, reason)));
        } else {
            let text = value(&path)?;
            add(&mut layer, &normalize_name(&name), text, origin)?;
        }
    }
    for (name, given) in &layer {
        let Origin::File(path) = &given.origin else { continue };
        // Where the value is a path, the file it names is looked at later.
        let is_path = given.row.flag.kind == FlagKind::File
            || given.text.starts_with('/')
            || given.text.starts_with("file://");
        if given.row.flag.sensitivity == Sensitivity::Secret && !is_path {
            notices.extend(permissions::lying_open(name, path));
        }
    }
    Ok(layer)
}

/// The file that names the master for all packages, beside `dir`.
pub(super) fn shared_master(dir: &Path) -> Result<Option<(String, PathBuf)>, AgentFlagsError> {
    let Some(path) = dir.parent().map(|parent| parent.join("mesos").join("zk")) else { return Ok(None) };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path, error)),
        Ok(_) => {
            let text = value(&path)?;
            Ok(Some((text, path)).filter(|(text, _)| !text.is_empty()))
        }
    }
}

fn failed(path: &Path, source: io::Error) -> AgentFlagsError {
    AgentFlagsError::ConfigDir { path: path.to_owned(), source }
}

/// The paths in a directory, in the order of their names.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, AgentFlagsError> {
    let list = fs::read_dir(dir).map_err(|error| failed(dir, error))?;
    let paths: io::Result<Vec<PathBuf>> = list.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|error| failed(dir, error))?;
    paths.sort();
    Ok(paths)
}

fn is_left_behind(name: &str) -> bool {
    name.starts_with('.') || LEFT_BEHIND.iter().any(|ending| name.ends_with(ending))
}

/// The content of a file without the line ends at its end, as a shell's `$(cat file)` has it.
fn value(path: &Path) -> Result<String, AgentFlagsError> {
    let path = std::path::absolute(path).map_err(|error| failed(path, error))?;
    let text = read_bounded(&path).map_err(|error| failed(&path, error))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The files of a directory as `key:content;key:content`.
fn joined(dir: &Path) -> Result<String, AgentFlagsError> {
    let mut parts = Vec::new();
    for path in entries(dir)? {
        match path.file_name().and_then(OsStr::to_str) {
            Some(key) if is_left_behind(key) => {}
            Some(key) => parts.push(format!("{key}:{}", value(&path)?)),
            None => {
                let source = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                return Err(failed(&path, source));
            }
        }
    }
    Ok(parts.join(";"))
}

/// Adds what `?name` or `?no-name` says.
fn add_boolean(layer: &mut Layer, flag: &str, origin: Origin) -> Result<(), AgentFlagsError> {
    let (name, text) = match flag.strip_prefix("no-") {
        Some(name) => (normalize_name(name), "false"),
        None => (normalize_name(flag), "true"),
    };
    let at = origin.clone();
    add(layer, &name, text.to_owned(), origin)?;
    match super::table::row(&name) {
        Some(row) if row.flag.kind != FlagKind::Bool => Err(AgentFlagsError::at(
            Some(&at),
            FlagError::Invalid {
                name: row.flag.name,
                reason: "a file whose name begins with ? is for boolean flags; name it like the flag"
                    .to_owned(),
            },
        )),
        _ => Ok(()),
    }
}
