//! The owner of one container: a task of the runtime that carries it through its life.
//!
//! It waits for what happens, asks [`Life::step`] what that means, and performs the answer. It is the only one that
//! touches the container, so a kill interrupts what is under way: a pull is cancelled at once, a create or start in
//! flight is let through and cleared away, since the engine would go on with it anyway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docker_engine::{EngineTime, ImageDetails, Inspection, Terminal};
use mesos_types::TaskSpec;
use sandbox::RelPath;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::containerizer::{FetchedCredentials, Shared};
use crate::exit::{Process, SeenExit};
use crate::fetch::{Run, Unprepared};
use crate::images::{ImageIdentity, PullListener};
use crate::labels::Labels;
use crate::launch::Launcher;
use crate::lifecycle::{Action, End, Event, Life};
use crate::logs::{Drained, Follower, LogFiles, LogTap, Notes, Source};
use crate::order::{LaunchOrder, LaunchedImage, Progress, Running};
use crate::removal::remove;
use crate::request::{Output, Request};
use containerizer::blocking;
use containerizer::cgroups::Cgroups;
use containerizer::{Cause, Ending, EngineSeen, Exit, Failure, Kill, Phase, Termination};
use containerizer::{RemovalDelay, RunPaths};

/// The signal that stops a container whose image names none.
const DEFAULT_STOP_SIGNAL: &str = "SIGTERM";

/// The pause before a container that could not be removed is tried again.
const PARKED: Duration = Duration::from_secs(5);

/// What a driver is told from outside.
#[derive(Debug)]
pub(crate) enum Command {
    /// Stop the container.
    Destroy(Kill),
}

/// What the outside sees of a container.
pub(crate) type View = containerizer::View<Running>;

/// A driver's ends of what connects it with the outside.
pub(crate) struct Lines {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) view: watch::Sender<View>,
    /// Lines of ours for the sandbox.
    pub(crate) notes: Notes,
}

/// One container's owner.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) task: TaskSpec,
    pub(crate) name: String,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) view: watch::Sender<View>,
    /// Lines of ours for the sandbox, until the output is followed.
    notes: Notes,
    pub(crate) removal: RemovalDelay,
    pub(crate) life: Life,
    pub(crate) kill: Option<Kill>,
    /// Ends the launch's waits when a kill comes.
    killed: CancellationToken,
    pub(crate) stop_signal: String,
    /// The image that was looked at; of a launch only.
    image: Option<LaunchedImage>,
}

