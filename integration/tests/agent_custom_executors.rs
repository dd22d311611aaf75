//! Custom executors: several tasks in one, framework messages, kills, its end, over a restart of our agent. The executors
//! are one on pymesos, a library that nobody here wrote, and one that speaks libprocess messages as the recorded ones
//! do; each as a process and in a container, and in a container under a stock agent, which tells that they are right.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use integration::agent::{PATIENT, Scene};
use integration::executors::{self, Place, Protocol};
use integration::reference::{Cluster, Framework};
use integration::{TestScope, eventually, require_engine, require_pymesos, require_reference};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// The executor's id.
const ID: &str = "several";

/// Waits until an executor has answered this to a framework.
async fn answered(framework: &Framework, text: &str) -> Result<()> {
    let answer = BASE64_STANDARD.encode(format!("echo: {text}"));
    let waited = eventually("the executor's answer", SHORT, async || {
        let events = framework.events();
        let told = events.of_kind("MESSAGE");
        Ok(told
            .iter()
            .any(|event| event["data"] == answer && event["executor_id"]["value"] == ID)
            .then_some(()))
    });
    waited.await.with_context(|| format!("it told {:?}", framework.events().summary()))
}

/// The states that a task told, each once.
fn states(framework: &Framework, task: &str) -> Vec<String> {
    framework.events().by_task().remove(task).unwrap_or_default()
}

/// Waits until a task has told a state.
async fn told(framework: &Framework, task: &str, state: &str) -> Result<()> {
    let what = format!("{task} {state}");
    let waited = eventually(&what, SHORT, async || {
        Ok(states(framework, task).iter().any(|told| told == state).then_some(()))
    });
    waited.await.with_context(|| format!("it told {:?}", framework.events().summary()))
}

/// A way to the agent of a stock cluster for executors of the v1 API: master and agent have one port there, and the short
/// path that executors use is the master's.
async fn detour(cluster: u16) -> Result<u16> {
    const SHORT: &str = "POST /api/v1/executor ";
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((executor, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = executor.into_split();
                let (mut back, mut there) = TcpStream::connect(("127.0.0.1", cluster)).await?.into_split();
                let answers = tokio::spawn(async move { tokio::io::copy(&mut back, &mut to).await });
                let mut buffer = vec![0; 1 << 16];
                loop {
                    let length = from.read(&mut buffer).await?;
                    let Some(sent) = buffer.get(..length).filter(|sent| !sent.is_empty()) else { break };
                    // A request begins where a read does: the driver sends one when the last was answered.
                    match sent.strip_prefix(SHORT.as_bytes()) {
                        Some(rest) => {
                            there.write_all(b"POST /slave(1)/api/v1/executor ").await?;
                            there.write_all(rest).await?;
                        }
                        None => there.write_all(sent).await?,
                    }
                }
                there.shutdown().await?;
                answers.await?
            });
        }
    });
    Ok(port)
}

