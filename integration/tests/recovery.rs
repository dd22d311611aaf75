//! Recovery by labels and names: of all containers on the engine exactly ours are found, and only those removed.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::names::Role;
use integration::images::TestImage;
use integration::logs_check::{Rig, RigOptions};
use integration::supervised::Task;
use integration::{RawClient, TestScope, require_engine};
use mesos_types::ContainerId;
use serde_json::json;

/// Starts a container under a name of its own, with the label of the test and nothing of ours.
async fn by_hand(scope: &TestScope, client: &mut RawClient, name: &str) -> Result<String> {
    let body = json!({
        "Image": TestImage::Busybox.reference(), "Cmd": ["sleep", "1000"], "Labels": scope.labels(),
        "HostConfig": { "NetworkMode": "host" },
    });
    let created = client.post(&format!("/containers/create?name={name}"), &body).await?.json()?;
    let id = created["Id"].as_str().context("an id")?.to_owned();
    client.post_empty(&format!("/containers/{id}/start")).await?.ok()?;
    Ok(id)
}

async fn exists(client: &mut RawClient, id: &str) -> Result<bool> {
    Ok(client.get(&format!("/containers/{id}/json")).await?.status() == 200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_work_directory_finds_its_own_containers_and_nobody_elses() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut client = scope.client().await?;
    let new = async |dir: &str| {
        Rig::new(engine.socket(), &scope.agent_id(), &scope.subdir(dir)?, RigOptions::default()).await
    };
    let (first, second) = (new("a").await?, new("b").await?);
    let mut one = first.launch(&Task::shell("sleep 1000"))?;
    let mut two = second.launch(&Task::shell("sleep 1000"))?;
    let (one_id, two_id) = (one.running().await?.engine_id, two.running().await?.engine_id);

    // A person's containers, and those of a stock agent whose work directory is ours or not.
    let (users, known) =
        (ContainerId::random(), [ContainerId::random(), ContainerId::random(), ContainerId::random()]);
    let users_id = by_hand(&scope, &mut client, &format!("mesos-{users}")).await?;
    let malformed = format!("mesos-malformedUUID-{}", scope.id());
    let malformed_id = by_hand(&scope, &mut client, &malformed).await?;
    let stock = [
        format!("mesos-{}", known[0]),
        format!("mesos-{}.{}", scope.agent_id(), known[1]),
        format!("mesos-{}.executor", known[2]),
    ];
    let mut stock_ids = BTreeSet::new();
    for name in &stock {
        stock_ids.insert(by_hand(&scope, &mut client, name).await?);
    }

    let nothing = BTreeSet::new();
    let found = first.containerizer().recover(first.work_dir(), &nothing).await?;
    ensure!(found.len() == 1 && found[0].engine_id == one_id, "{found:?}");
    ensure!(found[0].container_id == one.container_id() && found[0].role == Role::Task, "{found:?}");
    ensure!(found[0].labels.is_some() && found[0].state == "running", "{found:?}");
    // Whose it is depends on the work directory alone: each process sees the other's through the other's path.
    let found = first.containerizer().recover(second.work_dir(), &nothing).await?;
    ensure!(found.len() == 1 && found[0].engine_id == two_id, "{found:?}");
    let found = first.containerizer().recover(&scope.subdir("c")?, &nothing).await?;
    ensure!(found.is_empty(), "{found:?}");

    // Names of stock agents count when our checkpoint knows the id.
    let found = first.containerizer().recover(first.work_dir(), &known.into()).await?;
    let ids: BTreeSet<_> = found.iter().map(|found| found.engine_id.clone()).collect();
    let mut expected = stock_ids.clone();
    expected.insert(one_id.clone());
    ensure!(ids == expected, "{found:?}");
    for found in found.iter().filter(|found| stock_ids.contains(&found.engine_id)) {
        let role = if found.name.ends_with(".executor") { Role::Executor } else { Role::Task };
        ensure!(found.labels.is_none() && found.role == role, "{found:?}");
    }

    // An orphan is removed, and only it. Its owner learns of it: a container that is gone is no success.
    first.containerizer().remove_orphan(&one_id).await.map_err(anyhow::Error::msg)?;
    ensure!(!exists(&mut client, &one_id).await?, "the orphan is there");
    for id in stock_ids.iter().chain([&two_id, &users_id, &malformed_id]) {
        ensure!(exists(&mut client, id).await?, "{id} is gone");
    }
    let ended = one.ended().await?;
    ensure!(ended.outcome.state == mesos_proto::v1::TaskState::TaskFailed, "{:?}", ended.outcome);
    first.containerizer().remove_orphan(&one_id).await.map_err(anyhow::Error::msg)?;

    two.kill(Some(std::time::Duration::ZERO)).await?;
    two.ended().await?;
    first.settled().await?;
    second.settled().await?;
    for id in stock_ids.iter().chain([&users_id, &malformed_id]) {
        ensure!(exists(&mut client, id).await?, "{id} is gone");
        client.delete(&format!("/containers/{id}?force=1&v=1")).await?.ok()?;
    }
    scope.assert_clean().await
}

/// A stopped container, one that was only created, and a task's own labels in our place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_and_created_containers_are_found_and_forged_labels_are_not_believed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut client = scope.client().await?;
    let rig =
        Rig::new(engine.socket(), &scope.agent_id(), &scope.subdir("a")?, RigOptions::default()).await?;
    let (id, other) = (ContainerId::random(), ContainerId::random());
    let labels = |container_id: ContainerId| {
        json!({
            "org.apache.mesos.agent_id": "an-earlier-agent", "org.apache.mesos.framework_id": "f",
            "org.apache.mesos.executor_id": "e", "org.apache.mesos.task_id": "t",
            "org.apache.mesos.container_id": container_id.to_string(),
            "org.apache.mesos.work_dir": rig.work_dir(), "org.apache.mesos.checkpoint": "true",
            "org.apache.mesos.schema": "1", "mesos-test.scope": scope.id(),
        })
    };
    let mut create = async |name: String, labels: serde_json::Value| {
        let body = json!({
            "Image": TestImage::Volume.reference(), "Cmd": ["true"], "Labels": labels,
            "HostConfig": { "NetworkMode": "host" },
        });
        let created = client.post(&format!("/containers/create?name={name}"), &body).await?.json()?;
        anyhow::Ok(created["Id"].as_str().context("an id")?.to_owned())
    };
    // An agent that got a new id still owns what it made under the old one.
    let created = create(format!("mesos-an-earlier-agent-{id}"), labels(id)).await?;
    let forged = create(format!("mesos-x-{other}"), labels(id)).await?;
    let mut partial = labels(other);
    partial.as_object_mut().context("labels")?.remove("org.apache.mesos.task_id");
    let partial = create(format!("mesos-{other}"), partial).await?;

    let found = rig.containerizer().recover(rig.work_dir(), &[other].into()).await?;
    ensure!(found.len() == 1 && found[0].engine_id == created && found[0].state == "created", "{found:?}");
    client.post_empty(&format!("/containers/{created}/start")).await?.ok()?;
    client.post_empty(&format!("/containers/{created}/wait")).await?.ok()?;
    let found = rig.containerizer().recover(rig.work_dir(), &BTreeSet::new()).await?;
    ensure!(found.len() == 1 && found[0].state == "exited", "{found:?}");
    // Its anonymous volume goes with it.
    let mounts = client.get(&format!("/containers/{created}/json")).await?.json()?["Mounts"].take();
    let volume = mounts[0]["Name"].as_str().context("an anonymous volume")?.to_owned();
    rig.containerizer().remove_orphan(&created).await.map_err(anyhow::Error::msg)?;
    ensure!(client.get(&format!("/volumes/{volume}")).await?.status() == 404, "the volume {volume} is left");
    for id in [&forged, &partial] {
        ensure!(exists(&mut client, id).await?, "{id} is gone");
        client.delete(&format!("/containers/{id}?force=1&v=1")).await?.ok()?;
    }
    scope.assert_clean().await
}
