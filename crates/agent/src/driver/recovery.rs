//! Taking stock at the start: the work directory, then the engine, then each run on its own.
//!
//! The engine is the truth and the checkpoint the intent. A run whose container hangs does not hold up the others:
//! each is adopted by a task of its own, again and again until the engine says what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use checkpoint::recover::{RecoveredAgent, RecoveredExecutor, RecoveredFramework, RecoveredRun};
use docker_containerizer::recover::Found;
use docker_containerizer::{Checkpoint, chain};
use docker_engine::{AnonymousVolumes, Force, Removal};
use mesos_proto::{Message as _, v1};
use mesos_types::{AgentId, ContainerId};
use task_supervisor::{Record, RecordStore, RunLayout, TaskKilling};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::adoption::{Known, Plan, plan};
use super::tasks::{Adopted, Tasks};
use crate::core::{Launch, Run};
use crate::model::is_terminal;

/// The first pause before the engine's list is asked for again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A run that was not over when the earlier process ended.
#[derive(Debug)]
pub(super) struct OpenRun {
    run: Run,
    framework: v1::FrameworkInfo,
    /// The state that the stream of its task has last; staging without any.
    told: v1::TaskState,
    is_stock: bool,
    known: Known,
    sandbox_user: Option<String>,
}

/// The runs that were not over, with what is known of each. Blocks on the file system.
pub(super) fn open_runs(agent: &RecoveredAgent) -> Vec<OpenRun> {
    let mut open = Vec::new();
    for framework in &agent.frameworks {
        for executor in &framework.executors {
            let Some(run) = executor.latest_run().filter(|run| !run.completed) else { continue };
            let is_live = |task: &checkpoint::recover::RecoveredTask| {
                !task.updates.updates.iter().any(|update| is_terminal(update.status.state()))
            };
            if let Some(task) = run.tasks.iter().find(|task| is_live(task)) {
                let told = task.updates.updates.last().map(|update| update.status.state());
                open.push(open_run(framework, executor, run, told));
            }
        }
    }
    open
}

fn open_run(
    framework: &RecoveredFramework,
    executor: &RecoveredExecutor,
    run: &RecoveredRun,
    told: Option<v1::TaskState>,
) -> OpenRun {
    let known = match RecordStore::new(run.paths.meta()).read() {
        Ok(record) => Known::Record(Box::new(record)),
        Err(error) if error.is_missing() => Known::Nothing,
        Err(error) => Known::Unreadable(chain(&error)),
    };
    let own = executor.info.command.as_ref().and_then(|command| command.user.clone());
    OpenRun {
        run: Run {
            framework_id: framework.id.clone(),
            executor_id: executor.id.clone(),
            container_id: run.id,
        },
        framework: framework.info.clone(),
        told: told.unwrap_or(v1::TaskState::TaskStaging),
        is_stock: run.forked_pid.is_some() || run.libprocess_pid.is_some() || run.http,
        known,
        sandbox_user: Some(own.unwrap_or_else(|| framework.info.user.clone())),
    }
}

/// Takes kills of the open runs from now on: the core may decide on them as soon as it knows of the runs.
pub(super) fn enter(tasks: &Tasks, open: &[OpenRun]) {
    for run in open {
        tasks.enter(&run.run);
    }
}

/// The tasks of the open runs as they were received.
pub(super) fn accepted(open: &[OpenRun]) -> BTreeMap<ContainerId, v1::TaskInfo> {
    let task = |run: &OpenRun| match &run.known {
        Known::Record(record) => v1::TaskInfo::decode(record.task_info.as_slice()).ok(),
        Known::Nothing | Known::Unreadable(_) => None,
    };
    open.iter().filter_map(|run| Some((run.run.container_id, task(run)?))).collect()
}

/// Takes the open runs over, and removes what nobody carries.
#[derive(Debug)]
pub(super) struct Takeover {
    pub(super) tasks: Tasks,
    pub(super) work_dir: PathBuf,
    /// None for a new agent, which has nothing to take over.
    pub(super) agent_id: Option<AgentId>,
    /// Whether users own their sandboxes.
    pub(super) switch_user: bool,
    /// How many runs are looked at at once.
    pub(super) together: usize,
    /// How long the first look at all runs may take before the agent goes on without those that hang.
    pub(super) patience: Duration,
    pub(super) orphans: Orphans,
}

