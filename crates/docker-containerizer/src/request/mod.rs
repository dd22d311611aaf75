//! From a task to the Engine's create request: pure, in the order in which stock builds its command line.
//!
//! Source: `Docker::RunOptions::create` and `Docker::run` in `src/docker/docker.cpp`. Each room owns one noun of the
//! request; parameters come last, so that they win over what Mesos set, as later options do on a command line. The
//! finished request is checked by [`policy`], which no alias can bypass.

mod command;
mod dns;
mod environment;
mod logging;
mod network;
mod parameters;
mod policy;
mod resources;
mod volumes;

use std::path::{Path, PathBuf};

use docker_engine::{CreateBody, HostConfig, ImageRef};
use mesos_types::{EnvVar, FieldError, Notice, TaskSpec};

use crate::credentials::ProxyVariables;
use crate::labels::Labels;
use crate::names::container_name;

pub use dns::{DefaultDns, Dns};
pub use logging::EngineLog;
pub use volumes::MountPoint;

pub(crate) use logging::{file_size, output_of};
pub(crate) use resources::update;

/// What the agent's flags say about a request.
#[derive(Debug, Clone)]
pub struct RequestSettings {
    /// Where the sandbox is inside the container (`--sandbox_directory`).
    pub sandbox_directory: String,
    /// Whether a CPU request is also a quota (`--cgroups_enable_cfs`).
    pub cfs: CpuQuota,
    /// DNS for tasks that name none (`--default_container_dns`).
    pub default_dns: DefaultDns,
    /// The log driver that a container gets (`--docker_log_driver`) and its size caps.
    pub engine_log: EngineLog,
    /// Variables of the operator's `proxies` (`--docker_config`).
    pub proxies: ProxyVariables,
}

/// Whether a CPU request limits the CPU time of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuQuota {
    /// Only a limit does.
    FromLimit,
    /// The request does where no limit is set (`--cgroups_enable_cfs`).
    FromRequest,
}

/// What a request must know of the engine.
#[derive(Debug, Clone)]
pub struct EngineFacts {
    /// The host's memory in bytes.
    pub memory: u64,
    /// The driver that a container gets when none is named.
    pub default_log_driver: String,
}

/// All that a request is made of.
#[derive(Debug, Clone, Copy)]
pub struct RequestInput<'a> {
    /// The task.
    pub task: &'a TaskSpec,
    /// Its labels.
    pub labels: &'a Labels,
    /// The sandbox's path on the host.
    pub sandbox: &'a Path,
    /// Variables that win over the task's own (hooks).
    pub overlay: &'a [EnvVar],
    /// The flags.
    pub settings: &'a RequestSettings,
    /// The engine.
    pub engine: &'a EngineFacts,
}

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The container's name.
    pub name: String,
    /// The image to have before it is sent.
    pub image: ImageRef,
    /// The body.
    pub body: CreateBody,
    /// The places on the host that must exist before it is sent.
    pub mount_points: Vec<MountPoint>,
    /// How the container's output is read.
    pub output: Output,
    /// What is accepted without effect.
    pub notices: Vec<Notice>,
}

/// How a container's output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// From the engine's log: resumable and exact.
    Log,
    /// From an attached stream, for a terminal or a driver that cannot be read: not resumable.
    Attach,
}

/// Builds the create request of a task.
///
/// # Errors
///
/// The field that cannot be translated, with the reason.
pub fn build(input: &RequestInput<'_>) -> Result<Request, FieldError> {
    let container = &input.task.container;
    let image = ImageRef::parse(&container.image).map_err(|error| {
        FieldError::new("container.docker.image", crate::chain(&error))
            .hint("write it as host:port/path:tag, in lower case")
    })?;
    let name = container_name(&input.labels.identity.agent_id, input.labels.identity.container_id);
    let labels = input.labels.to_map().map_err(|error| FieldError::new("work_dir", error.to_string()))?;
    let mut body = CreateBody {
        image: container.image.clone(),
        labels,
        attach_stdout: true,
        attach_stderr: true,
        tty: container.terminal,
        hostname: container.hostname.clone().unwrap_or_default(),
        env: environment::environment(input, &name)?.into(),
        host_config: HostConfig { privileged: container.privileged, ..HostConfig::default() },
        ..CreateBody::default()
    };
    resources::apply(&mut body.host_config, input);
    let mount_points = volumes::apply(&mut body.host_config, input)?;
    network::apply(&mut body, container);
    dns::apply(&mut body.host_config, input);
    logging::apply(&mut body.host_config, input);
    command::apply(&mut body, &input.task.command);
    for (at, parameter) in container.parameters.iter().enumerate() {
        parameters::apply(&mut body, parameter).map_err(|error| {
            error.into_field(&format!("container.docker.parameters[{at}]"), &parameter.key)
        })?;
    }
    policy::check(&body, input.labels)?;
    let output = logging::output(&body, input.engine);
    Ok(Request { name, image, body, mount_points, output, notices: input.task.notices.clone() })
}

/// The path of `relative` inside the container when it is not absolute: below the mapped sandbox.
fn inside(sandbox_directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", sandbox_directory.trim_end_matches('/'))
    }
}

/// A path as text, which is the only form the engine takes.
fn text(field: &str, path: &Path) -> Result<String, FieldError> {
    path.to_str().map(Into::into).ok_or_else(|| {
        FieldError::new(
            field,
            format!("the path {} is not UTF-8, and the engine takes no other", path.display()),
        )
    })
}

/// A path joined by text, so that a relative part stays as it was written.
fn join(base: &Path, relative: &str) -> PathBuf {
    base.join(relative)
}

#[cfg(test)]
mod tests;
