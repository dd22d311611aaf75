//! Owns the reading of the value of `--master`, once a file that it names has been read.

use std::fmt;

use libprocess::ProcessId;
use thiserror::Error;

/// ZooKeeper's port where an address has none.
const ZOOKEEPER_PORT: u16 = 2181;
/// The id of a master in its UPID.
const MASTER: &str = "master";

/// Where the master is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterAddress {
    /// One master, which always leads: its UPID, whose host may be a name.
    Standalone(String),
    /// Whichever master leads by ZooKeeper.
    ZooKeeper(ZooKeeperAddress),
}

/// A ZooKeeper and the node below which the masters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperAddress {
    /// Its servers, `host:port,...`.
    pub servers: String,
    /// The node; begins with a slash and does not end with one.
    pub path: String,
    /// Who we are there.
    pub credentials: Option<Credentials>,
}

/// `user:password` for ZooKeeper's digest scheme. It prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(String);

/// Why a value of `--master` cannot be used. It never holds the value, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is neither form.
    #[error("--master is not of the form host:port or zk://[user:password@]host:port[,host:port...]/path")]
    Form,
    /// The port is none.
    #[error("a port in --master is not a number from 1 to 65535")]
    Port,
    /// There is no node to look below.
    #[error(
        "--master names a ZooKeeper without a path; write the one that the masters' --zk has, such as /mesos"
    )]
    NoPath,
    /// The node's path is none of ZooKeeper's.
    #[error("the path in --master is no path of ZooKeeper: it has an empty part, or '.' or '..' as a part")]
    Path,
    /// What stands before the `@` is not `user:password`.
    #[error("what stands before the '@' in --master is not user:password")]
    Credentials,
}

impl MasterAddress {
    /// Reads `host:port`, `master@host:port` or `zk://[user:password@]host:port,.../path`.
    ///
    /// As stock (`src/zookeeper/url.hpp`) the credentials end at the last `@` before the path.
    ///
    /// # Errors
    ///
    /// It is none of them.
    pub fn read(text: &str) -> Result<Self, AddressError> {
        match text.trim().strip_prefix("zk://") {
            Some(rest) => ZooKeeperAddress::read(rest).map(Self::ZooKeeper),
            None => standalone(text.trim()).map(Self::Standalone),
        }
    }
}

fn standalone(text: &str) -> Result<String, AddressError> {
    let (id, place) = text.rsplit_once('@').unwrap_or((MASTER, text));
    ProcessId::new(id).map_err(|_| AddressError::Form)?;
    let (host, port) = place.rsplit_once(':').ok_or(AddressError::Form)?;
    if !is_host(host) || id.is_empty() {
        return Err(AddressError::Form);
    }
    Ok(format!("{id}@{host}:{}", self::port(port)?))
}

impl ZooKeeperAddress {
    fn read(rest: &str) -> Result<Self, AddressError> {
        // A password may have a slash; a server and a path have no `@`.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(Credentials::read(credentials)?), rest),
            None => (None, rest),
        };
        let (servers, path) = rest.split_once('/').ok_or(AddressError::NoPath)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Err(AddressError::NoPath);
        }
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(AddressError::Path);
        }
        let servers = servers.split(',').map(server).collect::<Result<Vec<_>, _>>()?.join(",");
        Ok(Self { servers, path: format!("/{path}"), credentials })
    }
}

fn server(text: &str) -> Result<String, AddressError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, self::port(port)?),
        None => (text, ZOOKEEPER_PORT),
    };
    if !is_host(host) {
        return Err(AddressError::Form);
    }
    Ok(format!("{host}:{port}"))
}

fn is_host(text: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(of_a_name)
}

fn port(text: &str) -> Result<u16, AddressError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0).ok_or(AddressError::Port)
}

impl Credentials {
    fn read(text: &str) -> Result<Self, AddressError> {
        match text.split_once(':') {
            Some((user, _)) if !user.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(AddressError::Credentials),
        }
    }

    /// What the digest scheme takes. It holds the password.
    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.0.split(':').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.1:5050", "master@10.0.0.1:5050")]
    #[case("master@10.0.0.1:5050", "master@10.0.0.1:5050")]
    #[case(" leader.mesos:5050\n", "master@leader.mesos:5050")]
    fn one_master_is_read(#[case] text: &str, #[case] upid: &str) {
        assert_eq!(MasterAddress::read(text), Ok(MasterAddress::Standalone(upid.to_owned())));
    }

    #[rstest]
    #[case("zk://a:2181,b:2182/mesos", "a:2181,b:2182", "/mesos", None)]
    #[case("zk://a/mesos/", "a:2181", "/mesos", None)]
    #[case("zk://u:p@a:1/x/y", "a:1", "/x/y", Some("u:p"))]
    #[case("zk://u:p/q@r:s@a:1/x", "a:1", "/x", Some("u:p/q@r:s"))]
    #[case("zk://u:@a:1/x", "a:1", "/x", Some("u:"))]
    fn a_zookeeper_is_read(
        #[case] text: &str,
        #[case] servers: &str,
        #[case] path: &str,
        #[case] credentials: Option<&str>,
    ) {
        let Ok(MasterAddress::ZooKeeper(read)) = MasterAddress::read(text) else { panic!("{text}") };
        assert_eq!((read.servers.as_str(), read.path.as_str()), (servers, path));
        assert_eq!(read.credentials.map(|read| read.0), credentials.map(str::to_owned));
    }

    #[rstest]
    #[case("", AddressError::Form)]
    #[case("10.0.0.1", AddressError::Form)]
    #[case("10.0.0.1:0", AddressError::Port)]
    #[case("10.0.0.1:+1", AddressError::Port)]
    #[case("[::1]:5050", AddressError::Form)]
    #[case("http://a:5050", AddressError::Form)]
    #[case("zk://a:2181", AddressError::NoPath)]
    #[case("zk://a:2181/", AddressError::NoPath)]
    #[case("zk://a:x/mesos", AddressError::Port)]
    #[case("zk:///mesos", AddressError::Form)]
    #[case("zk://a,,b/mesos", AddressError::Form)]
    #[case("zk://a/mesos//x", AddressError::Path)]
    #[case("zk://a/mesos/../x", AddressError::Path)]
    #[case("zk://hunter2@a/mesos", AddressError::Credentials)]
    #[case("zk://:hunter2@a/mesos", AddressError::Credentials)]
    fn what_is_no_address_is_refused(#[case] text: &str, #[case] error: AddressError) {
        assert_eq!(MasterAddress::read(text), Err(error));
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn no_password_is_printed() {
        let told = format!("{:?}", MasterAddress::read("zk://user:hunter2:x@a/mesos").unwrap());
        assert!(told.contains("user:***") && !told.contains("hunter2"), "{told}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(zk://)?[ -~]{0,40}") {
            let _ = MasterAddress::read(&text);
        }
    }
}
