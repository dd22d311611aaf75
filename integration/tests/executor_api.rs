//! The HTTP API of executors on a real agent under a stock master: calls, streams in both forms, and tokens.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{PATIENT, Scene, states};
use integration::reference::Framework;
use integration::{eventually, require_engine, require_reference};
use mesos_proto::Message as _;
use mesos_proto::executor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one thing may take.
const PATIENCE: Duration = Duration::from_secs(60);

const UUID: &str = "ABEiM0RVRneImaq7zN3u/w==";

/// The numbers of a status while the agent is away, and of the last one.
const WHILE_AWAY: &str = "IBEiM0RVRneImaq7zN3u/w==";
const LAST: &str = "EBEiM0RVRneImaq7zN3u/w==";

/// An executor whose program is this test: its container only sleeps.
struct Played {
    port: u16,
    framework_id: String,
    token: Option<String>,
}

/// An open stream.
struct Stream {
    socket: TcpStream,
    read: Vec<u8>,
}

/// What the container tells of its environment, beside sleeping.
const PROGRAM: &str = "env > /mnt/mesos/sandbox/environment; sleep 1000";

async fn launched(scene: &Scene, options: &[&str]) -> Result<(Framework, Played)> {
    let mut task = scene.task(PROGRAM);
    let (command, container) = (task["command"].take(), task["container"].take());
    let task = json!({ "name": "t", "task_id": { "value": "t1" }, "executor": {
        "type": "CUSTOM", "executor_id": { "value": "ours" }, "command": command, "container": container,
    }});
    let framework = scene.framework(&task, &[&PATIENT[..], options].concat()).await?;
    let found = eventually("the executor in /state", PATIENCE, async || {
        let state = scene.agent.get(&scene.master, "/state").await?;
        let framework = &state["frameworks"][0];
        let is_there = framework["executors"][0]["id"] == "ours";
        Ok(is_there.then(|| framework["id"].as_str().unwrap_or_default().to_owned()))
    });
    let framework_id = found.await?;
    Ok((framework, Played { port: scene.agent.port()?, framework_id, token: None }))
}

impl Played {
    fn call(&self, kind: &str, rest: Value) -> Value {
        let mut call = json!({
            "framework_id": { "value": self.framework_id }, "executor_id": { "value": "ours" }, "type": kind,
        });
        if let (Some(call), Value::Object(rest)) = (call.as_object_mut(), rest) {
            call.extend(rest);
        }
        call
    }

    fn update(&self, state: &str, uuid: &str) -> Value {
        let status = json!({
            "task_id": { "value": "t1" }, "state": state, "source": "SOURCE_EXECUTOR", "uuid": uuid,
        });
        self.call("UPDATE", json!({ "update": { "status": status } }))
    }

    async fn send(&self, body: &[u8], content_type: &str, accept: &str) -> Result<TcpStream> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "POST /api/v1/executor HTTP/1.1\r\nHost: agent\r\nContent-Type: {content_type}\r\nAccept: {accept}\r\n\
             {}Content-Length: {}\r\n\r\n",
            token.unwrap_or_default(),
            body.len()
        );
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(body).await?;
        Ok(socket)
    }

    /// The status of an answer.
    async fn answer(&self, call: &Value) -> Result<u16> {
        let socket = self.send(call.to_string().as_bytes(), "application/json", "application/json").await?;
        let mut stream = Stream { socket, read: Vec::new() };
        stream.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&stream.read).into_owned();
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(|| head.clone())
    }

    async fn subscribe(&self, accept: &str) -> Result<Stream> {
        self.subscribe_with(accept, json!({})).await
    }

    async fn subscribe_with(&self, accept: &str, brought: Value) -> Result<Stream> {
        let call = self.call("SUBSCRIBE", json!({ "subscribe": brought }));
        let socket = self.send(call.to_string().as_bytes(), "application/json", accept).await?;
        let mut stream = Stream { socket, read: Vec::new() };
        stream.until(b"\r\n\r\n").await?;
        ensure!(stream.read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&stream.read));
        Ok(stream)
    }
}

impl Stream {
    async fn until(&mut self, wanted: &[u8]) -> Result<()> {
        while !self.read.windows(wanted.len()).any(|window| window == wanted) {
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read)).await;
            let read = read.with_context(|| String::from_utf8_lossy(&self.read).into_owned())??;
            ensure!(read > 0, "the connection ended: {}", String::from_utf8_lossy(&self.read));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_in_json_runs_a_task_and_is_ended() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &["--executor_shutdown_grace_period=1secs"]).await?;
    let (mut framework, executor) = launched(&scene, &["--expect=TASK_FINISHED"]).await?;

    ensure!(executor.answer(&executor.update("TASK_RUNNING", UUID)).await? == 403, "it has not subscribed");
    let mut stream = executor.subscribe("application/json").await?;
    stream.until(b"\"type\":\"SUBSCRIBED\"").await?;
    stream.until(b"\"type\":\"LAUNCH\"").await?;
    ensure!(executor.answer(&executor.call("HEARTBEAT", json!({}))).await? == 202, "a heartbeat");
    ensure!(executor.answer(&executor.call("UNKNOWN", json!({}))).await? == 501, "an unknown call");
    ensure!(
        executor.answer(&executor.update("TASK_STAGING", UUID)).await? == 400,
        "a status of the agent's own"
    );
    ensure!(executor.answer(&executor.update("TASK_RUNNING", UUID)).await? == 202, "a status");
    stream.until(format!("\"uuid\":\"{UUID}\"").as_bytes()).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let data = json!({ "message": { "data": "aGk=" } });
    ensure!(executor.answer(&executor.call("MESSAGE", data)).await? == 202, "a message");
    eventually("the message", PATIENCE, async || {
        Ok(framework.events().of_kind("MESSAGE").iter().any(|told| told["data"] == "aGk=").then_some(()))
    })
    .await?;
    ensure!(executor.answer(&executor.update("TASK_FINISHED", LAST)).await? == 202, "the end");
    let events = framework.end(PATIENCE).await?;
    ensure!(events.states() == ["TASK_RUNNING", "TASK_FINISHED"], "{:?}", events.summary());
    // The framework is torn down, so the executor is asked to end; this one does not, and its container is ended.
    stream.until(b"\"type\":\"SHUTDOWN\"").await?;
    scene.nothing_left().await
}

