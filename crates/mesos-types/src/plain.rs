//! A whole task without an image: a process of the machine, as `--containerizers=mesos` runs it.
//!
//! The rules are those of stock's command executor and of the isolators that it has on a host without images
//! (`src/slave/containerizer/mesos/launch.cpp`, `isolators/{filesystem/posix,volume/sandbox_path,posix/rlimits}.cpp`).
//! What needs a file system or a namespace of the container's own has no effect, and says so, or is refused where the
//! task would not find its data. Executors without an image are read as a task that is synthesised from their
//! ExecutorInfo.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use mesos_proto::v1;

use crate::check::{Arguments, CheckSpec, HealthCheckSpec};
use crate::command::{self, EnvVar};
use crate::common::{self, Common};
use crate::fields::{FieldError, Notice, Notices, Reading, Strictness};
use crate::ids::TaskId;
use crate::linux::{self, LinuxSpec, Rlimit};
use crate::resources::{TaskLimits, TaskResources};
use crate::uri::UriSpec;
use crate::volume::{self, Access};

/// What such a task can do instead, in the words of most refusals here.
const USE_AN_IMAGE: &str = "set container.type to DOCKER and container.docker.image to an image";

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainCommand {
    /// `command.shell`: `/bin/sh -c value`.
    Shell(String),
    /// A program with its arguments, the first of which is its name; at least that. The program is looked for in the
    /// task's `PATH`.
    Program {
        /// The program.
        program: String,
        /// Its arguments, with argument 0.
        arguments: Vec<String>,
    },
}

/// A directory of the sandbox that shows at a second place of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxVolume {
    /// The directory, below the sandbox; a missing one is created.
    pub path: String,
    /// Where it shows, below the sandbox. Its first name is not that of another volume.
    pub container_path: String,
}

/// A task without an image that can be launched: everything in it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainTaskSpec {
    /// The task's id.
    pub task_id: TaskId,
    /// The task's name, for people.
    pub name: String,
    /// The command line.
    pub command: PlainCommand,
    /// The environment that the task gives itself, sorted by name, each name once.
    pub environment: Vec<EnvVar>,
    /// What is fetched into the sandbox before the start, in this order.
    pub uris: Vec<UriSpec>,
    /// The user that the process runs as and that owns the sandbox, if the task names one.
    pub user: Option<String>,
    /// What the task requests. Its persistent volumes show below the sandbox, none in or beside another volume's place.
    pub resources: TaskResources,
    /// What the task may burst to.
    pub limits: TaskLimits,
    /// The resource limits of its processes, each name once.
    pub rlimits: Vec<Rlimit>,
    /// The volumes of its sandbox.
    pub volumes: Vec<SandboxVolume>,
    /// How long the task may take to stop (`kill_policy.grace_period`).
    pub grace: Option<Duration>,
    /// How long the task may run (`max_completion_time`).
    pub max_completion: Option<Duration>,
    /// What makes it unhealthy, and ends it then (`health_check`).
    pub health_check: Option<HealthCheckSpec>,
    /// Whose results are told to the framework (`check`).
    pub check: Option<CheckSpec>,
    /// What is accepted without effect.
    pub notices: Vec<Notice>,
}

/// What a container without an image asks for.
#[derive(Debug, Default)]
struct Contained {
    rlimits: Vec<Rlimit>,
    volumes: Vec<SandboxVolume>,
}

impl PlainTaskSpec {
    /// Reads a TaskInfo of a command task without an image: without a container, or with one of type MESOS.
    ///
    /// # Errors
    ///
    /// The first field that cannot be honoured, with its path and the remedy; with [`Strictness::Strict`] also the first
    /// field that would have no effect.
    pub fn from_task_info(task: &v1::TaskInfo, reading: impl Into<Reading>) -> Result<Self, FieldError> {
        let mut notices = Notices::new(reading.into().strictness);
        let command = common::command_of(task, "a task without an image has one: set command.value")?;
        let mut contained = Contained::default();
        if let Some(container) = &task.container {
            contained = Contained::read(container, &mut notices)?;
        }
        let Common {
            task_id,
            name,
            environment,
            uris,
            user,
            resources,
            limits,
            grace,
            max_completion,
            health_check,
            check,
        } = Common::read(task, command, Arguments::All, &mut notices)?;
        if resources.gpus.is_some() {
            return Err(FieldError::new("resources[gpus]", "GPUs are not given to a task without an image")
                .hint(USE_AN_IMAGE));
        }
        check_places(&resources, &contained.volumes, &mut notices)?;
        Ok(Self {
            task_id,
            name,
            command: PlainCommand::from_proto(command, &mut notices)?,
            environment,
            uris,
            user,
            resources,
            limits,
            rlimits: contained.rlimits,
            volumes: contained.volumes,
            grace,
            max_completion,
            health_check,
            check,
            notices: notices.into_list(),
        })
    }

