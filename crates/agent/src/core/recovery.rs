//! What an earlier process left becomes the model again (`Slave::recover`, `Framework::recoverExecutor` in
//! `src/slave/slave.cpp`).
//!
//! A task's place follows from its stream of updates alone: no update, it is queued; a terminal one, terminated, or
//! completed where that was acknowledged; else launched. Whether a container still runs is found out afterwards, and told
//! as any other task event.

use std::collections::BTreeMap;

use checkpoint::recover::{RecoveredExecutor, RecoveredFramework, RecoveredRun, RecoveredTask};
use mesos_proto::v1;
use mesos_types::resource::HoldsResources;
use mesos_types::resource::format::upgrade;
use mesos_types::{AgentId, ContainerId};

use super::action::{Action, Garbage};
use super::event::{Now, Run};
use super::state::State;
use super::updates::record;
use crate::model::{
    Contact, Draining, Executor, ExecutorPhase, Framework, Generated, LiveTask, Recovery, Stage,
};
use crate::status_updates::Replayed;

/// What an earlier process left, and what this one is.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The agent's id; none for a new agent.
    pub agent_id: Option<AgentId>,
    /// What is announced, with the id.
    pub info: v1::AgentInfo,
    /// Whether that is not what the checkpoint says.
    pub changed: bool,
    /// The dynamically reserved and persistent resources.
    pub checkpointed_resources: Vec<v1::Resource>,
    /// What the agent has with those applied.
    pub total_resources: Vec<v1::Resource>,
    /// A drain that was under way.
    pub draining: Option<v1::DrainConfig>,
    /// The frameworks with their executors and tasks.
    pub frameworks: Vec<RecoveredFramework>,
    /// The tasks of the runs that were accepted, as they were received.
    pub accepted: BTreeMap<ContainerId, v1::TaskInfo>,
    /// How much could not be read.
    pub errors: u64,
    /// Since when the recovery went on.
    pub since: f64,
    /// What becomes of the tasks.
    pub intent: Intent,
}

/// What becomes of an earlier process' tasks (`--recover`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Intent {
    /// They go on.
    #[default]
    Reconnect,
    /// They are stopped, then the process ends.
    Cleanup,
}

impl State {
    /// The recovery is done: the agent looks for its master.
    pub(super) fn recovered(&mut self, found: Recovered, now: Now, out: &mut Vec<Action>) {
        self.agent.id.clone_from(&found.agent_id);
        self.agent.info = found.info;
        self.agent.checkpointed_resources = found.checkpointed_resources;
        self.agent.total_resources = found.total_resources;
        self.agent.counters.recovery_errors = found.errors;
        self.agent.recovery_time_secs = Some((now.unix - found.since).max(0.0));
        self.agent.recovery = Recovery::Done;
        self.agent.draining = found.draining.map(|config| Draining { config, started: now.unix });
        self.registration.changed = found.changed;
        for framework in &found.frameworks {
            self.recover_framework(framework, &found.accepted, out);
        }
        let done: Vec<_> = self.runs.values().cloned().collect();
        for run in done {
            self.remove_if_done(&run.framework_id, &run.executor_id, out);
        }
        let ids: Vec<_> = self.agent.frameworks.keys().cloned().collect();
        for id in ids {
            self.forget_if_idle(&id, out);
        }
        match found.intent {
            Intent::Reconnect => self.await_executors(now, out),
            Intent::Cleanup => self.end_agent(now, out),
        }
    }

    fn recover_framework(
        &mut self,
        found: &RecoveredFramework,
        accepted: &BTreeMap<ContainerId, v1::TaskInfo>,
        out: &mut Vec<Action>,
    ) {
        // Old schedulers set no id of their own; a master takes no framework without one.
        let id = Some(v1::FrameworkId { value: found.id.as_str().into() });
        let info = v1::FrameworkInfo { id, ..found.info.clone() };
        let mut framework = Framework::new(found.id.clone(), info, found.pid.clone())
            .remembering(self.settings.max_completed_executors);
        for executor in &found.executors {
            let name = |container_id| Run {
                framework_id: found.id.clone(),
                executor_id: executor.id.clone(),
                container_id,
            };
            // What is over waits for its removal again.
            for run in executor.runs.iter().filter(|run| run.completed || run.id != executor.latest) {
                out.push(Action::CollectAgain(Garbage::Run(name(run.id))));
            }
            let Some(run) = executor.latest_run() else { continue };
            let name = name(run.id);
            let recovered = self.recover_executor(executor, run, &name, accepted.get(&run.id));
            if run.completed {
                out.push(Action::CollectAgain(Garbage::Executor(found.id.clone(), executor.id.clone())));
                framework.completed_executors.push(recovered);
                continue;
            }
            if recovered.has_program() {
                self.awaited.insert(run.id, run.libprocess_pid.clone());
            }
            self.runs.insert(run.id, name);
            framework.executors.insert(executor.id.clone(), recovered);
        }
        self.agent.frameworks.insert(found.id.clone(), framework);
    }

