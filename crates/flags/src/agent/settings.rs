//! The settings of the agent, valid by construction.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mesos_proto::json::from_json_str;
use mesos_proto::v1;

use super::bounds::BoundSettings;
use super::containment::ContainmentFlags;
use super::environment::LibprocessVariables;
use super::executors::ExecutorSettings;
use super::http::{HttpSettings, Rate};
use super::master::MasterFlag;
use super::shown::ShownFlags;
use super::texts::{Texts, fraction};
use crate::docker::DockerSettings;
use crate::error::FlagError;
use crate::values::{parse_bool, parse_duration, quote};

/// Everything the agent can be told by flags. [`crate::agent::agent_flags`] says what each means.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSettings {
    /// `--master`.
    pub master: MasterFlag,
    /// Addresses and names.
    pub network: NetworkSettings,
    /// `--work_dir`; absolute.
    pub work_dir: PathBuf,
    /// `--resources`, text or JSON; `mesos_types::ResourceFlag` reads it without an error.
    pub resources: Option<String>,
    /// `--attributes`; `mesos_types::attributes` reads it without an error.
    pub attributes: Option<String>,
    /// `--default_role`.
    pub default_role: String,
    /// `--domain`.
    pub domain: Option<v1::DomainInfo>,
    /// `--agent_features`: the capabilities to announce, of those that are built. `None`: all of them.
    pub agent_features: Option<Vec<v1::agent_info::capability::Type>>,
    /// How the agent gets to know its master.
    pub registration: RegistrationSettings,
    /// What becomes of an earlier run.
    pub recovery: RecoverySettings,
    /// Executors.
    pub executors: ExecutorSettings,
    /// When sandboxes are removed.
    pub gc: GcSettings,
    /// `--containerizers`, in order, each once, at least one.
    pub containerizers: Vec<Containerizer>,
    /// How tasks without an image are isolated.
    pub containment: ContainmentFlags,
    /// The log.
    pub log: LogSettings,
    /// The endpoints.
    pub http: HttpSettings,
    /// What may wait and what is remembered.
    pub bounds: BoundSettings,
    /// The flags of the Docker containerizer, `--sandbox_directory`, `--switch_user` and `--launcher_dir` among
    /// them; its `work_dir` is the agent's.
    pub docker: DockerSettings,
    pub(super) shown: ShownFlags,
}

/// Addresses and names of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// `--ip`, else `LIBPROCESS_IP`. `None`: all of IPv4, or what `ip_discovery_command` says.
    pub ip: Option<Ipv4Addr>,
    /// `--ip_discovery_command`; only where `--ip` is unset, and it wins over `LIBPROCESS_IP`.
    pub ip_discovery_command: Option<String>,
    /// `--ip6`, else `LIBPROCESS_IP6`.
    pub ip6: Option<Ipv6Addr>,
    /// `--ip6_discovery_command`.
    pub ip6_discovery_command: Option<String>,
    /// `--port`; 0 is any free one.
    pub port: u16,
    /// `--advertise_ip`, else `LIBPROCESS_ADVERTISE_IP`.
    pub advertise_ip: Option<Ipv4Addr>,
    /// `--advertise_port`, else `LIBPROCESS_ADVERTISE_PORT`; not 0.
    pub advertise_port: Option<u16>,
    /// `LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH`: whether a message must come from the address that it names.
    pub require_peer_address_ip_match: bool,
    /// `--hostname`; not empty.
    pub hostname: Option<String>,
    /// `--hostname_lookup`.
    pub hostname_lookup: bool,
    /// `--ip_discovery_timeout`, longer than 0.
    pub discovery_timeout: Duration,
    /// The flags `--libprocess_*`: bounds of what other processes may ask for and of what waits for them.
    pub limits: libprocess::Limits,
}

/// How the agent gets to know its master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationSettings {
    /// `--registration_backoff_factor`.
    pub backoff_factor: Duration,
    /// `--zk_session_timeout`.
    pub zk_session_timeout: Duration,
    /// `--zk_retry_interval`, longer than 0.
    pub zk_retry_interval: Duration,
    /// `--zk_reminder_interval`, longer than 0.
    pub zk_reminder_interval: Duration,
    /// `--credential`: the absolute path of a file that could be opened at the start.
    pub credential: Option<PathBuf>,
    /// `--authentication_backoff_factor`.
    pub authentication_backoff_factor: Duration,
    /// `--authentication_timeout_min`; not longer than the next.
    pub authentication_timeout_min: Duration,
    /// `--authentication_timeout_max`.
    pub authentication_timeout_max: Duration,
}

