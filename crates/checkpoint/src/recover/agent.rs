//! The tree below an agent id: its frameworks, their executors, the runs of those and the tasks in them
//! (`SlaveState::recover` and what it calls).

use mesos_proto::internal::{StatusUpdate, UpdateOperationStatusMessage};
use mesos_proto::v1::{AgentInfo, DrainConfig, ExecutorInfo, FrameworkInfo, Task};
use mesos_types::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use uuid::Uuid;

use super::reader::Reader;
use super::state::{
    FindingKind, LeftoverReason, RecoveredAgent, RecoveredExecutor, RecoveredFramework, RecoveredOperation,
    RecoveredRun, RecoveredTask,
};
use crate::dir::Dir;
use crate::error::CheckpointError;
use crate::layout::{AgentPaths, ExecutorPaths, FrameworkPaths, RunPaths};
use crate::store::Missing;

/// What stands for the UPID of a scheduler that speaks HTTP.
const HTTP_SCHEDULER: &str = "@0.0.0.0:0";

impl Reader<'_> {
    pub(super) fn agent(&mut self, meta: &Dir) -> Result<Option<RecoveredAgent>, CheckpointError> {
        let Some(agents) = self.child(meta, "slaves")? else { return Ok(None) };
        let mut found = self.ids::<AgentId>(&agents)?;
        let latest: Option<AgentId> = self.latest(&agents)?;
        let current =
            found.iter().position(|(id, _)| Some(id) == latest.as_ref()).map(|at| found.swap_remove(at));
        let agent = match current {
            Some((id, dir)) => self.current_agent(id, &dir)?,
            None => None,
        };
        self.other_agents(agent.as_ref().map(|agent| &agent.id))?;
        Ok(agent)
    }

    /// Notes the directories of the agent ids that are not in use, which are all when there is none.
    fn other_agents(&mut self, current: Option<&AgentId>) -> Result<(), CheckpointError> {
        let layout = self.store.layout();
        for path in [layout.agents_meta(), layout.agents_work()] {
            let Ok(agents) = self.store.directory(&path, Missing::Refuse) else { continue };
            for entry in agents.entries()? {
                let id = entry.name.to_str().and_then(|name| name.parse::<AgentId>().ok());
                if id.is_some_and(|id| Some(&id) != current) && entry.kind == crate::dir::EntryKind::Directory
                {
                    self.leftover(agents.path().join(entry.name), LeftoverReason::OtherAgent);
                }
            }
        }
        Ok(())
    }

    fn current_agent(&mut self, id: AgentId, dir: &Dir) -> Result<Option<RecoveredAgent>, CheckpointError> {
        self.sweep(dir, |_| ())?;
        let paths = self.store.layout().agent(&id);
        let info = self.message(dir, "slave.info", "SlaveInfo", |info: &AgentInfo| {
            same("agent", id.as_str(), info.id.as_ref().map(|id| id.value.as_str()))
        })?;
        let Some(info) = info else {
            self.finding(paths.info(), FindingKind::Missing);
            return Ok(None);
        };
        let drain = self.message(dir, "drain.config", "DrainConfig", |_: &DrainConfig| Ok(()))?;
        let operations = self.operations(dir)?;
        let mut frameworks = Vec::new();
        if let Some(children) = self.child(dir, "frameworks")? {
            for (framework, child) in self.ids::<FrameworkId>(&children)? {
                let below = paths.framework(&framework);
                frameworks.extend(self.framework(framework, &below, &child)?);
            }
        }
        self.unrecorded_frameworks(&paths, &frameworks)?;
        Ok(Some(RecoveredAgent { id, paths, info, drain, operations, frameworks }))
    }

    /// Notes the sandboxes of frameworks that did not checkpoint: no start knows them any more. Stock leaves them.
    fn unrecorded_frameworks(
        &mut self,
        paths: &AgentPaths,
        recovered: &[RecoveredFramework],
    ) -> Result<(), CheckpointError> {
        let Ok(children) = self.store.directory(&paths.work().join("frameworks"), Missing::Refuse) else {
            return Ok(());
        };
        for (id, child) in self.ids::<FrameworkId>(&children)? {
            let known = recovered.iter().any(|framework| framework.id == id);
            let noted = self.state.leftovers.iter().any(|leftover| leftover.path == child.path());
            if !known && !noted {
                self.leftover(child.path().to_owned(), LeftoverReason::Skipped);
            }
        }
        Ok(())
    }

    fn operations(&mut self, agent: &Dir) -> Result<Vec<RecoveredOperation>, CheckpointError> {
        let Some(children) = self.child(agent, "operations")? else { return Ok(Vec::new()) };
        let mut operations = Vec::new();
        for (uuid, dir) in self.ids::<Uuid>(&children)? {
            self.sweep(&dir, |_| ())?;
            let updates =
                self.updates(&dir, "operation.updates", |update: &UpdateOperationStatusMessage| {
                    let found = update.operation_uuid.as_ref().map(|found| found.value.as_slice());
                    match found == Some(uuid.as_bytes()) {
                        true => Ok(()),
                        false => Err("an update is of another operation".to_owned()),
                    }
                })?;
            operations.push(RecoveredOperation { uuid, updates });
        }
        Ok(operations)
    }

    fn framework(
        &mut self,
        id: FrameworkId,
        paths: &FrameworkPaths,
        dir: &Dir,
    ) -> Result<Option<RecoveredFramework>, CheckpointError> {
        self.sweep(dir, |_| ())?;
        let info = self.message(dir, "framework.info", "FrameworkInfo", |info: &FrameworkInfo| {
            match info.id.as_ref() {
                // Old schedulers set none; the directory's name stands then.
                None => Ok(()),
                Some(found) => same("framework", id.as_str(), Some(&found.value)),
            }
        })?;
        let Some(info) = info else {
            self.skipped(paths.info(), [paths.meta(), paths.work()]);
            return Ok(None);
        };
        let Some(pid) = self.text(dir, "framework.pid", |pid| Ok(pid.to_owned()))? else {
            self.skipped(paths.pid(), [paths.meta(), paths.work()]);
            return Ok(None);
        };
        let pid = Some(pid).filter(|pid| pid != HTTP_SCHEDULER);
        let mut executors = Vec::new();
        if let Some(children) = self.child(dir, "executors")? {
            for (executor, child) in self.ids::<ExecutorId>(&children)? {
                let below = paths.executor(&executor);
                executors.extend(self.executor(executor, &below, &child)?);
            }
        }
        Ok(Some(RecoveredFramework { id, paths: paths.clone(), info, pid, executors }))
    }

    fn executor(
        &mut self,
        id: ExecutorId,
        paths: &ExecutorPaths,
        dir: &Dir,
    ) -> Result<Option<RecoveredExecutor>, CheckpointError> {
        self.sweep(dir, |_| ())?;
        let directories = [paths.meta(), paths.work()];
        let info = self.message(dir, "executor.info", "ExecutorInfo", |info: &ExecutorInfo| {
            same("executor", id.as_str(), Some(&info.executor_id.value))
        })?;
        let Some(info) = info else {
            self.skipped(paths.info(), directories);
            return Ok(None);
        };
        let generated = self
            .text(dir, "executor_generated_for_command_task", |text| match text.parse::<i64>() {
                Ok(number) => Ok(number != 0),
                Err(_) => Err(format!("it holds {text:?}, neither 0 nor 1")),
            })?
            .unwrap_or_else(|| looks_generated(&info));
        let Some(children) = self.child(dir, "runs")? else {
            self.skipped(paths.latest_meta(), directories);
            return Ok(None);
        };
        let found = self.ids::<ContainerId>(&children)?;
        let latest = self.latest::<ContainerId>(&children)?;
        let Some(latest) = latest.filter(|latest| found.iter().any(|(id, _)| id == latest)) else {
            self.skipped(paths.latest_meta(), directories);
            return Ok(None);
        };
        let mut runs = Vec::new();
        for (run, child) in found {
            let below = paths.run(run);
            runs.push(self.run(run, below, &child)?);
        }
        Ok(Some(RecoveredExecutor { id, paths: paths.clone(), info, generated, latest, runs }))
    }

    fn run(&mut self, id: ContainerId, paths: RunPaths, dir: &Dir) -> Result<RecoveredRun, CheckpointError> {
        self.sweep(dir, |_| ())?;
        let completed = dir.exists("executor.sentinel")?;
        let http = dir.exists("http.marker")?;
        let (mut forked_pid, mut libprocess_pid) = (None, None);
        if let Some(pids) = self.child(dir, "pids")? {
            self.sweep(&pids, |_| ())?;
            if self.state.rebooted {
                self.forget_pids(&pids)?;
            } else {
                forked_pid = self.text(&pids, "forked.pid", |text| {
                    text.parse().map_err(|_| format!("it holds {text:?}, which is no process id"))
                })?;
                libprocess_pid = self.text(&pids, "libprocess.pid", |text| Ok(text.to_owned()))?;
            }
        }
        let mut tasks = Vec::new();
        if let Some(children) = self.child(dir, "tasks")? {
            for (task, child) in self.ids::<TaskId>(&children)? {
                tasks.extend(self.task(task, &paths, &child)?);
            }
        }
        Ok(RecoveredRun { id, paths, completed, forked_pid, libprocess_pid, http, tasks })
    }

    /// Removes the process ids of an earlier boot: the start after this one sees no reboot and would trust them.
    fn forget_pids(&mut self, pids: &Dir) -> Result<(), CheckpointError> {
        for name in ["forked.pid", "libprocess.pid"] {
            if pids.exists(name)? {
                pids.remove(name)?;
                self.finding(pids.path().join(name), FindingKind::StalePidRemoved);
            }
        }
        Ok(())
    }

    fn task(
        &mut self,
        id: TaskId,
        run: &RunPaths,
        dir: &Dir,
    ) -> Result<Option<RecoveredTask>, CheckpointError> {
        self.sweep(dir, |_| ())?;
        let paths = run.task(&id);
        let info = self.message(dir, "task.info", "Task", |task: &Task| {
            same("task", id.as_str(), Some(&task.task_id.value))
        })?;
        let Some(info) = info else {
            self.finding(paths.info(), FindingKind::Missing);
            return Ok(None);
        };
        let updates = self.updates(dir, "task.updates", |update: &StatusUpdate| {
            same("task", id.as_str(), Some(&update.status.task_id.value))
        })?;
        Ok(Some(RecoveredTask { id, paths, info, updates }))
    }
}

/// Checks that a message is about what its directory is named after.
fn same(kind: &str, expected: &str, found: Option<&str>) -> Result<(), String> {
    match found {
        Some(found) if found == expected => Ok(()),
        Some("") | None => Err(format!("it names no {kind}, in the directory of {expected:?}")),
        Some(found) => Err(format!("it is of the {kind} {:?}, not of {expected:?}", shown(found))),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What agents before 1.5 went by, which wrote no flag (`isCommandExecutor`).
fn looks_generated(info: &ExecutorInfo) -> bool {
    let value = info.command.as_ref().and_then(|command| command.value.as_deref()).unwrap_or_default();
    value.ends_with("mesos-executor")
        && info.name.as_deref().unwrap_or_default().starts_with("Command Executor")
}
