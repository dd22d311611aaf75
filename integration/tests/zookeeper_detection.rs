//! The agent's detector and a real ZooKeeper: leaders come, go and change, sessions are lost, ZooKeeper goes and comes
//! back. The masters are nodes in the form that stock masters write.

use std::time::Duration;

use agent::detector::{Detection, DetectorError, DetectorSettings, Leader, MasterAddress};
use anyhow::{Context as _, Result, bail, ensure};
use integration::{ZooKeeper, eventually, require_zookeeper};
use tokio::time::timeout;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Permission};

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings() -> DetectorSettings {
    DetectorSettings {
        session_timeout: Duration::from_secs(1),
        retry: Duration::from_millis(50),
        reminder: Duration::from_secs(1),
    }
}

fn detect(address: &str) -> Result<Detection> {
    Ok(Detection::start(MasterAddress::read(address)?, settings()))
}

/// A session of a master: its node lasts as long as this, also while ZooKeeper is away, whose start takes a while on a busy
/// machine.
async fn masters(zookeeper: &ZooKeeper) -> Result<Client> {
    let connector = Client::connector().with_session_timeout(Duration::from_secs(40));
    connector.connect(&zookeeper.servers()).await.context("a session of a master")
}

/// Stands a master for election as stock does; returns its node.
async fn stand(client: &Client, path: &str, port: u16) -> Result<String> {
    let everyone = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir(path, &everyone).await?;
    let info = format!(
        "{{\"address\":{{\"hostname\":\"localhost\",\"ip\":\"127.0.0.1\",\"port\":{port}}},\
         \"capabilities\":[{{\"type\":\"AGENT_UPDATE\"}}],\"hostname\":\"localhost\",\"id\":\"m{port}\",\
         \"ip\":16777343,\"pid\":\"master@127.0.0.1:{port}\",\"port\":{port},\"version\":\"1.11.0\"}}"
    );
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let prefix = format!("{path}/json.info_");
    let (_, sequence) = client.create(&prefix, info.as_bytes(), &options).await?;
    Ok(format!("{prefix}{sequence}"))
}

/// Waits until this port's master leads, or none does.
async fn leads(detection: &mut Detection, port: Option<u16>) -> Result<()> {
    let of = |leader: &Leader| leader.upid.address().port();
    let reached = async {
        while detection.leader().as_ref().map(of) != port {
            detection.changed().await?;
        }
        Ok(())
    };
    timeout(PATIENCE, reached).await.with_context(|| format!("waited in vain for {port:?} to lead"))?
}

#[tokio::test]
async fn the_leader_is_the_first_in_line_and_its_successor_follows() -> Result<()> {
    require_zookeeper!(Ok(()));
    let dir = tempfile::tempdir()?;
    let zookeeper = ZooKeeper::start(dir.path()).await?;
    // The path is not there: the detector makes it.
    let mut detection = detect(&format!("zk://{}/deep/mesos", zookeeper.servers()))?;
    let (first, second) = (masters(&zookeeper).await?, masters(&zookeeper).await?);
    eventually("the path", PATIENCE, async || Ok(first.check_stat("/deep/mesos").await?.map(|_| ()))).await?;
    ensure!(detection.leader().is_none());

    let node = stand(&first, "/deep/mesos", 5001).await?;
    leads(&mut detection, Some(5001)).await?;
    let leader = detection.leader().context("a leader")?;
    ensure!(
        leader.info.version.as_deref() == Some("1.11.0") && leader.info.capabilities.len() == 1,
        "{leader:?}"
    );
    stand(&second, "/deep/mesos", 5002).await?;
    let everyone = CreateMode::Persistent.with_acls(Acls::anyone_all());
    first.create("/deep/mesos/log_replicas", b"", &everyone).await?;
    first.delete(&node, None).await?;
    leads(&mut detection, Some(5002)).await?;
    stand(&first, "/deep/mesos", 5003).await?;
    // The end of its session takes the second one's node away.
    drop(second);
    leads(&mut detection, Some(5003)).await?;
    drop(first);
    leads(&mut detection, None).await
}

/// ZooKeeper is killed: the leader stays known until the session is over, then none is, and when ZooKeeper is back the
/// leader is found again.
#[tokio::test]
async fn a_lost_session_leaves_no_leader_until_zookeeper_is_back() -> Result<()> {
    require_zookeeper!(Ok(()));
    let dir = tempfile::tempdir()?;
    let mut zookeeper = ZooKeeper::start(dir.path()).await?;
    let master = masters(&zookeeper).await?;
    stand(&master, "/mesos", 5001).await?;
    let mut detection = detect(&format!("zk://{}/mesos", zookeeper.servers()))?;
    leads(&mut detection, Some(5001)).await?;
    for _ in 0..2 {
        zookeeper.kill()?;
        leads(&mut detection, None).await?;
        // Several tries fail in the meantime.
        ensure!(
            timeout(settings().session_timeout * 2, detection.changed()).await.is_err(),
            "nobody can lead"
        );
        zookeeper.start_again().await?;
        leads(&mut detection, Some(5001)).await?;
    }
    Ok(())
}

