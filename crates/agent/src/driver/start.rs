//! From settings to an agent that runs, and to its end.
//!
//! ```text
//! work_dir, address ──► core (recovering; pings and readers are answered) ──► engine ──► recovery ──► detection
//! ```

use std::time::Duration;

use checkpoint::recover::{Leftover, LeftoverReason, RecoveredState};
use checkpoint::{BootId, Store};
use flags::AgentSettings;
use flags::agent::Containerizer;
use libprocess::{Node, Process};
use mesos_types::ResourceSet;
use tokio::sync::{mpsc, oneshot};

use super::clock::{Clock, unix};
use super::core_loop::CoreLoop;
use super::disk::Disk;
use super::endpoints::Endpoints;
use super::engine::Workshop;
use super::environment::ExecutorSetup;
use super::error::AgentError;
use super::identity::Reconciled;
use super::leftovers::Orphans;
use super::performer::Performer;
use super::recovery::Takeover;
use super::signals::Signals;
use super::tasks::Tasks;
use super::{absent, discovery, identity, mailbox, open_runs};
use crate::authentication::{Authenticator, Credential, Patience};
use crate::core::{Authentication, CoreSettings, Event, Exit, Intent, Plain, PlainLimits, State, SwitchUser};
use crate::detector::{DetectorSettings, MasterAddress};
use crate::executors::{Gateway, GatewaySettings};
use crate::gc::{Collector, GcSettings};
use crate::logging::LogControl;
use crate::model::{Agent, AgentReader, Query, Ring};
use crate::status_updates::{StatusUpdates, StreamSettings};

/// How long the last messages may take to be written, and the last containers to be removed.
const FAREWELL: Duration = Duration::from_secs(3);

/// The process id of an agent, which masters and tools know.
const PROCESS: &str = "slave(1)";

/// Runs an agent until it is asked to end.
///
/// # Errors
///
/// Why it cannot start or go on.
pub async fn run(mut settings: AgentSettings, log: LogControl) -> Result<(), AgentError> {
    let mut signals = Signals::install()?;
    let store = Store::open(&settings.work_dir)?;
    discovery::discover(&mut settings.network).await?;
    let (reader, queries) = AgentReader::new(settings.bounds.queued_reads.get());
    let executors = Gateway::new(GatewaySettings::read(&settings.executors)?);
    let endpoints = Endpoints::new(&settings, reader, log, executors);
    let node = Node::bind(node_settings(&settings), endpoints.handler()).await?;
    if node.advertised().ip().is_loopback() {
        tracing::warn!(address = %node.advertised(),
            "only masters on this machine can reach the agent's address; see --ip and --advertise_ip");
    }
    endpoints.count_wire(&node);
    let process = node.register(PROCESS)?;
    let ended = live(&settings, store, &node, process, &mut signals, (endpoints, queries)).await;
    node.shutdown(FAREWELL).await;
    ended
}

