//! Looking at our surroundings: the kernel's texts about this process, and what the engine says of our container.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use docker_engine::{Engine, EngineError, Inspection};
use serde_json::Value;

use super::identity::{candidates, has_our_root};
use super::judge::{Facts, HostPids, Missing, OwnMount, missing, socket_on_host};
use super::mounts;

/// What the start asks about.
#[derive(Debug, Clone)]
pub struct Lookout {
    /// The work directory, links resolved.
    pub work_dir: PathBuf,
    /// `--docker_socket`.
    pub socket: PathBuf,
    /// `--docker_no_host_pid`.
    pub host_pids: HostPids,
    /// `--docker_mesos_image`.
    pub image: Option<String>,
}

/// The container of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Its name.
    pub name: String,
    /// The image that it runs.
    pub image: String,
    /// Where the host has the engine's socket.
    pub socket_on_host: Option<PathBuf>,
    /// What it lacks that does not refuse the start.
    pub lacking: Vec<Missing>,
}

/// Why the agent is not to start where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The container lacks something.
    #[error(
        "the agent's container{} cannot run it: start it with these options of docker run as well: {}",
        spaced(name),
        list(missing)
    )]
    Lacking {
        /// The container; none where no engine was asked.
        name: Option<String>,
        /// What it lacks.
        missing: Vec<Missing>,
    },
    /// Another engine runs the container.
    #[error(
        "--docker_mesos_image is given, and the Docker Engine at {} does not run the agent's container: mount the \
         directory of the socket of the engine that does, or leave the flag out",
        socket.display()
    )]
    AnotherEngine {
        /// The socket.
        socket: PathBuf,
    },
    /// The engine knows containers that it may be, and it is in the file system of none of them.
    #[error(
        "--docker_mesos_image is given, and it cannot be told which container of the Docker Engine at {} the agent runs \
         in: start it with --cgroupns=host and in the container's own file system (without chroot or nsenter), or leave \
         the flag out",
        socket.display()
    )]
    AnotherRoot {
        /// The socket.
        socket: PathBuf,
    },
}

/// The kernel's texts about this process.
struct Texts {
    cgroup: String,
    mountinfo: String,
    status: String,
}

impl Lookout {
    /// Whether the flag is given and this process may be in a container. Blocks on `/proc`.
    pub fn is_in_container(&self) -> bool {
        let texts = Texts::read();
        self.image.is_some() && !candidates(&texts.cgroup, &mounts::parse(&texts.mountinfo)).is_empty()
    }

    /// Tells what can be told before an engine answers: with `--docker_mesos_image`, a socket that is not there or is
    /// mounted by itself, as then it may be that no engine ever answers. Blocks on `/proc`.
    ///
    /// # Errors
    ///
    /// The set-up is to be mended.
    pub fn before_the_engine(&self) -> Result<(), SetupError> {
        let texts = Texts::read();
        self.judge_socket(&texts.cgroup, &texts.mountinfo)
    }

    fn judge_socket(&self, cgroup: &str, mountinfo: &str) -> Result<(), SetupError> {
        let mounts = mounts::parse(mountinfo);
        if self.image.is_none() || candidates(cgroup, &mounts).is_empty() {
            return Ok(());
        }
        let socket = resolved(&self.socket);
        let here = self.socket.parent().unwrap_or(Path::new("/"));
        let is_there = match mounts::of_path(&mounts, &socket) {
            Some(mount) => mount.at != Path::new("/") && mount.at != socket,
            None => false,
        };
        if is_there {
            return Ok(());
        }
        // Only the engine knows the host's path.
        let missing = vec![Missing::SocketDirectory(here.to_owned(), here.to_owned())];
        Err(SetupError::Lacking { name: None, missing })
    }

