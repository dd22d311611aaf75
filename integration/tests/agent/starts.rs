//! Starts that fail with one line that names the cause, and starts that wait with a visible reason.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Agent, Scene};
use integration::reference::{self, Master};
use integration::{TestEngine, TestScope, eventually, require_engine, require_reference};
use rstest::rstest;

use crate::told::{SHORT, WHOLE_LIFE, each, states};

/// An agent that finds neither its master nor, before that, reason to look for one.
async fn prepared(engine: &TestEngine, flags: &[&str]) -> Result<(TestScope, Agent)> {
    let scope = TestScope::new(engine).await?;
    let agent = Agent::prepare(&scope, "127.0.0.1:1", flags)?;
    Ok((scope, agent))
}

/// Starts an agent that cannot, and returns the one line that it says to a person.
async fn refusal(agent: &mut Agent) -> Result<String> {
    agent.launch()?;
    let status = agent.ended().await?;
    ensure!(status.code() == Some(1), "it ended with {status}: {}", agent.log_text());
    let log = agent.log_text();
    let last = log.lines().last().context("it said nothing")?.to_owned();
    let said = log.lines().filter(|line| line.starts_with("mesos-agent: ")).count();
    ensure!(said == 1 && last.starts_with("mesos-agent: "), "not one line at the end: {log}");
    Ok(last)
}

#[rstest]
#[case::unknown(&["--no_such_flag=1"], &["unknown flag --no_such_flag"])]
#[case::no_number(&["--port=abc"], &["flag --port"])]
#[case::resources(&["--resources=cpus:x"], &["flag --resources", "\"cpus\""])]
#[case::attributes(&["--attributes=rack"], &["flag --attributes", "key:value"])]
#[case::recover(&["--recover=maybe"], &["flag --recover", "reconnect"])]
#[case::containerizers(&["--containerizers=nope"], &["flag --containerizers", "\"nope\""])]
#[case::no_path(&["--master=zk://127.0.0.1:1"], &["--master", "path"])]
#[case::no_address(&["--master=nonsense"], &["--master", "host:port"])]
#[case::unsafe_to_ignore(&["--authenticate_http_readonly"], &["flag --authenticate_http_readonly is refused", "remove it"])]
#[case::no_secret(&["--credential=/nope/credential"], &["flag --credential", "/nope/credential", "No such file"])]
#[case::no_policy(&["--docker_policy=/nope/policy"], &["--docker_policy", "/nope/policy", "No such file"])]
#[case::no_flags(&["--config_dir=/nope/flags"], &["--config_dir", "/nope/flags", "No such file"])]
#[case::not_ours(&["--ip=203.0.113.1"], &["203.0.113.1", "--ip"])]
#[case::below_a_file(&["--work_dir=/dev/null/work"], &["\"/dev/null/work\"", "--work_dir", "Not a directory"])]
#[case::cannot_be_made(&["--work_dir=/proc/nope"], &["\"/proc/nope\"", "--work_dir", "No such file"])]
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_names_the_flag(#[case] flags: &[&str], #[case] words: &[&str]) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (_scope, mut agent) = prepared(&engine, flags).await?;
    let line = refusal(&mut agent).await?;
    assert!(words.iter().all(|word| line.contains(word)), "{line}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let (_scope, mut agent) = prepared(&engine, &[&format!("--port={}", address.port())]).await?;
    let line = refusal(&mut agent).await?;
    assert!(line.contains(&address.to_string()) && line.contains("--port"), "{line}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_of_a_work_directory_names_the_first() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, mut first) = prepared(&engine, &[]).await?;
    first.launch()?;
    eventually("the first agent to answer", SHORT, async || {
        Ok(reference::get(first.port()?, "/state").await.is_ok().then_some(()))
    })
    .await?;
    let mut second = Agent::prepare(&scope, "127.0.0.1:1", &[])?;
    second.launch()?;
    assert_eq!(second.ended().await?.code(), Some(1));
    let log = second.log_text();
    let line = log.lines().find(|line| line.starts_with("mesos-agent: ")).context("no line for a person")?;
    assert!(line.contains("is in use by the agent with pid") && line.contains("--work_dir"), "{line}");
    first.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_finds_no_engine_says_so_and_uses_it_when_it_comes() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let socket = scope.dir().join("docker.sock");
    let master = Master::start(&scope.subdir("master")?, &[]).await?;
    let flag = format!("--docker_socket={}", socket.display());
    let mut agent = Agent::prepare(&scope, &master.address(), &[&flag])?;
    agent.launch()?;
    let path = socket.display().to_string();
    eventually("a line about the engine", SHORT, async || {
        let is_said = |line: &str| line.contains("no Docker Engine answers") && line.contains(&path);
        Ok(agent.log_text().lines().any(is_said).then_some(()))
    })
    .await?;
    // Until then it offers nothing, but tells who asks, in stock's words.
    assert_eq!(reference::read(agent.port()?, "/state").await?, b"Agent has not finished recovery");
    assert_eq!(master.get("/slaves").await?["slaves"], serde_json::json!([]));

    symlink(engine.socket(), &socket)?;
    master.agent().await.with_context(|| agent.log_text())?;
    let scene = Scene { master, agent, scope };
    let events = scene.run(&scene.task("true"), &[]).await?;
    assert_eq!(states(&events), each(1, &WHOLE_LIFE));
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_waits_for_its_engine_ends_when_asked() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (_scope, mut agent) = prepared(&engine, &["--docker_socket=/nope/docker.sock"]).await?;
    agent.launch()?;
    eventually("a line about the engine", SHORT, async || {
        Ok(agent.log_text().contains("no Docker Engine answers").then_some(()))
    })
    .await?;
    agent.stop().await
}
