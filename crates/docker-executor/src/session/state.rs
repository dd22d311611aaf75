//! The session's state, and its one step.

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use task_supervisor::{KillCause, TaskKilling};
use tokio::time::Instant;

use super::event::{Action, AgentEvent, Call, Event, Exit, Join, Tell, Timer, check_id};
use super::grace::shutdown_grace;
use super::unacknowledged::Unacknowledged;
use crate::environment::Recovery;

/// How long the acknowledgement of the terminal status is waited for (`src/docker/executor.cpp`, `reaped`).
const FAIL_SAFE: Duration = Duration::from_secs(60);

/// How long it is waited for when the agent wants us gone: it answers at once or, for a framework that is gone, never.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a session must know from the start.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// What a connection that fails before the first registration means.
    pub first_contact: FirstContact,
    /// What to do when the agent goes away.
    pub recovery: Recovery,
    /// How long the agent waits for our end; also the grace of a task that names none.
    pub shutdown_grace: Duration,
    /// How long the agent itself gives the container when it destroys it (`--stop_timeout`).
    pub stop_timeout: Duration,
}

/// What a connection that fails before the first registration means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstContact {
    /// The end: an agent that was restarted does not know us (v0).
    Once,
    /// Another attempt, as after any other failure (v1).
    Again,
}

/// The conversation with the agent.
#[derive(Debug)]
pub struct Session {
    settings: SessionSettings,
    link: Link,
    task: Task,
    course: Course,
    /// Whether an agent has ever answered.
    is_known: bool,
    /// Whether the agent's return is being waited for, since it was first missed.
    is_recovering: bool,
    framework: Option<Box<v1::FrameworkInfo>>,
    unacknowledged: Unacknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Starting,
    Joining,
    Joined,
    Away,
}

#[derive(Debug, Clone, PartialEq)]
enum Task {
    /// None was launched.
    None,
    /// It was launched, and has not ended.
    Running {
        id: String,
        /// Its own grace.
        grace: Duration,
        kill: Option<Kill>,
    },
    /// Its terminal status has this uuid.
    Ended { id: String, uuid: Vec<u8> },
}

/// A kill that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kill {
    grace: Duration,
    /// When SIGKILL follows; never, if that is beyond time.
    deadline: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// The agent is served.
    Serving,
    /// The task is killed and its end is told, then the process ends.
    Ending(Exit),
    /// The task is killed, then the process ends without a word: who wants that has something to say of its own.
    Leaving,
}

impl Session {
    /// A session that has not begun.
    pub fn new(settings: SessionSettings) -> Self {
        Self {
            settings,
            link: Link::Starting,
            task: Task::None,
            course: Course::Serving,
            is_known: false,
            is_recovering: false,
            framework: None,
            unacknowledged: Unacknowledged::default(),
        }
    }

