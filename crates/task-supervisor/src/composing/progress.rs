//! How far a launch is, whoever launches.

use containerizer::Progress as Common;
use docker_containerizer::Progress as Told;
use tokio::sync::mpsc;

/// What a launch tells.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Of the Docker containerizer.
    Docker(mpsc::Receiver<Told>),
    /// Of the Mesos containerizer.
    Mesos(mpsc::Receiver<Common>),
}

impl Progress {
    /// Waits for what is told next; `None` when there is no more.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        match self {
            Self::Docker(told) => told.recv().await,
            Self::Mesos(told) => told.recv().await.map(|told| match told {
                Common::Fetch(event) => Told::Fetch(event),
                Common::Prepared => Told::Prepared,
            }),
        }
    }
}