    fn recover_executor(
        &mut self,
        found: &RecoveredExecutor,
        run: &RecoveredRun,
        name: &Run,
        accepted: Option<&v1::TaskInfo>,
    ) -> Executor {
        let generated = if found.generated { Generated::ForCommandTask } else { Generated::No };
        let mut executor = Executor::new(
            found.id.clone(),
            upgraded(found.info.clone()),
            generated,
            run.id,
            run.paths.sandbox().to_owned(),
            found.info.command.as_ref().and_then(|command| command.user.clone()),
        );
        let has_program = has_program(found, run, accepted);
        executor.contact = if has_program { Contact::Nobody } else { Contact::InProcess };
        let has_told = |task: &RecoveredTask| !task.updates.updates.is_empty();
        executor.was_given_tasks = run.libprocess_pid.is_some() || run.http || run.tasks.iter().any(has_told);
        executor.phase = if run.completed { ExecutorPhase::Terminated } else { ExecutorPhase::Registering };
        for found in &run.tasks {
            let mut task = live_task(found, accepted.filter(|_| !has_program));
            let is_history = run.completed
                || self.updates.replay(&name.framework_id, &task.id, name.clone(), &found.updates)
                    == Replayed::Complete;
            if is_history {
                executor.completed_tasks.push(task.task);
                continue;
            }
            if let Some((state, uuid)) = self.updates.in_flight(&name.framework_id, &task.id) {
                task.task.status_update_state = Some(state.into());
                task.task.status_update_uuid = Some(uuid.as_bytes().to_vec());
            }
            executor.tasks.push(task);
        }
        if !run.completed && !has_program {
            executor.phase = phase_of(&executor.tasks);
        }
        executor
    }
}

/// Whether a program of its own stands behind a run: every executor of a framework, and those that a stock agent made up
/// for its command tasks. Of ours, which are supervised in this process, the task is known.
fn has_program(executor: &RecoveredExecutor, run: &RecoveredRun, accepted: Option<&v1::TaskInfo>) -> bool {
    let has_process = run.forked_pid.is_some() || run.libprocess_pid.is_some() || run.http;
    !executor.generated || (has_process && accepted.is_none())
}

/// A copy in our form. What cannot be understood stays as it is: it names no resource of this agent.
fn upgraded<M: HoldsResources + Clone>(message: M) -> M {
    let mut copy = message.clone();
    match upgrade(&mut copy) {
        Ok(()) => copy,
        Err(error) => {
            tracing::warn!(%error, "a resource of an earlier process cannot be understood");
            message
        }
    }
}

/// How far an executor is whose tasks are these.
fn phase_of(tasks: &[LiveTask]) -> ExecutorPhase {
    let has = |stage: fn(&Stage) -> bool| tasks.iter().any(|task| stage(&task.stage));
    if has(|stage| matches!(stage, Stage::Launched)) {
        ExecutorPhase::Running
    } else if has(|stage| matches!(stage, Stage::Queued(_))) {
        ExecutorPhase::Registering
    } else {
        ExecutorPhase::Terminated
    }
}

/// A task with what its stream says of it.
fn live_task(found: &RecoveredTask, accepted: Option<&v1::TaskInfo>) -> LiveTask {
    let mut task =
        LiveTask { id: found.id.clone(), task: upgraded(found.info.clone()), stage: Stage::Launched };
    for update in &found.updates.updates {
        record(&mut task, &update.status);
    }
    if found.updates.updates.is_empty()
        && let Some(info) = accepted
    {
        task.stage = Stage::Queued(Box::new(info.clone()));
    }
    task
}
