//! Owns the listening socket: takes connections until the node ends, also when the system has no descriptors left.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::Connection;
use super::requests::answer;
use super::stream::InboundStream;
use crate::node::Shared;
use crate::throttle::Throttle;

/// How large the head of a request may be, in bytes. Stock's parser takes 80 KiB.
const HEAD: usize = 128 << 10;
/// How many headers a request may have. Stock sets no bound.
const HEADERS: usize = 256;
/// The pause after a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the node stops.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let told = Throttle::default();
    let mut looks = interval((shared.limits.head_deadline / 2).max(Duration::from_millis(10)));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = looks.tick() => shared.connections.close_slow_heads(),
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    if let Some((id, connection)) = shared.connections.admit(peer) {
                        tokio::spawn(serve(shared.clone(), id, connection, socket));
                    }
                }
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    // Usually there are no descriptors left; closing a stranger's frees one.
                    let closed = shared.connections.make_room();
                    if let Some(more) = told.due() {
                        tracing::error!(
                            error = &error as &dyn std::error::Error, closed, more,
                            "cannot take an inbound connection; the limit of open files may be too low"
                        );
                    }
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

/// Whether a failed accept says something about that connection only.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Serves one connection to its end. No time ends it.
async fn serve(shared: Arc<Shared>, id: u64, connection: Arc<Connection>, socket: TcpStream) {
    // A socket that closed meanwhile fails here, and its end is seen below.
    let _ = socket.set_nodelay(true);
    let stream = TokioIo::new(InboundStream::new(socket, connection.clone()));
    let service = service_fn(|request| answer(shared.clone(), connection.clone(), request));
    let served = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(stream, service);
    tokio::select! {
        served = served => if let Err(error) = served {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(peer = %connection.peer, error, "an inbound connection ended with an error");
        },
        () = connection.closed() => {}
        () = shared.stop.cancelled() => {}
    }
    shared.connections.remove(id);
}
