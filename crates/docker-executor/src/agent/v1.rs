//! The HTTP API of executors (`src/executor/executor.cpp` is stock's client): one connection for the stream of events,
//! one for calls.
//!
//! ```text
//! connect ─► Connected ─► Join ─► SUBSCRIBE ─► SUBSCRIBED ─► Welcome ─► events
//!    ▲                                                                    │
//!    └────────── a random pause up to the agent's maximum ◄──── Lost ◄────┘
//! ```
//!
//! An agent that recovers answers 503 or 404 for a while, which are among the failures that are tried again; how long that
//! goes on is the session's decision. Any other refusal of a subscription (a token that is not ours, an executor that the
//! agent does not know) stays one, and ends the session as an ERROR event does (`__recv` in `src/executor/executor.cpp`).

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use libprocess::Upid;
use mesos_proto::Message as _;
use mesos_proto::executor::{Call as Message, Event as Told, call, event};
use mesos_proto::v1;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use super::http_client::{Connection, HttpError};
use super::link::{Ids, Inner, LinkError, grace_of};
use super::record_io::Records;
use crate::environment::HttpApi;
use crate::session::{AgentEvent, Call, Event, Join};

/// How often the agent hears that we are there, as stock's client has it.
const HEARTBEAT: Duration = Duration::from_secs(30 * 60);

/// The shortest pause before another attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// How many statuses may wait for the connection for calls.
const UPDATES: usize = 64;

/// Speaks with the agent until the link is dropped.
pub(super) fn start(inner: Inner, agent: &str, api: HttpApi) -> Result<(), LinkError> {
    let id = match agent.rsplit_once('@') {
        Some((id, _)) => libprocess::ProcessId::new(id)?,
        None => return Err(agent.parse::<Upid>().map_or_else(Into::into, |_| unreachable!("it has no '@'"))),
    };
    let path = format!("/{}/api/v1/executor", id.as_str());
    let Inner { ids, calls, events } = inner;
    let client = Client { ids, api, path, calls, events };
    tokio::spawn(async move {
        // It ends when nobody takes its events any more.
        let Err(Gone) = client.run().await;
    });
    Ok(())
}

/// Nobody takes our events any more.
struct Gone;

struct Client {
    ids: Ids,
    api: HttpApi,
    path: String,
    calls: mpsc::Receiver<Call>,
    events: mpsc::Sender<Event>,
}

impl Client {
    async fn run(mut self) -> Result<std::convert::Infallible, Gone> {
        loop {
            match Connection::open(&self.api.endpoint).await {
                Ok(connection) => {
                    self.tell(Event::Connected).await?;
                    let join = self.join().await?;
                    let error = self.subscription(connection, join).await?;
                    tracing::info!(
                        error = docker_containerizer::chain(&error),
                        "disconnected from the agent"
                    );
                }
                Err(error) => {
                    tracing::debug!(error = docker_containerizer::chain(&error), "the agent is not there");
                }
            }
            self.tell(Event::Lost).await?;
            sleep(pause(self.api.backoff_max)).await;
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }

    /// What the session wants to be registered with: its answer to [`Event::Connected`].
    async fn join(&mut self) -> Result<Join, Gone> {
        loop {
            match self.calls.recv().await.ok_or(Gone)? {
                Call::Join(join) => return Ok(join),
                // Of the last subscription; it is among those that the join repeats.
                Call::Update(_) => {}
            }
        }
    }

    /// One subscription, to its end; answers why it ended.
    async fn subscription(&mut self, mut connection: Connection, join: Join) -> Result<HttpError, Gone> {
        let subscribe = subscribe(&self.ids, join);
        let response = match connection.call(&self.path, &self.api, &subscribe).await {
            Ok(response) => response,
            Err(error) => {
                if let HttpError::Refused { status, .. } = &error
                    && is_final(*status)
                {
                    let why = docker_containerizer::chain(&error);
                    self.tell(Event::Agent(AgentEvent::Error(why))).await?;
                }
                return Ok(error);
            }
        };
        let mut stream = Stream { body: response.into_body(), records: Records::default() };
        let (updates, waiting) = mpsc::channel(UPDATES);
        let caller = Caller { ids: self.ids.clone(), api: self.api.clone(), path: self.path.clone() };
        let mut calling = std::pin::pin!(caller.run(waiting));
        loop {
            tokio::select! {
                call = self.calls.recv() => match call.ok_or(Gone)? {
                    Call::Update(status) => {
                        if updates.try_send(status).is_err() {
                            tracing::error!("a status waits for the next subscription: too many wait");
                        }
                    }
                    // Each answers one `Connected`, which none was told of meanwhile.
                    Call::Join(_) => {}
                },
                error = &mut calling => return Ok(error),
                told = stream.next() => match told {
                    Ok(told) => {
                        if let Some(event) = understand(told) {
                            self.tell(Event::Agent(event)).await?;
                        }
                    }
                    Err(error) => return Ok(error),
                },
            }
        }
    }
}

/// Makes the calls of one subscription, on a connection of their own.
struct Caller {
    ids: Ids,
    api: HttpApi,
    path: String,
}

impl Caller {
    /// Sends statuses and heartbeats; answers the first failure. What was not taken is told after the next subscription.
    async fn run(self, mut updates: mpsc::Receiver<Box<v1::TaskStatus>>) -> HttpError {
        let mut connection = None;
        let mut heartbeat = interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                status = updates.recv() => match status {
                    Some(status) => update(&self.ids, *status),
                    None => std::future::pending().await,
                },
                _ = heartbeat.tick() => message(&self.ids, call::Type::Heartbeat),
            };
            let result = match &mut connection {
                Some(connection) => self.send(connection, &message).await,
                None => match Connection::open(&self.api.endpoint).await {
                    Ok(opened) => self.send(connection.insert(opened), &message).await,
                    Err(error) => Err(error),
                },
            };
            match result {
                Ok(()) => {}
                // Older agents do not know it.
                Err(HttpError::Refused { .. }) if message.r#type() == call::Type::Heartbeat => {}
                Err(error) => return error,
            }
        }
    }

    async fn send(&self, connection: &mut Connection, message: &Message) -> Result<(), HttpError> {
        let response = connection.call(&self.path, &self.api, message).await?;
        // The connection is free for the next call when the answer was read; it has no content.
        let _ = response.into_body().collect().await?;
        Ok(())
    }
}

