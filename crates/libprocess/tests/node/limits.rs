//! What hostile peers can take.

use std::time::Duration;

use libprocess::Limits;

use crate::client::{Client, message, next_message, node};

#[tokio::test]
async fn a_message_that_is_too_large_is_dropped_and_its_connection_goes_on() {
    let node = node(Limits { message_bytes: 1000, ..Limits::default() }).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write(message("largest", &"x".repeat(1000))).await;
    client.write(message("chunked", &"x".repeat(1001))).await;
    let announced =
        "POST /slave(1)/announced HTTP/1.1\r\nLibprocess-From: a@1.2.3.4:5\r\nContent-Length: 100000\r\n\r\n";
    client.write(format!("{announced}{}", "x".repeat(100_000))).await;
    client.write(message("after", "")).await;
    assert_eq!(next_message(&mut process).await.name, "largest");
    assert_eq!(next_message(&mut process).await.name, "after");
    assert_eq!(client.read_until("HTTP/1.1", 4).await.matches("413").count(), 2);
    assert_eq!(node.counters().messages_refused, 2);
}

#[tokio::test]
async fn large_messages_wait_for_each_others_memory_and_small_ones_do_not() {
    const LARGE: usize = 300 << 10;
    let limits = Limits { message_bytes: 1 << 20, inflight_bytes: 1 << 20, ..Limits::default() };
    let node = node(limits).await;
    let mut process = node.register("slave(1)").unwrap();
    // Three fit into one MiB, and one may go beyond it; their processes have not taken them.
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::connect(&node).await);
    }
    let (last, first) = clients.split_last_mut().unwrap();
    for client in first {
        client.write(message("large", &"x".repeat(LARGE))).await;
        client.statuses(1).await;
    }
    let large = message("waits", &"x".repeat(LARGE));
    let (mut read, mut write) = last.0.split();
    let blocked = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        write.write_all(&large).await.unwrap();
        read.read_u8().await.unwrap();
    };
    let others = async {
        let mut small = Client::connect(&node).await;
        small.write(message("small", "x")).await;
        small.statuses(1).await;
        for _ in 0..4 {
            assert_eq!(next_message(&mut process).await.name, "large");
        }
        assert_eq!(next_message(&mut process).await.name, "small");
        // Those were dropped, so there is room.
        assert_eq!(next_message(&mut process).await.name, "waits");
    };
    tokio::join!(blocked, others);
}

#[tokio::test]
async fn large_messages_that_come_at_once_do_not_wait_for_each_other_for_ever() {
    const SIZE: usize = 1 << 20;
    const PIECES: usize = 16;
    let limits = Limits { message_bytes: SIZE, inflight_bytes: 2 * SIZE, ..Limits::default() };
    let node = node(limits).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(&node).await;
        let head = "POST /slave(1)/large HTTP/1.1\r\nLibprocess-From: a@1.2.3.4:5\r\nContent-Length:";
        client.write(format!("{head} {SIZE}\r\n\r\n")).await;
        clients.push(client);
    }
    let writers = async {
        for _ in 0..PIECES {
            futures_util::future::join_all(
                clients.iter_mut().map(|client| client.write("x".repeat(SIZE / PIECES))),
            )
            .await;
        }
    };
    let reader = async {
        for _ in 0..6 {
            assert_eq!(next_message(&mut process).await.body.len(), SIZE);
        }
    };
    tokio::join!(writers, reader);
}

#[tokio::test]
async fn a_request_that_never_ends_is_closed() {
    let limits = Limits {
        // Longer than a busy machine takes to write the two heads that do end.
        head_deadline: Duration::from_secs(3),
        body_deadline: Duration::from_millis(50),
        ..Limits::default()
    };
    let node = node(limits).await;
    let _process = node.register("slave(1)").unwrap();
    let mut head = Client::connect(&node).await;
    head.write("POST /slave(1)/x HTTP/1.1\r\nLibproc").await;
    head.is_closed().await;
    for path in ["slave(1)", "nobody"] {
        let mut body = Client::connect(&node).await;
        body.write(format!(
            "POST /{path}/x HTTP/1.1\r\nLibprocess-From: a@1.2.3.4:5\r\nContent-Length: 9\r\n\r\nx"
        ))
        .await;
        body.is_closed().await;
    }
    assert_eq!(node.counters().strangers_closed, 1);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let node = node(Limits::default()).await;
    let mut client = Client::connect(&node).await;
    let endless = format!("POST /slave(1)/x HTTP/1.1\r\nX: {}", "x".repeat(200 << 10));
    // The connection may be closed before all is written.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.0, endless.as_bytes()).await;
    client.is_closed().await;
}

/// A flood of idle connections takes no room from those that have delivered a message.
#[tokio::test]
async fn strangers_make_room_for_each_other_and_no_process_does() {
    let node = node(Limits { strangers: 5, ..Limits::default() }).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut link = Client::connect(&node).await;
    link.write(message("x", "1")).await;
    next_message(&mut process).await;
    link.statuses(1).await;
    let mut strangers = Vec::new();
    for _ in 0..30 {
        strangers.push(Client::connect(&node).await);
    }
    for stranger in &mut strangers[..25] {
        stranger.is_closed().await;
    }
    let newest = strangers.last_mut().unwrap();
    newest.write(message("x", "2")).await;
    assert_eq!(next_message(&mut process).await.body, "2");
    link.write(message("x", "3")).await;
    assert_eq!(next_message(&mut process).await.body, "3");
    assert_eq!(node.counters().strangers_closed, 25);
}
