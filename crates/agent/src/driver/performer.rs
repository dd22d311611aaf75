//! Performs the core's actions in their order, on a thread of its own: most of them wait for the disk.
//!
//! What is sent after a write is sent once the write stands, since both go through this one queue. A write that fails
//! ends the process: the tasks go on, and the next start finds what was written before.

use std::path::PathBuf;

use libprocess::{Outbox, Upid};
use mesos_types::AgentId;
use task_supervisor::KillRequest;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::disk::Disk;
use super::error::AgentError;
use super::tasks::Tasks;
use super::wire;
use crate::authentication::Authenticator;
use crate::core::{Action, Event, Exit, Garbage, Launch, Run, Write};
use crate::executors::Gateway;
use crate::files::{Files, RunDirectory};
use crate::gc::{Collector, CollectorGone};

/// How many actions are looked at together.
const TOGETHER: usize = 256;

/// Writes, and what is done once they stand.
#[derive(Debug, Default, PartialEq)]
struct Group {
    writes: Vec<Write>,
    then: Vec<Action>,
}

/// Puts actions into groups. A write that others wait for, or that has steps of its own, is a group alone.
fn groups(wanted: Vec<Action>) -> Vec<Group> {
    let mut groups = vec![Group::default()];
    let mut is_open = true;
    for action in wanted {
        let (writes, then, joins) = match action {
            Action::Write(write) => {
                let joins = write.is_of_a_task();
                (Some(*write), None, joins)
            }
            Action::Exit(_) => (None, Some(action), false),
            other => (None, Some(other), true),
        };
        if !joins || !is_open {
            groups.push(Group::default());
        }
        is_open = joins;
        if let Some(group) = groups.last_mut() {
            group.writes.extend(writes);
            group.then.extend(then);
        }
    }
    groups
}

/// What performs the actions.
#[derive(Debug)]
pub(super) struct Performer {
    pub(super) disk: Disk,
    pub(super) outbox: Outbox,
    pub(super) tasks: Tasks,
    pub(super) files: Files,
    /// The way to executors' programs.
    pub(super) executors: Gateway,
    pub(super) collector: Collector,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) agent_id: Option<AgentId>,
    pub(super) exit: Option<oneshot::Sender<Exit>>,
    /// Shows credentials, where there are any.
    pub(super) authenticator: Option<Authenticator>,
    /// The exchange under way.
    pub(super) authentication: Option<JoinHandle<()>>,
}

impl Performer {
    /// Performs what comes until the core ends. Blocks.
    pub(super) fn run(mut self, mut actions: mpsc::Receiver<Vec<Action>>) {
        let runtime = self.runtime.clone();
        // What is sent and launched from here runs there.
        let _entered = runtime.enter();
        while let Some(mut wanted) = actions.blocking_recv() {
            while wanted.len() < TOGETHER
                && let Ok(more) = actions.try_recv()
            {
                wanted.extend(more);
            }
            if let Err(why) = self.perform_all(wanted) {
                return self.end(Exit::Failed(why));
            }
        }
    }

    /// Performs actions in an order of which nobody can tell the difference: writes before what follows them, those of
    /// one group first, so that they wait for the disk together.
    fn perform_all(&mut self, wanted: Vec<Action>) -> Result<(), String> {
        for Group { writes, then } in groups(wanted) {
            self.write(&writes, &then)?;
            for action in then {
                self.perform(action)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, writes: &[Write], then: &[Action]) -> Result<(), String> {
        if let Some(Write::Agent(info)) = writes.first() {
            self.agent_id = info.id.as_ref().and_then(|id| id.value.parse().ok());
        }
        let launch = |action: &'_ Action| match action {
            Action::Launch(launch) => Some(launch.clone()),
            _ => None,
        };
        let launched: Vec<_> = then.iter().filter_map(launch).collect();
        let runs: Vec<_> = launched.iter().map(|launch| launch.run.clone()).collect();
        // The record comes before the disk says that the agent has the task: who finds the one finds the other.
        let note = |run: &Run| {
            let launch = launched.iter().find(|launch| launch.run == *run && launch.checkpoint);
            let (Some(launch), Some(agent_id)) = (launch, &self.agent_id) else { return Ok(()) };
            self.tasks.note_accepted(agent_id, launch).map_err(AgentError::Record)
        };
        self.disk.write_all(writes, &runs, note).map_err(|error| docker_containerizer::chain(&error))
    }

    fn perform(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Link(pid) => {
                if let Some(upid) = address(&pid) {
                    self.outbox.link(&upid);
                }
            }
            Action::Authenticate(pid) => self.authenticate(pid),
            Action::Send(pid, message) => {
                if let Some(upid) = address(&pid) {
                    wire::post(&self.outbox, &upid, &message);
                }
            }
            Action::Write(write) => self.write(&[*write], &[])?,
            Action::Unschedule(framework_id, executor_id, task_id, run) => {
                let needed = [
                    Some(Garbage::Framework(framework_id.clone())),
                    Some(Garbage::Executor(framework_id.clone(), executor_id)),
                    run.map(|run| Garbage::Task(run, task_id.clone())),
                ];
                let directories =
                    needed.iter().flatten().flat_map(|needed| self.disk.directories(needed)).collect();
                let (events, collector) = (self.events.clone(), self.collector.clone());
                // The core may be waiting for this thread.
                self.runtime.spawn(async move {
                    if let Err(error) = collector.unschedule(directories).await {
                        tracing::error!(%framework_id, %task_id, %error, "a task waits for its directories");
                    }
                    // The core ends with the process.
                    let _ = events.send(Event::Unscheduled(framework_id, task_id)).await;
                });
            }
            Action::Collect(garbage) => self.collect(&garbage, Collector::schedule_from_now),
            Action::CollectAgain(garbage) => self.collect(&garbage, Collector::schedule),
            Action::Launch(launch) => {
                if let Some(directory) = self.disk.sandbox(&launch.run) {
                    let Launch { run, .. } = &*launch;
                    self.files.attach_run(RunDirectory {
                        framework_id: &run.framework_id,
                        executor_id: &run.executor_id,
                        directory: &directory,
                    });
                }
                if let Some(agent_id) = &self.agent_id {
                    self.tasks.launch(agent_id, *launch);
                }
            }
            Action::ToExecutor(peer, message) => self.executors.deliver(&self.outbox, &peer, &message),
            Action::ClosePeer(peer) => self.executors.close(&peer),
            Action::UpdateContainer { container_id, token, resources, limits } => {
                self.tasks.update(container_id, token, resources, limits);
            }
            Action::Kill(container_id, grace) => self.tasks.kill(container_id, KillRequest::new(grace)),
            Action::Exit(exit) => self.end(exit),
        }
        Ok(())
    }