/// The stock agent tells that the executors do what executors do.
#[rstest]
#[case(Protocol::V0)]
#[case(Protocol::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn they_run_their_tasks_under_a_stock_agent(#[case] protocol: Protocol) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let cluster = Cluster::start(&scope.subdir("cluster")?, &scope.subdir("launcher")?, &[]).await?;
    let mut executor = executors::executor(&scope, ID, protocol, Place::Container).await?;
    // Variables of the agent win over the executor's.
    let line = executor["command"]["value"].as_str().context("a line")?;
    let endpoint = format!("export MESOS_AGENT_ENDPOINT=127.0.0.1:{}; {line}", detour(cluster.port()).await?);
    executor["command"]["value"] = endpoint.into();
    let tasks = json!([
        executors::task(&executor, "stays", &json!({})),
        executors::task(&executor, "ends", &json!({ "seconds": 0.1, "say": "of ends" })),
        executors::task(&executor, "fails", &json!({ "seconds": 0.1, "state": "TASK_FAILED" })),
    ]);
    let mut framework = cluster.framework(&tasks, &["--calls", "--checkpoint"]).await?;
    told(&framework, "ends", "TASK_FINISHED").await?;
    told(&framework, "fails", "TASK_FAILED").await?;
    told(&framework, "stays", "TASK_RUNNING").await?;
    framework.call(&executors::message(ID, "hello")).await?;
    answered(&framework, "hello").await?;
    framework.call(&executors::message(ID, "finish stays")).await?;
    let events = framework.end(LONG).await?;
    let told = events.by_task();
    assert_eq!(told["stays"], ["TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(told["ends"], ["TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(told["fails"], ["TASK_RUNNING", "TASK_FAILED"]);
    cluster.stop().await
}

/// Five tasks: one ends by itself, one while the agent is away, one is killed after, one launched after; the last ends
/// with its executor.
///
/// On a bridge the executor reaches the agent, and the agent it, at the addresses of the bridge.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_Launch_Executor.
/// Peer: SlaveRecoveryTest.DISABLED_KillTaskHTTP.
/// Peer: Own.HttpCustomExecutorRecovery.
/// Peer: DockerContainerizerTest.DISABLED_ROOT_DOCKER_Launch_Executor_Bridged.
#[rstest]
#[case(Protocol::V0, Place::Process)]
#[case(Protocol::V0, Place::Container)]
#[case(Protocol::V1, Place::Process)]
#[case(Protocol::V1, Place::Container)]
#[case(Protocol::V0, Place::Bridge)]
#[case(Protocol::V1, Place::Bridge)]
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_runs_several_tasks_over_a_crash_of_the_agent(
    #[case] protocol: Protocol,
    #[case] place: Place,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    // An interpreter takes its time to start and to find the agent again.
    let mut flags = vec!["--containerizers=docker,mesos", "--executor_reregistration_timeout=15secs"];
    let scope = TestScope::new(&engine).await?;
    let address = format!("--ip={}", executors::bridge_address(&scope).await?);
    if place == Place::Bridge {
        flags.push(&address);
    }
    let mut scene = Scene::in_scope(scope, &flags).await?;
    let executor = executors::executor(&scene.scope, ID, protocol, place).await?;
    let task = |id: &str, orders: Value| executors::task(&executor, id, &orders);
    let tasks = json!([
        task("ends", json!({ "seconds": 0.1, "say": "of ends" })),
        task("away", json!({ "until": "go" })),
        task("killed", json!({})),
    ]);
    let options: Vec<&str> = PATIENT.iter().chain(&["--calls"]).copied().collect();
    let mut framework = scene.framework(&tasks, &options).await?;
    told(&framework, "ends", "TASK_FINISHED").await?;
    told(&framework, "killed", "TASK_RUNNING").await?;
    told(&framework, "away", "TASK_RUNNING").await?;
    framework.call(&executors::message(ID, "hello")).await?;
    answered(&framework, "hello").await?;
    let sandbox = scene.sandbox(&framework.events(), ID)?;

    scene.agent.kill()?;
    std::fs::write(sandbox.join("go"), "")?;
    // The output of a container is copied by the agent, so a file tells that the task has ended.
    eventually("the task to end while the agent is away", SHORT, async || {
        Ok((!sandbox.join("go").exists()).then_some(()))
    })
    .await?;
    scene.start_again().await?;

    told(&framework, "away", "TASK_FINISHED").await?;
    framework
        .call(&json!({ "type": "LAUNCH", "tasks": [task("later", json!({})), task("last", json!({}))] }))
        .await?;
    told(&framework, "later", "TASK_RUNNING").await?;
    told(&framework, "last", "TASK_RUNNING").await?;
    framework.call(&executors::message(ID, "finish later")).await?;
    told(&framework, "later", "TASK_FINISHED").await?;
    framework.call(&json!({ "type": "KILL", "kill": { "task_id": { "value": "killed" } } })).await?;
    told(&framework, "killed", "TASK_KILLED").await?;
    framework.call(&executors::shutdown(ID)).await?;
    let events = framework.end(LONG).await?;

    let told = events.by_task();
    assert_eq!(told["ends"], ["TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(told["away"], ["TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(told["later"], ["TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(told["killed"], ["TASK_RUNNING", "TASK_KILLED"]);
    assert_eq!(told["last"], ["TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(events.last_status()?["reason"], "REASON_EXECUTOR_TERMINATED");
    let said = std::fs::read_to_string(sandbox.join("stdout"))?;
    for line in
        ["REGISTERED", "REREGISTERED", "LAUNCH later", "of ends", "MESSAGE hello", "KILL killed", "SHUTDOWN"]
    {
        let times = said.lines().filter(|said| *said == line).count();
        ensure!(times == 1, "{line:?} is there {times} times: {said}");
    }
    ensure!(scene.sandboxes(&events, ID)?.len() == 1, "the executor was started more than once");
    scene.nothing_left().await
}
