//! The `HealthCheck` and `CheckInfo` of a task (Marathon `MesosHealthCheck`). The agent asks from within the task's
//! network, so ports are those in the container.

use mesos_proto::v1;
use mesos_proto::v1::{check_info, health_check};

use crate::build::assign::AssignedPort;
use crate::health::{Check, HealthCheck, IpProtocol, Probe, ProbePort, Scheme};

/// The health check of a task.
pub(crate) fn health_check(check: &HealthCheck, ports: &[AssignedPort<'_>]) -> v1::HealthCheck {
    let mut wire = v1::HealthCheck {
        delay_seconds: Some(check.times.delay.into()),
        interval_seconds: Some(check.times.interval.into()),
        timeout_seconds: Some(check.times.timeout.into()),
        consecutive_failures: Some(check.max_consecutive_failures.unwrap_or(u32::MAX)),
        grace_period_seconds: Some(check.grace_seconds.into()),
        ..Default::default()
    };
    let kind = match &check.probe {
        Probe::Shell(_) | Probe::Exec(_) => {
            wire.command = command(&check.probe);
            health_check::Type::Command
        }
        Probe::Http { scheme, port, path, protocol } => {
            wire.http = Some(health_check::HttpCheckInfo {
                protocol: Some(family(*protocol).into()),
                scheme: Some(scheme_name(*scheme).to_owned()),
                port: number(*port, ports),
                path: path.clone(),
                ..Default::default()
            });
            health_check::Type::Http
        }
        Probe::Tcp { port, protocol } => {
            wire.tcp = Some(health_check::TcpCheckInfo {
                protocol: Some(family(*protocol).into()),
                port: number(*port, ports),
            });
            health_check::Type::Tcp
        }
    };
    wire.r#type = Some(kind.into());
    wire
}

/// The check of a task.
pub(crate) fn check(check: &Check, ports: &[AssignedPort<'_>]) -> v1::CheckInfo {
    let mut wire = v1::CheckInfo {
        delay_seconds: Some(check.times.delay.into()),
        interval_seconds: Some(check.times.interval.into()),
        timeout_seconds: Some(check.times.timeout.into()),
        ..Default::default()
    };
    let kind = match &check.probe {
        Probe::Shell(_) | Probe::Exec(_) => {
            wire.command = command(&check.probe).map(|command| check_info::Command { command });
            check_info::Type::Command
        }
        Probe::Http { port, path, .. } => {
            wire.http = Some(check_info::Http { port: number(*port, ports), path: path.clone() });
            check_info::Type::Http
        }
        Probe::Tcp { port, .. } => {
            wire.tcp = Some(check_info::Tcp { port: number(*port, ports) });
            check_info::Type::Tcp
        }
    };
    wire.r#type = Some(kind.into());
    wire
}

/// The command of a probe that has one.
fn command(probe: &Probe) -> Option<v1::CommandInfo> {
    match probe {
        Probe::Shell(line) => {
            Some(v1::CommandInfo { shell: Some(true), value: Some(line.clone()), ..Default::default() })
        }
        Probe::Exec(argv) => Some(v1::CommandInfo {
            shell: Some(false),
            // Mesos takes the program from value and its whole argv from arguments.
            value: argv.first().cloned(),
            arguments: argv.clone(),
            ..Default::default()
        }),
        Probe::Http { .. } | Probe::Tcp { .. } => None,
    }
}

fn number(port: ProbePort, ports: &[AssignedPort<'_>]) -> u32 {
    match port {
        ProbePort::Number(number) => number.into(),
        ProbePort::AsMarathon(number) => {
            let of_host = ports.iter().find(|port| port.host == Some(number));
            of_host.map_or(number, AssignedPort::listening).into()
        }
        // The index was checked against the same ports when the app was read.
        ProbePort::Index(index) => ports.get(index).map_or(0, |port| port.listening().into()),
    }
}

fn family(protocol: IpProtocol) -> v1::network_info::Protocol {
    match protocol {
        IpProtocol::V4 => v1::network_info::Protocol::IPv4,
        IpProtocol::V6 => v1::network_info::Protocol::IPv6,
    }
}

fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}