/// What becomes of containers of ours that are in no checkpoint (`--docker_kill_orphans`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphans {
    Removed,
    Left,
}

impl Takeover {
    /// Takes over what can be; ends when every run was looked at once, or after a while. The rest goes on behind.
    pub(super) async fn run(self, open: Vec<OpenRun>) {
        let known: BTreeSet<ContainerId> = open.iter().map(|run| run.run.container_id).collect();
        let found = self.found(&known).await;
        let by_id: BTreeMap<ContainerId, &Found> =
            found.iter().map(|found| (found.container_id, found)).collect();
        let together = Arc::new(Semaphore::new(self.together.min(Semaphore::MAX_PERMITS)));
        let mut first_looks = JoinSet::new();
        let mut carried = BTreeSet::new();
        for run in open {
            let plan = plan(&run.known, run.is_stock);
            tracing::info!(
                framework_id = %run.run.framework_id,
                task = %run.run.executor_id,
                container_id = %run.run.container_id,
                plan = plan_name(&plan),
                "a task of an earlier process"
            );
            if matches!(plan, Plan::Adopt | Plan::Relaunch) {
                carried.insert(run.run.container_id);
            }
            let engine_id = by_id.get(&run.run.container_id).map(|found| found.engine_id.clone());
            let together = together.clone();
            let carrier = Carrier {
                tasks: self.tasks.clone(),
                work_dir: self.work_dir.clone(),
                agent_id: self.agent_id.clone(),
                switch_user: self.switch_user,
            };
            first_looks.spawn(async move {
                // The semaphore is never closed.
                let permit = together.acquire_owned().await.ok();
                carrier.carry(run, plan, engine_id).await;
                drop(permit);
            });
        }
        let containerizer = self.tasks.supervisor().containerizer().clone();
        let leftovers = leftovers(&found, &carried, &self.work_dir, self.orphans);
        tokio::spawn(async move {
            for (engine_id, when) in leftovers {
                sleep_until(when).await;
                if let Err(error) = containerizer.remove_orphan(&engine_id).await {
                    tracing::warn!(engine_id, error, "a container of an earlier process was not removed");
                }
            }
        });
        let all = async { while first_looks.join_next().await.is_some() {} };
        if timeout(self.patience, all).await.is_err() {
            tracing::warn!("some tasks of the earlier process do not answer; going on without them for now");
            first_looks.detach_all();
        }
    }

