//! The `ContainerInfo` of a task (Marathon `TaskBuilder.computeContainerInfo`, `ContainerSerializer`).

use std::collections::BTreeMap;

use mesos_proto::v1;
use mesos_proto::v1::container_info::docker_info::{Network as WireNetwork, PortMapping};
use mesos_proto::v1::container_info::{DockerInfo, Type};

use crate::app::{App, Tty};
use crate::build::assign::AssignedPort;
use crate::build::task::labels;
use crate::container::{Container, Docker};
use crate::networks::Network;
use crate::volumes::{Volume, VolumeMode, VolumeSource};

/// The container of a task; none where the app has none.
pub(crate) fn container(app: &App, task_id: &str, ports: &[AssignedPort<'_>]) -> Option<v1::ContainerInfo> {
    match &app.container {
        Container::Docker(docker) => Some(docker_container(app, docker, task_id, ports)),
        Container::Mesos => Some(v1::ContainerInfo {
            r#type: Type::Mesos.into(),
            // Marathon adds the empty message too, as some versions of Mesos want it there.
            mesos: Some(v1::container_info::MesosInfo::default()),
            ..Default::default()
        }),
        Container::Absent => None,
    }
}

fn docker_container(
    app: &App,
    docker: &Docker,
    task_id: &str,
    ports: &[AssignedPort<'_>],
) -> v1::ContainerInfo {
    v1::ContainerInfo {
        r#type: Type::Docker.into(),
        volumes: app.volumes.iter().map(volume).collect(),
        docker: Some(docker_info(app, docker, task_id, ports)),
        network_infos: network_infos(&app.network),
        tty_info: match app.tty {
            Tty::Attached => Some(v1::TtyInfo::default()),
            Tty::Absent => None,
        },
        ..Default::default()
    }
}

fn docker_info(app: &App, docker: &Docker, task_id: &str, ports: &[AssignedPort<'_>]) -> DockerInfo {
    let network = match app.network {
        Network::Host => WireNetwork::Host,
        Network::Bridge => WireNetwork::Bridge,
        Network::None => WireNetwork::None,
        Network::User { .. } => WireNetwork::User,
    };
    let own = docker.parameters.iter().map(|one| parameter(&one.key, &one.value));
    // Marathon labels its containers, so that people can find the container of a task.
    let label = parameter("label", &format!("MESOS_TASK_ID={task_id}"));
    DockerInfo {
        image: docker.image.clone(),
        network: Some(network.into()),
        port_mappings: ports.iter().flat_map(port_mappings).collect(),
        privileged: Some(docker.privileged),
        parameters: own.chain([label]).collect(),
        force_pull_image: Some(docker.force_pull),
        ..Default::default()
    }
}

/// One mapping for each protocol; none for a port that the host does not have, or on the host's network.
fn port_mappings(port: &AssignedPort<'_>) -> Vec<PortMapping> {
    let (Some(host), Some(container)) = (port.host, port.container) else { return Vec::new() };
    port.protocols
        .names()
        .iter()
        .map(|protocol| PortMapping {
            host_port: host.into(),
            container_port: container.into(),
            protocol: Some((*protocol).to_owned()),
        })
        .collect()
}

fn parameter(key: &str, value: &str) -> v1::Parameter {
    v1::Parameter { key: key.to_owned(), value: value.to_owned() }
}

fn volume(volume: &Volume) -> v1::Volume {
    let mode = match volume.mode {
        VolumeMode::ReadOnly => v1::volume::Mode::Ro,
        VolumeMode::ReadWrite => v1::volume::Mode::Rw,
    };
    v1::Volume {
        mode: mode.into(),
        container_path: volume.container_path.clone(),
        host_path: match &volume.source {
            VolumeSource::Host(path) => Some(path.clone()),
            VolumeSource::External { .. } => None,
        },
        source: match &volume.source {
            VolumeSource::Host(_) => None,
            VolumeSource::External { name, driver, options } => Some(external(name, driver, options)),
        },
        ..Default::default()
    }
}

fn external(name: &str, driver: &str, options: &BTreeMap<String, String>) -> v1::volume::Source {
    let options = options.iter().map(|(key, value)| parameter(key, value)).collect::<Vec<_>>();
    let volume = v1::volume::source::DockerVolume {
        name: name.to_owned(),
        driver: Some(driver.to_owned()),
        driver_options: (!options.is_empty()).then_some(v1::Parameters { parameter: options }),
    };
    let mut source = v1::volume::Source { docker_volume: Some(volume), ..Default::default() };
    source.set_type(v1::volume::source::Type::DockerVolume);
    source
}

fn network_infos(network: &Network) -> Vec<v1::NetworkInfo> {
    match network {
        Network::User { name, labels: pairs } => {
            vec![v1::NetworkInfo { name: Some(name.clone()), labels: labels(pairs), ..Default::default() }]
        }
        Network::Host | Network::Bridge | Network::None => Vec::new(),
    }
}
