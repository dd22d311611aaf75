//! The recorded side of a stock executor against our agent: what `mesos-docker-executor` sent a stock 1.11.0 agent is sent
//! to ours, with our ids, and what ours answers is compared with what stock's answered, field by field.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use integration::agent::{PATIENT, Scene, states};
use integration::reference::Framework;
use integration::{eventually, require_engine, require_reference};
use libprocess::{Event, HttpHandler, Incoming, Node, Process, Settings, Upid};
use mesos_proto::json::{Names, from_json, to_json_set};
use mesos_proto::{Message as _, internal};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long one message may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The parts of answers that say what another cluster is, or what another framework wants: only that they are there is
/// compared.
const OTHERS: [&str; 4] = ["executor_info", "slave_info", "framework_info", "framework"];

/// Who sent a recorded message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Executor,
    Agent,
}

struct Recorded {
    sender: Sender,
    name: String,
    body: Vec<u8>,
}

fn recording(file: &str) -> Result<Vec<Recorded>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/executor").join(file);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let [sender, name, body] = line.split('\t').collect::<Vec<_>>()[..] else { bail!("{line}") };
            let sender = if sender == "agent" { Sender::Agent } else { Sender::Executor };
            Ok(Recorded { sender, name: name.to_owned(), body: BASE64_STANDARD.decode(body)? })
        })
        .collect()
}

/// A message as JSON, with the v0 names that it has on the wire.
fn shown(name: &str, body: &[u8]) -> Result<Value> {
    macro_rules! of {
        ($message:ident) => {
            to_json_set(&internal::$message::decode(body)?, Names::V0)
        };
    }
    Ok(match name {
        "RegisterExecutorMessage" => of!(RegisterExecutorMessage),
        "ExecutorRegisteredMessage" => of!(ExecutorRegisteredMessage),
        "RunTaskMessage" => of!(RunTaskMessage),
        "StatusUpdateMessage" => of!(StatusUpdateMessage),
        "StatusUpdateAcknowledgementMessage" => of!(StatusUpdateAcknowledgementMessage),
        "ReconnectExecutorMessage" => of!(ReconnectExecutorMessage),
        "ReregisterExecutorMessage" => of!(ReregisterExecutorMessage),
        "ExecutorReregisteredMessage" => of!(ExecutorReregisteredMessage),
        "KillTaskMessage" => of!(KillTaskMessage),
        "FrameworkToExecutorMessage" => of!(FrameworkToExecutorMessage),
        "ShutdownExecutorMessage" => of!(ShutdownExecutorMessage),
        other => bail!("{other} was not recorded"),
    })
}

/// What stands for what was recorded.
struct Ids(Vec<(String, String)>);

impl Ids {
    fn replaced(&self, recorded: &Value) -> Result<Value> {
        let mut text = recorded.to_string();
        for (stock, ours) in &self.0 {
            text = text.replace(stock.as_str(), ours);
        }
        Ok(serde_json::from_str(&text)?)
    }
}

/// Compares an answer with the recorded one: the same fields, and the same in all that both clusters have alike.
fn compare(name: &str, ours: &Value, stock: &Value) -> Result<()> {
    let (ours, stock) = (ours.as_object().context("a message")?, stock.as_object().context("a message")?);
    let fields = |message: &serde_json::Map<String, Value>| message.keys().cloned().collect::<Vec<_>>();
    ensure!(fields(ours) == fields(stock), "{name} has {:?}, stock's {:?}", fields(ours), fields(stock));
    for (field, value) in stock {
        if OTHERS.contains(&field.as_str()) || name == "RunTaskMessage" && field == "task" {
            ensure!(ours[field].is_object(), "{name}.{field}: {}", ours[field]);
            continue;
        }
        ensure!(ours[field] == *value, "{name}.{field} is {}, stock's {value}", ours[field]);
    }
    Ok(())
}

