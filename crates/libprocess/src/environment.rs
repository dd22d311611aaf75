//! Owns the `LIBPROCESS_*` variables: which of them count, and what is wrong with a value. Pure; the programs pass
//! their environment in and apply flags over the result, as stock's `main()` lets flags overwrite the variables.

use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::settings::Settings;

/// What the environment says about the addresses of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `LIBPROCESS_IP`.
    pub ip: Option<Ipv4Addr>,
    /// `LIBPROCESS_IP6`. A node does not listen there; an agent tells it to tasks.
    pub ip6: Option<Ipv6Addr>,
    /// `LIBPROCESS_PORT`.
    pub port: Option<u16>,
    /// `LIBPROCESS_ADVERTISE_IP`.
    pub advertise_ip: Option<Ipv4Addr>,
    /// `LIBPROCESS_ADVERTISE_PORT`.
    pub advertise_port: Option<u16>,
    /// `LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH`.
    pub require_peer_address_ip_match: Option<bool>,
    /// `LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT` as it is; the owner of that endpoint judges it.
    pub metrics_rate_limit: Option<String>,
    /// Variables that are there and have no effect, to be told.
    pub without_effect: Vec<String>,
}

/// Why the environment cannot be followed. The program should end with it, as stock does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A value is of the wrong form.
    #[error("the environment variable {name}={value:?} is not {expected}; correct or unset it")]
    Value {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// TLS is asked for. Going on in the clear would be unsafe, and peers would not understand us.
    #[error(
        "the environment variable {0} asks for TLS between Mesos processes, which is not supported; unset it, and start master and agents without it"
    )]
    Tls(String),
}

/// The limit of the metrics' endpoint.
const METRICS_RATE_LIMIT: &str = "LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT";
/// What stock reads that changes nothing here: our threads, memory and profiling are not libprocess'.
const WITHOUT_EFFECT: [&str; 3] =
    ["LIBPROCESS_NUM_WORKER_THREADS", "LIBPROCESS_MEMORY_PROFILING", "LIBPROCESS_ENABLE_PROFILER"];

