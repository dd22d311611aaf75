//! Our `mesos-agent` authenticates to a stock master.

use anyhow::{Context as _, Result, ensure};
use integration::agent::Agent;
use integration::reference::Master;
use integration::{TestScope, require_engine, require_reference};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn it_authenticates_and_ends_when_it_is_refused() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let credential = json!({ "principal": "agent", "secret": "open sesame" });
    let known = write(&scope, "credentials", &json!({ "credentials": [credential] }))?;
    let right = write(&scope, "right", &credential)?;
    let wrong = write(&scope, "wrong", &json!({ "principal": "agent", "secret": "open barley" }))?;
    let flags = ["--authenticate_agents", &format!("--credentials={known}")];
    let master = Master::start(&scope.subdir("master")?, &flags).await?;

    let mut refused = Agent::prepare(&scope, &master.address(), &[&format!("--credential={wrong}")])?;
    refused.launch()?;
    assert_eq!(refused.ended().await?.code(), Some(1));
    let log = refused.log_text();
    let line = log.lines().find(|line| line.starts_with("mesos-agent: ")).context("no line for a person")?;
    assert!(line.contains("refused") && line.contains("--credential"), "{line}");
    ensure!(!log.contains("open barley"), "a secret was logged");

    let mut agent = Agent::start(&scope, &master, &[&format!("--credential={right}")]).await?;
    agent.stop().await
}

fn write(scope: &TestScope, name: &str, content: &Value) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;

    let path = scope.dir().join(name);
    std::fs::write(&path, content.to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}
