//! What the agent's container lacks, from what is known of it. Pure.

use std::fmt;
use std::path::{Path, PathBuf};

use containerizer::cgroups::{Membership, Mounts, UNIFIED};

/// The controllers that usage is read from, where each has a hierarchy of its own.
const CONTROLLERS: [&str; 3] = ["cpu", "cpuacct", "memory"];

/// Entering a container's network for its health checks needs this capability ...
const SYS_ADMIN: u32 = 21;
/// ... and this one, to look at the process of another user.
const SYS_PTRACE: u32 = 19;

/// Whether the host's processes must be visible (`--docker_no_host_pid`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPids {
    /// They must.
    Needed,
    /// The agent goes without.
    NotNeeded,
}

/// A mount of our container, as the engine tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnMount {
    /// What is mounted, as the host names it.
    pub(super) source: PathBuf,
    /// Where, links resolved as seen from here.
    pub(super) at: PathBuf,
    pub(super) is_bind: bool,
    pub(super) is_writable: bool,
}

/// What is known of our container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The engine's id.
    pub(super) id: String,
    /// `host`, or something else.
    pub(super) pid_mode: String,
    /// As `pid_mode`.
    pub(super) network_mode: String,
    pub(super) mounts: Vec<OwnMount>,
    /// Links resolved, as it is told to the engine.
    pub(super) work_dir: PathBuf,
    /// The engine's socket, links of its directory resolved.
    pub(super) socket: PathBuf,
    /// The text of `/proc/self/cgroup`.
    pub(super) membership: String,
    /// The text of `/proc/self/mountinfo`.
    pub(super) mountinfo: String,
    /// The effective capabilities, as bits.
    pub(super) capabilities: u64,
}

/// What a container lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// The host's network.
    HostNetwork,
    /// The host's process numbers.
    HostPids,
    /// The work directory, at the host's path; holds what is there instead.
    WorkDir(PathBuf, Instead),
    /// The directory of the engine's socket, as the host names it.
    SocketDirectory(PathBuf, PathBuf),
    /// The host's control groups.
    Cgroups,
    /// The host's names of control groups.
    CgroupNamespace,
    /// A capability, without which health checks cannot enter the network of a task.
    Capability(&'static str),
}

/// What is at the place of the work directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instead {
    /// The container's own file system.
    Nothing,
    /// Another directory of the host.
    Another(PathBuf),
    /// A volume of the engine.
    Volume,
    /// It cannot be written.
    ReadOnly,
}

impl Missing {
    /// The options of `docker run` that mend it.
    pub fn option(&self) -> String {
        match self {
            Self::HostNetwork => "--network=host".into(),
            Self::HostPids => "--pid=host".into(),
            Self::WorkDir(work_dir, _) => format!("-v {0}:{0}", work_dir.display()),
            Self::SocketDirectory(on_host, here) => format!("-v {}:{}", on_host.display(), here.display()),
            Self::Cgroups => "-v /sys/fs/cgroup:/sys/fs/cgroup:ro".into(),
            Self::CgroupNamespace => "--cgroupns=host".into(),
            Self::Capability(name) => format!("--cap-add={name}"),
        }
    }

    /// Whether the start is refused although `--docker_mesos_image` isn't given.
    pub(super) fn is_always_fatal(&self) -> bool {
        matches!(self, Self::WorkDir(..))
    }

    /// Whether it never refuses the start: most tasks run without.
    pub(super) fn is_minor(&self) -> bool {
        matches!(self, Self::Capability(_))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::HostNetwork => "masters and frameworks reach the agent, and HTTP and TCP checks their tasks, by the host's network".into(),
            Self::HostPids => "exits, checks and usage of tasks are seen by the host's process numbers; --docker_no_host_pid goes without".into(),
            Self::WorkDir(_, instead) => {
                let instead = match instead {
                    Instead::Nothing => "it is in the agent's container alone".to_owned(),
                    Instead::Another(source) => format!("it is the host's {}", source.display()),
                    Instead::Volume => "it is a volume of the engine, at another path of the host".to_owned(),
                    Instead::ReadOnly => "it cannot be written".to_owned(),
                };
                format!("the engine mounts sandboxes by the host's paths, and of the work directory {instead}")
            }
            Self::SocketDirectory(..) => {
                "the directory of the engine's socket: a mounted socket is dead once the engine has restarted".into()
            }
            Self::Cgroups => "the usage of tasks is read from the host's control groups; --docker_no_host_pid goes without".into(),
            Self::CgroupNamespace => "the control groups of tasks must have the host's names; --docker_no_host_pid goes without".into(),
            Self::Capability(_) => "HTTP and TCP checks enter the networks of tasks with it; they go to the tasks' addresses without".into(),
        };
        write!(f, "{} ({why})", self.option())
    }
}

