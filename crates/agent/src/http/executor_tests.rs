//! The API of executors over a real connection, with a core that hears and says what a test wants.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::StatusCode;
use mesos_proto::v1;
use mesos_types::ContainerId;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::HttpSettings;
use super::tests::{Reply, Server};
use crate::core::{Call, Event, ExecutorCall, ToExecutor};
use crate::executors::{Claims, GatewaySettings, StreamSettings, TokenKey};
use crate::model::{Agent, Contact, Executor, ExecutorPhase, Framework, Generated, Peer, Phase, Recovery};

const PATH: &str = "POST /api/v1/executor";
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];
const SOON: Duration = Duration::from_secs(20);

/// A framework with executors: `new` has not subscribed, `old` has, and `own` is the agent's.
fn model(recovery: Recovery, container_id: ContainerId) -> Agent {
    let info = v1::AgentInfo { hostname: "h".to_owned(), ..v1::AgentInfo::default() };
    let mut agent = Agent::new(info, "slave(1)@127.0.0.1:5051".into(), "/w".into(), 1.0, uuid::Uuid::nil());
    agent.phase = if recovery == Recovery::Done { Phase::Running } else { Phase::Recovering };
    agent.recovery = recovery;
    let mut framework = Framework::new("F".parse().unwrap(), v1::FrameworkInfo::default(), None);
    for (id, generated, phase, contact) in [
        ("new", Generated::No, ExecutorPhase::Registering, Contact::Nobody),
        ("old", Generated::No, ExecutorPhase::Running, Contact::Peer(Peer::Http(77))),
        (
            "v0",
            Generated::No,
            ExecutorPhase::Running,
            Contact::Peer(Peer::Libprocess("e@127.0.0.1:9".into())),
        ),
        ("own", Generated::ForCommandTask, ExecutorPhase::Running, Contact::InProcess),
    ] {
        let info = v1::ExecutorInfo::default();
        let mut executor =
            Executor::new(id.parse().unwrap(), info, generated, container_id, "/s".into(), None);
        executor.phase = phase;
        executor.contact = contact;
        framework.executors.insert(executor.id.clone(), executor);
    }
    agent.frameworks.insert(framework.id.clone(), framework);
    agent
}

async fn server(settings: GatewaySettings, recovery: Recovery, container_id: ContainerId) -> Server {
    let http = HttpSettings { max_executor_call: 100_000, ..HttpSettings::default() };
    Server::show(http, settings, Some(model(recovery, container_id)), tempfile::tempdir().unwrap()).await
}

async fn running() -> Server {
    server(GatewaySettings::default(), Recovery::Done, ContainerId::random()).await
}

fn call(executor: &str, kind: &str, rest: Value) -> Vec<u8> {
    let mut call = json!({
        "framework_id": {"value": "F"}, "executor_id": {"value": executor}, "type": kind
    });
    call.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    call.to_string().into_bytes()
}

fn subscribe(executor: &str) -> Vec<u8> {
    call(executor, "SUBSCRIBE", json!({"subscribe": {}}))
}

fn message(executor: &str) -> Vec<u8> {
    call(executor, "MESSAGE", json!({"message": {"data": "aGk="}}))
}

async fn heard(server: &mut Server) -> Event {
    timeout(SOON, server.heard.recv()).await.expect("an event in time").expect("an event")
}

async fn said(server: &mut Server) -> ExecutorCall {
    match heard(server).await {
        Event::Executor(call) => *call,
        other => panic!("{other:?}"),
    }
}

/// A stream of events, from its head on.
struct Stream {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Stream {
    async fn open(server: &Server, executor: &str, accept: &str) -> Self {
        Self::open_with(server, executor, &format!("HTTP/1.1\r\nHost: x\r\nAccept: {accept}")).await
    }

