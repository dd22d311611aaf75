//! Finding a place at the master: detection, registration with growing pauses, pings (`Slave::detected`,
//! `doReliableRegistration`, `registered`, `reregistered` and `ping` in `src/slave/slave.cpp`).
//!
//! ```text
//! Disconnected ──Register due──► (authenticate) ──► Link, Register or Reregister ──► again, later
//!      ▲                                                            │ (Re)registered
//!      └── new leader, no ping, connected=false, link broken ── Running
//! ```

use std::time::Duration;

use mesos_proto::{internal, v1};

use super::action::{Action, Exit, ToMaster, Write};
use super::event::Now;
use super::settings::Authentication;
use super::state::State;
use super::timers::Timer;
use super::wire_resources::outward;
use crate::model::{Master, Phase};

/// The longest pause between two registrations (`REGISTRATION_RETRY_INTERVAL_MAX`).
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long no ping may come, where the master does not say (`DEFAULT_MASTER_PING_TIMEOUT`).
const PING_TIMEOUT: Duration = Duration::from_secs(75);

/// The version that is announced: masters look at it to know what an agent can do.
const VERSION: &str = "1.11.0";

/// Where we are with the master.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    /// What the detector saw last.
    leader: Option<v1::MasterInfo>,
    /// The longest pause before the next try.
    pause: Duration,
    /// How long no ping may come.
    ping_timeout: Duration,
    authenticated: bool,
    /// Whether the agent is not what its checkpoint says, so that the master must be able to take the change.
    pub(crate) changed: bool,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            leader: None,
            pause: Duration::ZERO,
            ping_timeout: PING_TIMEOUT,
            authenticated: false,
            changed: false,
        }
    }
}

impl State {
    /// A detector saw a leading master, or none.
    pub(super) fn detected(&mut self, leader: Option<v1::MasterInfo>, now: Now, out: &mut Vec<Action>) {
        self.registration.leader = leader;
        self.redetect(now, out);
    }

    /// The recovery is over: goes to the leader that was seen meanwhile.
    pub(super) fn look_for_master_again(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.registration.leader.is_some() {
            self.redetect(now, out);
        }
    }

    /// Starts over with the leader that the detector saw last.
    fn redetect(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.agent.phase == Phase::Running {
            self.agent.phase = Phase::Disconnected;
        }
        self.updates.pause();
        self.timers.disarm(Timer::Register);
        self.timers.disarm(Timer::Ping);
        self.registration.authenticated = false;
        let Some(leader) = &self.registration.leader else {
            tracing::warn!("no leading master; waiting for one");
            self.agent.master = None;
            return;
        };
        let master = master_of(leader);
        tracing::info!(master = master.pid, "new leading master");
        let takes_changes = master.capabilities.contains(&v1::master_info::capability::Type::AgentUpdate);
        // A master that was named and not detected tells no version; whether it can take the change shows later.
        let is_old = leader.version.is_some() && !takes_changes;
        self.agent.master = Some(master);
        if self.registration.changed && is_old {
            out.push(Action::Exit(Exit::Failed(
                "the agent's resources or attributes have changed, and the master cannot take that \
                 (it lacks AGENT_UPDATE); upgrade the master, or restore the flags"
                    .into(),
            )));
            return;
        }
        if self.agent.phase == Phase::Terminating {
            return;
        }
        self.registration.pause = self.settings.registration_backoff.saturating_mul(2);
        let wait = self.random_up_to(self.settings.registration_backoff);
        self.timers.arm(Timer::Register, now.elapsed.saturating_add(wait));
    }

    /// The moment for a registration has come.
    pub(super) fn registration_due(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(master) = self.agent.master.as_ref().map(|master| master.pid.clone()) else { return };
        if self.agent.phase != Phase::Disconnected {
            return;
        }
        if self.settings.authentication == Authentication::Required && !self.registration.authenticated {
            out.push(Action::Authenticate(master));
            return;
        }
        let message = match &self.agent.id {
            None => ToMaster::Register(self.register_message()),
            Some(_) => ToMaster::Reregister(self.reregister_message()),
        };
        out.push(Action::Link(master.clone()));
        out.push(Action::Send(master, Box::new(message)));
        let longest = self.registration.pause.min(LONGEST_PAUSE);
        let wait = self.random_up_to(longest);
        self.registration.pause = longest.saturating_mul(2);
        self.timers.arm(Timer::Register, now.elapsed.saturating_add(wait));
    }

    /// The master knows who we are.
    pub(super) fn authenticated(&mut self, master: &str, now: Now, out: &mut Vec<Action>) {
        // Another may lead by now.
        if self.agent.master.as_ref().is_none_or(|leader| leader.pid != master) {
            return;
        }
        self.registration.authenticated = true;
        self.registration_due(now, out);
    }

