//! An executor: one run, and the tasks that it has.

use std::path::PathBuf;

use mesos_proto::v1;
use mesos_types::{ContainerId, ExecutorId, TaskId};

use super::ring::Ring;
use super::task::{LiveTask, Stage};

/// How many completed tasks of an executor are remembered (`MAX_COMPLETED_TASKS_PER_EXECUTOR`).
const COMPLETED_TASKS: usize = 200;

/// An executor with its one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Executor {
    /// Its id.
    pub id: ExecutorId,
    /// As it was launched: with the overhead's resources and the command of stock's executor program.
    pub info: v1::ExecutorInfo,
    /// Whether the agent made it up for a command task.
    pub generated: Generated,
    /// Its container.
    pub container_id: ContainerId,
    /// The sandbox on the host.
    pub directory: PathBuf,
    /// Who owns the sandbox, where users are switched.
    pub user: Option<String>,
    /// How far it is.
    pub phase: ExecutorPhase,
    /// Who speaks for it.
    pub contact: Contact,
    /// Whether a task was ever given to it (`Executor::everSentTask`).
    pub was_given_tasks: bool,
    /// What it has, in the order of arrival.
    pub tasks: Vec<LiveTask>,
    /// What it had, the terminal status acknowledged.
    pub completed_tasks: Ring<v1::Task>,
}

/// Whether an executor stands for a command task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generated {
    /// The agent made it up; it exists in `/state` and statuses only.
    ForCommandTask,
    /// The framework named it.
    No,
}

/// Who speaks for an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// This process, which supervises the one task of an executor that it made up.
    InProcess,
    /// Its program, which has not registered yet, or not again since the agent's restart.
    Nobody,
    /// Its program.
    Peer(Peer),
    /// Its program, whose connection broke: it is not told anything, and may come back.
    Lost,
}

/// Where an executor's program is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// It listens to libprocess messages here.
    Libprocess(String),
    /// It has subscribed over HTTP; holds the number of its stream.
    Http(u64),
}

/// How far an executor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorPhase {
    /// Its container is being prepared; no task was given to it.
    Registering,
    /// It has tasks, or takes them.
    Running,
    /// It is being stopped.
    Terminating,
    /// Its container is gone; terminal statuses may still wait for their acknowledgement.
    Terminated,
}

impl Executor {
    /// A new executor without tasks; nobody speaks for it yet, unless the agent made it up.
    pub fn new(
        id: ExecutorId,
        info: v1::ExecutorInfo,
        generated: Generated,
        container_id: ContainerId,
        directory: PathBuf,
        user: Option<String>,
    ) -> Self {
        Self {
            id,
            info,
            generated,
            container_id,
            directory,
            user,
            phase: ExecutorPhase::Registering,
            contact: match generated {
                Generated::ForCommandTask => Contact::InProcess,
                Generated::No => Contact::Nobody,
            },
            was_given_tasks: false,
            tasks: Vec::new(),
            completed_tasks: Ring::new(COMPLETED_TASKS),
        }
    }

    /// Its program, if that can be told something.
    pub fn peer(&self) -> Option<&Peer> {
        match &self.contact {
            Contact::Peer(peer) => Some(peer),
            Contact::InProcess | Contact::Nobody | Contact::Lost => None,
        }
    }

    /// Whether a program of its own stands behind it.
    pub fn has_program(&self) -> bool {
        self.contact != Contact::InProcess
    }

    /// The task, if it is not completed.
    pub fn task(&self, id: &TaskId) -> Option<&LiveTask> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// The task, if it is not completed.
    pub fn task_mut(&mut self, id: &TaskId) -> Option<&mut LiveTask> {
        self.tasks.iter_mut().find(|task| task.id == *id)
    }

    /// The tasks that wait for the executor, with what will be launched.
    pub fn queued_tasks(&self) -> impl Iterator<Item = (&LiveTask, &v1::TaskInfo)> {
        self.tasks.iter().filter_map(|task| match &task.stage {
            Stage::Queued(info) => Some((task, &**info)),
            Stage::Launched | Stage::Terminated => None,
        })
    }

    /// The tasks that the executor has.
    pub fn launched_tasks(&self) -> impl Iterator<Item = &LiveTask> {
        self.tasks.iter().filter(|task| task.stage == Stage::Launched)
    }

    /// The tasks that ended and whose terminal status is not acknowledged.
    pub fn terminated_tasks(&self) -> impl Iterator<Item = &LiveTask> {
        self.tasks.iter().filter(|task| task.stage == Stage::Terminated)
    }

    /// Counts the tasks that it still had as completed, in the state that they had last: it is gone, and nothing more is
    /// told of them. Stock was recorded to show them so.
    pub fn complete_launched(&mut self) {
        let (launched, left) =
            std::mem::take(&mut self.tasks).into_iter().partition(|task| task.stage == Stage::Launched);
        self.tasks = left;
        for task in Vec::<LiveTask>::into_iter(launched) {
            self.completed_tasks.push(task.task);
        }
    }

    /// What the executor and its live tasks hold (`Executor::allocatedResources`), each resource as it was told; callers
    /// add them up.
    pub fn allocated(&self) -> impl Iterator<Item = &v1::Resource> {
        let live = self.tasks.iter().filter(|task| task.stage != Stage::Terminated);
        self.info.resources.iter().chain(live.flat_map(|task| &task.task.resources))
    }

    /// Whether anything of it still has to be told or acknowledged (`Executor::incompleteTasks`).
    pub fn has_incomplete_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }
}
