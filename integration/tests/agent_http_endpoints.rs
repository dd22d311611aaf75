//! The endpoints of a running `mesos-agent`: they tell of a task as it runs, and they answer and refuse as those of a
//! stock 1.11.0 agent do.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Agent, task};
use integration::images;
use integration::reference::{Cluster, Master};
use integration::{TestScope, eventually, require_engine, require_reference};
use mesos_proto::Message as _;
use mesos_proto::agent::{Call, Response, call};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, PartialEq)]
struct Reply {
    status: u16,
    content_type: Option<String>,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("{self:?}"))
    }
}

/// Sends one request and reads the answer.
async fn ask(port: u16, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("an answer")??;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("a head")?;
    let head = String::from_utf8(answer[..end].to_vec())?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    let content_type = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-type").then(|| value.to_owned())
    });
    Ok(Reply { status, content_type, body: answer[end + 4..].to_vec() })
}

async fn call(port: u16, body: Value) -> Result<Reply> {
    let headers = [("Content-Type", "application/json")];
    ask(port, "POST /slave(1)/api/v1", &headers, body.to_string().as_bytes()).await
}

/// The port of the agent that a master has.
async fn port_of(master: &Master) -> Result<u16> {
    let agent = master.agent().await?;
    let pid = agent["pid"].as_str().context("the agent's pid")?.to_owned();
    Ok(pid.rsplit(':').next().context("a port")?.parse()?)
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Launch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_task_is_told_of_everywhere() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    images::ensure(engine.socket()).await?;
    let master = Master::start(&scope.subdir("master")?, &[]).await?;
    let mut agent = Agent::start(&scope, &master, &["--attributes=rack:r1;weight:2"]).await?;
    let port = port_of(&master).await?;
    let mut framework = master.framework(&task(&scope, "echo hello; sleep 600"), &["--timeout=100"]).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let get = async |path: &str| ask(port, &format!("GET {path}"), &[], b"").await;

    // What mesos-dns and the web UI read.
    let state = eventually("the task to run in /state", PATIENCE, async || {
        let state = get("/slave(1)/state").await?.json()?;
        let task = state.pointer("/frameworks/0/executors/0/tasks/0/state").cloned();
        Ok((task == Some(json!("TASK_RUNNING"))).then_some(state))
    })
    .await?;
    ensure!(state["attributes"] == json!({"rack": "r1", "weight": 2.0}), "{}", state["attributes"]);
    ensure!(state["id"] == agent.id()?.as_str(), "{}", state["id"]);
    ensure!(state["unreserved_resources_allocated"]["cpus"].as_f64() > Some(0.0));
    let executor = &state["frameworks"][0]["executors"][0];
    let last = executor["tasks"][0]["statuses"].as_array().and_then(|all| all.last()).context("a status")?;
    ensure!(last.pointer("/container_status/network_infos/0/ip_addresses/0/ip_address").is_some(), "{last}");
    ensure!(executor["tasks"][0]["container"]["type"] == "DOCKER", "{executor}");
    let directory = executor["directory"].as_str().context("a sandbox")?.to_owned();
    let container = executor["container"].as_str().context("a container")?.to_owned();

    // It runs before what it says has come here.
    eventually("the output", PATIENCE, async || {
        let text = std::fs::read_to_string(Path::new(&directory).join("stdout"))?;
        Ok((text == "hello\n").then_some(()))
    })
    .await?;
    // The sandbox, by its own path and as the newest of the executor.
    let id = executor["id"].as_str().context("an id")?;
    let framework_id = state["frameworks"][0]["id"].as_str().context("an id")?;
    let latest = format!("/frameworks/{framework_id}/executors/{id}/runs/latest");
    for path in [&directory, &latest] {
        let listed = get(&format!("/files/browse?path={path}")).await?.json()?;
        let names: Vec<_> =
            listed.as_array().context("a list")?.iter().map(|file| file["path"].clone()).collect();
        ensure!(names == [json!(format!("{path}/stderr")), json!(format!("{path}/stdout"))], "{names:?}");
        let read = get(&format!("/files/read?path={path}/stdout&offset=0")).await?.json()?;
        ensure!(read == json!({"data": "hello\n", "offset": 0}), "{read}");
        let whole = get(&format!("/files/download?path={path}/stdout")).await?;
        ensure!(whole.body == b"hello\n", "{whole:?}");
    }

    // What it uses, without an engine call.
    let statistics = get("/monitor/statistics").await?.json()?;
    ensure!(statistics[0]["statistics"]["mem_rss_bytes"].as_u64() > Some(0), "{statistics}");
    let containers = get(&format!("/containers?container_id={container}")).await?.json()?;
    ensure!(containers[0]["status"]["container_id"]["value"] == container.as_str(), "{containers}");

    let metrics = get("/metrics/snapshot?timeout=5secs").await?.json()?;
    for (name, value) in
        [("slave/tasks_running", 1.0), ("slave/registered", 1.0), ("slave/executors_running", 1.0)]
    {
        ensure!(metrics[name] == json!(value), "{name}: {}", metrics[name]);
    }
    ensure!(metrics["containerizer/docker/image_pull_ms/count"].as_f64() >= Some(1.0), "{metrics}");
    let prometheus = get("/metrics").await?;
    let text = String::from_utf8(prometheus.body)?;
    ensure!(text.contains("\nmesos_agent_tasks{state=\"running\"} 1\n"), "{text}");

    // The operator API, in both forms.
    let tasks = call(port, json!({"type": "GET_TASKS"})).await?.json()?;
    ensure!(tasks["get_tasks"]["launched_tasks"][0]["state"] == "TASK_RUNNING", "{tasks}");
    let read = Call {
        r#type: Some(call::Type::ReadFile.into()),
        read_file: Some(call::ReadFile { path: format!("{latest}/stdout"), offset: 1, length: Some(4) }),
        ..Call::default()
    };
    let form = [("Content-Type", "application/x-protobuf"), ("Accept", "application/x-protobuf")];
    let reply = ask(port, "POST /api/v1", &form, &read.encode_to_vec()).await?;
    let response = Response::decode(reply.body.as_slice())?;
    ensure!(
        response.read_file.as_ref().is_some_and(|read| read.data == b"ello" && read.size == 6),
        "{response:?}"
    );

    // Raised, it tells more; the libraries below stay quiet.
    let set = json!({"type": "SET_LOGGING_LEVEL", "set_logging_level": {"level": 2, "duration": {"nanoseconds": 60_000_000_000_i64}}});
    ensure!(call(port, set).await?.status == 200);
    let level = get("/logging/toggle").await?;
    ensure!(level.body == b"2\n", "{level:?}");

    framework.tear_down(PATIENCE).await?;
    eventually("the framework to be told of as completed", PATIENCE, async || {
        let state = get("/state").await?.json()?;
        let task =
            state.pointer("/completed_frameworks/0/completed_executors/0/completed_tasks/0/state").cloned();
        Ok(task.is_some().then_some(()))
    })
    .await?;
    // It is told before it is removed.
    eventually("the removal of its container", PATIENCE, async || Ok(scope.assert_clean().await.ok()))
        .await?;
    agent.stop().await
}