    /// Asks the engine for our containers until it answers.
    async fn found(&self, known: &BTreeSet<ContainerId>) -> Vec<Found> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.tasks.supervisor().containerizer().recover(&self.work_dir, known).await {
                Ok(found) => return found,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the engine does not list our containers; waiting");
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// What is left of a container that had not started when it was last heard of.
enum Cleared {
    Gone,
    Started,
}

/// Carries one run on.
struct Carrier {
    tasks: Tasks,
    work_dir: PathBuf,
    agent_id: Option<AgentId>,
    switch_user: bool,
}

impl Carrier {
    async fn carry(&self, run: OpenRun, plan: Plan, engine_id: Option<String>) {
        match plan {
            Plan::Adopt => {
                let Known::Record(record) = &run.known else { return };
                let layout = RunLayout::of(&self.work_dir, &record.identity());
                self.adopt(&run, layout, engine_id).await;
            }
            Plan::Relaunch => {
                let Known::Record(record) = &run.known else { return };
                let layout = RunLayout::of(&self.work_dir, &record.identity());
                match self.clear(&record.container_name).await {
                    Cleared::Started => self.adopt(&run, layout, engine_id).await,
                    Cleared::Gone => self.launch_again(&run, record, &layout).await,
                }
            }
            Plan::Report(status) => self.tasks.settle(run.run, Adopted::Ended(status)).await,
            Plan::NeverLaunched => {
                self.remove(engine_id).await;
                self.tasks.settle(run.run, Adopted::NeverLaunched).await;
            }
            Plan::NotOurs => {
                self.remove(engine_id).await;
                self.tasks.settle(run.run, Adopted::NotOurs).await;
            }
            Plan::GiveUp(why) => {
                self.remove(engine_id).await;
                self.tasks.settle(run.run, Adopted::GaveUp(why)).await;
            }
        }
    }

    /// Takes a task over. One that cannot be is ended before that is told.
    async fn adopt(&self, run: &OpenRun, layout: RunLayout, engine_id: Option<String>) {
        let killing = TaskKilling::of(&run.framework);
        if let Err(why) = self.tasks.adopt(&run.run, layout, killing, run.told).await {
            self.remove(engine_id).await;
            self.tasks.settle(run.run.clone(), Adopted::GaveUp(why)).await;
        }
    }

    /// Launches a task of which nothing has run; what its launch had put into the sandbox goes first.
    async fn launch_again(&self, run: &OpenRun, record: &Record, layout: &RunLayout) {
        let Some(agent_id) = &self.agent_id else { return };
        let info = v1::TaskInfo::decode(record.task_info.as_slice());
        let emptied = tokio::task::block_in_place(|| sandbox::remove_all(layout.sandbox()));
        let (info, emptied) = match (info, emptied) {
            (Ok(info), Ok(emptied)) => (info, emptied),
            (Err(_), _) => {
                let why = "its TaskInfo cannot be read".to_owned();
                return self.tasks.settle(run.run.clone(), Adopted::GaveUp(why)).await;
            }
            (Ok(_), Err(error)) => {
                return self.tasks.settle(run.run.clone(), Adopted::GaveUp(chain(&error))).await;
            }
        };
        tracing::debug!(container_id = %run.run.container_id, ?emptied, "launched again");
        // From now on it must show that it goes on; before, it waited for the engine.
        self.tasks.progress(&run.run).await;
        self.tasks.launch(
            agent_id,
            Launch {
                run: run.run.clone(),
                info,
                task_killing: TaskKilling::of(&run.framework) == TaskKilling::Sent,
                checkpoint: true,
                user: run.sandbox_user.clone().filter(|_| self.switch_user),
            },
        );
    }

    /// Removes a container that was never started. One that has started meanwhile, as the earlier process may have asked
    /// for that with its last breath, is left: it must not be killed, and its task not run twice.
    async fn clear(&self, name: &str) -> Cleared {
        let engine = self.tasks.supervisor().containerizer().engine();
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

    /// Removes a container before its task's end is told; tries until the engine says that it is gone.
    async fn remove(&self, engine_id: Option<String>) {
        let Some(engine_id) = engine_id else { return };
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.tasks.supervisor().containerizer().remove_orphan(&engine_id).await {
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

/// The containers that nobody carries, with the time of their removal, the earliest first. Those of frameworks without
/// checkpoints go at once whatever the flag says: the master has given their tasks up.
fn leftovers(
    found: &[Found],
    carried: &BTreeSet<ContainerId>,
    work_dir: &Path,
    orphans: Orphans,
) -> Vec<(String, Instant)> {
    let now = Instant::now();
    let mut leftovers = Vec::new();
    for found in found.iter().filter(|found| !carried.contains(&found.container_id)) {
        let is_transient = found.labels.as_ref().is_some_and(|labels| labels.checkpoint == Checkpoint::No);
        let planned = if is_transient { None } else { planned_removal(found, work_dir) };
        match planned {
            Some(left) => leftovers.push((found.engine_id.clone(), now + left)),
            None if is_transient || orphans == Orphans::Removed => {
                leftovers.push((found.engine_id.clone(), now));
            }
            None => tracing::info!(container = found.name, "an orphan is left: --no-docker_kill_orphans"),
        }
    }
    leftovers.sort_by_key(|(_, when)| *when);
    leftovers
}

/// How long a stopped container is still kept for people to look at, as its record says.
fn planned_removal(found: &Found, work_dir: &Path) -> Option<Duration> {
    if found.state == "running" {
        return None;
    }
    let identity = &found.labels.as_ref()?.identity;
    let layout = RunLayout::of(work_dir, identity);
    let removal = RecordStore::new(layout.state()).read().ok()?.removal_ns?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_nanos(removal).saturating_sub(now))
}

fn plan_name(plan: &Plan) -> &'static str {
    match plan {
        Plan::Adopt => "adopt",
        Plan::Relaunch => "launch again",
        Plan::Report(_) => "report",
        Plan::NeverLaunched => "never launched",
        Plan::NotOurs => "give up: a stock executor",
        Plan::GiveUp(_) => "give up",
    }
}
