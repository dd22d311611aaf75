//! The HTTP API of executors, against an agent on a socket that answers as the recorded one does.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use docker_executor::agent::AgentLink;
use docker_executor::environment::Environment;
use docker_executor::flags_table::WantedProtocol;
use docker_executor::session::{AgentEvent, Call, Event, Join};
use libprocess::Overrides;
use mesos_proto::executor::call::Type;
use mesos_proto::executor::{Call as Message, Event as Told, event};
use mesos_proto::{Message as _, v1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// An agent's listener.
struct Agent(TcpListener);

/// A connection with a call that waits for its answer.
struct Asked {
    stream: TcpStream,
    head: String,
    call: Message,
}

impl Agent {
    async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Begins to speak with this agent.
    async fn link(&self) -> AgentLink {
        let address = self.0.local_addr().unwrap().to_string();
        let variables = BTreeMap::from([
            ("MESOS_SLAVE_PID", format!("slave(1)@{address}")),
            ("MESOS_AGENT_ENDPOINT", address),
            ("MESOS_SLAVE_ID", "S0".into()),
            ("MESOS_FRAMEWORK_ID", "F".into()),
            ("MESOS_EXECUTOR_ID", "t".into()),
            ("MESOS_DIRECTORY", "/sandbox".into()),
            ("MESOS_CHECKPOINT", "1".into()),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "10ms".into()),
            ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "s3cret".into()),
        ]);
        let environment = Environment::read(|name| variables.get(name).cloned(), WantedProtocol::V1).unwrap();
        AgentLink::start(&environment, &Overrides::default()).await.unwrap()
    }

    /// Takes the next connection and its first call.
    async fn asked(&self) -> Asked {
        let (stream, _) = timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        Asked::read(stream).await
    }
}

