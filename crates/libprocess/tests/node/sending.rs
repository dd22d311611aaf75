//! What a node writes to its peers.

use std::time::Duration;

use libprocess::{Limits, Node};
use mesos_proto::internal;
use tokio::io::AsyncReadExt as _;

use crate::client::{Client, PATIENCE, Peer, next_message, node};

/// Waits until a counter has come to a value; counters have no other sign.
async fn counted(node: &Node, count: impl Fn(libprocess::Snapshot) -> u64, expected: u64) {
    let reached = async {
        while count(node.counters()) < expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("counted in time");
    assert_eq!(count(node.counters()), expected);
}

#[tokio::test]
async fn messages_to_one_address_are_written_in_order_on_one_connection() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    for number in 0..100 {
        process.outbox().send(&peer.upid, "x", format!("<{number}>").as_bytes());
    }
    process.post(&peer.upid, &internal::PingSlaveMessage { connected: true });
    let mut connection = peer.accept().await;
    let text = connection.read_until("PingSlaveMessage", 1).await;
    let bodies: Vec<&str> = text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(bodies, expected);
    assert!(
        text.ends_with("\r\n\r\n")
            || text.contains("POST /master/mesos.internal.PingSlaveMessage HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn two_nodes_speak_to_each_other() {
    let (here, there) = (node(Limits::default()).await, node(Limits::default()).await);
    let mut agent = here.register("slave(1)").unwrap();
    let mut master = there.register("master").unwrap();
    agent.post(master.upid(), &internal::PingSlaveMessage { connected: false });
    let ping = next_message(&mut master).await;
    assert!(ping.is::<internal::PingSlaveMessage>());
    assert!(!ping.decode::<internal::PingSlaveMessage>().unwrap().connected);
    master.post(&ping.from, &internal::PongSlaveMessage {});
    let pong = next_message(&mut agent).await;
    assert!(pong.is::<internal::PongSlaveMessage>() && pong.body.is_empty());
    assert_eq!(&pong.from, master.upid());
}

#[tokio::test]
async fn a_thread_outside_of_the_runtime_may_send_and_link() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    let (outbox, to) = (process.outbox().clone(), peer.upid.clone());
    let thread = std::thread::spawn(move || {
        outbox.link(&to);
        outbox.send(&to, "x", b"");
    });
    peer.accept().await.read_until("POST /master/x", 1).await;
    thread.join().unwrap();
}

/// Without a link the connection is closed in order when nothing is left: the peer sees the end of the stream, not a
/// reset, though it has answers under way.
#[tokio::test]
async fn a_connection_without_a_link_is_closed_when_nothing_is_left() {
    let node = node(Limits { linger: Duration::from_millis(20), ..Limits::default() }).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.outbox().send(&peer.upid, "first", b"");
    let mut connection = peer.accept().await;
    connection.write("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await;
    let mut all = String::new();
    connection.0.read_to_string(&mut all).await.expect("no reset");
    assert!(all.starts_with("POST /master/first HTTP/1.1\r\n"), "{all}");
    connection.write("HTTP/1.1 202 Accepted\r\n").await;
    drop(connection);
    process.outbox().send(&peer.upid, "second", b"");
    peer.accept().await.read_until("POST /master/second", 1).await;
}

#[tokio::test]
async fn messages_that_follow_each_other_share_a_connection() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.outbox().send(&peer.upid, "first", b"");
    let mut connection = peer.accept().await;
    connection.read_until("\r\n\r\n", 1).await;
    process.outbox().send(&peer.upid, "second", b"");
    connection.read_until("POST /master/second", 1).await;
}

/// What was not begun when the connection broke goes to the next one, in order and once.
#[tokio::test]
async fn the_order_survives_a_broken_connection() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    let large = vec![b'x'; 32 << 20];
    process.outbox().send(&peer.upid, "begun", &large);
    let mut connection = peer.accept().await;
    connection.read_until("POST /master/begun", 1).await;
    for number in 0..10 {
        process.outbox().send(&peer.upid, "after", format!("<{number}>").as_bytes());
    }
    // The rest of the large message has no room on the way.
    drop(connection);
    let mut connection = peer.accept().await;
    let text = connection.read_until("<9>", 1).await;
    assert!(!text.contains("begun"), "it is not written again");
    let bodies: Vec<&str> = text.split('<').skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(bodies.concat(), "0123456789");
    assert_eq!(node.counters().messages_dropped_unreachable, 1);
}