/// What is missing, in the order of the options of an example.
pub(super) fn missing(facts: &Facts, host_pids: HostPids) -> Vec<Missing> {
    let mut missing = Vec::new();
    if facts.network_mode != "host" {
        missing.push(Missing::HostNetwork);
    }
    if host_pids == HostPids::Needed && facts.pid_mode != "host" {
        missing.push(Missing::HostPids);
    }
    if let Some(instead) = work_dir(facts) {
        missing.push(Missing::WorkDir(facts.work_dir.clone(), instead));
    }
    missing.extend(socket(facts));
    if host_pids == HostPids::Needed {
        missing.extend(cgroups(facts));
        for (bit, name) in [(SYS_ADMIN, "SYS_ADMIN"), (SYS_PTRACE, "SYS_PTRACE")] {
            if facts.capabilities & (1 << bit) == 0 {
                missing.push(Missing::Capability(name));
            }
        }
    }
    missing
}

/// Where the host has the engine's socket, as far as the mounts tell.
pub(super) fn socket_on_host(facts: &Facts) -> Option<PathBuf> {
    on_host(&facts.mounts, &facts.socket)
}

fn work_dir(facts: &Facts) -> Option<Instead> {
    let Some(mount) = covering(&facts.mounts, &facts.work_dir) else { return Some(Instead::Nothing) };
    let source = on_host(&facts.mounts, &facts.work_dir).unwrap_or_default();
    match mount {
        mount if !mount.is_bind => Some(Instead::Volume),
        _ if source != facts.work_dir => Some(Instead::Another(source)),
        mount if !mount.is_writable => Some(Instead::ReadOnly),
        _ => None,
    }
}

fn socket(facts: &Facts) -> Option<Missing> {
    let here = facts.socket.parent().unwrap_or(Path::new("/"));
    let lacking = |on_host: &Path| Some(Missing::SocketDirectory(on_host.to_owned(), here.to_owned()));
    match covering(&facts.mounts, &facts.socket) {
        None => lacking(here),
        Some(mount) if mount.at == facts.socket => lacking(mount.source.parent().unwrap_or(Path::new("/"))),
        Some(_) => None,
    }
}

fn cgroups(facts: &Facts) -> Option<Missing> {
    let (groups, mounts) = (Membership::parse(&facts.membership), Mounts::parse(&facts.mountinfo));
    let is_v1 = groups.get("memory").is_some() && groups.get("cpuacct").is_some();
    let controllers: &[&str] = if is_v1 { &CONTROLLERS } else { &[UNIFIED] };
    // In a namespace of its own a process does not see its own name.
    let is_named =
        controllers.iter().all(|name| groups.get(name).is_some_and(|group| group.contains(&facts.id)));
    if !is_named {
        return Some(Missing::CgroupNamespace);
    }
    // The engine's own mount shows the container's group alone.
    let shows_all = |name: &&str| mounts.get(name).is_some_and(|mount| !mount.root.contains(&facts.id));
    if controllers.iter().all(shows_all) { None } else { Some(Missing::Cgroups) }
}

/// The mount that a path lies on.
fn covering<'a>(mounts: &'a [OwnMount], path: &Path) -> Option<&'a OwnMount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.at))
        .max_by_key(|mount| mount.at.components().count())
}

/// A path of ours as the host names it.
fn on_host(mounts: &[OwnMount], path: &Path) -> Option<PathBuf> {
    let mount = covering(mounts, path)?;
    let below = path.strip_prefix(&mount.at).ok()?;
    // Joining nothing would put a slash behind it.
    Some(if below.as_os_str().is_empty() { mount.source.clone() } else { mount.source.join(below) })
}

#[cfg(test)]
mod tests;
