//! `healthChecks` and `check`. Checks of protocol COMMAND and MESOS_* run on the agent and become part of the task;
//! HTTP, HTTPS and TCP are run by Marathon itself.

use serde_json::Value;

use crate::error::{AppError, JsonPath, Problem};
use crate::known_fields::{
    CHECK, CHECK_COMMAND, CHECK_EXEC, CHECK_HTTP, CHECK_TCP, HEALTH_CHECK, HEALTH_COMMAND,
};
use crate::notes::Notes;
use crate::ports::Ports;
use crate::reader::Object;

/// The longest time in seconds, Marathon's int32.
const MAX_SECONDS: u32 = i32::MAX.unsigned_abs();

/// A health check that runs on the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Seconds after the start in which failures do not count.
    pub grace_seconds: u32,
    /// Failures in a row after which the task is killed; 0 is never.
    pub max_consecutive_failures: u32,
    /// When.
    pub times: Times,
}

/// A check, whose result is only reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// When.
    pub times: Times,
}

/// When a check runs, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Before the first.
    pub delay: u32,
    /// Between two.
    pub interval: u32,
    /// For one.
    pub timeout: u32,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Whether a shell command ends with 0.
    Shell(String),
    /// Whether a command ends with 0; not empty.
    Exec(Vec<String>),
    /// Whether a GET is answered with 200 to 399.
    Http {
        /// Plain or over TLS.
        scheme: Scheme,
        /// Port to ask.
        port: ProbePort,
        /// Path to ask for.
        path: Option<String>,
        /// IPv4 or IPv6.
        protocol: IpProtocol,
    },
    /// Whether a connection is accepted.
    Tcp {
        /// Port to ask.
        port: ProbePort,
        /// IPv4 or IPv6.
        protocol: IpProtocol,
    },
}

/// The port of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbePort {
    /// The port of the app with this index, which exists.
    Index(usize),
    /// This number.
    Number(u16),
}

/// How a probe speaks HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// The address family of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpProtocol {
    /// The usual.
    V4,
    /// IPv6.
    V6,
}

/// `healthChecks[].protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    ByMarathon,
    MarathonTcp,
    Command,
    Tcp,
    Http(Scheme),
}

/// The words for [`Protocol`].
const PROTOCOLS: [(&str, Protocol); 7] = [
    ("HTTP", Protocol::ByMarathon),
    ("HTTPS", Protocol::ByMarathon),
    ("TCP", Protocol::MarathonTcp),
    ("COMMAND", Protocol::Command),
    ("MESOS_TCP", Protocol::Tcp),
    ("MESOS_HTTP", Protocol::Http(Scheme::Http)),
    ("MESOS_HTTPS", Protocol::Http(Scheme::Https)),
];

/// Reads `healthChecks`; a task has at most one that runs on the agent.
pub(crate) fn read_health_check(
    app: &Object<'_>,
    ports: &Ports,
    notes: &mut Notes,
) -> Result<Option<HealthCheck>, AppError> {
    let mut found = None;
    for (path, item) in app.array("healthChecks")?.unwrap_or_default() {
        let Some(check) = health_check(item, path.clone(), ports, notes)? else { continue };
        if found.replace(check).is_some() {
            return Err(path.invalid("a task has at most one health check of protocol COMMAND or MESOS_*"));
        }
    }
    Ok(found)
}

fn health_check(
    item: &Value,
    path: JsonPath,
    ports: &Ports,
    notes: &mut Notes,
) -> Result<Option<HealthCheck>, AppError> {
    let check = Object::open(item, path, &HEALTH_CHECK, notes)?;
    let protocol = check.choice("protocol", &PROTOCOLS)?.unwrap_or(Protocol::ByMarathon);
    let command = check.object("command", &HEALTH_COMMAND, notes)?;
    let families = [("IPv4", IpProtocol::V4), ("IPv6", IpProtocol::V6)];
    let family = check.choice("ipProtocol", &families)?.unwrap_or(IpProtocol::V4);
    let url_path = check.string("path")?.map(str::to_owned);
    check.boolean("ignoreHttp1xx")?;
    let has = |name: &str| check.value(name).is_some();
    match protocol {
        Protocol::Command if has("port") => return Err(misplaced(&check, "port")),
        Protocol::Command | Protocol::Tcp | Protocol::MarathonTcp if url_path.is_some() => {
            return Err(misplaced(&check, "path"));
        }
        Protocol::Tcp | Protocol::MarathonTcp | Protocol::Http(_) | Protocol::ByMarathon
            if command.is_some() =>
        {
            return Err(misplaced(&check, "command"));
        }
        _ => {}
    }
    let probe = match protocol {
        Protocol::Command => Some(Probe::Shell(shell_command(&check, command.as_ref())?)),
        Protocol::Tcp => Some(Probe::Tcp { port: probe_port(&check, ports)?, protocol: family }),
        Protocol::Http(scheme) => {
            let port = probe_port(&check, ports)?;
            Some(Probe::Http { scheme, port, path: url_path, protocol: family })
        }
        Protocol::ByMarathon | Protocol::MarathonTcp => {
            probe_port(&check, ports)?;
            None
        }
    };
    let times = Times {
        delay: seconds(&check, "delaySeconds", 15)?,
        interval: seconds(&check, "intervalSeconds", 60)?,
        timeout: seconds(&check, "timeoutSeconds", 20)?,
    };
    let grace_seconds = seconds(&check, "gracePeriodSeconds", 300)?;
    let max_consecutive_failures = seconds(&check, "maxConsecutiveFailures", 3)?;
    match probe {
        Some(probe) => Ok(Some(HealthCheck { probe, grace_seconds, max_consecutive_failures, times })),
        None => {
            notes.no_effect(
                check.path,
                "Marathon itself runs checks of protocol HTTP, HTTPS and TCP; MESOS_HTTP, MESOS_HTTPS and MESOS_TCP run on the agent",
            );
            Ok(None)
        }
    }
}

