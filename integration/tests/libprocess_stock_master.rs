//! The crate `libprocess` and a stock Mesos 1.11.0 master: an agent made by hand registers, answers pings, and both see
//! the other's end.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use integration::reference::Master;
use integration::{eventually, require_reference};
use libprocess::{Event, HttpHandler, Incoming, Limits, Node, Process, Settings, Upid};
use mesos_proto::{internal, v1};
use tokio::time::timeout;

/// How long the master may take over anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an agent waits before it asks again.
const RETRY: Duration = Duration::from_secs(1);

/// An agent that can only register and answer pings.
struct HandMade {
    node: Node,
    process: Process,
    master: Upid,
}

impl HandMade {
    async fn start(master: &Master) -> Result<Self> {
        let settings =
            Settings { ip: [127, 0, 0, 1].into(), limits: Limits::default(), ..Settings::default() };
        let node = Node::bind(settings, HttpHandler::none()).await?;
        let process = node.register("slave(1)")?;
        Ok(Self { node, process, master: format!("master@{}", master.address()).parse()? })
    }

    /// Links to the master and registers; returns the agent id.
    async fn register(&mut self) -> Result<String> {
        self.process.link(&self.master);
        let scalar = v1::Resource {
            name: "cpus".to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value: 1.0 }),
            ..Default::default()
        };
        let slave = v1::AgentInfo {
            hostname: "127.0.0.1".to_owned(),
            port: Some(self.node.advertised().port().into()),
            resources: vec![scalar],
            ..Default::default()
        };
        let message = internal::RegisterSlaveMessage {
            slave,
            version: Some("1.11.0".to_owned()),
            ..Default::default()
        };
        let registered = async {
            loop {
                // A master that has just come up drops what it cannot judge yet, so an agent asks again.
                self.process.post(&self.master, &message);
                if let Ok(registered) = timeout(RETRY, self.registered()).await {
                    return registered;
                }
            }
        };
        timeout(PATIENCE, registered).await.context("a registration in time")?
    }

    async fn registered(&mut self) -> Result<String> {
        loop {
            let incoming = self.message().await?;
            if incoming.is::<internal::SlaveRegisteredMessage>() {
                return Ok(incoming.decode::<internal::SlaveRegisteredMessage>()?.slave_id.value);
            }
            self.answer(&incoming);
        }
    }

    async fn event(&mut self) -> Result<Event> {
        timeout(PATIENCE, self.process.next()).await.context("an event in time")?.context("an event")
    }

    async fn message(&mut self) -> Result<Incoming> {
        match self.event().await? {
            Event::Message(incoming) => Ok(incoming),
            Event::Exited(upid) => bail!("the link to {upid} broke"),
        }
    }

    /// Answers a ping; tells whether it was one, and whether the master still has its link to us.
    fn answer(&self, incoming: &Incoming) -> Option<bool> {
        let ping = incoming.is::<internal::PingSlaveMessage>().then(|| incoming.decode());
        let ping: internal::PingSlaveMessage = ping?.ok()?;
        self.process.post(&incoming.from, &internal::PongSlaveMessage {});
        Some(ping.connected)
    }
}

/// The master drops an agent that misses five pings of a second each.
#[tokio::test]
async fn a_hand_made_agent_registers_and_answers_pings() -> Result<()> {
    require_reference!(Ok(()));
    let dir = tempfile::tempdir()?;
    let master = Master::start(dir.path(), &[]).await?;
    let mut agent = HandMade::start(&master).await?;
    let id = agent.register().await?;
    let mut pings = 0;
    while pings < 8 {
        let incoming = agent.message().await?;
        if let Some(connected) = agent.answer(&incoming) {
            ensure!(connected, "the master has lost its link to us");
            ensure!(incoming.from.id().as_str().starts_with("slave-observer("), "{}", incoming.from);
            pings += 1;
        }
    }
    let page = master.get("/slaves").await?;
    ensure!(page["slaves"][0]["id"] == id.as_str() && page["slaves"][0]["active"] == true, "{page}");
    ensure!(page["slaves"][0]["pid"] == agent.process.upid().to_string(), "{page}");
    let counted = agent.node.counters();
    ensure!(counted.messages_refused == 0 && counted.messages_unknown == 0, "{counted:?}");
    ensure!(counted.messages_dropped_full == 0 && counted.messages_dropped_unreachable == 0, "{counted:?}");
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_master_is_told_once_and_its_successor_takes_the_agent() -> Result<()> {
    require_reference!(Ok(()));
    let dir = tempfile::tempdir()?;
    let mut master = Master::start(dir.path(), &[]).await?;
    let mut agent = HandMade::start(&master).await?;
    let first = agent.register().await?;
    master.restart().await?;
    let gone = loop {
        match agent.event().await? {
            Event::Exited(upid) => break upid,
            Event::Message(incoming) => drop(agent.answer(&incoming)),
        }
    };
    ensure!(gone == agent.master, "{gone}");
    // Another end of the link would fail this.
    let second = agent.register().await?;
    ensure!(first != second, "the master gave {first} again");
    Ok(())
}

/// As the C++ agent's end: the master marks an agent inactive as soon as its link to it breaks.
#[tokio::test]
async fn a_master_sees_our_end() -> Result<()> {
    require_reference!(Ok(()));
    let dir = tempfile::tempdir()?;
    let master = Master::start(dir.path(), &[]).await?;
    let mut agent = HandMade::start(&master).await?;
    agent.register().await?;
    master.agent().await?;
    agent.node.shutdown(PATIENCE).await;
    eventually("the agent to be inactive", PATIENCE, async || {
        let page = master.get("/slaves").await?;
        Ok((page["slaves"][0]["active"] == false).then_some(()))
    })
    .await
}
