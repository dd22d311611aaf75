//! Taking stock at the start: the work directory, then the engine, then each run on its own.
//!
//! The engine is the truth and the checkpoint the intent. A run whose container hangs does not hold up the others:
//! each is adopted by a task of its own, again and again until the engine says what became of it. Runs without an image
//! do not wait for the engine at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use docker_containerizer::recover::Found;
use docker_containerizer::{Containerizer, chain};
use mesos_types::{AgentId, ContainerId};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::carrier::Carrier;
use super::groups;
use super::leftovers::{self, Orphans, leftovers};
use super::open_runs::OpenRun;
use super::strays::strays;
use super::tasks::Tasks;

/// The first pause before the engine's list is asked for again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

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
    /// The runs of the checkpoint, also those that are over: what the engine has of them is ours.
    pub(super) known: BTreeSet<ContainerId>,
    /// How long a container that a stock agent made is kept once it has ended (`--docker_remove_delay`).
    pub(super) remove_delay: Duration,
    /// The grace of a stop of what a stock agent launched that names none.
    pub(super) grace: Duration,
}

impl Takeover {
    /// Takes over what can be; ends when every run was looked at once, or after a while. The rest goes on behind.
    pub(super) async fn run(self, open: Vec<OpenRun>) {
        let together = Arc::new(Semaphore::new(self.together.min(Semaphore::MAX_PERMITS)));
        let mut first_looks = JoinSet::new();
        for run in &open {
            tracing::info!(
                framework_id = %run.run.framework_id,
                executor_id = %run.run.executor_id,
                container_id = %run.run.container_id,
                plan = run.plan.name(),
                "a run of an earlier process"
            );
        }
        let carried: BTreeSet<ContainerId> =
            open.iter().filter(|run| run.plan.is_carried()).map(|run| run.run.container_id).collect();
        let (plain, others): (Vec<_>, Vec<_>) = open.into_iter().partition(OpenRun::is_plain);
        let strays = tokio::task::block_in_place(|| strays(&self.work_dir, &self.known));
        for stray in strays {
            let (tasks, grace, together) = (self.tasks.clone(), self.grace, together.clone());
            first_looks.spawn(async move {
                let permit = together.acquire_owned().await.ok();
                stray.stop(tasks.supervisor(), grace).await;
                drop(permit);
            });
        }
        let nothing: Arc<[Found]> = Arc::new([]);
        for run in plain {
            self.look(&mut first_looks, run, nothing.clone(), &together);
        }
        let found: Arc<[Found]> = match self.tasks.docker() {
            Some(docker) => {
                let found = self.found(&docker).await;
                let leftovers = leftovers(&found, &carried, &self.work_dir, self.orphans);
                tokio::spawn(leftovers::remove(docker, leftovers));
                found.into()
            }
            None => nothing,
        };
        for run in others {
            self.look(&mut first_looks, run, found.clone(), &together);
        }
        let all = async { while first_looks.join_next().await.is_some() {} };
        if timeout(self.patience, all).await.is_err() {
            tracing::warn!("some runs of the earlier process do not answer; going on without them for now");
            first_looks.detach_all();
        }
        groups::sweep(self.tasks.supervisor(), carried, self.known.clone());
    }

    /// Has one run carried on by a task of its own.
    fn look(&self, looks: &mut JoinSet<()>, run: OpenRun, found: Arc<[Found]>, together: &Arc<Semaphore>) {
        let by_id: BTreeMap<ContainerId, &Found> =
            found.iter().map(|found| (found.container_id, found)).collect();
        let engine_id = by_id.get(&run.run.container_id).map(|found| found.engine_id.clone());
        let carrier = Carrier {
            tasks: self.tasks.clone(),
            work_dir: self.work_dir.clone(),
            agent_id: self.agent_id.clone(),
            switch_user: self.switch_user,
            remove_delay: self.remove_delay,
            grace: self.grace,
        };
        let together = together.clone();
        looks.spawn(async move {
            // The semaphore is never closed.
            let permit = together.acquire_owned().await.ok();
            carrier.carry(run, engine_id, &found).await;
            drop(permit);
        });
    }

    /// Asks the engine for our containers until it answers.
    async fn found(&self, docker: &Containerizer) -> Vec<Found> {
        let mut pause = FIRST_PAUSE;
        loop {
            match docker.recover(&self.work_dir, &self.known).await {
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