/// Reads `check`: one of `http`, `tcp`, `exec`.
pub(crate) fn read_check(
    app: &Object<'_>,
    ports: &Ports,
    notes: &mut Notes,
) -> Result<Option<Check>, AppError> {
    let Some(check) = app.object("check", &CHECK, notes)? else { return Ok(None) };
    let http = check.object("http", &CHECK_HTTP, notes)?;
    let tcp = check.object("tcp", &CHECK_TCP, notes)?;
    let exec = check.object("exec", &CHECK_EXEC, notes)?;
    let probe = match (http, tcp, exec) {
        (Some(http), None, None) => {
            let schemes = [("HTTP", Scheme::Http), ("HTTPS", Scheme::Https)];
            if http.choice("scheme", &schemes)? == Some(Scheme::Https) {
                return Err(http.at("scheme").invalid("Mesos has checks over plain HTTP only"));
            }
            Probe::Http {
                scheme: Scheme::Http,
                port: probe_port(&http, ports)?,
                path: http.string("path")?.map(str::to_owned),
                protocol: IpProtocol::V4,
            }
        }
        (None, Some(tcp), None) => Probe::Tcp { port: probe_port(&tcp, ports)?, protocol: IpProtocol::V4 },
        (None, None, Some(exec)) => exec_probe(&exec, notes)?,
        _ => return Err(check.path.invalid("needs exactly one of http, tcp and exec")),
    };
    let times = Times {
        delay: seconds(&check, "delaySeconds", 15)?,
        interval: seconds(&check, "intervalSeconds", 60)?,
        timeout: seconds(&check, "timeoutSeconds", 20)?,
    };
    Ok(Some(Check { probe, times }))
}

fn exec_probe(exec: &Object<'_>, notes: &mut Notes) -> Result<Probe, AppError> {
    let Some(command) = exec.object("command", &CHECK_COMMAND, notes)? else {
        return Err(exec.at("command").error(Problem::Missing { needed: "an object with shell or argv" }));
    };
    match (command.filled_string("shell")?, command.strings("argv")?.filter(|argv| !argv.is_empty())) {
        (Some(shell), None) => Ok(Probe::Shell(shell.to_owned())),
        (None, Some(argv)) => Ok(Probe::Exec(argv)),
        _ => Err(command.path.invalid("needs exactly one of shell and argv")),
    }
}

fn shell_command(check: &Object<'_>, command: Option<&Object<'_>>) -> Result<String, AppError> {
    let missing = |path: JsonPath| path.error(Problem::Missing { needed: "the command of the check" });
    let Some(command) = command else { return Err(missing(check.at("command"))) };
    match command.filled_string("value")? {
        Some(value) => Ok(value.to_owned()),
        None => Err(missing(command.at("value"))),
    }
}

/// `port`, or `portIndex` which is 0 where neither is given.
fn probe_port(check: &Object<'_>, ports: &Ports) -> Result<ProbePort, AppError> {
    let number = if check.knows("port") { check.port("port")? } else { None };
    let index = check.port("portIndex")?;
    match (number, index) {
        (Some(_), Some(_)) => Err(check
            .at("portIndex")
            .error(Problem::Conflict { other: "port".to_owned(), remedy: "use one of the two" })),
        (Some(0), None) => Err(check.at("port").not_allowed(0, "a port from 1 to 65535")),
        (Some(number), None) => Ok(ProbePort::Number(number)),
        (None, index) => {
            let index = usize::from(index.unwrap_or(0));
            if index < ports.len() {
                Ok(ProbePort::Index(index))
            } else {
                Err(check.at("portIndex").invalid(format!(
                    "there is no port with index {index}, the app has {} ports",
                    ports.len()
                )))
            }
        }
    }
}

fn seconds(check: &Object<'_>, name: &'static str, default: u32) -> Result<u32, AppError> {
    Ok(check.integer(name, 0..=MAX_SECONDS)?.unwrap_or(default))
}

fn misplaced(check: &Object<'_>, name: &'static str) -> AppError {
    check.at(name).invalid("does not go with the protocol of this check")
}
