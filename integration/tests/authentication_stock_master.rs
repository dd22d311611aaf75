//! CRAM-MD5 authentication of the agent with a stock Mesos 1.11.0 master that asks for it.

use std::time::Duration;

use agent::authentication::{AuthenticateError, Authenticator, Credential, Patience};
use anyhow::{Context as _, Result, bail, ensure};
use integration::reference::Master;
use integration::require_reference;
use libprocess::{Event, HttpHandler, Node, Process, Settings, Upid};
use mesos_proto::{internal, v1};
use tokio::time::timeout;

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    _dir: tempfile::TempDir,
    _master: Master,
    master: Upid,
    node: Node,
    agent: Process,
}

impl Scene {
    /// A master that knows `agent1`, or one without authentication.
    async fn set(authenticates: bool) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let credentials = dir.path().join("credentials.json");
        std::fs::write(&credentials, r#"{"credentials": [{"principal": "agent1", "secret": "s3cret"}]}"#)?;
        let credentials = format!("--credentials={}", credentials.display());
        let flags = ["--authenticate_agents", credentials.as_str()];
        let master = Master::start(dir.path(), if authenticates { &flags } else { &[] }).await?;
        let settings = Settings { ip: [127, 0, 0, 1].into(), ..Settings::default() };
        let node = Node::bind(settings, HttpHandler::none()).await?;
        let agent = node.register("slave(1)")?;
        let upid = format!("master@{}", master.address()).parse()?;
        Ok(Self { _dir: dir, _master: master, master: upid, node, agent })
    }

    fn authenticator(&self, secret: &str) -> Authenticator {
        let patience = Patience::new(Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(1));
        Authenticator::new(self.node.clone(), Credential::new("agent1", secret), patience)
    }

    /// Asks to be registered; tells whether that is granted within `within`.
    async fn registers(&mut self, within: Duration) -> Result<bool> {
        let slave = v1::AgentInfo {
            hostname: "127.0.0.1".to_owned(),
            port: Some(self.node.advertised().port().into()),
            ..Default::default()
        };
        let version = Some("1.11.0".to_owned());
        self.agent.link(&self.master);
        let message = internal::RegisterSlaveMessage { slave, version, ..Default::default() };
        self.agent.post(&self.master, &message);
        let granted = async {
            loop {
                match self.agent.next().await {
                    Some(Event::Message(incoming)) if incoming.is::<internal::SlaveRegisteredMessage>() => {
                        return Ok(());
                    }
                    Some(Event::Message(_)) => {}
                    other => bail!("{other:?}"),
                }
            }
        };
        Ok(match timeout(within, granted).await {
            Ok(granted) => granted.map(|()| true)?,
            Err(_) => false,
        })
    }
}

#[tokio::test]
async fn the_right_secret_lets_the_agent_register() -> Result<()> {
    require_reference!(Ok(()));
    let mut scene = Scene::set(true).await?;
    ensure!(!scene.registers(Duration::from_secs(2)).await?, "the master takes anybody");
    let authenticator = scene.authenticator("s3cret");
    let client = scene.agent.upid().clone();
    // Twice, as after a lost master.
    for _ in 0..2 {
        timeout(PATIENCE, authenticator.authenticate(&scene.master, &client)).await.context("in time")??;
    }
    ensure!(scene.registers(PATIENCE).await?, "the master does not take who it knows");
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_is_refused_for_good() -> Result<()> {
    require_reference!(Ok(()));
    let scene = Scene::set(true).await?;
    let wrong = scene.authenticator("hunter2");
    let refused =
        timeout(PATIENCE, wrong.authenticate(&scene.master, scene.agent.upid())).await.context("in time")?;
    let error = refused.unwrap_err();
    ensure!(matches!(error, AuthenticateError::Refused { .. }), "{error:?}");
    let told = format!("{error} {error:?} {wrong:?}");
    ensure!(told.contains("agent1") && !told.contains("hunter2"), "{told}");
    Ok(())
}

/// As a stock agent is refused by it: without `--credentials` a master knows nobody.
#[tokio::test]
async fn a_master_without_credentials_refuses() -> Result<()> {
    require_reference!(Ok(()));
    let scene = Scene::set(false).await?;
    let authenticator = scene.authenticator("s3cret");
    let refused = timeout(PATIENCE, authenticator.authenticate(&scene.master, scene.agent.upid())).await?;
    ensure!(matches!(refused, Err(AuthenticateError::Refused { .. })), "{refused:?}");
    Ok(())
}
