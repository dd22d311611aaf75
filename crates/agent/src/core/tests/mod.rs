//! A registered agent of the tests, and the messages that it gets.

mod executor_ends;
mod executor_kills;
mod executor_launches;
mod executor_returns;
mod executor_rig;
mod executor_updates;
mod executors;
mod garbage;
mod impostors;
mod properties;
mod reconnect;
mod recovery;
mod registration;
mod support;
mod tasks;

use std::time::Duration;

use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_proto::{internal, v1};
use mesos_types::{FrameworkId, TaskId};

use super::*;
use crate::model::{Agent, Phase};
use crate::status_updates::{StatusUpdates, StreamSettings};

/// Where the master of the tests is.
const MASTER: &str = "master@127.0.0.1:5050";

/// The id that it gives.
const AGENT: &str = "M-S0";

/// An agent with its core, and the time.
struct Bench {
    state: State,
    elapsed: Duration,
}

impl Bench {
    /// An agent that has not looked at its past.
    fn new() -> Self {
        let info = v1::AgentInfo { hostname: "h".into(), port: Some(5051), ..Default::default() };
        let agent = Agent::new(info, "slave(1)@127.0.0.1:5051".into(), "/w".into(), 0.0, uuid::Uuid::nil());
        let settings = CoreSettings {
            registration_backoff: Duration::from_secs(1),
            authentication: Authentication::No,
            executor_registration_timeout: Duration::from_secs(60),
            executor_shutdown_grace: Duration::from_secs(5),
            max_completed_executors: 150,
            launcher_dir: "/usr/libexec/mesos".into(),
            switch_user: SwitchUser::No,
            ip: [127, 0, 0, 1].into(),
            ip6: None,
            plain: Plain::OutlivesAgent,
            plain_limits: PlainLimits::default(),
            default_container: None,
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_reregistration_retry: None,
        };
        let state = State::new(agent, settings, StatusUpdates::new(StreamSettings::default()), 7);
        Self { state, elapsed: Duration::ZERO }
    }

    /// The same, with an empty past.
    fn recovered() -> Self {
        let mut bench = Self::new();
        let info = bench.state.agent().info.clone();
        let recovered = Recovered { info, ..Recovered::default() };
        assert_eq!(bench.step(Event::Recovered(Box::new(recovered))), []);
        bench
    }

    /// The same, registered.
    fn registered() -> Self {
        let mut bench = Self::recovered();
        bench.step(detected());
        bench.wait(Duration::from_secs(2));
        bench.step(registered());
        assert_eq!(bench.state.agent().phase, Phase::Running);
        bench
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let now = Now { elapsed: self.elapsed, unix: 1e9 + self.elapsed.as_secs_f64() };
        self.state.step(event, now)
    }

    /// Lets time pass, as the driver does: from deadline to deadline.
    fn wait(&mut self, time: Duration) -> Vec<Action> {
        let until = self.elapsed + time;
        let mut actions = Vec::new();
        while let Some(due) = self.state.deadline().filter(|due| *due <= until) {
            self.elapsed = due.max(self.elapsed);
            actions.extend(self.step(Event::Tick));
        }
        self.elapsed = until;
        actions
    }

    /// Takes a task up to its launch; answers its run and what was done.
    fn launch(&mut self, framework: v1::FrameworkInfo, task: &str) -> (Run, Vec<Action>) {
        let framework_id = framework.id.clone().unwrap_or_default().value;
        let mut actions = self.step(run_task(framework, docker_task(task)));
        actions.extend(self.step(Event::Unscheduled(framework_id.parse().unwrap(), task.parse().unwrap())));
        let run = actions.iter().find_map(|action| match action {
            Action::Launch(launch) => Some(launch.run.clone()),
            _ => None,
        });
        (run.expect("a launch"), actions)
    }
}

fn detected() -> Event {
    let info = v1::MasterInfo { pid: Some(MASTER.into()), ..Default::default() };
    Event::Detected(Some(Box::new(info)))
}

fn from_master(message: Message) -> Event {
    Event::Message(MASTER.into(), Box::new(message))
}

fn registered() -> Event {
    from_master(Message::Registered(internal::SlaveRegisteredMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        connection: Some(internal::MasterSlaveConnection { total_ping_timeout_seconds: Some(75.0) }),
    }))
}

/// A framework that checkpoints.
fn framework(id: &str, capabilities: &[Capability]) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".into(),
        name: id.into(),
        id: Some(v1::FrameworkId { value: id.into() }),
        checkpoint: Some(true),
        capabilities: capabilities
            .iter()
            .map(|capability| v1::framework_info::Capability { r#type: Some((*capability).into()) })
            .collect(),
        ..Default::default()
    }
}

fn docker_task(id: &str) -> v1::TaskInfo {
    let docker = v1::container_info::DockerInfo { image: "busybox".into(), ..Default::default() };
    v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: v1::AgentId { value: AGENT.into() },
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        container: Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Docker.into(),
            docker: Some(docker),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn run_task(framework: v1::FrameworkInfo, task: v1::TaskInfo) -> Event {
    from_master(Message::RunTask(Box::new(internal::RunTaskMessage {
        framework,
        task,
        launch_executor: Some(true),
        ..Default::default()
    })))
}

fn kill(framework_id: &str, task_id: &str) -> Event {
    from_master(Message::KillTask(internal::KillTaskMessage {
        framework_id: v1::FrameworkId { value: framework_id.into() },
        task_id: v1::TaskId { value: task_id.into() },
        kill_policy: None,
    }))
}

/// A status of a task's supervision.
fn status(task: &str, state: v1::TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId { value: task.into() },
        state: state.into(),
        source: Some(v1::task_status::Source::Executor.into()),
        uuid: Some(uuid::Uuid::new_v4().as_bytes().to_vec()),
        ..Default::default()
    }
}

fn told(run: &Run, task: &str, state: v1::TaskState) -> Event {
    let status = status(task, state);
    let event = match crate::model::is_terminal(state) {
        true => TaskEvent::Ended(status),
        false => TaskEvent::Status(status),
    };
    Event::Task(run.clone(), Box::new(event))
}

/// The statuses that were sent to the master.
fn sent(actions: &[Action]) -> Vec<&internal::StatusUpdate> {
    fn update(action: &Action) -> Option<&internal::StatusUpdate> {
        let Action::Send(_, message) = action else { return None };
        match &**message {
            ToMaster::Status(message) => Some(&message.update),
            _ => None,
        }
    }
    actions.iter().filter_map(update).collect()
}

fn acknowledge(update: &internal::StatusUpdate) -> Event {
    from_master(Message::Acknowledged(internal::StatusUpdateAcknowledgementMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        framework_id: update.framework_id.clone(),
        task_id: update.status.task_id.clone(),
        uuid: update.uuid.clone().unwrap_or_default(),
    }))
}

fn framework_id(id: &str) -> FrameworkId {
    id.parse().unwrap()
}

fn task_id(id: &str) -> TaskId {
    id.parse().unwrap()
}
