//! How the container is started: what is missing is named, with `--docker_mesos_image` as a refusal.

use anyhow::{Context as _, Result, ensure};
use integration::agent::{files, task};
use integration::images::TestImage;
use integration::{require_engine, require_reference};
use rstest::rstest;
use serde_json::{Value, json};

use crate::rig::{LONG, Scene};

/// What is wrong with a set-up.
#[derive(Clone, Copy)]
enum Wrong {
    Network,
    Pids,
    Cgroups,
    CgroupNames,
    NoWorkDir,
    OtherWorkDir,
    Volume,
    SocketFile,
    NoSocket,
}

impl Wrong {
    /// Makes a right request so; `sockets` is the directory of the engine's socket.
    fn make(self, request: &mut Value, work_dir: &str, sockets: &str) {
        match self {
            Self::Network => request["HostConfig"]["NetworkMode"] = json!("none"),
            Self::Pids => request["HostConfig"]["PidMode"] = json!(""),
            Self::Cgroups => without_bind(request, "/sys/fs/cgroup"),
            Self::CgroupNames => request["HostConfig"]["CgroupnsMode"] = json!("private"),
            Self::NoWorkDir => without_bind(request, work_dir),
            Self::OtherWorkDir => {
                without_bind(request, work_dir);
                with_bind(request, format!("{work_dir}-elsewhere:{work_dir}"));
            }
            Self::Volume => {
                without_bind(request, work_dir);
                request["Volumes"] = json!({ work_dir: {} });
            }
            Self::SocketFile => {
                without_bind(request, &format!("{sockets}:"));
                with_bind(request, format!("{sockets}/docker.sock:{sockets}/docker.sock"));
            }
            Self::NoSocket => without_bind(request, &format!("{sockets}:")),
        }
    }
}

pub(crate) fn without_bind(request: &mut Value, of: &str) {
    let binds = request["HostConfig"]["Binds"].as_array_mut().expect("binds");
    let before = binds.len();
    binds.retain(|bind| !bind.as_str().is_some_and(|bind| bind.starts_with(of)));
    assert_eq!(binds.len() + 1, before, "no bind of {of}");
}

fn with_bind(request: &mut Value, bind: String) {
    request["HostConfig"]["Binds"].as_array_mut().expect("binds").push(bind.into());
}

#[rstest]
#[case::network(Wrong::Network, "--network=host")]
#[case::pids(Wrong::Pids, "--pid=host")]
#[case::cgroups(Wrong::Cgroups, "-v /sys/fs/cgroup:/sys/fs/cgroup:ro")]
#[case::cgroup_names(Wrong::CgroupNames, "--cgroupns=host")]
#[case::no_work_dir(Wrong::NoWorkDir, "-v WORK_DIR:WORK_DIR")]
#[case::other_work_dir(Wrong::OtherWorkDir, "-v WORK_DIR:WORK_DIR")]
#[case::volume(Wrong::Volume, "-v WORK_DIR:WORK_DIR")]
#[case::socket_file(Wrong::SocketFile, "-v SOCKETS:SOCKETS")]
#[case::no_socket(Wrong::NoSocket, "-v SOCKETS:SOCKETS")]
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_set_up_is_refused_with_the_option_that_is_missing(
    #[case] wrong: Wrong,
    #[case] option: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    let work_dir = scene.agent.work_dir().display().to_string();
    let sockets = engine.socket().parent().context("a directory")?.display().to_string();
    let mut request = scene.agent.request();
    wrong.make(&mut request, &work_dir, &sockets);
    scene.agent.start(&request).await?;
    let ended = scene.agent.ended().await?;
    let line = ended.log.lines().find(|line| line.starts_with("mesos-agent: "));
    let line = line.with_context(|| format!("no line for a person: {}", ended.log))?;
    assert_eq!(ended.status, 1, "{line}");
    let option = option.replace("SOCKETS", &sockets).replace("WORK_DIR", &work_dir);
    ensure!(line.contains(&format!("{option} (")), "{option:?} is not in {line}");
    ensure!(line.matches(" (").count() == 1, "more than one option is named: {line}");
    ensure!(files(scene.agent.work_dir(), "slave.info").is_empty(), "it registered");
    scene.agent.remove().await
}

/// As in a pod of Kubernetes: the network is another container's, and with it the files by which one's own may be known.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_network_may_be_lent_by_another_container() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    let lender = scene.scope.name("lender");
    let mut client = scene.scope.client().await?;
    let pause = json!({
        "Image": TestImage::Busybox.reference(),
        "Cmd": ["sleep", "1000"],
        "Labels": scene.scope.labels(),
        "HostConfig": { "NetworkMode": "host" },
    });
    client.post(&format!("/containers/create?name={lender}"), &pause).await?.json()?;
    client.post_empty(&format!("/containers/{lender}/start")).await?.ok()?;
    let mut request = scene.agent.request();
    request["HostConfig"]["NetworkMode"] = format!("container:{lender}").into();
    scene.agent.start(&request).await?;
    scene.agent.registered(&scene.master).await?;
    let (log, name) = (scene.agent.log().await?, scene.agent.name());
    ensure!(log.contains("the agent runs in a container") && log.contains(name), "not {name}: {log}");
    scene.agent.remove().await?;

    // What it sees of itself then is the lender's alone. No guess is made.
    request["HostConfig"]["CgroupnsMode"] = json!("private");
    scene.agent.start(&request).await?;
    let ended = scene.agent.ended().await?;
    ensure!(ended.status == 1 && ended.log.contains("start it with --cgroupns=host"), "{}", ended.log);
    scene.agent.remove().await?;
    client.delete(&format!("/containers/{lender}?force=1")).await?.ok().map(drop)
}

/// Without the flag an operator is told, and the agent runs.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_what_is_missing_is_a_line_in_the_log() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::without_flag(&engine, &[]).await?;
    let mut request = scene.agent.request();
    request["HostConfig"]["PidMode"] = json!("");
    request["HostConfig"]["CapAdd"] = json!([]);
    scene.agent.start(&request).await?;
    scene.agent.registered(&scene.master).await?;
    let log = scene.agent.log().await?;
    for option in ["--pid=host (", "--cap-add=SYS_ADMIN (", "--cap-add=SYS_PTRACE ("] {
        ensure!(log.contains(&format!("lacks {option}")), "{option} is not in {log}");
    }
    let events =
        scene.patient(&task(&scene.scope, "exit 3"), &["--expect=TASK_FAILED"]).await?.end(LONG).await?;
    assert_eq!(events.last_status()?["message"], "Container exited with status 3");
    scene.end().await
}
