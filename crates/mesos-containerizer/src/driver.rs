//! The owner of one container: a task of the runtime that carries it through its life.
//!
//! It waits for what happens, asks [`Life::step`] what that means, and performs the answer. It is the only one that
//! touches the container. A kill interrupts a fetch; a start, which waits for nobody, is let through and stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use containerizer::{
    Cause, Ending, Exit, Failure, Kill, Limitation, LogTap, Phase, Progress, RunPaths, Termination, Unknown,
    View, blocking, chain,
};
use fetcher::agent::FetchOrder;
use mesos_types::{ContainerId, PlainTaskSpec};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::begin::Begun;
use crate::containerizer::Shared;
use crate::isolation::Contained;
use crate::lifecycle::{Action, End as LifeEnd, Event, Life};
use crate::order::{LaunchOrder, Running};
use crate::parent::ended::End;
use crate::parent::messages::Identity;
use crate::prepare::{EarlyLogs, Ordered, account, fetch};
use crate::processes::ProcessId;
use crate::record::Record;
use crate::stop::Stopping;
use crate::subject::{Subject, ended};
use crate::tap;

/// The grace of a kill that asks for more than time has.
const LONGEST_GRACE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The first pause between two looks at what is left of a container whose parent was killed, and the longest.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// How often in a row nothing has to be found before nothing is left: a list of processes is not made in one moment, and one
/// that forks and ends all the time may be missing in it.
const QUIET: usize = 5;

/// What a driver is told from outside.
#[derive(Debug)]
pub(crate) enum Command {
    /// Stop the container.
    Destroy(Kill),
}

/// One container's owner.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: ContainerId,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) view: watch::Sender<View<Running>>,
    pub(crate) life: Life,
    pub(crate) kill: Option<Kill>,
}

/// A container that runs, with all that watches it.
pub(crate) struct Watched {
    pub(crate) subject: Arc<Subject>,
    pub(crate) contained: Contained,
    pub(crate) sandbox: PathBuf,
    /// Where its parent writes; none for a process without a parent of ours.
    pub(crate) state: Option<PathBuf>,
    /// Why its exit is not known when its parent has left nothing.
    pub(crate) unknown: Unknown,
    /// Told when a copy of the output has all of it.
    pub(crate) copied: Option<oneshot::Receiver<()>>,
}

/// What a launch needs of its owner.
pub(crate) struct Launch {
    pub(crate) order: LaunchOrder,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) identity: Option<Identity>,
}

impl Driver {
    /// Launches and carries to the end. Must not be dropped while the runtime goes on.
    pub(crate) async fn launch(mut self, launch: Launch) {
        let Launch { order, environment, identity } = launch;
        let LaunchOrder { task, paths, owner, tap, progress, .. } = order;
        let shared = self.shared.clone();
        if let Err(ended) = self.prepare(&task, &paths, owner, progress.as_ref()).await {
            return self.never_ran(ended, None).await;
        }
        let contained =
            blocking(|| shared.settings.containment.contain(self.id, &task.resources, &task.limits));
        let contained = match contained {
            Ok(contained) => contained,
            Err(error) => {
                let failure = Failure::new("start", chain(&error));
                return self.never_ran(Event::Failed(failure), None).await;
            }
        };
        let ordered = Ordered {
            task: &task,
            paths: &paths,
            owner,
            identity,
            environment,
            logs: shared.settings.logs,
            has_tap: tap.is_some(),
        };
        match self.start(ordered, &contained, &task, tap).await {
            Ok((subject, copied)) => {
                let command = subject.0;
                let unknown = Unknown::WatcherKilled;
                let RunPaths { sandbox, state } = paths;
                let (subject, state) = (Arc::new(subject.1), Some(state));
                let watched = Watched { subject, contained, sandbox, state, unknown, copied };
                self.started(&watched, command);
                // A task of its own, so that what only a launch needs is not kept for as long as the container runs.
                self.shared.tasks.clone().spawn(self.run(watched));
            }
            Err(failure) => self.never_ran(Event::Failed(failure), Some(&contained)).await,
        }
    }

