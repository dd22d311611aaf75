//! What the agent says in the environment (`executorEnvironment` in `src/slave/slave.cpp`), as `src/exec/exec.cpp` and
//! `src/executor/executor.cpp` read it.
//!
//! The task's own environment is laid over it before we are started, as stock does. Nothing else of the environment is
//! looked at, [`crate::scrub`] removes it, and no child of ours inherits it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use flags::{Secret, parse_duration};
use mesos_types::{AgentId, ExecutorId, FrameworkId};

use crate::flags_table::WantedProtocol;

/// The recovery timeout of an agent that names none (`RECOVERY_TIMEOUT` in `src/slave/constants.hpp`).
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The grace of an agent that names none (`DEFAULT_EXECUTOR_SHUTDOWN_GRACE_PERIOD`).
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// The longest pause before another attempt to subscribe where the agent names none.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What the agent says.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The agent's process address (`MESOS_SLAVE_PID`), as given.
    pub agent: String,
    /// `MESOS_SLAVE_ID`.
    pub agent_id: AgentId,
    /// `MESOS_FRAMEWORK_ID`.
    pub framework_id: FrameworkId,
    /// `MESOS_EXECUTOR_ID`.
    pub executor_id: ExecutorId,
    /// The sandbox on the host (`MESOS_DIRECTORY`).
    pub directory: PathBuf,
    /// What to do when the agent goes away.
    pub recovery: Recovery,
    /// How long the agent waits for our end after it asked for it (`MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`).
    pub shutdown_grace: Duration,
    /// How the agent is spoken with.
    pub protocol: Protocol,
}

/// What becomes of the task when the agent goes away (`MESOS_CHECKPOINT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It runs on for as long as the agent may need to come back (`MESOS_RECOVERY_TIMEOUT`).
    Wait(Duration),
    /// It ends.
    End,
}

/// How the agent is spoken with (`MESOS_HTTP_COMMAND_EXECUTOR`, `--agent_protocol`).
#[derive(Debug, Clone)]
pub enum Protocol {
    /// Messages between processes, which stock's program always speaks.
    V0,
    /// The HTTP API of executors.
    V1(HttpApi),
}

/// Where and how the HTTP API is reached.
#[derive(Debug, Clone)]
pub struct HttpApi {
    /// Where the agent listens.
    pub endpoint: Endpoint,
    /// The longest pause before another attempt to subscribe (`MESOS_SUBSCRIPTION_BACKOFF_MAX`).
    pub backoff_max: Duration,
    /// What to authenticate with (`MESOS_EXECUTOR_AUTHENTICATION_TOKEN`).
    pub token: Option<Secret>,
}

/// Where the agent's HTTP API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A host and a port (`MESOS_AGENT_ENDPOINT`, or those of `MESOS_SLAVE_PID`).
    Tcp(String),
    /// A Unix socket (`MESOS_DOMAIN_SOCKET`).
    Unix(PathBuf),
}

