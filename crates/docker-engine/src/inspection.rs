//! What the engine knows of a container: the raw JSON for frameworks, and the parts that we act on.

mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;

use crate::engine::{Engine, unreadable};
use crate::error::{EngineError, Op};
use crate::path;
use crate::stamp::EngineTime;
use crate::transport::Call;

/// A container as the engine describes it.
///
/// `Debug` leaves the raw JSON out, as it holds the environment.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The JSON object exactly as the engine sent it, without white space around it. It holds the environment.
    pub raw: Bytes,
    /// The engine's id.
    pub id: String,
    /// The name, without the slash before it.
    pub name: String,
    /// When it was made.
    pub created: EngineTime,
    /// Whether and how it runs.
    pub state: State,
    /// How often the engine restarted it.
    pub restart_count: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its address in each network, by the network's name.
    pub networks: BTreeMap<String, EndpointAddr>,
    /// Its network mode, as it was asked for.
    pub network_mode: String,
    /// Its published ports, in order.
    pub ports: Vec<PublishedPort>,
    /// Its log driver, as the engine chose it.
    pub log_driver: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// The signal that asks it to stop, where it or its image names one.
    pub stop_signal: Option<String>,
    /// The image it was made from, as it was asked for.
    pub image: String,
    /// The id of that image.
    pub image_id: String,
    /// What is mounted in it.
    pub mounts: Vec<MountPoint>,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspection")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("state", &self.state)
            .field("networks", &self.networks)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// The state of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub status: String,
    /// Whether its first process is there, also when paused or restarting.
    pub running: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether the engine is restarting it.
    pub restarting: bool,
    /// The process id on the engine's host, while it runs.
    pub pid: Option<u32>,
    /// The exit code of the last run; 0 before the first.
    pub exit_code: i64,
    /// Whether the kernel killed a process in it for want of memory.
    pub oom_killed: bool,
    /// Why the last start failed, empty otherwise.
    pub error: String,
    /// When the last run began.
    pub started_at: EngineTime,
    /// When the last run ended.
    pub finished_at: EngineTime,
    /// What the engine's own health check says; `None` for a container without one.
    pub health: Option<EngineHealth>,
}

/// What the engine's own health check (HEALTHCHECK) says of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineHealth {
    /// Its verdict.
    pub status: EngineHealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The exit code and the output of the last check, where there was one. The engine keeps 4 KiB of it.
    pub last: Option<(i64, String)>,
}

/// The verdict of the engine's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineHealthStatus {
    /// None yet.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many in a row have failed.
    Unhealthy,
}

impl State {
    /// Says whether it was ever started: the engine writes the year 1 before that.
    pub fn started(&self) -> bool {
        self.started_at.is_set()
    }
}

/// The address of a container in one network. An engine that has none writes an empty text, which is `None` here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointAddr {
    /// The IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The global IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// The IPv4 gateway.
    pub gateway: Option<Ipv4Addr>,
    /// The MAC address.
    pub mac: Option<String>,
}

/// A port of the container that the host passes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// The container's port.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address, as the engine writes it.
    pub host_ip: String,
    /// The host's port.
    pub host_port: u16,
}

/// Something mounted in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MountPoint {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// The volume's name.
    pub name: String,
    /// The path on the host.
    pub source: String,
    /// The path in the container.
    pub destination: String,
    /// The volume's driver.
    pub driver: String,
    /// The mode that was asked for.
    pub mode: String,
    /// Whether the container may write.
    pub writable: bool,
    /// How mounts propagate.
    pub propagation: String,
}