    /// What a container lacks is told, or refuses the start.
    fn judge(&self, name: &str, missing: Vec<Missing>) -> Result<Vec<Missing>, SetupError> {
        let is_asked = self.image.is_some();
        let is_fatal = |one: &Missing| one.is_always_fatal() || (is_asked && !one.is_minor());
        if missing.iter().any(is_fatal) {
            let missing = missing.into_iter().filter(is_fatal).collect();
            return Err(SetupError::Lacking { name: Some(name.to_owned()), missing });
        }
        Ok(missing)
    }
}

/// Finds the container that this process runs in; `None` on a machine, or in a container of something else.
///
/// # Errors
///
/// The outer one is the engine's, which may be asked again. The inner one refuses the set-up.
///
/// # Cancel safety
///
/// May be dropped.
pub async fn surroundings(
    engine: &Engine,
    lookout: &Lookout,
) -> Result<Result<Option<Found>, SetupError>, EngineError> {
    let texts = tokio::task::block_in_place(Texts::read);
    let mounts = mounts::parse(&texts.mountinfo);
    let ids = candidates(&texts.cgroup, &mounts);
    let mut is_known = false;
    for id in &ids {
        if let Some(inspection) = engine.inspect(id, engine.deadlines().inspect).await?
            && inspection.id == *id
            && inspection.state.running
        {
            is_known = true;
            // The engine has sent it as JSON once already.
            let raw: Value = serde_json::from_slice(&inspection.raw).unwrap_or_default();
            if !has_our_root(&raw, &mounts) {
                continue;
            }
            let modes = Modes::of(engine, &raw).await?;
            let facts = facts(&inspection, modes, texts, lookout);
            let lacking = match lookout.judge(&inspection.name, missing(&facts, lookout.host_pids)) {
                Ok(lacking) => lacking,
                Err(error) => return Ok(Err(error)),
            };
            return Ok(Ok(Some(Found {
                name: inspection.name,
                image: inspection.image,
                socket_on_host: socket_on_host(&facts),
                lacking,
            })));
        }
    }
    if ids.is_empty() || lookout.image.is_none() {
        return Ok(Ok(None));
    }
    let socket = lookout.socket.clone();
    Ok(Err(if is_known { SetupError::AnotherRoot { socket } } else { SetupError::AnotherEngine { socket } }))
}

/// Whose network and process numbers a container has: `host`, or something else.
struct Modes {
    network: String,
    pid: String,
}

impl Modes {
    async fn of(engine: &Engine, raw: &Value) -> Result<Self, EngineError> {
        Ok(Self {
            network: lent(engine, raw, "NetworkMode").await?,
            pid: lent(engine, raw, "PidMode").await?,
        })
    }
}

/// A mode of a container; where it is another container's (`container:…`), that one's.
async fn lent(engine: &Engine, raw: &Value, mode: &str) -> Result<String, EngineError> {
    let own = raw["HostConfig"][mode].as_str().unwrap_or_default();
    let Some(lender) = own.strip_prefix("container:") else { return Ok(own.to_owned()) };
    let found = engine.inspect(lender, engine.deadlines().inspect).await?;
    let raw = found.and_then(|found| serde_json::from_slice::<Value>(&found.raw).ok()).unwrap_or_default();
    Ok(raw["HostConfig"][mode].as_str().unwrap_or(own).to_owned())
}

fn facts(inspection: &Inspection, modes: Modes, texts: Texts, lookout: &Lookout) -> Facts {
    let mounts = inspection.mounts.iter().map(|mount| OwnMount {
        source: PathBuf::from(&mount.source),
        at: resolved_all(Path::new(&mount.destination)),
        is_bind: mount.kind == "bind",
        is_writable: mount.writable,
    });
    Facts {
        id: inspection.id.clone(),
        pid_mode: modes.pid,
        network_mode: modes.network,
        mounts: mounts.collect(),
        work_dir: lookout.work_dir.clone(),
        socket: resolved(&lookout.socket),
        capabilities: capabilities(&texts.status),
        membership: texts.cgroup,
        mountinfo: texts.mountinfo,
    }
}