/// What becomes of an earlier run of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverySettings {
    /// `--recover`.
    pub recover: Recover,
    /// `--strict`: whether a part of the state that cannot be read ends the start.
    pub strict: bool,
    /// `--reconfiguration_policy`.
    pub reconfiguration_policy: ReconfigurationPolicy,
}

/// `--recover`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recover {
    /// Tasks of the earlier run go on.
    Reconnect,
    /// They are stopped, then the agent exits.
    Cleanup,
}

/// `--reconfiguration_policy`: which changes of itself an agent keeps its id over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconfigurationPolicy {
    /// None.
    Equal,
    /// More resources and attributes.
    Additive,
}

/// When sandboxes are removed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GcSettings {
    /// `--gc_delay`.
    pub delay: Duration,
    /// `--gc_disk_headroom`, 0 to 1.
    pub disk_headroom: f64,
    /// `--disk_watch_interval`, longer than 0.
    pub disk_watch_interval: Duration,
}

/// Who runs tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containerizer {
    /// Tasks with a Docker image, through the Docker Engine.
    Docker,
    /// Tasks without one.
    Mesos,
}

/// The log of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `--logging_level`.
    pub level: LogLevel,
    /// `--quiet`: errors only.
    pub quiet: bool,
    /// `--external_log_file`, the path that is served at `/slave/log`.
    pub external_log_file: Option<PathBuf>,
    /// `--max_queued_log_lines`.
    pub queued_lines: NonZeroUsize,
}

/// `--logging_level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// All lines.
    Info,
    /// Warnings and errors.
    Warning,
    /// Errors.
    Error,
}

impl AgentSettings {
    /// Every flag that is set or has a default, by name, as stock's `/flags` prints them; secrets are `***`.
    pub fn shown_flags(&self) -> &std::collections::BTreeMap<String, String> {
        self.shown.all()
    }

    pub(super) fn from_texts(
        texts: &Texts,
        master: MasterFlag,
        variables: &LibprocessVariables,
        docker: DockerSettings,
        shown: ShownFlags,
    ) -> Result<Self, FlagError> {
        let Some(work_dir) = texts.filled("work_dir") else {
            return Err(FlagError::Required { name: "work_dir", remedy: "write --work_dir=/var/lib/mesos" });
        };
        let work_dir = absolute("work_dir", work_dir)?;
        let default_role = texts.required("default_role", role)?;
        let containerizers = texts.required("containerizers", containerizers)?;
        Ok(Self {
            master,
            network: NetworkSettings::from_texts(texts, variables)?,
            resources: texts.optional("resources", |text| resources(text, &default_role))?,
            attributes: texts.optional("attributes", attributes)?,
            default_role,
            domain: texts.optional("domain", domain)?,
            agent_features: texts.optional("agent_features", features)?,
            registration: RegistrationSettings::from_texts(texts)?,
            recovery: RecoverySettings {
                recover: texts.required("recover", recover)?,
                strict: texts.required("strict", parse_bool)?,
                reconfiguration_policy: texts.required("reconfiguration_policy", policy)?,
            },
            executors: ExecutorSettings::from_texts(texts)?,
            gc: GcSettings {
                delay: texts.required("gc_delay", parse_duration)?,
                disk_headroom: texts.required("gc_disk_headroom", headroom)?,
                disk_watch_interval: texts.required("disk_watch_interval", crate::docker::deadline)?,
            },
            containment: ContainmentFlags::from_texts(texts, &containerizers)?,
            containerizers,
            log: LogSettings {
                level: texts.required("logging_level", log_level)?,
                quiet: texts.required("quiet", parse_bool)?,
                external_log_file: match texts.filled("external_log_file") {
                    Some(path) => Some(absolute("external_log_file", path)?),
                    None => None,
                },
                queued_lines: texts.required("max_queued_log_lines", super::http::count)?,
            },
            bounds: BoundSettings::from_texts(texts)?,
            http: HttpSettings::from_texts(
                texts,
                variables.metrics_rate.unwrap_or(Some(Rate::TWO_A_SECOND)),
            )?,
            docker: DockerSettings { work_dir: Some(work_dir.clone()), ..docker },
            work_dir,
            shown,
        })
    }
}