impl Engine {
    /// Inspects a container, by id or name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As every read: `Unreachable`, `Timeout`, `StreamBroken`, `Protocol`, or what the engine says.
    pub async fn inspect(&self, id: &str, deadline: Duration) -> Result<Option<Inspection>, EngineError> {
        let call = Call::get(path::container(id, "/json"));
        match self.call(Op::Inspect, id, deadline, &call).await {
            Ok(answer) => {
                let inspection = Inspection::from_json(&answer.body);
                inspection.map(Some).map_err(|error| unreadable(Op::Inspect, id, &error))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Inspection {
    /// Reads the JSON of an inspection, also one that was stored.
    ///
    /// # Errors
    ///
    /// The JSON error, for what is no inspection.
    pub fn from_json(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let raw = trimmed(raw);
        let container: wire::Container = serde_json::from_slice(&raw)?;
        Ok(Self::from_wire(raw, container))
    }

    fn from_wire(raw: Bytes, container: wire::Container) -> Self {
        let wire::Container { config, host_config, network_settings, .. } = container;
        let networks =
            network_settings.networks.into_iter().map(|(name, endpoint)| (name, endpoint.into())).collect();
        Self {
            raw,
            id: container.id,
            name: container.name.strip_prefix('/').map_or(container.name.clone(), str::to_owned),
            created: EngineTime::new(&container.created),
            state: container.state.into(),
            restart_count: container.restart_count,
            labels: config.labels,
            networks,
            network_mode: host_config.network_mode,
            ports: published(network_settings.ports),
            log_driver: host_config.log_config.kind,
            tty: config.tty,
            stop_signal: Some(config.stop_signal).filter(|signal| !signal.is_empty()),
            image: config.image,
            image_id: container.image,
            mounts: container.mounts.into_iter().map(MountPoint::from).collect(),
        }
    }
}

/// Copies the JSON out of the read buffer, which is larger and would live as long as the task.
fn trimmed(raw: &[u8]) -> Bytes {
    Bytes::copy_from_slice(raw.trim_ascii())
}

/// Puts the port map in order. What is no port is left out: it cannot be told to anybody.
fn published(ports: BTreeMap<String, Option<Vec<wire::Binding>>>) -> Vec<PublishedPort> {
    let mut all: Vec<PublishedPort> = ports
        .into_iter()
        .filter_map(|(key, bindings)| {
            let (port, protocol) = key.split_once('/').unwrap_or((&key, "tcp"));
            Some((port.parse().ok()?, protocol.to_owned(), bindings.unwrap_or_default()))
        })
        .flat_map(|(container_port, protocol, bindings): (u16, String, Vec<wire::Binding>)| {
            bindings.into_iter().filter_map(move |binding| {
                Some(PublishedPort {
                    container_port,
                    protocol: protocol.clone(),
                    host_ip: binding.host_ip,
                    host_port: binding.host_port.parse().ok()?,
                })
            })
        })
        .collect();
    all.sort();
    all
}

impl From<wire::State> for State {
    fn from(state: wire::State) -> Self {
        Self {
            status: state.status,
            running: state.running,
            paused: state.paused,
            restarting: state.restarting,
            pid: u32::try_from(state.pid).ok().filter(|pid| *pid != 0),
            exit_code: state.exit_code,
            oom_killed: state.oom_killed,
            error: state.error,
            started_at: EngineTime::new(&state.started_at),
            finished_at: EngineTime::new(&state.finished_at),
            health: state.health.and_then(EngineHealth::of),
        }
    }
}

impl EngineHealth {
    /// `None` for `none`, which engines write for a container without a health check.
    fn of(health: wire::Health) -> Option<Self> {
        let status = match health.status.as_str() {
            "starting" => EngineHealthStatus::Starting,
            "healthy" => EngineHealthStatus::Healthy,
            "unhealthy" => EngineHealthStatus::Unhealthy,
            _ => return None,
        };
        let last = health.log.into_iter().next_back().map(|probe| (probe.exit_code, probe.output));
        Some(Self { status, failing_streak: health.failing_streak, last })
    }
}

impl From<wire::Endpoint> for EndpointAddr {
    fn from(endpoint: wire::Endpoint) -> Self {
        Self {
            ipv4: endpoint.ip_address.parse().ok(),
            ipv6: endpoint.global_ipv6_address.parse().ok(),
            gateway: endpoint.gateway.parse().ok(),
            mac: (!endpoint.mac_address.is_empty()).then_some(endpoint.mac_address),
        }
    }
}

impl From<wire::Mount> for MountPoint {
    fn from(mount: wire::Mount) -> Self {
        Self {
            kind: mount.kind,
            name: mount.name,
            source: mount.source,
            destination: mount.destination,
            driver: mount.driver,
            mode: mount.mode,
            writable: mount.rw,
            propagation: mount.propagation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an engine 20.10 writes it, with everything around the object that may be there.
    const RUNNING: &str = r#"
        {"Id":"c1","Created":"2026-08-01T09:59:59.5Z","Name":"/mesos-S0-1","RestartCount":2,"Image":"sha256:1",
         "State":{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":true,"Dead":false,
                  "Pid":42,"ExitCode":0,"Error":"","StartedAt":"2026-08-01T10:00:00.123456789Z",
                  "FinishedAt":"0001-01-01T00:00:00Z"},
         "HostConfig":{"NetworkMode":"default","LogConfig":{"Type":"local","Config":{}}},
         "Mounts":[{"Type":"bind","Source":"/a","Destination":"/b","Mode":"ro","RW":false,"Propagation":"rprivate"}],
         "Config":{"Tty":true,"Image":"busybox","Labels":{"l":"v"},"Env":["SECRET=1"]},
         "NetworkSettings":{
            "IPAddress":"172.17.0.2",
            "Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"31000"},{"HostIp":"::","HostPort":"31000"}],
                     "53/udp":null,"odd":[{"HostIp":"","HostPort":"1"}],"81/tcp":[{"HostIp":"","HostPort":""}]},
            "Networks":{"bridge":{"IPAddress":"172.17.0.2","Gateway":"172.17.0.1","GlobalIPv6Address":"fd00::2",
                                  "MacAddress":"02:42:ac:11:00:02"}}}}
    "#;

    #[test]
    fn a_running_container_is_read() {
        let read = Inspection::from_json(RUNNING.as_bytes()).unwrap();
        assert_eq!(read.raw, RUNNING.trim());
        assert_eq!((read.id.as_str(), read.name.as_str(), read.restart_count), ("c1", "mesos-S0-1", 2));
        assert!(read.state.running && read.state.oom_killed && read.state.started());
        assert!(!read.state.finished_at.is_set());
        assert_eq!(read.state.pid, Some(42));
        assert_eq!(read.state.started_at.stamp().map(|stamp| stamp.subsec_nanos()), Some(123_456_789));
        assert_eq!(
            (read.log_driver.as_str(), read.tty, read.network_mode.as_str()),
            ("local", true, "default")
        );
        let bridge = &read.networks["bridge"];
        assert_eq!(bridge.ipv4, Some(Ipv4Addr::new(172, 17, 0, 2)));
        assert_eq!(bridge.ipv6, "fd00::2".parse().ok());
        let ports: Vec<_> =
            read.ports.iter().map(|p| (p.container_port, p.host_ip.as_str(), p.host_port)).collect();
        assert_eq!(ports, [(80, "0.0.0.0", 31000), (80, "::", 31000)]);
        assert_eq!((read.mounts[0].destination.as_str(), read.mounts[0].writable), ("/b", false));
        assert!(!format!("{read:?}").contains("SECRET"));
    }

    /// Status, failures in a row, and the last check.
    type Read = (EngineHealthStatus, u32, Option<(i64, String)>);

    #[rstest::rstest]
    #[case(r#"{"Status":"starting","FailingStreak":0,"Log":null}"#, Some((EngineHealthStatus::Starting, 0, None)))]
    #[case(r#"{"Status":"unhealthy","FailingStreak":3,"Log":[{"ExitCode":0,"Output":""},{"ExitCode":1,"Output":"no"}]}"#,
        Some((EngineHealthStatus::Unhealthy, 3, Some((1, "no".to_owned())))))]
    #[case(r#"{"Status":"none","FailingStreak":0}"#, None)]
    #[case("null", None)]
    fn the_engines_own_health_check_is_read(#[case] health: &str, #[case] expected: Option<Read>) {
        let text =
            format!(r#"{{"Id":"c1","State":{{"Status":"running","Running":true,"Health":{health}}}}}"#);
        let read = Inspection::from_json(text.as_bytes()).unwrap().state.health;
        assert_eq!(read.map(|health| (health.status, health.failing_streak, health.last)), expected);
    }

    #[test]
    fn what_newer_engines_leave_out_is_not_missed() {
        let bare = r#"{"Id":"c1","State":{"Status":"created","Running":false,"Pid":0,"StartedAt":"0001-01-01T00:00:00Z"},
            "NetworkSettings":{"Networks":{"none":{"IPAddress":"invalid IP","Gateway":"","MacAddress":""}}},
            "Config":{"Labels":null},"Mounts":null,"HostConfig":null}"#;
        let read = Inspection::from_json(bare.as_bytes()).unwrap();
        assert!(!read.state.started() && read.state.pid.is_none());
        assert_eq!(read.networks["none"], EndpointAddr::default());
        assert!(read.ports.is_empty() && read.labels.is_empty() && read.mounts.is_empty());
    }

    #[test]
    fn what_has_no_state_is_no_inspection() {
        for text in ["", "{}", "[]", r#"{"Id":"c1"}"#, r#"{"Id":"c1","State":{"Status":"running"}}"#] {
            assert!(Inspection::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
