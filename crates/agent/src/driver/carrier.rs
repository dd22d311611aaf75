//! Carries one run of an earlier process on, as it was decided.

use std::path::PathBuf;
use std::time::Duration;

use docker_containerizer::recover::Found;
use docker_containerizer::{RemovalDelay, chain};
use docker_engine::{AnonymousVolumes, Engine, Force, Removal};
use mesos_containerizer::Ran;
use mesos_proto::v1;
use mesos_types::AgentId;
use mesos_types::resource::limits_from_proto;
use task_supervisor::{Kind as Containerizer, Record, RunLayout, TaskKilling};
use tokio::time::sleep;

use super::adoption::{Known, Plan};
use super::foreign::StockRun;
use super::groups;
use super::kind::{End, Kind};
use super::open_runs::OpenRun;
use super::tasks::{Taken, Tasks};
use crate::core::{ExecutorLaunch, Launch, Launched};

/// The first pause before the engine is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is left of a container that had not started when it was last heard of.
enum Cleared {
    Gone,
    Started,
}

/// Carries one run on.
pub(super) struct Carrier {
    pub(super) tasks: Tasks,
    pub(super) work_dir: PathBuf,
    pub(super) agent_id: Option<AgentId>,
    pub(super) switch_user: bool,
    pub(super) remove_delay: Duration,
    pub(super) grace: Duration,
}

impl Carrier {
    /// `found` are our containers on the engine; `engine_id` is one of this run.
    pub(super) async fn carry(&self, open: OpenRun, engine_id: Option<String>, found: &[Found]) {
        match &open.plan {
            Plan::Adopt => {
                let Known::Record(record) = &open.known else { return };
                let layout = RunLayout::of(&self.work_dir, &record.identity());
                self.adopt(&open, layout, engine_id).await;
            }
            Plan::Relaunch => {
                let Known::Record(record) = &open.known else { return };
                let layout = RunLayout::of(&self.work_dir, &record.identity());
                match self.clear(record, &layout).await {
                    Cleared::Started => self.adopt(&open, layout, engine_id).await,
                    Cleared::Gone => self.launch_again(&open, record, &layout).await,
                }
            }
            Plan::Abandon => {
                let Known::Record(record) = &open.known else { return };
                let layout = RunLayout::of(&self.work_dir, &record.identity());
                match self.clear(record, &layout).await {
                    Cleared::Started => self.adopt(&open, layout, engine_id).await,
                    Cleared::Gone => {
                        groups::remove(self.tasks.supervisor(), open.run.container_id).await;
                        self.tasks.end(&open.run, open.kind, End::NeverLaunched).await;
                    }
                }
            }
            Plan::Report(status) => {
                self.tasks.end(&open.run, open.kind, End::Recorded(status.clone())).await;
            }
            Plan::NeverLaunched => {
                self.remove(engine_id).await;
                self.tasks.end(&open.run, open.kind, End::NeverLaunched).await;
            }
            Plan::Foreign => {
                let removal = RemovalDelay::After(self.remove_delay);
                let agent_id = self.agent_id.clone();
                StockRun::new(self.tasks.clone(), open, agent_id, self.grace, removal).carry(found).await;
            }
            Plan::Rebooted => {
                self.remove(engine_id).await;
                let why = "The machine was booted, which ended the executor".to_owned();
                self.tasks.end(&open.run, open.kind, End::Gone(why)).await;
            }
            Plan::GiveUp(why) => {
                self.give_up(&open, engine_id, why.clone()).await;
            }
        }
    }

    /// Takes a run over. One that cannot be is ended before that is told.
    async fn adopt(&self, open: &OpenRun, layout: RunLayout, engine_id: Option<String>) {
        let Some(agent_id) = &self.agent_id else { return };
        let taken = Taken {
            kind: open.kind,
            layout,
            killing: TaskKilling::of(&open.framework),
            told: open.told,
            user: open.sandbox_user.clone().filter(|_| self.switch_user),
            executor: open.executor.clone(),
            task: open.task(),
            is_waiting: matches!(&open.known, Known::Record(record) if record.is_waiting),
        };
        if let Err(why) = self.tasks.adopt(&open.run, agent_id, taken).await {
            self.give_up(open, engine_id, why).await;
        }
    }

