//! The loop of the process: waits for events, asks the session, performs what it says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::Context as _;
use libprocess::Overrides;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::agent::AgentLink;
use crate::environment::{Environment, Protocol};
use crate::flags_table::Flags;
use crate::output::Output;
use crate::place::Place;
use crate::session::{
    Action, AgentEvent, Event, Exit, FirstContact, Session, SessionSettings, Timer, is_terminal,
};
use crate::task::{Launcher, Task, status_of};

/// Runs one task for an agent, to the end of the process.
///
/// # Errors
///
/// Nothing can be begun: the sandbox, our own directory, or the agent's address.
pub async fn run(flags: Flags, environment: Environment, overrides: &Overrides) -> anyhow::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let place = Place::take(&flags.container, &flags.sandbox, &environment.agent_id, &flags.state)?;
    let begun = async {
        let output = Output::of(&place.sandbox).context("cannot use standard output and error")?;
        anyhow::Ok((output, AgentLink::start(&environment, overrides).await?))
    };
    let (output, agent) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            place.leave();
            return Err(error);
        }
    };
    let shutdown_grace = environment.shutdown_grace.max(flags.stop_timeout);
    let session = Session::new(SessionSettings {
        first_contact: match environment.protocol {
            Protocol::V0 => FirstContact::Once,
            Protocol::V1(_) => FirstContact::Again,
        },
        recovery: environment.recovery,
        shutdown_grace,
        stop_timeout: flags.stop_timeout,
    });
    let launcher =
        Launcher { flags, environment: environment.clone(), place, output, default_grace: shutdown_grace };
    let host =
        Host { session, agent, environment, timers: BTreeMap::new(), launcher: Some(launcher), task: None };
    host.serve(&mut terminate, &mut interrupt).await
}

struct Host {
    session: Session,
    agent: AgentLink,
    environment: Environment,
    timers: BTreeMap<Timer, Instant>,
    /// Taken by the launch.
    launcher: Option<Launcher>,
    task: Option<Task>,
}

impl Host {
    async fn serve(mut self, terminate: &mut Signal, interrupt: &mut Signal) -> anyhow::Result<Exit> {
        let mut waiting = VecDeque::new();
        loop {
            let event = match waiting.pop_front() {
                Some(event) => event,
                None => self.next(terminate, interrupt).await?,
            };
            note(&event);
            for action in self.session.on(event, Instant::now()) {
                if let Action::Exit(exit) = action {
                    return Ok(self.exit(exit));
                }
                waiting.extend(self.perform(action));
            }
        }
    }

    /// Waits for the next event.
    async fn next(&mut self, terminate: &mut Signal, interrupt: &mut Signal) -> anyhow::Result<Event> {
        let due = self.timers.iter().min_by_key(|(_, at)| **at).map(|(timer, at)| (*timer, *at));
        tokio::select! {
            biased;
            _ = terminate.recv() => Ok(Event::Terminate),
            _ = interrupt.recv() => Ok(Event::Terminate),
            status = next_status(&mut self.task) => {
                // The end of the process without the guard's dismissal stops the container.
                let status = status.context("the task was lost by a bug of ours")?;
                if is_terminal(status.state()) {
                    self.task = None;
                }
                Ok(Event::Status(status))
            }
            event = self.agent.next() => Ok(event),
            timer = next_timer(due) => {
                self.timers.remove(&timer);
                Ok(Event::Due(timer))
            }
        }
    }

    /// Performs an action; answers an event that it makes.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Call(call) => self.agent.call(call),
            Action::Launch(info, task_killing) => match self.launcher.take() {
                Some(launcher) => {
                    tracing::info!(
                        task_id = info.task_id.value,
                        container = launcher.flags.container,
                        "starting task"
                    );
                    self.task = Some(Task::launch(launcher, info, task_killing));
                }
                // The session launches once.
                None => tracing::error!("a second task was not launched"),
            },
            Action::Kill(grace, cause) => {
                tracing::info!(?grace, ?cause, "killing the task");
                if let Some(task) = &self.task {
                    task.kill(grace, cause);
                }
            }
            Action::Tell(tell) => {
                return Some(Event::Status(Box::new(status_of(&self.environment, &tell))));
            }
            Action::Arm(timer, after) => {
                // A time beyond the clock's end never comes.
                let at = Instant::now().checked_add(after);
                self.timers.extend(at.map(|at| (timer, at)));
            }
            Action::Disarm(timer) => drop(self.timers.remove(&timer)),
            Action::Exit(_) => {}
        }
        None
    }

    fn exit(self, exit: Exit) -> Exit {
        if let Some(launcher) = self.launcher {
            launcher.place.leave();
        }
        tracing::info!(?exit, "the executor ends");
        exit
    }
}

async fn next_status(task: &mut Option<Task>) -> Option<Box<mesos_proto::v1::TaskStatus>> {
    match task {
        Some(task) => task.next().await,
        None => std::future::pending().await,
    }
}

async fn next_timer(due: Option<(Timer, Instant)>) -> Timer {
    match due {
        Some((timer, at)) => {
            sleep_until(at).await;
            timer
        }
        None => std::future::pending().await,
    }
}

/// Tells what happened: what changes a state, and for the rest at a lower level.
fn note(event: &Event) {
    match event {
        Event::Connected => tracing::debug!("connected to the agent"),
        Event::Lost => tracing::warn!("the agent is gone"),
        Event::Agent(AgentEvent::Welcome(_)) => tracing::info!("registered with the agent"),
        Event::Agent(AgentEvent::Launch(task, _)) => {
            tracing::info!(task_id = task.task_id.value, "received a task");
        }
        Event::Agent(AgentEvent::Kill(task_id, grace)) => {
            tracing::info!(task_id, ?grace, "received a kill");
        }
        Event::Agent(AgentEvent::Acknowledged(_)) => tracing::debug!("a status has arrived"),
        Event::Agent(AgentEvent::Message) => {
            tracing::debug!("ignored a message of the framework, as stock's executor does");
        }
        Event::Agent(AgentEvent::Shutdown) => tracing::info!("asked to shut down"),
        Event::Agent(AgentEvent::Error(message)) => tracing::error!(message, "the agent gives up on us"),
        Event::Status(status) => {
            tracing::info!(state = status.state().as_str_name(), message = status.message(), "status");
        }
        Event::Due(Timer::Recovery) => tracing::error!("the agent did not come back in time"),
        Event::Due(Timer::Acknowledgement) => tracing::warn!("nobody acknowledged the last status in time"),
        Event::Terminate => tracing::warn!("asked to end by a signal"),
    }
}

/// The longest that the end of the process may take once all is done.
pub const LAST: Duration = Duration::from_secs(1);
