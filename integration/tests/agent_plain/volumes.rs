//! Volumes of tasks without an image: persistent ones, and directories of the sandbox at other places of it.

use anyhow::Result;
use integration::{eventually, require_engine, require_reference};
use serde_json::{Value, json};

use crate::lab::{LONG, Lab, SHORT, message, plain};

/// The options of a framework that takes reserved resources.
const OPTIONS: [&str; 4] =
    ["--role=team", "--capability=RESERVATION_REFINEMENT", "--checkpoint", "--timeout=90"];

fn reserved() -> Value {
    json!({
        "name": "disk", "type": "SCALAR", "scalar": { "value": 64 },
        "reservations": [{ "type": "DYNAMIC", "role": "team" }],
    })
}

fn volume() -> Value {
    let mut volume = reserved();
    volume["disk"] = json!({
        "persistence": { "id": "data" },
        "volume": { "container_path": "data", "mode": "RW" },
    });
    volume
}

/// A task that has the volume.
fn owner(line: &str) -> Value {
    let scalar =
        |name: &str, value: f64| json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } });
    let mut task = plain(line);
    task["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 32.0), volume()]);
    task
}

/// Makes an operator's call about resources of the agent, and waits until the master takes it: what is offered or in use
/// at that moment, it refuses.
async fn operate(lab: &Lab, call: &str, list: &str, resource: Value) -> Result<()> {
    let agent = lab.scene.master.agent().await?;
    let body = json!({ "agent_id": { "value": agent["id"] }, list: [resource] });
    let message = json!({ "type": call.to_uppercase(), call: body });
    eventually(call, SHORT, async || Ok(lab.scene.master.call(&message).await.ok())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_volume_outlives_its_tasks_and_becomes_their_users() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    operate(&lab, "reserve_resources", "resources", reserved()).await?;
    operate(&lab, "create_volumes", "volumes", volume()).await?;
    let directory = lab.scene.agent.work_dir().join("volumes/roles/team/data");
    eventually("the volume's directory", SHORT, async || Ok(directory.is_dir().then_some(()))).await?;
    let run = async |lab: &Lab, task: &Value| lab.scene.run(task, &OPTIONS).await;

    let mut nobodys = owner("echo kept > data/file && stat -c %U data/file");
    nobodys["command"]["user"] = json!("nobody");
    let events = run(&lab, &nobodys).await?;
    assert_eq!(events.last_status()?["state"], "TASK_FINISHED", "{:?}", events.last_status()?);
    assert_eq!(lab.stdout(&events)?, "nobody\n");
    assert_eq!(std::fs::read_to_string(directory.join("file"))?, "kept\n");

    // It stays a task's while the agent is killed.
    let line = "cat data/file; until [ -e data/go ]; do sleep 0.1; done; echo more >> data/file";
    let options: Vec<&str> = OPTIONS.into_iter().chain(["--failover-timeout=80"]).collect();
    let framework = lab.scene.framework(&owner(line), &options).await?;
    lab.says(&framework, "kept").await?;
    lab.scene.crash().await?;
    std::fs::write(directory.join("go"), "")?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.last_status()?["state"], "TASK_FINISHED");
    assert_eq!(std::fs::read_to_string(directory.join("file"))?, "kept\nmore\n");

    operate(&lab, "destroy_volumes", "volumes", volume()).await?;
    eventually("the volume's directory to go", SHORT, async || Ok((!directory.exists()).then_some(())))
        .await?;
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_the_sandbox_is_at_another_place_too() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let volume = |at: &str, kind: &str, path: &str| {
        json!({ "container_path": at, "mode": "RW", "source": {
            "type": "SANDBOX_PATH", "sandbox_path": { "type": kind, "path": path },
        } })
    };
    let mut task = plain("echo one > here/file; cat there/file");
    task["container"] = json!({ "type": "MESOS", "volumes": [volume("here", "SELF", "there")] });
    let (events, _) = lab.ends_as(&task, "TASK_FINISHED").await?;
    assert_eq!(lab.stdout(&events)?, "one\n");

    // Without a parent container there is no parent's sandbox, and no way out of one's own.
    for (bad, said) in [
        (volume("here", "PARENT", "there"), "use type SELF"),
        (volume("here", "SELF", "../../there"), "path"),
    ] {
        task["container"]["volumes"] = json!([bad]);
        let (_, status) = lab.ends_as(&task, "TASK_FAILED").await?;
        assert!(message(&status).contains(said), "{status}");
    }
    lab.nothing_left().await
}
