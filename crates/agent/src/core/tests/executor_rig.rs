//! Executors with programs of their own: what they say, and what is looked for in what the agent does.

use mesos_proto::v1::TaskState;

use super::*;
use crate::model::{ExecutorPhase, Peer};

/// Where the executor of the tests listens.
pub(super) const PID: &str = "executor(1)@127.0.0.1:4000";

pub(super) fn libprocess() -> Peer {
    Peer::Libprocess(PID.into())
}

pub(super) fn custom_task(id: &str, executor_id: &str) -> v1::TaskInfo {
    let cpus = |value| v1::Resource {
        name: "cpus".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    v1::TaskInfo {
        command: None,
        container: None,
        resources: vec![cpus(1.0)],
        executor: Some(v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: executor_id.into() },
            command: Some(v1::CommandInfo { value: Some("./run".into()), ..Default::default() }),
            resources: vec![cpus(0.5)],
            ..Default::default()
        }),
        ..docker_task(id)
    }
}

pub(super) fn wants(task: v1::TaskInfo, launch_executor: Option<bool>) -> Event {
    from_master(Message::RunTask(Box::new(internal::RunTaskMessage {
        framework: framework("F", &[]),
        task,
        launch_executor,
        ..Default::default()
    })))
}

pub(super) fn says(peer: Peer, call: Call) -> Event {
    Event::Executor(Box::new(ExecutorCall {
        framework_id: framework_id("F"),
        executor_id: "E".parse().unwrap(),
        peer,
        call,
    }))
}

pub(super) fn subscribes(stream: u64) -> Event {
    says(Peer::Http(stream), Call::Subscribe { tasks: Vec::new(), updates: Vec::new() })
}

/// A status that an executor's program tells.
pub(super) fn tells(task: &str, state: TaskState) -> internal::StatusUpdate {
    let uuid = Some(uuid::Uuid::new_v4().as_bytes().to_vec());
    internal::StatusUpdate {
        framework_id: v1::FrameworkId { value: "F".into() },
        executor_id: Some(v1::ExecutorId { value: "E".into() }),
        slave_id: Some(v1::AgentId { value: AGENT.into() }),
        status: v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state.into(),
            ..Default::default()
        },
        timestamp: 5.0,
        uuid,
        latest_state: None,
    }
}

pub(super) fn updates(told: &internal::StatusUpdate) -> Event {
    says(libprocess(), Call::Update(Box::new(told.clone())))
}

/// What went to an executor's program.
pub(super) fn to_executor(actions: &[Action]) -> Vec<(&Peer, &ToExecutor)> {
    fn message(action: &Action) -> Option<(&Peer, &ToExecutor)> {
        let Action::ToExecutor(peer, message) = action else { return None };
        Some((peer, message))
    }
    actions.iter().filter_map(message).collect()
}

/// The tasks that went to an executor's program.
pub(super) fn given(actions: &[Action]) -> Vec<&str> {
    fn task<'a>((_, message): (&Peer, &'a ToExecutor)) -> Option<&'a str> {
        let ToExecutor::Run(message) = message else { return None };
        Some(&message.task.task_id.value)
    }
    to_executor(actions).into_iter().filter_map(task).collect()
}

pub(super) fn exits(actions: &[Action]) -> Vec<i32> {
    let exit = |action: &Action| match action {
        Action::Send(_, message) => match &**message {
            ToMaster::ExitedExecutor(message) => Some(message.status),
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(exit).collect()
}

pub(super) fn has_shutdown(actions: &[Action]) -> bool {
    to_executor(actions).iter().any(|(_, message)| **message == ToExecutor::Shutdown)
}

/// The update of a container that is asked for: its token and how many cpus it shall have.
pub(super) fn asked(actions: &[Action]) -> Option<(u64, f64)> {
    actions.iter().find_map(|action| match action {
        Action::UpdateContainer { token, resources, .. } => {
            let sum = resources.iter().filter_map(|resource| resource.scalar.as_ref());
            Some((*token, sum.map(|scalar| scalar.value).sum()))
        }
        _ => None,
    })
}

impl Bench {
    /// A task for the executor `E` of the framework `F` up to its queue.
    pub(super) fn queue(&mut self, task: &str, launch_executor: Option<bool>) -> Vec<Action> {
        let mut actions = self.step(wants(custom_task(task, "E"), launch_executor));
        actions.extend(self.step(Event::Unscheduled(framework_id("F"), task_id(task))));
        actions
    }

    pub(super) fn run(&self) -> Run {
        let framework = &self.state.agent().frameworks[&framework_id("F")];
        super::super::launch::run_of(&framework.id, &framework.executors[&"E".parse().unwrap()])
    }

    pub(super) fn container(&mut self, event: ContainerEvent) -> Vec<Action> {
        let run = self.run();
        self.step(Event::Container(run, event))
    }

    /// Answers the update of a container that was asked for.
    pub(super) fn updated(&mut self, actions: &[Action]) -> Vec<Action> {
        let (token, _) = asked(actions).expect("an update of the container");
        self.container(ContainerEvent::Updated { token, result: Ok(()) })
    }

    pub(super) fn phase(&self) -> ExecutorPhase {
        self.state.agent().frameworks[&framework_id("F")].executors[&"E".parse().unwrap()].phase
    }

    /// An executor that speaks libprocess and runs `t`.
    pub(super) fn with_executor() -> Self {
        let mut bench = Self::registered();
        bench.queue("t", Some(true));
        let actions = bench.step(says(libprocess(), Call::Register));
        assert_eq!(given(&bench.updated(&actions)), ["t"]);
        bench
    }
}
