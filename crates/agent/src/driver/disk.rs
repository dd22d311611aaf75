//! Writing below the work directory what the core wants written.

use std::path::{Path, PathBuf};

use checkpoint::resources::ResourceState;
use checkpoint::{CheckpointError, ResourceChange, Store, WorkDir};
use mesos_types::{AgentId, ResourceSet};

use super::error::AgentError;
use crate::core::{Garbage, Run, Write, outward};
use crate::resources::sync_volumes;

/// The agent's directory, once it has an id.
#[derive(Debug)]
pub(super) struct Disk {
    store: Store,
    agent_id: Option<AgentId>,
    /// The reservations and volumes that stand on the disk.
    checkpointed: ResourceSet,
}

impl Disk {
    /// Writes into `store`, below the directory of `agent_id` if there is one yet; `checkpointed` are the reservations
    /// and volumes that stand there.
    pub(super) fn new(store: Store, agent_id: Option<AgentId>, checkpointed: ResourceSet) -> Self {
        Self { store, agent_id, checkpointed }
    }

    /// The paths.
    pub(super) fn layout(&self) -> &WorkDir {
        self.store.layout()
    }

    /// Where the sandbox of a run is.
    pub(super) fn sandbox(&self, run: &Run) -> Option<PathBuf> {
        let agent = self.layout().agent(self.agent_id.as_ref()?);
        let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
        Some(executor.run(run.container_id).sandbox().to_owned())
    }

    /// Makes a sandbox the executor's newest.
    fn point_to_sandbox(&self, run: &Run) -> Result<(), CheckpointError> {
        let Some(agent_id) = &self.agent_id else { return Ok(()) };
        let agent = self.layout().agent(agent_id);
        let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
        self.store.point_to_sandbox(&executor, &executor.run(run.container_id))
    }

    /// Performs writes, and makes the sandboxes of `launched` their executors' newest. `note` is called for the run of a
    /// task before that is written. Blocks until all stands on the disk.
    ///
    /// # Errors
    ///
    /// Those of the file system, with the path, and those of `note`.
    pub(super) fn write_all(
        &mut self,
        writes: &[Write],
        launched: &[Run],
        note: impl Fn(&Run) -> Result<(), AgentError>,
    ) -> Result<(), AgentError> {
        if let [write] = writes
            && !write.is_of_a_task()
        {
            return self.write(write);
        }
        let later = self.store.later();
        let mut pointed = Vec::new();
        for write in writes {
            if let Write::Task(run, ..) = write {
                note(run)?;
                // Who finds the task finds its sandbox as the newest too, also after a crash at the next line.
                if launched.contains(run) {
                    self.point_to_sandbox(run)?;
                    pointed.push(run);
                }
            }
            self.write(write)?;
        }
        for run in launched.iter().filter(|run| !pointed.contains(run)) {
            self.point_to_sandbox(run)?;
        }
        Ok(later.settle()?)
    }

    fn write(&mut self, write: &Write) -> Result<(), AgentError> {
        if let Write::Agent(info) = write {
            self.agent_id = info.id.as_ref().and_then(|id| id.value.parse().ok());
        }
        let Some(agent_id) = &self.agent_id else { return Ok(()) };
        let agent = self.layout().agent(agent_id);
        let store = &self.store;
        match write {
            Write::Agent(info) => store.write_agent(&agent, info)?,
            Write::Framework(id, info, pid) => {
                store.write_framework(&agent.framework(id), info, pid.as_deref())?;
            }
            Write::Executor(run, info, generated) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                store.write_executor(&executor, info, *generated)?;
                store.create_run(&executor, &executor.run(run.container_id))?;
            }
            Write::Task(run, id, task) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                store.write_task(&executor.run(run.container_id).task(id), task)?;
            }
            Write::Update(run, id, record) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                store.append_task_update(&executor.run(run.container_id).task(id), record)?;
            }
            Write::ExecutorPid(run, upid) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                store.write_executor_pid(&executor.run(run.container_id), upid)?;
            }
            Write::HttpMarker(run) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                store.write_http_marker(&executor.run(run.container_id))?;
            }
            Write::Sentinel(run) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                store.complete_run(&executor.run(run.container_id))?;
            }
            Write::Forget => store.forget_agent()?,
            Write::Drain(config) => store.write_drain_config(&agent, config.as_ref())?,
            Write::Resources(resources) => {
                let new = ResourceSet::from_protos(resources).unwrap_or_default();
                commit_resources(store, &self.checkpointed, &new)?;
                self.checkpointed = new;
            }
        }
        Ok(())
    }

    /// The directories of garbage, those with records and those with sandboxes.
    pub(super) fn directories(&self, garbage: &Garbage) -> Vec<PathBuf> {
        let Some(agent_id) = &self.agent_id else { return Vec::new() };
        let agent = self.layout().agent(agent_id);
        let both = |work: &Path, meta: &Path| vec![work.to_owned(), meta.to_owned()];
        match garbage {
            Garbage::Task(run, id) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                vec![executor.run(run.container_id).task(id).meta().to_owned()]
            }
            Garbage::Run(run) => {
                let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
                let run = executor.run(run.container_id);
                both(run.sandbox(), run.meta())
            }
            Garbage::Executor(framework_id, executor_id) => {
                let executor = agent.framework(framework_id).executor(executor_id);
                both(executor.work(), executor.meta())
            }
            Garbage::Framework(id) => {
                let framework = agent.framework(id);
                both(framework.work(), framework.meta())
            }
        }
    }
}

/// Makes the directories of new volumes, removes those of destroyed ones, and writes the list of reservations and
/// volumes. May be repeated. Blocks.
///
/// # Errors
///
/// What cannot be written, made or removed.
pub(super) fn commit_resources(
    store: &Store,
    old: &ResourceSet,
    new: &ResourceSet,
) -> Result<(), AgentError> {
    let resources = new.to_protos();
    let change = ResourceChange {
        state: ResourceState { operations: Vec::new(), resources: resources.clone() },
        resources: Some(resources.into_iter().map(outward).collect()),
    };
    let work_dir = store.layout().root();
    store.commit_resources(&change, || sync_volumes(work_dir, old, new)).map_err(Into::into)
}
