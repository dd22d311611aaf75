//! The requests that are no messages.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use libprocess::{BoxError, HangUp, HttpBody, HttpHandler, HttpRequest, Limits, PeerAddress};
use tokio::sync::{mpsc, oneshot};

use crate::client::{Client, message, next_message, node, node_with, passes};

fn full(text: impl Into<Bytes>) -> Response<HttpBody> {
    Response::new(Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync())
}

#[tokio::test]
async fn requests_and_messages_share_a_connection_in_order() {
    let handler = HttpHandler::new(async |request: HttpRequest| {
        let peer = request.extensions().get::<PeerAddress>().is_some();
        let text = format!("[{} {} {peer}]", request.method(), request.uri());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        full([text.as_bytes(), &body].concat())
    });
    let node = node_with(Limits::default(), handler).await;
    let mut process = node.register("slave(1)").unwrap();
    let mut client = Client::connect(&node).await;
    client.write("GET /slave(1)/state?x=1 HTTP/1.1\r\nHost: \r\n\r\n").await;
    client.write(message("x", "")).await;
    client.write("POST /api/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").await;
    let text = client.read_until("body", 1).await;
    let find = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what:?} in {text}"));
    assert!(find("[GET /slave(1)/state?x=1 true]") < find("202 Accepted"));
    assert!(find("202 Accepted") < find("[POST /api/v1 true]body"));
    assert_eq!(next_message(&mut process).await.name, "x");
}

#[tokio::test]
async fn a_program_without_endpoints_answers_404() {
    let node = node(Limits::default()).await;
    let mut client = Client::connect(&node).await;
    client.write("GET /state HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.read_until("HTTP/1.1 404", 1).await;
}

/// A handler whose answers are what a channel gives, and the channel, which is closed when the body is dropped.
fn streaming() -> (HttpHandler, mpsc::Sender<Bytes>) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    let handler = HttpHandler::new(move |_| {
        let receiver = receiver.lock().expect("no panic").take().expect("one request");
        async move {
            let frames = stream::unfold(receiver, async |mut receiver| {
                let data = receiver.recv().await?;
                Some((Ok::<_, BoxError>(Frame::data(data)), receiver))
            });
            Response::builder().status(StatusCode::OK).body(StreamBody::new(frames)).expect("a response")
        }
    });
    (handler, sender)
}

#[tokio::test]
async fn an_answer_may_stream_and_is_dropped_when_the_client_goes() {
    let (handler, sender) = streaming();
    let node =
        node_with(Limits { head_deadline: Duration::from_secs(1), ..Limits::default() }, handler).await;
    let mut client = Client::connect(&node).await;
    client.write("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await;
    for piece in ["one", "two"] {
        sender.send(piece.into()).await.unwrap();
        client.read_until(piece, 1).await;
    }
    // It is told without anything being written.
    drop(client);
    tokio::time::timeout(crate::client::PATIENCE, sender.closed()).await.expect("the stream is dropped");
}

#[tokio::test]
async fn who_streams_may_hang_up_on_a_client_that_does_not_read() {
    let (told, mut tells) = mpsc::channel(1);
    let (kept, lost) = oneshot::channel::<()>();
    let kept = std::sync::Mutex::new(Some(kept));
    let handler = HttpHandler::new(move |request: HttpRequest| {
        let hang_up = request.extensions().get::<HangUp>().expect("a way to hang up").clone();
        let kept = kept.lock().expect("no panic").take().expect("one request");
        let told = told.clone();
        async move {
            let endless = stream::unfold(kept, async |kept| {
                Some((Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 1 << 20]))), kept))
            });
            told.send(hang_up).await.expect("a test that waits");
            Response::new(StreamBody::new(endless))
        }
    });
    let node = node_with(Limits::default(), handler).await;
    let mut client = Client::connect(&node).await;
    client.write("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tells.recv().await.unwrap().hang_up();
    let dropped = tokio::time::timeout(crate::client::PATIENCE, lost).await.expect("the body is dropped");
    assert!(dropped.is_err());
}

#[tokio::test]
async fn a_stream_is_not_closed_by_the_next_request_behind_it() {
    let (handler, sender) = streaming();
    let node =
        node_with(Limits { head_deadline: Duration::from_secs(1), ..Limits::default() }, handler).await;
    let mut client = Client::connect(&node).await;
    client.write("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sender.send("one".into()).await.unwrap();
    client.read_until("one", 1).await;
    client.write("GET /sta").await;
    // Many looks at slow heads pass.
    passes(Duration::from_secs(100)).await;
    sender.send("two".into()).await.unwrap();
    client.read_until("two", 1).await;
}
