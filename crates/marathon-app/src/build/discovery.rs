//! The `DiscoveryInfo` of a task (Marathon `PortDiscovery`, `NetworkScope`).

use std::collections::BTreeMap;

use mesos_proto::v1;
use mesos_proto::v1::discovery_info::Visibility;

use crate::app::App;
use crate::build::assign::AssignedPort;
use crate::build::task::labels;

/// What service discovery is told about a task.
pub(crate) fn discovery(app: &App, ports: &[AssignedPort<'_>]) -> v1::DiscoveryInfo {
    v1::DiscoveryInfo {
        visibility: Visibility::Framework.into(),
        name: Some(app.id.hostname()),
        ports: Some(v1::Ports { ports: ports.iter().flat_map(port).collect() }),
        ..Default::default()
    }
}

/// One entry for each protocol, with the scope of its number where the task has a network of its own.
fn port(port: &AssignedPort<'_>) -> Vec<v1::Port> {
    let mut pairs: BTreeMap<String, String> = port.labels.clone();
    if port.container.is_some() {
        let scope = if port.host.is_some() { "host" } else { "container" };
        pairs.insert("network-scope".to_owned(), scope.to_owned());
    }
    port.protocols
        .names()
        .iter()
        .map(|protocol| v1::Port {
            number: port.effective().into(),
            name: port.name.map(str::to_owned),
            protocol: Some((*protocol).to_owned()),
            labels: labels(&pairs),
            ..Default::default()
        })
        .collect()
}
