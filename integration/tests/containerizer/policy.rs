//! The host policy on a real engine: what is refused leaves nothing, and what is allowed runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use docker_containerizer::policy::{HostPlaces, Policy, load};
use integration::supervised::{Net, Options, PATIENCE, Supervised, Task};
use integration::{Fault, FaultProxy, Rule, TestEngine, eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::volume::Mode;
use rstest::rstest;

use crate::network::has_bridge;

/// Loads a policy as `--docker_policy` does.
fn policy(flag: &str, engine: &TestEngine) -> Result<Arc<Policy>> {
    let places = HostPlaces { socket: engine.socket().to_owned(), ..HostPlaces::default() };
    Ok(Arc::new(load(flag, places).context("load the policy")?))
}

/// What is below a directory.
fn everything(directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        found.push(entry?.path().display().to_string());
    }
    Ok(found)
}

#[tokio::test]
async fn a_task_that_the_policy_refuses_leaves_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let options = Options { policy: policy("strict", &engine)?, ..Options::default() };
    let agent = Supervised::with(&engine, options).await?;
    let socket = engine.socket().to_str().context("a path in UTF-8")?.to_owned();
    let bridge = || Task::shell("true").network(Net::Bridge);
    for (task, rule) in [
        (Task::shell("true"), "host_namespaces"),
        (bridge().parameter("privileged", "true"), "privileged"),
        (bridge().docker(|docker| docker.privileged = Some(true)), "privileged"),
        (bridge().mount("/", "/host", Mode::Ro), "protected_paths"),
        (bridge().mount(&socket, "/docker.sock", Mode::Rw), "protected_paths"),
        (bridge().parameter("cap-add", "SYS_ADMIN"), "capabilities"),
        (bridge().parameter("volume", "somebodys:/data"), "volumes"),
    ] {
        let sentence = agent.refusal(&task)?;
        assert!(sentence.contains(&format!("(rule {rule})")), "{sentence}");
        assert!(sentence.contains("--docker_policy"), "{sentence}");
    }
    assert_eq!(everything(agent.work_dir())?, Vec::<String>::new());
    agent.end().await
}

#[tokio::test]
async fn what_the_policy_allows_runs_and_mounts_the_real_path() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    // Outside of the directory that tests of this agent work in, as a policy wants it.
    let host = tempfile::tempdir()?;
    let real = host.path().canonicalize()?.join("data");
    std::fs::create_dir(&real)?;
    std::fs::write(real.join("file"), "allowed\n")?;
    std::os::unix::fs::symlink("data", host.path().join("link"))?;
    let file = host.path().join("policy.toml");
    std::fs::write(&file, format!("preset = \"strict\"\nhost_paths = [\"{}:ro\"]\n", real.display()))?;
    let flag = file.to_str().context("a path in UTF-8")?;
    let options = Options { policy: policy(flag, &engine)?, ..Options::default() };
    let agent = Supervised::with(&engine, options).await?;
    let link = host.path().join("link");
    let link = link.to_str().context("a path in UTF-8")?;
    let task = Task::shell("cat /data/file; sleep 1000").network(Net::Bridge).mount(link, "/data", Mode::Ro);
    let mut task = agent.launch(&task)?;
    task.running().await?;
    task.says("allowed").await?;
    let binds = agent.inspect(task.name()).await?["HostConfig"]["Binds"].clone();
    assert_eq!(binds, serde_json::json!([format!("{}:/data:ro", real.display())]));
    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    let sentence = agent.refusal(&Task::shell("true").network(Net::Bridge).mount(link, "/data", Mode::Rw))?;
    assert!(sentence.contains("(rule host_paths)"), "{sentence}");
    agent.end().await
}

/// Between the plan and the create of a task there may be a pull of an hour. Somebody who changes what a path leads to
/// meanwhile gets nothing mounted by it, whichever call of the engine is slow.
#[rstest]
#[case::a_slow_pull("GET", "/images/*", "there")]
#[case::a_slow_pull_and_a_missing_path("GET", "/images/*", "missing")]
#[case::a_slow_create("POST", "/containers/create", "there")]
#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_swapped_after_the_plan_is_not_mounted(
    #[case] method: &str,
    #[case] call: &str,
    #[case] path: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let host = tempfile::tempdir()?;
    let root = host.path().canonicalize()?;
    for directory in ["share/there", "secret"] {
        std::fs::create_dir_all(root.join(directory))?;
    }
    std::fs::write(root.join("secret/file"), "secret\n")?;
    let file = root.join("policy.toml");
    let share = root.join("share");
    std::fs::write(&file, format!("preset = \"strict\"\nhost_paths = [\"{}:ro\"]\n", share.display()))?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let options = Options {
        policy: policy(file.to_str().context("a path in UTF-8")?, &engine)?,
        ..Options::through(proxy.socket())
    };
    let agent = Supervised::with(&engine, options).await?;
    let held = proxy.add(Rule::new(method, call, Fault::Hang));
    let mounted = share.join(path);
    let task = Task::shell("cat /data/file").network(Net::None).mount(
        mounted.to_str().context("a path in UTF-8")?,
        "/data",
        Mode::Ro,
    );
    let mut task = agent.launch(&task)?;
    eventually("the call that is held back", PATIENCE, async || Ok((proxy.hits(held) > 0).then_some(())))
        .await?;
    if mounted.exists() {
        std::fs::remove_dir(&mounted)?;
    }
    std::os::unix::fs::symlink("../secret", &mounted)?;
    proxy.remove(held);
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert!(end.outcome.message.contains("host_paths"), "{}", end.outcome.message);
    let started = proxy.requests().iter().any(|request| request.target.contains("/start"));
    assert!(!started, "nothing was started with it");
    // The status comes first, and then it is forgotten.
    eventually("the end of it", PATIENCE, async || {
        Ok((!agent.containerizer().containers().contains(&task.container_id())).then_some(()))
    })
    .await?;
    agent.end().await
}
