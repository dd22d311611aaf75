//! The endpoints over a real connection, with a core that answers or does not.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use docker_containerizer::Usage;
use flags::agent::Rate;
use http::StatusCode;
use libprocess::{HttpHandler, Node};
use mesos_proto::Message as _;
use mesos_proto::agent::{Call, Response, call};
use mesos_proto::v1;
use mesos_types::ContainerId;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::core::Event;
use crate::executors::{Gateway, GatewaySettings};
use crate::files::{Files, RunDirectory};
use crate::logging::LogControl;
use crate::metrics::Metrics;
use crate::model::{Agent, AgentReader, Executor, Framework, Generated, Phase, Query};

/// The HTTP side on a port of its own.
pub(super) struct Server {
    pub(super) port: u16,
    sandbox: tempfile::TempDir,
    log: LogControl,
    /// What executors are told through.
    pub(super) executors: Gateway,
    /// What the core hears of executors.
    pub(super) heard: mpsc::Receiver<Event>,
    _core: Option<mpsc::Receiver<Query>>,
    _node: Node,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) head: String,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A framework with one executor, whose sandbox is at `directory`.
fn agent(phase: Phase, directory: &Path, container_id: ContainerId) -> Agent {
    let info = v1::AgentInfo { hostname: "h".to_owned(), ..v1::AgentInfo::default() };
    let mut agent = Agent::new(info, "slave(1)@127.0.0.1:5051".into(), "/w".into(), 1.0, uuid::Uuid::nil());
    agent.phase = phase;
    let mut framework = Framework::new("F".parse().unwrap(), v1::FrameworkInfo::default(), None);
    let info = v1::ExecutorInfo::default();
    let made = Generated::ForCommandTask;
    let executor = Executor::new("E".parse().unwrap(), info, made, container_id, directory.to_owned(), None);
    framework.executors.insert(executor.id.clone(), executor);
    agent.frameworks.insert(framework.id.clone(), framework);
    agent
}

impl Server {
    async fn start(settings: HttpSettings, phase: Option<Phase>) -> Self {
        let sandbox = tempfile::tempdir().unwrap();
        let agent = phase.map(|phase| agent(phase, sandbox.path(), ContainerId::random()));
        Self::show(settings, GatewaySettings::default(), agent, sandbox).await
    }

    /// Shows an agent whose model does not change, or one that does not answer.
    pub(super) async fn show(
        settings: HttpSettings,
        executors: GatewaySettings,
        agent: Option<Agent>,
        sandbox: tempfile::TempDir,
    ) -> Self {
        let (reader, mut asked) = AgentReader::new(64);
        let (events, heard) = mpsc::channel(64);
        let executors = Gateway::new(executors);
        executors.connect(events);
        let core = match agent {
            Some(agent) => {
                tokio::spawn(async move {
                    while let Some(query) = asked.recv().await {
                        query.run(&agent);
                    }
                });
                None
            }
            None => Some(asked),
        };
        let files = Files::default();
        let ids = ("F".parse().unwrap(), "E".parse().unwrap());
        files.attach_run(RunDirectory {
            framework_id: &ids.0,
            executor_id: &ids.1,
            directory: sandbox.path(),
        });
        let usages = Usages::new(settings.statistics_parallel, settings.statistics_age);
        usages.connect(Box::new(|_| Ok(Usage { mem_rss_bytes: 4096, ..Usage::default() })));
        let log = LogControl::new(|_| {});
        let flags =
            BTreeMap::from([("work_dir".to_owned(), "/w".to_owned()), ("long".to_owned(), "x".repeat(2000))]);
        let sources = Sources {
            agent: reader,
            executors: executors.clone(),
            files,
            metrics: Metrics::default(),
            usages,
            log: log.clone(),
            flags: Arc::new(flags),
            version: VersionInfo::of_this_build(),
        };
        let http = Http::new(settings, sources);
        let handler = HttpHandler::new(move |request| {
            let http = http.clone();
            async move { http.answer(request).await }
        });
        let settings =
            libprocess::Settings { ip: std::net::Ipv4Addr::LOCALHOST, ..libprocess::Settings::default() };
        let node = Node::bind(settings, handler).await.unwrap();
        let port = node.advertised().port();
        Self { port, sandbox, log, executors, heard, _core: core, _node: node }
    }