    /// Reads the TaskInfo of a task that runs already, as [`crate::TaskSpec::of_running_task`].
    ///
    /// # Errors
    ///
    /// The first field, other than of a check, that cannot be honoured.
    pub fn of_running_task(task: &v1::TaskInfo) -> Result<(Self, Vec<Notice>), FieldError> {
        common::of_running_task(task, |task| Self::from_task_info(task, Strictness::Lenient))
    }
}

impl PlainCommand {
    /// Applies the command rules. Unlike with an image, the value of a command without a shell is the program and no
    /// argument, as in stock.
    fn from_proto(command: &v1::CommandInfo, notices: &mut Notices) -> Result<Self, FieldError> {
        if command.shell.unwrap_or(true) {
            let Some(value) = command.value.as_deref() else {
                return Err(
                    FieldError::new("command.value", "Shell command is not specified").hint("set the value")
                );
            };
            if !command.arguments.is_empty() {
                notices.note("command.arguments", "a shell command takes no arguments")?;
            }
            return Ok(Self::Shell(command::no_nul("command.value", value)?));
        }
        let Some(program) = command.value.as_deref().filter(|program| !program.is_empty()) else {
            return Err(FieldError::new("command.value", "Executable path is not specified").hint(
                "name the program; command.arguments has its arguments, the first of which is its name",
            ));
        };
        let program = command::no_nul("command.value", program)?;
        let mut arguments = Vec::with_capacity(command.arguments.len().max(1));
        for (at, argument) in command.arguments.iter().enumerate() {
            arguments.push(command::no_nul(&format!("command.arguments[{at}]"), argument)?);
        }
        if arguments.is_empty() {
            arguments.push(program.clone());
        }
        Ok(Self::Program { program, arguments })
    }
}

impl Contained {
    fn read(container: &v1::ContainerInfo, notices: &mut Notices) -> Result<Self, FieldError> {
        if v1::container_info::Type::try_from(container.r#type) != Ok(v1::container_info::Type::Mesos) {
            return Err(FieldError::new(
                "container.type",
                "a container of type DOCKER needs the containerizer docker",
            )
            .hint("add docker to --containerizers, or remove the container"));
        }
        if container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()) {
            return Err(FieldError::new(
                "container.mesos.image",
                "images of containers of type MESOS are not supported here yet",
            )
            .hint(USE_AN_IMAGE));
        }
        if container.docker.is_some() {
            notices.note("container.docker", "the container is of type MESOS")?;
        }
        if container.hostname.is_some() {
            notices.note("container.hostname", "a task without an image has the host's name")?;
        }
        if container.tty_info.is_some() {
            notices.note("container.tty_info", "a task without an image has no terminal")?;
        }
        check_networks(&container.network_infos, notices)?;
        if let Some(info) = &container.linux_info {
            check_linux(info, notices)?;
        }
        Ok(Self {
            rlimits: container.rlimit_info.as_ref().map(linux::rlimits).transpose()?.unwrap_or_default(),
            volumes: sandbox_volumes(&container.volumes, notices)?,
        })
    }
}

/// A task without an image is on the host's network; one that names another would not be reached.
fn check_networks(infos: &[v1::NetworkInfo], notices: &mut Notices) -> Result<(), FieldError> {
    for (at, info) in infos.iter().enumerate() {
        let field = format!("container.network_infos[{at}]");
        if let Some(name) = &info.name {
            return Err(FieldError::new(
                format!("{field}.name"),
                format!("a task without an image is on the host's network and cannot join {name:?}"),
            )
            .hint("remove the name, or use an image: container.type DOCKER joins networks of the engine"));
        }
        let is_asked = !info.ip_addresses.is_empty()
            || !info.groups.is_empty()
            || !info.port_mappings.is_empty()
            || info.labels.as_ref().is_some_and(|labels| !labels.labels.is_empty());
        if is_asked {
            notices.note(field, "a task without an image is on the host's network")?;
        }
    }
    Ok(())
}

/// Notes what of `linux_info` a process of the host does not get.
fn check_linux(info: &v1::LinuxInfo, notices: &mut Notices) -> Result<(), FieldError> {
    use v1::linux_info::IpcMode;

    // What is contradictory is refused as it is with an image.
    let read = LinuxSpec::from_proto(info, false, &mut Notices::new(Strictness::Lenient))?;
    let of = |field: &str| format!("container.linux_info.{field}");
    if read.capabilities.is_some() {
        let field = match (&info.effective_capabilities, &info.bounding_capabilities) {
            (Some(_), _) => "effective_capabilities",
            (None, Some(_)) => "bounding_capabilities",
            (None, None) => "capability_info",
        };
        notices.note(of(field), "a task without an image has the capabilities of its user")?;
    }
    if info.share_pid_namespace == Some(false) {
        notices.note(of("share_pid_namespace"), "a task without an image sees the host's processes")?;
    }
    if info.ipc_mode() == IpcMode::Private {
        notices.note(of("ipc_mode"), "a task without an image has the host's shared memory")?;
    }
    if info.shm_size.is_some() {
        notices.note(of("shm_size"), "a task without an image has the host's shared memory")?;
    }
    if info.seccomp.as_ref().is_some_and(|seccomp| seccomp.profile_name.is_some()) {
        notices.note(of("seccomp.profile_name"), "a task without an image has no seccomp filter")?;
    }
    if info.share_cgroups.is_some() {
        notices.note(of("share_cgroups"), "a task has control groups of its own")?;
    }
    Ok(())
}