/// Files that a task may leave, in one sandbox like in the other.
fn plant(sandbox: &Path) -> Result<()> {
    std::fs::create_dir(sandbox.join("sub"))?;
    std::fs::write(sandbox.join("sub/a.txt"), "sub\n")?;
    std::fs::write(sandbox.join("big"), "x".repeat(200_000))?;
    symlink("big", sandbox.join("inside"))?;
    symlink("/etc/passwd", sandbox.join("outside"))?;
    symlink("nowhere", sandbox.join("dangling"))?;
    Ok(())
}

/// A request: its first line, headers and body.
type Asked = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// Requests, with `$S` for the sandbox, to which both agents answer the same, byte for byte.
const SAME: &[Asked] = &[
    ("GET /files/read", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=0", &[], ""),
    ("GET /files/read?path=$S//sub/./a.txt&offset=0", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=-1", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=-2", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=x", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=99999999999999999999", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=9223372036854775807", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=1&length=2", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=1&length=-2", &[], ""),
    ("GET /files/read?path=$S/big&offset=0", &[], ""),
    ("GET /files/read?path=$S/inside&offset=9&length=3", &[], ""),
    ("GET /files/read?path=$S/dangling&offset=0", &[], ""),
    ("GET /files/read?path=$S/sub&offset=0", &[], ""),
    ("GET /files/read?path=$S/none&offset=0", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt/x&offset=0", &[], ""),
    ("GET /files/read?path=/etc/passwd&offset=0", &[], ""),
    ("GET /files/read?path=$S/sub/a.txt&offset=0&jsonp=cb", &[], ""),
    ("GET /files/browse", &[], ""),
    ("GET /files/browse?path=/etc", &[], ""),
    ("GET /files/browse?path=$S/big", &[], ""),
    ("GET /files/download?path=$S/sub/a.txt", &[], ""),
    ("GET /files/download?path=$S/sub", &[], ""),
    ("GET /files/download?path=$S/none", &[], ""),
    ("GET /files/nosuch", &[], ""),
    ("GET /slave(1)/health", &[], ""),
    ("GET /slave(1)/nosuch", &[], ""),
    ("GET /slave(1)/x/../state", &[], ""),
    ("GET /slave(1)/files/debug", &[], ""),
    ("GET /slave(2)/state", &[], ""),
    ("GET /slave(1)/containers", &[], ""),
    ("GET /slave(1)/monitor/statistics?jsonp=a", &[], ""),
    ("GET /logging/toggle", &[], ""),
    ("GET /logging/toggle?level=2", &[], ""),
    ("GET /logging/toggle?level=-1&duration=1secs", &[], ""),
    ("GET /slave(1)/api/v1", &[], ""),
    ("GET /slave(1)/api/v1/executor", &[], ""),
    ("POST /slave(1)/api/v1", &[], "{}"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "text/plain")], "{}"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json"), ("Accept", "text/html")], "{}"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json"), ("Message-Accept", "x")], "{}"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/recordio")], "{}"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], "{}"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"UNKNOWN"}"#),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"GET_HEALTH"}"#),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"GET_HEALTH","new":1}"#),
    (
        "POST /slave(1)/api/v1",
        &[("Content-Type", "application/json"), ("Accept", "application/recordio")],
        r#"{"type":"GET_HEALTH"}"#,
    ),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"GET_LOGGING_LEVEL"}"#),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"GET_METRICS"}"#),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"GET_CONTAINERS"}"#),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"GET_OPERATIONS"}"#),
    (
        "POST /slave(1)/api/v1",
        &[("Content-Type", "application/json")],
        r#"{"type":"GET_RESOURCE_PROVIDERS"}"#,
    ),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"PRUNE_IMAGES"}"#),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"WAIT_CONTAINER"}"#),
    (
        "POST /slave(1)/api/v1",
        &[("Content-Type", "application/json")],
        r#"{"type":"LIST_FILES","list_files":{"path":"/etc"}}"#,
    ),
    (
        "POST /slave(1)/api/v1",
        &[("Content-Type", "application/json")],
        r#"{"type":"READ_FILE","read_file":{"path":"$S/big","offset":9,"length":6}}"#,
    ),
    (
        "POST /slave(1)/api/v1",
        &[("Content-Type", "application/json")],
        r#"{"type":"READ_FILE","read_file":{"path":"$S/big","offset":300000}}"#,
    ),
    (
        "POST /slave(1)/api/v1",
        &[("Content-Type", "application/json"), ("Accept", "application/x-protobuf")],
        r#"{"type":"GET_HEALTH"}"#,
    ),
];