#[tokio::test]
async fn a_message_to_nobody_is_lost_and_counted_and_the_next_one_tries_again() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    let (address, upid) = (peer.listener.local_addr().unwrap(), peer.upid.clone());
    drop(peer);
    process.outbox().send(&upid, "lost", b"");
    counted(&node, |counters| counters.messages_dropped_unreachable, 1).await;
    let peer = Peer::at(address).await;
    process.outbox().send(&upid, "found", b"");
    peer.accept().await.read_until("POST /master/found", 1).await;
}

/// A receiver that takes nothing fills its own queue and nobody else's.
#[tokio::test]
async fn the_queue_to_a_peer_that_never_reads_is_bounded() {
    let limits =
        Limits { queue_messages: 10, write_deadline: Duration::from_millis(200), ..Limits::default() };
    let node = node(limits).await;
    let process = node.register("slave(1)").unwrap();
    let (stuck, other) = (Peer::bind().await, Peer::bind().await);
    process.outbox().send(&stuck.upid, "large", &vec![b'x'; 64 << 20]);
    let mut connection = stuck.accept().await;
    connection.read_until("POST /master/large", 1).await;
    for _ in 0..30 {
        process.outbox().send(&stuck.upid, "x", b"");
    }
    assert_eq!(node.counters().messages_dropped_full, 20);
    process.outbox().send(&other.upid, "x", b"");
    other.accept().await.read_until("POST /master/x", 1).await;
    // In time the connection counts as broken; what waited is written to the next one.
    let mut next = stuck.accept().await;
    next.read_until("POST /master/x", 10).await;
    drop(connection);
}

#[tokio::test]
async fn the_answers_of_a_peer_are_drained() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.outbox().send(&peer.upid, "x", b"");
    let Client(mut connection) = peer.accept().await;
    // Far more than the system buffers between the two.
    let answers = vec![b'x'; 32 << 20];
    let written = tokio::io::AsyncWriteExt::write_all(&mut connection, &answers);
    tokio::time::timeout(PATIENCE, written).await.expect("read").expect("read");
}

#[tokio::test]
async fn addresses_are_bounded() {
    let node = node(Limits { peers: 1, ..Limits::default() }).await;
    let mut process = node.register("slave(1)").unwrap();
    let (first, second) = (Peer::bind().await, Peer::bind().await);
    process.outbox().send(&first.upid, "x", b"");
    process.outbox().send(&second.upid, "x", b"");
    assert_eq!(node.counters().messages_dropped_full, 1);
    process.link(&second.upid);
    assert_eq!(crate::client::next_exit(&mut process).await, second.upid);
}

#[tokio::test]
async fn shutdown_writes_what_waits() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.link(&peer.upid);
    for number in 0..1000 {
        process.outbox().send(&peer.upid, "x", format!("<{number}>").as_bytes());
    }
    let shutdown = node.shutdown(PATIENCE);
    let read = async {
        let mut connection = peer.accept().await;
        let mut all = String::new();
        connection.0.read_to_string(&mut all).await.expect("no reset");
        all
    };
    let ((), all) = tokio::join!(shutdown, read);
    assert_eq!(all.matches("POST /master/x").count(), 1000);
    assert!(process.next().await.is_none(), "a process receives no more");
    process.outbox().send(&peer.upid, "late", b"");
    assert_eq!(node.counters().messages_dropped_full, 1);
}

#[tokio::test]
async fn shutdown_has_a_deadline() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.outbox().send(&peer.upid, "large", &vec![b'x'; 64 << 20]);
    let _connection = peer.accept().await;
    tokio::time::timeout(PATIENCE, node.shutdown(Duration::from_millis(50))).await.expect("it ends");
}
