//! Owns the addresses of processes: their text form, what is a valid one, and the look-up of host names in them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;

/// The longest id that is taken from the wire, in bytes. Stock sets no bound; its ids have at most some fifty.
const LONGEST_ID: usize = 1024;

/// The name of a process within its node: `slave(1)`, `master`, `executor(1)`, `scheduler-<uuid>`.
///
/// It has visible ASCII characters only and no `@`, so that it fits a UPID, a header and a request line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(Box<str>);

/// The address of a process: `slave(1)@10.0.0.5:5051`.
///
/// Two UPIDs are equal when id, address and port are. Stock prints an address that is not there as `@0.0.0.0:0`; see
/// [`Upid::is_empty`]. An IPv6 address is no address of a process, as in stock (`3rdparty/libprocess/src/pid.cpp`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upid {
    id: ProcessId,
    address: SocketAddrV4,
}

/// Why a text is no UPID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpidError {
    /// It has no `@`.
    #[error("the process address {0:?} has no '@' (it should read id@ip:port)")]
    NoAt(String),
    /// The id has characters that no request line may have, or is too long.
    #[error(
        "the process id {0:?} has characters other than visible ASCII, or more than {LONGEST_ID} of them"
    )]
    Id(String),
    /// The part behind the `@` has no port of 0 to 65535.
    #[error("the process address {0:?} has no port from 0 to 65535")]
    Port(String),
    /// The part behind the `@` is not an IPv4 address. It may be a host name: see [`Upid::resolve`].
    #[error("the process address {0:?} has no IPv4 address")]
    Host(String),
}

/// Why a UPID with a host name was not found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The text is no UPID, whatever its host is.
    #[error(transparent)]
    Text(#[from] UpidError),
    /// The look-up failed.
    #[error("cannot look up the host of the process address {text:?}")]
    Lookup {
        /// The UPID.
        text: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The look-up took too long.
    #[error("looking up the host of the process address {text:?} took more than {deadline:?}")]
    Deadline {
        /// The UPID.
        text: String,
        /// How long it was given.
        deadline: Duration,
    },
    /// The host has no IPv4 address.
    #[error("the host of the process address {0:?} has no IPv4 address")]
    NoIpv4(String),
}

/// The parts of a UPID's text before its host is understood.
struct Parts<'a> {
    id: ProcessId,
    host: &'a str,
    port: u16,
}

impl ProcessId {
    /// Takes a name of a process. The empty one is that of the empty UPID.
    ///
    /// # Errors
    ///
    /// It has characters other than visible ASCII, an `@`, or more than 1024 bytes.
    pub fn new(id: &str) -> Result<Self, UpidError> {
        let visible = id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        if !visible || id.len() > LONGEST_ID {
            return Err(UpidError::Id(id.chars().take(LONGEST_ID).collect()));
        }
        Ok(Self(id.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Upid {
    /// Makes the address of a process from its parts.
    pub fn new(id: ProcessId, address: SocketAddrV4) -> Self {
        Self { id, address }
    }

    /// The name of the process.
    pub fn id(&self) -> &ProcessId {
        &self.id
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Whether it is the address of nobody, which stock prints as `@0.0.0.0:0` (frameworks of the HTTP API have it).
    pub fn is_empty(&self) -> bool {
        self.id.as_str().is_empty() && self.address.port() == 0 && self.address.ip().is_unspecified()
    }

    /// Reads a UPID whose host may be a name, looking the name up within `deadline`. The first IPv4 address is taken.
    ///
    /// # Errors
    ///
    /// The text is no UPID, or its host is not found in time, or has no IPv4 address.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; a look-up under way ends on a thread of the runtime's pool.
    pub async fn resolve(text: &str, deadline: Duration) -> Result<Self, ResolveError> {
        let parts = Parts::read(text)?;
        if let Ok(ip) = parts.host.parse::<Ipv4Addr>() {
            return Ok(Self::new(parts.id, SocketAddrV4::new(ip, parts.port)));
        }
        let found = timeout(deadline, tokio::net::lookup_host((parts.host, parts.port)))
            .await
            .map_err(|_| ResolveError::Deadline { text: text.to_owned(), deadline })?
            .map_err(|source| ResolveError::Lookup { text: text.to_owned(), source })?;
        for address in found {
            if let SocketAddr::V4(address) = address {
                return Ok(Self::new(parts.id, address));
            }
        }
        Err(ResolveError::NoIpv4(text.to_owned()))
    }
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Self, UpidError> {
        let shortened = || text.chars().take(LONGEST_ID).collect::<String>();
        let (id, address) = text.split_once('@').ok_or_else(|| UpidError::NoAt(shortened()))?;
        let id = ProcessId::new(id)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(|| UpidError::Port(shortened()))?;
        // `u16::from_str` takes a plus sign.
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or_else(|| UpidError::Port(shortened()))?;
        let name =
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        if host.is_empty() || !name {
            return Err(UpidError::Host(shortened()));
        }
        Ok(Self { id, host, port })
    }
}

impl FromStr for Upid {
    type Err = UpidError;

    fn from_str(text: &str) -> Result<Self, UpidError> {
        let parts = Parts::read(text)?;
        let ip = parts.host.parse().map_err(|_| UpidError::Host(text.to_owned()))?;
        Ok(Self::new(parts.id, SocketAddrV4::new(ip, parts.port)))
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.address)
    }
}

impl fmt::Debug for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("slave(1)@10.0.0.5:5051", "slave(1)", "10.0.0.5:5051")]
    #[case("master@127.0.0.1:5050", "master", "127.0.0.1:5050")]
    #[case(
        "scheduler-b2d8c5b2-0f4a-4b5b-8f5e-9d1c5d6a7b8c@10.1.2.3:45678",
        "scheduler-b2d8c5b2-0f4a-4b5b-8f5e-9d1c5d6a7b8c",
        "10.1.2.3:45678"
    )]
    #[case("crammd5-authenticator-session(2)@0.0.0.0:1", "crammd5-authenticator-session(2)", "0.0.0.0:1")]
    #[case("foo/bar(7)@1.2.3.4:65535", "foo/bar(7)", "1.2.3.4:65535")]
    #[case("@0.0.0.0:0", "", "0.0.0.0:0")]
    fn a_upid_is_read_and_printed(#[case] text: &str, #[case] id: &str, #[case] address: &str) {
        let upid: Upid = text.parse().unwrap();
        assert_eq!(upid.id().as_str(), id);
        assert_eq!(upid.address().to_string(), address);
        assert_eq!(upid.to_string(), text);
        assert_eq!(upid.is_empty(), text == "@0.0.0.0:0");
    }

