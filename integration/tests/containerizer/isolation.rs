//! What a task says of its isolation and stock drops: several networks, addresses, resource limits, capabilities,
//! namespaces, mount propagation, users, GPUs.

use anyhow::{Context as _, Result};
use integration::engine::{current_test, skip};
use integration::raw::RawClient;
use integration::supervised::{Net, Options, PATIENCE, Supervised, Task};
use integration::{Fault, FaultProxy, Rule, TestEngine, eventually, require_engine};
use mesos_proto::v1;
use mesos_proto::v1::capability_info::Capability;
use mesos_proto::v1::r_limit_info::{RLimit, r_limit};
use mesos_types::ProcessUser;
use serde_json::json;

use crate::network::has_bridge;

/// Makes a network with a subnet of the test's own; answers its name and the beginning of its addresses.
async fn network(agent: &Supervised, client: &mut RawClient, suffix: &str) -> Result<(String, String)> {
    let name = agent.scope().name(suffix);
    let beginning = eventually("a subnet that nobody has", PATIENCE, async || {
        let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
        let beginning = format!("10.{}.{b}", 128 + a % 120);
        let body = json!({
            "Name": name, "Driver": "bridge", "Labels": agent.scope().labels(),
            "IPAM": { "Config": [{ "Subnet": format!("{beginning}.0/24") }] },
        });
        let made = client.post("/networks/create", &body).await?;
        Ok((made.status() == 201).then_some(beginning))
    })
    .await?;
    Ok((name, beginning))
}

fn asking(name: &str, address: Option<String>) -> v1::NetworkInfo {
    let ip_addresses = address
        .map(|address| v1::network_info::IpAddress { ip_address: Some(address), ..Default::default() });
    v1::NetworkInfo {
        name: Some(name.into()),
        ip_addresses: ip_addresses.into_iter().collect(),
        ..Default::default()
    }
}

fn on(networks: Vec<v1::NetworkInfo>, line: &str) -> Task {
    Task::shell(line).network(Net::User("replaced")).container(|container| container.network_infos = networks)
}

#[tokio::test]
async fn a_container_is_in_all_its_networks_and_the_first_is_primary() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let agent = Supervised::new(&engine).await?;
    let mut client = agent.scope().client().await?;
    let (front, front_subnet) = network(&agent, &mut client, "z-front").await?;
    let (back, back_subnet) = network(&agent, &mut client, "a-back").await?;
    let own = [format!("{front_subnet}.77"), format!("{back_subnet}.88")];
    let networks = vec![asking(&front, Some(own[0].clone())), asking(&back, Some(own[1].clone()))];
    let mut task = agent.launch(&on(networks, "ip -4 -o addr | grep -c 'eth[01]'; sleep 1000"))?;
    let started = task.running().await?;
    let seen = agent.inspect(task.name()).await?["NetworkSettings"]["Networks"].clone();
    assert_eq!(seen[&front]["IPAddress"], own[0].as_str(), "{seen}");
    assert_eq!(seen[&back]["IPAddress"], own[1].as_str(), "{seen}");
    let infos = started.status.container_status.context("no container_status")?.network_infos;
    assert_eq!(infos[0].name(), front, "the primary one is told, whatever their names sort like");
    assert_eq!(infos[0].ip_addresses[0].ip_address(), own[0]);
    task.says("2").await?;
    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.containerizer().settled().await;
    for name in [front, back] {
        client.delete(&format!("/networks/{name}")).await?.ok()?;
    }
    agent.end().await
}

#[tokio::test]
async fn a_second_network_that_is_not_there_fails_the_launch_and_leaves_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let agent = Supervised::new(&engine).await?;
    let mut client = agent.scope().client().await?;
    let (front, _) = network(&agent, &mut client, "front").await?;
    let mut task =
        agent.launch(&on(vec![asking(&front, None), asking("no-such-network-here", None)], "true"))?;
    let message = task.terminal().await?.status.message().to_owned();
    assert!(message.contains("no-such-network-here") && message.contains("not found"), "{message}");
    agent.containerizer().settled().await;
    client.delete(&format!("/networks/{front}")).await?.ok()?;
    agent.end().await
}

/// The engine connected the container and its answer was lost: it is looked for, and the launch goes on.
#[tokio::test]
async fn a_lost_answer_to_a_connect_is_looked_for() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? || connects_in_create(&engine) {
        return Ok(());
    }
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let mut client = agent.scope().client().await?;
    let (front, _) = network(&agent, &mut client, "front").await?;
    let (back, _) = network(&agent, &mut client, "back").await?;
    let lost = proxy.add(Rule::new("POST", "/networks/*/connect", Fault::CutAnswer).times(1));
    let mut task = agent.launch(&on(vec![asking(&front, None), asking(&back, None)], "sleep 1000"))?;
    task.running().await?;
    assert_eq!(proxy.hits(lost), 1);
    let seen = agent.inspect(task.name()).await?["NetworkSettings"]["Networks"].clone();
    assert!(seen[&front].is_object() && seen[&back].is_object(), "{seen}");
    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.containerizer().settled().await;
    for name in [front, back] {
        client.delete(&format!("/networks/{name}")).await?.ok()?;
    }
    agent.end().await
}

/// Whether the engine takes several networks in a create, and connects are never sent.
fn connects_in_create(engine: &TestEngine) -> bool {
    let version = engine.api_version();
    let minor = version.split_once('.').and_then(|(_, minor)| minor.parse::<u32>().ok());
    let is_new = minor.is_some_and(|minor| minor >= 44);
    if is_new {
        skip(&current_test(), "the engine takes several networks in a create");
    }
    is_new
}