async fn live(
    settings: &AgentSettings,
    store: Store,
    node: &Node,
    process: Process,
    signals: &mut Signals,
    (endpoints, queries): (Endpoints, mpsc::Receiver<Query>),
) -> Result<(), AgentError> {
    let master = MasterAddress::read(settings.master.expose())?;
    let credential = credential(settings)?;
    let clock = Clock::start();
    let since = unix();
    let work_dir = store.layout().root().to_owned();
    let info = tokio::task::block_in_place(|| identity::agent_info(settings, node.advertised(), &work_dir))?;
    let (events, coming) = mpsc::channel(settings.bounds.queued_events.get());
    let (actions, wanted) = mpsc::channel(settings.bounds.queued_actions.get());
    endpoints.executors.connect(events.clone());
    let pid = process.upid().to_string();
    let outbox = process.outbox().clone();
    let mut agent = Agent::new(info.clone(), pid.clone(), work_dir.clone(), since, uuid::Uuid::new_v4());
    agent.capabilities = identity::capabilities(settings);
    agent.completed_frameworks = Ring::new(settings.bounds.completed_frameworks);
    let state = State::new(
        agent,
        core_settings(settings, node, credential.is_some()),
        StatusUpdates::new(stream_settings(settings)),
        fastrand::u64(..),
    );
    tokio::spawn(CoreLoop { state, clock, events: coming, queries, actions }.run());
    tokio::spawn(mailbox::run(process, events.clone()));

    let workshop = Workshop::new(settings, &work_dir)?;
    let supervisor = tokio::select! {
        supervisor = workshop.supervisor() => supervisor?,
        // Nothing was taken over, so nothing is to be stopped.
        _ = signals.next() => return Ok(()),
    };

    let boot = BootId::current()?;
    let strictness = match settings.recovery.strict {
        true => checkpoint::Strictness::Strict,
        false => checkpoint::Strictness::Lenient,
    };
    let Reconciled { recovered, open, known, leftovers } = tokio::task::block_in_place(|| {
        let past = checkpoint::recover::recover(&store, strictness, &boot)?;
        report(&past);
        let rebooted = past.rebooted;
        let reconciled = identity::reconcile(settings, &store, past, info, since)?;
        if !rebooted {
            let composing = supervisor.containerizer();
            absent::refuse(&reconciled.open, |kind| composing.has(kind), || store.layout().latest_agent())?;
        }
        if let Some(agent_id) = &reconciled.recovered.agent_id {
            open_runs::point_to_sandboxes(&store, agent_id, &reconciled.open);
        }
        store.write_boot_id(&boot)?;
        Ok::<_, AgentError>(reconciled)
    })?;
    let agent_id = recovered.agent_id.clone();
    let checkpointed = ResourceSet::from_protos(&recovered.checkpointed_resources).unwrap_or_default();
    endpoints.connect(supervisor.containerizer(), super::surroundings::host_pids(settings));
    let files = endpoints.files.clone();
    let collector =
        Collector::start_telling(&work_dir, gc_settings(settings), move |path| files.detach_below(path));
    endpoints.count_removals(collector.clone());
    collect(&collector, leftovers);

    let containerizer = supervisor.containerizer().clone();
    let grace = settings.executors.shutdown_grace_period.max(settings.docker.docker_stop_timeout);
    let setup = tokio::task::block_in_place(|| {
        ExecutorSetup::new(settings, pid.clone(), endpoints.executors.key().cloned(), work_dir.clone())
    });
    let tasks = Tasks::new(supervisor, setup, events.clone(), settings.bounds.queued_kills);
    let (exit, exited) = oneshot::channel();
    let performer = Performer {
        disk: Disk::new(store, agent_id.clone(), checkpointed),
        outbox,
        tasks: tasks.clone(),
        files: endpoints.files.clone(),
        executors: endpoints.executors.clone(),
        collector,
        events: events.clone(),
        runtime: tokio::runtime::Handle::current(),
        agent_id: agent_id.clone(),
        exit: Some(exit),
        authenticator: credential.map(|credential| authenticator(settings, node, credential)),
        authentication: None,
    };
    std::thread::Builder::new()
        .name("actions".into())
        .spawn(move || performer.run(wanted))
        .map_err(|source| AgentError::System { what: "start a thread", source })?;

    let cleanup = recovered.intent == Intent::Cleanup;
    super::open_runs::enter(&tasks, &open);
    send(&events, Event::Recovered(Box::new(recovered))).await;
    endpoints.show_sandboxes().await;
    let takeover = Takeover {
        tasks,
        work_dir,
        agent_id,
        switch_user: settings.docker.switch_user,
        together: settings.bounds.recovery_parallel.get(),
        patience: settings.bounds.recovery_patience,
        orphans: if settings.docker.docker_kill_orphans { Orphans::Removed } else { Orphans::Left },
        known,
        remove_delay: settings.docker.docker_remove_delay,
        grace,
    };
    let detector = DetectorSettings {
        session_timeout: settings.registration.zk_session_timeout,
        retry: settings.registration.zk_retry_interval,
        reminder: settings.registration.zk_reminder_interval,
    };
    let detection = {
        let events = events.clone();
        async move {
            takeover.run(open).await;
            if !cleanup {
                super::detection::run(master, detector, events).await;
            }
        }
    };
    tokio::spawn(detection);
    let ended = wait(exited, signals, events).await;
    tidy(&containerizer, settings.docker.docker_remove_delay).await;
    ended
}

/// Lets stopped containers be removed that are to go at once; later ones are for the next start.
async fn tidy(containerizer: &task_supervisor::Composing, remove_delay: Duration) {
    if remove_delay < FAREWELL && containerizer.containers().is_empty() {
        // What takes longer is for the next start too.
        let _ = tokio::time::timeout(FAREWELL, containerizer.settled()).await;
    }
}

/// Waits for the end, and carries wishes to end to the core.
async fn wait(
    mut exited: oneshot::Receiver<Exit>,
    signals: &mut Signals,
    events: mpsc::Sender<Event>,
) -> Result<(), AgentError> {
    loop {
        tokio::select! {
            exit = &mut exited => return match exit {
                Ok(Exit::Asked) => Ok(()),
                Ok(Exit::Failed(why)) => Err(AgentError::Failed(why)),
                Err(_) => Err(AgentError::Failed("the core ended; this is a bug".into())),
            },
            wish = signals.next() => {
                tracing::info!(?wish, "asked to end");
                send(&events, Event::Stop(wish)).await;
            }
        }
    }
}

