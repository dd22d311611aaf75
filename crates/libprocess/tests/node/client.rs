//! Raw peers: a client that writes requests byte for byte, and a server that reads what a node writes.

use std::net::SocketAddr;
use std::time::Duration;

use libprocess::{Event, HttpHandler, Incoming, Limits, Node, Process, Settings, Upid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long anything may take that is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A node on loopback.
pub(crate) async fn node(limits: Limits) -> Node {
    node_with(limits, HttpHandler::none()).await
}

pub(crate) async fn node_with(limits: Limits, handler: HttpHandler) -> Node {
    let settings = Settings { ip: [127, 0, 0, 1].into(), limits, ..Settings::default() };
    Node::bind(settings, handler).await.expect("a free port")
}

/// The next event, within the test's patience.
pub(crate) async fn next(process: &mut Process) -> Event {
    timeout(PATIENCE, process.next()).await.expect("an event in time").expect("an event")
}

/// The next event, which is a message.
pub(crate) async fn next_message(process: &mut Process) -> Incoming {
    match next(process).await {
        Event::Message(message) => message,
        Event::Exited(upid) => panic!("the link to {upid} broke"),
    }
}

/// The next event, which is a broken link.
pub(crate) async fn next_exit(process: &mut Process) -> Upid {
    match next(process).await {
        Event::Exited(upid) => upid,
        Event::Message(message) => panic!("a message: {message:?}"),
    }
}

/// Lets time pass at once. Only while nothing is under way: this clock does not wait for what a socket brings.
pub(crate) async fn passes(time: Duration) {
    tokio::time::pause();
    tokio::time::sleep(time).await;
    tokio::time::resume();
}

/// A client of a node.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(node: &Node) -> Self {
        Self(TcpStream::connect(SocketAddr::V4(node.bound())).await.expect("a connection"))
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.0.write_all(bytes.as_ref())).await.expect("in time").expect("written");
    }

    /// Reads until `end` has been read `times` times.
    pub(crate) async fn read_until(&mut self, end: &str, times: usize) -> String {
        let mut text = String::new();
        let mut bytes = [0; 4096];
        while text.matches(end).count() < times {
            let read = timeout(PATIENCE, self.0.read(&mut bytes)).await;
            let read = read.unwrap_or_else(|_| panic!("waited in vain for {times} of {end:?}: {text}"));
            let read = read.unwrap_or_else(|error| panic!("{error} after {text}"));
            assert!(read > 0, "the connection was closed after {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        text
    }

    /// Reads the answers to `count` messages and returns their statuses.
    pub(crate) async fn statuses(&mut self, count: usize) -> Vec<u16> {
        let text = self.read_until("\r\n\r\n", count).await;
        let starts = text.split("HTTP/1.1 ").skip(1);
        starts.map(|answer| answer[..3].parse().expect("a status")).collect()
    }

    /// Waits until the node has closed the connection.
    pub(crate) async fn is_closed(&mut self) {
        let mut rest = Vec::new();
        // A connection that was reset is closed too.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("closed in time");
    }
}

/// A message to `slave(1)` with its content in one chunk.
pub(crate) fn message(name: &str, body: &str) -> Vec<u8> {
    let to = "slave(1)@127.0.0.1:5051".parse().expect("a UPID");
    libprocess::encode(&to, &sender(), name, body.as_bytes()).to_vec()
}

/// Who sends these messages.
pub(crate) fn sender() -> Upid {
    "master@127.0.0.1:5050".parse().expect("a UPID")
}

/// A peer that a node writes to.
pub(crate) struct Peer {
    pub(crate) listener: TcpListener,
    pub(crate) upid: Upid,
}

impl Peer {
    pub(crate) async fn bind() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address")).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let upid = format!("master@{}", listener.local_addr().expect("an address"));
        Self { listener, upid: upid.parse().expect("a UPID") }
    }

    pub(crate) async fn accept(&self) -> Client {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        Client(accepted.expect("a connection in time").expect("a connection").0)
    }
}
