//! Owns a supervisor of one test and the check that it leaves nothing behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::names::container_name;
use docker_containerizer::policy::Policy;
use docker_containerizer::request::{CpuQuota, DefaultDns, RequestSettings};
use docker_containerizer::{
    Containerizer, CredentialSources, FetchedCredentials, Identity, ProxyVariables, PullSettings,
    RemovalDelay, Settings,
};
use docker_engine::{Deadlines, Engine, EngineOptions, ExtraHeaders};
use mesos_types::{ContainerId, ProcessUser, Reading, Strictness};
use task_supervisor::{
    Adoption, RunLayout, Supervisor, SupervisorSettings, TaskKilling, TaskOrder, owner_of,
};
use tokio::time::timeout;

use super::{PATIENCE, Task, Watched, settings};
use crate::engine::TestEngine;
use crate::sweep::TestScope;

/// What differs from one test's supervisor to the next.
#[derive(Debug, Clone)]
pub struct Options {
    /// The engine's socket, if not the scope's: a proxy's.
    pub socket: Option<PathBuf>,
    /// Whether a CPU request is also a quota.
    pub cfs: CpuQuota,
    /// DNS for tasks that name none.
    pub default_dns: DefaultDns,
    /// The engine calls' deadlines.
    pub deadlines: Deadlines,
    /// Whether TASK_KILLING is sent.
    pub task_killing: TaskKilling,
    /// When stopped containers are removed.
    pub removal: RemovalDelay,
    /// How images are pulled.
    pub pulls: PullSettings,
    /// Where credentials for pulls come from.
    pub credentials: CredentialSources,
    /// Whether a task finds the credentials that it brought.
    pub fetched_credentials: FetchedCredentials,
    /// Headers of every request to the engine.
    pub headers: ExtraHeaders,
    /// The operator's proxies.
    pub proxies: ProxyVariables,
    /// What tasks may ask of the host.
    pub policy: Arc<Policy>,
    /// Who processes run as.
    pub user: ProcessUser,
}

/// A supervisor of a test's own. Ended with [`Supervised::end`].
#[derive(Debug)]
pub struct Supervised {
    scope: TestScope,
    supervisor: Supervisor,
    work_dir: PathBuf,
    options: Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            socket: None,
            cfs: CpuQuota::FromLimit,
            default_dns: DefaultDns::default(),
            deadlines: Deadlines::default(),
            task_killing: TaskKilling::Sent,
            removal: RemovalDelay::After(Duration::ZERO),
            pulls: PullSettings::default(),
            credentials: CredentialSources::default(),
            fetched_credentials: FetchedCredentials::Stay,
            headers: ExtraHeaders::default(),
            proxies: ProxyVariables::default(),
            policy: Arc::default(),
            user: ProcessUser::Image,
        }
    }
}

impl Options {
    /// Talks to the engine through a proxy.
    pub fn through(socket: &Path) -> Self {
        Self { socket: Some(socket.to_owned()), ..Self::default() }
    }
}