    /// With these words after the path: the version and some headers.
    async fn open_with(server: &Server, executor: &str, head: &str) -> Self {
        let body = subscribe(executor);
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let length = body.len();
        let head =
            format!("{PATH} {head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body).await.unwrap();
        Self { socket, read: Vec::new() }
    }

    /// Reads until these bytes have come.
    async fn until(&mut self, wanted: &[u8]) -> String {
        while !self.read.windows(wanted.len()).any(|window| window == wanted) {
            let read = timeout(SOON, self.socket.read_buf(&mut self.read)).await;
            let read = read.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.read))).unwrap();
            assert!(read > 0, "the stream ended: {}", String::from_utf8_lossy(&self.read));
        }
        String::from_utf8_lossy(&self.read).into_owned()
    }

    async fn ends(mut self) -> String {
        timeout(SOON, self.socket.read_to_end(&mut self.read)).await.expect("the end in time").unwrap();
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

#[rstest]
#[case("GET /api/v1/executor", &JSON, b"".to_vec(), 405, "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'.")]
#[case(PATH, &[], b"".to_vec(), 400, "Expecting 'Content-Type' to be present")]
#[case(PATH, &[("Content-Type", "text/plain")], b"".to_vec(), 415, "Expecting 'Content-Type' of application/json or application/x-protobuf")]
#[case(PATH, &[("Content-Type", "application/x-protobuf")], b"\xff".to_vec(), 400, "Failed to parse body into Call protobuf")]
#[case(PATH, &JSON, b"{".to_vec(), 400, "Failed to parse body into JSON")]
#[case(PATH, &JSON, vec![b' '; 100_001], 413, "The body is larger than 100000 bytes.")]
#[case(PATH, &JSON, call("new", "SUBSCRIBE", json!({})), 400, "Expecting 'subscribe' to be present")]
#[case(PATH, &[("Content-Type", "application/json"), ("Accept", "text/html")], subscribe("new"), 406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")]
#[case(PATH, &JSON, subscribe("nobody"), 400, "Executor cannot be found")]
#[case(PATH, &JSON, message("new"), 403, "Executor is not subscribed")]
#[case(PATH, &JSON, call("new", "UNKNOWN", json!({})), 403, "Executor is not subscribed")]
#[case(PATH, &JSON, call("old", "UNKNOWN", json!({})), 501, "501 Not Implemented.")]
#[case(PATH, &JSON, subscribe("own"), 403, "The agent runs this task itself")]
#[case(PATH, &JSON, subscribe("v0"), 403, "The executor is registered, and speaks libprocess")]
#[case(PATH, &JSON, message("v0"), 403, "The executor is registered, and speaks libprocess")]
#[case(PATH, &JSON, [vec![b'['; 50_000], vec![b']'; 50_000]].concat(), 400, "recursion limit exceeded")]
#[case(PATH, &[("Content-Type", "application/x-protobuf")], vec![0x0b; 90_000], 400, "Failed to parse body into Call protobuf")]
#[case("POST /slave(1)/api/v1/executor", &JSON, message("new"), 403, "Executor is not subscribed")]
#[tokio::test]
async fn calls_are_refused_as_stock_refuses_them(
    #[case] request: &str,
    #[case] headers: &[(&str, &str)],
    #[case] body: Vec<u8>,
    #[case] status: u16,
    #[case] why: &str,
) {
    let mut server = running().await;
    let reply = server.ask(request, headers, &body).await;
    assert_eq!(reply.status.as_u16(), status, "{reply:?}");
    assert!(reply.text().contains(why), "{reply:?}");
    assert!(server.heard.try_recv().is_err(), "the core heard of it");
}

#[tokio::test]
async fn calls_reach_the_core_with_the_stream_of_their_executor() {
    let mut server = running().await;
    let reply = server.ask(PATH, &JSON, &message("old")).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::ACCEPTED, String::new()));
    let said = said(&mut server).await;
    assert_eq!((said.executor_id.as_str(), said.peer), ("old", Peer::Http(77)));
    assert!(matches!(said.call, Call::Message(data) if data == b"hi"));
    // Who shows that it is there needs no name.
    let reply = server.ask(PATH, &JSON, &call("", "HEARTBEAT", json!({}))).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert!(server.heard.try_recv().is_err());
}

#[rstest]
#[case(Recovery::Reading, subscribe("new"), 503)]
#[case(Recovery::Reading, call("new", "HEARTBEAT", json!({})), 503)]
#[case(Recovery::Reconnecting, message("old"), 503)]
#[case(Recovery::Reconnecting, call("new", "HEARTBEAT", json!({})), 202)]
#[case(Recovery::Reconnecting, subscribe("nobody"), 400)]
#[tokio::test]
async fn an_agent_that_recovers_takes_subscriptions_once_it_knows_its_executors(
    #[case] recovery: Recovery,
    #[case] body: Vec<u8>,
    #[case] status: u16,
) {
    let server = server(GatewaySettings::default(), recovery, ContainerId::random()).await;
    let reply = server.ask(PATH, &JSON, &body).await;
    assert_eq!(reply.status.as_u16(), status, "{reply:?}");
}

