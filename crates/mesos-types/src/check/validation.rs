//! How the parts of both kinds of checks are read, and what is said of those that cannot be.

use std::time::Duration;

use mesos_proto::v1;

use super::{CheckTimes, HttpScheme, IpFamily};
use crate::fields::FieldError;

/// The longest path of an HTTP check, in bytes.
const LONGEST_PATH: usize = 8 * 1024;

/// Seconds before the first check, between checks, for one, and of grace, when nothing is said.
const DELAY: f64 = 15.0;
const INTERVAL: f64 = 10.0;
const TIMEOUT: f64 = 20.0;
pub(super) const GRACE: f64 = 10.0;

/// What the message belongs to, for the paths of fields and for stock's words.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    Health,
    General,
}

impl Whose {
    /// The field of the task.
    pub(super) fn field(self, below: &str) -> String {
        match self {
            Self::Health => format!("health_check.{below}"),
            Self::General => format!("check.{below}"),
        }
    }

    /// A refusal in the words of the master (`validateHealthCheck`, `validateCheck` in `src/master/validation.cpp`).
    pub(super) fn refuse(self, below: &str, why: impl std::fmt::Display) -> FieldError {
        let what = match self {
            Self::Health => "health check",
            Self::General => "check",
        };
        FieldError::new(self.field(below), format!("Task uses invalid {what}: {why}"))
    }

    pub(super) fn times(
        self,
        delay: Option<f64>,
        interval: Option<f64>,
        timeout: Option<f64>,
    ) -> Result<CheckTimes, FieldError> {
        let timeout = self.seconds("timeout_seconds", timeout, TIMEOUT)?;
        Ok(CheckTimes {
            delay: self.seconds("delay_seconds", delay, DELAY)?,
            interval: self.seconds("interval_seconds", interval, INTERVAL)?,
            timeout: (!timeout.is_zero()).then_some(timeout),
        })
    }

    /// A number of seconds that is no less than nothing, and no more than Mesos' durations have (292 years).
    pub(super) fn seconds(
        self,
        below: &str,
        given: Option<f64>,
        default: f64,
    ) -> Result<Duration, FieldError> {
        let seconds = given.unwrap_or(default);
        if seconds < 0.0 {
            return Err(self.refuse(below, format!("Expecting '{below}' to be non-negative")));
        }
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|duration| i64::try_from(duration.as_nanos()).is_ok())
            .ok_or_else(|| self.refuse(below, format!("{seconds} is no number of seconds that can pass")))
    }

    pub(super) fn port(self, below: &str, port: u32) -> Result<u16, FieldError> {
        u16::try_from(port).ok().filter(|port| *port != 0).ok_or_else(|| {
            self.refuse(below, format!("{port} is not a port from 1 to 65535"))
                .hint("a check asks inside the container: name the port that the server listens on there")
        })
    }

    pub(super) fn scheme(self, scheme: Option<&str>) -> Result<HttpScheme, FieldError> {
        match scheme {
            None | Some("http") => Ok(HttpScheme::Http),
            Some("https") => Ok(HttpScheme::Https),
            Some(other) => {
                Err(self.refuse("http.scheme", format!("Unsupported HTTP health check scheme: '{other}'")))
            }
        }
    }

    pub(super) fn path(self, path: Option<&str>) -> Result<String, FieldError> {
        let Some(path) = path else { return Ok("/".to_owned()) };
        if !path.starts_with('/') {
            let what = match self {
                Self::Health => "HTTP health check",
                Self::General => "HTTP check",
            };
            return Err(self.refuse("http.path", format!("The path '{path}' of {what} must start with '/'")));
        }
        if path.contains(char::is_control) {
            return Err(self.refuse("http.path", "the path has a control character"));
        }
        if path.len() > LONGEST_PATH {
            return Err(self.refuse(
                "http.path",
                format!("the path is {} bytes, and at most {LONGEST_PATH} are sent", path.len()),
            ));
        }
        Ok(path.to_owned())
    }
}

pub(super) fn family(protocol: v1::network_info::Protocol) -> IpFamily {
    match protocol {
        v1::network_info::Protocol::IPv4 => IpFamily::V4,
        v1::network_info::Protocol::IPv6 => IpFamily::V6,
    }
}
