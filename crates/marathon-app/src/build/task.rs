//! The `TaskInfo` of each instance (Marathon `TaskBuilder.build`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::value;

use crate::app::App;
use crate::build::assign::{AssignedPort, assign, service_ports};
use crate::build::context::BuildContext;
use crate::build::{container, discovery, environment, probes};
use crate::command::Command;
use crate::error::AppError;
use crate::fetch::Fetch;
use crate::resources::Limit;

/// The most tasks of one build; the ports resource of an agent is a tenth of it.
const MAX_INSTANCES: u32 = 10_000;

/// The role of resources that no app asks to have in another.
const DEFAULT_ROLE: &str = "*";

/// Builds `instances` tasks of `app`.
///
/// # Errors
///
/// An [`AppError`] when a host port cannot be had, ports run out, or the instances are too many.
pub fn build_tasks(
    app: &App,
    instances: u32,
    context: &mut BuildContext<'_>,
) -> Result<Vec<v1::TaskInfo>, AppError> {
    if instances > MAX_INSTANCES {
        return Err(app.path.key("instances").not_allowed(
            instances,
            format!("a number of tasks for one machine, the most is {MAX_INSTANCES}"),
        ));
    }
    let service_ports = service_ports(app, context.service_ports)?;
    (0..instances).map(|_| build_task(app, &service_ports, context)).collect()
}

fn build_task(
    app: &App,
    service_ports: &[u16],
    context: &mut BuildContext<'_>,
) -> Result<v1::TaskInfo, AppError> {
    let ports = assign(&app.ports, service_ports, context.host_ports)?;
    let task_id = (context.task_ids)(&app.id);
    let env = environment::environment(app, &task_id, &ports, context);
    Ok(v1::TaskInfo {
        name: app.id.hostname(),
        agent_id: v1::AgentId { value: context.agent_id.clone() },
        resources: resources(app, &ports),
        command: Some(command(app, env)),
        container: container::container(app, &task_id, &ports),
        health_check: app.health_check.as_ref().map(|check| probes::health_check(check, &ports)),
        check: app.check.as_ref().map(|check| probes::check(check, &ports)),
        kill_policy: app.kill_grace.map(kill_policy),
        labels: labels(&app.labels),
        discovery: Some(discovery::discovery(app, &ports)),
        limits: limits(app),
        task_id: v1::TaskId { value: task_id },
        ..Default::default()
    })
}

/// Labels in order, or nothing when there are none.
pub(crate) fn labels(pairs: &BTreeMap<String, String>) -> Option<v1::Labels> {
    let label = |(key, value): (&String, &String)| v1::Label { key: key.clone(), value: Some(value.clone()) };
    (!pairs.is_empty()).then(|| v1::Labels { labels: pairs.iter().map(label).collect() })
}

/// cpus, mem, disk, gpus and ports; what is zero is left out, as there are no resources of nothing.
fn resources(app: &App, ports: &[AssignedPort<'_>]) -> Vec<v1::Resource> {
    let role = app.role.as_deref().unwrap_or(DEFAULT_ROLE);
    let empty = |name: &str, kind: value::Type| v1::Resource {
        name: name.to_owned(),
        r#type: kind.into(),
        allocation_info: Some(v1::resource::AllocationInfo { role: Some(role.to_owned()) }),
        ..Default::default()
    };
    let asked = app.resources;
    let scalars =
        [("cpus", asked.cpus), ("mem", asked.mem), ("disk", asked.disk), ("gpus", asked.gpus.into())]
            .into_iter()
            .filter(|(_, amount)| *amount > 0.0)
            .map(|(name, amount)| v1::Resource {
                scalar: Some(value::Scalar { value: amount }),
                ..empty(name, value::Type::Scalar)
            });
    let ranges = host_ranges(ports);
    let ports = (!ranges.is_empty()).then(|| v1::Resource {
        ranges: Some(value::Ranges { range: ranges }),
        ..empty("ports", value::Type::Ranges)
    });
    scalars.chain(ports).collect()
}

/// The host ports of a task as ranges.
fn host_ranges(ports: &[AssignedPort<'_>]) -> Vec<value::Range> {
    let numbers: BTreeSet<u64> = ports.iter().filter_map(|port| port.host).map(u64::from).collect();
    let mut ranges: Vec<value::Range> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end + 1 == number => last.end = number,
            _ => ranges.push(value::Range { begin: number, end: number }),
        }
    }
    ranges
}

fn command(app: &App, env: BTreeMap<String, String>) -> v1::CommandInfo {
    let variables = env
        .into_iter()
        .map(|(name, value)| v1::environment::Variable { name, value: Some(value), ..Default::default() })
        .collect();
    let (shell, value, arguments) = match &app.command {
        Command::Shell(line) => (true, Some(line.clone()), Vec::new()),
        // With an image they are for its entrypoint; without, the first is the program and their own first, too.
        Command::Arguments(arguments) => {
            let program = arguments.first().filter(|_| app.container.docker().is_none());
            (false, program.cloned(), arguments.clone())
        }
        Command::ImageDefault => (false, None, Vec::new()),
    };
    v1::CommandInfo {
        uris: app.fetch.iter().map(uri).collect(),
        environment: Some(v1::Environment { variables }),
        shell: Some(shell),
        value,
        arguments,
        user: app.user.clone(),
    }
}

fn uri(fetch: &Fetch) -> v1::command_info::Uri {
    v1::command_info::Uri {
        value: fetch.uri.clone(),
        executable: Some(fetch.executable),
        extract: Some(fetch.extract),
        cache: Some(fetch.cache),
        output_file: fetch.destination.clone(),
    }
}

fn kill_policy(grace: Duration) -> v1::KillPolicy {
    // At most 2^31 seconds were accepted, which fit.
    let nanoseconds = i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX);
    v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds }) }
}

fn limits(app: &App) -> BTreeMap<String, value::Scalar> {
    [("cpus", app.limits.cpus), ("mem", app.limits.mem)]
        .into_iter()
        .filter_map(|(name, limit)| {
            let value = match limit? {
                Limit::Unlimited => f64::INFINITY,
                Limit::At(value) => value,
            };
            Some((name.to_owned(), value::Scalar { value }))
        })
        .collect()
}
