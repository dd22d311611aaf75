//! Owns the watching of ZooKeeper: one session after the other, each telling the leaders that it sees.
//!
//! ```text
//! connect ─→ make the path ─→ list and watch ─→ read the leader ─→ tell ─→ wait ─→ list and watch …
//!    ↑                                                                       │
//!    └── pause ←── no leader ←── session expired, or away for longer than its timeout
//! ```

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zookeeper_client::{
    Acl, Acls, AuthId, Client, CreateMode, Error, OneshotWatcher, Permission, SessionState, StateWatcher,
};

use super::absence::Absence;
use super::address::ZooKeeperAddress;
use super::detection::{DetectorError, DetectorSettings};
use super::leader::Leader;
use super::members::{Member, leading};

/// Why a session is over.
enum Over {
    /// Another one may do better.
    Lost(String),
    /// None will.
    Fatal(DetectorError),
}

struct Watch<'a> {
    address: &'a ZooKeeperAddress,
    settings: &'a DetectorSettings,
    leaders: &'a watch::Sender<Option<Leader>>,
    /// ZooKeeper is away.
    away: Absence,
    /// ZooKeeper is there and knows no leader.
    leaderless: Absence,
}

/// Tells the leaders until that makes no sense any more.
pub(super) async fn run(
    address: &ZooKeeperAddress,
    settings: &DetectorSettings,
    leaders: &watch::Sender<Option<Leader>>,
) -> DetectorError {
    let mut watch =
        Watch { address, settings, leaders, away: Absence::default(), leaderless: Absence::default() };
    loop {
        let why = match watch.session().await {
            Over::Lost(why) => why,
            Over::Fatal(error) => {
                watch.tell(None);
                return error;
            }
        };
        watch.tell(None);
        watch.is_away(&why);
        sleep(settings.retry).await;
    }
}