/// The next message of the agent.
async fn next(process: &mut Process) -> Result<Incoming> {
    loop {
        let event = timeout(PATIENCE, process.next()).await.context("a message in time")?;
        match event.context("a message")? {
            Event::Message(incoming) => return Ok(incoming),
            Event::Exited(_) => {}
        }
    }
}

/// Sends a recorded message with our ids.
fn send(process: &Process, agent: &Upid, name: &str, said: Value) -> Result<()> {
    match name {
        "RegisterExecutorMessage" => {
            process.post(agent, &from_json::<internal::RegisterExecutorMessage>(said)?);
        }
        "ReregisterExecutorMessage" => {
            process.post(agent, &from_json::<internal::ReregisterExecutorMessage>(said)?);
        }
        "StatusUpdateMessage" => process.post(agent, &from_json::<internal::StatusUpdateMessage>(said)?),
        other => bail!("an executor does not send {other}"),
    }
    Ok(())
}

/// A recorded executor, and what stands for the parts of its cluster.
struct Recording {
    file: &'static str,
    framework: &'static str,
    agent: &'static str,
    pid: &'static str,
    /// The name and the id of its task, and the id of its executor.
    task: &'static str,
}

/// The program of an executor that says what was recorded; its container only sleeps.
struct Played {
    executor: Process,
    agent: Upid,
    ids: Ids,
    /// How many answers were compared.
    answers: usize,
    _node: Node,
}

/// Runs a task of an executor whose program is the test.
async fn begin(scene: &Scene, recording: &Recording, options: &[&str]) -> Result<(Framework, Played)> {
    // What the container runs does not matter: this test speaks for it.
    let mut task = scene.task("sleep 1000");
    let container = task["container"].take();
    let command = task["command"].take();
    task = json!({ "name": recording.task, "task_id": { "value": "t1" }, "executor": {
        "type": "CUSTOM", "executor_id": { "value": "ours" }, "command": command, "container": container,
    }});
    let framework = scene.framework(&task, &[&PATIENT[..], options].concat()).await?;
    let shown_executor = async || -> Result<Option<(String, String)>> {
        let state = scene.agent.get(&scene.master, "/state").await?;
        let framework = &state["frameworks"][0];
        let is_there = framework["executors"][0]["id"] == "ours";
        Ok(is_there
            .then(|| (framework["id"].as_str().unwrap_or_default().to_owned(), state["pid"].to_string())))
    };
    let (framework_id, pid) = eventually("the executor in /state", PATIENCE, shown_executor).await?;
    let agent: Upid = pid.trim_matches('"').parse()?;

    let node = Node::bind(
        Settings { ip: std::net::Ipv4Addr::LOCALHOST, ..Settings::default() },
        HttpHandler::none(),
    )
    .await?;
    let executor = node.register("executor(1)")?;
    executor.link(&agent);
    let id = |kind: &str, id: &str| format!("\"{kind}\":{{\"value\":\"{id}\"}}");
    let ids = Ids(vec![
        (recording.framework.into(), framework_id),
        (recording.agent.into(), scene.agent.id()?),
        (recording.pid.into(), executor.upid().to_string()),
        (id("task_id", recording.task), id("task_id", "t1")),
        (id("executor_id", recording.task), id("executor_id", "ours")),
    ]);
    Ok((framework, Played { executor, agent, ids, answers: 0, _node: node }))
}

impl Played {
    /// Says what the recorded executor said.
    fn say(&self, recorded: &Recorded) -> Result<()> {
        let said = self.ids.replaced(&shown(&recorded.name, &recorded.body)?)?;
        send(&self.executor, &self.agent, &recorded.name, said)
    }

