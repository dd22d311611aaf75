//! Our `mesos-agent` finds its master through ZooKeeper: the leader changes, and ZooKeeper goes and comes back, under
//! running tasks. The reference's masters do not stand for election; the test writes what they would.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Agent, Scene, states};
use integration::reference::Master;
use integration::{TestScope, ZooKeeper, eventually, require_engine, require_reference, require_zookeeper};
use zookeeper_client::{Acls, Client, CreateMode};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(200);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// Stands a master for election in the form of a stock one; returns its node.
async fn stand(client: &Client, master: &Master) -> Result<String> {
    let everyone = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir("/mesos", &everyone).await?;
    let port = master.address().rsplit(':').next().context("a port")?.to_owned();
    let info = format!(
        "{{\"address\":{{\"hostname\":\"localhost\",\"ip\":\"127.0.0.1\",\"port\":{port}}},\
         \"capabilities\":[{{\"type\":\"AGENT_UPDATE\"}}],\"hostname\":\"localhost\",\"id\":\"m{port}\",\
         \"ip\":16777343,\"pid\":\"master@127.0.0.1:{port}\",\"port\":{port},\"version\":\"1.11.0\"}}"
    );
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let (_, sequence) = client.create("/mesos/json.info_", info.as_bytes(), &options).await?;
    Ok(format!("/mesos/json.info_{sequence}"))
}

/// A session of a master, which outlasts an absence of ZooKeeper.
async fn session(zookeeper: &ZooKeeper) -> Result<Client> {
    let connector = Client::connector().with_session_timeout(Duration::from_secs(60));
    connector.connect(&zookeeper.servers()).await.context("a session of a master")
}

/// A master that leads, an agent that found it, and the masters' session.
async fn scene(scope: TestScope, zookeeper: &ZooKeeper) -> Result<(Scene, Client, String)> {
    let client = session(zookeeper).await?;
    let master = Master::start(&scope.subdir("master")?, &[]).await?;
    let node = stand(&client, &master).await?;
    let address = format!("zk://{}/mesos", zookeeper.servers());
    let agent = Agent::prepare(&scope, &address, &["--zk_session_timeout=1secs"])?;
    let mut scene = Scene { master, agent, scope };
    scene.start_again().await?;
    Ok((scene, client, node))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_follows_the_leader_and_its_tasks_go_on() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_zookeeper!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let zookeeper = ZooKeeper::start(scope.dir()).await?;
    let (scene, client, node) = scene(scope, &zookeeper).await?;
    let mut framework = scene.patient(&scene.gated("exit 3")?, &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let (id, running) = (scene.agent.id()?, scene.running().await?);

    let other = Master::start(&scene.scope.subdir("other")?, &[]).await?;
    let next = stand(&client, &other).await?;
    let registrations = scene.registrations();
    client.delete(&node, None).await?;
    scene.registered(registrations + 1).await?;
    let agent = other.agent().await?;
    assert_eq!(agent["id"], id);
    // The new leader hears of the task of a framework that it has never met.
    let tasks = other.get("/tasks").await?;
    assert_eq!(tasks["tasks"][0]["state"], "TASK_RUNNING", "{tasks}");
    assert_eq!(scene.running().await?, running);
    scene.logged(&format!("new leading master master=\"master@{}\"", other.address())).await?;

    // What ends under the one leader is told to the next.
    scene.open_gate()?;
    scene.runs(0).await?;
    stand(&client, &scene.master).await?;
    client.delete(&next, None).await?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(scene.master.agent().await?["id"], id);
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_go_on_while_zookeeper_is_away() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_zookeeper!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut zookeeper = ZooKeeper::start(scope.dir()).await?;
    let (scene, client, _) = scene(scope, &zookeeper).await?;
    let mut framework = scene.patient(&scene.gated("true")?, &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let (id, running) = (scene.agent.id()?, scene.running().await?);
    let registrations = scene.registrations();

    // A slow machine may have lost its leader for a moment before.
    let lost = |scene: &Scene| scene.agent.log_text().matches("no leading master").count();
    let before = lost(&scene);
    zookeeper.kill()?;
    eventually("the agent to lose its leader", SHORT, async || Ok((lost(&scene) > before).then_some(())))
        .await?;
    assert_eq!(scene.running().await?, running);
    // What ends meanwhile is told when a leader is known again.
    scene.open_gate()?;
    scene.runs(0).await?;
    ensure!(!framework.events().states().contains(&"TASK_FINISHED"), "it was told to nobody who leads");
    zookeeper.start_again().await?;
    scene.registered(registrations + 1).await?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(scene.agent.id()?, id);
    drop(client);
    scene.nothing_left().await
}