    /// What is to be done about an event.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Connected => self.connected(),
            Event::Lost => self.lost(now),
            Event::Agent(AgentEvent::Welcome(framework)) => self.welcome(framework),
            Event::Agent(AgentEvent::Launch(task, framework)) => self.launch(task, framework),
            Event::Agent(AgentEvent::Kill(id, grace)) => self.kill(id, grace, now),
            Event::Agent(AgentEvent::Acknowledged(uuid)) => self.acknowledged(&uuid),
            Event::Agent(AgentEvent::Message) => Vec::new(),
            Event::Agent(AgentEvent::Shutdown) => self.end(Exit::Stopped, now),
            Event::Agent(AgentEvent::Error(_)) | Event::Due(Timer::Recovery) => self.end(Exit::Aborted, now),
            Event::Status(status) => self.status(status),
            Event::Due(Timer::Acknowledgement) => vec![Action::Exit(self.exit())],
            Event::Terminate => self.terminate(now),
        }
    }

    fn connected(&mut self) -> Vec<Action> {
        // An agent that asks again, while we are registered with it, may not answer again: it drops what it takes for a
        // repetition (`reregisterExecutor` in `src/slave/slave.cpp`). What follows the join arrives behind it.
        if self.link != Link::Joined {
            self.link = Link::Joining;
        }
        vec![Action::Call(Call::Join(Join {
            is_first: !self.is_known,
            tasks: self.unacknowledged.tasks(),
            updates: self.unacknowledged.send_all(),
        }))]
    }

    fn lost(&mut self, now: Instant) -> Vec<Action> {
        let was = std::mem::replace(&mut self.link, Link::Away);
        match (self.course, was, self.settings.recovery) {
            (Course::Ending(_) | Course::Leaving, _, _) | (Course::Serving, Link::Away, _) => Vec::new(),
            (Course::Serving, _, Recovery::End) => self.end(Exit::Aborted, now),
            (Course::Serving, Link::Starting | Link::Joining, Recovery::Wait(_))
                if !self.is_known && self.settings.first_contact == FirstContact::Once =>
            {
                self.end(Exit::Aborted, now)
            }
            (Course::Serving, Link::Starting | Link::Joining | Link::Joined, Recovery::Wait(timeout)) => {
                // The terminal status is kept for the agent that comes back, however long that takes.
                let mut actions = vec![Action::Disarm(Timer::Acknowledgement)];
                // An agent that only answers that it is not ready has not come back.
                if !std::mem::replace(&mut self.is_recovering, true) {
                    actions.push(Action::Arm(Timer::Recovery, timeout));
                }
                actions
            }
        }
    }

    fn welcome(&mut self, framework: Option<Box<v1::FrameworkInfo>>) -> Vec<Action> {
        self.link = Link::Joined;
        self.is_known = true;
        self.is_recovering = false;
        self.framework = framework.or(self.framework.take());
        let mut actions = vec![Action::Disarm(Timer::Recovery)];
        actions.extend(self.send());
        if let (Task::Ended { .. }, Course::Serving) = (&self.task, self.course) {
            actions.push(Action::Arm(Timer::Acknowledgement, FAIL_SAFE));
        }
        actions
    }

    fn launch(&mut self, task: Box<v1::TaskInfo>, framework: Option<Box<v1::FrameworkInfo>>) -> Vec<Action> {
        let id = task.task_id.value.clone();
        if let Err(error) = check_id(&id) {
            return vec![Action::Tell(Tell::no_id(id, &error))];
        }
        match (self.course, &self.task) {
            // The agent has given up on whatever it sent before it heard of our end.
            (Course::Ending(_) | Course::Leaving, _) => Vec::new(),
            // A task has one end, also one that was killed before it came.
            (Course::Serving, Task::Running { id: known, .. } | Task::Ended { id: known, .. })
                if *known == id =>
            {
                Vec::new()
            }
            (Course::Serving, Task::Running { .. } | Task::Ended { .. }) => {
                vec![Action::Tell(Tell::second(id))]
            }
            (Course::Serving, Task::None) => {
                let framework = framework.as_ref().or(self.framework.as_ref());
                let task_killing = framework.map_or(TaskKilling::Omitted, |info| TaskKilling::of(info));
                let own = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
                let own = own.and_then(|grace| u64::try_from(grace.nanoseconds).ok());
                self.task = Task::Running {
                    id,
                    grace: own.map_or(self.settings.shutdown_grace, Duration::from_nanos),
                    kill: None,
                };
                self.unacknowledged.launched(task.clone());
                vec![Action::Launch(task, task_killing)]
            }
        }
    }

    fn kill(&mut self, id: String, grace: Option<Duration>, now: Instant) -> Vec<Action> {
        match (self.course, &self.task) {
            (Course::Ending(_) | Course::Leaving, _) | (Course::Serving, Task::Ended { .. }) => Vec::new(),
            (Course::Serving, Task::Running { id: running, .. }) if *running != id => Vec::new(),
            (Course::Serving, Task::Running { grace: own, .. }) => {
                let grace = grace.unwrap_or(*own);
                self.kill_within(grace, KillCause::Framework, now)
            }
            (Course::Serving, Task::None) => {
                // Stock aborts here (MESOS-8297), so that the agent fails the task.
                self.task = Task::Running { id: id.clone(), grace: Duration::ZERO, kill: None };
                vec![Action::Tell(Tell::killed_before_launch(id))]
            }
        }
    }

    fn acknowledged(&mut self, uuid: &[u8]) -> Vec<Action> {
        if !self.unacknowledged.acknowledge(uuid) {
            return Vec::new();
        }
        if let Task::Ended { uuid: last, .. } = &self.task
            && last == uuid
        {
            return vec![Action::Exit(self.exit())];
        }
        self.send()
    }

    fn status(&mut self, status: Box<v1::TaskStatus>) -> Vec<Action> {
        let is_last = is_terminal(status.state())
            && matches!(&self.task, Task::Running { id, .. } if *id == status.task_id.value);
        if self.course == Course::Leaving {
            return if is_last { vec![Action::Exit(Exit::Terminated)] } else { Vec::new() };
        }
        if is_last {
            self.task = Task::Ended { id: status.task_id.value.clone(), uuid: status.uuid().to_vec() };
        }
        self.unacknowledged.push(status);
        let mut actions = self.send();
        match (is_last, self.course, self.link) {
            (false, _, _) | (true, Course::Serving, Link::Starting | Link::Joining | Link::Away) => {}
            (true, Course::Serving, Link::Joined) => {
                actions.push(Action::Arm(Timer::Acknowledgement, FAIL_SAFE));
            }
            (true, Course::Ending(_) | Course::Leaving, _) => {
                actions.push(Action::Arm(Timer::Acknowledgement, LAST_WORDS));
            }
        }
        actions
    }

    /// Ends the task, then the process.
    fn end(&mut self, exit: Exit, now: Instant) -> Vec<Action> {
        match self.course {
            Course::Ending(_) | Course::Leaving => return Vec::new(),
            Course::Serving => self.course = Course::Ending(exit),
        }
        match self.task {
            Task::None => vec![Action::Exit(exit)],
            Task::Running { .. } => self.kill_sooner(shutdown_grace(self.settings.shutdown_grace), now),
            Task::Ended { .. } => vec![Action::Arm(Timer::Acknowledgement, LAST_WORDS)],
        }
    }

    fn terminate(&mut self, now: Instant) -> Vec<Action> {
        // The agent stops the container itself, with this grace. Whoever asks twice is in a hurry.
        let grace = if self.course == Course::Leaving { Duration::ZERO } else { self.settings.stop_timeout };
        self.course = Course::Leaving;
        match self.task {
            Task::None | Task::Ended { .. } => vec![Action::Exit(Exit::Terminated)],
            Task::Running { .. } => self.kill_sooner(grace, now),
        }
    }

    /// Kills the task for the end of this process, unless a kill is under way that ends no later.
    fn kill_sooner(&mut self, grace: Duration, now: Instant) -> Vec<Action> {
        match &self.task {
            Task::Running { kill: Some(Kill { deadline: Some(deadline), .. }), .. }
                if *deadline <= now + grace =>
            {
                Vec::new()
            }
            Task::Running { .. } | Task::None | Task::Ended { .. } => {
                self.kill_within(grace, KillCause::Shutdown, now)
            }
        }
    }

    fn kill_within(&mut self, grace: Duration, cause: KillCause, now: Instant) -> Vec<Action> {
        if let Task::Running { kill, .. } = &mut self.task {
            // A kill that is repeated with the same grace changes nothing.
            if kill.is_none_or(|kill| kill.grace != grace) {
                *kill = Some(Kill { grace, deadline: now.checked_add(grace) });
            }
        }
        vec![Action::Kill(grace, cause)]
    }

    /// Sends what waits, while the agent listens.
    fn send(&mut self) -> Vec<Action> {
        match self.link {
            Link::Joined => {
                let next = self.unacknowledged.send_next();
                next.into_iter().map(|status| Action::Call(Call::Update(Box::new(status)))).collect()
            }
            Link::Starting | Link::Joining | Link::Away => Vec::new(),
        }
    }

    fn exit(&self) -> Exit {
        match self.course {
            Course::Serving => Exit::Stopped,
            Course::Ending(exit) => exit,
            Course::Leaving => Exit::Terminated,
        }
    }
}

/// Whether nothing follows a state.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}
