//! Images and scopes: the images are what their names say, and nothing of a test stays, panic or not.

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use integration::images::{self, TestImage};
use integration::{RawClient, TestScope, require_engine};
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
