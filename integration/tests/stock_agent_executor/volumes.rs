//! Persistent volumes, which the agent mounts in the sandbox before it starts the executor.

use anyhow::{Context as _, Result, ensure};
use integration::{require_engine, require_reference};
use serde_json::{Value, json};

use crate::scene::Scene;

/// The role that the volume is reserved for.
const ROLE: &str = "db";

fn scalar(name: &str, value: f64) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } })
}

/// A disk that is reserved, and made a volume.
fn disk(is_volume: bool) -> Value {
    let mut disk = scalar("disk", 64.0);
    disk["reservations"] = json!([{ "type": "DYNAMIC", "role": ROLE }]);
    if is_volume {
        disk["disk"] = json!({
            "persistence": { "id": "data" },
            "volume": { "container_path": "data", "mode": "RW" },
        });
    }
    disk
}

/// The second task finds what the first one wrote, in a sandbox of its own.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_LaunchWithPersistentVolumes.
#[tokio::test]
async fn a_persistent_volume_is_in_the_container_and_outlives_the_task() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let state = scene.cluster.get("/state").await?;
    let agent_id = state["slaves"][0]["id"].as_str().context("the agent's id")?;
    let agent_id = json!({ "value": agent_id });
    let reserve = json!({ "agent_id": agent_id, "resources": [disk(false)] });
    scene.cluster.call(&json!({ "type": "RESERVE_RESOURCES", "reserve_resources": reserve })).await?;
    let create = json!({ "agent_id": agent_id, "volumes": [disk(true)] });
    scene.cluster.call(&json!({ "type": "CREATE_VOLUMES", "create_volumes": create })).await?;
    let role = format!("--role={ROLE}");
    for (line, said) in [
        ("grep -q ' /mnt/mesos/sandbox/data ' /proc/mounts && echo kept >/mnt/mesos/sandbox/data/file", ""),
        ("cat /mnt/mesos/sandbox/data/file", "kept\n"),
    ] {
        let mut task = scene.task(line);
        task["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 32.0), disk(true)]);
        let events = scene.cluster.run(&task, &[&role]).await?;
        let end = events.last_status()?;
        ensure!(end["state"] == "TASK_FINISHED", "{events:?}");
        assert_eq!(scene.read(&events, "stdout")?, said);
    }
    scene.end().await
}