/// A stream of events.
struct Stream {
    body: Incoming,
    records: Records,
}

impl Stream {
    /// Waits for the next event. May be dropped; no event is lost.
    async fn next(&mut self) -> Result<Told, HttpError> {
        loop {
            if let Some(record) = self.records.next()? {
                return Told::decode(record).map_err(HttpError::Event);
            }
            match self.body.frame().await {
                Some(frame) => {
                    let data: Bytes = frame?.into_data().unwrap_or_default();
                    self.records.push(&data);
                }
                None => return Err(HttpError::Ended),
            }
        }
    }
}

fn message(ids: &Ids, kind: call::Type) -> Message {
    Message {
        executor_id: ids.executor(),
        framework_id: ids.framework(),
        r#type: Some(kind.into()),
        ..Message::default()
    }
}

fn subscribe(ids: &Ids, join: Join) -> Message {
    let unacknowledged_updates = join.updates.into_iter().map(|status| call::Update { status }).collect();
    let subscribe = call::Subscribe { unacknowledged_tasks: join.tasks, unacknowledged_updates };
    Message { subscribe: Some(subscribe), ..message(ids, call::Type::Subscribe) }
}

fn update(ids: &Ids, status: v1::TaskStatus) -> Message {
    Message { update: Some(call::Update { status }), ..message(ids, call::Type::Update) }
}

/// What an event means; `None` for one that asks for nothing.
fn understand(told: Told) -> Option<AgentEvent> {
    match told.r#type() {
        event::Type::Subscribed => {
            Some(AgentEvent::Welcome(told.subscribed.map(|subscribed| Box::new(subscribed.framework_info))))
        }
        event::Type::Launch => told.launch.map(|launch| AgentEvent::Launch(Box::new(launch.task), None)),
        event::Type::LaunchGroup => {
            tracing::error!("ignored a task group, which the executor of one Docker task cannot run");
            None
        }
        event::Type::Kill => {
            told.kill.map(|kill| AgentEvent::Kill(kill.task_id.value, grace_of(kill.kill_policy.as_ref())))
        }
        event::Type::Acknowledged => told.acknowledged.map(|told| AgentEvent::Acknowledged(told.uuid)),
        event::Type::Message => Some(AgentEvent::Message),
        event::Type::Error => {
            let message = told.error.map(|error| error.message).unwrap_or_default();
            Some(AgentEvent::Error(message))
        }
        event::Type::Shutdown => Some(AgentEvent::Shutdown),
        event::Type::Heartbeat | event::Type::Unknown => None,
    }
}

/// Whether a subscription that was refused so will always be.
fn is_final(status: StatusCode) -> bool {
    let may_pass = [StatusCode::NOT_FOUND, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    !status.is_server_error() && !may_pass.contains(&status)
}

/// A random pause, so that the executors of a restarted agent do not all come at once.
fn pause(longest: Duration) -> Duration {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_nanos(random % nanoseconds).max(PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_neither_none_nor_longer_than_the_agent_allows() {
        for longest in [Duration::ZERO, Duration::from_secs(2)] {
            for _ in 0..100 {
                let pause = pause(longest);
                assert!(pause >= PAUSE && pause <= longest.max(PAUSE), "{pause:?}");
            }
        }
    }
}
