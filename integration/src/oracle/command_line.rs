//! Owns stock's command line for a task: `Docker::RunOptions::create` and `Docker::run` of `src/docker/docker.cpp`, in
//! stock's order. It reads the TaskInfo itself and shares nothing with the crates under test, so that a mistake of
//! theirs is not made twice.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use mesos_proto::v1;
use mesos_proto::v1::container_info::{DockerInfo, docker_info};

const MB: f64 = 1024.0 * 1024.0;

/// What stock's command line takes from elsewhere than the TaskInfo.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The container's name.
    pub name: String,
    /// The sandbox on the host.
    pub sandbox: String,
    /// The sandbox in the container (`--sandbox_directory`).
    pub mapped_directory: String,
    /// `--cgroups_enable_cfs`.
    pub cfs: bool,
    /// The host's memory in bytes.
    pub host_memory: u64,
    /// `--default_container_dns` for BRIDGE: servers, search domains, options.
    pub bridge_dns: Option<[Vec<String>; 3]>,
}

/// Returns `run`, the options, the image and the arguments, as stock passes them to the client after `-H socket`.
///
/// # Errors
///
/// What stock refuses, or what it ignores and no test compares.
pub fn stock(task: &v1::TaskInfo, agent: &Agent) -> Result<Vec<String>> {
    let container = task.container.as_ref().context("No container info found")?;
    let docker = container.docker.as_ref().context("No docker info found in container info")?;
    let command = task.command.as_ref().context("no command")?;
    let mut line = vec!["run".to_owned()];
    if docker.privileged() {
        line.push("--privileged".into());
    }
    resources(&mut line, task, agent);
    for (name, value) in environment(task, command, agent) {
        line.extend(["-e".into(), format!("{name}={value}")]);
    }
    volumes(&mut line, container, docker, agent)?;
    let network = network(container, docker)?;
    line.extend(["--net".into(), network.clone()]);
    dns(&mut line, docker, &network, agent);
    if let Some(hostname) = &container.hostname {
        line.extend(["--hostname".into(), hostname.clone()]);
    }
    for mapping in &docker.port_mappings {
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp").to_lowercase();
        line.extend(["-p".into(), format!("{}:{}/{protocol}", mapping.host_port, mapping.container_port)]);
    }
    let shell = command.shell.unwrap_or(true);
    if shell {
        line.extend(["--entrypoint".into(), "/bin/sh".into()]);
    }
    line.extend(["--name".into(), agent.name.clone()]);
    for parameter in &docker.parameters {
        line.push(format!("--{}={}", parameter.key, parameter.value));
    }
    line.push(docker.image.clone());
    if shell {
        let value = command.value.clone().context("Shell specified but no command value provided")?;
        line.extend(["-c".into(), value]);
    } else {
        line.extend(command.value.clone());
        line.extend(command.arguments.iter().cloned());
    }
    Ok(line)
}

/// Rows 2 to 6 of the command line.
fn resources(line: &mut Vec<String>, task: &v1::TaskInfo, agent: &Agent) {
    let scalar = |name: &str| -> Option<f64> {
        let named = task.resources.iter().filter(|resource| resource.name == name);
        let values: Vec<f64> = named.filter_map(|resource| Some(resource.scalar.as_ref()?.value)).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    };
    let limit = |name: &str| task.limits.get(name).map(|limit| limit.value);
    let (cpus, mem) = (scalar("cpus"), scalar("mem").map(f64::trunc));
    if let Some(cpus) = cpus {
        let shares = (1024.0 * cpus).trunc().max(2.0);
        line.extend(["--cpu-shares".into(), format!("{shares}")]);
    }
    let quota = match limit("cpus") {
        Some(limit) => limit.is_finite().then_some(limit),
        None => cpus.filter(|_| agent.cfs),
    };
    if let Some(cpus) = quota {
        line.extend(["--cpu-quota".into(), format!("{}", (100_000.0 * cpus).trunc().max(1000.0))]);
    }
    let bytes = |megabytes: f64| format!("{}", megabytes.max(32.0) * MB);
    match limit("mem").map(f64::trunc) {
        None => line.extend(mem.into_iter().flat_map(|mem| ["--memory".into(), bytes(mem)])),
        Some(limit) => {
            if let Some(mem) = mem {
                line.extend(["--memory-reservation".into(), bytes(mem)]);
            }
            if limit.is_finite() {
                line.extend(["--memory".into(), bytes(limit)]);
            }
            if let Some(mem) = mem.filter(|mem| *mem < limit) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "whole megabytes"
                )]
                let request = (mem * MB) as u64;
                let adjustment = 1000 - (1000 * request) / agent.host_memory;
                line.extend(["--oom-score-adj".into(), adjustment.to_string()]);
            }
        }
    }
}