    /// Ends what runs of a run that cannot be carried on, then tells why it cannot.
    async fn give_up(&self, open: &OpenRun, engine_id: Option<String>, why: String) {
        tracing::error!(container_id = %open.run.container_id, why, "a run of an earlier process cannot be carried on");
        self.remove(engine_id).await;
        let mut pause = FIRST_PAUSE;
        loop {
            match tokio::task::block_in_place(|| mesos_containerizer::kill_left(&open.state)) {
                Ok(0) => break,
                Ok(count) => {
                    tracing::info!(count, "processes of a run that cannot be carried on were killed")
                }
                // What is not known to run cannot be killed; a process of ours without a record of it was not started.
                Err(error) => {
                    tracing::warn!(%error, "it is not known whether processes of a run are left");
                    break;
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        self.tasks.end(&open.run, open.kind, End::Refused(why)).await;
    }

    /// Launches a run of which nothing has run; what its launch had put into the sandbox goes first.
    async fn launch_again(&self, open: &OpenRun, record: &Record, layout: &RunLayout) {
        let Some(agent_id) = &self.agent_id else { return };
        let emptied = tokio::task::block_in_place(|| sandbox::remove_all(layout.sandbox()));
        let (what, emptied) = match (launched(open), emptied) {
            (Some(what), Ok(emptied)) => (what, emptied),
            (None, _) => {
                let why = "its TaskInfo cannot be read".to_owned();
                return self.tasks.end(&open.run, open.kind, End::Refused(why)).await;
            }
            (Some(_), Err(error)) => {
                return self.tasks.end(&open.run, open.kind, End::Refused(chain(&error))).await;
            }
        };
        tracing::debug!(container_id = %open.run.container_id, ?record, ?emptied, "launched again");
        // From now on it must show that it goes on; before, it waited for the engine.
        self.tasks.progress(&open.run, open.kind).await;
        self.tasks.launch(
            agent_id,
            Launch {
                run: open.run.clone(),
                what,
                task_killing: TaskKilling::of(&open.framework) == TaskKilling::Sent,
                checkpoint: true,
                user: open.sandbox_user.clone().filter(|_| self.switch_user),
            },
        );
    }

    /// Clears away what the launch has made of which nothing has run.
    async fn clear(&self, record: &Record, layout: &RunLayout) -> Cleared {
        match record.containerizer {
            Containerizer::Docker => self.clear_container(&record.container_name).await,
            Containerizer::Mesos => match mesos_containerizer::ran(layout.state()).await {
                Ok(Ran::No) => Cleared::Gone,
                Ok(Ran::Yes) => Cleared::Started,
                // Who takes it over says what is wrong with the record.
                Err(error) => {
                    tracing::warn!(container_id = %record.identity().container_id, error = chain(&error),
                        "it is not known whether a process was started");
                    Cleared::Started
                }
            },
        }
    }

    /// Removes a container that was never started. One that has started meanwhile, as the earlier process may have asked
    /// for that with its last breath, is left: it must not be killed, and its task not run twice.
    async fn clear_container(&self, name: &str) -> Cleared {
        // Nobody can say whether it has: who takes it over tells that it cannot be followed.
        let Some(docker) = self.tasks.docker() else { return Cleared::Started };
        let engine: &Engine = docker.engine();
        let deadlines = engine.deadlines();
        let mut pause = FIRST_PAUSE;
        loop {
            match engine.inspect(name, deadlines.inspect).await {
                Ok(None) => return Cleared::Gone,
                Ok(Some(found)) if found.state.started_at.is_set() => return Cleared::Started,
                Ok(Some(found)) => {
                    let removed =
                        engine.remove(&found.id, Force::No, AnonymousVolumes::Remove, deadlines.remove).await;
                    if matches!(removed, Ok(Removal::Removed | Removal::AlreadyGone)) {
                        continue;
                    }
                    tracing::debug!(name, ?removed, "a container that was never started is still there");
                }
                Err(error) => tracing::warn!(name, error = chain(&error), "a container does not answer"),
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Removes a container before its run's end is told; tries until the engine says that it is gone.
    async fn remove(&self, engine_id: Option<String>) {
        let (Some(engine_id), Some(docker)) = (engine_id, self.tasks.docker()) else { return };
        let mut pause = FIRST_PAUSE;
        while let Err(error) = docker.remove_orphan(&engine_id).await {
            tracing::warn!(
                engine_id,
                error,
                "a container of an earlier process was not removed; trying again"
            );
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

/// What a record has to be launched again; `None` where it cannot be read.
fn launched(open: &OpenRun) -> Option<Launched> {
    let info: v1::TaskInfo = open.task()?;
    Some(match open.kind {
        Kind::Task => Launched::Task(info),
        Kind::Executor => Launched::Executor(Box::new(ExecutorLaunch {
            framework: open.framework.clone(),
            limits: limits_from_proto(&info.limits).ok()?,
            resources: info.resources,
            executor: v1::ExecutorInfo { container: info.container, ..open.executor.clone() },
        })),
    })
}
