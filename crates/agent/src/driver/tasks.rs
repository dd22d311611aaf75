//! The containers that run in this process' care: launches tasks and executors, carries their news to the core and the
//! core's kills and updates to them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docker_containerizer::{Checkpoint, Identity, chain};
use mesos_proto::v1;
use mesos_types::resource::ResourceLimits;
use mesos_types::{AgentId, ContainerId, TaskId};
use task_supervisor::{
    Adoption, Given, KillRequest, Kind as Containerizer, LateOwner, OwnerError, RunLayout, SuperviseError,
    Supervisor, TaskHandle, TaskKilling, TaskOrder,
};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::containers;
use super::environment::ExecutorSetup;
use super::follow::Follower;
use super::kind::{End, Kind};
use super::updates::Updates;
use crate::core::{ContainerEvent, Event, Launch, Launched, Run};

/// The first pause before a run is adopted again whose container did not answer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Launches containers and follows them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    supervisor: Supervisor,
    executors: Arc<ExecutorSetup>,
    events: mpsc::Sender<Event>,
    runtime: tokio::runtime::Handle,
    /// How many kills of a run may wait.
    kills: usize,
    table: Arc<Mutex<BTreeMap<ContainerId, Entry>>>,
}

/// Where the kills and updates of a run go; the other end of the kills waits here until somebody follows the run.
#[derive(Debug)]
struct Entry {
    kills: mpsc::Sender<KillRequest>,
    wanted: Option<mpsc::Receiver<KillRequest>>,
    updates: Arc<Updates>,
}

/// A run of an earlier process to take over.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) kind: Kind,
    pub(super) layout: RunLayout,
    pub(super) killing: TaskKilling,
    /// The last state that the stream of a task has.
    pub(super) told: v1::TaskState,
    /// Who owns the sandbox.
    pub(super) user: Option<String>,
    /// Its executor, made up or not.
    pub(super) executor: v1::ExecutorInfo,
    /// What its record has as the task.
    pub(super) task: Option<v1::TaskInfo>,
    /// Whether nothing was done for it yet.
    pub(super) is_waiting: bool,
}

/// What the core wants of a run, as who follows it takes it.
#[derive(Debug)]
pub(super) struct Wishes {
    pub(super) kills: mpsc::Receiver<KillRequest>,
    pub(super) updates: Arc<Updates>,
}

impl Tasks {
    /// Tells the core of the runs through `events`; `kills` of one run may wait.
    pub(super) fn new(
        supervisor: Supervisor,
        executors: ExecutorSetup,
        events: mpsc::Sender<Event>,
        kills: NonZeroUsize,
    ) -> Self {
        Self {
            supervisor,
            executors: Arc::new(executors),
            events,
            runtime: tokio::runtime::Handle::current(),
            kills: kills.get(),
            table: Arc::default(),
        }
    }

    /// What launches them.
    pub(super) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The Docker containerizer, if there is one.
    pub(super) fn docker(&self) -> Option<docker_containerizer::Containerizer> {
        self.supervisor.docker().cloned()
    }

    /// Takes kills and updates of a run from now on, before anybody follows it.
    pub(super) fn enter(&self, run: &Run) {
        let (kills, wanted) = mpsc::channel(self.kills);
        let entry = Entry { kills, wanted: Some(wanted), updates: Arc::default() };
        self.table().insert(run.container_id, entry);
    }

    /// Launches a task or an executor. What becomes of it, also of a launch that is refused, the core hears as events.
    pub(super) fn launch(&self, agent_id: &AgentId, launch: Launch) {
        let run = launch.run.clone();
        let kind = match launch.what {
            Launched::Task(_) => Kind::Task,
            Launched::Executor(_) => Kind::Executor,
        };
        let wishes = self.wishes(&run);
        let tasks = self.clone();
        let agent_id = agent_id.clone();
        self.runtime.spawn(async move {
            // It looks users up, and waits for the disk.
            let launcher = tasks.clone();
            let tried = tokio::task::spawn_blocking(move || launcher.try_launch(&agent_id, &launch)).await;
            match tried.unwrap_or_else(|error| Err(chain(&error))) {
                Ok(handle) => tasks.follow(run, kind, handle, wishes).await,
                Err(why) => tasks.end(&run, kind, End::Refused(why)).await,
            }
        });
    }