    /// Waits for the answer that the recorded agent gave.
    async fn hear(&mut self, recorded: &Recorded) -> Result<()> {
        let Recorded { name, body, .. } = recorded;
        let stock = self.ids.replaced(&shown(name, body)?)?;
        let answer = next(&mut self.executor).await.with_context(|| format!("waiting for {name}"))?;
        ensure!(answer.name == format!("mesos.internal.{name}"), "{} instead of {name}", answer.name);
        ensure!(answer.from == self.agent, "{} instead of {}", answer.from, self.agent);
        compare(name, &shown(name, &answer.body)?, &stock)?;
        self.answers += 1;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_agent_answers_a_stock_executor_as_a_stock_agent_did() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &["--executor_reregistration_timeout=15secs"]).await?;
    let stock = Recording {
        file: "v0-restart-and-kill.tsv",
        framework: "6367cdae-ead1-4771-9bcc-29bc2086ffc2-0009",
        agent: "6367cdae-ead1-4771-9bcc-29bc2086ffc2-S1",
        pid: "executor(1)@127.0.0.1:36027",
        task: "f04a-s",
    };
    let (mut framework, mut played) = begin(&scene, &stock, &["--expect=TASK_KILLED"]).await?;
    for message in recording(stock.file)? {
        if message.sender == Sender::Executor {
            played.say(&message)?;
            continue;
        }
        match message.name.as_str() {
            "ReconnectExecutorMessage" => {
                // Here the recorded agent was killed and started again.
                framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
                scene.agent.kill()?;
                scene.agent.launch()?;
            }
            "KillTaskMessage" => {
                // A master repeats kills that came while the agent was away.
                scene.registered(2).await?;
                framework.kill_tasks()?;
            }
            _ => {}
        }
        played.hear(&message).await?;
        if message.name == "ReconnectExecutorMessage" {
            played.executor.relink(&played.agent);
        }
    }
    ensure!(played.answers == 8, "{} answers were compared", played.answers);
    let events = framework.end(PATIENCE).await?;
    ensure!(states(&events) == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], "{:?}", events.summary());
    scene.nothing_left().await
}

/// Data of the framework, and the end of the framework: the executor is shut down, and what it tells then is for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn our_agent_tells_a_stock_executor_of_data_and_of_its_end_as_a_stock_agent_did() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &["--executor_shutdown_grace_period=1secs"]).await?;
    let stock = Recording {
        file: "v0-message-and-shutdown.tsv",
        framework: "6367cdae-ead1-4771-9bcc-29bc2086ffc2-0019",
        agent: "6367cdae-ead1-4771-9bcc-29bc2086ffc2-S1",
        pid: "executor(1)@127.0.0.1:37839",
        task: "f06d-1",
    };
    let (framework, mut played) = begin(&scene, &stock, &["--calls", "--expect=TASK_KILLED"]).await?;
    let mut framework = Some(framework);
    let mut events = None;
    for message in recording(stock.file)? {
        if message.sender == Sender::Executor {
            played.say(&message)?;
            continue;
        }
        match (message.name.as_str(), framework.as_mut()) {
            ("FrameworkToExecutorMessage", Some(framework)) => {
                framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
                let data = json!({ "executor_id": { "value": "ours" }, "data": "aGVsbG8=" });
                framework.call(&json!({ "type": "MESSAGE", "message": data })).await?;
            }
            ("ShutdownExecutorMessage", Some(_)) => {
                let framework = framework.take().context("the framework")?;
                events = Some(framework.tear_down(PATIENCE).await?);
            }
            _ => {}
        }
        played.hear(&message).await?;
    }
    ensure!(played.answers == 6, "{} answers were compared", played.answers);
    let events = events.context("the framework's events")?;
    ensure!(states(&events) == ["TASK_STARTING", "TASK_RUNNING"], "{:?}", events.summary());
    scene.nothing_left().await?;
    // The status after the end was not answered: what comes next is what an executor is told that nobody knows.
    let recorded = recording(stock.file)?;
    played.say(&recorded[0])?;
    let answer = next(&mut played.executor).await?;
    ensure!(answer.name == "mesos.internal.ShutdownExecutorMessage", "{}", answer.name);
    Ok(())
}
