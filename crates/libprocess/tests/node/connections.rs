//! What becomes of the messages of peers that close, break or never read.

use std::time::Duration;

use libprocess::Limits;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE, message, next_message, node, passes};

/// Stock closes a connection that it made for one message as soon as it has written it.
#[tokio::test]
async fn a_peer_that_closes_after_its_messages_loses_none() {
    let node = node(Limits { mailbox: 1, ..Limits::default() }).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write([message("x", "1"), message("x", "2"), message("x", "3")].concat()).await;
    // The mailbox is full: the second message waits when the peer has gone.
    client.0.shutdown().await.unwrap();
    drop(client);
    for number in 1..=3 {
        assert_eq!(next_message(&mut process).await.body, number.to_string());
    }
}

/// Answers that the peer has not read turn its close into a reset.
#[tokio::test]
async fn a_peer_that_resets_after_its_messages_loses_none() {
    let node = node(Limits { mailbox: 1, ..Limits::default() }).await;
    let mut process = node.register("slave(1)").unwrap();
    for round in 0..50 {
        let mut client = Client::connect(&node).await;
        let all: Vec<u8> = (0..20).flat_map(|number| message("x", &format!("{round}.{number}"))).collect();
        client.write(all).await;
        client.0.readable().await.unwrap();
        drop(client);
        for number in 0..20 {
            assert_eq!(next_message(&mut process).await.body, format!("{round}.{number}"));
        }
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_the_answers_is_heard() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    for number in 0..2000 {
        client.write(message("x", &number.to_string())).await;
        assert_eq!(next_message(&mut process).await.body, number.to_string());
    }
}

/// The master's link to an agent is such a connection; its end makes the master give up the agent.
#[tokio::test]
async fn an_idle_connection_is_never_closed() {
    let node = node(Limits { head_deadline: Duration::from_secs(1), ..Limits::default() }).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut silent = Client::connect(&node).await;
    let mut linked = Client::connect(&node).await;
    linked.write(message("x", "1")).await;
    assert_eq!(next_message(&mut process).await.body, "1");
    linked.statuses(1).await;
    passes(Duration::from_hours(10)).await;
    for client in [&mut silent, &mut linked] {
        client.write(message("x", "2")).await;
        assert_eq!(next_message(&mut process).await.body, "2");
    }
}

#[tokio::test]
async fn many_connections_may_be_open_at_once() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = Client::connect(&node).await;
        client.write(message("x", "")).await;
        clients.push(client);
    }
    for _ in &clients {
        next_message(&mut process).await;
    }
    for client in &mut clients {
        assert_eq!(client.statuses(1).await, [202]);
    }
    assert_eq!(node.counters().connections_accepted, 300);
}

#[tokio::test]
async fn a_port_can_be_bound_again_at_once_and_not_twice() {
    let first = node(Limits::default()).await;
    let process = first.register("slave(1)").unwrap();
    let mut client = Client::connect(&first).await;
    client.write(message("x", "")).await;
    client.statuses(1).await;
    let settings = libprocess::Settings {
        ip: [127, 0, 0, 1].into(),
        port: first.bound().port(),
        ..libprocess::Settings::default()
    };
    let bind = || libprocess::Node::bind(settings.clone(), libprocess::HttpHandler::none());
    let error = bind().await.unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen at 127.0.0.1:{}", first.bound().port())), "{error}");
    first.shutdown(PATIENCE).await;
    client.is_closed().await;
    drop((process, first));
    let bound = async {
        loop {
            match bind().await {
                Ok(node) => break node,
                // The listener closes with its task.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, bound).await.expect("bound again");
}
