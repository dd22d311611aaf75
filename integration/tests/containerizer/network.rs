//! HOST, BRIDGE, NONE and USER networks, port mappings, DNS.

use anyhow::{Context as _, Result};
use docker_containerizer::request::{DefaultDns, Dns};
use integration::engine::{current_test, skip};
use integration::ports::free_port;
use integration::supervised::{Net, Options, PATIENCE, Supervised, Task};
use integration::{TestEngine, eventually, require_engine};
use mesos_proto::v1::NetworkInfo;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Tells whether the engine has its bridge; one that was started without says so, and the test is skipped by name.
pub(crate) async fn has_bridge(engine: &TestEngine) -> Result<bool> {
    let has = engine.client().await?.get("/networks/bridge").await?.status() == 200;
    if !has {
        let reason =
            "the engine has no bridge network; it was started with --bridge=none or without iptables";
        assert!(std::env::var(integration::engine::REQUIRE).as_deref() != Ok("1"), "{reason}");
        skip(&current_test(), reason);
    }
    Ok(has)
}

fn addresses(info: &NetworkInfo) -> Vec<&str> {
    info.ip_addresses.iter().map(|address| address.ip_address()).collect()
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_NC_PortMapping.
#[tokio::test]
async fn what_is_sent_to_a_mapped_port_reaches_the_container() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let agent = Supervised::new(&engine).await?;
    let port = free_port()?;
    let task =
        Task::shell("nc -l -p 1000").network(Net::Bridge).map(port, 1000).ports(port.into(), port.into());
    let mut task = agent.launch(&task)?;
    let started = task.running().await?;
    // Once for IPv4, and once for IPv6 where the engine has that.
    assert!(!started.running.ports.is_empty());
    assert!(
        started.running.ports.iter().all(|published| published.host_port == port),
        "{:?}",
        started.running.ports
    );

    // Before nc listens, the engine's proxy takes the connection and drops it.
    eventually("the data in the container", PATIENCE, async || {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
            let sent = stream.write_all(b"over the bridge\n").await;
            if sent.is_ok() && stream.shutdown().await.is_ok() {
                // The end of nc's answer shows that it took the connection, or that nobody did.
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1]).await;
            }
        }
        Ok(task.stdout()?.contains("over the bridge").then_some(()))
    })
    .await?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "over the bridge\n");
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_CheckPortResource.
#[tokio::test]
async fn a_mapped_port_must_be_among_the_tasks_ports() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let agent = Supervised::new(&engine).await?;
    let port = free_port()?;
    let task = |ranges: &[(u64, u64)]| {
        let task = Task::shell("true").network(Net::Bridge).map(port, 80);
        ranges.iter().fold(task, |task, (begin, end)| task.ports(*begin, *end))
    };
    let port = u64::from(port);
    let sentence = agent.refusal(&task(&[(port - 2, port - 1), (port + 1, port + 100)]))?;
    assert!(sentence.contains(&format!("Port [{port}] not included in resources")), "{sentence}");
    let mut task = agent.launch(&task(&[(port, port + 100)]))?;
    task.finished().await?;
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_DefaultDNS.
#[tokio::test]
async fn default_dns_is_given_to_a_task_that_names_none() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let dns = Dns {
        nameservers: vec!["8.8.8.8".into(), "8.8.4.4".into()],
        search: vec!["example1.com".into(), "example2.com".into()],
        options: vec!["timeout:3".into(), "attempts:2".into()],
    };
    let default_dns = DefaultDns { bridge: Some(dns), ..DefaultDns::default() };
    let agent = Supervised::with(&engine, Options { default_dns, ..Options::default() }).await?;
    let mut task = agent.launch(&Task::shell("cat /etc/resolv.conf; sleep 1000").network(Net::Bridge))?;
    task.running().await?;
    let seen = agent.inspect(task.name()).await?;
    assert_eq!(seen["HostConfig"]["Dns"], json!(["8.8.8.8", "8.8.4.4"]));
    assert_eq!(seen["HostConfig"]["DnsSearch"], json!(["example1.com", "example2.com"]));
    assert_eq!(seen["HostConfig"]["DnsOptions"], json!(["timeout:3", "attempts:2"]));
    task.says("nameserver 8.8.8.8").await?;

    let mut own = agent
        .launch(&Task::shell("cat /etc/resolv.conf").network(Net::Bridge).parameter("dns", "9.9.9.9"))?;
    own.finished().await?;
    assert!(
        own.stdout()?.contains("nameserver 9.9.9.9") && !own.stdout()?.contains("8.8.8.8"),
        "{}",
        own.stdout()?
    );
    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.end().await
}

