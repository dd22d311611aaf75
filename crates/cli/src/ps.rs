//! `mesos-docker ps`: the tasks of a work directory, from the records, one list of the engine if a task has an image, and
//! a look at the processes of those without.

use std::collections::BTreeMap;

use mesos_containerizer::Seen;
use mesos_proto::v1::TaskInfo;
use mesos_types::ContainerId;
use serde_json::{Value, json};
use task_supervisor::Kind;

use crate::args::PsArgs;
use crate::check::kind_of;
use crate::failure::Failure;
use crate::find::{self, KnownRun};
use crate::listing::{self, Container};
use crate::out;
use crate::pick::short;
use crate::runs::Ownership;
use crate::setup::Setup;
use crate::units::age;

/// What the engine says, or that it says nothing.
type Listing = Option<BTreeMap<ContainerId, Container>>;

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row([String; 8]);

const HEAD: [&str; 8] = ["TASK", "CONTAINER", "STATE", "RUNS", "IMAGE", "PORTS", "AGE", "OWNER"];

/// The word for a container or a process that is not there.
const GONE: &str = "gone";

/// Lists tasks.
pub(crate) async fn ps(args: PsArgs) -> Result<u8, Failure> {
    let setup = Setup::new(&args.flags.0)?;
    let mut runs = find::runs(&setup.work_dir);
    runs.tell_broken();
    runs.known.retain(|run| args.all || !run.is_terminal());
    let listing = listing(&setup, &runs.known).await;
    if args.json {
        runs.known.iter().try_for_each(|run| out::line(&object(run, &listing).to_string()))?;
        return Ok(0);
    }
    let rows: Vec<_> = runs.known.iter().map(|run| row(run, &listing)).collect();
    out::write(table(&rows).as_bytes())?;
    Ok(0)
}

/// Lists the containers, unless all tasks are processes. Without an engine the records are shown all the same.
async fn listing(setup: &Setup, runs: &[KnownRun]) -> Listing {
    if !runs.is_empty() && runs.iter().all(|run| run.kind() != Kind::Docker) {
        return Some(BTreeMap::new());
    }
    let listed = async { listing::containers(&setup.engine().await?, &setup.work_dir).await };
    match listed.await {
        Ok(listed) => Some(listed),
        Err(failure) => {
            out::note(&format!("note only the records are shown: {}", failure.message()));
            None
        }
    }
}

fn row(run: &KnownRun, listing: &Listing) -> Row {
    let owner = match run.owner {
        Ownership::Owned(Some(pid)) => pid.to_string(),
        Ownership::Owned(None) => "?".into(),
        Ownership::Orphaned => "-".into(),
    };
    Row([
        run.identity.task_id.to_string(),
        short(run.identity.container_id),
        run.state().as_str_name().to_owned(),
        place(run, listing).unwrap_or_else(|| "?".to_owned()),
        match (run.image(), run.kind()) {
            ("", Kind::Docker) => "?".into(),
            ("", Kind::Mesos) => "-".into(),
            (image, _) => image.to_owned(),
        },
        run.info.as_ref().map(ports).filter(|ports| !ports.is_empty()).unwrap_or_else(|| "-".into()),
        age(run.created),
        owner,
    ])
}

fn object(run: &KnownRun, listing: &Listing) -> Value {
    let owner = match run.owner {
        Ownership::Owned(pid) => json!({"pid": pid}),
        Ownership::Orphaned => Value::Null,
    };
    let created = run.created.and_then(|time| jiff::Timestamp::try_from(time).ok());
    json!({
        "task_id": run.identity.task_id,
        "container_id": run.identity.container_id,
        "framework_id": run.identity.framework_id,
        "engine_id": run.record.engine_id,
        "state": run.state().as_str_name(),
        "containerizer": run.kind().name(),
        "engine_state": engine_state(run, listing),
        "pid": pid(run),
        "image": run.image(),
        "ports": run.info.as_ref().map(ports).unwrap_or_default(),
        "created": created.map(|time| time.to_string()),
        "owner": owner,
        "sandbox": run.layout.sandbox().to_string_lossy(),
    })
}

