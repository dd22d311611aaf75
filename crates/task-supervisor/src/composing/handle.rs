//! A container of either kind, as its owner shows it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use docker_containerizer::Termination;

/// A container that was handed over, from its owner's side.
#[derive(Debug, Clone)]
pub enum Handle {
    /// Of a Docker Engine.
    Docker(docker_containerizer::Handle),
    /// A process of this machine.
    Mesos(mesos_containerizer::Handle),
}

/// A container that was seen started.
#[derive(Debug, Clone)]
pub enum Running {
    /// Of a Docker Engine.
    Docker(Box<docker_containerizer::Running>),
    /// A process of this machine.
    Plain(mesos_containerizer::Running),
}

impl Handle {
    /// Waits until the container was seen started; `None` if it ended without.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again, as the others here.
    pub async fn running(&mut self) -> Option<Running> {
        match self {
            Self::Docker(handle) => handle.running().await.map(Box::new).map(Running::Docker),
            Self::Mesos(handle) => handle.running().await.map(Running::Plain),
        }
    }

    /// Waits until the container has had the stop signal of a kill, or for ever if there is none to take.
    pub async fn signalled(&mut self) {
        match self {
            Self::Docker(handle) => handle.signalled().await,
            Self::Mesos(handle) => handle.signalled().await,
        }
    }

    /// Waits until the container's process is known to be gone, or for ever if the runtime shuts down before.
    pub async fn gone(&mut self) {
        match self {
            Self::Docker(handle) => handle.gone().await,
            Self::Mesos(handle) => handle.gone().await,
        }
    }

    /// Waits for the end. `None` only when the runtime shuts down.
    pub async fn terminated(&mut self) -> Option<Arc<Termination>> {
        match self {
            Self::Docker(handle) => handle.terminated().await,
            Self::Mesos(handle) => handle.terminated().await,
        }
    }

    /// Waits until nothing is left of the stopped container, or what is left is to stay.
    pub async fn settled(&mut self) {
        match self {
            Self::Docker(handle) => handle.settled().await,
            Self::Mesos(handle) => handle.settled().await,
        }
    }
}

impl Running {
    /// What the engine says, of an engine's container.
    pub fn docker(&self) -> Option<&docker_containerizer::Running> {
        match self {
            Self::Docker(running) => Some(running),
            Self::Plain(_) => None,
        }
    }

    /// When the container started, and not after now: the time of a task runs from there also when we hear of it late.
    pub fn started_at(&self) -> SystemTime {
        let now = SystemTime::now();
        match self {
            Self::Docker(running) => {
                let stamp = running.started_at.stamp().filter(|_| running.started_at.is_set());
                let nanos = stamp.and_then(|stamp| u64::try_from(stamp.as_nanos()).ok());
                nanos.map_or(now, |nanos| now.min(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)))
            }
            Self::Plain(running) => now.min(running.started_at),
        }
    }
}