/// Peer: SlaveRecoveryTest.DISABLED_ReconnectHTTPExecutor.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_in_protobuf_subscribes_again_after_a_restart_of_the_agent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &["--executor_reregistration_timeout=15secs"]).await?;
    let (mut framework, executor) = launched(&scene, &["--expect=TASK_KILLED"]).await?;
    let call = executor::Call {
        framework_id: mesos_proto::v1::FrameworkId { value: executor.framework_id.clone() },
        executor_id: mesos_proto::v1::ExecutorId { value: "ours".into() },
        r#type: Some(executor::call::Type::Subscribe.into()),
        subscribe: Some(executor::call::Subscribe::default()),
        ..executor::Call::default()
    };
    let form = "application/x-protobuf";
    let socket = executor.send(&call.encode_to_vec(), form, form).await?;
    let mut stream = Stream { socket, read: Vec::new() };
    // The name of its task, in a LAUNCH.
    stream.until(b"t1").await?;
    ensure!(executor.answer(&executor.update("TASK_RUNNING", UUID)).await? == 202, "a status");
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    stream.until(&[0x00, 0x11, 0x22, 0x33]).await?;

    scene.agent.kill()?;
    scene.agent.launch()?;
    // What it told while nobody listened.
    let update = &executor.update("TASK_RUNNING", WHILE_AWAY)["update"];
    let brought = json!({ "unacknowledged_updates": [update] });
    let mut again = eventually("the executor to subscribe again", PATIENCE, async || {
        Ok(executor.subscribe_with("application/json", brought.clone()).await.ok())
    })
    .await?;
    again.until(b"\"type\":\"SUBSCRIBED\"").await?;
    again.until(format!("\"uuid\":\"{WHILE_AWAY}\"").as_bytes()).await?;
    scene.registered(2).await?;
    eventually("the status from while the agent was away", PATIENCE, async || {
        let events = framework.events();
        let told = events.statuses("TASK_RUNNING");
        Ok(told.iter().any(|told| told["uuid"] == WHILE_AWAY).then_some(()))
    })
    .await?;
    framework.kill_tasks()?;
    again.until(b"\"type\":\"KILL\"").await?;
    ensure!(executor.answer(&executor.update("TASK_KILLED", LAST)).await? == 202, "the end");
    let events = framework.end(PATIENCE).await?;
    ensure!(states(&events) == ["TASK_RUNNING", "TASK_RUNNING", "TASK_KILLED"], "{:?}", events.summary());
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_from_its_environment_lets_an_executor_in() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = integration::TestScope::new(&engine).await?;
    let key = scope.dir().join("key");
    std::fs::write(&key, "a key of the test\n")?;
    let flag = format!("--jwt_secret_key={}", key.display());
    let scene = Scene::in_scope(scope, &["--authenticate_http_executors", &flag]).await?;
    let (framework, mut executor) = launched(&scene, &["--expect=TASK_FINISHED"]).await?;

    ensure!(executor.answer(&executor.call("HEARTBEAT", json!({}))).await? == 401, "no token");
    executor.token = Some("eyJhbGciOiJIUzI1NiJ9.e30.AAAA".into());
    ensure!(executor.answer(&executor.call("HEARTBEAT", json!({}))).await? == 401, "a token of somebody's");
    let path = scene.executor(&executor.framework_id, "ours")?.join("runs/latest/environment");
    let token = eventually("the executor's environment", PATIENCE, async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Ok(text
            .lines()
            .find_map(|line| line.strip_prefix("MESOS_EXECUTOR_AUTHENTICATION_TOKEN="))
            .map(str::to_owned))
    })
    .await?;
    executor.token = Some(token.clone());
    let mut stream = executor.subscribe("application/json").await?;
    stream.until(b"\"type\":\"LAUNCH\"").await?;
    ensure!(executor.answer(&executor.update("TASK_FINISHED", UUID)).await? == 202, "the end");
    framework.end(PATIENCE).await?;
    ensure!(!scene.agent.log_text().contains(&token), "the token is in the log");
    let flags = scene.agent.get(&scene.master, "/flags").await?;
    ensure!(flags["flags"]["jwt_secret_key"] == "***", "{flags}");
    scene.nothing_left().await
}