/// A ZooKeeper that hangs is as one that is gone; a short absence changes nothing.
#[tokio::test]
async fn a_frozen_zookeeper_is_as_one_that_is_away() -> Result<()> {
    require_zookeeper!(Ok(()));
    let dir = tempfile::tempdir()?;
    let zookeeper = ZooKeeper::start(dir.path()).await?;
    let master = masters(&zookeeper).await?;
    stand(&master, "/mesos", 5001).await?;
    let mut detection = detect(&format!("zk://{}/mesos", zookeeper.servers()))?;
    leads(&mut detection, Some(5001)).await?;
    zookeeper.freeze()?;
    leads(&mut detection, None).await?;
    zookeeper.thaw()?;
    leads(&mut detection, Some(5001)).await
}

#[tokio::test]
async fn a_zookeeper_that_comes_later_is_found() -> Result<()> {
    require_zookeeper!(Ok(()));
    let dir = tempfile::tempdir()?;
    let mut zookeeper = ZooKeeper::start(dir.path()).await?;
    zookeeper.kill()?;
    let mut detection = detect(&format!("zk://{}/mesos", zookeeper.servers()))?;
    ensure!(timeout(settings().session_timeout * 3, detection.changed()).await.is_err(), "nobody can lead");
    zookeeper.start_again().await?;
    let master = masters(&zookeeper).await?;
    stand(&master, "/mesos", 5001).await?;
    leads(&mut detection, Some(5001)).await
}

/// As stock: who has credentials makes the path so that only they may write there, and others may read.
#[tokio::test]
async fn credentials_guard_the_path_and_open_one_that_is_guarded() -> Result<()> {
    require_zookeeper!(Ok(()));
    let dir = tempfile::tempdir()?;
    let zookeeper = ZooKeeper::start(dir.path()).await?;
    let servers = zookeeper.servers();
    let mut detection = detect(&format!("zk://user:pass@{servers}/mesos"))?;
    let open = masters(&zookeeper).await?;
    eventually("the path", PATIENCE, async || Ok(open.check_stat("/mesos").await?.map(|_| ()))).await?;
    let error = stand(&open, "/mesos", 5001).await.unwrap_err();
    ensure!(error.to_string().contains("not authorized"), "{error:#}");
    let connector = Client::connector().with_auth("digest", b"user:pass");
    let master = connector.connect(&servers).await?;
    stand(&master, "/mesos", 5001).await?;
    leads(&mut detection, Some(5001)).await?;

    // A path that nobody else may read ends the detection.
    let own = [Acl::new(Permission::ALL, AuthId::authed())];
    master.create("/secret", b"", &CreateMode::Persistent.with_acls(Acls::new(&own))).await?;
    for address in [format!("zk://{servers}/secret"), format!("zk://user:hunter2@{servers}/secret")] {
        let mut refused = detect(&address)?;
        let error = match timeout(PATIENCE, refused.changed()).await? {
            Err(error @ DetectorError::Refused { .. }) => error,
            other => bail!("{other:?}"),
        };
        let told = format!("{error} {error:?}");
        ensure!(told.contains("/secret") && !told.contains("hunter2"), "{told}");
    }
    Ok(())
}

/// What a leader says of itself is judged, not guessed.
#[tokio::test]
async fn a_leader_that_cannot_be_read_ends_the_detection() -> Result<()> {
    require_zookeeper!(Ok(()));
    let dir = tempfile::tempdir()?;
    let zookeeper = ZooKeeper::start(dir.path()).await?;
    let master = masters(&zookeeper).await?;
    let everyone = CreateMode::Persistent.with_acls(Acls::anyone_all());
    master.create("/mesos", b"", &everyone).await?;
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    master.create("/mesos/json.info_", b"{}", &options).await?;
    let mut detection = detect(&format!("zk://{}/mesos", zookeeper.servers()))?;
    match timeout(PATIENCE, detection.changed()).await? {
        Err(DetectorError::Leader { node, .. }) => ensure!(node == "/mesos/json.info_0000000000", "{node}"),
        other => bail!("{other:?}"),
    }
    ensure!(matches!(detection.changed().await, Err(DetectorError::Ended)), "it fails for ever");
    Ok(())
}

#[tokio::test]
async fn a_single_master_leads_for_ever() -> Result<()> {
    let mut detection = detect("localhost:5050")?;
    leads(&mut detection, Some(5050)).await?;
    let leader = detection.leader().context("a leader")?;
    ensure!(leader.info.pid.as_deref() == Some("master@127.0.0.1:5050"), "{leader:?}");
    Ok(())
}
