//! Where the child's program is, and what environment it gets.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::FetchError;
use crate::info::ENVIRONMENT_VARIABLE;

/// The program's file name.
const PROGRAM: &str = "mesos-fetcher";

/// The longest `NAME=value` that Linux passes to a process, in bytes (`MAX_ARG_STRLEN` less the final NUL).
const LONGEST_VARIABLE: usize = 131_071;

/// Variables of the agent that reach the child although their name begins with `MESOS_`: stock's list.
const KEPT: [&str; 6] = [
    "MESOS_EXTERNAL_LOG_FILE",
    "MESOS_INITIALIZE_DRIVER_LOGGING",
    "MESOS_LOG_DIR",
    "MESOS_LOGBUFSECS",
    "MESOS_LOGGING_LEVEL",
    "MESOS_QUIET",
];

/// Variables by which a service manager talks to the agent itself. The child runs as the task's user.
const AGENTS_OWN: [&str; 6] =
    ["CREDENTIALS_DIRECTORY", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// Finds the program: in the launcher directory, else beside our own program.
///
/// # Errors
///
/// [`FetchError::NoProgram`] with the place.
pub(super) fn find(launcher_dir: Option<&Path>) -> Result<PathBuf, FetchError> {
    let beside = || std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let dir = launcher_dir.map(Path::to_owned).or_else(beside).unwrap_or_default();
    let path = dir.join(PROGRAM);
    match path.canonicalize() {
        Ok(found) if found.is_file() => Ok(found),
        _ => Err(FetchError::NoProgram { path }),
    }
}

/// The child's whole environment: ours without what is the agent's own business, and what it is to do.
///
/// Stock's rule, so that proxies, certificates and credentials of object stores reach the child as they always did. An
/// agent that keeps other secrets in its environment should be started without them: the child runs as the task's user.
///
/// # Errors
///
/// [`FetchError::TooLong`] for a request that no process can be given.
pub(super) fn environment(
    ours: impl IntoIterator<Item = (OsString, OsString)>,
    hadoop_home: Option<&Path>,
    request: String,
) -> Result<Vec<(OsString, OsString)>, FetchError> {
    let most = LONGEST_VARIABLE - ENVIRONMENT_VARIABLE.len() - 1;
    if request.len() > most {
        return Err(FetchError::TooLong { bytes: request.len(), most });
    }
    let mut variables: Vec<_> = ours.into_iter().filter(|(name, _)| is_passed(name)).collect();
    let mut set = |name: &str, value: OsString| {
        variables.retain(|(given, _)| given != name);
        variables.push((name.into(), value));
    };
    if let Some(home) = hadoop_home {
        set("HADOOP_HOME", home.into());
    }
    set("LIBPROCESS_IP", "127.0.0.1".into());
    set(ENVIRONMENT_VARIABLE, request.into());
    Ok(variables)
}

fn is_passed(name: &OsStr) -> bool {
    let is_agents = |prefix: &[u8]| name.as_bytes().starts_with(prefix);
    KEPT.iter().any(|kept| name == *kept)
        || !(is_agents(b"MESOS_") || is_agents(b"LIBPROCESS_") || AGENTS_OWN.iter().any(|own| name == *own))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Peer: FetcherTest.SSLEnvironmentSpillover.
    #[test]
    fn the_agents_own_variables_do_not_reach_the_child() {
        let ours = [
            ("PATH", "/bin"),
            ("https_proxy", "http://proxy:3128"),
            ("LIBPROCESS_SSL_ENABLED", "true"),
            ("LIBPROCESS_SSL_KEY_FILE", "/key"),
            ("LIBPROCESS_IP", "10.0.0.1"),
            ("MESOS_DOCKER_CONFIG", "secret"),
            ("MESOS_FETCHER_INFO", "old"),
            ("MESOS_LOGGING_LEVEL", "INFO"),
            ("NOTIFY_SOCKET", "/run/notify"),
            ("HADOOP_HOME", "/old"),
        ]
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let variables = environment(ours, Some(Path::new("/hadoop")), "{}".to_owned()).unwrap();
        let expected = BTreeMap::from(
            [
                ("PATH", "/bin"),
                ("https_proxy", "http://proxy:3128"),
                ("LIBPROCESS_IP", "127.0.0.1"),
                ("MESOS_FETCHER_INFO", "{}"),
                ("MESOS_LOGGING_LEVEL", "INFO"),
                ("HADOOP_HOME", "/hadoop"),
            ]
            .map(|(name, value)| (OsString::from(name), OsString::from(value))),
        );
        assert_eq!(variables.len(), expected.len());
        assert_eq!(BTreeMap::from_iter(variables), expected);
    }

    #[test]
    fn a_request_that_no_process_takes_is_refused() {
        let error = environment([], None, "x".repeat(LONGEST_VARIABLE)).unwrap_err().to_string();
        assert!(error.contains("131071 bytes"), "{error}");
    }

    #[test]
    fn the_program_is_in_the_launcher_directory() {
        let dir = tempfile::tempdir().unwrap();
        let error = find(Some(dir.path())).unwrap_err().to_string();
        assert!(
            error.contains("failed to find mesos-fetcher") && error.contains("--launcher_dir"),
            "{error}"
        );
        std::fs::write(dir.path().join(PROGRAM), "").unwrap();
        assert_eq!(find(Some(dir.path())).unwrap(), dir.path().join(PROGRAM).canonicalize().unwrap());
    }
}
