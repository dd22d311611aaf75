//! The tasks that run in this process: launches them, carries their news to the core and the core's kills to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docker_containerizer::{Checkpoint, Identity, PullStage, chain};
use mesos_proto::v1;
use mesos_types::{AgentId, ContainerId, TaskId};
use task_supervisor::{
    Adoption, KillRequest, RecordError, RunLayout, SuperviseError, Supervisor, TaskHandle, TaskKilling,
    TaskOrder, Update,
};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::core::{Event, Launch, Run, TaskEvent};

/// How many kills of a task may wait; more say nothing new.
const KILLS: usize = 8;

/// The first pause before a task is adopted again whose container did not answer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Launches tasks and follows them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    supervisor: Supervisor,
    events: mpsc::Sender<Event>,
    runtime: tokio::runtime::Handle,
    kills: Arc<Mutex<BTreeMap<ContainerId, Entry>>>,
}

/// Where the kills of a run go; the other end waits here until somebody follows the task.
#[derive(Debug)]
struct Entry {
    kills: mpsc::Sender<KillRequest>,
    wanted: Option<mpsc::Receiver<KillRequest>>,
}

/// What became of a run of an earlier process that cannot be followed.
#[derive(Debug)]
pub(super) enum Adopted {
    /// It has ended.
    Ended(Box<v1::TaskStatus>),
    /// It was never launched.
    NeverLaunched,
    /// Its executor is not of our kind.
    NotOurs,
    /// It cannot be carried on; says why.
    GaveUp(String),
}

impl Tasks {
    /// Tells the core of the tasks through `events`.
    pub(super) fn new(supervisor: Supervisor, events: mpsc::Sender<Event>) -> Self {
        Self { supervisor, events, runtime: tokio::runtime::Handle::current(), kills: Arc::default() }
    }

    /// What launches them.
    pub(super) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Takes kills of a run from now on, before anybody follows it.
    pub(super) fn enter(&self, run: &Run) {
        let (kills, wanted) = mpsc::channel(KILLS);
        let entry = Entry { kills, wanted: Some(wanted) };
        self.table().insert(run.container_id, entry);
    }

    /// Launches a task. What becomes of it, also of a launch that is refused, the core hears as events.
    pub(super) fn launch(&self, agent_id: &AgentId, launch: Launch) {
        let run = launch.run.clone();
        let wanted = self.wanted(&run);
        let tasks = self.clone();
        let agent_id = agent_id.clone();
        self.runtime.spawn(async move {
            // It looks users up, and waits for the disk.
            let launcher = tasks.clone();
            let tried = tokio::task::spawn_blocking(move || launcher.try_launch(&agent_id, launch)).await;
            match tried.unwrap_or_else(|error| Err(chain(&error))) {
                Ok(handle) => tasks.follow(run, handle, wanted).await,
                Err(why) => tasks.tell(run, TaskEvent::Refused(why)).await,
            }
        });
    }

