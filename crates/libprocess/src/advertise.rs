//! Owns the choice of the address that peers are told.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;

use crate::settings::Settings;

/// Why there is no address to tell.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdvertiseError {
    /// This machine's own name cannot be looked up.
    #[error(
        "cannot look up this machine's own name {hostname:?}; set an address to listen at or to advertise (--ip, --advertise_ip, LIBPROCESS_IP)"
    )]
    Lookup {
        /// The name.
        hostname: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The look-up took too long.
    #[error(
        "looking up this machine's own name {hostname:?} took more than {deadline:?}; set an address to listen at or to advertise (--ip, --advertise_ip, LIBPROCESS_IP)"
    )]
    Deadline {
        /// The name.
        hostname: String,
        /// How long it was given.
        deadline: Duration,
    },
    /// The name has no IPv4 address.
    #[error(
        "this machine's own name {0:?} has no IPv4 address; set an address to listen at or to advertise (--ip, --advertise_ip, LIBPROCESS_IP)"
    )]
    NoIpv4(String),
}

/// Chooses the address that peers are told: what is set, else what is bound, else (bound to every address) the first
/// IPv4 address of this machine's name, as stock does (`3rdparty/libprocess/src/process.cpp`, `initialize`).
///
/// # Errors
///
/// Nothing is set and the name has no IPv4 address or is not found in time.
pub(crate) async fn advertised(
    settings: &Settings,
    bound: SocketAddrV4,
) -> Result<SocketAddrV4, AdvertiseError> {
    let port = settings.advertise_port.unwrap_or(bound.port());
    let ip = match settings.advertise_ip {
        Some(ip) => ip,
        None if bound.ip().is_unspecified() => own_address(settings.limits.connect_deadline).await?,
        None => *bound.ip(),
    };
    Ok(SocketAddrV4::new(ip, port))
}

async fn own_address(deadline: Duration) -> Result<Ipv4Addr, AdvertiseError> {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let found = timeout(deadline, tokio::net::lookup_host((hostname.as_str(), 0))).await;
    let found = found.map(|found| {
        found.map(|mut addresses| {
            addresses.find_map(|address| match address {
                SocketAddr::V4(address) => Some(*address.ip()),
                SocketAddr::V6(_) => None,
            })
        })
    });
    match found {
        Ok(Ok(Some(ip))) => Ok(ip),
        Ok(Ok(None)) => Err(AdvertiseError::NoIpv4(hostname)),
        Ok(Err(source)) => Err(AdvertiseError::Lookup { hostname, source }),
        Err(_) => Err(AdvertiseError::Deadline { hostname, deadline }),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::bound(None, None, "10.0.0.5:5051")]
    #[case::ip(Some("192.0.2.1"), None, "192.0.2.1:5051")]
    #[case::port(None, Some(80), "10.0.0.5:80")]
    #[case::both(Some("192.0.2.1"), Some(80), "192.0.2.1:80")]
    #[tokio::test]
    async fn what_is_set_goes_before_what_is_bound(
        #[case] ip: Option<&str>,
        #[case] port: Option<u16>,
        #[case] expected: &str,
    ) {
        let ip = ip.map(|ip| ip.parse().unwrap());
        let settings = Settings { advertise_ip: ip, advertise_port: port, ..Settings::default() };
        let bound = "10.0.0.5:5051".parse().unwrap();
        assert_eq!(advertised(&settings, bound).await.unwrap().to_string(), expected);
    }
}
