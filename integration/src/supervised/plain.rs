//! Owns a supervisor of plain tasks of one test: no engine, processes of this machine below a directory of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use flags::DockerSettings;
use flags::agent::ContainmentFlags;
use mesos_containerizer::Containerizer;
use mesos_proto::v1;
use mesos_types::{ContainerId, EnvVar};
use task_supervisor::{
    Adoption, Composing, Given, RunLayout, Supervisor, SupervisorSettings, TaskKilling, TaskOrder,
};
use tokio::time::timeout;

use super::{PATIENCE, Watched};
use crate::TestScope;
use crate::processes::{Left, Mark};
use docker_containerizer::{Identity, RemovalDelay};

/// A supervisor of plain tasks. Ended with [`Plain::end`]; dropping it ends what is left.
#[derive(Debug)]
pub struct Plain {
    supervisor: Supervisor,
    work_dir: PathBuf,
    root: String,
    /// It goes last.
    _dir: Option<tempfile::TempDir>,
}

impl Plain {
    /// Makes a supervisor.
    ///
    /// # Errors
    ///
    /// The program `mesos-containerizer` was not built, or this machine cannot isolate processes.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory")?;
        let root = format!("mesos-test-{}", uuid::Uuid::new_v4().simple());
        let work_dir = dir.path().join("work");
        std::fs::create_dir(&work_dir).context("make a work directory")?;
        let supervisor = supervisor(&work_dir, &root)?;
        Ok(Self { supervisor, work_dir, root, _dir: Some(dir) })
    }

    /// Makes a supervisor in a scope.
    ///
    /// # Errors
    ///
    /// As [`Plain::new`].
    pub fn in_scope(scope: &TestScope) -> Result<Self> {
        let (work_dir, root) = (scope.subdir("plain")?, scope.cgroups_root());
        let supervisor = supervisor(&work_dir, &root)?;
        Ok(Self { supervisor, work_dir, root, _dir: None })
    }

    /// Makes another supervisor of the same work directory, as the process before or after this one would.
    ///
    /// # Errors
    ///
    /// As [`Plain::new`].
    pub fn another(&self) -> Result<Supervisor> {
        supervisor(&self.work_dir(), &self.root)
    }

    /// Makes a supervisor of the same work directory that has no containerizer at all.
    pub fn without_containerizers(&self) -> Supervisor {
        Supervisor::new(Composing::default(), settings(&self.work_dir()))
    }

    /// Returns the supervisor.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Returns the work directory.
    pub fn work_dir(&self) -> PathBuf {
        self.work_dir.clone()
    }

    /// Makes the order of a shell command, under a container id of its own, changed by hand.
    ///
    /// # Errors
    ///
    /// A task id that is none.
    pub fn order(&self, line: &str, change: impl FnOnce(&mut v1::TaskInfo)) -> Result<TaskOrder> {
        let mut info = v1::TaskInfo {
            name: "plain".into(),
            task_id: v1::TaskId { value: format!("plain-{}", uuid::Uuid::new_v4().simple()) },
            agent_id: v1::AgentId { value: "local".into() },
            command: Some(v1::CommandInfo { value: Some(line.into()), ..Default::default() }),
            resources: vec![scalar("cpus", 0.1), scalar("mem", 64.0)],
            ..Default::default()
        };
        change(&mut info);
        let task_id = &info.task_id.value;
        let identity = Identity {
            agent_id: "local".parse()?,
            framework_id: "framework".parse()?,
            executor_id: task_id.parse()?,
            task_id: task_id.parse()?,
            container_id: ContainerId::random(),
        };
        let path = EnvVar::new("test", "PATH", "/usr/local/bin:/usr/bin:/bin")?;
        let given = Given { defaults: vec![path], ..Given::default() };
        Ok(TaskOrder { given, ..TaskOrder::new(identity, info, TaskKilling::Sent) })
    }

    /// Launches a shell command.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn launch(&self, line: &str) -> Result<Watched> {
        self.launch_order(self.order(line, |_| {})?)
    }

    /// Launches an order.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn launch_order(&self, order: TaskOrder) -> Result<Watched> {
        let container_id = order.identity.container_id;
        let handle = self.supervisor.launch(self.supervisor.prepare(order)?)?;
        Ok(Watched::new(handle, container_id, container_id.to_string()))
    }

    /// Takes over a run of an earlier process.
    ///
    /// # Errors
    ///
    /// It cannot be taken over.
    pub async fn adopt(&self, identity: &Identity) -> Result<Watched> {
        let layout = RunLayout::of(&self.work_dir(), identity);
        let handle = self.supervisor.adopt(layout, Adoption::new(TaskKilling::Sent)).await?;
        Ok(Watched::new(handle, identity.container_id, identity.container_id.to_string()))
    }

    /// Ends the test: every container has ended, and none of its control groups is left.
    ///
    /// # Errors
    ///
    /// Something is left; it is named.
    pub async fn end(self) -> Result<()> {
        let containers = self.supervisor.containerizer();
        timeout(PATIENCE, containers.settled()).await.context("containers did not settle")?;
        let known = containers.containers();
        ensure!(known.is_empty(), "the containerizer still knows {known:?}");
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let group = hierarchy.path().join(&self.root);
            // That of the parents stays for the next container; it was made for this test alone.
            let _ = std::fs::remove_dir(group.join("supervisors"));
            let left: Vec<_> = groups_below(&group).collect();
            ensure!(left.is_empty(), "control groups are left: {left:?}");
            let _ = std::fs::remove_dir(&group);
        }
        Ok(())
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        Mark::new(&self.work_dir, &self.root).sweep(Left::Nothing);
    }
}

fn supervisor(work_dir: &Path, root: &str) -> Result<Supervisor> {
    let program = crate::programs::mesos_containerizer()?;
    let mut docker = DockerSettings::from_pairs([] as [(&str, &str); 0])?.settings;
    docker.fetch.launcher_dir = program.parent().map(Path::to_owned);
    let flags = ContainmentFlags { cgroups_root: root.into(), ..ContainmentFlags::default() };
    let containment = docker_setup::containment(&flags, &docker, work_dir)?;
    let fetcher = crate::fetch::fetcher(work_dir.join("fetch"));
    let made = docker_setup::plain_settings(&docker, containment, fetcher, work_dir);
    let containerizers = Composing::default().mesos_next(Containerizer::new(made));
    Ok(Supervisor::new(containerizers, settings(work_dir)))
}

fn settings(work_dir: &Path) -> SupervisorSettings {
    SupervisorSettings {
        removal: RemovalDelay::Never,
        host_address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        ..super::settings::supervisor(work_dir)
    }
}

fn groups_below(group: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}
