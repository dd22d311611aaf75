//! The private engine: it stands beside the machine's, its containers outlive a killed dockerd, and nothing is left.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use integration::images::TestImage;
use integration::{PrivateEngine, RawClient, TestScope, eventually, require_private_engine};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

fn mounts_below(dir: &Path) -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    table.lines().filter(|line| line.contains(&*dir.to_string_lossy())).count()
}

fn processes_naming(dir: &Path) -> usize {
    let name = dir.to_string_lossy().into_owned();
    let lines = std::fs::read_dir("/proc").expect("/proc").flatten();
    lines
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&name))
        .count()
}

async fn log_of(client: &mut RawClient, id: &str) -> Result<usize> {
    Ok(client.get(&format!("/containers/{id}/logs?stdout=1")).await?.ok()?.body.len())
}

#[tokio::test]
async fn a_container_and_its_log_survive_a_killed_dockerd_and_nothing_survives_the_engine() -> Result<()> {
    require_private_engine!(Ok(()));
    let began = Instant::now();
    let mut private = PrivateEngine::start().await?;
    println!("a private engine answers after {:?}", began.elapsed());
    let dir = private.dir().to_owned();
    let engine = private.engine()?;
    let scope = TestScope::new(&engine).await?;
    let id = scope
        .run("ticker", TestImage::Busybox, &["sh", "-c", "while :; do echo tick; sleep 0.1; done"])
        .await?;
    let mut client = scope.client().await?;
    let before = eventually("the first ticks", SOON, async || {
        Ok(Some(log_of(&mut client, &id).await?).filter(|length| *length > 0))
    })
    .await?;
    let started_at = inspect_state(&mut client, &id).await?;

    private.kill_dockerd().await?;
    assert!(client.get("/_ping").await.is_err(), "a killed dockerd answered");
    let began = Instant::now();
    private.start_dockerd().await?;
    println!("dockerd answers again after {:?}", began.elapsed());

    let mut client = scope.client().await?;
    assert_eq!(
        inspect_state(&mut client, &id).await?,
        started_at,
        "the container is not the same run any more"
    );
    eventually("further ticks", SOON, async || {
        Ok((log_of(&mut client, &id).await? > before + 100).then_some(()))
    })
    .await?;
    client.post_empty(&format!("/containers/{id}/kill")).await?.ok()?;
    let waited = client.post_empty(&format!("/containers/{id}/wait")).await?.json()?;
    assert_eq!(waited["StatusCode"], 137);

    // One more is left running, as a test that fails would.
    scope.run("left", TestImage::Busybox, &["sleep", "1000"]).await?;
    assert!(mounts_below(&dir) > 0 && processes_naming(&dir) > 0);
    let began = Instant::now();
    private.remove()?;
    println!("it is removed after {:?}", began.elapsed());
    assert_eq!((dir.exists(), mounts_below(&dir), processes_naming(&dir)), (false, 0, 0));
    Ok(())
}

fn links() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir("/sys/class/net")
        .expect("the links")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        // Other tests' containers come and go, and the networks they are on.
        .filter(|name| !name.starts_with("veth") && !name.starts_with("br-"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn its_networks_are_its_own_and_the_machines_stay_as_they_are() -> Result<()> {
    require_private_engine!(Ok(()));
    let before = links();
    let private = PrivateEngine::start().await?;
    assert_eq!(links(), before);
    let scope = TestScope::new(&private.engine()?).await?;
    let mut client = scope.client().await?;
    let script = "httpd -p 8080 -h /www && ip -o -4 addr show && wget -q -O - http://127.0.0.1:8080/";
    for (network, expected) in [("bridge", " eth0 "), ("host", " docker0 ")] {
        let body = json!({
            "Image": TestImage::Busybox.reference(), "Cmd": ["sh", "-c", script], "Labels": scope.labels(),
            "Tty": true, "HostConfig": { "NetworkMode": network },
        });
        let created = client.post("/containers/create", &body).await?.json()?;
        let id = created["Id"].as_str().context("an id")?;
        client.post_empty(&format!("/containers/{id}/start")).await?.ok()?;
        let ended = client.post_empty(&format!("/containers/{id}/wait")).await?.json()?;
        let said = client.get(&format!("/containers/{id}/logs?stdout=1")).await?.ok()?.text();
        assert_eq!(ended["StatusCode"], 0, "{network}: {said}");
        assert!(said.contains(expected) && said.contains("hello from a container"), "{network}: {said}");
    }
    private.remove()?;
    assert_eq!(links(), before);
    Ok(())
}

#[tokio::test]
async fn a_frozen_dockerd_accepts_and_does_not_answer_until_it_thaws() -> Result<()> {
    require_private_engine!(Ok(()));
    let private = PrivateEngine::start().await?;
    let mut client = RawClient::new(private.socket());
    client.get("/_ping").await?.ok()?;
    private.freeze_dockerd().await?;
    let mut client = client.with_deadline(Duration::from_millis(300));
    let error = client.get("/_ping").await.expect_err("a frozen dockerd answered");
    assert!(format!("{error:#}").contains("no answer within"), "{error:#}");
    private.thaw_dockerd()?;
    eventually("an answer", SOON, async || Ok(client.get("/_ping").await.ok())).await?.ok()?;
    private.remove()
}

async fn inspect_state(client: &mut RawClient, id: &str) -> Result<(i64, String)> {
    let state = client.get(&format!("/containers/{id}/json")).await?.json()?["State"].take();
    let pid = state["Pid"].as_i64().context("a pid")?;
    Ok((pid, state["StartedAt"].as_str().context("a start time")?.to_owned()))
}
