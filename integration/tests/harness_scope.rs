//! Images and scopes: the images are what their names say, and nothing of a test stays, panic or not.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use integration::images::{self, TestImage};
use integration::supervised::Plain;
use integration::{RawClient, TestScope, eventually, require_engine};
use serde_json::json;

async fn output_of(
    scope: &TestScope,
    client: &mut RawClient,
    suffix: &str,
    image: TestImage,
    command: &[&str],
) -> Result<String> {
    let id = scope.run(suffix, image, command).await?;
    client.post_empty(&format!("/containers/{id}/wait")).await?.ok()?;
    let body = client.get(&format!("/containers/{id}/logs?stdout=1&stderr=1")).await?.ok()?.body;
    // Each frame has a head of 8 bytes; these outputs are one frame.
    Ok(String::from_utf8_lossy(body.get(8..).unwrap_or_default()).into_owned())
}

#[tokio::test]
async fn the_images_are_what_their_names_say() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut client = scope.client().await?;
    let cases = [
        (
            "sh",
            TestImage::Busybox,
            vec!["sh", "-c", "echo $PATH; id -u; nc --help 2>&1 | head -n 1 | cut -c 1-7"],
            "/bin:/sbin\n0\nBusyBox\n",
        ),
        ("inky", TestImage::Inky, vec!["pinky"], "pinky\n"),
        (
            "user",
            TestImage::User,
            vec!["sh", "-c", "id -u; pwd; cat index.html"],
            "65534\n/www\nhello from a container\n",
        ),
        ("env", TestImage::Environment, vec!["sh", "-c", "echo $COLOR"], "image\n"),
        ("volume", TestImage::Volume, vec!["sh", "-c", "grep -c ' /data ' /proc/mounts"], "1\n"),
    ];
    for (suffix, image, command, expected) in cases {
        // Several writes may come as several frames; compare without their heads.
        let found: String = output_of(&scope, &mut client, suffix, image, &command).await?;
        let plain: String = found.chars().filter(|letter| *letter == '\n' || !letter.is_control()).collect();
        for line in expected.lines() {
            assert!(plain.contains(line), "{suffix}: {line:?} is not in {plain:?}");
        }
    }
    let inky = client.get("/images/mesos-test/inky:latest/json").await?.json()?;
    assert_eq!((&inky["Config"]["Entrypoint"], &inky["Config"]["Cmd"]), (&json!(["echo"]), &json!(["inky"])));
    let signal = client.get("/images/mesos-test/stopsignal:latest/json").await?.json()?;
    assert_eq!(signal["Config"]["StopSignal"], "SIGUSR1");
    let body = json!({ "Image": TestImage::NoCommand.reference(), "Labels": scope.labels() });
    let refused = client.post("/containers/create", &body).await?;
    assert_eq!(refused.status(), 400, "{}", refused.text());
    assert!(
        refused.text().contains("No command specified") || refused.text().contains("no command specified")
    );
    Ok(())
}

#[tokio::test]
async fn many_may_ask_for_the_images_at_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    try_join_all((0..8).map(|_| images::ensure(engine.socket()))).await?;
    let mut client = engine.client().await?;
    for image in TestImage::ALL {
        client.get(&format!("/images/{}/json", image.reference())).await?.ok().context(image.reference())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_test_that_panics_leaves_nothing_behind() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let (id, dir) = (scope.id().to_owned(), scope.dir().to_owned());
    let panicked = tokio::spawn(async move {
        let mut client = scope.client().await.expect("a client");
        let labels = scope.labels();
        scope.run("one", TestImage::Volume, &["sleep", "1000"]).await.expect("a container");
        // What the code under test makes has no label of the scope's, but names and labels of Mesos'.
        let body = json!({
            "Image": TestImage::Busybox.reference(), "Cmd": ["true"], "Labels": { "org.apache.mesos.agent_id": scope.agent_id() },
        });
        client.post("/containers/create", &body).await.expect("an answer").ok().expect("a container");
        let body = json!({ "Image": TestImage::Busybox.reference(), "Cmd": ["true"] });
        let path = format!("/containers/create?name=mesos-{}-xyz", scope.agent_id());
        client.post(&path, &body).await.expect("an answer").ok().expect("a container");
        client.post("/volumes/create", &json!({ "Name": scope.name("vol"), "Labels": labels })).await.expect("an answer").ok().expect("a volume");
        client.post("/networks/create", &json!({ "Name": scope.name("net"), "Internal": true })).await.expect("an answer").ok().expect("a network");
        let made = scope.leftovers().await.expect("a list");
        assert_eq!((made.containers.len(), made.volumes.len(), made.networks.len()), (3, 1, 1), "{made:?}");
        assert!(scope.assert_clean().await.is_err());
        panic!("as a failing test does");
    })
    .await
    .expect_err("the test panicked");
    assert_eq!(panicked.into_panic().downcast_ref::<&str>(), Some(&"as a failing test does"));
    let swept = integration::sweep::sweep(engine.socket(), &id).await?;
    assert_eq!(swept, integration::sweep::Swept::default());
    assert!(!dir.exists());
    Ok(())
}

/// A task without an image, what it has started in other sessions and without an environment, and the process that
/// supervises it, which blocks all signals.
async fn plain_task(scope: &TestScope) -> Result<Vec<u32>> {
    let plain = Plain::in_scope(scope)?;
    let line = "cd /; trap '' TERM; setsid sleep 1000 & echo $! > $MESOS_SANDBOX/other; \
                env -i setsid sleep 1000 & echo $! > $MESOS_SANDBOX/bare; \
                echo $$ $PPID > $MESOS_SANDBOX/own; while :; do sleep 1; done";
    let mut task = plain.launch(line)?;
    task.runs().await?;
    let pids = eventually("the task's processes", PATIENCE, async || {
        let text: String = ["other", "bare", "own"].map(|file| task.read(file).unwrap_or_default()).concat();
        let pids: Vec<u32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        Ok((pids.len() == 4).then_some(pids))
    })
    .await?;
    // As an agent that is killed does, which ends no task.
    std::mem::forget(plain);
    Ok(pids)
}

fn is_there(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Control groups of a scope.
fn groups(scope: &TestScope) -> Vec<std::path::PathBuf> {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let groups = hierarchies.map(|entry| entry.path().join(scope.cgroups_root()));
    groups.filter(|group| group.exists()).collect()
}

/// How long one thing may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the test panics or returns an error: its tasks without an image end, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_leaves_no_task_without_an_image() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let mut others = TestScope::new(&engine).await?;
    others.leaves_tasks();
    let of_others = plain_task(&others).await?;
    for panics in [true, false] {
        let mut scope = TestScope::new(&engine).await?;
        if !panics {
            scope.leaves_tasks();
        }
        let pids = plain_task(&scope).await?;
        assert!(pids.iter().all(|pid| is_there(*pid)), "{pids:?}");
        let groups_of_scope = groups(&scope);
        assert!(!groups_of_scope.is_empty());
        let failed = tokio::spawn(async move {
            let _scope = scope;
            assert!(!panics, "as a failing test does");
        });
        assert_eq!(failed.await.is_err(), panics);
        assert!(!pids.iter().any(|pid| is_there(*pid)), "{pids:?}");
        assert!(!groups_of_scope.iter().any(|group| group.exists()), "{groups_of_scope:?}");
        assert!(of_others.iter().all(|pid| is_there(*pid)), "a process of another scope was ended");
    }
    Ok(())
}