impl Overrides {
    /// Reads the variables of libprocess out of an environment; all others are passed over. One that is empty is unset,
    /// as unit files and images have them (stock refuses it), except the rate limit, where that is no limit.
    ///
    /// # Errors
    ///
    /// A value has the wrong form, or TLS is asked for.
    pub fn read(environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, EnvironmentError> {
        let mut found = Self::default();
        for (name, value) in environment {
            if value.is_empty() && name != METRICS_RATE_LIMIT {
                continue;
            }
            match name.as_str() {
                "LIBPROCESS_IP" => found.ip = Some(ip(&name, &value)?),
                "LIBPROCESS_IP6" => found.ip6 = Some(number(&name, &value, "an IPv6 address")?),
                "LIBPROCESS_PORT" => found.port = Some(number(&name, &value, "a port from 0 to 65535")?),
                "LIBPROCESS_ADVERTISE_IP" => found.advertise_ip = Some(ip(&name, &value)?),
                "LIBPROCESS_ADVERTISE_PORT" => {
                    let expected = "a port from 1 to 65535";
                    let port = number(&name, &value, expected)?;
                    if port == 0 {
                        return Err(EnvironmentError::Value { name, value, expected });
                    }
                    found.advertise_port = Some(port);
                }
                "LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH" => {
                    found.require_peer_address_ip_match = Some(truth(&name, &value)?);
                }
                METRICS_RATE_LIMIT => found.metrics_rate_limit = Some(value),
                // The names without prefix are those of Mesos before 1.0, which 1.11 still reads.
                "LIBPROCESS_SSL_ENABLED" | "SSL_ENABLED" if truth(&name, &value)? => {
                    return Err(EnvironmentError::Tls(name));
                }
                _ if WITHOUT_EFFECT.contains(&name.as_str()) => found.without_effect.push(name),
                _ => {}
            }
        }
        found.without_effect.sort();
        Ok(found)
    }

    /// Puts what is there into settings.
    pub fn apply(&self, settings: &mut Settings) {
        if let Some(ip) = self.ip {
            settings.ip = ip;
        }
        if let Some(port) = self.port {
            settings.port = port;
        }
        settings.advertise_ip = self.advertise_ip.or(settings.advertise_ip);
        settings.advertise_port = self.advertise_port.or(settings.advertise_port);
        if let Some(required) = self.require_peer_address_ip_match {
            settings.require_peer_address_ip_match = required;
        }
    }
}

fn ip(name: &str, value: &str) -> Result<Ipv4Addr, EnvironmentError> {
    number(name, value, "an IPv4 address")
}

fn number<T: std::str::FromStr>(
    name: &str,
    value: &str,
    expected: &'static str,
) -> Result<T, EnvironmentError> {
    let wrong = || EnvironmentError::Value { name: name.to_owned(), value: value.to_owned(), expected };
    value.parse().map_err(|_| wrong())
}

fn truth(name: &str, value: &str) -> Result<bool, EnvironmentError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(EnvironmentError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
            expected: "true, false, 1 or 0",
        }),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Overrides, EnvironmentError> {
        Overrides::read(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_addresses_are_read_and_applied() {
        let overrides = read(&[
            ("PATH", "/bin"),
            ("LIBPROCESS_IP", "10.0.0.5"),
            ("LIBPROCESS_IP6", "fd00::5"),
            ("LIBPROCESS_PORT", "0"),
            ("LIBPROCESS_ADVERTISE_IP", "192.0.2.1"),
            ("LIBPROCESS_ADVERTISE_PORT", "31000"),
            ("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH", "true"),
            ("LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT", "2/1secs"),
            ("LIBPROCESS_SSL_ENABLED", "0"),
        ])
        .unwrap();
        let mut settings = Settings { port: 5051, ..Settings::default() };
        overrides.apply(&mut settings);
        let expected = Settings {
            ip: Ipv4Addr::new(10, 0, 0, 5),
            port: 0,
            advertise_ip: Some(Ipv4Addr::new(192, 0, 2, 1)),
            advertise_port: Some(31000),
            require_peer_address_ip_match: true,
            ..Settings::default()
        };
        assert_eq!(settings, expected);
        assert_eq!(overrides.ip6, Some("fd00::5".parse().unwrap()));
        assert_eq!(overrides.metrics_rate_limit.as_deref(), Some("2/1secs"));
    }

    #[test]
    fn an_environment_without_them_changes_nothing() {
        let overrides = read(&[
            ("LIBPROCESS_SSL_KEY_FILE", "/k"),
            ("HOME", "/root"),
            ("LIBPROCESS_PORT", ""),
            ("LIBPROCESS_SSL_ENABLED", ""),
        ])
        .unwrap();
        assert_eq!(overrides, Overrides::default());
        let mut settings = Settings { port: 5051, advertise_port: Some(7), ..Settings::default() };
        let before = settings.clone();
        overrides.apply(&mut settings);
        assert_eq!(settings, before);
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let overrides = read(&[("LIBPROCESS_NUM_WORKER_THREADS", "8"), ("LIBPROCESS_ENABLE_PROFILER", "1")]);
        assert_eq!(
            overrides.unwrap().without_effect,
            ["LIBPROCESS_ENABLE_PROFILER", "LIBPROCESS_NUM_WORKER_THREADS"]
        );
    }

    #[rstest]
    #[case("LIBPROCESS_IP", "localhost")]
    #[case("LIBPROCESS_IP", "::1")]
    #[case("LIBPROCESS_PORT", "65536")]
    #[case("LIBPROCESS_IP6", "10.0.0.1")]
    #[case("LIBPROCESS_ADVERTISE_IP", "10.0.0")]
    #[case("LIBPROCESS_ADVERTISE_PORT", "0")]
    #[case("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH", "yes")]
    #[case("LIBPROCESS_SSL_ENABLED", "perhaps")]
    fn a_bad_value_is_refused_by_name(#[case] name: &str, #[case] value: &str) {
        let error = read(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(&format!("{name}={value:?}")), "{error}");
    }

    #[rstest]
    #[case("LIBPROCESS_SSL_ENABLED", "1")]
    #[case("SSL_ENABLED", "true")]
    fn tls_is_refused(#[case] name: &str, #[case] value: &str) {
        assert_eq!(read(&[(name, value)]), Err(EnvironmentError::Tls(name.to_owned())));
    }
}
