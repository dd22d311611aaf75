//! A containerizer of a test's own, with real processes below a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use containerizer::cgroups::CpuQuota;
use containerizer::{Identity, LogSettings, RunPaths, StopSignal, Termination};
use fetcher::agent::{Fetcher, FetcherSettings};
use mesos_containerizer::isolation::{
    Containment, ContainmentSettings, DiskSettings, Enforcement, Swap, SystemdGroups,
};
use mesos_containerizer::processes::{self, ProcessId};
use mesos_containerizer::{AdoptOrder, Containerizer, Handle, LaunchOrder, Settings};
use mesos_proto::v1;
use mesos_types::{ContainerId, EnvVar, Isolation, PlainTaskSpec, Strictness};
use sandbox::RotationPolicy;

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How a lab follows processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launcher {
    Tree,
    Groups,
}

/// A containerizer and its directory.
pub(crate) struct Lab {
    pub(crate) dir: Dir,
    pub(crate) containerizer: Containerizer,
    pub(crate) launcher: Launcher,
    root: String,
}

/// A directory that goes with the test that made it.
pub(crate) enum Dir {
    Own(tempfile::TempDir),
    Anothers(PathBuf),
}

impl Dir {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Anothers(dir) => dir,
        }
    }
}

/// One run of a lab.
pub(crate) struct Run {
    base: PathBuf,
    id: ContainerId,
    pub(crate) info: v1::TaskInfo,
    pub(crate) overlay: Vec<EnvVar>,
}

impl Lab {
    /// `None`, after saying so, where this machine has no control groups to change.
    pub(crate) fn new(launcher: Launcher) -> Option<Self> {
        Self::in_dir(Dir::Own(tempfile::tempdir().unwrap()), launcher, PATIENCE)
    }

    /// Lets somebody who looks on hold up an end for so long.
    pub(crate) fn with_drain(launcher: Launcher, drain: Duration) -> Option<Self> {
        Self::in_dir(Dir::Own(tempfile::tempdir().unwrap()), launcher, drain)
    }

    /// The lab of another process.
    pub(crate) fn at(dir: PathBuf, launcher: Launcher) -> Option<Self> {
        Self::in_dir(Dir::Anothers(dir), launcher, PATIENCE)
    }

    fn in_dir(dir: Dir, launcher: Launcher, drain: Duration) -> Option<Self> {
        let root =
            format!("mesos-test-{}", dir.path().file_name().unwrap().to_string_lossy().trim_matches('.'));
        let isolation = match launcher {
            Launcher::Tree => "posix/cpu,posix/mem",
            Launcher::Groups => "cgroups/cpu,cgroups/mem",
        };
        let containment = Containment::new(ContainmentSettings {
            isolation: Isolation::parse(isolation).unwrap(),
            launcher: Some(match launcher {
                Launcher::Tree => mesos_types::Launcher::Posix,
                Launcher::Groups => mesos_types::Launcher::Linux,
            }),
            hierarchy: "/sys/fs/cgroup".into(),
            root: root.clone().into(),
            quota: CpuQuota::FromLimit,
            swap: Swap::Free,
            pids_limit: None,
            count_threads: false,
            systemd: SystemdGroups::Own,
            destroy_timeout: Duration::from_secs(20),
            work_dir: dir.path().join("work"),
            disk: DiskSettings { interval: Duration::from_secs(15), enforcement: Enforcement::Report },
        });
        let containment = match containment {
            Ok(containment) => containment,
            Err(error) => {
                eprintln!("skipped: {}", containerizer::chain(&error));
                return None;
            }
        };
        let program = Path::new(env!("CARGO_BIN_EXE_mesos-containerizer"));
        let containerizer = Containerizer::new(Settings {
            containment,
            logs: LogSettings { rotation: RotationPolicy::UNLIMITED },
            drain_deadline: drain,
            fetcher: Fetcher::new(FetcherSettings::new(dir.path().join("cache"))),
            launcher_dir: program.parent().map(Path::to_owned),
            work_dir: dir.path().join("work"),
        });
        Some(Self { dir, containerizer, launcher, root })
    }

    /// A run of a shell script. Two labs in one directory have the same runs.
    pub(crate) fn run(&self, script: &str) -> Run {
        let id = ContainerId::random();
        let (id, base) = match &self.dir {
            // What another process has made is found by the file that names it.
            Dir::Anothers(dir) => {
                let id: ContainerId = fs::read_to_string(dir.join("id")).unwrap().parse().unwrap();
                (id, dir.join(id.to_string()))
            }
            Dir::Own(dir) => {
                fs::write(dir.path().join("id"), id.to_string()).unwrap();
                let base = dir.path().join(id.to_string());
                for name in ["sandbox", "state"] {
                    fs::create_dir_all(base.join(name)).unwrap();
                }
                (id, base)
            }
        };
        let info = v1::TaskInfo {
            name: "t".into(),
            task_id: v1::TaskId { value: "t".into() },
            command: Some(v1::CommandInfo { value: Some(script.into()), ..Default::default() }),
            ..Default::default()
        };
        Run { base, id, info, overlay: Vec::new() }
    }