    /// Everything up to the start. The error is the event that ends the life.
    async fn prepare(
        &mut self,
        task: &PlainTaskSpec,
        paths: &RunPaths,
        owner: Option<sandbox::Owner>,
        progress: Option<&mpsc::Sender<Progress>>,
    ) -> Result<(), Event> {
        let shared = self.shared.clone();
        let settings = &shared.settings;
        let mut logs =
            blocking(|| EarlyLogs::create(task, paths, owner, settings.logs)).map_err(Event::Failed)?;
        let order = FetchOrder {
            container_id: self.id.to_string(),
            uris: task.uris.clone(),
            sandbox: paths.sandbox.clone(),
            account: blocking(|| account(owner, task.user.as_deref())).map_err(Event::Failed)?,
            rlimits: task.rlimits.clone(),
            container_directory: paths.sandbox.to_string_lossy().into_owned(),
        };
        let killed = CancellationToken::new();
        let fetched = {
            let mut fetching = std::pin::pin!(fetch(&settings.fetcher, &order, &mut logs, progress, &killed));
            tokio::select! {
                biased;
                Some(Command::Destroy(kill)) = self.commands.recv() => {
                    killed.cancel();
                    // It answers when the child is gone and what it left half done is swept.
                    let _ = fetching.await;
                    self.kill = Some(kill);
                    return Err(Event::Destroy(Cause::Killed(kill)));
                }
                fetched = &mut fetching => fetched,
            }
        };
        fetched.map_err(Event::Failed)?;
        self.step(Event::Fetched);
        blocking(|| {
            let is_used = |volume: &_| shared.is_used_beside(self.id, volume);
            crate::volumes::show(task, &paths.sandbox, owner, &settings.work_dir, is_used)
        })
        .map_err(Event::Failed)?;
        if let Some(progress) = progress {
            // TASK_STARTING must not be lost; a listener that does not listen may hold up nothing for ever.
            tokio::select! {
                biased;
                Some(Command::Destroy(kill)) = self.commands.recv() => {
                    self.kill = Some(kill);
                    return Err(Event::Destroy(Cause::Killed(kill)));
                }
                _ = progress.send(Progress::Prepared) => {}
            }
        }
        self.step(Event::Mounted);
        Ok(())
    }

    /// Starts the command.
    async fn start(
        &mut self,
        ordered: Ordered<'_>,
        contained: &Contained,
        task: &PlainTaskSpec,
        tap: Option<LogTap>,
    ) -> Result<((ProcessId, Subject), Option<oneshot::Receiver<()>>), Failure> {
        let shared = self.shared.clone();
        let program = shared.program.as_deref().map_err(|why| Failure::new("start", why.clone()))?;
        let failed = |error: &dyn std::error::Error| Failure::new("start", chain(error));
        let state = ordered.paths.state.clone();
        let order = ordered.order();
        let (tap_end, its_end) = match tap {
            Some(tap) => {
                let (reader, writer) = std::io::pipe().map_err(|error| failed(&error))?;
                (Some((tap, reader)), Some(writer.into()))
            }
            None => (None, None),
        };
        let supervisors = blocking(|| shared.settings.containment.supervisor_procs());
        let supervisors = supervisors.unwrap_or_else(|error| {
            tracing::warn!(container_id = %self.id, error = chain(&error), "the parent stays in the agent's control group");
            Vec::new()
        });
        let begun = self.through(Begun::begin(program, self.id, &order, its_end, &supervisors)).await?;
        drop(order);
        if self.kill.is_some() {
            begun.clear();
            return Err(Failure::new("start", "killed before the start"));
        }
        let recorded = blocking(|| -> Result<(), Failure> {
            let boot = crate::processes::boot_id().map_err(|error| failed(&error))?;
            let groups = contained.dirs().clone();
            Record::new(boot, begun.parent.id(), begun.command, groups)
                .store(&state)
                .map_err(|error| failed(&error))?;
            contained.enter(begun.command.pid).map_err(|error| failed(&error))?;
            if let Some(score) = contained.oom_score_adj(&task.resources, &task.limits) {
                let file = format!("/proc/{}/oom_score_adj", begun.command.pid);
                if let Err(error) = std::fs::write(file, score.to_string()) {
                    tracing::debug!(container_id = %self.id, %error, "the OOM score is not set");
                }
            }
            Ok(())
        });
        if let Err(failure) = recorded {
            begun.clear();
            return Err(failure);
        }
        let (child, parent, command) = self.through(begun.go()).await?;
        let copied = tap_end.and_then(|(tap, reader)| {
            let reader = tap::Reader::new(reader).inspect_err(
                |error| tracing::warn!(container_id = %self.id, %error, "the output is not followed"),
            );
            let reader = reader.ok()?;
            let (all, copied) = oneshot::channel();
            let (ended, patience) = (ended(command), shared.settings.drain_deadline);
            shared.tasks.spawn(async move {
                reader.copy(tap, ended, patience).await;
                // Nobody waits any more when the runtime shuts down.
                let _ = all.send(());
            });
            Some(copied)
        });
        let child = std::sync::Mutex::new(Some(child));
        Ok(((command, Subject::Ours { parent, command, state, child }), copied))
    }