/// A variable that is missing or cannot be used. Names it; quotes no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// It is not there.
    #[error(
        "expecting {0:?} to be set in the environment; an agent sets it for the executors that it starts"
    )]
    Missing(&'static str),
    /// Its value has another form.
    #[error("the environment variable {name:?} {why}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}

impl Environment {
    /// Reads the environment through `get`; the flag `--agent_protocol` may want another protocol.
    ///
    /// # Errors
    ///
    /// The first variable that is missing or cannot be used.
    pub fn read(
        get: impl Fn(&str) -> Option<String>,
        wanted: WantedProtocol,
    ) -> Result<Self, EnvironmentError> {
        let reader = Reader(&get);
        let agent = reader.required("MESOS_SLAVE_PID")?;
        let agent_id = reader.parsed("MESOS_SLAVE_ID", str::parse::<AgentId>)?;
        let framework_id = reader.parsed("MESOS_FRAMEWORK_ID", str::parse::<FrameworkId>)?;
        let executor_id = reader.parsed("MESOS_EXECUTOR_ID", str::parse::<ExecutorId>)?;
        let directory = PathBuf::from(reader.required("MESOS_DIRECTORY")?);
        let recovery = match reader.is_one("MESOS_CHECKPOINT") {
            true => Recovery::Wait(reader.duration("MESOS_RECOVERY_TIMEOUT", RECOVERY_TIMEOUT)?),
            false => Recovery::End,
        };
        let is_http = match (wanted, recovery) {
            (WantedProtocol::V0, _) => false,
            (WantedProtocol::V1, _) => true,
            (WantedProtocol::Auto, Recovery::End) => reader.is_one("MESOS_HTTP_COMMAND_EXECUTOR"),
            // A stock agent that comes back takes the containers of HTTP executors for unknown, whatever their executor
            // does (`recover` in `src/slave/containerizer/docker.cpp`).
            (WantedProtocol::Auto, Recovery::Wait(_)) => false,
        };
        let protocol = if is_http { Protocol::V1(reader.http_api(&agent)?) } else { Protocol::V0 };
        Ok(Self {
            agent,
            agent_id,
            framework_id,
            executor_id,
            directory,
            recovery,
            shutdown_grace: reader.duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", SHUTDOWN_GRACE)?,
            protocol,
        })
    }
}

/// The environment by name.
struct Reader<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Reader<'_> {
    fn required(&self, name: &'static str) -> Result<String, EnvironmentError> {
        (self.0)(name).ok_or(EnvironmentError::Missing(name))
    }

    fn parsed<T, E: fmt::Display>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, EnvironmentError> {
        parse(&self.required(name)?)
            .map_err(|error| EnvironmentError::Invalid { name, why: format!("cannot be used: {error}") })
    }

    fn is_one(&self, name: &str) -> bool {
        (self.0)(name).as_deref() == Some("1")
    }

    fn duration(&self, name: &'static str, default: Duration) -> Result<Duration, EnvironmentError> {
        match (self.0)(name) {
            None => Ok(default),
            Some(text) => parse_duration(&text)
                .map_err(|why| EnvironmentError::Invalid { name, why: format!("is no duration: {why}") }),
        }
    }

    fn http_api(&self, agent: &str) -> Result<HttpApi, EnvironmentError> {
        let endpoint = match ((self.0)("MESOS_DOMAIN_SOCKET"), (self.0)("MESOS_AGENT_ENDPOINT")) {
            (Some(path), _) => Endpoint::Unix(PathBuf::from(path)),
            (None, Some(endpoint)) => Endpoint::Tcp(endpoint),
            (None, None) => match agent.rsplit_once('@') {
                Some((_, address)) => Endpoint::Tcp(address.to_owned()),
                None => {
                    let name = "MESOS_SLAVE_PID";
                    return Err(EnvironmentError::Invalid {
                        name,
                        why: "has no address after an '@'".into(),
                    });
                }
            },
        };
        Ok(HttpApi {
            endpoint,
            backoff_max: self.duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", BACKOFF_MAX)?,
            token: (self.0)("MESOS_EXECUTOR_AUTHENTICATION_TOKEN").map(Secret::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a stock agent sets them (`wire/recorded/10-docker-executor-process.txt`).
    const STOCK: [(&str, &str); 10] = [
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_DIRECTORY", "/var/lib/mesos/slaves/S0/frameworks/F/executors/t/runs/c"),
        ("MESOS_EXECUTOR_ID", "t"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "3500ms"),
        ("MESOS_FRAMEWORK_ID", "F"),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
        ("MESOS_RECOVERY_TIMEOUT", "1mins"),
        ("MESOS_SLAVE_ID", "S0"),
        ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
    ];

    fn read(change: &[(&str, Option<&str>)]) -> Result<Environment, EnvironmentError> {
        read_as(WantedProtocol::Auto, change)
    }

    fn read_as(
        wanted: WantedProtocol,
        change: &[(&str, Option<&str>)],
    ) -> Result<Environment, EnvironmentError> {
        let get = |name: &str| {
            let changed = change.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
            let stock = || STOCK.iter().find(|(stock, _)| *stock == name).map(|(_, value)| *value);
            changed.unwrap_or_else(stock).map(str::to_owned)
        };
        Environment::read(get, wanted)
    }

    #[test]
    fn what_a_stock_agent_says_is_understood() {
        let found = read(&[]).unwrap();
        assert_eq!(found.recovery, Recovery::Wait(Duration::from_secs(60)));
        assert_eq!(found.shutdown_grace, Duration::from_millis(3500));
        assert!(matches!(found.protocol, Protocol::V0));
        let found = read(&[
            ("MESOS_CHECKPOINT", Some("0")),
            ("MESOS_RECOVERY_TIMEOUT", None),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", None),
        ])
        .unwrap();
        assert_eq!((found.recovery, found.shutdown_grace), (Recovery::End, SHUTDOWN_GRACE));
        assert_eq!(
            read(&[("MESOS_RECOVERY_TIMEOUT", None)]).unwrap().recovery,
            Recovery::Wait(RECOVERY_TIMEOUT)
        );
    }

    #[rstest::rstest]
    #[case::endpoint(&[], Endpoint::Tcp("127.0.0.1:5051".into()))]
    #[case::socket(&[("MESOS_DOMAIN_SOCKET", Some("/run/agent.sock"))], Endpoint::Unix("/run/agent.sock".into()))]
    #[case::older_agents(&[("MESOS_AGENT_ENDPOINT", None)], Endpoint::Tcp("127.0.0.1:5051".into()))]
    fn the_http_api_is_where_the_agent_says(
        #[case] change: &[(&str, Option<&str>)],
        #[case] endpoint: Endpoint,
    ) {
        let more = [
            ("MESOS_HTTP_COMMAND_EXECUTOR", Some("1")),
            ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", Some("s3cret")),
        ];
        let found = read_as(WantedProtocol::V1, &[change, &more].concat()).unwrap();
        let Protocol::V1(api) = &found.protocol else { panic!("{found:?}") };
        assert_eq!(api.endpoint, endpoint);
        assert_eq!(api.token.as_ref().map(Secret::expose), Some("s3cret"));
        assert!(!format!("{found:?}").contains("s3cret"));
    }

    #[rstest::rstest]
    #[case::no_http("0", "0", WantedProtocol::Auto, false)]
    #[case::http("1", "0", WantedProtocol::Auto, true)]
    #[case::lasting("1", "1", WantedProtocol::Auto, false)]
    #[case::lasting_and_forced("1", "1", WantedProtocol::V1, true)]
    #[case::forced("0", "0", WantedProtocol::V1, true)]
    #[case::forbidden("1", "0", WantedProtocol::V0, false)]
    fn http_is_spoken_where_the_task_survives_it(
        #[case] http: &str,
        #[case] checkpoint: &str,
        #[case] wanted: WantedProtocol,
        #[case] expected: bool,
    ) {
        let change = [("MESOS_HTTP_COMMAND_EXECUTOR", Some(http)), ("MESOS_CHECKPOINT", Some(checkpoint))];
        let found = read_as(wanted, &change).unwrap();
        assert_eq!(matches!(found.protocol, Protocol::V1(_)), expected);
    }

    #[rstest::rstest]
    #[case("MESOS_SLAVE_PID")]
    #[case("MESOS_SLAVE_ID")]
    #[case("MESOS_FRAMEWORK_ID")]
    #[case("MESOS_EXECUTOR_ID")]
    #[case("MESOS_DIRECTORY")]
    fn a_variable_that_is_missing_is_named(#[case] name: &'static str) {
        assert_eq!(read(&[(name, None)]).unwrap_err(), EnvironmentError::Missing(name));
    }

    #[rstest::rstest]
    #[case("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "soon")]
    #[case("MESOS_RECOVERY_TIMEOUT", "5")]
    #[case("MESOS_EXECUTOR_ID", "a/b")]
    fn a_variable_that_cannot_be_used_is_named(#[case] name: &'static str, #[case] value: &str) {
        let error = read(&[(name, Some(value))]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
