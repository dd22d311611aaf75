//! `healthChecks` and `check`, which become part of the task.
//!
//! Checks of protocol COMMAND and MESOS_* are for the agent, and a task has one of them at most. HTTP, HTTPS and TCP are
//! Marathon's own; it asks them from where it runs, by the host port. There is no Marathon here, so the first of them is
//! made as its MESOS_* counterpart, unless there is one for the agent; others are noted.

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
    /// Failures in a row after which the task is killed; `None` is never.
    pub max_consecutive_failures: Option<u32>,
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
    /// This number, in the container.
    Number(u16),
    /// This number as Marathon reaches it: a host port of the app, or else one in the container.
    AsMarathon(u16),
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

/// Who makes a check where there is a Marathon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Marathon,
    Agent,
}

/// `healthChecks[].protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Command,
    Tcp(Maker),
    Http(Maker, Scheme),
}

/// The words for [`Protocol`].
const PROTOCOLS: [(&str, Protocol); 7] = [
    ("HTTP", Protocol::Http(Maker::Marathon, Scheme::Http)),
    ("HTTPS", Protocol::Http(Maker::Marathon, Scheme::Https)),
    ("TCP", Protocol::Tcp(Maker::Marathon)),
    ("COMMAND", Protocol::Command),
    ("MESOS_TCP", Protocol::Tcp(Maker::Agent)),
    ("MESOS_HTTP", Protocol::Http(Maker::Agent, Scheme::Http)),
    ("MESOS_HTTPS", Protocol::Http(Maker::Agent, Scheme::Https)),
];

impl Protocol {
    fn maker(self) -> Maker {
        match self {
            Self::Command => Maker::Agent,
            Self::Tcp(maker) | Self::Http(maker, _) => maker,
        }
    }
}

/// Reads `healthChecks`; a task has at most one.
pub(crate) fn read_health_check(
    app: &Object<'_>,
    ports: &Ports,
    notes: &mut Notes,
) -> Result<Option<HealthCheck>, AppError> {
    let (mut of_agent, mut of_marathon) = (None, Vec::new());
    for (path, item) in app.array("healthChecks")?.unwrap_or_default() {
        let (check, maker) = health_check(item, path.clone(), ports, notes)?;
        match maker {
            Maker::Marathon => of_marathon.push((path, check)),
            Maker::Agent if of_agent.is_none() => of_agent = Some(check),
            Maker::Agent => {
                return Err(
                    path.invalid("a task has at most one health check of protocol COMMAND or MESOS_*")
                );
            }
        }
    }
    let mut of_marathon = of_marathon.into_iter();
    let chosen = of_agent.or_else(|| of_marathon.next().map(|(_, check)| check));
    for (path, _) in of_marathon {
        notes.no_effect(
            path,
            "the agent makes one health check of a task: that of protocol COMMAND or MESOS_*, or else the first; \
             Marathon itself makes all of protocol HTTP, HTTPS and TCP",
        );
    }
    Ok(chosen)
}

fn health_check(
    item: &Value,
    path: JsonPath,
    ports: &Ports,
    notes: &mut Notes,
) -> Result<(HealthCheck, Maker), AppError> {
    let check = Object::open(item, path, &HEALTH_CHECK, notes)?;
    let protocol = check.choice("protocol", &PROTOCOLS)?.unwrap_or(PROTOCOLS[0].1);
    let command = check.object("command", &HEALTH_COMMAND, notes)?;
    let families = [("IPv4", IpProtocol::V4), ("IPv6", IpProtocol::V6)];
    let family = check.choice("ipProtocol", &families)?.unwrap_or(IpProtocol::V4);
    let url_path = check.string("path")?.map(str::to_owned);
    // A status below 200 is no answer to a GET, so there is nothing to ignore.
    check.boolean("ignoreHttp1xx")?;
    let has = |name: &str| check.value(name).is_some();
    match protocol {
        Protocol::Command if has("port") => return Err(misplaced(&check, "port")),
        Protocol::Command | Protocol::Tcp(_) if url_path.is_some() => return Err(misplaced(&check, "path")),
        Protocol::Tcp(_) | Protocol::Http(..) if command.is_some() => {
            return Err(misplaced(&check, "command"));
        }
        _ => {}
    }
    let maker = protocol.maker();
    let port = || {
        probe_port(&check, ports).map(|port| match (port, maker) {
            (ProbePort::Number(number), Maker::Marathon) => ProbePort::AsMarathon(number),
            (port, _) => port,
        })
    };
    let probe = match protocol {
        Protocol::Command => Probe::Shell(shell_command(&check, command.as_ref())?),
        Protocol::Tcp(_) => Probe::Tcp { port: port()?, protocol: family },
        Protocol::Http(maker, scheme) => {
            let path = match maker {
                Maker::Marathon => url_path.map(absolute),
                Maker::Agent => url_path,
            };
            Probe::Http { scheme, port: port()?, path, protocol: family }
        }
    };
    let times = Times {
        delay: seconds(&check, "delaySeconds", 15)?,
        interval: seconds(&check, "intervalSeconds", 60)?,
        timeout: seconds(&check, "timeoutSeconds", 20)?,
    };
    let grace_seconds = seconds(&check, "gracePeriodSeconds", 300)?;
    let failures = seconds(&check, "maxConsecutiveFailures", 3)?;
    let max_consecutive_failures = match maker {
        Maker::Marathon if failures == 0 => None,
        Maker::Marathon | Maker::Agent => Some(failures),
    };
    if maker == Maker::Agent && failures == 0 {
        notes.no_effect(
            check.at("maxConsecutiveFailures"),
            "0 is as 1 for Mesos, which kills the task at the first failure; for never use a large number",
        );
    }
    Ok((HealthCheck { probe, grace_seconds, max_consecutive_failures, times }, maker))
}

/// A path as Marathon asks for it.
fn absolute(path: String) -> String {
    if path.starts_with('/') { path } else { format!("/{path}") }
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