impl Watch<'_> {
    /// One session, to its end.
    async fn session(&mut self) -> Over {
        let client = match self.connect().await {
            Ok(client) => client,
            Err(error) => return self.over(error),
        };
        let mut states = client.state_watcher();
        loop {
            let listed = match self.within(list(&client, self.address)).await {
                Ok(listed) => listed,
                Err(error) => return self.over(error),
            };
            let (names, changed) = listed;
            let leader = match self.leader(&client, leading(&names)).await {
                Ok(leader) => leader,
                Err(over) => return over,
            };
            self.is_back();
            self.is_led(leader.is_some());
            self.tell(leader);
            if let Err(over) = self.wait(changed, &mut states).await {
                return over;
            }
        }
    }

    async fn connect(&self) -> Result<Client, Error> {
        let mut connector = Client::connector().with_session_timeout(self.settings.session_timeout);
        if let Some(credentials) = &self.address.credentials {
            connector = connector.with_auth("digest", credentials.expose());
        }
        self.within(connector.connect(&self.address.servers)).await
    }

    /// What a member says of itself; none where it has gone meanwhile.
    async fn leader(&self, client: &Client, member: Option<Member>) -> Result<Option<Leader>, Over> {
        let Some(member) = member else { return Ok(None) };
        let node = format!("{}/{}", self.address.path, member.name);
        let data = match self.within(client.get_data(&node)).await {
            Ok((data, _)) => data,
            Err(Error::NoNode) => return Ok(None),
            Err(error) => return Err(self.over(error)),
        };
        match Leader::read(&member.label, &data) {
            Ok(leader) => Ok(Some(leader)),
            Err(source) => Err(Over::Fatal(DetectorError::Leader { node, source })),
        }
    }

    /// Waits until the members may have changed.
    async fn wait(&mut self, changed: OneshotWatcher, states: &mut StateWatcher) -> Result<(), Over> {
        let changed = changed.changed();
        tokio::pin!(changed);
        let mut expiry: Option<Instant> = None;
        loop {
            let lost = async {
                match expiry {
                    Some(expiry) => sleep_until(expiry).await,
                    None => std::future::pending().await,
                }
            };
            let reminder = async {
                match self.leaderless.next(self.settings.reminder) {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                state = states.changed() => match state {
                    SessionState::Disconnected => {
                        // The client waits longer than the servers do; stock expires the session itself, too.
                        expiry.get_or_insert(Instant::now() + self.settings.session_timeout);
                        tracing::warn!(servers = self.address.servers,
                            "the connection to ZooKeeper broke; the leading master stays known for now");
                    }
                    SessionState::SyncConnected | SessionState::ConnectedReadOnly => {
                        if expiry.take().is_some() {
                            tracing::info!(servers = self.address.servers, "ZooKeeper is back in the same session");
                        }
                    }
                    SessionState::AuthFailed => return Err(self.over(Error::AuthFailed)),
                    SessionState::Expired => return Err(self.over(Error::SessionExpired)),
                    SessionState::Closed => return Err(self.over(Error::ClientClosed)),
                },
                // The end of the session is an event of the watcher as well; the next look tells it.
                _ = &mut changed => return Ok(()),
                () = lost => return Err(Over::Lost("it did not come back within the session's timeout".to_owned())),
                () = reminder => self.is_led(false),
            }
        }
    }

    /// No call may hang: the client gives up after one and a half times the session's timeout at most.
    async fn within<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let deadline = self.settings.session_timeout.saturating_mul(2).max(Duration::from_secs(1));
        timeout(deadline, call).await.unwrap_or(Err(Error::Timeout))
    }

    fn over(&self, error: Error) -> Over {
        let (servers, path) = (self.address.servers.clone(), self.address.path.clone());
        match error {
            Error::NoAuth | Error::AuthFailed | Error::InvalidAcl => {
                Over::Fatal(DetectorError::Refused { servers, path, source: error })
            }
            Error::BadArguments(_) | Error::NoChildrenForEphemerals => {
                Over::Fatal(DetectorError::Address { servers, path, source: error })
            }
            error => Over::Lost(error.to_string()),
        }
    }

    /// Tells a leader, or that there is none, where that is news.
    fn tell(&self, leader: Option<Leader>) {
        self.leaders.send_if_modified(|known| {
            let news = *known != leader;
            if news {
                match &leader {
                    Some(leader) => tracing::info!(master = %leader.upid, "a leading master is detected"),
                    None => tracing::warn!("no leading master is known any more"),
                }
                *known = leader;
            }
            news
        });
    }

    fn is_away(&mut self, why: &str) {
        let since = self.away.continues(Instant::now(), self.settings.reminder);
        if let Some(since) = since {
            let (servers, path) = (&self.address.servers, &self.address.path);
            tracing::warn!(
                servers,
                path,
                why,
                ?since,
                "ZooKeeper is away; no master is known until it is back"
            );
        }
    }

    fn is_back(&mut self) {
        if let Some(since) = self.away.ends(Instant::now()) {
            tracing::info!(servers = self.address.servers, ?since, "ZooKeeper is back");
        }
    }

    fn is_led(&mut self, led: bool) {
        let now = Instant::now();
        if led {
            self.leaderless.ends(now);
        } else if let Some(since) = self.leaderless.continues(now, self.settings.reminder) {
            let (servers, path) = (&self.address.servers, &self.address.path);
            tracing::warn!(
                servers,
                path,
                ?since,
                "no master stands for election in ZooKeeper; waiting for one"
            );
        }
    }
}

/// Lists the nodes below the path and watches them, making the path where it is missing, as stock does.
async fn list(client: &Client, address: &ZooKeeperAddress) -> Result<(Vec<String>, OneshotWatcher), Error> {
    match client.list_and_watch_children(&address.path).await {
        Err(Error::NoNode) => {}
        listed => return listed,
    }
    // Who has credentials keeps others from writing there.
    let guarded = [Acl::new(Permission::READ, AuthId::anyone()), Acl::new(Permission::ALL, AuthId::authed())];
    let acls = match address.credentials {
        Some(_) => Acls::new(&guarded),
        None => Acls::anyone_all(),
    };
    client.mkdir(&address.path, &CreateMode::Persistent.with_acls(acls)).await?;
    client.list_and_watch_children(&address.path).await
}