impl NetworkSettings {
    fn from_texts(texts: &Texts, variables: &LibprocessVariables) -> Result<Self, FlagError> {
        let overrides = &variables.overrides;
        let ip = texts.optional("ip", ip)?;
        let ip_discovery_command = texts.filled("ip_discovery_command").map(str::to_owned);
        let ip6 = texts.optional("ip6", ip6)?;
        let ip6_discovery_command = texts.filled("ip6_discovery_command").map(str::to_owned);
        Ok(Self {
            ip: ip.or(overrides.ip.filter(|_| ip_discovery_command.is_none())),
            ip_discovery_command,
            ip6: ip6.or(overrides.ip6.filter(|_| ip6_discovery_command.is_none())),
            ip6_discovery_command,
            port: texts.required("port", port)?,
            advertise_ip: texts.optional("advertise_ip", self::ip)?.or(overrides.advertise_ip),
            advertise_port: texts.optional("advertise_port", advertised_port)?.or(overrides.advertise_port),
            require_peer_address_ip_match: overrides.require_peer_address_ip_match.unwrap_or(false),
            hostname: texts.optional("hostname", hostname)?,
            hostname_lookup: texts.required("hostname_lookup", parse_bool)?,
            discovery_timeout: texts.required("ip_discovery_timeout", crate::docker::deadline)?,
            limits: super::wire::limits(texts)?,
        })
    }
}

impl RegistrationSettings {
    fn from_texts(texts: &Texts) -> Result<Self, FlagError> {
        let min = texts.required("authentication_timeout_min", crate::docker::deadline)?;
        let max = texts.required("authentication_timeout_max", crate::docker::deadline)?;
        if min > max {
            let reason = "it is longer than --authentication_timeout_max";
            return Err(FlagError::invalid("authentication_timeout_min", reason));
        }
        Ok(Self {
            backoff_factor: texts.required("registration_backoff_factor", parse_duration)?,
            zk_session_timeout: texts.required("zk_session_timeout", crate::docker::deadline)?,
            zk_retry_interval: texts.required("zk_retry_interval", crate::docker::deadline)?,
            zk_reminder_interval: texts.required("zk_reminder_interval", crate::docker::deadline)?,
            credential: texts.filled("credential").map(|text| secret_file("credential", text)).transpose()?,
            authentication_backoff_factor: texts.required("authentication_backoff_factor", parse_duration)?,
            authentication_timeout_min: min,
            authentication_timeout_max: max,
        })
    }
}

/// A path, from here if it is not absolute.
fn absolute(name: &'static str, text: &str) -> Result<PathBuf, FlagError> {
    std::path::absolute(text).map_err(|source| FlagError::Read { name, path: PathBuf::from(text), source })
}

/// The file of a secret. What is not a path is not repeated: it may be the secret itself.
pub(super) fn secret_file(name: &'static str, text: &str) -> Result<PathBuf, FlagError> {
    let given = Path::new(text.strip_prefix("file://").unwrap_or(text));
    if !given.is_absolute() && !given.is_file() {
        return Err(FlagError::invalid(name, "the value is not the path of a file"));
    }
    let path = absolute(name, &given.to_string_lossy())?;
    let path = path.as_path();
    let is_file = std::fs::metadata(path).map(|metadata| metadata.is_file());
    let opened = match is_file {
        Ok(true) => File::open(path).map(|_| ()),
        Ok(false) => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")),
        Err(error) => Err(error),
    };
    opened.map(|()| path.to_owned()).map_err(|source| FlagError::Read { name, path: path.to_owned(), source })
}

fn ip(text: &str) -> Result<Ipv4Addr, String> {
    text.trim().parse().map_err(|_| format!("{} is not an IPv4 address", quote(text)))
}

