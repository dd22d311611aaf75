//! The config that a task brought into its sandbox: reading it as what a stranger wrote, and hiding it from the task.

use std::io::{self, Read as _};
use std::path::Path;

use docker_engine::Credentials;
use sandbox::{RelPath, Sandbox, SandboxError};

use super::config::ConfigFile;
use super::error::CredentialError;
use super::operator::MAX_CONFIG;
use super::registry::Registry;

/// The places, the first that is there counts (`docker` in `src/docker/docker.cpp` points `HOME` to the sandbox, and
/// the docker client looks there in this order).
const PLACES: [&str; 2] = [".docker/config.json", ".dockercfg"];

/// The credentials that the config in a sandbox has for a registry, and the file's name. Blocks on the file system.
///
/// # Errors
///
/// A config that is there and cannot be read or used.
pub(super) fn find(
    sandbox: &Path,
    registry: &Registry,
) -> Result<Option<(Credentials, &'static str)>, CredentialError> {
    let unread = |source| CredentialError::Sandbox { source };
    let sandbox = Sandbox::open(sandbox).map_err(unread)?;
    for file in PLACES {
        let Some(text) = read(&sandbox, file).map_err(unread)? else { continue };
        let unusable = |source| CredentialError::Task { file, source };
        let config = ConfigFile::parse(&text).and_then(ConfigFile::entries_only).map_err(unusable)?;
        let found = config.entry(registry).map_err(unusable)?;
        return Ok(found.map(|credentials| (credentials, file)));
    }
    Ok(None)
}