    fn collect(
        &self,
        garbage: &Garbage,
        schedule: impl Fn(&Collector, PathBuf) -> Result<(), CollectorGone>,
    ) {
        for directory in self.disk.directories(garbage) {
            if let Err(error) = schedule(&self.collector, directory.clone()) {
                tracing::warn!(directory = %directory.display(), %error, "a directory is left for the next start");
            }
        }
    }

    /// Shows our credentials to a master; an exchange with an earlier one is given up.
    fn authenticate(&mut self, pid: String) {
        let (Some(authenticator), Some(master)) = (self.authenticator.clone(), address(&pid)) else { return };
        if let Some(earlier) = self.authentication.take() {
            earlier.abort();
        }
        let (events, client) = (self.events.clone(), self.outbox.upid().clone());
        self.authentication = Some(self.runtime.spawn(async move {
            let event = match authenticator.authenticate(&master, &client).await {
                Ok(()) => Event::Authenticated(pid),
                Err(error) => Event::Failed(docker_containerizer::chain(&error)),
            };
            // The core ends with the process.
            let _ = events.send(event).await;
        }));
    }

    fn end(&mut self, exit: Exit) {
        if let Some(told) = self.exit.take() {
            // Who waits for it has ended by itself.
            let _ = told.send(exit);
        }
    }
}

/// A process' address; one that cannot be read was checked where it came from.
fn address(pid: &str) -> Option<Upid> {
    match pid.parse() {
        Ok(upid) => Some(upid),
        Err(error) => {
            tracing::error!(pid, %error, "an address cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(framework: &str) -> Run {
        let (framework_id, executor_id) = (framework.parse().unwrap(), "t".parse().unwrap());
        Run { framework_id, executor_id, container_id: uuid::Uuid::nil().to_string().parse().unwrap() }
    }

    fn sentinel(framework: &str) -> Write {
        Write::Sentinel(run(framework))
    }

    fn write(write: Write) -> Action {
        Action::Write(Box::new(write))
    }

    #[test]
    fn writes_of_tasks_wait_together_and_nothing_that_follows_a_write_comes_before_it() {
        let kill = |framework: &str| Action::Kill(run(framework).container_id, None);
        let link = |pid: &str| Action::Link(pid.into());
        let wanted = vec![
            write(sentinel("a")),
            link("1"),
            write(sentinel("b")),
            kill("b"),
            write(Write::Drain(None)),
            link("2"),
            write(sentinel("c")),
            Action::Exit(Exit::Asked),
            write(sentinel("d")),
        ];
        let group = |writes: Vec<Write>, then: Vec<Action>| Group { writes, then };
        let expected = [
            group(vec![sentinel("a"), sentinel("b")], vec![link("1"), kill("b")]),
            group(vec![Write::Drain(None)], vec![]),
            group(vec![sentinel("c")], vec![link("2")]),
            group(vec![], vec![Action::Exit(Exit::Asked)]),
            group(vec![sentinel("d")], vec![]),
        ];
        assert_eq!(groups(wanted), expected);
    }
}