#[tokio::test]
async fn a_stream_carries_what_the_core_says_and_its_end_is_told() {
    let mut server = server(GatewaySettings::default(), Recovery::Reconnecting, ContainerId::random()).await;
    let mut stream = Stream::open(&server, "new", "application/json").await;
    let head = stream.until(b"\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    for header in ["transfer-encoding: chunked", "content-type: application/json"] {
        assert!(head.contains(header), "{head}");
    }
    let said = said(&mut server).await;
    assert!(matches!(said.call, Call::Subscribe { .. }));
    let Peer::Http(id) = said.peer.clone() else { panic!("{said:?}") };
    server.executors.say(&said.peer, &ToExecutor::Shutdown);
    stream.until(b"19\n{\"type\":\"SHUTDOWN\"}").await;
    drop(stream);
    assert!(matches!(heard(&mut server).await, Event::PeerGone(Peer::Http(gone)) if gone == id));
}

#[tokio::test]
async fn a_stream_is_closed_after_what_was_said_before() {
    let mut server = running().await;
    let stream = Stream::open(&server, "new", "application/x-protobuf").await;
    let said = said(&mut server).await;
    server.executors.say(&said.peer, &ToExecutor::Shutdown);
    server.executors.close(&said.peer);
    let mut stream = stream;
    // The connection itself stays, for more requests.
    let text = stream.until(b"0\r\n\r\n").await;
    assert!(text.contains("2\n\u{8}\u{7}") && text.to_ascii_lowercase().contains("application/x-protobuf"));
    assert!(matches!(heard(&mut server).await, Event::PeerGone(peer) if peer == said.peer));
}

/// The core closes the stream that an executor had once it takes another: who is turned away has closed none.
#[tokio::test]
async fn who_subscribes_ends_no_stream_before_it_is_judged() {
    let mut server = running().await;
    let mut earlier = Stream::open(&server, "new", "*/*").await;
    let first = said(&mut server).await;
    let mut impostor = Stream::open(&server, "new", "*/*").await;
    let second = said(&mut server).await;
    assert_ne!(first.peer, second.peer);
    server.executors.say(&second.peer, &ToExecutor::Shutdown);
    server.executors.close(&second.peer);
    impostor.until(b"0\r\n\r\n").await;
    assert!(matches!(heard(&mut server).await, Event::PeerGone(peer) if peer == second.peer));
    server.executors.say(&first.peer, &ToExecutor::Error("still here".to_owned()));
    earlier.until(b"still here").await;
}

#[tokio::test]
async fn an_executor_that_does_not_read_is_disconnected_without_its_help() {
    let streams = StreamSettings { max_records: NonZeroUsize::MIN, ..StreamSettings::default() };
    let settings = GatewaySettings { streams, ..GatewaySettings::default() };
    let mut server = server(settings, Recovery::Done, ContainerId::random()).await;
    let stream = Stream::open(&server, "new", "*/*").await;
    let said = said(&mut server).await;
    let large = ToExecutor::Error("x".repeat(1 << 20));
    // The kernel takes some of it for the executor that does not read.
    for _ in 0..64 {
        server.executors.say(&said.peer, &large);
        tokio::task::yield_now().await;
    }
    // The core hears before the executor reads anything.
    assert!(matches!(heard(&mut server).await, Event::PeerGone(peer) if peer == said.peer));
    assert_eq!(server.executors.streams(), 0);
    // It finds the end of its connection, not the end of the stream.
    let text = stream.ends().await;
    assert!(!text.ends_with("0\r\n\r\n"));
    assert!(server.heard.try_recv().is_err(), "the end is told once");
}

/// As clients have it: libmesos, mesos-go, pymesos, curl, and those who know HTTP/1.0 only.
#[rstest]
#[case(
    "HTTP/1.1\r\nHost: \r\nAccept: application/x-protobuf\r\nConnection: keep-alive",
    "application/x-protobuf"
)]
#[case("HTTP/1.1\r\nHost: a:5051\r\nAccept: application/json\r\nUser-Agent: mesos-go", "application/json")]
#[case("HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*", "application/json")]
#[case(
    "HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAccept: application/x-protobuf;q=0.9",
    "application/x-protobuf"
)]
#[case("HTTP/1.1\r\nHost: a\r\nConnection: close", "application/json")]
#[case("HTTP/1.0", "application/json")]
#[tokio::test]
async fn streams_are_opened_by_all_kinds_of_clients(#[case] head: &str, #[case] form: &str) {
    let mut server = running().await;
    let mut stream = Stream::open_with(&server, "new", head).await;
    let said = said(&mut server).await;
    server.executors.say(&said.peer, &ToExecutor::Shutdown);
    server.executors.close(&said.peer);
    let record: &[u8] =
        if form == "application/json" { b"19\n{\"type\":\"SHUTDOWN\"}" } else { b"2\n\x08\x07" };
    let text = stream.until(record).await;
    assert!(text.contains(" 200 OK") && text.contains(form) && !text.contains("gzip"), "{text}");
    let is_kept = head.starts_with("HTTP/1.1") && !head.contains("close");
    if is_kept {
        stream.until(b"0\r\n\r\n").await;
    } else {
        stream.ends().await;
    }
}

