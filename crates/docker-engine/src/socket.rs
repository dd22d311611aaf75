//! Which socket the engine listens on, and what to tell a person when nobody answers there.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, ErrorKind, Op};

/// The socket of a Docker Engine installed from a package.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Returns the socket to use: the flag's value, else that of `DOCKER_HOST`, else [`DEFAULT_SOCKET`].
///
/// Both may be a path or `unix://` and a path; an empty value counts as absent. The values are passed in, so that
/// nothing here reads the environment.
///
/// # Errors
///
/// `Invalid` for other schemes (`tcp://`, `ssh://`) and for relative paths, naming `--docker_socket`.
pub fn resolve_socket(flag: Option<&str>, docker_host: Option<&str>) -> Result<PathBuf, EngineError> {
    let present =
        |value: Option<&'_ str>| value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
    if let Some(value) = present(flag) {
        return socket_path("--docker_socket", &value);
    }
    match present(docker_host) {
        Some(value) => socket_path("DOCKER_HOST", &value),
        None => Ok(PathBuf::from(DEFAULT_SOCKET)),
    }
}

fn socket_path(name: &str, value: &str) -> Result<PathBuf, EngineError> {
    let invalid = |detail: String| EngineError::new(Op::Connect, value, ErrorKind::Invalid { detail });
    let path = match value.split_once("://") {
        Some(("unix", path)) => path,
        Some((scheme, _)) => {
            return Err(invalid(format!(
                "{name} names a {scheme} address, and only a Unix socket on this machine can be used; \
                 set --docker_socket to its path"
            )));
        }
        None => value,
    };
    if !path.starts_with('/') {
        return Err(invalid(format!(
            "{name} is not an absolute path; set --docker_socket to the path of the socket"
        )));
    }
    Ok(PathBuf::from(path))
}

/// Returns the hint for a connect error: what it usually means on this path.
pub(crate) fn connect_hint(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{socket} does not exist: start the Docker Engine, or set --docker_socket to its socket")
        }
        io::ErrorKind::ConnectionRefused => format!(
            "{socket} exists and nobody listens on it: the daemon is down, or the socket file was mounted into this \
             container before the daemon restarted; start the daemon, or mount the socket's directory instead"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to use {socket}: run as root or as a member of the socket's group")
        }
        _ => format!("connecting to {socket} failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, None, DEFAULT_SOCKET)]
    #[case(Some(""), Some(""), DEFAULT_SOCKET)]
    #[case(Some("/a.sock"), Some("unix:///b.sock"), "/a.sock")]
    #[case(Some("unix:///a.sock"), None, "/a.sock")]
    #[case(None, Some("unix:///b.sock"), "/b.sock")]
    fn the_flag_goes_before_the_environment(
        #[case] flag: Option<&str>,
        #[case] host: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(resolve_socket(flag, host).unwrap(), PathBuf::from(expected));
    }

    #[rstest]
    #[case(None, Some("tcp://10.0.0.1:2375"))]
    #[case(None, Some("ssh://me@there"))]
    #[case(Some("docker.sock"), None)]
    #[case(Some("unix://docker.sock"), None)]
    fn other_addresses_are_refused_with_the_flag_to_set(
        #[case] flag: Option<&str>,
        #[case] host: Option<&str>,
    ) {
        let shown = resolve_socket(flag, host).unwrap_err().to_string();
        assert!(shown.contains("set --docker_socket"), "{shown}");
    }

    #[rstest]
    #[case(io::ErrorKind::NotFound, "start the Docker Engine")]
    #[case(io::ErrorKind::ConnectionRefused, "nobody listens")]
    #[case(io::ErrorKind::PermissionDenied, "no permission")]
    fn each_connect_error_has_its_hint(#[case] kind: io::ErrorKind, #[case] part: &str) {
        let hint = connect_hint(Path::new("/s.sock"), &io::Error::from(kind));
        assert!(hint.contains(part) && hint.contains("/s.sock"), "{hint}");
    }
}