/// Removes the configs of a sandbox, and the `archives` that they came out of, so that the task does not find them.
/// Called once the container is created and nothing pulls any more, and before it starts. Blocks on the file system.
///
/// Answers what was removed.
///
/// # Errors
///
/// One that is there and cannot be removed for good: a link, or a file with another name. The task must not start
/// then.
pub(crate) fn hide(sandbox: &Path, archives: &[RelPath]) -> Result<Vec<RelPath>, SandboxError> {
    let sandbox = Sandbox::open(sandbox)?;
    let mut removed = Vec::new();
    for path in PLACES.into_iter().map(relative).chain(archives.iter().cloned()) {
        match sandbox.remove_file(&path) {
            Ok(()) => removed.push(path),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

fn read(sandbox: &Sandbox, file: &'static str) -> Result<Option<Vec<u8>>, SandboxError> {
    let path = relative(file);
    let file = match sandbox.open_file(&path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let path = sandbox.path().join(&path);
    let mut bytes = Vec::new();
    if let Err(source) = file.take(MAX_CONFIG + 1).read_to_end(&mut bytes) {
        return Err(SandboxError::Io { operation: "read", path, source });
    }
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(SandboxError::TooLarge { path, max: MAX_CONFIG });
    }
    Ok(Some(bytes))
}

/// Whether nothing is there: not the file, or a plain file in the place of its directory, which the docker client
/// passes by. A link is neither.
fn is_absent(error: &SandboxError) -> bool {
    error.is_not_found()
        || matches!(error, SandboxError::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory)
}

fn relative(place: &str) -> RelPath {
    match RelPath::new(place) {
        Ok(path) => path,
        // The places are constants, and a test reads from each.
        Err(error) => unreachable!("a place of configs is no relative path: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_engine::ImageRef;
    use rstest::rstest;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const ENTRY: &str = r#"{"reg.test": {"username": "u", "password": "hunter2"}}"#;

    fn sandbox() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".docker")).unwrap();
        dir
    }

    fn look(sandbox: &TempDir) -> Result<Option<&'static str>, CredentialError> {
        let registry = Registry::of(&ImageRef::parse("reg.test/a").unwrap()).unwrap();
        Ok(find(sandbox.path(), &registry)?.map(|(_, file)| file))
    }

    #[test]
    fn the_first_place_that_is_there_counts() {
        let dir = sandbox();
        assert_eq!(look(&dir).unwrap(), None);
        std::fs::write(dir.path().join(".dockercfg"), ENTRY).unwrap();
        assert_eq!(look(&dir).unwrap(), Some(".dockercfg"));
        std::fs::write(dir.path().join(".docker/config.json"), format!(r#"{{"auths": {ENTRY}}}"#)).unwrap();
        assert_eq!(look(&dir).unwrap(), Some(".docker/config.json"));
        std::fs::write(dir.path().join(".docker/config.json"), r#"{"auths": {}}"#).unwrap();
        assert_eq!(look(&dir).unwrap(), None);
    }

    /// What a task plants must not make us read a file of the host, wait, or take it for nothing.
    #[rstest]
    fn what_is_no_plain_file_is_an_error(
        #[values(".docker/config.json", ".dockercfg")] place: &str,
        #[values("link", "hard link", "fifo", "directory", "large", "json")] what: &str,
    ) {
        let (dir, outside) = (sandbox(), tempfile::tempdir().unwrap());
        let (at, secret) = (dir.path().join(place), outside.path().join("config.json"));
        std::fs::write(&secret, ENTRY).unwrap();
        match what {
            "link" => symlink(&secret, &at).unwrap(),
            "hard link" => std::fs::hard_link(&secret, &at).unwrap(),
            "fifo" => {
                let mode = rustix::fs::Mode::RUSR;
                rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            }
            "directory" => std::fs::create_dir(&at).unwrap(),
            "large" => std::fs::write(&at, " ".repeat((1 << 20) + 1)).unwrap(),
            _ => std::fs::write(&at, "hunter2").unwrap(),
        }
        let error = look(&dir).unwrap_err();
        let said = crate::chain(&error);
        assert!(said.contains(place), "{said}");
        assert!(!format!("{said} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn a_plain_file_in_the_place_of_the_directory_holds_no_config() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".docker"), "of another program").unwrap();
        assert_eq!(look(&dir).unwrap(), None);
        std::fs::write(dir.path().join(".dockercfg"), ENTRY).unwrap();
        assert_eq!(look(&dir).unwrap(), Some(".dockercfg"));
        assert_eq!(hide(dir.path(), &[]).unwrap(), [relative(".dockercfg")]);
        assert!(dir.path().join(".docker").exists());
    }

    #[test]
    fn a_linked_directory_leads_nowhere() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("config.json"), ENTRY).unwrap();
        symlink(outside.path(), dir.path().join(".docker")).unwrap();
        assert!(crate::chain(&look(&dir).unwrap_err()).contains("symbolic link"));
    }

    #[test]
    fn hiding_removes_configs_and_archives_and_nothing_else() {
        let dir = sandbox();
        let archives = [relative("docker.tar.gz"), relative("not/fetched.zip")];
        for file in [".dockercfg", ".docker/config.json", ".docker/other", "docker.tar.gz", "app.tar.gz"] {
            std::fs::write(dir.path().join(file), ENTRY).unwrap();
        }
        let removed = hide(dir.path(), &archives).unwrap();
        assert_eq!(removed, [".docker/config.json", ".dockercfg", "docker.tar.gz"].map(relative));
        assert!(dir.path().join(".docker/other").exists() && dir.path().join("app.tar.gz").exists());
        assert!(!dir.path().join(".dockercfg").exists() && !dir.path().join("docker.tar.gz").exists());
        assert_eq!(hide(dir.path(), &archives).unwrap(), []);
    }

    #[test]
    fn what_stays_readable_by_another_name_is_not_hidden() {
        let (dir, outside) = (sandbox(), tempfile::tempdir().unwrap());
        let target = outside.path().join("config.json");
        std::fs::write(&target, ENTRY).unwrap();
        symlink(&target, dir.path().join(".dockercfg")).unwrap();
        assert!(hide(dir.path(), &[]).unwrap_err().to_string().contains("symbolic link"));
        std::fs::remove_file(dir.path().join(".dockercfg")).unwrap();
        std::fs::write(dir.path().join("copy"), ENTRY).unwrap();
        std::fs::hard_link(dir.path().join("copy"), dir.path().join(".dockercfg")).unwrap();
        assert!(hide(dir.path(), &[]).unwrap_err().to_string().contains("2 hard links"));
        assert!(target.exists() && dir.path().join(".dockercfg").exists());
    }
}
