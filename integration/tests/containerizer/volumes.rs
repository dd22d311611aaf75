//! Volumes: host paths, paths of the sandbox, volumes of the engine, anonymous ones.

use anyhow::{Context as _, Result};
use integration::images::TestImage;
use integration::require_engine;
use integration::supervised::{Supervised, Task};
use mesos_proto::v1;
use mesos_proto::v1::volume::Mode;
use serde_json::json;

fn docker_volume(name: &str, target: &str, driver: Option<&str>, options: &[(&str, &str)]) -> v1::Volume {
    let options =
        options.iter().map(|(key, value)| v1::Parameter { key: (*key).into(), value: (*value).into() });
    let mut source = v1::volume::Source {
        docker_volume: Some(v1::volume::source::DockerVolume {
            name: name.into(),
            driver: driver.map(Into::into),
            driver_options: Some(v1::Parameters { parameter: options.collect() }),
        }),
        ..Default::default()
    };
    source.set_type(v1::volume::source::Type::DockerVolume);
    v1::Volume {
        mode: Mode::Rw.into(),
        container_path: target.into(),
        source: Some(source),
        ..Default::default()
    }
}

/// Peer: DockerTest.ROOT_DOCKER_MountRelativeHostPath.
#[tokio::test]
async fn a_relative_host_path_is_one_of_the_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line = "echo shared > /mnt/mesos/sandbox/data/file && cat /tmp/seen/file && ! touch /tmp/seen/other 2>/dev/null";
    let mut task = agent.launch(&Task::shell(line).mount("data", "/tmp/seen", Mode::Ro))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "shared\n");
    assert_eq!(task.read("data/file")?, "shared\n");
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_MountAbsoluteHostPath.
#[tokio::test]
async fn an_absolute_host_path_is_mounted_read_only_or_not() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let host = agent.scope().subdir("shared")?;
    std::fs::write(host.join("file"), "from the host\n")?;
    let path = host.to_str().context("a path in UTF-8")?;
    let line = "cat /tmp/ro/file; touch /tmp/ro/no 2>/dev/null || echo refused; echo back > /tmp/rw/answer";
    let task = Task::shell(line).mount(path, "/tmp/ro", Mode::Ro).mount(path, "/tmp/rw", Mode::Rw);
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "from the host\nrefused\n");
    assert_eq!(std::fs::read_to_string(host.join("answer"))?, "back\n");
    assert!(!host.join("no").exists());
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_MountRelativeContainerPath.
#[tokio::test]
async fn a_relative_container_path_is_below_the_mapped_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let host = agent.scope().subdir("shared")?;
    std::fs::write(host.join("file"), "from the host\n")?;
    let path = host.to_str().context("a path in UTF-8")?;
    let mut task =
        agent.launch(&Task::shell("cat $MESOS_SANDBOX/deep/seen/file").mount(path, "deep/seen", Mode::Ro))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "from the host\n");
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_MountRelativeHostPathRelativeContainerPath.
#[tokio::test]
async fn two_relative_paths_are_refused() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let sentence = agent.refusal(&Task::shell("true").mount("a", "b", Mode::Ro))?;
    assert!(
        sentence.contains("Both host_path 'a' and container_path 'b' of a volume are relative"),
        "{sentence}"
    );
    agent.end().await
}

#[tokio::test]
async fn a_missing_host_directory_is_made() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let plain = agent.scope().dir().join("not/yet");
    let colon = agent.scope().dir().join("with:colon/yet");
    let mut task = Task::shell("echo a > /tmp/one/file && echo b > /tmp/two/file");
    for (path, target) in [(&plain, "/tmp/one"), (&colon, "/tmp/two")] {
        task = task.mount(path.to_str().context("a path in UTF-8")?, target, Mode::Rw);
    }
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    assert_eq!(std::fs::read_to_string(plain.join("file"))?, "a\n");
    assert_eq!(std::fs::read_to_string(colon.join("file"))?, "b\n");
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_ConflictingVolumeDriversInMultipleVolumes.
#[tokio::test]
async fn two_volumes_with_different_drivers_are_refused() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("true")
        .volume(docker_volume("one", "/tmp/one", Some("driver1"), &[]))
        .volume(docker_volume("two", "/tmp/two", Some("driver2"), &[]));
    let sentence = agent.refusal(&task)?;
    assert!(sentence.contains("Only one volume driver is supported"), "{sentence}");
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_ConflictingVolumeDrivers.
#[tokio::test]
async fn a_volume_with_another_driver_than_the_task_is_refused() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("true")
        .volume(docker_volume("one", "/tmp/one", Some("driver1"), &[]))
        .docker(|docker| docker.volume_driver = Some("driver".into()));
    let sentence = agent.refusal(&task)?;
    assert!(sentence.contains("Only one volume driver per task is supported"), "{sentence}");
    agent.end().await
}

#[tokio::test]
async fn a_volume_of_the_engine_is_made_with_its_driver_and_options() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let name = agent.scope().name("vol");
    let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")];
    let task = Task::shell("echo kept > /data/file; grep -c ' /data tmpfs ' /proc/mounts")
        .volume(docker_volume(&name, "/data", Some("local"), &options));
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "1\n");
    agent.containerizer().settled().await;
    // A volume with a name outlives its container: it is the framework's.
    let mut client = agent.scope().client().await?;
    let volume = client.get(&format!("/volumes/{name}")).await?.json()?;
    assert_eq!(volume["Driver"], "local");
    assert_eq!(volume["Options"], json!({ "type": "tmpfs", "device": "tmpfs", "o": "size=1m" }));
    client.delete(&format!("/volumes/{name}")).await?.ok()?;
    agent.end().await
}

#[tokio::test]
async fn the_anonymous_volume_of_an_image_goes_with_its_container() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("echo x > /data/x; sleep 1000").image(TestImage::Volume))?;
    task.running().await?;
    let seen = agent.inspect(task.name()).await?;
    let mounts = seen["Mounts"].as_array().context("no mounts")?;
    let volume = mounts.iter().find(|mount| mount["Type"] == "volume").context("no volume")?;
    let name = volume["Name"].as_str().context("a volume without a name")?.to_owned();
    let mut client = agent.scope().client().await?;
    client.get(&format!("/volumes/{name}")).await?.ok()?;

    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.containerizer().settled().await;
    assert_eq!(client.get(&format!("/volumes/{name}")).await?.status(), 404);
    agent.end().await
}

#[tokio::test]
async fn volumes_from_another_container_are_there() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let donor = agent
        .scope()
        .run("donor", TestImage::Volume, &["sh", "-c", "echo given > /data/file; sleep 1000"])
        .await?;
    let line = "until [ -s /data/file ]; do sleep 0.05; done; cat /data/file";
    let mut task =
        agent.launch(&Task::shell(line).parameter("volumes-from", &agent.scope().name("donor")))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "given\n");
    agent.containerizer().settled().await;
    // The donor's volume stays with the donor.
    let mut client = agent.scope().client().await?;
    let seen = client.get(&format!("/containers/{donor}/json")).await?.json()?;
    let volume = seen["Mounts"][0]["Name"].as_str().context("the donor has no volume")?.to_owned();
    client.get(&format!("/volumes/{volume}")).await?.ok()?;
    client.delete(&format!("/containers/{donor}?force=1&v=1")).await?.ok()?;
    agent.end().await
}