/// Requests to which both answer with the same status, but in other words.
const SAME_STATUS: &[Asked] = &[
    ("GET /files/read?path=$S/outside&offset=0", &[], ""),
    ("GET /files/download?path=$S/outside", &[], ""),
    ("GET /files/browse?path=$S/..", &[], ""),
    ("GET /slave(1)/state", &[], ""),
    ("PUT /slave(1)/flags", &[], ""),
    ("GET /version", &[], ""),
    ("GET /system/stats.json", &[], ""),
    ("GET /profiler/start", &[], ""),
    ("GET /help/slave(1)", &[], ""),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], "{"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], "[]"),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"NOPE"}"#),
    ("POST /slave(1)/api/v1", &[("Content-Type", "application/json")], r#"{"type":"GET_STATE"}"#),
    (
        "POST /slave(1)/api/v1",
        &[("Content-Type", "application/json")],
        r#"{"type":"READ_FILE","read_file":{"path":"/x"}}"#,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_refusals_are_those_of_a_stock_agent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    images::ensure(engine.socket()).await?;
    // The stock agent finds no executor there, and so leaves a sandbox and no container.
    let cluster = Cluster::start(&scope.subdir("stock")?, &scope.subdir("nothing")?, &[]).await?;
    let events = cluster.run(&task(&scope, "true"), &["--expect=TASK_FAILED"]).await?;
    let stock_sandbox = only(cluster.sandboxes(events.task_id()?)?)?;
    let master = Master::start(&scope.subdir("master")?, &[]).await?;
    let mut agent = Agent::start(&scope, &master, &[]).await?;
    let ours = port_of(&master).await?;
    master.framework(&task(&scope, "true"), &["--timeout=60"]).await?.end(PATIENCE).await?;
    let our_sandbox = sandbox_of(ours).await?;
    plant(&stock_sandbox)?;
    plant(&our_sandbox)?;

    for (requests, is_exact) in [(SAME, true), (SAME_STATUS, false)] {
        for (request, headers, body) in requests {
            let at = |sandbox: &Path| {
                let path = sandbox.display().to_string();
                (request.replace("$S", &path), body.replace("$S", &path))
            };
            let (stock_request, stock_body) = at(&stock_sandbox);
            let (our_request, our_body) = at(&our_sandbox);
            let stock = ask(cluster.port(), &stock_request, headers, stock_body.as_bytes()).await?;
            let our = ask(ours, &our_request, headers, our_body.as_bytes()).await?;
            let same = if is_exact { our == stock } else { our.status == stock.status };
            ensure!(same, "{request} {headers:?} {body}: stock {stock:?}, ours {our:?}");
        }
    }
    eventually("the removal of all containers", PATIENCE, async || Ok(scope.assert_clean().await.ok()))
        .await?;
    agent.stop().await?;
    cluster.stop().await
}

fn only(mut paths: Vec<PathBuf>) -> Result<PathBuf> {
    ensure!(paths.len() == 1, "{paths:?}");
    paths.pop().context("a path")
}

/// The sandbox of the one task that an agent has run.
async fn sandbox_of(port: u16) -> Result<PathBuf> {
    let directory = eventually("the task's sandbox in /state", PATIENCE, async || {
        let state = ask(port, "GET /state", &[], b"").await?.json()?;
        let executor = state.pointer("/completed_frameworks/0/completed_executors/0/directory");
        Ok(executor.and_then(Value::as_str).map(PathBuf::from))
    })
    .await?;
    Ok(directory)
}