impl Supervised {
    /// Makes a supervisor with the usual options.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn new(engine: &TestEngine) -> Result<Self> {
        Self::with(engine, Options::default()).await
    }

    /// Makes a supervisor.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn with(engine: &TestEngine, options: Options) -> Result<Self> {
        let scope = TestScope::new(engine).await?;
        let work_dir = scope.subdir("work")?.canonicalize().context("find the work directory")?;
        let supervisor = supervisor(scope.engine(), &work_dir, &options).await?;
        Ok(Self { scope, supervisor, work_dir, options })
    }

    /// Makes another supervisor of the same work directory, as the process before or after this one would.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn another(&self) -> Result<Supervisor> {
        supervisor(self.scope.engine(), &self.work_dir, &self.options).await
    }

    /// Returns the test's scope.
    pub fn scope(&self) -> &TestScope {
        &self.scope
    }

    /// Returns the containerizer.
    pub fn containerizer(&self) -> &Containerizer {
        self.supervisor.docker().expect("it was made with one")
    }

    /// Returns the supervisor.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Returns the canonical work directory.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Makes the order of a task, under a container id of its own.
    ///
    /// # Errors
    ///
    /// An id that is none, or a user that is not known here.
    pub fn order(&self, task: &Task) -> Result<TaskOrder> {
        let mut info = task.info().clone();
        info.agent_id.value = self.scope.agent_id();
        let task_id = &info.task_id.value;
        let identity = Identity {
            agent_id: self.scope.agent_id().parse()?,
            framework_id: "framework".parse()?,
            executor_id: task_id.parse()?,
            task_id: task_id.parse()?,
            container_id: ContainerId::random(),
        };
        let owner = task.owner().map(owner_of).transpose()?;
        Ok(TaskOrder { owner, ..TaskOrder::new(identity, info, self.options.task_killing) })
    }

    /// Launches a task.
    ///
    /// # Errors
    ///
    /// The task is refused.
    pub fn launch(&self, task: &Task) -> Result<Watched> {
        self.launch_order(self.order(task)?)
    }

    /// Launches an order.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn launch_order(&self, order: TaskOrder) -> Result<Watched> {
        let prepared = self.supervisor.prepare(order)?;
        let container_id = prepared.container_id();
        let name = prepared.request().context("the task has no image")?.name.clone();
        let handle = self.supervisor.launch(prepared)?;
        Ok(Watched::new(handle, container_id, name))
    }

    /// Takes over a run of an earlier process.
    ///
    /// # Errors
    ///
    /// It cannot be taken over.
    pub async fn adopt(&self, identity: &Identity) -> Result<Watched> {
        let layout = RunLayout::of(&self.work_dir, identity);
        let handle = self.supervisor.adopt(layout, Adoption::new(self.options.task_killing)).await?;
        let name = container_name(&identity.agent_id, identity.container_id);
        Ok(Watched::new(handle, identity.container_id, name))
    }

    /// Takes over a run where it lives, as a host does that knows what its framework has heard.
    ///
    /// # Errors
    ///
    /// It cannot be taken over.
    pub async fn adopt_with(&self, layout: RunLayout, adoption: Adoption) -> Result<Watched> {
        let record = task_supervisor::RecordStore::new(layout.state()).read()?;
        let handle = self.supervisor.adopt(layout, adoption).await?;
        Ok(Watched::new(handle, record.identity().container_id, record.container_name))
    }

    /// Returns the sentence with which a task is refused.
    ///
    /// # Errors
    ///
    /// It is not refused.
    pub fn refusal(&self, task: &Task) -> Result<String> {
        match self.supervisor.prepare(self.order(task)?) {
            Ok(prepared) => anyhow::bail!("not refused: {prepared:?}"),
            Err(error) => Ok(error.to_string()),
        }
    }

    /// Inspects a container past the code under test.
    ///
    /// # Errors
    ///
    /// The engine knows no such container.
    pub async fn inspect(&self, name: &str) -> Result<serde_json::Value> {
        self.scope.client().await?.get(&format!("/containers/{name}/json")).await?.json()
    }

    /// Ends the test: every container has ended and is removed, and nothing of the test is left on the engine.
    ///
    /// # Errors
    ///
    /// Something is left; it is named.
    pub async fn end(self) -> Result<()> {
        let containerizer = self.supervisor.containerizer();
        timeout(PATIENCE, containerizer.settled()).await.context("containers did not settle")?;
        let known = containerizer.containers();
        ensure!(known.is_empty(), "the containerizer still knows {known:?}");
        self.scope.assert_clean().await
    }
}

async fn supervisor(engine: &TestEngine, work_dir: &Path, options: &Options) -> Result<Supervisor> {
    let socket = options.socket.clone().unwrap_or_else(|| engine.socket().to_owned());
    let mut to_engine = EngineOptions::new(socket);
    to_engine.deadlines = options.deadlines.clone();
    to_engine.headers = options.headers.clone();
    let engine = Engine::connect(to_engine).await.context("connect to the engine")?;
    let usual = settings::docker(work_dir);
    let docker = Settings {
        request: RequestSettings {
            cfs: options.cfs,
            default_dns: options.default_dns.clone(),
            proxies: options.proxies.clone(),
            policy: options.policy.clone(),
            ..usual.request
        },
        pulls: options.pulls,
        credentials: options.credentials.clone(),
        fetched_credentials: options.fetched_credentials,
        ..usual
    };
    let containerizer = Containerizer::new(engine, docker).await.context("make the containerizer")?;
    let settings = SupervisorSettings {
        reading: Reading { strictness: Strictness::Lenient, user: options.user },
        removal: options.removal,
        host_address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        ..settings::supervisor(work_dir)
    };
    Ok(Supervisor::new(containerizer, settings))
}
