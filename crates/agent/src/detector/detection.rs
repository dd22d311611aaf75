//! Owns the detection under way: its task, the leader of the moment, and its failure.

use std::time::Duration;

use libprocess::{ResolveError, Upid};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::absence::Absence;
use super::address::MasterAddress;
use super::leader::{Leader, LeaderError};
use super::zookeeper;

/// What a detection is told beside the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorSettings {
    /// `--zk_session_timeout`: how long a leader stays known when ZooKeeper is away.
    pub session_timeout: Duration,
    /// The pause before ZooKeeper is tried again. Stock: 2 s.
    pub retry: Duration,
    /// How often it is told that ZooKeeper, or a leader, is still missing.
    pub reminder: Duration,
}

/// Why there is no detection any more. The agent ends with it, as stock's does.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DetectorError {
    /// ZooKeeper does not take our credentials, or gives them no right to the node.
    #[error(
        "ZooKeeper at {servers} refused access to {path}: check user and password in --master and the access list of the node"
    )]
    Refused {
        /// The servers.
        servers: String,
        /// The node.
        path: String,
        /// What the client said.
        source: zookeeper_client::Error,
    },
    /// The client does not take the address.
    #[error("ZooKeeper at {servers} cannot be asked for {path}")]
    Address {
        /// The servers.
        servers: String,
        /// The node.
        path: String,
        /// What the client said.
        source: zookeeper_client::Error,
    },
    /// What the leading master says of itself cannot be read.
    #[error("the leading master's node {node} in ZooKeeper cannot be read")]
    Leader {
        /// The node.
        node: String,
        /// What is wrong with it.
        source: LeaderError,
    },
    /// The address of a single master is none.
    #[error("the master's address cannot be used")]
    Master(#[source] libprocess::UpidError),
    /// The task of the detection has died.
    #[error("the detection of the master ended unexpectedly")]
    Ended,
}

/// A detection under way. It ends when this is dropped.
#[derive(Debug)]
pub struct Detection {
    /// Its sender is the task's, and ends with it.
    leaders: watch::Receiver<Option<Leader>>,
    /// None once its end was told.
    task: Option<JoinHandle<DetectorError>>,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            reminder: Duration::from_mins(1),
        }
    }
}

impl Detection {
    /// Begins to detect, on the runtime that calls it.
    pub fn start(address: MasterAddress, settings: DetectorSettings) -> Self {
        let (sender, leaders) = watch::channel(None);
        let task = tokio::spawn(async move {
            match address {
                MasterAddress::Standalone(upid) => standalone(&upid, &settings, &sender).await,
                MasterAddress::ZooKeeper(address) => zookeeper::run(&address, &settings, &sender).await,
            }
        });
        Self { leaders, task: Some(task) }
    }

    /// Waits until the leader has changed since this was called last, and returns it. At first there is none.
    ///
    /// # Errors
    ///
    /// There is nothing to be detected any more. After that it fails for ever.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; no change is lost, though of several only the last is seen.
    pub async fn changed(&mut self) -> Result<Option<Leader>, DetectorError> {
        if self.leaders.changed().await.is_ok() {
            return Ok(self.leaders.borrow_and_update().clone());
        }
        let Some(task) = &mut self.task else { return Err(DetectorError::Ended) };
        let ended = task.await;
        self.task = None;
        Err(ended.unwrap_or(DetectorError::Ended))
    }

    /// The leader of the moment.
    pub fn leader(&self) -> Option<Leader> {
        self.leaders.borrow().clone()
    }
}

impl Drop for Detection {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A single master leads for ever, once its name is found.
async fn standalone(
    upid: &str,
    settings: &DetectorSettings,
    leaders: &watch::Sender<Option<Leader>>,
) -> DetectorError {
    let mut absence = Absence::default();
    let upid = loop {
        match Upid::resolve(upid, settings.session_timeout).await {
            Ok(upid) => break upid,
            Err(ResolveError::Text(error)) => return DetectorError::Master(error),
            // A name service that is not up yet at boot is no reason to give up, as stock would.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                if let Some(since) = absence.continues(Instant::now(), settings.reminder) {
                    tracing::warn!(
                        master = upid,
                        error,
                        ?since,
                        "the master's host is not found; trying again"
                    );
                }
            }
        }
        sleep(settings.retry).await;
    };
    leaders.send_replace(Some(Leader::standalone(upid)));
    std::future::pending().await
}