    /// Takes over a run of an earlier process and follows it; one that it did not come to launch is launched. Ends once
    /// the containerizer has said what became of it: tries again for as long as it takes.
    ///
    /// # Errors
    ///
    /// Why the run cannot be carried on; its container may run still.
    pub(super) async fn adopt(&self, run: &Run, agent_id: &AgentId, taken: Taken) -> Result<(), String> {
        let kind = taken.kind;
        let mut pause = FIRST_PAUSE;
        loop {
            let adopted = match self.adoption(run, agent_id, &taken) {
                Ok(adoption) => self.supervisor.adopt(taken.layout.clone(), adoption).await,
                Err(error) => Err(error.into()),
            };
            match adopted {
                Ok(handle) => {
                    let wishes = self.wishes(run);
                    // Who was seen up is not told again.
                    wishes.updates.up();
                    let (tasks, run) = (self.clone(), run.clone());
                    self.runtime.spawn(async move { tasks.follow(run, kind, handle, wishes).await });
                    return Ok(());
                }
                Err(SuperviseError::Ended(Some(status))) => {
                    self.end(run, kind, End::Recorded(status)).await;
                    return Ok(());
                }
                // Unknown is not dead: the engine, or a record that was readable a moment ago.
                Err(error) if error.is_passing() => {
                    tracing::warn!(
                        container_id = %run.container_id,
                        error = chain(&error),
                        "a run of an earlier process does not answer; trying again"
                    );
                }
                Err(error) => match error.absent() {
                    Some(absent) => {
                        let why = unattended(absent);
                        tracing::error!(container_id = %run.container_id, "{why}");
                        self.end(run, kind, End::Gone(why)).await;
                        return Ok(());
                    }
                    None => return Err(chain(&error)),
                },
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// How a run is taken over, with what it needs where it is only launched now.
    ///
    /// # Errors
    ///
    /// The user of a task that waits for its launch. One that runs is not lost for what its user has become.
    fn adoption(&self, run: &Run, agent_id: &AgentId, taken: &Taken) -> Result<Adoption, OwnerError> {
        let base = match taken.kind {
            Kind::Task => Adoption::new(taken.killing).told(taken.told),
            Kind::Executor => Adoption::new(TaskKilling::Omitted),
        };
        let user = taken.user.as_deref().filter(|_| taken.is_waiting);
        let owner = containerizer::blocking(|| user.map(task_supervisor::owner_of).transpose())?;
        let defaults = match (&taken.kind, &taken.task) {
            (Kind::Executor, _) => self.executors.environment(agent_id, run, &taken.executor, true),
            (Kind::Task, Some(info)) => self.executors.of_task(agent_id, run, info, true),
            (Kind::Task, None) => Ok(Vec::new()),
        };
        let defaults = defaults.unwrap_or_else(|why| {
            tracing::warn!(container_id = %run.container_id, why, "a run goes on without the agent's variables");
            Vec::new()
        });
        Ok(Adoption { defaults, owner: LateOwner::Given(owner), ..base })
    }

    /// Tells the core that a launch goes on.
    pub(super) async fn progress(&self, run: &Run, kind: Kind) {
        self.send(kind.progress(run)).await;
    }

    /// Stops a run, whatever phase it is in. One that has ended needs no kill.
    pub(super) fn kill(&self, container_id: ContainerId, request: KillRequest) {
        let table = self.table();
        let Some(entry) = table.get(&container_id) else {
            tracing::debug!(%container_id, "a kill came after the end");
            return;
        };
        if entry.kills.try_send(request).is_err() {
            tracing::debug!(%container_id, "a kill joins those that wait");
        }
    }

    /// Changes what a container may use; the core hears what came of it. Of one that is gone it hears the end.
    pub(super) fn update(
        &self,
        container_id: ContainerId,
        token: u64,
        resources: Vec<v1::Resource>,
        limits: ResourceLimits,
    ) {
        match self.table().get(&container_id) {
            Some(entry) => entry.updates.want(token, resources, limits),
            None => tracing::debug!(%container_id, "an update came after the end"),
        }
    }

    /// Answers updates.
    pub(super) async fn answer(&self, run: &Run, tokens: &[u64], result: Result<(), String>) {
        for token in tokens {
            let event = ContainerEvent::Updated { token: *token, result: result.clone() };
            self.send(Event::Container(run.clone(), event)).await;
        }
    }

    /// Tells the last news of a run; updates that were not made need no more to be.
    pub(super) async fn end(&self, run: &Run, kind: Kind, end: End) {
        self.table().remove(&run.container_id);
        self.send(kind.end(run, end)).await;
    }

    /// Tells the last news of a container that nobody supervised as a task.
    pub(super) async fn end_container(&self, run: &Run, event: ContainerEvent) {
        self.table().remove(&run.container_id);
        self.send(Event::Container(run.clone(), event)).await;
    }

    /// Tells the core something.
    pub(super) async fn send(&self, event: Event) {
        if let Err(mpsc::error::SendError(event)) = self.events.send(event).await {
            tracing::debug!(?event, "the agent ends; a run's news is for the next one");
        }
    }

    /// Where the wishes of a run come from.
    pub(super) fn wishes(&self, run: &Run) -> Wishes {
        let mut table = self.table();
        let waiting = table
            .get_mut(&run.container_id)
            .and_then(|entry| Some(Wishes { kills: entry.wanted.take()?, updates: entry.updates.clone() }));
        waiting.unwrap_or_else(|| {
            let (sender, kills) = mpsc::channel(self.kills);
            let updates = Arc::<Updates>::default();
            let entry = Entry { kills: sender, wanted: None, updates: updates.clone() };
            table.insert(run.container_id, entry);
            Wishes { kills, updates }
        })
    }

    /// Writes the record of a run that is about to be launched, before the disk says that the agent has its task: who
    /// finds it launches it. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub(super) fn note_accepted(&self, agent_id: &AgentId, launch: &Launch) -> Result<(), String> {
        let (identity, info) = identified(agent_id, launch)?;
        self.supervisor.note_accepted(&identity, &info).map_err(|error| chain(&error))
    }

    fn try_launch(&self, agent_id: &AgentId, launch: &Launch) -> Result<TaskHandle, String> {
        let (identity, info) = identified(agent_id, launch)?;
        let Launch { run, what, task_killing, checkpoint, user } = launch;
        let defaults = match what {
            Launched::Executor(launch) => {
                self.executors.environment(agent_id, run, &launch.executor, *checkpoint)?
            }
            Launched::Task(info) => self.executors.of_task(agent_id, run, info, *checkpoint)?,
        };
        let owner = user.as_deref().map(task_supervisor::owner_of).transpose();
        let owner = owner.map_err(|error| chain(&error))?;
        let order = TaskOrder {
            checkpoint: if *checkpoint { Checkpoint::Yes } else { Checkpoint::No },
            owner,
            given: Given { defaults, ..Given::default() },
            ..TaskOrder::new(
                identity,
                info,
                if *task_killing { TaskKilling::Sent } else { TaskKilling::Omitted },
            )
        };
        let prepared = self.supervisor.prepare(order).map_err(|error| chain(&error))?;
        for notice in prepared.notices() {
            tracing::info!(task_id = %prepared.task_id(), %notice, "a field of the task has no effect");
        }
        self.supervisor.launch(prepared).map_err(|error| chain(&error))
    }

    async fn follow(&self, run: Run, kind: Kind, handle: TaskHandle, wishes: Wishes) {
        Follower { tasks: self.clone(), run, kind }.follow(handle, wishes).await;
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of a run whose containerizer this agent does not have.
fn unattended(absent: Containerizer) -> String {
    format!(
        "its containerizer, {absent}, is not among --containerizers any more: the agent cannot follow it, and has not \
         stopped it"
    )
}

/// Whose a launch is, and the task that is supervised for it.
fn identified(agent_id: &AgentId, launch: &Launch) -> Result<(Identity, v1::TaskInfo), String> {
    let info = match &launch.what {
        Launched::Task(info) => info.clone(),
        Launched::Executor(executor) => containers::as_task(executor, agent_id.as_str()),
    };
    let task_id: TaskId = info.task_id.value.parse().map_err(|error| format!("{error}"))?;
    let identity = Identity {
        agent_id: agent_id.clone(),
        framework_id: launch.run.framework_id.clone(),
        executor_id: launch.run.executor_id.clone(),
        task_id,
        container_id: launch.run.container_id,
    };
    Ok((identity, info))
}
