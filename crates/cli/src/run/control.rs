//! The owner's side of the control socket: kills that other programs ask for.

use std::sync::Arc;
use std::time::Duration;

use mesos_types::ContainerId;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::runs::{OwnedRun, Reply, Request};

/// How many programs may ask at once.
const CONNECTIONS: usize = 16;

/// The longest request, in bytes.
const LONGEST: u64 = 4096;

/// How long a program may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause after a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// A kill that another program asks for.
pub(crate) struct Asked {
    pub(crate) container_id: ContainerId,
    pub(crate) grace: Option<Duration>,
    /// Where the answer goes once the task has ended.
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// Serves the control sockets of runs until the receiver is dropped. A socket that cannot be made is told; a kill from
/// another program then waits in vain, and says so.
pub(crate) fn serve(runs: &[OwnedRun]) -> mpsc::Receiver<Asked> {
    let (sender, asked) = mpsc::channel(CONNECTIONS);
    for run in runs {
        match run.listen() {
            Ok(listener) => drop(tokio::spawn(accept(listener, sender.clone()))),
            Err(error) => {
                tracing::warn!(%error, "no control socket: mesos-docker kill cannot reach this process")
            }
        }
    }
    asked
}

async fn accept(listener: UnixListener, sender: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            () = sender.closed() => return,
        };
        match connection {
            Ok((stream, _)) => {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, sender).await {
                        tracing::debug!(%error, "a control connection ended early");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Such as no descriptors left: the next one may find some.
                tracing::debug!(%error, "a control connection failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, sender: mpsc::Sender<Asked>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(read.take(LONGEST)).read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(Request::Kill { container_id, grace_ms }) => match container_id.parse() {
            Ok(container_id) => {
                let (reply, answered) = oneshot::channel();
                let grace = grace_ms.map(Duration::from_millis);
                let asked = Asked { container_id, grace, reply };
                if sender.send(asked).await.is_ok() {
                    answered.await.unwrap_or(Reply::Unknown)
                } else {
                    Reply::Unknown
                }
            }
            Err(_) => Reply::Unknown,
        },
        Err(_) => Reply::Unknown,
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    timeout(PATIENCE, write.write_all(&text)).await?
}
