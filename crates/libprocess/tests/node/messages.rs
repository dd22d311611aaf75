//! What a node takes as a message, and what it answers.

use libprocess::{Limits, Settings};
use rstest::rstest;

use crate::client::{Client, message, next_message, node, sender};

/// Every form of a request that the recorded probe of a stock master accepted is taken; so is what other libraries send.
#[rstest]
#[case::as_stock(
    "User-Agent: libprocess/master@127.0.0.1:5050\r\nLibprocess-From: master@127.0.0.1:5050\r\n\
     Connection: Keep-Alive\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)]
#[case::content_length("Libprocess-From: master@127.0.0.1:5050\r\nHost: \r\nContent-Length: 5\r\n\r\nhello")]
#[case::other_order(
    "Content-Length: 5\r\nHost: \r\nConnection: Keep-Alive\r\nLibprocess-From: master@127.0.0.1:5050\r\n\r\nhello"
)]
#[case::no_host("libprocess-from: master@127.0.0.1:5050\r\ncontent-length: 5\r\n\r\nhello")]
#[case::agent_alone(
    "User-Agent: libprocess/master@127.0.0.1:5050\r\nHost: \r\nContent-Length: 5\r\n\r\nhello"
)]
#[case::many_chunks(
    "Libprocess-From: master@127.0.0.1:5050\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n\
     1\r\nh\r\n1;x=y\r\ne\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"
)]
#[tokio::test]
async fn a_message_may_have_many_forms(#[case] rest: &str) {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write(format!("POST /slave(1)/mesos.internal.X HTTP/1.1\r\n{rest}")).await;
    let message = next_message(&mut process).await;
    assert_eq!((message.name.as_str(), &message.body[..]), ("mesos.internal.X", &b"hello"[..]));
    assert_eq!(message.from, sender());
    assert_eq!(client.statuses(1).await, [202]);
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_a_message() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.0.set_nodelay(true).unwrap();
    for byte in message("x", "slow") {
        client.write([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(next_message(&mut process).await.body, "slow");
}

#[rstest]
#[case::current_thread(false)]
#[case::many_threads(true)]
fn pipelined_messages_arrive_in_order_on_any_runtime(#[case] threads: bool) {
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().unwrap().block_on(async {
        let node = node(Limits { mailbox: 3, ..Limits::default() }).await;
        let mut process = node.register("slave(1)").unwrap();
        let mut client = Client::connect(&node).await;
        // The sender does not wait for answers, and the mailbox has room for three.
        let all: Vec<u8> = (0..500).flat_map(|number| message("x", &number.to_string())).collect();
        client.write(all).await;
        for number in 0..500 {
            assert_eq!(next_message(&mut process).await.body, number.to_string());
        }
        assert_eq!(client.statuses(500).await, [202; 500]);
        assert_eq!(node.counters().messages_received, 500);
    });
}

#[tokio::test]
async fn each_message_goes_to_its_process() {
    let node = node(Limits::default()).await;
    let mut agent = node.register("slave(1)").unwrap();
    let mut other = node.register_numbered("crammd5-authenticatee").unwrap();
    assert_eq!(other.upid().id().as_str(), "crammd5-authenticatee(1)");
    assert_eq!(
        node.register_numbered("crammd5-authenticatee").unwrap().upid().id().as_str(),
        "crammd5-authenticatee(2)"
    );
    assert!(node.register("slave(1)").is_err(), "taken");
    let mut client = Client::connect(&node).await;
    client.write(message("first", "")).await;
    client.write(libprocess::encode(other.upid(), &sender(), "second", b"2")).await;
    assert_eq!(next_message(&mut other).await.name, "second");
    assert_eq!(next_message(&mut agent).await.name, "first");
}

#[tokio::test]
async fn what_cannot_be_delivered_is_answered_and_the_connection_goes_on() {
    let node = node(Limits::default()).await;
    let gone = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write(message("for nobody", "")).await;
    client
        .write("POST /nobody/x HTTP/1.1\r\nLibprocess-From: a@1.2.3.4:5\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    client
        .write("POST /slave(1)/x HTTP/1.1\r\nLibprocess-From: someone\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    client.write("POST /slave(1)/x HTTP/1.1\r\nUser-Agent: libprocess/\r\n\r\n").await;
    let text = client.read_until("HTTP/1.1", 4).await;
    assert!(text.contains("202") && text.contains("404") && text.contains("400"), "{text}");
    drop(gone);
    client.write(message("too late", "")).await;
    client.read_until("404", 1).await;
    let mut process = node.register("slave(1)").unwrap();
    client.write(message("again", "")).await;
    assert_eq!(next_message(&mut process).await.name, "again");
    let counted = node.counters();
    assert_eq!((counted.messages_unknown, counted.messages_refused), (2, 2));
}

#[tokio::test]
async fn an_unreadable_request_is_answered_400() {
    let node = node(Limits::default()).await;
    let mut client = Client::connect(&node).await;
    client.write("this is no request\r\n\r\n").await;
    client.read_until("HTTP/1.1 400", 1).await;
}

#[tokio::test]
async fn the_senders_address_is_compared_where_that_is_asked_for() {
    let settings =
        Settings { ip: [127, 0, 0, 1].into(), require_peer_address_ip_match: true, ..Settings::default() };
    let node = libprocess::Node::bind(settings, libprocess::HttpHandler::none()).await.unwrap();
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write("POST /slave(1)/x HTTP/1.1\r\nLibprocess-From: master@127.0.0.2:5050\r\n\r\n").await;
    client.read_until("says that it is from master@127.0.0.2:5050", 1).await;
    client.write(message("right", "")).await;
    assert_eq!(next_message(&mut process).await.name, "right");
}

#[tokio::test]
async fn a_sender_may_have_a_host_name() {
    let node = node(Limits::default()).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write("POST /slave(1)/x HTTP/1.1\r\nLibprocess-From: scheduler(1)@localhost:99\r\n\r\n").await;
    assert_eq!(next_message(&mut process).await.from.to_string(), "scheduler(1)@127.0.0.1:99");
}