/// A container that runs, with all that watches it.
pub(crate) struct Watched {
    pub(crate) engine_id: String,
    pub(crate) started_at: EngineTime,
    pub(crate) process: Option<Process>,
    pub(crate) cgroups: Option<Cgroups>,
    pub(crate) stopped: watch::Sender<bool>,
    pub(crate) logs: oneshot::Receiver<Drained>,
    /// How it ended, of a run that was over when it was adopted.
    pub(crate) over: Option<Exit>,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        task: TaskSpec,
        name: String,
        lines: Lines,
        removal: RemovalDelay,
        life: Life,
    ) -> Self {
        let Lines { commands, view, notes } = lines;
        let stop_signal = DEFAULT_STOP_SIGNAL.to_owned();
        Self {
            shared,
            task,
            name,
            commands,
            view,
            notes,
            removal,
            life,
            kill: None,
            killed: CancellationToken::new(),
            stop_signal,
            image: None,
        }
    }

    /// Launches and carries to the end. Must not be dropped while the runtime goes on.
    pub(crate) async fn launch(mut self, order: LaunchOrder) {
        let LaunchOrder { labels, request, paths, owner, output, tap, progress, .. } = order;
        let shared = self.shared.clone();
        let killed = self.killed.clone();
        let launcher = Launcher {
            engine: &shared.engine,
            request: &request,
            planned: &request,
            policy: &shared.settings.request.policy,
            labels: &labels,
            pulls: &shared.pulls,
            credentials: &shared.settings.credentials,
            sandbox: &paths.sandbox,
            killed: &killed,
        };
        let tell = |told: Progress| {
            // Progress is a courtesy: a listener that is slow misses lines, never the launch its time.
            progress.as_ref().map(|sender| sender.try_send(told))
        };

        let files = match blocking(|| self.log_files(&paths, &request, owner, output, tap.as_ref())) {
            Ok(files) => Mutex::new(files),
            Err(failure) => return self.never_ran(Event::Failed(failure), None).await,
        };
        let run = Run {
            paths: &paths,
            owner,
            files: &files,
            progress: progress.as_ref(),
            container_id: labels.identity.container_id.to_string(),
        };
        let mut listener = PullListener::new(&files, progress.as_ref());
        let image = launcher.image(self.task.container.pull, &mut listener);
        let (image, fetched) = match self.fetch_and_pull(run, image).await {
            Ok(prepared) => prepared,
            Err(Unprepared::Failed(failure)) => return self.never_ran(Event::Failed(failure), None).await,
            Err(Unprepared::Killed(kill, phase)) => return self.destroyed(kill, phase).await,
        };
        self.use_image(image, &request);
        // What is made for mounts is made as root.
        if let Err(failure) = launcher.judge_again("mount") {
            return self.never_ran(Event::Failed(failure), None).await;
        }
        let read = match blocking(|| self.make_mount_points(&paths, &request, &labels, owner)) {
            Ok(read) => read,
            Err(failure) => return self.never_ran(Event::Failed(failure), None).await,
        };
        let launcher = Launcher { request: read.as_ref().unwrap_or(&request), ..launcher };
        if let Some(progress) = &progress {
            // TASK_STARTING must not be lost.
            let _ = self.through(progress.send(Progress::Prepared)).await;
        }
        self.step(Event::Mounted);

        let mut listener = PullListener::new(&files, progress.as_ref());
        let created = self.through(launcher.create(&mut listener)).await;
        let engine_id = match created {
            Ok(created) => {
                if !created.warnings.is_empty() {
                    drop(tell(Progress::Warnings(created.warnings)));
                }
                if let Some(image) = created.image {
                    self.use_image(image, &request);
                }
                created.id
            }
            Err(failure) => return self.clear(&launcher, failure, None).await,
        };
        if self.kill.is_none()
            && let Err(failure) = self.through(launcher.connect(&engine_id)).await
        {
            return self.clear(&launcher, failure, None).await;
        }
        if self.kill.is_some() {
            return self.clear(&launcher, Failure::new("start", "killed before the start"), None).await;
        }
        // Nothing pulls any more.
        if let Err(failure) = blocking(|| self.hide_credentials(&paths, &fetched.registry_archives)) {
            return self.clear(&launcher, failure, None).await;
        }
        let source = match self.source(&request, &engine_id).await {
            Ok(source) => source,
            Err(failure) => return self.clear(&launcher, failure, None).await,
        };
        if let Err(failure) = self.through(launcher.start(&engine_id)).await {
            return self.clear(&launcher, failure, None).await;
        }
        if request.body.stdin_once && !request.body.tty {
            // A task can do without; only one that waits for the end of its input would wait for ever.
            let closing = shared.engine.close_stdin(&engine_id, shared.engine.deadlines().stream_head);
            if let Err(error) = self.through(closing).await {
                tracing::warn!(
                    container = self.name,
                    error = crate::chain(&error),
                    "standard input stays open"
                );
            }
        }
        let log_config = request.body.host_config.log_config.as_ref();
        let max_size = log_config.and_then(|log| log.config.get("max-size"));
        let file_size = crate::request::file_size(max_size.map(String::as_str));
        let files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
        // TASK_RUNNING waits for the inspection, and the log keeps until it is read; an attached stream does not.
        let inspect = launcher.inspect_patiently(&engine_id);
        let (inspection, (stopped, logs)) = if matches!(source, Source::Log) {
            let inspection = self.through(inspect).await;
            (inspection, self.follow(&engine_id, files, tap, source, file_size))
        } else {
            let following = self.follow(&engine_id, files, tap, source, file_size);
            (self.through(inspect).await, following)
        };
        let watched = match inspection {
            Ok(Some(inspection)) => self.watch(&inspection, stopped, logs),
            Ok(None) => Watched {
                engine_id,
                started_at: EngineTime::default(),
                process: None,
                cgroups: None,
                stopped,
                logs,
                over: None,
            },
            Err(error) => {
                let failure = Failure::new("inspect", crate::chain(&error));
                return self.clear(&launcher, failure, Some((stopped, logs))).await;
            }
        };
        self.step(Event::Started);
        // A task of its own, so that what only a launch needs is not kept for as long as the container runs.
        self.shared.tasks.clone().spawn(self.run(watched));
    }

    /// Carries a container that runs, or ran, to the end.
    pub(crate) async fn run(mut self, watched: Watched) {
        let seen = match watched.over.clone() {
            Some(exit) => SeenExit { exit, oom_kills: None, engine: EngineSeen::Throughout },
            None => self.exit_of(&watched).await,
        };
        self.view.send_modify(|view| view.is_gone = true);
        self.step(Event::Exited(seen.exit.clone()));
        watched.stopped.send_replace(true);
        let engine_id = watched.engine_id.clone();
        let termination = self.conclude(watched, seen).await;
        self.end(termination, Some(&engine_id)).await;
    }

    /// Takes note of the image that will run.
    fn use_image(&mut self, image: ImageDetails, request: &Request) {
        let identity = ImageIdentity::of(&request.image, &image);
        self.image = Some(LaunchedImage { id: image.id, identity });
        let asked = Some(&request.body.stop_signal).filter(|signal| !signal.is_empty()).cloned();
        if let Some(signal) = asked.or(image.stop_signal.filter(|signal| !signal.is_empty())) {
            self.stop_signal = signal;
        }
    }

    /// Makes the places of the volumes, and reads the files that parameters name; then the request that holds them is the
    /// one to be sent.
    fn make_mount_points(
        &self,
        paths: &RunPaths,
        request: &Request,
        labels: &Labels,
        owner: Option<sandbox::Owner>,
    ) -> Result<Option<Request>, Failure> {
        let directory = sandbox::Sandbox::open(&paths.sandbox)
            .map_err(|error| Failure::new("mount", crate::chain(&error)))?;
        let is_used = |volume: &_| self.shared.is_used_beside(labels.identity.container_id, volume);
        crate::mount::make(&request.mount_points, &directory, owner, is_used)?;
        request
            .with_files(&directory)
            .map_err(|error| Failure::new("read the parameters' files", crate::chain(&error)).exit_code(125))
    }

    /// Removes the registry credentials that the task brought, and the `archives` they came from, where the operator
    /// wants that.
    fn hide_credentials(&self, paths: &RunPaths, archives: &[RelPath]) -> Result<(), Failure> {
        match self.shared.settings.fetched_credentials {
            FetchedCredentials::Stay => Ok(()),
            FetchedCredentials::Hidden => {
                crate::credentials::hide(&paths.sandbox, archives).map(drop).map_err(|error| {
                    let error = crate::chain(&error);
                    Failure::new("start", format!("cannot hide registry credentials from the task: {error}"))
                })
            }
        }
    }

    async fn source(&self, request: &Request, engine_id: &str) -> Result<Source, Failure> {
        match request.output {
            Output::Log => Ok(Source::Log),
            Output::Attach => {
                // A parameter may ask for a terminal too.
                let terminal = if request.body.tty { Terminal::Yes } else { Terminal::No };
                let engine = &self.shared.engine;
                let attached = engine.attach(engine_id, terminal, engine.deadlines().stream_head).await;
                let attached = attached.map_err(|error| Failure::new("attach", crate::chain(&error)))?;
                Ok(Source::Attached(attached, terminal))
            }
        }
    }

    /// Begins to follow the output; the engine's log has files of `file_size` bytes.
    pub(crate) fn follow(
        &mut self,
        engine_id: &str,
        files: LogFiles,
        tap: Option<LogTap>,
        source: Source,
        file_size: u64,
    ) -> (watch::Sender<bool>, oneshot::Receiver<Drained>) {
        let (stopped, is_stopped) = watch::channel(false);
        let (drained, logs) = oneshot::channel();
        // A log of which another process read the beginning may have been rotated before.
        let logged = if files.cursors().marks.last.is_some() { file_size } else { 0 };
        let follower = Follower {
            engine: self.shared.engine.clone(),
            id: engine_id.to_owned(),
            files,
            tap,
            file_size,
            drain_deadline: self.shared.settings.drain_deadline,
            logged,
            progress: Arc::default(),
            notes: std::mem::replace(&mut self.notes, Notes::none()),
        };
        self.shared.tasks.spawn(async move {
            // The driver may be gone when a runtime shuts down.
            let _ = drained.send(follower.run(source, is_stopped).await);
        });
        (stopped, logs)
    }

    /// Takes hold of what an inspection shows, and tells it.
    pub(crate) fn watch(
        &self,
        inspection: &Inspection,
        stopped: watch::Sender<bool>,
        logs: oneshot::Receiver<Drained>,
    ) -> Watched {
        let process = inspection.state.pid.and_then(|pid| Process::open(pid, &inspection.id));
        let cgroups = match &process {
            Some(process) => Cgroups::of(process.pid())
                .inspect_err(|error| {
                    tracing::debug!(container = self.name, error = crate::chain(error), "no usage")
                })
                .ok(),
            None => None,
        };
        let running = Running::of(inspection, self.image.as_ref(), cgroups.clone());
        self.view.send_modify(|view| view.running = Some(running));
        Watched {
            engine_id: inspection.id.clone(),
            started_at: inspection.state.started_at.clone(),
            process,
            cgroups,
            stopped,
            logs,
            over: None,
        }
    }

    /// Lets an engine call through to its end, and notes a kill that comes meanwhile.
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
            self.killed.cancel();
        }
    }

    /// Ends a launch with a container that may exist: looks for it by name and removes it, for as long as it takes.
    async fn clear(
        mut self,
        launcher: &Launcher<'_>,
        failure: Failure,
        following: Option<(watch::Sender<bool>, oneshot::Receiver<Drained>)>,
    ) {
        self.step(Event::Failed(failure.clone()));
        let shared = self.shared.clone();
        // The end is told only when the container is known to be gone: parked, not given up.
        while let Err(error) = self.through(launcher.remove(&shared)).await {
            tracing::error!(container = launcher.request.name, %error, "a container that failed to start is removed again");
            tokio::time::sleep(PARKED).await;
        }
        if let Some((stopped, logs)) = following {
            stopped.send_replace(true);
            // What it wrote in its short life is in the sandbox before the end is told.
            let _ = logs.await;
        }
        self.never_ran(Event::Cleared, None).await;
    }

    /// Ends a launch that an earlier process began: removes what it made, and fails.
    pub(crate) async fn abandon(self, engine_id: String) {
        while let Err(error) = remove(&self.shared, &engine_id).await {
            tracing::error!(container = engine_id, %error, "a container that was never started is removed again");
            tokio::time::sleep(PARKED).await;
        }
        let failure = Failure::new("recover", "the agent was restarted during the launch");
        self.never_ran(Event::Failed(failure), None).await;
    }

    async fn destroyed(mut self, kill: Kill, phase: Phase) {
        self.kill = Some(kill);
        self.never_ran(Event::Destroy(Cause::Killed(kill)), Some(phase)).await;
    }

    /// Tells the end of a container that never ran.
    async fn never_ran(mut self, event: Event, phase: Option<Phase>) {
        let ending = match self.step(event) {
            Action::End(End::Failed(failure)) => Ending::LaunchFailed(failure),
            Action::End(End::DestroyedBeforeStart(_)) => {
                Ending::DestroyedBeforeStart(phase.unwrap_or(Phase::Starting))
            }
            other => {
                tracing::error!(container = self.name, ?other, "a launch ended in an unexpected way");
                Ending::LaunchFailed(Failure::new("launch", "internal error"))
            }
        };
        let termination = Termination { killed: self.kill, ..Termination::new(ending) };
        self.end(termination, None).await;
    }

    /// Tells the end once, then removes the container when its time has come.
    async fn end(self, termination: Termination, engine_id: Option<&str>) {
        let settled = engine_id.is_none() || self.removal == RemovalDelay::Never;
        // Who hears of the end finds the id free.
        self.shared.forget(&self.view);
        self.view.send_modify(|view| {
            view.termination = Some(Arc::new(termination));
            view.settled = settled;
        });
        let (Some(id), RemovalDelay::After(delay)) = (engine_id, self.removal) else { return };
        tokio::time::sleep(delay).await;
        if let Err(error) = remove(&self.shared, id).await {
            tracing::warn!(container = id, %error, "a stopped container was not removed");
        }
        self.view.send_modify(|view| view.settled = true);
    }

    /// Applies an event; an illegal one is a bug that is told and ignored.
    pub(crate) fn step(&mut self, event: Event) -> Action {
        match self.life.step(event) {
            Ok(action) => {
                tracing::debug!(container = self.name, life = %self.life, ?action, "step");
                action
            }
            Err(illegal) => {
                tracing::error!(container = self.name, %illegal, "ignored an event");
                Action::None
            }
        }
    }
}