    /// Takes over a task of an earlier process and follows it; `told` is the last state that its stream has. Ends once
    /// the engine has said what became of it: tries again for as long as it takes.
    ///
    /// # Errors
    ///
    /// Why the task cannot be carried on; its container may run still.
    pub(super) async fn adopt(
        &self,
        run: &Run,
        layout: RunLayout,
        killing: TaskKilling,
        told: v1::TaskState,
    ) -> Result<(), String> {
        let mut pause = FIRST_PAUSE;
        loop {
            let adoption = Adoption::new(killing).told(told);
            match self.supervisor.adopt(layout.clone(), adoption).await {
                Ok(handle) => {
                    let wanted = self.wanted(run);
                    let (tasks, run) = (self.clone(), run.clone());
                    self.runtime.spawn(async move { tasks.follow(run, handle, wanted).await });
                    return Ok(());
                }
                Err(SuperviseError::Ended(Some(status))) => {
                    self.settle(run.clone(), Adopted::Ended(status)).await;
                    return Ok(());
                }
                // Unknown is not dead: the engine, or a record that was readable a moment ago.
                Err(
                    error @ (SuperviseError::Containerizer(_)
                    | SuperviseError::Record(RecordError::Access(_))),
                ) => {
                    tracing::warn!(
                        container_id = %run.container_id,
                        error = chain(&error),
                        "a task of an earlier process does not answer; trying again"
                    );
                }
                Err(error) => return Err(chain(&error)),
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Tells the core that a launch goes on.
    pub(super) async fn progress(&self, run: &Run) {
        self.send(run, TaskEvent::Progress).await;
    }

    /// Tells the core what became of a run that nobody follows.
    pub(super) async fn settle(&self, run: Run, adopted: Adopted) {
        let event = match adopted {
            Adopted::Ended(status) => TaskEvent::Ended(*status),
            Adopted::NeverLaunched => TaskEvent::NeverLaunched,
            Adopted::NotOurs => TaskEvent::NotOurs,
            Adopted::GaveUp(why) => TaskEvent::Refused(why),
        };
        self.tell(run, event).await;
    }

    /// Stops a task, whatever phase it is in. One that has ended needs no kill.
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

    fn try_launch(&self, agent_id: &AgentId, launch: Launch) -> Result<TaskHandle, String> {
        let Launch { run, info, task_killing, checkpoint, user } = launch;
        let task_id: TaskId = info.task_id.value.parse().map_err(|error| format!("{error}"))?;
        let identity = Identity {
            agent_id: agent_id.clone(),
            framework_id: run.framework_id,
            executor_id: run.executor_id,
            task_id,
            container_id: run.container_id,
        };
        let owner = user.as_deref().map(task_supervisor::owner_of).transpose();
        let owner = owner.map_err(|error| chain(&error))?;
        let order = TaskOrder {
            checkpoint: if checkpoint { Checkpoint::Yes } else { Checkpoint::No },
            owner,
            ..TaskOrder::new(
                identity,
                info,
                if task_killing { TaskKilling::Sent } else { TaskKilling::Omitted },
            )
        };
        let prepared = self.supervisor.prepare(order).map_err(|error| chain(&error))?;
        for notice in &prepared.task().notices {
            tracing::info!(task_id = %prepared.task().task_id, %notice, "a field of the task has no effect");
        }
        self.supervisor.launch(prepared).map_err(|error| chain(&error))
    }

    /// Where the kills of a run come from.
    fn wanted(&self, run: &Run) -> mpsc::Receiver<KillRequest> {
        let waiting = self.table().get_mut(&run.container_id).and_then(|entry| entry.wanted.take());
        waiting.unwrap_or_else(|| {
            let (kills, wanted) = mpsc::channel(KILLS);
            self.table().insert(run.container_id, Entry { kills, wanted: None });
            wanted
        })
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Entry>> {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a task's news to the core until its end.
    async fn follow(self, run: Run, mut handle: TaskHandle, mut wanted: mpsc::Receiver<KillRequest>) {
        loop {
            tokio::select! {
                update = handle.updates.recv() => {
                    let Some(update) = update else {
                        let why = "its supervision ended without a word".to_owned();
                        return self.tell(run, TaskEvent::Refused(why)).await;
                    };
                    match update {
                        Update::Status(status) | Update::Running(status, _) => {
                            self.send(&run, TaskEvent::Status(*status)).await;
                        }
                        Update::Terminal(status, ..) => {
                            return self.tell(run, TaskEvent::Ended(*status)).await;
                        }
                        Update::Pull(news) if matches!(news.stage, PullStage::Queued) => {
                            self.send(&run, TaskEvent::Waiting).await;
                        }
                        Update::Fetch(_) | Update::Pull(_) => self.send(&run, TaskEvent::Progress).await,
                        Update::Warning(text) => {
                            tracing::warn!(container_id = %run.container_id, text, "the engine warns");
                        }
                        other => tracing::debug!(?other, "an update that the agent does not know"),
                    }
                }
                Some(request) = wanted.recv() => {
                    // A task that ended meanwhile takes no kill.
                    let _ = handle.kills.send(request).await;
                }
            }
        }
    }

    /// Tells the last news of a run.
    async fn tell(&self, run: Run, event: TaskEvent) {
        self.table().remove(&run.container_id);
        self.send(&run, event).await;
    }

    async fn send(&self, run: &Run, event: TaskEvent) {
        if self.events.send(Event::Task(run.clone(), Box::new(event))).await.is_err() {
            tracing::debug!(container_id = %run.container_id, "the agent ends; a task's news is for the next one");
        }
    }
}