/// A call in pieces, with what a client of another kind says of it.
#[rstest]
#[case("Content-Type: application/json; charset=utf-8\r\nConnection: close")]
#[case("Content-Type: APPLICATION/JSON\r\nExpect: 100-continue\r\nConnection: close")]
#[tokio::test]
async fn calls_come_in_chunks(#[case] headers: &str) {
    let mut server = running().await;
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let head = format!("{PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{headers}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    for piece in message("old").chunks(7) {
        socket.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
        socket.write_all(piece).await.unwrap();
        socket.write_all(b"\r\n").await.unwrap();
    }
    socket.write_all(b"0\r\n\r\n").await.unwrap();
    let text = Stream { socket, read: Vec::new() }.ends().await;
    assert!(text.contains("HTTP/1.1 202 Accepted"), "{text}");
    assert!(matches!(said(&mut server).await.call, Call::Message(_)));
}

/// Large calls are read elsewhere, one at a time.
#[tokio::test]
async fn large_calls_are_taken() {
    let mut server = running().await;
    let data = "QUJD".repeat(20_000);
    let body = call("old", "MESSAGE", json!({"message": {"data": data}}));
    for _ in 0..6 {
        let reply = server.ask(PATH, &JSON, &body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
        assert!(matches!(said(&mut server).await.call, Call::Message(data) if data.len() == 60_000));
    }
}

#[tokio::test]
async fn who_asks_for_pages_does_not_hold_up_executors() {
    let http = HttpSettings {
        max_requests: NonZeroUsize::MIN,
        patience: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let agent = Some(model(Recovery::Done, ContainerId::random()));
    let mut server =
        Server::show(http, GatewaySettings::default(), agent, tempfile::tempdir().unwrap()).await;
    // A call of an operator that does not come to its end.
    let mut slow = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let head =
        "POST /api/v1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let crowded = async {
        while server.ask("GET /version", &[], b"").await.status != StatusCode::SERVICE_UNAVAILABLE {}
    };
    timeout(SOON, crowded).await.expect("the only turn is taken");
    let reply = server.ask(PATH, &JSON, &message("old")).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    assert!(matches!(said(&mut server).await.call, Call::Message(_)));
}

#[tokio::test]
async fn a_stream_has_heartbeats() {
    let streams = StreamSettings { heartbeat: Duration::from_millis(20), ..StreamSettings::default() };
    let settings = GatewaySettings { streams, ..GatewaySettings::default() };
    let server = server(settings, Recovery::Done, ContainerId::random()).await;
    let mut stream = Stream::open(&server, "new", "application/json").await;
    let beat = "20\n{\"type\":\"HEARTBEAT\"}";
    let text = stream.until(beat.as_bytes()).await;
    assert!(text.contains(beat));
}

#[tokio::test]
async fn only_the_executors_own_token_opens_the_way() {
    let (key, container_id) = (TokenKey::new(b"k"), ContainerId::random());
    let settings =
        GatewaySettings { key: Some(key.clone()), demands_tokens: true, ..GatewaySettings::default() };
    let mut server = server(settings, Recovery::Done, container_id).await;
    let token = |executor: &str, container_id| {
        let (framework_id, executor_id) = ("F".parse().unwrap(), executor.parse().unwrap());
        format!("Bearer {}", key.token(&Claims { framework_id, executor_id, container_id }).expose())
    };
    let ask = async |authorization: Option<&str>| -> Reply {
        let mut headers = JSON.to_vec();
        headers.extend(authorization.map(|value| ("Authorization", value)));
        server.ask(PATH, &headers, &message("old")).await
    };
    let none = ask(None).await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    assert!(none.head.contains("www-authenticate: bearer realm=\"mesos-agent-executor\""), "{none:?}");
    assert_eq!(ask(Some("Bearer aaa.bbb.ccc")).await.status, StatusCode::UNAUTHORIZED);
    for other in [token("new", container_id), token("old", ContainerId::random())] {
        assert_eq!(ask(Some(&other)).await.status, StatusCode::FORBIDDEN);
    }
    let own = token("old", container_id);
    assert_eq!(ask(Some(&own)).await.status, StatusCode::ACCEPTED);
    assert!(matches!(said(&mut server).await.call, Call::Message(_)));
    assert!(server.heard.try_recv().is_err());
}