/// Reads the volumes of a container without a file system of its own: parts of its sandbox.
fn sandbox_volumes(list: &[v1::Volume], notices: &mut Notices) -> Result<Vec<SandboxVolume>, FieldError> {
    use v1::volume::source::{Type, sandbox_path};

    let mut volumes = Vec::with_capacity(list.len());
    for (at, volume) in list.iter().enumerate() {
        let field = format!("container.volumes[{at}]");
        let refused = |field: String, what: &str| {
            let why = format!("{what} needs a file system of the container's own");
            Err(FieldError::new(field, why).hint(USE_AN_IMAGE))
        };
        let access = volume::access(&format!("{field}.mode"), volume.mode)?;
        if volume.host_path.is_some() {
            return refused(format!("{field}.host_path"), "a host_path");
        }
        if volume.image.is_some() {
            return refused(format!("{field}.image"), "a volume with an image");
        }
        let Some(source) = &volume.source else {
            return Err(FieldError::new(field, "Host path or volume source is required"));
        };
        let given = match (source.r#type(), &source.sandbox_path) {
            (Type::SandboxPath, Some(given)) => given,
            (Type::SandboxPath, None) => {
                let field = format!("{field}.source.sandbox_path");
                return Err(FieldError::new(field, "the source that type names is missing"));
            }
            (other, _) => {
                return refused(format!("{field}.source.type"), &format!("a {}", other.as_str_name()));
            }
        };
        if given.r#type() != sandbox_path::Type::Self_ {
            let field = format!("{field}.source.sandbox_path.type");
            return Err(FieldError::new(field, "a task has no parent container").hint("use type SELF"));
        }
        let path_field = format!("{field}.source.sandbox_path.path");
        let path = volume::below(&path_field, volume::path(&path_field, &given.path)?)?;
        let container_path = place(&format!("{field}.container_path"), &volume.container_path)?;
        if access == Access::ReadOnly {
            notices.note(format!("{field}.mode"), "a part of the task's own sandbox can be written to")?;
        }
        let path = cleaned(&path);
        if path != container_path {
            volumes.push(SandboxVolume { path, container_path });
        }
    }
    Ok(volumes)
}

/// Checks the places of all volumes: below the sandbox, and each by itself. A persistent volume that could not be there
/// is refused, where stock goes on without its data.
fn check_places(
    resources: &TaskResources,
    volumes: &[SandboxVolume],
    notices: &mut Notices,
) -> Result<(), FieldError> {
    let mut places: Vec<String> = Vec::new();
    for volume in &resources.volumes {
        let field = format!("resources[disk:{}].disk.volume", volume.volume.id());
        places.push(place(&format!("{field}.container_path"), &volume.container_path)?);
        if volume.access == Access::ReadOnly {
            notices.note(format!("{field}.mode"), "a task without an image can write to its volumes")?;
        }
    }
    places.extend(volumes.iter().map(|volume| volume.container_path.clone()));
    for (at, one) in places.iter().enumerate() {
        for other in &places[at + 1..] {
            if Path::new(one).starts_with(other) || Path::new(other).starts_with(one) {
                return Err(FieldError::new(
                    "container.volumes",
                    format!("two volumes would show at {one:?} and {other:?}, one in the other's place"),
                )
                .hint("give each a container_path of its own"));
            }
        }
    }
    Ok(())
}

/// The place of a volume below the sandbox, cleaned.
fn place(field: &str, container_path: &str) -> Result<String, FieldError> {
    let path = volume::path(field, container_path)?;
    let refuse = |why: String| Err(FieldError::new(field, why));
    if path.starts_with('/') {
        return refuse(format!(
            "{path:?} is absolute, and a task without an image has the host's file system"
        ))
        .map_err(|error: FieldError| error.hint("use a path below the sandbox, or an image"));
    }
    if path.split('/').any(|part| part == "..") {
        return refuse(format!("the path {path:?} leaves the sandbox"));
    }
    let cleaned = cleaned(&path);
    if cleaned.is_empty() {
        return refuse(format!("{path:?} is the sandbox itself"));
    }
    Ok(cleaned)
}

/// A path below the sandbox without dots and doubled slashes.
fn cleaned(path: &str) -> String {
    let parts = Path::new(path).components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