#[tokio::test]
async fn a_container_on_the_bridge_tells_its_own_address() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000").network(Net::Bridge))?;
    let started = task.running().await?;
    let seen = agent.inspect(task.name()).await?;
    let expected =
        seen["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str().context("no address")?.to_owned();
    let infos = started.status.container_status.context("no container_status")?.network_infos;
    assert_eq!(infos.len(), 1);
    assert_eq!(addresses(&infos[0]), [expected]);
    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.end().await
}

#[tokio::test]
async fn a_container_joins_the_user_network_by_name() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let agent = Supervised::new(&engine).await?;
    // Stock splits the way to the address at each dot, and loses it.
    let network = agent.scope().name("net.of.test");
    let mut client = agent.scope().client().await?;
    let body = json!({ "Name": network, "Driver": "bridge", "Labels": agent.scope().labels() });
    client.post("/networks/create", &body).await?.ok()?;

    let mut task = agent.launch(&Task::shell("sleep 1000").network(Net::User(&network)))?;
    let started = task.running().await?;
    let seen = agent.inspect(task.name()).await?;
    let expected =
        seen["NetworkSettings"]["Networks"][&network]["IPAddress"].as_str().context("no address")?.to_owned();
    let infos = started.status.container_status.context("no container_status")?.network_infos;
    assert_eq!(infos.len(), 1);
    assert_eq!((infos[0].name(), addresses(&infos[0])), (network.as_str(), vec![expected.as_str()]));

    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.containerizer().settled().await;
    client.delete(&format!("/networks/{network}")).await?.ok()?;
    agent.end().await
}

/// Peer: DockerContainerizerIPv6UserNetworkTest.ROOT_DOCKER_USERNETWORK_LaunchIPv6Container.
#[tokio::test]
async fn a_container_on_a_network_with_ipv6_tells_both_addresses() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if !has_bridge(&engine).await? {
        return Ok(());
    }
    let agent = Supervised::new(&engine).await?;
    let network = agent.scope().name("net6");
    let mut client = agent.scope().client().await?;
    // A prefix of the test's own, out of the unique local addresses.
    let random = uuid::Uuid::new_v4();
    let [a, b, c, d, ..] = *random.as_bytes();
    let subnet = format!("fd01:{a:02x}{b:02x}:{c:02x}{d:02x}::/64");
    let body = json!({
        "Name": network, "Driver": "bridge", "Labels": agent.scope().labels(),
        "EnableIPv6": true, "IPAM": { "Config": [{ "Subnet": subnet }] },
    });
    client.post("/networks/create", &body).await?.ok()?;

    let mut task = agent.launch(&Task::shell("sleep 1000").network(Net::User(&network)))?;
    let started = task.running().await?;
    let seen = agent.inspect(task.name()).await?["NetworkSettings"]["Networks"][&network].clone();
    let expected =
        ["IPAddress", "GlobalIPv6Address"].map(|key| seen[key].as_str().unwrap_or_default().to_owned());
    assert!(expected.iter().all(|address| !address.is_empty()), "{seen}");
    let infos = started.status.container_status.context("no container_status")?.network_infos;
    assert_eq!(infos.len(), 1);
    assert_eq!(addresses(&infos[0]), expected);

    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.containerizer().settled().await;
    client.delete(&format!("/networks/{network}")).await?.ok()?;
    agent.end().await
}

#[tokio::test]
async fn a_user_network_that_is_not_there_fails_with_the_engines_sentence() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("true").network(Net::User("no-such-network-here")))?;
    let end = task.terminal().await?;
    let message = end.status.message();
    assert!(message.contains("no-such-network-here") && message.contains("not found"), "{message}");
    agent.end().await
}

#[tokio::test]
async fn a_container_without_network_has_its_loopback_only() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("tail -n +3 /proc/net/dev | cut -d: -f1").network(Net::None))?;
    task.finished().await?;
    assert_eq!(task.stdout()?.trim(), "lo");
    agent.end().await
}

#[tokio::test]
async fn the_hosts_network_is_the_default() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    let started = task.running().await?;
    let infos = started.status.container_status.context("no container_status")?.network_infos;
    assert_eq!(infos.iter().map(addresses).collect::<Vec<_>>(), [["127.0.0.1"]], "the agent's own address");
    let seen = agent.inspect(task.name()).await?;
    assert_eq!(seen["HostConfig"]["NetworkMode"], "host");
    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.end().await
}
