//! From a task to the Engine's create request, in the order in which stock builds its command line.
//!
//! Source: `Docker::RunOptions::create` and `Docker::run` in `src/docker/docker.cpp`. Each room owns one noun of the
//! request; parameters come last, so that they win over what Mesos set, as later options do on a command line. The
//! finished request is judged by [`crate::policy`], which no alias can bypass.

mod command;
mod dns;
mod environment;
mod isolation;
mod logging;
mod network;
mod parameters;
mod persistent;
mod resources;
mod volumes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use docker_engine::{ApiVersion, CreateBody, EngineInfo, HostConfig, ImageRef};
use mesos_types::{EnvVar, FieldError, Notice, TaskSpec};
use sandbox::Sandbox;

use crate::credentials::ProxyVariables;
use crate::labels::Labels;
use crate::names::container_name;
use crate::policy::{Booked, Policy, Situation, Verdict, check_always};

pub use dns::{DefaultDns, Dns};
pub use logging::EngineLog;
pub use network::Connection;
pub use parameters::options_page;
pub use persistent::VolumePlace;
pub use volumes::MountPoint;

use parameters::FileParameter;

pub use containerizer::cgroups::CpuQuota;
pub(crate) use logging::{file_size, log_size, output_of};
pub(crate) use resources::{amounts, update};

/// The first version in which a container's terminal has the size that its create says.
const CONSOLE_SIZE: ApiVersion = ApiVersion::new(1, 42);

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
    /// What a task may ask of its host (`--docker_policy`).
    pub policy: Arc<Policy>,
}

/// What a request must know of the engine.
#[derive(Debug, Clone)]
pub struct EngineFacts {
    /// The host's memory in bytes.
    pub memory: u64,
    /// The driver that a container gets when none is named.
    pub default_log_driver: String,
    /// The API version that is spoken with it: which options it has.
    pub api_version: ApiVersion,
    /// Its data directory.
    pub data_root: PathBuf,
}

impl From<&EngineInfo> for EngineFacts {
    fn from(info: &EngineInfo) -> Self {
        Self {
            memory: info.mem_total,
            default_log_driver: info.default_log_driver.clone(),
            api_version: info.api_version,
            data_root: PathBuf::from(&info.root_dir),
        }
    }
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
    /// The container's name, where it is not of our own form: an agent that is not ours promised it.
    pub name: Option<&'a str>,
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
    /// The networks that it is connected to after the create and before the start.
    pub connections: Vec<Connection>,
    /// The places on the host that must exist before it is sent.
    pub mount_points: Vec<MountPoint>,
    /// How the container's output is read.
    pub output: Output,
    /// What is accepted without effect.
    pub notices: Vec<Notice>,
    /// The files to be read into it when the sandbox is ready.
    files: Vec<FileParameter>,
    /// What it was judged with.
    situation: Situation,
}

/// How a container's output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// From the engine's log: resumable and exact.
    Log,
    /// From an attached stream, for a terminal or a driver that cannot be read: not resumable.
    Attach,
}

/// Builds the create request of a task, for an engine that is to get it.
///
/// Pure, but for host paths and devices that the policy constrains: those are looked at.
///
/// # Errors
///
/// The field that cannot be translated, or that the policy does not allow, with the reason.
pub fn build(input: &RequestInput<'_>) -> Result<Request, FieldError> {
    let (request, verdict) = draft(input)?;
    verdict.into_result()?;
    Ok(request)
}