impl Asked {
    async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            let mut more = [0; 4096];
            let read = timeout(PATIENCE, stream.read(&mut more)).await.unwrap().unwrap();
            assert!(read > 0, "the connection ended in a head");
            bytes.extend_from_slice(&more[..read]);
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().parse().unwrap();
            bytes.drain(..end + 4);
            break (head, length);
        };
        while bytes.len() < length {
            let mut more = [0; 4096];
            let read = timeout(PATIENCE, stream.read(&mut more)).await.unwrap().unwrap();
            bytes.extend_from_slice(&more[..read]);
        }
        Self { stream, head, call: Message::decode(&bytes[..]).unwrap() }
    }

    async fn answer(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Answers a subscription with a stream.
    async fn subscribed(&mut self) {
        self.answer(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
        let agent_info = v1::AgentInfo { hostname: "h".into(), ..Default::default() };
        let executor_info =
            v1::ExecutorInfo { executor_id: v1::ExecutorId { value: "t".into() }, ..Default::default() };
        let framework_info = v1::FrameworkInfo { name: "f".into(), ..Default::default() };
        let subscribed = event::Subscribed { agent_info, executor_info, framework_info, container_id: None };
        self.tell(&told(event::Type::Subscribed, |told| told.subscribed = Some(subscribed))).await;
    }

    /// Sends an event, cut in two as a network may cut it.
    async fn tell(&mut self, told: &Told) {
        let record = told.encode_to_vec();
        let framed = [format!("{}\n", record.len()).as_bytes(), &record].concat();
        for part in [&framed[..1], &framed[1..]] {
            let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            self.stream.write_all(&chunk).await.unwrap();
            self.stream.flush().await.unwrap();
        }
    }
}

fn told(kind: event::Type, fill: impl FnOnce(&mut Told)) -> Told {
    let mut told = Told { r#type: Some(kind.into()), ..Default::default() };
    fill(&mut told);
    told
}

fn status(uuid: u8) -> v1::TaskStatus {
    let mut status = v1::TaskStatus {
        task_id: v1::TaskId { value: "t".into() },
        uuid: Some(vec![uuid; 16]),
        ..Default::default()
    };
    status.set_state(v1::TaskState::TaskRunning);
    status
}

fn join(updates: Vec<v1::TaskStatus>) -> Call {
    let task = v1::TaskInfo { task_id: v1::TaskId { value: "t".into() }, ..Default::default() };
    let tasks = if updates.is_empty() { Vec::new() } else { vec![task] };
    Call::Join(Join { is_first: updates.is_empty(), tasks, updates })
}

async fn next(link: &mut AgentLink) -> Event {
    timeout(PATIENCE, link.next()).await.expect("an event in time")
}

/// Subscribes a link.
async fn subscribe(agent: &Agent, link: &mut AgentLink) -> Asked {
    assert_eq!(next(link).await, Event::Connected);
    link.call(join(Vec::new()));
    let mut stream = agent.asked().await;
    stream.subscribed().await;
    assert!(matches!(next(link).await, Event::Agent(AgentEvent::Welcome(Some(info))) if info.name == "f"));
    stream
}

#[tokio::test]
async fn a_subscription_brings_events_and_statuses_go_on_their_own_connection() {
    let agent = Agent::listen().await;
    let mut link = agent.link().await;
    let mut stream = subscribe(&agent, &mut link).await;
    assert!(stream.head.starts_with("post /slave(1)/api/v1/executor http/1.1"), "{}", stream.head);
    for header in [
        "authorization: bearer s3cret",
        "accept: application/x-protobuf",
        "content-type: application/x-protobuf",
    ] {
        assert!(stream.head.contains(header), "{}", stream.head);
    }
    assert_eq!(stream.call.r#type(), Type::Subscribe);
    assert_eq!((stream.call.executor_id.value.as_str(), stream.call.framework_id.value.as_str()), ("t", "F"));

    let task_id = v1::TaskId { value: "t".into() };
    let grace_period = Some(v1::DurationInfo { nanoseconds: 1_500_000_000 });
    let kill_policy = Some(v1::KillPolicy { grace_period });
    let kill = event::Kill { task_id: task_id.clone(), kill_policy };
    stream.tell(&told(event::Type::Kill, |told| told.kill = Some(kill))).await;
    let expected = AgentEvent::Kill("t".into(), Some(Duration::from_millis(1500)));
    assert_eq!(next(&mut link).await, Event::Agent(expected));
    stream.tell(&told(event::Type::Heartbeat, |_| {})).await;

    for uuid in [1, 2] {
        link.call(Call::Update(Box::new(status(uuid))));
    }
    let mut first = agent.asked().await;
    assert_eq!(first.call.update.as_ref().unwrap().status.uuid(), [1; 16]);
    first.answer("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await;
    // The same connection, after the answer.
    let mut second = Asked::read(first.stream).await;
    assert_eq!(second.call.update.as_ref().unwrap().status.uuid(), [2; 16]);
    second.answer("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await;
    let acknowledged = event::Acknowledged { task_id, uuid: vec![2; 16] };
    stream.tell(&told(event::Type::Acknowledged, |told| told.acknowledged = Some(acknowledged))).await;
    assert_eq!(next(&mut link).await, Event::Agent(AgentEvent::Acknowledged(vec![2; 16])));
    stream.tell(&told(event::Type::Shutdown, |_| {})).await;
    assert_eq!(next(&mut link).await, Event::Agent(AgentEvent::Shutdown));
}

#[tokio::test]
async fn an_agent_that_comes_back_hears_what_it_may_have_missed() {
    let agent = Agent::listen().await;
    let mut link = agent.link().await;
    drop(subscribe(&agent, &mut link).await);
    assert_eq!(next(&mut link).await, Event::Lost);
    // It recovers for a while.
    assert_eq!(next(&mut link).await, Event::Connected);
    link.call(join(vec![status(7)]));
    let mut early = agent.asked().await;
    early.answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\nrecovering").await;
    assert_eq!(next(&mut link).await, Event::Lost);
    assert_eq!(next(&mut link).await, Event::Connected);
    link.call(join(vec![status(7)]));
    let again = agent.asked().await;
    let subscribe = again.call.subscribe.unwrap();
    assert_eq!(subscribe.unacknowledged_tasks.len(), 1);
    assert_eq!(subscribe.unacknowledged_updates[0].status.uuid(), [7; 16]);
}

#[tokio::test]
async fn a_status_that_is_refused_leads_to_another_subscription() {
    let agent = Agent::listen().await;
    let mut link = agent.link().await;
    let _stream = subscribe(&agent, &mut link).await;
    link.call(Call::Update(Box::new(status(1))));
    let mut refused = agent.asked().await;
    refused.answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(next(&mut link).await, Event::Lost);
    assert_eq!(next(&mut link).await, Event::Connected);
}

#[rstest::rstest]
#[case::not_ready("503 Service Unavailable", false)]
#[case::not_there_yet("404 Not Found", false)]
#[case::broken("500 Internal Server Error", false)]
#[case::another_token("401 Unauthorized", true)]
#[case::another_executor("400 Bad Request", true)]
#[case::elsewhere("307 Temporary Redirect", true)]
#[tokio::test]
async fn a_subscription_that_will_always_be_refused_is_the_end(#[case] status: &str, #[case] is_final: bool) {
    let agent = Agent::listen().await;
    let mut link = agent.link().await;
    assert_eq!(next(&mut link).await, Event::Connected);
    link.call(join(Vec::new()));
    let mut asked = agent.asked().await;
    asked.answer(&format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\nLocation: /\r\n\r\nwhy")).await;
    let told = next(&mut link).await;
    assert_eq!(
        matches!(&told, Event::Agent(AgentEvent::Error(why)) if why.contains("why")),
        is_final,
        "{told:?}"
    );
    if is_final {
        assert_eq!(next(&mut link).await, Event::Lost);
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_tried_again() {
    let agent = Agent::listen().await;
    let mut link = agent.link().await;
    drop(agent);
    let mut lost = 0;
    while lost < 3 {
        match next(&mut link).await {
            Event::Lost => lost += 1,
            Event::Connected => link.call(join(Vec::new())),
            other => panic!("{other:?}"),
        }
    }
}