/// Row 7; there are no hooks here, so the task's own variables, then Mesos'.
fn environment(task: &v1::TaskInfo, command: &v1::CommandInfo, agent: &Agent) -> BTreeMap<String, String> {
    let given = command.environment.iter().flat_map(|environment| &environment.variables);
    let mut variables: BTreeMap<String, String> =
        given.map(|variable| (variable.name.clone(), variable.value.clone().unwrap_or_default())).collect();
    variables.insert("MESOS_SANDBOX".into(), agent.mapped_directory.clone());
    variables.insert("MESOS_CONTAINER_NAME".into(), agent.name.clone());
    let role = task.resources.first().and_then(|resource| resource.allocation_info.as_ref()?.role.clone());
    if let Some(role) = role {
        variables.insert("MESOS_ALLOCATION_ROLE".into(), role);
    }
    variables
}

/// Rows 8 and 9.
fn volumes(
    line: &mut Vec<String>,
    container: &v1::ContainerInfo,
    docker: &DockerInfo,
    agent: &Agent,
) -> Result<()> {
    let mut driver = docker.volume_driver.clone();
    for volume in &container.volumes {
        let target = if volume.container_path.starts_with('/') {
            volume.container_path.clone()
        } else {
            format!("{}/{}", agent.mapped_directory, volume.container_path)
        };
        let source = match (&volume.host_path, &volume.source) {
            (Some(host), _) if host.starts_with('/') || docker.volume_driver.is_some() => host.clone(),
            (Some(host), _) if volume.container_path.starts_with('/') => {
                format!("{}/{host}", agent.sandbox)
            }
            (Some(_), _) => bail!("Both host_path and container_path of a volume are relative"),
            (None, Some(source)) => {
                let named = source.docker_volume.as_ref().context("a source that stock skips")?;
                driver = named.driver.clone().or(driver);
                named.name.clone()
            }
            (None, None) => bail!("Host path or volume source is required"),
        };
        let mode = match v1::volume::Mode::try_from(volume.mode) {
            Ok(v1::volume::Mode::Ro) => "ro",
            Ok(v1::volume::Mode::Rw) => "rw",
            _ => bail!("Unsupported volume mode"),
        };
        line.extend(["-v".into(), format!("{source}:{target}:{mode}")]);
    }
    line.extend(["-v".into(), format!("{}:{}", agent.sandbox, agent.mapped_directory)]);
    line.extend(driver.map(|driver| format!("--volume-driver={driver}")));
    Ok(())
}

/// Row 10.
fn network(container: &v1::ContainerInfo, docker: &DockerInfo) -> Result<String> {
    Ok(match docker.network() {
        docker_info::Network::Host => "host".into(),
        docker_info::Network::Bridge => "bridge".into(),
        docker_info::Network::None => "none".into(),
        docker_info::Network::User => match container.network_infos.as_slice() {
            [one] => one.name.clone().context("No network name found in network info")?,
            [] => bail!("No network info found in container info"),
            _ => bail!("Only a single network can be defined in Docker run"),
        },
    })
}

/// Row 11.
fn dns(line: &mut Vec<String>, docker: &DockerInfo, network: &str, agent: &Agent) {
    let own = ["dns", "dns-search", "dns-opt", "dns-option"];
    let has_own = docker.parameters.iter().any(|parameter| own.contains(&parameter.key.as_str()));
    let Some(default) = agent.bridge_dns.as_ref().filter(|_| network == "bridge" && !has_own) else { return };
    for (option, values) in ["--dns", "--dns-search", "--dns-opt"].into_iter().zip(default) {
        line.extend(values.iter().flat_map(|value| [option.to_owned(), value.clone()]));
    }
}
