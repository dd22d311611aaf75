//! Health checks and checks of a task: what is asked, when, and what follows from the answers.
//!
//! The rules are those of `validation::healthCheck` and `validation::checkInfo` (`src/checks/health_checker.cpp`,
//! `src/checks/checker.cpp`). In a cluster the master applies them and refuses the task with
//! `Task uses invalid health check: …`; a master before 1.2 does not, and its stock executor logs the error and runs the
//! task unchecked. Here it is refused with the master's words in either case: a task that asks to be checked and is not
//! has another meaning.
//!
//! What stock accepts keeps working, with a notice where a part has no effect.

mod command;
#[cfg(test)]
mod tests;
mod validation;

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::{check_info, health_check};

use self::command::command_probe;
use self::validation::{GRACE, Whose, family};
use crate::command::EnvVar;
use crate::fields::{FieldError, Notices};

/// Failures in a row after which a task is killed when its health check does not say.
const CONSECUTIVE_FAILURES: u32 = 3;

/// A health check (`TaskInfo.health_check`): its failures make a task unhealthy, and end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckSpec {
    /// What is asked.
    pub probe: ProbeSpec,
    /// When.
    pub times: CheckTimes,
    /// How long after the start failures do not count, until the first success.
    pub grace: Duration,
    /// The number of failures in a row at which the task is killed. Stock compares with `>=`, so 0 is as 1.
    pub consecutive_failures: u32,
}

/// A check (`TaskInfo.check`): its results are told to the framework, and nothing follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSpec {
    /// What is asked.
    pub probe: ProbeSpec,
    /// When.
    pub times: CheckTimes,
}

/// When a check is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckTimes {
    /// From the start of the task to the first check.
    pub delay: Duration,
    /// From the end of a check to the next.
    pub interval: Duration,
    /// How long one may take; `None` is for ever (0 on the wire).
    pub timeout: Option<Duration>,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeSpec {
    /// Whether a command in the container ends with 0.
    Command(CommandProbe),
    /// Whether a GET is answered with 200 to 399.
    Http(HttpProbe),
    /// Whether a connection is accepted.
    Tcp(TcpProbe),
}

/// A command that is run in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandProbe {
    /// The program.
    pub program: String,
    /// Its arguments, of which there is at least the first, its name: `program` itself, except without an image, where a
    /// task may give it another.
    pub argv: Vec<String>,
    /// Additions to the container's environment, each name once.
    pub environment: Vec<EnvVar>,
    /// Who it runs as; `None` is the container's user.
    pub user: Option<String>,
}

/// A request to a server in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Plain or over TLS.
    pub scheme: HttpScheme,
    /// The port in the container, not 0.
    pub port: u16,
    /// The path with its query, which begins with a slash and has no control characters.
    pub path: String,
    /// The address family.
    pub family: IpFamily,
}

/// A connection to a server in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProbe {
    /// The port in the container, not 0.
    pub port: u16,
    /// The address family.
    pub family: IpFamily,
}

/// How HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpScheme {
    /// Plain.
    Http,
    /// Over TLS, whose certificate is not verified.
    Https,
}

/// The address family of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpFamily {
    /// `127.0.0.1` in the container.
    V4,
    /// `::1` in the container.
    V6,
}

/// What the arguments of a health check's command are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// What follows the program, as the docker executor of stock hands them to `docker exec`.
    Following,
    /// All, with the program's name, as `mesos-executor` hands them to `execvp`.
    All,
}