#[tokio::test]
async fn resource_limits_are_those_of_the_process() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let limit = |kind: r_limit::Type, soft: u64, hard: u64| RLimit {
        r#type: Some(kind.into()),
        soft: Some(soft),
        hard: Some(hard),
    };
    let rlimits = vec![limit(r_limit::Type::RlmtNofile, 100, 200), limit(r_limit::Type::RlmtCore, 0, 0)];
    let line = "ulimit -Sn; ulimit -Hn; ulimit -c";
    let task = Task::shell(line)
        .container(|container| container.rlimit_info = Some(v1::RLimitInfo { rlimits: rlimits.clone() }));
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "100\n200\n0\n");
    agent.end().await
}

#[tokio::test]
async fn capabilities_are_just_those_that_are_named() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let set = |list: &[Capability]| {
        Some(v1::CapabilityInfo { capabilities: list.iter().map(|&one| one.into()).collect() })
    };
    for (capabilities, expected) in
        [(set(&[Capability::Chown, Capability::Kill]), "0000000000000021"), (set(&[]), "0000000000000000")]
    {
        let task = Task::shell("grep -E 'Cap(Eff|Bnd)' /proc/self/status | cut -f2").container(|container| {
            let effective_capabilities = capabilities.clone();
            container.linux_info = Some(v1::LinuxInfo { effective_capabilities, ..Default::default() });
        });
        let mut task = agent.launch(&task)?;
        task.finished().await?;
        assert_eq!(task.stdout()?, format!("{expected}\n{expected}\n"));
    }
    agent.end().await
}

#[tokio::test]
async fn shared_memory_and_the_pid_namespace_are_as_asked() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2; echo $$").container(
        |container| {
            container.linux_info = Some(v1::LinuxInfo {
                ipc_mode: Some(v1::linux_info::IpcMode::Private.into()),
                shm_size: Some(8),
                ..Default::default()
            });
        },
    );
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "8192\n1\n", "8 MB, and a PID namespace of its own");

    let shared = Task::shell("sleep 1000").container(|container| {
        container.linux_info = Some(v1::LinuxInfo { share_pid_namespace: Some(true), ..Default::default() });
    });
    let mut shared = agent.launch(&shared)?;
    shared.running().await?;
    assert_eq!(agent.inspect(shared.name()).await?["HostConfig"]["PidMode"], "host");
    shared.kill_within(std::time::Duration::ZERO).await?;
    shared.terminal().await?;
    agent.end().await
}

/// Where the host's mount is private, the engine says so; otherwise the mount is a slave of it.
#[tokio::test]
async fn a_host_path_is_mounted_with_the_propagation_that_is_asked() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let host = agent.scope().subdir("shared")?;
    let mut source = v1::volume::Source {
        host_path: Some(v1::volume::source::HostPath {
            path: host.to_str().context("a path in UTF-8")?.to_owned(),
            mount_propagation: Some(v1::MountPropagation {
                mode: Some(v1::mount_propagation::Mode::HostToContainer.into()),
            }),
        }),
        ..Default::default()
    };
    source.set_type(v1::volume::source::Type::HostPath);
    let volume = v1::Volume {
        mode: v1::volume::Mode::Rw.into(),
        container_path: "/shared".into(),
        source: Some(source),
        ..Default::default()
    };
    let mut task = agent.launch(&Task::shell("grep ' /shared ' /proc/self/mountinfo").volume(volume))?;
    let end = task.terminal().await?;
    let said = task.stdout()?;
    let message = end.status.message();
    assert!(
        said.contains("master:") || message.contains("is not a shared or slave mount"),
        "{said} {message}"
    );
    agent.end().await
}

#[tokio::test]
async fn a_user_that_is_honoured_runs_by_its_numbers_and_owns_its_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, Options { user: ProcessUser::Task, ..Options::default() }).await?;
    let line = "id -u; id -g; touch /mnt/mesos/sandbox/mine && echo written";
    // The image has no user of this name, and the process has its numbers.
    let command =
        v1::CommandInfo { value: Some(line.into()), user: Some("nobody".into()), ..Default::default() };
    let mut task = agent.launch(&Task::with_command(command.clone()).owned_by("nobody"))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "65534\n65534\nwritten\n");
    assert!(!task.stderr()?.contains("command.user"), "{}", task.stderr()?);

    // By default the image decides, as with stock, and that is said.
    let stock = Supervised::new(&engine).await?;
    let mut task = stock.launch(&Task::with_command(command).owned_by("nobody"))?;
    task.finished().await?;
    assert!(task.stdout()?.starts_with("0\n0\n"), "{}", task.stdout()?);
    assert!(task.stderr()?.contains("--docker_honor_user"), "{}", task.stderr()?);
    stock.end().await?;
    agent.end().await
}

/// GPUs are asked of the engine as by `docker run --gpus`; one that has none says so.
#[tokio::test]
async fn gpus_are_asked_of_the_engine() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("true").scalar("gpus", 2.0);
    let prepared = agent.supervisor().prepare(agent.order(&task)?)?;
    let requests = &prepared.request().context("it has no image")?.body.host_config.resources.device_requests;
    let sent = serde_json::to_value(requests)?;
    assert_eq!(sent, json!([{ "Count": 2, "Capabilities": [["gpu"]] }]));
    let mut task = agent.launch(&task)?;
    let message = task.terminal().await?.status.message().to_owned();
    let has_gpus = std::path::Path::new("/dev/nvidiactl").exists();
    assert!(has_gpus || message.contains("gpu"), "{message}");
    agent.end().await
}
