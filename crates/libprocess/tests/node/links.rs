//! Links and the news of their end.

use std::time::Duration;

use libprocess::{Limits, Upid};

use crate::client::{Client, Peer, message, next, next_exit, next_message, node, passes};

/// A message to itself; when it has come, whatever was told before it has come too.
async fn nothing_was_told(node: &libprocess::Node, process: &mut libprocess::Process) {
    Client::connect(node).await.write(message("mark", "")).await;
    assert_eq!(next_message(process).await.name, "mark");
}

#[tokio::test]
async fn a_broken_link_is_told_once_to_each_process_and_for_each_name() {
    let node = node(Limits::default()).await;
    let mut agent = node.register("slave(1)").unwrap();
    let mut other = node.register("other").unwrap();
    let peer = Peer::bind().await;
    let second = Upid::new(libprocess::ProcessId::new("second").unwrap(), peer.upid.address());
    agent.link(&peer.upid);
    agent.link(&peer.upid);
    agent.link(&second);
    other.link(&peer.upid);
    let connection = peer.accept().await;
    drop(connection);
    let mut told = [next_exit(&mut agent).await, next_exit(&mut agent).await];
    told.sort();
    let mut expected = [peer.upid.clone(), second];
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(next_exit(&mut other).await, peer.upid);
    nothing_was_told(&node, &mut agent).await;
    assert_eq!(node.counters().links_broken, 3);
    // A new link is told again.
    agent.link(&peer.upid);
    drop(peer.accept().await);
    assert_eq!(next_exit(&mut agent).await, peer.upid);
    nothing_was_told(&node, &mut agent).await;
}

#[tokio::test]
async fn a_link_that_cannot_be_made_is_told() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    let upid = peer.upid.clone();
    drop(peer);
    process.link(&upid);
    assert_eq!(next_exit(&mut process).await, upid);
    nothing_was_told(&node, &mut process).await;
}

#[tokio::test]
async fn a_link_is_kept_while_idle_and_carries_later_messages() {
    let node = node(Limits::default()).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.link(&peer.upid);
    let mut connection = peer.accept().await;
    passes(Duration::from_hours(100)).await;
    process.outbox().send(&peer.upid, "x", b"");
    connection.read_until("POST /master/x", 1).await;
}

#[tokio::test]
async fn a_link_takes_over_the_connection_of_a_message() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.outbox().send(&peer.upid, "first", b"");
    let mut connection = peer.accept().await;
    connection.read_until("POST /master/first", 1).await;
    process.link(&peer.upid);
    process.outbox().send(&peer.upid, "second", b"");
    connection.read_until("POST /master/second", 1).await;
    drop(connection);
    assert_eq!(next_exit(&mut process).await, peer.upid);
}

/// Stock's `RemoteConnection::RECONNECT`.
#[tokio::test]
async fn a_renewed_link_has_a_new_connection_and_the_end_of_the_old_one_is_told_to_nobody() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.link(&peer.upid);
    let mut old = peer.accept().await;
    process.outbox().send(&peer.upid, "first", b"");
    old.read_until("POST /master/first", 1).await;
    process.relink(&peer.upid);
    process.outbox().send(&peer.upid, "second", b"");
    let mut new = peer.accept().await;
    new.read_until("POST /master/second", 1).await;
    old.is_closed().await;
    nothing_was_told(&node, &mut process).await;
    drop(new);
    assert_eq!(next_exit(&mut process).await, peer.upid);
}

#[tokio::test]
async fn the_links_of_a_process_end_with_it() {
    let node = node(Limits { linger: Duration::from_millis(10), ..Limits::default() }).await;
    let process = node.register("slave(1)").unwrap();
    let peer = Peer::bind().await;
    process.link(&peer.upid);
    let mut connection = peer.accept().await;
    drop(process);
    connection.is_closed().await;
    // One of the same name hears nothing of it.
    let mut process = node.register("slave(1)").unwrap();
    nothing_was_told(&node, &mut process).await;
}

#[tokio::test]
async fn a_full_mailbox_delays_the_news_and_loses_none() {
    let node = node(Limits { mailbox: 1, ..Limits::default() }).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write(message("fills", "")).await;
    client.statuses(1).await;
    let peer = Peer::bind().await;
    process.link(&peer.upid);
    drop(peer.accept().await);
    let both = [next(&mut process).await, next(&mut process).await];
    assert!(matches!(&both[0], libprocess::Event::Message(message) if message.name == "fills"));
    assert!(matches!(&both[1], libprocess::Event::Exited(upid) if *upid == peer.upid));
}

#[tokio::test]
async fn a_node_that_ends_breaks_the_links_to_it() {
    let (here, there) = (node(Limits::default()).await, node(Limits::default()).await);
    let mut agent = here.register("slave(1)").unwrap();
    let mut master = there.register("master").unwrap();
    agent.link(master.upid());
    agent.outbox().send(master.upid(), "x", b"");
    next_message(&mut master).await;
    let upid = master.upid().clone();
    drop((master, there));
    assert_eq!(next_exit(&mut agent).await, upid);
}