fn ip6(text: &str) -> Result<Ipv6Addr, String> {
    text.trim().parse().map_err(|_| format!("{} is not an IPv6 address", quote(text)))
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{} is not a port, expected 0 to 65535", quote(text)))
}

fn advertised_port(text: &str) -> Result<u16, String> {
    match port(text) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{} is not a port, expected 1 to 65535", quote(text))),
    }
}

fn hostname(text: &str) -> Result<String, String> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
        return Err(format!("{} is not a host's name", quote(text)));
    }
    Ok(text.to_owned())
}

fn role(text: &str) -> Result<String, String> {
    mesos_types::roles::validate(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn resources(text: &str, default_role: &str) -> Result<String, String> {
    match mesos_types::ResourceFlag::parse(text, default_role) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn attributes(text: &str) -> Result<String, String> {
    mesos_types::attributes::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn recover(text: &str) -> Result<Recover, String> {
    match text {
        "reconnect" => Ok(Recover::Reconnect),
        "cleanup" => Ok(Recover::Cleanup),
        _ => Err(format!("{} is neither reconnect nor cleanup", quote(text))),
    }
}

fn policy(text: &str) -> Result<ReconfigurationPolicy, String> {
    match text {
        "equal" => Ok(ReconfigurationPolicy::Equal),
        "additive" => Ok(ReconfigurationPolicy::Additive),
        _ => Err(format!("{} is neither equal nor additive", quote(text))),
    }
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    match text {
        "INFO" => Ok(LogLevel::Info),
        "WARNING" => Ok(LogLevel::Warning),
        "ERROR" => Ok(LogLevel::Error),
        _ => Err(format!("{} is none of INFO, WARNING and ERROR", quote(text))),
    }
}

fn containerizers(text: &str) -> Result<Vec<Containerizer>, String> {
    let mut list = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let containerizer = match name {
            "docker" => Containerizer::Docker,
            "mesos" => Containerizer::Mesos,
            _ => return Err(format!("{} is neither docker nor mesos", quote(name))),
        };
        if list.contains(&containerizer) {
            return Err(format!("{name} is named twice"));
        }
        list.push(containerizer);
    }
    match list.is_empty() {
        true => Err("no containerizer is named, expected docker, mesos or docker,mesos".to_owned()),
        false => Ok(list),
    }
}

fn headroom(text: &str) -> Result<f64, String> {
    match fraction(text)? {
        part if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err(format!("{} is not a number from 0 to 1", quote(text))),
    }
}

pub(super) fn completed(text: &str) -> Result<usize, String> {
    // Each is kept in memory, so the number has an end.
    let number = text.parse::<usize>().ok().filter(|&number| number <= 100_000);
    number.ok_or_else(|| format!("{} is not a whole number from 0 to 100000", quote(text)))
}

fn domain(text: &str) -> Result<v1::DomainInfo, String> {
    from_json_str(text).map_err(|error| error.to_string())
}

/// Reads `{"capabilities": [{"type": NAME}]}`. All that stock needs must be there (Mesos `src/slave/flags.cpp`).
fn features(text: &str) -> Result<Vec<v1::agent_info::capability::Type>, String> {
    use v1::agent_info::capability::Type;
    const NEEDED: [Type; 7] = [
        Type::MultiRole,
        Type::HierarchicalRole,
        Type::ReservationRefinement,
        Type::AgentOperationFeedback,
        Type::ResourceProvider,
        Type::AgentDraining,
        Type::TaskResourceLimits,
    ];
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|_| "the value is not JSON".to_owned())?;
    let list = json
        .get("capabilities")
        .and_then(serde_json::Value::as_array)
        .ok_or("expected {\"capabilities\": [{\"type\": NAME}, ...]}")?;
    let mut found = Vec::new();
    for entry in list {
        let name = entry.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
        match Type::from_str_name(name) {
            Some(kind) if kind != Type::Unknown => found.push(kind),
            _ => return Err(format!("{} is not a capability of an agent", quote(name))),
        }
    }
    match NEEDED.into_iter().find(|needed| !found.contains(needed)) {
        Some(missing) => Err(format!("{} cannot be left out", missing.as_str_name())),
        None => Ok(found),
    }
}
