//! TaskStatus messages of one task.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use docker_containerizer::{Addresses, Identity, Limitation};
use mesos_proto::v1;
use mesos_proto::v1::task_status::{Reason, Source};

use crate::composing::Running;
use crate::mask::{Mask, MaskedVariables};
use crate::outcome::Outcome;

/// The label of a status that tells which image ran: `repository@sha256:…` as its registry knows it, or the image's id
/// where no registry does.
pub const IMAGE_DIGEST_LABEL: &str = "org.apache.mesos.image_digest";

/// Makes the statuses of one task.
#[derive(Debug, Clone)]
pub struct StatusMaker {
    identity: Identity,
    mask: Mask,
    /// The first network of the container, copied into the status with the addresses.
    network: Option<v1::NetworkInfo>,
    /// The host's address, for a container without its own.
    host: Option<IpAddr>,
    /// The image that ran, once that is known; in every status from then on.
    image: Option<String>,
    /// Where the container is reached, once it runs; in every TASK_RUNNING.
    container: Option<v1::ContainerStatus>,
    /// What the health check said last; in every TASK_RUNNING.
    healthy: Option<bool>,
    /// What the check said last, or its kind alone before; in every status of a task that has one, as the message's
    /// definition asks.
    check: Option<v1::CheckStatusInfo>,
}

impl StatusMaker {
    /// For the task `info`; `host` is told for a container that has no address of its own.
    pub fn new(
        identity: Identity,
        info: &v1::TaskInfo,
        host: Option<IpAddr>,
        masked: MaskedVariables,
    ) -> Self {
        let network = info.container.as_ref().and_then(|container| container.network_infos.first().cloned());
        Self {
            identity,
            mask: Mask::new(masked, info),
            network,
            host,
            image: None,
            container: None,
            healthy: None,
            check: info.check.as_ref().map(unchecked),
        }
    }

    /// Takes note of the image that runs, or ran.
    pub fn ran(&mut self, image: Option<String>) {
        self.image = image;
    }

    /// Takes note of where the container is reached.
    pub fn reached(&mut self, running: &Running) {
        self.container = Some(v1::ContainerStatus {
            container_id: Some(v1::ContainerId {
                value: self.identity.container_id.to_string(),
                ..Default::default()
            }),
            network_infos: match running {
                Running::Docker(running) => self.networks(running.addresses),
                Running::Plain(_) => self.networks(Addresses::default()),
            },
            executor_pid: match running {
                Running::Docker(_) => None,
                Running::Plain(running) => Some(running.pid),
            },
            ..Default::default()
        });
    }

    /// Takes note of what an earlier process was told by the checks.
    pub fn checked_before(&mut self, healthy: Option<bool>, check: Option<v1::CheckStatusInfo>) {
        self.healthy = healthy;
        if check.is_some() {
            self.check = check;
        }
    }

    /// TASK_STARTING: image and files are there.
    pub fn starting(&self) -> v1::TaskStatus {
        self.status(v1::TaskState::TaskStarting)
    }

    /// TASK_KILLING, for frameworks that can take it.
    pub fn killing(&self) -> v1::TaskStatus {
        self.status(v1::TaskState::TaskKilling)
    }

    /// TASK_RUNNING with the inspection as a JSON array in `data`, its secrets masked, and the addresses.
    pub fn running(&mut self, running: &Running) -> v1::TaskStatus {
        self.reached(running);
        let data = match running {
            Running::Docker(running) => {
                let inspection = self.mask.apply(running.raw.trim_ascii());
                let mut data = Vec::with_capacity(inspection.len() + 2);
                data.push(b'[');
                data.extend_from_slice(&inspection);
                data.push(b']');
                Some(data)
            }
            Running::Plain(_) => None,
        };
        v1::TaskStatus { data, ..self.still_running() }
    }

    /// TASK_RUNNING of a task that turned healthy or unhealthy (`taskHealthUpdated` in `src/docker/executor.cpp`).
    /// `why` is for people.
    pub fn health(&mut self, healthy: bool, why: Option<String>) -> v1::TaskStatus {
        self.healthy = Some(healthy);
        let reason = Reason::TaskHealthCheckStatusUpdated;
        v1::TaskStatus { reason: Some(reason.into()), message: why, ..self.still_running() }
    }

    /// TASK_RUNNING of a task whose check says something new (`taskCheckUpdated` in `src/launcher/executor.cpp`).
    pub fn checked(&mut self, check: v1::CheckStatusInfo) -> v1::TaskStatus {
        self.check = Some(check);
        let reason = Reason::TaskCheckStatusUpdated;
        v1::TaskStatus { reason: Some(reason.into()), ..self.still_running() }
    }