/// The engine's word for a container, or a process's number; `-` for a task that was not started.
fn place(run: &KnownRun, listing: &Listing) -> Option<String> {
    match (run.kind(), run.process()) {
        (Kind::Docker, _) => engine_state(run, listing).map(str::to_owned),
        (Kind::Mesos, Some(Seen::Runs(process))) => Some(format!("pid {}", process.pid)),
        (Kind::Mesos, Some(Seen::Gone)) => Some(GONE.to_owned()),
        (Kind::Mesos, None) => Some("-".to_owned()),
    }
}

/// The number of a task's process, while it runs.
fn pid(run: &KnownRun) -> Option<u32> {
    match run.process() {
        Some(Seen::Runs(process)) => Some(process.pid),
        Some(Seen::Gone) | None => None,
    }
}

/// The engine's word for the container's state; `gone` if it has none, and nothing if it was not asked, or has no
/// container of the task.
fn engine_state<'a>(run: &KnownRun, listing: &'a Listing) -> Option<&'a str> {
    let listing = listing.as_ref().filter(|_| run.kind() == Kind::Docker)?;
    Some(listing.get(&run.identity.container_id).map_or(GONE, |container| container.state.as_str()))
}

/// The host ports that reach a task, as it asks for them: those of its mappings, or of its resources.
fn ports(info: &TaskInfo) -> String {
    if kind_of(info.container.as_ref()) == Kind::Mesos {
        let of_ports = info.resources.iter().filter(|resource| resource.name == "ports");
        let ranges =
            of_ports.filter_map(|resource| resource.ranges.as_ref()).flat_map(|ranges| &ranges.range);
        let shown = ranges.map(|range| match range.begin == range.end {
            true => range.begin.to_string(),
            false => format!("{}-{}", range.begin, range.end),
        });
        return shown.collect::<Vec<_>>().join(",");
    }
    let docker = info.container.as_ref().and_then(|container| container.docker.as_ref());
    let mappings = docker.map(|docker| docker.port_mappings.as_slice()).unwrap_or_default();
    let shown: Vec<_> = mappings
        .iter()
        .map(|port| {
            format!(
                "{}->{}/{}",
                port.host_port,
                port.container_port,
                port.protocol.as_deref().unwrap_or("tcp")
            )
        })
        .collect();
    shown.join(",")
}

/// Rows below their heads, each column as wide as it must be.
fn table(rows: &[Row]) -> String {
    let head = Row(HEAD.map(str::to_owned));
    let rows: Vec<_> = std::iter::once(&head).chain(rows).collect();
    let mut text = String::new();
    let widths: Vec<_> = (0..HEAD.len())
        .map(|at| rows.iter().map(|row| row.0[at].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.0.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::v1::{
        ContainerInfo, container_info::DockerInfo, container_info::docker_info::PortMapping,
    };

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let cells = ["a-long-task-id", "c", "TASK_RUNNING", "running", "i", "-", "3s", "17"];
        let text = table(&[Row(cells.map(str::to_owned))]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "TASK            CONTAINER  STATE         RUNS     IMAGE  PORTS  AGE  OWNER");
        assert_eq!(lines[1], "a-long-task-id  c          TASK_RUNNING  running  i      -      3s   17");
    }

    #[test]
    fn ports_are_those_of_the_mappings() {
        let mapping = |host_port, container_port, protocol: Option<&str>| PortMapping {
            host_port,
            container_port,
            protocol: protocol.map(str::to_owned),
        };
        let docker = DockerInfo {
            port_mappings: vec![mapping(31000, 80, None), mapping(31001, 53, Some("udp"))],
            ..DockerInfo::default()
        };
        let info = TaskInfo {
            container: Some(ContainerInfo { docker: Some(docker), ..ContainerInfo::default() }),
            ..TaskInfo::default()
        };
        assert_eq!(ports(&info), "31000->80/tcp,31001->53/udp");
    }
}