/// Builds the create request of a task, and what the policy says of it, for a person. Not to be sent before the
/// verdict was asked.
///
/// # Errors
///
/// The field that cannot be translated, with the reason.
pub fn draft(input: &RequestInput<'_>) -> Result<(Request, Verdict), FieldError> {
    let container = &input.task.container;
    let image = ImageRef::parse(&container.image).map_err(|error| {
        FieldError::new("container.docker.image", crate::chain(&error))
            .hint("write it as host:port/path:tag, in lower case")
    })?;
    let own_name = || container_name(&input.labels.identity.agent_id, input.labels.identity.container_id);
    let name = input.name.map_or_else(own_name, str::to_owned);
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
    let mut mount_points = volumes::apply(&mut body.host_config, input)?;
    isolation::apply(&mut body, input.task);
    network::apply(&mut body, container);
    dns::apply(&mut body.host_config, input);
    logging::apply(&mut body.host_config, input);
    command::apply(&mut body, &input.task.command);
    let booked = Booked::of(&body.host_config);
    let context = parameters::Context { api: input.engine.api_version, sandbox: input.sandbox };
    let outcome = parameters::apply(&mut body, &container.parameters, context)?;
    parameters::switch_off_healthcheck(&mut body);
    mount_points.extend(outcome.mount_points);
    persistent::apply(&mut body.host_config, &mut mount_points, input)?;
    let connections = network::split(&mut body, input.engine.api_version);
    check_always(&body, input.labels)?;
    let sources: Vec<_> = body.host_config.mounts.iter().map(|mount| mount.source.clone()).collect();
    let own_places = mount_points.iter().filter_map(|point| match point {
        MountPoint::Sandbox(below) => Some(input.sandbox.join(below.to_string())),
        MountPoint::Volume(place) => Some(place.path()),
        MountPoint::Host(_) => None,
    });
    let situation = Situation {
        resources: input.task.resources.clone(),
        booked,
        work_dir: input.labels.work_dir.clone(),
        own_places: [input.sandbox.to_path_buf()].into_iter().chain(own_places).collect(),
        data_root: input.engine.data_root.clone(),
        log: input.settings.engine_log.clone(),
        default_log_driver: input.engine.default_log_driver.clone(),
    };
    let verdict = input.settings.policy.judge(&mut body, &connections, &situation);
    // What is made for a mount is what will be mounted.
    let resolved: BTreeMap<_, _> =
        sources.into_iter().zip(body.host_config.mounts.iter().map(|mount| &mount.source)).collect();
    for point in &mut mount_points {
        if let MountPoint::Host(path) = point
            && let Some(&real) = resolved.get(path)
        {
            path.clone_from(real);
        }
    }
    let output = logging::output(&body, input.engine);
    let mut notices = input.task.notices.clone();
    notices.extend(outcome.notices);
    if body.host_config.console_size.is_some() && input.engine.api_version < CONSOLE_SIZE {
        let what = format!("the engine takes it from API {CONSOLE_SIZE} on");
        notices.push(Notice::new("container.tty_info.window_size", what));
    }
    let files = outcome.files;
    Ok((Request { name, image, body, connections, mount_points, output, notices, files, situation }, verdict))
}

impl Request {
    /// Judges the request once more, as it is about to be sent: since it was planned an image may have been pulled for an
    /// hour, and its host paths may lead elsewhere now. To be asked of the request as it was planned, before
    /// [`Request::with_files`]. Blocks on the file system, where host paths or devices are constrained.
    ///
    /// # Errors
    ///
    /// What the policy does not allow any more, or that a path leads elsewhere than it did.
    pub fn judge_again(&self, policy: &Policy) -> Result<(), FieldError> {
        let mut body = self.body.clone();
        policy.judge(&mut body, &self.connections, &self.situation).into_result()?;
        if body == self.body {
            return Ok(());
        }
        Err(FieldError::new("HostConfig", "a host path leads elsewhere than when the host policy allowed it")
            .hint("something changed it since the task came; launch the task again if that was meant"))
    }

    /// The request with the files that parameters name read into it; `None` if they name none. Blocks on the file
    /// system.
    ///
    /// # Errors
    ///
    /// The parameter whose file cannot be read or used; quotes nothing of its content.
    pub fn with_files(&self, sandbox: &Sandbox) -> Result<Option<Self>, FieldError> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let mut request = self.clone();
        parameters::read_files(&mut request.body, &self.files, sandbox)?;
        Ok(Some(request))
    }
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