    /// The master took us in.
    pub(super) fn registered(
        &mut self,
        message: internal::SlaveRegisteredMessage,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let id = match message.slave_id.value.parse() {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(%error, "the master gave an agent id that cannot be used");
                return;
            }
        };
        match (self.agent.phase, &self.agent.id) {
            (Phase::Disconnected, None) => {
                tracing::info!(agent_id = %id, "registered");
                self.agent.id = Some(id);
                self.agent.info.id = Some(message.slave_id);
                out.push(Action::Write(Box::new(Write::Agent(outward(self.announced_info())))));
                self.joined(message.connection, now, out);
            }
            (Phase::Disconnected | Phase::Running, Some(known)) if *known != id => {
                out.push(Action::Exit(Exit::Failed(format!(
                    "registered but got the wrong agent id: {id} instead of {known}"
                ))));
            }
            // The answer to a registration that was sent twice.
            (Phase::Running, _) => self.pinged_within(message.connection, now),
            (Phase::Disconnected, Some(_)) | (Phase::Terminating | Phase::Recovering, _) => {
                tracing::warn!("a registration was answered that is not ours any more");
            }
        }
    }

    /// The master took us in again.
    pub(super) fn reregistered(
        &mut self,
        message: internal::SlaveReregisteredMessage,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let known = self.agent.id.as_ref().map_or("none", |id| id.as_str());
        if known != message.slave_id.value {
            out.push(Action::Exit(Exit::Failed(format!(
                "reregistered but got the wrong agent id: {} instead of {known}",
                message.slave_id.value
            ))));
            return;
        }
        match self.agent.phase {
            Phase::Disconnected => {
                tracing::info!(agent_id = known, "reregistered");
                self.joined(message.connection, now, out);
            }
            Phase::Running => self.pinged_within(message.connection, now),
            Phase::Terminating | Phase::Recovering => return,
        }
        self.reconcile(&message.reconciliations, now, out);
    }

    fn joined(
        &mut self,
        connection: Option<internal::MasterSlaveConnection>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        self.agent.phase = Phase::Running;
        self.timers.disarm(Timer::Register);
        self.pinged_within(connection, now);
        self.resume_updates(now, out);
        self.tell_exits(out);
    }

    /// Takes note of how often the master pings.
    fn pinged_within(&mut self, connection: Option<internal::MasterSlaveConnection>, now: Now) {
        let told = connection.and_then(|connection| connection.total_ping_timeout_seconds);
        if let Some(timeout) = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            self.registration.ping_timeout = timeout;
        }
        self.timers.arm(Timer::Ping, now.elapsed.saturating_add(self.registration.ping_timeout));
    }

    /// A master looked whether we live; it has its answer already.
    pub(super) fn pinged(&mut self, message: &internal::PingSlaveMessage, now: Now, out: &mut Vec<Action>) {
        if self.agent.phase != Phase::Running {
            return;
        }
        if !message.connected {
            tracing::warn!("the master lost its connection to us; registering again");
            self.redetect(now, out);
            return;
        }
        self.timers.arm(Timer::Ping, now.elapsed.saturating_add(self.registration.ping_timeout));
    }

    /// No ping came for too long.
    pub(super) fn ping_missed(&mut self, now: Now, out: &mut Vec<Action>) {
        // One that ends for good has left its master.
        if self.agent.phase != Phase::Running {
            return;
        }
        tracing::warn!(
            seconds = self.registration.ping_timeout.as_secs_f64(),
            "no ping of the master came; registering again"
        );
        self.redetect(now, out);
    }

    /// A connection that we keep broke. Departs from stock, which waits until pings are missed: a master that was
    /// restarted has forgotten us and pings nobody.
    pub(super) fn exited(&mut self, pid: &str, now: Now, out: &mut Vec<Action>) {
        if self.agent.master.as_ref().is_none_or(|master| master.pid != pid) {
            return;
        }
        // A master forgets with the connection whose credentials it saw.
        self.registration.authenticated = false;
        if self.agent.phase == Phase::Running {
            tracing::warn!(master = pid, "the connection to the master broke; registering again");
            self.redetect(now, out);
        }
    }

    fn register_message(&self) -> internal::RegisterSlaveMessage {
        outward(internal::RegisterSlaveMessage {
            slave: self.announced_info(),
            checkpointed_resources: self.agent.checkpointed_resources.clone(),
            version: Some(VERSION.into()),
            agent_capabilities: self.announced_capabilities(),
            resource_version_uuid: Some(self.resource_version()),
        })
    }

    /// What a re-registration tells beside the tasks, its resources in our form.
    pub(super) fn reregister_frame(&self) -> internal::ReregisterSlaveMessage {
        internal::ReregisterSlaveMessage {
            slave: self.announced_info(),
            checkpointed_resources: self.agent.checkpointed_resources.clone(),
            version: Some(VERSION.into()),
            agent_capabilities: self.announced_capabilities(),
            resource_version_uuid: Some(self.resource_version()),
            ..Default::default()
        }
    }

    fn announced_capabilities(&self) -> Vec<v1::agent_info::Capability> {
        self.agent
            .capabilities
            .iter()
            .map(|capability| v1::agent_info::Capability { r#type: Some((*capability).into()) })
            .collect()
    }

    fn resource_version(&self) -> v1::Uuid {
        v1::Uuid { value: self.agent.resource_version.as_bytes().to_vec() }
    }

    /// A random time from zero to `longest`.
    fn random_up_to(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.dice.f64())
    }
}

/// What is kept of a leading master.
fn master_of(info: &v1::MasterInfo) -> Master {
    let capabilities = info.capabilities.iter().map(v1::master_info::Capability::r#type).collect();
    let pid = info.pid.clone().unwrap_or_else(|| {
        let ip = std::net::Ipv4Addr::from(info.ip.to_ne_bytes());
        format!("master@{ip}:{}", info.port)
    });
    Master { pid, hostname: info.hostname.clone(), capabilities }
}