async fn send(events: &mpsc::Sender<Event>, event: Event) {
    if events.send(event).await.is_err() {
        tracing::error!("the core has ended");
    }
}

/// Gives what nothing needs any more to the garbage collector.
fn collect(collector: &Collector, leftovers: Vec<Leftover>) {
    for leftover in leftovers {
        let given = match leftover.why {
            LeftoverReason::OtherAgent => collector.schedule_from_now(leftover.path),
            LeftoverReason::Skipped | LeftoverReason::Quarantine => collector.schedule(leftover.path),
        };
        if let Err(error) = given {
            tracing::warn!(%error, "a directory is left for the next start");
        }
    }
}

fn gc_settings(settings: &AgentSettings) -> GcSettings {
    GcSettings {
        delay: settings.gc.delay,
        headroom: settings.gc.disk_headroom,
        disk_watch_interval: settings.gc.disk_watch_interval,
        removals: settings.bounds.gc_removals.get(),
    }
}

fn stream_settings(settings: &AgentSettings) -> StreamSettings {
    let bounds = &settings.bounds;
    StreamSettings {
        first_retry: bounds.status_update_retry_min,
        longest_retry: bounds.status_update_retry_max,
        max_waiting: bounds.waiting_status_updates,
        // Repeats come of what is not acknowledged yet.
        remembered: bounds.waiting_status_updates,
        max_in_memory: bounds.status_updates_in_memory.get(),
    }
}

/// Says what the recovery passed over or put right.
fn report(past: &RecoveredState) {
    for finding in &past.findings {
        tracing::warn!(path = %finding.path.display(), what = ?finding.what, "found in the work directory");
    }
    if past.rebooted {
        tracing::info!("this machine was booted since the agent ran last");
    }
}

fn node_settings(settings: &AgentSettings) -> libprocess::Settings {
    let network = &settings.network;
    libprocess::Settings {
        ip: network.ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED),
        port: network.port,
        advertise_ip: network.advertise_ip,
        advertise_port: network.advertise_port,
        require_peer_address_ip_match: network.require_peer_address_ip_match,
        limits: network.limits.clone(),
    }
}

/// Whether tasks without an image outlive the agent.
fn plain(settings: &AgentSettings) -> Plain {
    let has = |containerizer| settings.containerizers.contains(&containerizer);
    let runs_both = has(Containerizer::Docker) && has(Containerizer::Mesos);
    if runs_both && super::surroundings::lookout(settings, &settings.work_dir).is_in_container() {
        Plain::EndsWithAgent
    } else {
        Plain::OutlivesAgent
    }
}

/// Reads the file of `--credential`. Blocks for as long.
fn credential(settings: &AgentSettings) -> Result<Option<Credential>, AgentError> {
    let Some(path) = &settings.registration.credential else { return Ok(None) };
    let credential = Credential::read(path)?;
    if credential.is_none() {
        tracing::warn!(path = %path.display(), "the file of --credential is empty; registering without credentials");
    }
    Ok(credential)
}

fn authenticator(settings: &AgentSettings, node: &Node, credential: Credential) -> Authenticator {
    let times = &settings.registration;
    let patience = Patience::new(
        times.authentication_timeout_min,
        times.authentication_timeout_max,
        times.authentication_backoff_factor,
    );
    Authenticator::new(node.clone(), credential, patience)
}

fn core_settings(settings: &AgentSettings, node: &Node, has_credential: bool) -> CoreSettings {
    CoreSettings {
        registration_backoff: settings.registration.backoff_factor,
        authentication: if has_credential { Authentication::Required } else { Authentication::No },
        executor_registration_timeout: settings.executors.registration_timeout,
        executor_shutdown_grace: settings.executors.shutdown_grace_period,
        max_completed_executors: settings.executors.max_completed_per_framework,
        launcher_dir: identity::launcher_dir(settings),
        switch_user: if settings.docker.switch_user { SwitchUser::Yes } else { SwitchUser::No },
        ip: *node.advertised().ip(),
        ip6: settings.network.ip6,
        plain: plain(settings),
        plain_limits: PlainLimits {
            cpus: settings.containment.isolation.limits_cpu(),
            mem: settings.containment.isolation.limits_mem(),
        },
        default_container: settings.executors.default_container.clone(),
        executor_reregistration_timeout: settings.executors.reregistration_timeout,
        executor_reregistration_retry: settings.executors.reregistration_retry_interval,
    }
}