    /// Tells that the command runs.
    pub(crate) fn started(&mut self, watched: &Watched, command: ProcessId) {
        let record = watched.state.as_ref().and_then(|state| blocking(|| Record::load(state)).ok().flatten());
        let started_at = record.map_or_else(std::time::SystemTime::now, |record| record.started_at());
        let running = Running { pid: command.pid, start: command.start, started_at };
        self.shared.runs(self.id, watched);
        self.step(Event::Started);
        self.view.send_modify(|view| view.running = Some(running));
    }

    /// Carries a container that runs to the end.
    pub(crate) async fn run(mut self, mut watched: Watched) {
        let limitation = self.until_ended(&watched).await;
        // What a parent that was killed has left, and what has left its tree: the end is told when nothing is left.
        self.clear_rest(&watched).await;
        self.view.send_modify(|view| view.is_gone = true);
        let limitation = limitation.or_else(|| blocking(|| watched.contained.limitation()));
        if let Some(copied) = watched.copied.take() {
            // Who looks on has the last words before the end.
            let _ = timeout(self.shared.settings.drain_deadline, copied).await;
        }
        self.conclude(&watched, limitation).await;
    }

    /// Waits for the end, and stops the container when it is told to, or when something has run out.
    async fn until_ended(&mut self, watched: &Watched) -> Option<Limitation> {
        let view = self.view.clone();
        let stopping = Stopping {
            subject: &watched.subject,
            contained: &watched.contained,
            delivered: AtomicBool::new(view.borrow().signalled),
            view: &view,
        };
        // When SIGKILL follows.
        let mut stop = self.kill.map(deadline);
        let mut limitation = None;
        let mut ended = std::pin::pin!(watched.subject.ended());
        loop {
            let perform = async {
                match stop {
                    Some(deadline) => match stopping.perform(deadline).await {},
                    None => std::future::pending::<()>().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut ended => {
                    // Nobody is left to take the stop signal.
                    return limitation;
                }
                Some(Command::Destroy(kill)) = self.commands.recv() => {
                    self.step(Event::Destroy(Cause::Killed(kill)));
                    self.kill = Some(kill);
                    // What has run out is not given back its time.
                    stop = Some(if limitation.is_some() { Instant::now() } else { deadline(kill) });
                }
                exhausted = watched.contained.exhausted(), if limitation.is_none() => {
                    tracing::info!(container_id = %self.id, ?exhausted, "something has run out: the container is destroyed");
                    limitation = Some(exhausted);
                    stop = Some(Instant::now());
                }
                () = perform => {}
            }
        }
    }

    /// Ends what is left of the container, for as long as it takes.
    async fn clear_rest(&self, watched: &Watched) {
        let mut pause = LOOK_AGAIN;
        while let Err(error) = watched.contained.kill_all().await {
            tracing::error!(container_id = %self.id, error = chain(&error), "a container is killed again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
        // A parent that has left its end has left no process, and the command's number may be another's by now.
        let state = watched.state.as_deref();
        if state.is_some_and(|state| blocking(|| End::load(state)).is_ok_and(|end| end.is_some())) {
            return;
        }
        let mut quiet = 0;
        pause = LOOK_AGAIN;
        while quiet < QUIET {
            match blocking(|| watched.subject.kill_rest()) {
                Ok(0) => {
                    quiet += 1;
                    continue;
                }
                Ok(count) => {
                    tracing::warn!(container_id = %self.id, count, "processes of a container were left and are killed");
                }
                Err(error) => {
                    tracing::error!(container_id = %self.id, error = chain(&error), "what is left of a container cannot be found");
                }
            }
            quiet = 0;
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    /// Tells the end of a container that ran.
    async fn conclude(mut self, watched: &Watched, limitation: Option<Limitation>) {
        let seen = blocking(|| crate::conclude::seen(watched.state.as_deref(), watched.unknown));
        let exit = seen.exit.clone();
        self.step(Event::Exited(exit.clone()));
        let is_limited = limitation.is_some() && exit != Exit::Code(0) && self.kill.is_none();
        let ending = match seen.never_started {
            // It was taken over while its parent was about to say so.
            Some(why) => Ending::LaunchFailed(Failure::new(crate::adopt::PHASE, why)),
            None => Ending::Exited(exit),
        };
        let mut termination = Termination::new(ending);
        termination.killed = self.kill;
        termination.limitation = limitation.filter(|_| is_limited);
        termination.last_errors = seen.last_errors;
        termination.logs = seen.logs;
        termination.dumped_core = seen.dumped_core;
        self.end(termination, Some(&watched.contained)).await;
    }

    /// Lets a start through to its end, and notes a kill that comes meanwhile.
    async fn through<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        loop {
            let kill = tokio::select! {
                biased;
                result = &mut call => return result,
                Some(Command::Destroy(kill)) = self.commands.recv() => kill,
            };
            self.step(Event::Destroy(Cause::Killed(kill)));
            self.kill = Some(kill);
        }
    }

    /// Tells the end of a container that never ran.
    pub(crate) async fn never_ran(mut self, event: Event, contained: Option<&Contained>) {
        let phase = match self.life {
            Life::Fetching => Phase::Fetching,
            Life::Mounting => Phase::Mounting,
            Life::Starting | Life::Running | Life::Destroying { .. } | Life::Terminated => Phase::Starting,
        };
        let ending = match self.step(event) {
            Action::End(LifeEnd::Failed(failure)) => Ending::LaunchFailed(failure),
            Action::End(LifeEnd::DestroyedBeforeStart) => Ending::DestroyedBeforeStart(phase),
            other @ (Action::None | Action::Stop | Action::End(LifeEnd::Exited(_))) => {
                tracing::error!(container_id = %self.id, ?other, "a launch ended in an unexpected way");
                Ending::LaunchFailed(Failure::new("launch", "internal error"))
            }
        };
        let mut termination = Termination::new(ending);
        termination.killed = self.kill;
        self.end(termination, contained).await;
    }

    /// Tells the end once. What is left of its groups goes first, so that who hears of the end finds nothing.
    async fn end(self, termination: Termination, contained: Option<&Contained>) {
        if let Some(contained) = contained
            && let Err(error) = contained.remove().await
        {
            tracing::warn!(container_id = %self.id, error = chain(&error), "control groups of a container are left");
        }
        self.shared.forget(&self.view);
        self.view.send_modify(|view| {
            view.termination = Some(Arc::new(termination));
            view.settled = true;
        });
    }

    /// Applies an event; an illegal one is a bug that is told and ignored.
    pub(crate) fn step(&mut self, event: Event) -> Action {
        match self.life.step(event) {
            Ok(action) => {
                tracing::debug!(container_id = %self.id, life = %self.life, ?action, "step");
                action
            }
            Err(illegal) => {
                tracing::error!(container_id = %self.id, %illegal, "ignored an event");
                Action::None
            }
        }
    }
}

/// When SIGKILL follows a kill of now.
fn deadline(kill: Kill) -> Instant {
    let now = Instant::now();
    now.checked_add(kill.grace).unwrap_or(now + LONGEST_GRACE)
}
