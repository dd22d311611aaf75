//! Messages between processes: the protocol of `src/exec/exec.cpp`.
//!
//! We are the process `executor(1)` of a node of our own. The link to the agent is what tells that it is gone; an agent
//! that comes back asks us to register again, from whatever address it has then.

use libprocess::{
    Event as Happened, HttpHandler, Incoming, Limits, Node, Overrides, Process, Settings, Upid,
};
use mesos_proto::internal::{
    ExecutorRegisteredMessage, ExecutorReregisteredMessage, FrameworkToExecutorMessage, KillTaskMessage,
    ReconnectExecutorMessage, RegisterExecutorMessage, ReregisterExecutorMessage, RunTaskMessage,
    ShutdownExecutorMessage, StatusUpdate, StatusUpdateAcknowledgementMessage, StatusUpdateMessage,
};
use mesos_proto::v1;

use super::link::{Ids, Inner, LinkError, grace_of};
use crate::session::{AgentEvent, Call, Event, Join};

/// Our name, as stock's driver has it.
const PROCESS: &str = "executor(1)";

/// The bounds of a node that one agent speaks with.
const CONNECTIONS: usize = 64;

/// Links to the agent and speaks with it until the link is dropped.
pub(super) async fn start(inner: Inner, agent: &str, overrides: &Overrides) -> Result<(), LinkError> {
    let mut settings = Settings::default();
    settings.limits = Limits { connections: CONNECTIONS, strangers: CONNECTIONS / 2, ..settings.limits };
    overrides.apply(&mut settings);
    let agent = Upid::resolve(agent, settings.limits.connect_deadline).await?;
    let node = Node::bind(settings, HttpHandler::none()).await?;
    let process = node.register(PROCESS)?;
    process.link(&agent);
    tokio::spawn(async move {
        // The node lives as long as its process.
        let _node = node;
        Speaker { process, agent, ids: inner.ids }.run(inner.calls, inner.events).await;
    });
    Ok(())
}

struct Speaker {
    process: Process,
    agent: Upid,
    ids: Ids,
}

impl Speaker {
    async fn run(
        mut self,
        mut calls: tokio::sync::mpsc::Receiver<Call>,
        events: tokio::sync::mpsc::Sender<Event>,
    ) {
        let mut next = Some(Event::Connected);
        loop {
            if let Some(event) = next.take()
                && events.send(event).await.is_err()
            {
                return;
            }
            tokio::select! {
                call = calls.recv() => match call {
                    Some(call) => self.call(call),
                    None => return,
                },
                happened = self.process.next() => match happened {
                    Some(Happened::Exited(upid)) if upid == self.agent => next = Some(Event::Lost),
                    Some(Happened::Exited(_)) => {}
                    Some(Happened::Message(message)) => next = self.understand(&message),
                    None => return,
                },
            }
        }
    }

    fn call(&self, call: Call) {
        match call {
            Call::Join(Join { is_first: true, .. }) => {
                let framework_id = self.ids.framework();
                let message = RegisterExecutorMessage { framework_id, executor_id: self.ids.executor() };
                self.process.post(&self.agent, &message);
            }
            Call::Join(Join { is_first: false, tasks, updates }) => {
                let message = ReregisterExecutorMessage {
                    framework_id: self.ids.framework(),
                    executor_id: self.ids.executor(),
                    tasks,
                    updates: updates.into_iter().map(|status| self.update(status)).collect(),
                };
                self.process.post(&self.agent, &message);
            }
            Call::Update(status) => {
                let pid = Some(self.process.upid().to_string());
                let message = StatusUpdateMessage { update: self.update(*status), pid };
                self.process.post(&self.agent, &message);
            }
        }
    }

    fn update(&self, status: v1::TaskStatus) -> StatusUpdate {
        StatusUpdate {
            framework_id: self.ids.framework(),
            executor_id: Some(self.ids.executor()),
            slave_id: Some(self.ids.agent()),
            timestamp: status.timestamp(),
            uuid: status.uuid.clone(),
            status,
            latest_state: None,
        }
    }

    /// What a message means; `None` for one that is not for us.
    fn understand(&mut self, message: &Incoming) -> Option<Event> {
        match self.read(message) {
            Ok(Some(event)) => Some(Event::Agent(event)),
            Ok(None) if message.is::<ReconnectExecutorMessage>() => {
                self.agent = message.from.clone();
                self.process.relink(&self.agent);
                Some(Event::Connected)
            }
            Ok(None) => None,
            Err(why) => {
                tracing::warn!(name = message.name, from = %message.from, why, "ignored a message");
                None
            }
        }
    }

    fn read(&self, message: &Incoming) -> Result<Option<AgentEvent>, String> {
        let chain = |error: libprocess::UnreadableMessage| docker_containerizer::chain(&error);
        // A restarted agent may have another address; it proves to be ours by its id, as stock's driver has it.
        if message.is::<ReconnectExecutorMessage>() {
            let agent_id = message.decode::<ReconnectExecutorMessage>().map_err(chain)?.slave_id;
            return match agent_id == self.ids.agent() {
                true => Ok(None),
                false => Err(format!("it is of the agent {}, not of ours", agent_id.value)),
            };
        }
        if message.from != self.agent {
            return Err(format!("it is not from our agent {}", self.agent));
        }
        let event = if message.is::<ExecutorRegisteredMessage>() {
            let registered = message.decode::<ExecutorRegisteredMessage>().map_err(chain)?;
            AgentEvent::Welcome(Some(Box::new(registered.framework_info)))
        } else if message.is::<ExecutorReregisteredMessage>() {
            AgentEvent::Welcome(None)
        } else if message.is::<RunTaskMessage>() {
            let run = message.decode::<RunTaskMessage>().map_err(chain)?;
            AgentEvent::Launch(Box::new(run.task), Some(Box::new(run.framework)))
        } else if message.is::<KillTaskMessage>() {
            let kill = message.decode::<KillTaskMessage>().map_err(chain)?;
            AgentEvent::Kill(kill.task_id.value, grace_of(kill.kill_policy.as_ref()))
        } else if message.is::<StatusUpdateAcknowledgementMessage>() {
            let acknowledged = message.decode::<StatusUpdateAcknowledgementMessage>().map_err(chain)?;
            AgentEvent::Acknowledged(acknowledged.uuid)
        } else if message.is::<FrameworkToExecutorMessage>() {
            AgentEvent::Message
        } else if message.is::<ShutdownExecutorMessage>() {
            AgentEvent::Shutdown
        } else {
            return Err("executors of Docker tasks do not know it".into());
        };
        Ok(Some(event))
    }
}