    async fn running() -> Self {
        Self::start(
            HttpSettings { metrics_rate: None, statistics_rate: None, ..HttpSettings::default() },
            Some(Phase::Running),
        )
        .await
    }

    pub(super) async fn ask(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!(
            "{request} HTTP/1.1\r\nHost: \r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
        read.await.expect("an answer in time").unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_ascii_lowercase(), body: answer[end + 4..].to_vec() }
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), &[], b"").await
    }

    async fn call(&self, body: Value) -> Reply {
        self.ask("POST /api/v1", &[("Content-Type", "application/json")], body.to_string().as_bytes()).await
    }
}

#[tokio::test]
async fn every_page_is_there_under_both_names() {
    let server = Server::running().await;
    for path in ["/state", "/slave(1)/state", "/state/", "/state.json", "/slave(1)/state.json"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, &reply.json()["hostname"]), (StatusCode::OK, &json!("h")), "{path}");
        assert!(
            reply.head.contains("content-type: application/json") && reply.head.contains("\r\ndate: "),
            "{}",
            reply.head
        );
    }
    for path in [
        "/containers",
        "/slave(1)/containers",
        "/monitor/statistics",
        "/containerizer/debug",
        "/flags",
        "/health",
        "/version",
        "/system/stats.json",
        "/files/debug",
        "/metrics/snapshot",
        "/metrics",
        "/logging/toggle",
        "/help",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let reply = server.ask(&format!("{method} {path}"), &[], b"").await;
            assert_eq!(reply.status, StatusCode::OK, "{method} {path}");
            assert_eq!(reply.body.is_empty(), method == "HEAD" || path == "/health", "{method} {path}");
        }
    }
    for path in ["/", "/slave(1)", "/nosuch", "/slave(1)/../state", "/roles", "/metrics/x"] {
        let reply = server.get(path).await;
        assert_eq!(
            (reply.status, reply.text()),
            (StatusCode::NOT_FOUND, "404 Not Found.".to_owned()),
            "{path}"
        );
    }
    assert_eq!(server.get("/state?x=%zz").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn long_pages_are_compressed_and_json_is_wrapped_on_demand() {
    let server = Server::running().await;
    let reply = server.ask("GET /flags", &[("Accept-Encoding", "gzip")], b"").await;
    assert!(reply.head.contains("content-encoding: gzip") && reply.body.len() < 1000, "{}", reply.head);
    let reply = server.ask("GET /version", &[("Accept-Encoding", "gzip")], b"").await;
    assert!(!reply.head.contains("content-encoding"), "{}", reply.head);
    let reply = server.get("/version?jsonp=cb").await;
    assert!(reply.head.contains("content-type: text/javascript"), "{}", reply.head);
    assert!(reply.text().starts_with("cb({") && reply.text().ends_with("})"), "{}", reply.text());
}

#[tokio::test]
async fn a_sandbox_is_browsed_read_and_downloaded() {
    let server = Server::running().await;
    let sandbox = server.sandbox.path();
    std::fs::write(sandbox.join("stdout"), "x".repeat(200_000)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", sandbox.join("out")).unwrap();
    let latest = "/frameworks/F/executors/E/runs/latest";
    let listed = server.get(&format!("/files/browse?path={latest}")).await.json();
    assert_eq!(listed[1]["path"], format!("{latest}/stdout"));
    assert_eq!(listed[0]["mode"].as_str().unwrap().chars().next(), Some('l'));
    let piece = server.get(&format!("/files/read?path={}/stdout&offset=1&length=3", sandbox.display())).await;
    assert_eq!(piece.json(), json!({"data": "xxx", "offset": 1}));
    let whole = server.get(&format!("/files/download?path={latest}/stdout")).await;
    assert_eq!(whole.body.len(), 200_000);
    assert!(whole.head.contains("content-disposition: attachment; filename=stdout"), "{}", whole.head);
    let head = server.ask(&format!("HEAD /files/download?path={latest}/stdout"), &[], b"").await;
    assert!(head.head.contains("content-length: 200000") && head.body.is_empty(), "{}", head.head);

    for page in ["browse", "read", "download"] {
        let refused = server.get(&format!("/files/{page}")).await;
        assert_eq!(
            (refused.status, refused.text().as_str()),
            (StatusCode::BAD_REQUEST, "Expecting 'path=value' in query.\n")
        );
        assert_eq!(server.get(&format!("/files/{page}?path=/etc")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(
            server.get(&format!("/files/{page}?path={latest}/../x")).await.status,
            StatusCode::BAD_REQUEST
        );
        let escaped = server.get(&format!("/files/{page}?path={latest}/out")).await;
        assert_eq!(escaped.status, StatusCode::BAD_REQUEST, "{page}");
        assert!(!escaped.text().contains("root:"), "{page}");
    }
}

#[tokio::test]
async fn containers_have_their_usage() {
    let server = Server::running().await;
    let containers = server.get("/containers").await.json();
    assert_eq!(containers[0]["statistics"]["mem_rss_bytes"], 4096);
    let id = containers[0]["container_id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/containers?container_id={id}")).await.json(), containers);
    assert_eq!(server.get("/containers?container_id=other").await.json(), json!([]));
    let response = server.call(json!({"type": "GET_CONTAINERS"})).await.json();
    assert_eq!(
        response["get_containers"]["containers"][0]["resource_statistics"],
        containers[0]["statistics"]
    );
}

#[tokio::test]
async fn the_operator_api_speaks_json_and_protobuf() {
    let server = Server::running().await;
    let health = server.call(json!({"type": "GET_HEALTH"})).await;
    assert_eq!(health.text(), r#"{"type":"GET_HEALTH","get_health":{"healthy":true}}"#);
    for kind in [
        "GET_FLAGS",
        "GET_VERSION",
        "GET_LOGGING_LEVEL",
        "GET_STATE",
        "GET_TASKS",
        "GET_EXECUTORS",
        "GET_FRAMEWORKS",
        "GET_AGENT",
        "GET_OPERATIONS",
        "GET_RESOURCE_PROVIDERS",
    ] {
        let response = server.call(json!({"type": kind})).await.json();
        assert_eq!(response["type"], kind);
        assert!(response[kind.to_ascii_lowercase()].is_object(), "{response}");
    }
    let metrics = server
        .call(json!({"type": "GET_METRICS", "get_metrics": {"timeout": {"nanoseconds": 5_000_000_000_i64}}}))
        .await
        .json();
    let listed = metrics["get_metrics"]["metrics"].as_array().unwrap();
    assert!(
        listed.iter().any(|metric| metric["name"] == "slave/executors_registering" && metric["value"] == 1.0)
    );

    std::fs::write(server.sandbox.path().join("f"), b"a\xffb").unwrap();
    let path = format!("{}/f", server.sandbox.path().display());
    let read = Call {
        r#type: Some(call::Type::ReadFile.into()),
        read_file: Some(call::ReadFile { path: path.clone(), offset: 1, length: None }),
        ..Call::default()
    };
    let form = "application/x-protobuf";
    let reply = server
        .ask("POST /slave(1)/api/v1", &[("Content-Type", form), ("Accept", form)], &read.encode_to_vec())
        .await;
    let response = Response::decode(reply.body.as_slice()).unwrap().read_file.unwrap();
    assert_eq!((response.size, response.data.as_slice()), (3, &b"\xffb"[..]));
    let listed = server.call(json!({"type": "LIST_FILES", "list_files": {"path": server.sandbox.path().display().to_string()}})).await;
    assert_eq!(listed.json()["list_files"]["file_infos"][0]["path"], path);
    let beyond = json!({"type": "READ_FILE", "read_file": {"path": path, "offset": u64::MAX}});
    assert_eq!(server.call(beyond).await.json()["read_file"], json!({"size": 3, "data": ""}));

    let wrong_method = server.get("/api/v1").await;
    assert_eq!(wrong_method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(wrong_method.head.contains("allow: post"), "{}", wrong_method.head);
    let nested = json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": "x"}}});
    let refused = server.call(nested).await;
    assert_eq!(refused.status, StatusCode::NOT_IMPLEMENTED);
    assert!(refused.text().starts_with("WAIT_CONTAINER is not supported: "), "{}", refused.text());
}

#[tokio::test]
async fn the_level_of_the_log_is_raised_by_either_way() {
    let server = Server::running().await;
    assert_eq!(server.get("/logging/toggle").await.text(), "0\n");
    assert_eq!(server.get("/logging/toggle?level=2&duration=1mins").await.text(), "");
    assert_eq!((server.log.level(), server.get("/logging/toggle").await.text().as_str()), (2, "2\n"));
    let set = json!({"type": "SET_LOGGING_LEVEL", "set_logging_level": {"level": 1, "duration": {"nanoseconds": 60_000_000_000_i64}}});
    let reply = server.call(set).await;
    assert_eq!((reply.status, reply.body.len(), server.log.level()), (StatusCode::OK, 0, 1));
    for (query, why) in [
        ("level=2", "Expecting 'duration=value' in query.\n"),
        ("duration=2secs", "Expecting 'level=value' in query.\n"),
        ("level=x&duration=1secs", "Failed to convert 'x' to number.\n"),
        ("level=-1&duration=1secs", "Invalid level '-1'.\n"),
    ] {
        let reply = server.get(&format!("/logging/toggle?{query}")).await;
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::BAD_REQUEST, why));
    }
}

#[tokio::test]
async fn a_recovering_agent_says_so() {
    let settings = HttpSettings { metrics_rate: None, ..HttpSettings::default() };
    let server = Server::start(settings, Some(Phase::Recovering)).await;
    let health = json!({"type": "GET_HEALTH"});
    for reply in [server.get("/state").await, server.call(health).await, server.get("/api/v1").await] {
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.text(), "Agent has not finished recovery");
    }
    for path in ["/health", "/version", "/flags", "/metrics/snapshot", "/containers"] {
        assert_eq!(server.get(path).await.status, StatusCode::OK, "{path}");
    }
}

/// The core does not answer: clients hear of it, and pages that need no model are served.
#[rstest]
#[case("/state", StatusCode::SERVICE_UNAVAILABLE)]
#[case("/containers", StatusCode::SERVICE_UNAVAILABLE)]
#[case("/metrics/snapshot", StatusCode::SERVICE_UNAVAILABLE)]
#[case("/metrics/snapshot?timeout=10ms", StatusCode::OK)]
#[case("/health", StatusCode::OK)]
#[case("/flags", StatusCode::OK)]
#[tokio::test]
async fn a_core_that_hangs_hangs_nobody(#[case] path: &str, #[case] expected: StatusCode) {
    let settings = HttpSettings { patience: Duration::from_millis(50), ..HttpSettings::default() };
    let server = Server::start(settings, None).await;
    assert_eq!(server.get(path).await.status, expected);
}

#[tokio::test]
async fn bodies_and_requests_at_once_have_bounds() {
    let one = NonZeroUsize::MIN;
    let settings = HttpSettings {
        max_requests: one,
        max_downloads: one,
        max_body: 100,
        patience: Duration::from_millis(300),
        ..HttpSettings::default()
    };
    let server = Server::start(settings.clone(), Some(Phase::Running)).await;
    let large = json!({"type": "GET_HEALTH", "filler": "x".repeat(100)});
    assert_eq!(server.call(large).await.status, StatusCode::PAYLOAD_TOO_LARGE);

    // A download that nobody takes holds the one place for downloads, and no request.
    std::fs::write(server.sandbox.path().join("big"), vec![b'x'; 32 << 20]).unwrap();
    let path = format!("/files/download?path={}/big", server.sandbox.path().display());
    let mut slow = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    slow.write_all(format!("GET {path} HTTP/1.1\r\nHost: \r\n\r\n").as_bytes()).await.unwrap();
    let mut first = [0; 1];
    slow.read_exact(&mut first).await.unwrap();
    let refused = server.get(&path).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert_eq!(server.get("/state").await.status, StatusCode::OK);
    drop(slow);

    // Where the core hangs, the one place for requests is taken until the first has given up.
    let server = Arc::new(Server::start(settings, None).await);
    let replies: Vec<_> = (0..4)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.get("/state").await.status })
        })
        .collect();
    assert_eq!(server.get("/health").await.status, StatusCode::OK);
    for reply in replies {
        assert_eq!(reply.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn rates_are_kept() {
    let rate = Rate::parse("1/1hrs").unwrap();
    let settings = HttpSettings { metrics_rate: rate, statistics_rate: rate, ..HttpSettings::default() };
    let server = Server::start(settings, Some(Phase::Running)).await;
    for path in ["/metrics/snapshot", "/monitor/statistics"] {
        assert_eq!(server.get(path).await.status, StatusCode::OK);
        let late = server.get(path).await;
        assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(late.head.contains("retry-after: "), "{}", late.head);
    }
    // Prometheus has a page of its own.
    assert_eq!(server.get("/metrics").await.status, StatusCode::OK);
}