    #[rstest]
    #[case::nothing("", "no '@'")]
    #[case::no_at("slave(1)", "no '@'")]
    #[case::no_port("slave(1)@10.0.0.5", "port")]
    #[case::empty_port("slave(1)@10.0.0.5:", "port")]
    #[case::large_port("slave(1)@10.0.0.5:65536", "port")]
    #[case::signed_port("slave(1)@10.0.0.5:+1", "port")]
    #[case::host_name("slave(1)@agent.example:5051", "IPv4")]
    #[case::no_host("slave(1)@:5051", "IPv4")]
    #[case::ipv6("slave(1)@[::1]:5051", "IPv4")]
    #[case::two_ats("a@b@1.2.3.4:5", "IPv4")]
    #[case::a_space("slave 1@1.2.3.4:5", "visible ASCII")]
    #[case::a_line("slave\r\nX: y@1.2.3.4:5", "visible ASCII")]
    #[case::beyond_ascii("släve@1.2.3.4:5", "visible ASCII")]
    fn what_is_no_upid_is_refused(#[case] text: &str, #[case] said: &str) {
        let error = text.parse::<Upid>().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn a_giant_id_is_refused() {
        let text = format!("{}@1.2.3.4:5", "x".repeat(LONGEST_ID + 1));
        assert!(matches!(text.parse::<Upid>(), Err(UpidError::Id(_))));
    }

    #[tokio::test]
    async fn a_host_name_is_looked_up() {
        let upid = Upid::resolve("master@localhost:5050", Duration::from_secs(5)).await.unwrap();
        assert_eq!(upid.to_string(), "master@127.0.0.1:5050");
        let upid = Upid::resolve("master@10.0.0.1:5050", Duration::ZERO).await.unwrap();
        assert_eq!(upid.to_string(), "master@10.0.0.1:5050");
        assert!(Upid::resolve("master@no/host:5050", Duration::from_secs(5)).await.is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            if let Ok(upid) = text.parse::<Upid>() {
                let again: Upid = upid.to_string().parse().unwrap();
                prop_assert_eq!(again, upid);
            }
        }

        #[test]
        fn every_upid_survives_its_text(
            id in "[!-?A-~]{0,64}",
            ip in any::<[u8; 4]>(),
            port in any::<u16>(),
        ) {
            let upid = Upid::new(ProcessId::new(&id).unwrap(), SocketAddrV4::new(ip.into(), port));
            prop_assert_eq!(upid.to_string().parse::<Upid>().unwrap(), upid);
        }
    }
}