impl HealthCheckSpec {
    pub(crate) fn from_proto(
        check: &v1::HealthCheck,
        arguments: Arguments,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        let whose = Whose::Health;
        let kind = check.r#type.map(health_check::Type::try_from);
        let probe = match kind {
            None => return Err(whose.refuse("type", "HealthCheck must specify 'type'")),
            Some(Err(_)) => return Err(whose.refuse("type", "the type is not one that this agent knows")),
            Some(Ok(health_check::Type::Unknown)) => {
                return Err(whose.refuse("type", "'UNKNOWN' is not a valid health check type"));
            }
            Some(Ok(health_check::Type::Command)) => {
                let command = check.command.as_ref().ok_or_else(|| {
                    whose.refuse("command", "Expecting 'command' to be set for COMMAND health check")
                })?;
                ProbeSpec::Command(command_probe(whose, command, arguments, notices)?)
            }
            Some(Ok(health_check::Type::Http)) => {
                let http = check.http.as_ref().ok_or_else(|| {
                    whose.refuse("http", "Expecting 'http' to be set for HTTP health check")
                })?;
                if !http.statuses.is_empty() {
                    notices.note(
                        "health_check.http.statuses",
                        "every status from 200 to 399 is healthy, as in stock",
                    )?;
                }
                ProbeSpec::Http(HttpProbe {
                    scheme: whose.scheme(http.scheme.as_deref())?,
                    port: whose.port("http.port", http.port)?,
                    path: whose.path(http.path.as_deref())?,
                    family: family(http.protocol()),
                })
            }
            Some(Ok(health_check::Type::Tcp)) => {
                let tcp = check
                    .tcp
                    .as_ref()
                    .ok_or_else(|| whose.refuse("tcp", "Expecting 'tcp' to be set for TCP health check"))?;
                let port = whose.port("tcp.port", tcp.port)?;
                ProbeSpec::Tcp(TcpProbe { port, family: family(tcp.protocol()) })
            }
        };
        Ok(Self {
            probe,
            times: whose.times(check.delay_seconds, check.interval_seconds, check.timeout_seconds)?,
            grace: whose.seconds("grace_period_seconds", check.grace_period_seconds, GRACE)?,
            consecutive_failures: check.consecutive_failures.unwrap_or(CONSECUTIVE_FAILURES),
        })
    }
}

impl CheckSpec {
    pub(crate) fn from_proto(
        check: &v1::CheckInfo,
        arguments: Arguments,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        let whose = Whose::General;
        let probe = match check.r#type.map(check_info::Type::try_from) {
            None => return Err(whose.refuse("type", "CheckInfo must specify 'type'")),
            Some(Err(_)) => return Err(whose.refuse("type", "the type is not one that this agent knows")),
            Some(Ok(check_info::Type::Unknown)) => {
                return Err(whose.refuse("type", "'UNKNOWN' is not a valid check's type"));
            }
            Some(Ok(check_info::Type::Command)) => {
                let command = check.command.as_ref().ok_or_else(|| {
                    whose.refuse("command", "Expecting 'command' to be set for COMMAND check")
                })?;
                ProbeSpec::Command(command_probe(whose, &command.command, arguments, notices)?)
            }
            Some(Ok(check_info::Type::Http)) => {
                let http = check
                    .http
                    .as_ref()
                    .ok_or_else(|| whose.refuse("http", "Expecting 'http' to be set for HTTP check"))?;
                ProbeSpec::Http(HttpProbe {
                    scheme: HttpScheme::Http,
                    port: whose.port("http.port", http.port)?,
                    path: whose.path(http.path.as_deref())?,
                    family: IpFamily::V4,
                })
            }
            Some(Ok(check_info::Type::Tcp)) => {
                let tcp = check
                    .tcp
                    .as_ref()
                    .ok_or_else(|| whose.refuse("tcp", "Expecting 'tcp' to be set for TCP check"))?;
                ProbeSpec::Tcp(TcpProbe { port: whose.port("tcp.port", tcp.port)?, family: IpFamily::V4 })
            }
        };
        let times = whose.times(check.delay_seconds, check.interval_seconds, check.timeout_seconds)?;
        Ok(Self { probe, times })
    }

    /// What is asked, as it stands in the results.
    pub fn kind(&self) -> check_info::Type {
        match self.probe {
            ProbeSpec::Command(_) => check_info::Type::Command,
            ProbeSpec::Http(_) => check_info::Type::Http,
            ProbeSpec::Tcp(_) => check_info::Type::Tcp,
        }
    }
}
