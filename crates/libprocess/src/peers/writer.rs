//! Owns the task of one address, and its connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::outgoing::{Lost, Next};
use super::{Peer, Peers};

/// How much of what a peer answers is read at once, in bytes. The answers are dropped.
const ANSWERS: usize = 2 << 10;

/// Why a connection is over.
enum End {
    /// A new one is wanted in its place.
    Renewed,
    /// Nothing is left to write and no link keeps it.
    Done,
    /// It broke.
    Broke(io::Error),
}

/// Writes for one address until nothing is left to be done.
pub(super) async fn run(peers: Peers, peer: Arc<Peer>) {
    let stop = peers.0.stop.clone();
    tokio::select! {
        () = write_all(&peers, &peer) => {}
        () = stop.cancelled() => {
            let left = peer.outgoing().is_unreachable().messages.len();
            peers.0.counters.messages_dropped_unreachable.add(left as u64);
        }
    }
}

async fn write_all(peers: &Peers, peer: &Peer) {
    while !peers.retire(peer) {
        peer.outgoing().connecting();
        let mut stream = match connect(peer, peers.0.limits.connect_deadline).await {
            Ok(stream) => stream,
            Err(error) => {
                let lost = peer.outgoing().is_unreachable();
                tell(peers, peer, lost, &error, "another Mesos process cannot be reached");
                continue;
            }
        };
        match converse(peers, peer, &mut stream).await {
            End::Renewed => {}
            End::Done => close(stream, peers.0.limits.linger).await,
            End::Broke(error) => {
                let lost = peer.outgoing().broke();
                tell(peers, peer, lost, &error, "the connection to another Mesos process broke");
            }
        }
    }
}

async fn connect(peer: &Peer, deadline: Duration) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect(SocketAddr::V4(peer.address));
    let stream = timeout(deadline, connecting).await.map_err(|_| took_longer_than(deadline))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Writes and reads at the same time: a peer may stop reading until its answers are read.
async fn converse(peers: &Peers, peer: &Peer, stream: &mut TcpStream) -> End {
    let (mut read, mut write) = stream.split();
    tokio::select! {
        error = drain(&mut read) => End::Broke(error),
        end = write_queue(peers, peer, &mut write) => end,
    }
}

/// Reads and drops the answers until the connection ends.
async fn drain(read: &mut ReadHalf<'_>) -> io::Error {
    let mut answers = vec![0; ANSWERS];
    loop {
        match read.read(&mut answers).await {
            Ok(0) => return io::Error::new(io::ErrorKind::UnexpectedEof, "it was closed by the other side"),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// Writes what is queued, and waits for more as long as the connection is to be kept.
async fn write_queue(peers: &Peers, peer: &Peer, write: &mut WriteHalf<'_>) -> End {
    let limits = &peers.0.limits;
    loop {
        // The lock must not be held while waiting.
        let next = peer.outgoing().next();
        let keep = match next {
            Next::Write(request) => {
                if let Err(error) = write_request(write, &request, limits.write_deadline).await {
                    return End::Broke(error);
                }
                peers.0.counters.messages_sent.one();
                continue;
            }
            Next::Renew => return End::Renewed,
            Next::WaitLinked => None,
            Next::WaitUnlinked => Some(limits.linger),
        };
        let over = async {
            match keep {
                Some(linger) => tokio::time::sleep(linger).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = peer.wake.notified() => {}
            () = over => return End::Done,
            () = peers.0.finishing.cancelled() => {
                // What was queued before the end began is still to be written.
                if !peer.outgoing().wants_connection(true) {
                    return End::Done;
                }
            }
        }
    }
}

async fn write_request(write: &mut WriteHalf<'_>, request: &[u8], deadline: Duration) -> io::Result<()> {
    let mut rest = request;
    while !rest.is_empty() {
        let written =
            timeout(deadline, write.write(rest)).await.map_err(|_| took_longer_than(deadline))??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    Ok(())
}

/// Closes a connection in order: with answers unread, the system would break it and drop what is still to be sent.
async fn close(mut stream: TcpStream, within: Duration) {
    let (mut read, mut write) = stream.split();
    if write.shutdown().await.is_ok() {
        // Past the deadline the peer has had its time.
        let _ = timeout(within, drain(&mut read)).await;
    }
}

/// Tells of what was lost: in the log, in the counters, and to the processes that were linked.
fn tell(peers: &Peers, peer: &Peer, lost: Lost, error: &io::Error, what: &str) {
    let counters = &peers.0.counters;
    let error: &dyn std::error::Error = error;
    let address = peer.address;
    counters.messages_dropped_unreachable.add(lost.messages.len() as u64);
    counters.links_broken.add(lost.links.len() as u64);
    if lost.messages.is_empty() {
        tracing::debug!(%address, error, links = lost.links.len(), "{what}");
    } else if let Some(more) = peers.0.lost.due() {
        let names: Vec<&str> = lost.messages.iter().take(5).map(|message| message.name.as_str()).collect();
        tracing::warn!(%address, error, lost = lost.messages.len(), ?names, more, "{what}; messages to it are lost");
    }
    for (to, mailbox) in lost.links {
        peers.tell_exited(to, &mailbox);
    }
}

fn took_longer_than(deadline: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the other side did not answer within {deadline:?}"))
}
