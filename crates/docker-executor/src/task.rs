//! The task: from its TaskInfo to its statuses, by [`task_supervisor`].
//!
//! It has an owner task of its own, so that an engine that does not answer holds up nothing else. A launch waits for the
//! engine as long as it takes, and a kill ends the wait.

use std::path::PathBuf;
use std::time::Duration;

use docker_containerizer::policy::{self, HostPlaces, LoadError};
use docker_containerizer::{Checkpoint, Containerizer, CredentialError, Identity, RemovalDelay, chain};
use docker_engine::{Engine, EngineError};
use docker_setup::FetchPlaces;
use mesos_proto::Message as _;
use mesos_proto::v1::{self, TaskState, task_status};
use task_supervisor::{
    Given, ImageState, KillCause, KillRequest, Supervisor, SupervisorSettings, TaskHandle, TaskKilling,
    TaskOrder, Update, Uris,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::environment::{Environment, Recovery};
use crate::flags_table::Flags;
use crate::guard::{Guard, Orders};
use crate::output::{Output, Patience};
use crate::place::Place;
use crate::prepared::without_volumes;
use crate::session::{Tell, is_terminal};

/// How many statuses may wait for the session.
const STATUSES: usize = 32;

/// How many kills may wait for the task.
const KILLS: usize = 8;

/// How long a logger may hold up the output in all once the task is to end.
const HURRY: Duration = Duration::from_secs(2);

/// The pauses before an engine that is away is asked again, in milliseconds.
const PAUSES: [u64; 4] = [250, 500, 1000, 2000];

/// Everything that a launch needs.
#[derive(Debug)]
pub struct Launcher {
    /// The flags.
    pub flags: Flags,
    /// What the agent says.
    pub environment: Environment,
    /// Where the run lives.
    pub place: Place,
    /// Where the output goes.
    pub output: Output,
    /// The grace of a task that names none.
    pub default_grace: Duration,
}

/// A task under way, or on the way.
#[derive(Debug)]
pub struct Task {
    statuses: mpsc::Receiver<Box<v1::TaskStatus>>,
    kills: mpsc::Sender<KillRequest>,
}

/// Why the containerizer cannot be made; another attempt may succeed only if the engine failed.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("cannot use the Docker Engine")]
    Engine(#[from] EngineError),
    #[error("the flag --docker_config cannot be used")]
    Config(#[from] CredentialError),
    #[error("the flag --docker_policy cannot be used")]
    Policy(#[from] LoadError),
}

impl Task {
    /// Launches a task.
    pub fn launch(launcher: Launcher, info: Box<v1::TaskInfo>, task_killing: TaskKilling) -> Self {
        let (sender, statuses) = mpsc::channel(STATUSES);
        let (kills, wanted) = mpsc::channel(KILLS);
        tokio::spawn(async move { launcher.run(*info, task_killing, &sender, wanted).await });
        Self { statuses, kills }
    }

    /// Stops the container, however far the launch is.
    pub fn kill(&self, grace: Duration, cause: KillCause) {
        if self.kills.try_send(KillRequest { grace: Some(grace), cause }).is_err() {
            tracing::debug!("the task has ended, or has kills enough");
        }
    }

    /// The next status; `None` after the terminal one.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; no status is lost.
    pub async fn next(&mut self) -> Option<Box<v1::TaskStatus>> {
        self.statuses.recv().await
    }
}

impl Launcher {
    async fn run(
        mut self,
        info: v1::TaskInfo,
        task_killing: TaskKilling,
        statuses: &mpsc::Sender<Box<v1::TaskStatus>>,
        kills: mpsc::Receiver<KillRequest>,
    ) {
        let last = self.carry(info, task_killing, statuses, kills).await;
        // Without a terminal status the container may run, and then its records and its guard are needed.
        if let Some(last) = last {
            self.place.leave();
            // Nobody listens only when the process ends.
            let _ = statuses.send(last).await;
        }
    }

    /// Launches the task and carries it to its end; answers the terminal status.
    async fn carry(
        &mut self,
        mut info: v1::TaskInfo,
        task_killing: TaskKilling,
        statuses: &mpsc::Sender<Box<v1::TaskStatus>>,
        mut kills: mpsc::Receiver<KillRequest>,
    ) -> Option<Box<v1::TaskStatus>> {
        let task_id = info.task_id.value.clone();
        let environment = self.environment.clone();
        let ended = |state, reason, message| {
            let tell = Tell { task_id, state, reason, message };
            Some(Box::new(status_of(&environment, &tell)))
        };
        for path in without_volumes(&mut info) {
            tracing::warn!(path, "the agent does not mount a persistent volume at a path with a slash");
        }
        let supervisor = tokio::select! {
            made = self.supervisor() => match made {
                Ok(supervisor) => supervisor,
                Err(error) => {
                    let message = format!("Failed to create docker run options: {}", chain(&error));
                    return ended(TaskState::TaskFailed, None, message);
                }
            },
            Some(_) = kills.recv() => {
                let reason = Some(task_status::Reason::TaskKilledDuringLaunch);
                return ended(TaskState::TaskKilled, reason, "Container destroyed while starting".into());
            }
        };
        let deadlines = &self.flags.docker.deadlines;
        let orders = Orders {
            socket: self.flags.docker.docker_socket.clone(),
            container: self.flags.container.clone(),
            run: self.place.container_id.to_string(),
            grace_seconds: self.flags.stop_timeout.as_secs(),
            launch_seconds: (deadlines.create + deadlines.start).as_secs(),
            records: self.place.layout().state().to_owned(),
        };
        // One that does not start is tried again while the task runs.
        let mut guard = Guard::start(&orders).ok();
        let handle = match self.start(&supervisor, info, task_killing) {
            Ok(handle) => handle,
            Err(message) => {
                dismiss(guard).await;
                return ended(TaskState::TaskFailed, None, message);
            }
        };
        let (patience, waits) = watch::channel(Patience::Stall(self.flags.docker.logs.drain));
        let copying = self.output.copier.take().map(|copier| tokio::spawn(copier.run(waits)));
        // The tap ends with the output, once nobody else has it.
        self.output.tap = None;
        let last = tokio::select! {
            last = forward(handle, kills, statuses, &environment, &patience) => last?,
            never = Guard::keep(&mut guard, &orders) => match never {},
        };
        if let Some(copying) = copying {
            let copied = tokio::time::timeout(self.flags.docker.logs.drain, copying).await;
            if copied.is_err() {
                tracing::warn!("the logger did not take all of the output in time");
            }
        }
        dismiss(guard).await;
        Some(last)
    }

    /// Checks the task and launches it; a failure is the message of its status.
    fn start(
        &self,
        supervisor: &Supervisor,
        info: v1::TaskInfo,
        task_killing: TaskKilling,
    ) -> Result<TaskHandle, String> {
        let refused =
            |error: &dyn std::error::Error| format!("Failed to create docker run options: {}", chain(error));
        let environment = &self.environment;
        let identity = Identity {
            agent_id: environment.agent_id.clone(),
            framework_id: environment.framework_id.clone(),
            executor_id: environment.executor_id.clone(),
            task_id: info.task_id.value.parse().map_err(|error| refused(&error))?,
            container_id: self.place.container_id,
        };
        let order = TaskOrder {
            identity,
            info_bytes: info.encode_to_vec(),
            info,
            checkpoint: match environment.recovery {
                Recovery::Wait(_) => Checkpoint::Yes,
                Recovery::End => Checkpoint::No,
            },
            task_killing,
            owner: self.place.owner,
            tap: self.output.tap.clone(),
            given: Given {
                container_name: Some(self.flags.container.clone()),
                layout: Some(self.place.layout()),
                environment: self.flags.task_environment.clone(),
                defaults: Vec::new(),
                uris: Uris::Present,
                image: ImageState::Pulled,
                output: self.output.target,
            },
        };
        let prepared = supervisor.prepare(order).map_err(|error| refused(&error))?;
        supervisor
            .launch(prepared)
            .map_err(|error| format!("Failed to run docker container: {}", chain(&error)))
    }

    /// The supervisor, once the engine answers.
    async fn supervisor(&self) -> Result<Supervisor, SetupError> {
        let mut pauses = PAUSES.iter().copied();
        let mut pause = PAUSES[0];
        let began = Instant::now();
        loop {
            match self.containerizer().await {
                Ok(containerizer) => return Ok(self.supervise(containerizer)),
                Err(SetupError::Engine(error)) => {
                    let waited = began.elapsed().as_secs();
                    tracing::warn!(error = chain(&error), waited, "the launch waits for the Docker Engine");
                }
                Err(error) => return Err(error),
            }
            pause = pauses.next().unwrap_or(pause);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn containerizer(&self) -> Result<Containerizer, SetupError> {
        let settings = &self.flags.docker;
        let operator = docker_setup::operator_config(settings)?;
        let socket = &settings.docker_socket;
        let places =
            HostPlaces { work_dir: self.place.work_dir.clone(), socket: socket.clone(), policy_file: None };
        let policy = policy::load(&settings.docker_policy, places)?;
        let options = docker_setup::engine_options(settings, socket, operator.as_ref())?;
        let engine = Engine::connect(options).await?;
        let request = docker_setup::request_settings(settings, socket, operator.as_ref(), policy.into())?;
        // The agent has fetched; nothing is ever put there.
        let places = FetchPlaces { cache: PathBuf::from("/nonexistent") };
        let fetcher = docker_setup::fetcher(settings, places);
        let settings = docker_setup::containerizer_settings(settings, request, operator, fetcher);
        Ok(Containerizer::new(engine, settings).await?)
    }

    fn supervise(&self, containerizer: Containerizer) -> Supervisor {
        let settings = SupervisorSettings {
            work_dir: self.place.root.clone(),
            default_grace: self.default_grace,
            reading: docker_setup::reading(&self.flags.docker),
            // The agent removes the container by its name, after its own delay.
            removal: RemovalDelay::Never,
            // The agent adds its own address where the task has none.
            host_address: None,
            masked: docker_setup::masked(&self.flags.docker),
            checks: docker_setup::check_settings(&self.flags.docker),
        };
        Supervisor::new(containerizer, settings)
    }
}

async fn dismiss(guard: Option<Guard>) {
    if let Some(guard) = guard {
        guard.dismiss().await;
    }
}

/// Hands kills and statuses on; answers the terminal status.
async fn forward(
    mut handle: TaskHandle,
    mut kills: mpsc::Receiver<KillRequest>,
    statuses: &mpsc::Sender<Box<v1::TaskStatus>>,
    environment: &Environment,
    patience: &watch::Sender<Patience>,
) -> Option<Box<v1::TaskStatus>> {
    loop {
        let update = tokio::select! {
            Some(kill) = kills.recv() => {
                // Whoever kills a task wants to hear of its end, whatever its logger does.
                patience.send_replace(Patience::Hurry(HURRY));
                if handle.kills.try_send(kill).is_err() {
                    tracing::debug!("the task has ended, or has kills enough");
                }
                continue;
            }
            update = handle.updates.recv() => update?,
        };
        let status = match update {
            Update::Status(status) | Update::Running(status, _) | Update::Terminal(status, ..) => status,
            Update::Warning(warning) => {
                tracing::warn!("the engine warns: {warning}");
                continue;
            }
            _ => continue,
        };
        let status = as_executor(status, environment);
        if is_terminal(status.state()) {
            return Some(status);
        }
        // Nobody listens only when the process ends.
        let _ = statuses.send(status).await;
    }
}

/// A status as an executor may send it: an agent answers one with another source with an error.
fn as_executor(mut status: Box<v1::TaskStatus>, environment: &Environment) -> Box<v1::TaskStatus> {
    status.set_source(task_status::Source::Executor);
    status.executor_id = Some(v1::ExecutorId { value: environment.executor_id.as_str().to_owned() });
    status
}

/// A status of a task that does not run.
pub fn status_of(environment: &Environment, tell: &Tell) -> v1::TaskStatus {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut status = v1::TaskStatus {
        task_id: v1::TaskId { value: tell.task_id.clone() },
        message: Some(tell.message.clone()),
        reason: tell.reason.map(Into::into),
        agent_id: Some(v1::AgentId { value: environment.agent_id.as_str().to_owned() }),
        executor_id: Some(v1::ExecutorId { value: environment.executor_id.as_str().to_owned() }),
        timestamp: now.ok().map(|since| since.as_secs_f64()),
        uuid: Some(uuid::Uuid::new_v4().as_bytes().to_vec()),
        ..v1::TaskStatus::default()
    };
    status.set_state(tell.state);
    status.set_source(task_status::Source::Executor);
    status
}
