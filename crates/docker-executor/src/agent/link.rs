//! What the session sees of the connection to the agent: events come, calls go, in order. Neither waits for the other.

use libprocess::Overrides;
use mesos_proto::v1;
use mesos_types::{AgentId, ExecutorId, FrameworkId};
use tokio::sync::mpsc;

use super::{v0, v1 as api};
use crate::environment::{Environment, Protocol};
use crate::session::{Call, Event};

/// How many events of the agent may wait; more stay in the connection.
const EVENTS: usize = 32;

/// How many calls may wait. The session has a bounded number of statuses on their way, so this is never reached.
const CALLS: usize = 64;

/// Who speaks with whom.
#[derive(Debug, Clone)]
pub struct Ids {
    /// The agent.
    pub agent_id: AgentId,
    /// The task's framework.
    pub framework_id: FrameworkId,
    /// This executor.
    pub executor_id: ExecutorId,
}

/// The connection to the agent.
#[derive(Debug)]
pub struct AgentLink {
    calls: mpsc::Sender<Call>,
    events: mpsc::Receiver<Event>,
}

/// The agent's side of a link, as the task that speaks with the agent has it.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) ids: Ids,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) events: mpsc::Sender<Event>,
}

/// Why no link can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The agent's address cannot be used.
    #[error("cannot use the agent's address in MESOS_SLAVE_PID")]
    Agent(#[from] libprocess::ResolveError),
    /// The address is no process address.
    #[error("cannot use the agent's address in MESOS_SLAVE_PID")]
    Upid(#[from] libprocess::UpidError),
    /// We cannot listen for the agent's messages.
    #[error("cannot listen for the agent's messages; LIBPROCESS_IP and LIBPROCESS_ADVERTISE_IP say where")]
    Bind(#[from] libprocess::BindError),
    /// Our own process name is taken.
    #[error("cannot register the executor's process name")]
    Register(#[from] libprocess::RegisterError),
}

impl AgentLink {
    /// Begins to speak with the agent. The first event tells whether it answers.
    ///
    /// # Errors
    ///
    /// The agent's address cannot be used, or we cannot listen.
    pub async fn start(environment: &Environment, overrides: &Overrides) -> Result<Self, LinkError> {
        let ids = Ids {
            agent_id: environment.agent_id.clone(),
            framework_id: environment.framework_id.clone(),
            executor_id: environment.executor_id.clone(),
        };
        let (calls, called) = mpsc::channel(CALLS);
        let (events, happened) = mpsc::channel(EVENTS);
        let inner = Inner { ids, calls: called, events };
        match &environment.protocol {
            Protocol::V0 => v0::start(inner, &environment.agent, overrides).await?,
            Protocol::V1(http) => api::start(inner, &environment.agent, http.clone())?,
        }
        Ok(Self { calls, events: happened })
    }

    /// Tells the agent something.
    pub fn call(&self, call: Call) {
        if self.calls.try_send(call).is_err() {
            // What is not acknowledged is told again after the next registration.
            tracing::error!("a call to the agent was dropped: too many wait");
        }
    }

    /// Waits for what the agent does.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; no event is lost.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The task ends with this value alone.
            None => std::future::pending().await,
        }
    }
}

impl Ids {
    pub(super) fn agent(&self) -> v1::AgentId {
        v1::AgentId { value: self.agent_id.as_str().to_owned() }
    }

    pub(super) fn framework(&self) -> v1::FrameworkId {
        v1::FrameworkId { value: self.framework_id.as_str().to_owned() }
    }

    pub(super) fn executor(&self) -> v1::ExecutorId {
        v1::ExecutorId { value: self.executor_id.as_str().to_owned() }
    }
}

/// The grace of a kill, if it overrides the task's own. A negative one is none.
pub(super) fn grace_of(policy: Option<&v1::KillPolicy>) -> Option<std::time::Duration> {
    let nanoseconds = policy?.grace_period.as_ref()?.nanoseconds;
    u64::try_from(nanoseconds).ok().map(std::time::Duration::from_nanos)
}