    /// The terminal status.
    pub fn terminal(&self, outcome: &Outcome) -> v1::TaskStatus {
        let limited = match outcome.limitation {
            Some(Limitation::Memory { limit: Some(limit), .. }) => Some(("mem", real(limit.0))),
            Some(Limitation::Disk { quota, .. }) => Some(("disk", real(quota) / f64::from(1 << 20))),
            Some(Limitation::Memory { limit: None, .. }) | None => None,
        };
        let limitation = limited.map(|(name, value)| v1::TaskResourceLimitation {
            resources: vec![v1::Resource {
                name: name.into(),
                r#type: v1::value::Type::Scalar.into(),
                scalar: Some(v1::value::Scalar { value }),
                ..Default::default()
            }],
        });
        v1::TaskStatus {
            message: Some(outcome.message.clone()),
            reason: outcome.reason.map(Into::into),
            source: Some(source(outcome.reason).into()),
            limitation,
            healthy: outcome.healthy,
            ..self.status(outcome.state)
        }
    }

    fn still_running(&self) -> v1::TaskStatus {
        v1::TaskStatus {
            container_status: self.container.clone(),
            healthy: self.healthy,
            ..self.status(v1::TaskState::TaskRunning)
        }
    }

    fn status(&self, state: v1::TaskState) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: v1::TaskId { value: self.identity.task_id.as_str().to_owned() },
            state: state.into(),
            source: Some(Source::Executor.into()),
            agent_id: Some(v1::AgentId { value: self.identity.agent_id.as_str().to_owned() }),
            executor_id: Some(v1::ExecutorId { value: self.identity.executor_id.as_str().to_owned() }),
            timestamp: SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64()),
            uuid: Some(uuid::Uuid::new_v4().as_bytes().to_vec()),
            labels: self.image.as_ref().map(|image| v1::Labels {
                labels: vec![v1::Label { key: IMAGE_DIGEST_LABEL.into(), value: Some(image.clone()) }],
            }),
            check_status: self.check,
            ..Default::default()
        }
    }

    /// The container's own addresses in a copy of its network, or the host's alone, as the agent adds it.
    fn networks(&self, own: Addresses) -> Vec<v1::NetworkInfo> {
        use v1::network_info::{IpAddress, Protocol};

        let address = |ip: String, protocol: Option<Protocol>| IpAddress {
            ip_address: Some(ip),
            protocol: protocol.map(Into::into),
        };
        let ipv4 = own.ipv4.map(|ip| address(ip.to_string(), None));
        let ipv6 = own.ipv6.map(|ip| address(ip.to_string(), Some(Protocol::IPv6)));
        let ip_addresses: Vec<_> = ipv4.into_iter().chain(ipv6).collect();
        if !ip_addresses.is_empty() {
            return vec![v1::NetworkInfo { ip_addresses, ..self.network.clone().unwrap_or_default() }];
        }
        let host = self.host.map(|ip| match ip {
            IpAddr::V4(_) => address(ip.to_string(), None),
            IpAddr::V6(_) => address(ip.to_string(), Some(Protocol::IPv6)),
        });
        host.into_iter().map(|ip| v1::NetworkInfo { ip_addresses: vec![ip], ..Default::default() }).collect()
    }
}

/// The status of a check that was not made yet: its kind, as stock has it.
fn unchecked(check: &v1::CheckInfo) -> v1::CheckStatusInfo {
    use v1::check_info::Type;
    use v1::check_status_info::{Command, Http, Tcp};

    let mut status = v1::CheckStatusInfo { r#type: check.r#type, ..Default::default() };
    match check.r#type() {
        Type::Command => status.command = Some(Command::default()),
        Type::Http => status.http = Some(Http::default()),
        Type::Tcp => status.tcp = Some(Tcp::default()),
        Type::Unknown => {}
    }
    status
}

/// Who tells it in stock: the agent, where no executor came to be, and where the containerizer ended it with its task
/// (`Slave::sendExecutorTerminatedStatusUpdate`).
fn source(reason: Option<Reason>) -> Source {
    match reason {
        Some(
            Reason::ContainerLaunchFailed
            | Reason::TaskKilledDuringLaunch
            | Reason::ContainerLimitation
            | Reason::ContainerLimitationMemory
            | Reason::ContainerLimitationDisk,
        ) => Source::Agent,
        _ => Source::Executor,
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts of a host are far below 2^52")]
fn real(amount: u64) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::by_itself(None, Source::Executor)]
    #[case::too_long(Some(Reason::MaxCompletionTimeReached), Source::Executor)]
    #[case::not_launched(Some(Reason::ContainerLaunchFailed), Source::Agent)]
    #[case::killed_before(Some(Reason::TaskKilledDuringLaunch), Source::Agent)]
    #[case::out_of_memory(Some(Reason::ContainerLimitationMemory), Source::Agent)]
    #[case::out_of_disk(Some(Reason::ContainerLimitationDisk), Source::Agent)]
    fn an_end_is_told_by_who_tells_it_in_stock(#[case] reason: Option<Reason>, #[case] expected: Source) {
        assert_eq!(source(reason), expected);
    }
}