impl Texts {
    /// What cannot be read is as good as empty: then nothing tells of a container.
    fn read() -> Self {
        let read =
            |name: &str| std::fs::read_to_string(Path::new("/proc/self").join(name)).unwrap_or_default();
        Self { cgroup: read("cgroup"), mountinfo: read("mountinfo"), status: read("status") }
    }
}

/// The effective capabilities that `/proc/<pid>/status` tells.
fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or_default()
}

/// A path with the links of its directory resolved; what is at its end may be missing.
fn resolved(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => resolved_all(directory).join(name),
        _ => path.to_owned(),
    }
}

fn resolved_all(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn spaced(name: &Option<String>) -> String {
    name.as_ref().map(|name| format!(" {name}")).unwrap_or_default()
}

fn list(missing: &[Missing]) -> String {
    let mut text = String::new();
    for (number, one) in missing.iter().enumerate() {
        // Writing to a String does not fail.
        let _ = write!(text, "{}{one}", if number == 0 { "" } else { "; " });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_container::judge::Instead;

    const ID: &str = "4f9bd1a8a1a0c6e6a8e0c9d4b0aa1c2a0c4c0ff0d6c7c5f1b2a39482716050ff";

    fn lookout(image: Option<&str>) -> Lookout {
        Lookout {
            work_dir: "/w".into(),
            socket: "/no-such-place/docker.sock".into(),
            host_pids: HostPids::Needed,
            image: image.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_missing_refuses_only_where_the_flag_is_given_except_for_the_work_directory() {
        let lacking = vec![Missing::HostPids, Missing::Capability("SYS_ADMIN")];
        assert_eq!(lookout(None).judge("a", lacking.clone()), Ok(lacking.clone()));
        let error = lookout(Some("mesos")).judge("a", lacking).unwrap_err();
        assert_eq!(error, SetupError::Lacking { name: Some("a".into()), missing: vec![Missing::HostPids] });
        let text = error.to_string();
        assert!(text.contains("container a") && text.contains("--pid=host ("), "{text}");
        let work_dir = vec![Missing::HostNetwork, Missing::WorkDir("/w".into(), Instead::Nothing)];
        let error = lookout(None).judge("a", work_dir).unwrap_err().to_string();
        assert!(error.contains("-v /w:/w") && !error.contains("--network"), "{error}");
        let minor = vec![Missing::Capability("SYS_PTRACE")];
        assert_eq!(lookout(Some("mesos")).judge("a", minor.clone()), Ok(minor));
    }

    #[rstest::rstest]
    #[case::directory("", "9 8 0:1 /run /no-such-place rw - tmpfs tmpfs rw\n", true)]
    #[case::file("", "9 8 0:1 /docker.sock /no-such-place/docker.sock rw - tmpfs tmpfs rw\n", false)]
    #[case::not_there("", "", false)]
    #[case::a_machine("0::/init.scope\n", "", true)]
    fn a_socket_is_judged_before_an_engine_answers(
        #[case] cgroup: &str,
        #[case] mount: &str,
        #[case] is_right: bool,
    ) {
        let cgroup = if cgroup.is_empty() { format!("0::/docker/{ID}\n") } else { cgroup.to_owned() };
        let mounts = format!("1 0 0:9 / / rw - overlay overlay rw\n{mount}");
        let judged = lookout(Some("mesos")).judge_socket(&cgroup, &mounts);
        assert_eq!(judged.is_ok(), is_right, "{judged:?}");
        if let Err(error) = judged {
            assert!(error.to_string().contains("-v /no-such-place:/no-such-place"), "{error}");
        }
        assert_eq!(lookout(None).judge_socket(&cgroup, &mounts), Ok(()));
    }

    #[test]
    fn capabilities_are_read() {
        assert_eq!(capabilities("Name:\ta\nCapEff:\t00000000a80425fb\n"), 0xa804_25fb);
        assert_eq!(capabilities(""), 0);
    }
}