    pub(crate) fn launch(&self, run: &Run) -> Handle {
        self.containerizer.launch(run.order()).unwrap()
    }

    /// Nothing is left of a run's control groups.
    pub(crate) fn assert_no_groups(&self, run: &Run) {
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let group = hierarchy.path().join(&self.root).join(run.id.to_string());
            assert!(!group.exists(), "{} is left", group.display());
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if matches!(self.dir, Dir::Anothers(_)) {
            return;
        }
        // A test that failed leaves what it had started.
        let entries = fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // The id alone says whose a process is: `id`, the name of a file here, is part of `aside`, which others run.
        let runs = names.filter(|name| name.parse::<ContainerId>().is_ok());
        for parent in runs.flat_map(|run| marked(&run)) {
            if is_parent(parent.pid) {
                let _ = processes::kill_tree(|all| processes::descendants(all, parent.pid));
                let _ = processes::signal_one(parent, rustix::process::Signal::KILL);
            }
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            remove_groups(&hierarchy.path().join(&self.root));
        }
    }
}

fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

impl Run {
    pub(crate) fn id(&self) -> ContainerId {
        self.id
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.base.join("sandbox")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.base.join("state")
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            agent_id: "local".parse().unwrap(),
            framework_id: "f".parse().unwrap(),
            executor_id: "t".parse().unwrap(),
            task_id: "t".parse().unwrap(),
            container_id: self.id,
        }
    }

    fn paths(&self) -> RunPaths {
        RunPaths { sandbox: self.sandbox(), state: self.state() }
    }

    pub(crate) fn order(&self) -> LaunchOrder {
        LaunchOrder {
            identity: self.identity(),
            task: plain(&self.info),
            overlay: self.overlay.clone(),
            paths: self.paths(),
            owner: None,
            tap: None,
            progress: None,
        }
    }

    pub(crate) fn adoption(&self, stop_signal: StopSignal) -> AdoptOrder {
        AdoptOrder {
            identity: self.identity(),
            task: plain(&self.info),
            overlay: self.overlay.clone(),
            stop_signal,
            paths: self.paths(),
            owner: None,
        }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.sandbox().join(name)).unwrap_or_default()
    }
}

pub(crate) fn plain(info: &v1::TaskInfo) -> PlainTaskSpec {
    PlainTaskSpec::from_task_info(info, Strictness::Lenient).unwrap()
}

pub(crate) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar::new("test", name, value).unwrap()
}

/// A persistent volume that shows at a place of the sandbox.
pub(crate) fn volume(id: &str, role: &str, at: &str) -> v1::Resource {
    v1::Resource {
        name: "disk".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 64.0 }),
        role: Some(role.into()),
        disk: Some(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: id.into(), principal: None }),
            volume: Some(v1::Volume {
                container_path: at.into(),
                mode: v1::volume::Mode::Rw.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A container with a part of the sandbox at a second place of it.
pub(crate) fn sandbox_volume(path: &str, at: &str) -> v1::ContainerInfo {
    use v1::volume::source::{SandboxPath, Type, sandbox_path};

    let source = v1::volume::Source {
        r#type: Some(Type::SandboxPath.into()),
        sandbox_path: Some(SandboxPath { r#type: Some(sandbox_path::Type::Self_.into()), path: path.into() }),
        ..Default::default()
    };
    v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos.into(),
        volumes: vec![v1::Volume {
            container_path: at.into(),
            mode: v1::volume::Mode::Rw.into(),
            source: Some(source),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) async fn terminated(handle: &mut Handle) -> Arc<Termination> {
    tokio::time::timeout(PATIENCE, handle.terminated())
        .await
        .expect("it ends in time")
        .expect("the runtime is up")
}

pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether a process with this in its arguments is there.
pub(crate) fn is_there(mark: &str) -> bool {
    !marked(mark).is_empty()
}

/// The processes with this in their arguments, which have a NUL between them.
pub(crate) fn marked(mark: &str) -> Vec<ProcessId> {
    let has = |id: &ProcessId| {
        fs::read(format!("/proc/{}/cmdline", id.pid))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
    };
    let all = processes::all().unwrap().into_iter();
    // The process that owns the containers of a test names them too.
    let others = all.filter(|stat| !stat.is_zombie && stat.id.pid != std::process::id());
    others.map(|stat| stat.id).filter(has).collect()
}

/// Whether a process is a parent of ours.
pub(crate) fn is_parent(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "mesos-container")
}

/// A number of seconds that no other process sleeps.
pub(crate) fn unique() -> String {
    format!("9{}", uuid::Uuid::new_v4().as_u128() % 100_000_000)
}
