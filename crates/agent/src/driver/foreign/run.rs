//! One run of a stock agent, from the takeover to its end.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use containerizer::blocking;
use docker_containerizer::recover::Found;
use docker_containerizer::{
    AttachOrder, Containerizer, Ending, Handle, Identity, Kill, RemovalDelay, StopSignal, chain,
};
use mesos_containerizer::{ForeignOrder, is_of_container};
use mesos_proto::v1;
use mesos_types::{AgentId, ContainerId, PlainTaskSpec, Strictness, TaskId, TaskSpec};
use task_supervisor::{Kind, outcome};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::parts::{Lead, Maker, Parts};
use super::process::StockProcess;
use crate::core::{ContainerEvent, Gone, Run};
use crate::driver::containers::{amounts, wait_status};
use crate::driver::open_runs::{ForkedPid, OpenRun};
use crate::driver::tasks::{Tasks, Wishes};
use crate::driver::updates::Wanted;

/// The first pause before the engine is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long an executor may take to end by itself once the container of its task is gone.
const LEAVES: Duration = Duration::from_secs(5);

/// The longest stop there is.
const LONGEST_STOP: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What contains an executor that a stock agent launched.
#[derive(Debug)]
pub(in crate::driver) struct StockRun {
    tasks: Tasks,
    run: Run,
    maker: Maker,
    forked: Option<ForkedPid>,
    sandbox: PathBuf,
    resources: Vec<v1::Resource>,
    docker: Option<Containerizer>,
    grace: Duration,
    removal: RemovalDelay,
    agent_id: Option<AgentId>,
    /// Whether it has no image.
    is_plain: bool,
}

/// What leads the run, taken hold of.
#[derive(Debug)]
enum Held {
    Process(StockProcess),
    Container(Handle),
    /// A process that the Mesos containerizer has, with the control groups that stock made for it.
    Plain(mesos_containerizer::Handle),
    Gone,
}

impl Held {
    /// What is watched, for the log.
    fn name(&self) -> &'static str {
        match self {
            Self::Process(_) => "its process",
            Self::Container(_) => "its container",
            Self::Plain(_) => "its process and control groups",
            Self::Gone => "nothing: it is gone",
        }
    }
}

impl StockRun {
    /// The run of a checkpoint; `grace` is that of a stop that names none.
    pub(in crate::driver) fn new(
        tasks: Tasks,
        open: OpenRun,
        agent_id: Option<AgentId>,
        grace: Duration,
        removal: RemovalDelay,
    ) -> Self {
        let docker = tasks.docker();
        let container = open.executor.container.as_ref();
        let is_plain =
            container.is_none_or(|container| container.r#type() != v1::container_info::Type::Docker);
        let maker = if open.is_generated { Maker::Agent } else { Maker::Framework };
        let OpenRun { run, forked, sandbox, resources, .. } = open;
        Self { tasks, run, maker, forked, sandbox, resources, docker, grace, removal, agent_id, is_plain }
    }

    /// Takes hold of what is there, of which `found` are the containers, and follows it to its end in a task of its own.
    pub(in crate::driver) async fn carry(self, found: &[Found]) {
        let own: Vec<&Found> =
            found.iter().filter(|found| found.container_id == self.run.container_id).collect();
        let Parts { lead, beside } = Parts::of(self.maker, &own);
        let mut held = Held::Gone;
        let mut watched = None;
        match lead {
            Lead::Container(engine_id) => {
                if let Some(handle) = self.attach(&engine_id, self.removal).await {
                    held = Held::Container(handle);
                }
            }
            Lead::Process => {
                if let Some(engine_id) = &beside {
                    watched = self.attach(engine_id, self.removal_beside()).await;
                }
            }
        }
        if let (Held::Gone, Some(forked)) = (&held, self.forked) {
            held = self.take_hold(forked).await;
        }
        tracing::info!(
            framework_id = %self.run.framework_id,
            executor_id = %self.run.executor_id,
            container_id = %self.run.container_id,
            by = held.name(),
            "an executor of another agent program"
        );
        let wishes = self.tasks.wishes(&self.run);
        wishes.updates.up();
        tokio::spawn(self.follow(held, watched, beside, wishes));
    }

    async fn follow(self, held: Held, watched: Option<Handle>, beside: Option<String>, wishes: Wishes) {
        let Wishes { mut kills, updates } = wishes;
        let mut kill_at: Option<Instant> = None;
        loop {
            tokio::select! {
                () = ended(&held) => break,
                Some(request) = kills.recv() => {
                    let grace = request.grace.unwrap_or(self.grace);
                    tracing::info!(container_id = %self.run.container_id, ?grace, "stopping a stock agent's executor");
                    kill_at = Some(self.stop(&held, watched.is_some(), beside.as_deref(), grace).await);
                }
                () = at(kill_at) => {
                    kill_at = None;
                    if let Held::Process(process) = &held {
                        process.kill();
                    }
                }
                wanted = updates.next() => self.update(&held, wanted).await,
            }
        }
        let gone = self.clear(held, watched, beside).await;
        self.tasks.end_container(&self.run, ContainerEvent::Terminated(Box::new(gone))).await;
    }

    /// Begins to stop the run; answers when what is left of it is killed.
    async fn stop(&self, held: &Held, is_watched: bool, beside: Option<&str>, grace: Duration) -> Instant {
        let id = self.run.container_id;
        match (held, &self.docker) {
            (Held::Container(_), Some(docker)) => {
                if let Some(beside) = beside {
                    // Its executor has told its end, or is about to be ended; it never outlives that.
                    self.remove(docker, beside).await;
                }
                docker.destroy(id, Kill { grace });
            }
            // The task's container goes first, with its grace, so that the executor can tell how it ended.
            (Held::Process(_), Some(docker)) if self.maker == Maker::Agent && is_watched => {
                docker.destroy(id, Kill { grace });
                return later(grace.saturating_add(LEAVES));
            }
            (Held::Process(_), Some(docker)) if self.maker == Maker::Agent => {
                let removed = timeout(LEAVES, async {
                    let late = self.late(docker).await?;
                    self.remove(docker, &late).await;
                    Some(())
                });
                // An engine that does not answer costs the executor its last word; what it left is removed when it is gone.
                if let Ok(Some(())) = removed.await {
                    return later(LEAVES);
                }
            }
            (Held::Plain(_), _) => {
                if let Some(mesos) = self.tasks.supervisor().containerizer().mesos() {
                    mesos.destroy(id, Kill { grace });
                }
            }
            (Held::Process(_) | Held::Container(_) | Held::Gone, _) => {}
        }
        Instant::now()
    }

    /// Performs an update. As in stock, the limits of a Docker task under its executor stay what they are.
    async fn update(&self, held: &Held, wanted: Wanted) {
        let Wanted { tokens, resources, limits } = wanted;
        let is_limited = match (held, self.maker) {
            (Held::Plain(_), _) | (Held::Container(_), Maker::Framework) => true,
            (Held::Process(_) | Held::Container(_) | Held::Gone, _) => false,
        };
        let result = match amounts(&resources, &limits) {
            Ok((resources, limits)) if is_limited => {
                let containerizer = self.tasks.supervisor().containerizer();
                let updated = containerizer.update(self.run.container_id, resources, limits).await;
                updated.map_err(|error| chain(&error))
            }
            Ok(_) => Ok(()),
            Err(why) => Err(why),
        };
        self.tasks.answer(&self.run, &tokens, result).await;
    }

    /// Ends what is left once the lead has ended, and tells what is known of the end.
    async fn clear(&self, held: Held, watched: Option<Handle>, beside: Option<String>) -> Gone {
        // What it started and left behind is not its own to keep.
        if let Held::Process(process) = &held {
            process.kill();
        }
        if let Some(docker) = &self.docker {
            match watched {
                Some(mut watched) => {
                    docker.destroy(self.run.container_id, Kill { grace: Duration::ZERO });
                    watched.terminated().await;
                    // Its executor is gone, so nobody but people looks at it any more.
                    if let (Some(beside), true) = (beside, self.removal != self.removal_beside()) {
                        self.remove(docker, &beside).await;
                    }
                }
                None => {
                    let left = match beside {
                        Some(beside) => Some(beside),
                        None if self.maker == Maker::Agent => self.late(docker).await,
                        None => None,
                    };
                    if let Some(left) = left {
                        self.remove(docker, &left).await;
                    }
                }
            }
        }
        match held {
            Held::Container(mut handle) => {
                let Some(termination) = handle.terminated().await else { return Gone::default() };
                let outcome = outcome(Kind::Docker, &termination, None);
                let is_limited = termination.limitation.is_some();
                Gone {
                    status: match &termination.ending {
                        Ending::Exited(exit) => wait_status(exit),
                        Ending::LaunchFailed(_) | Ending::DestroyedBeforeStart(_) => None,
                    },
                    state: is_limited.then_some(outcome.state),
                    reason: outcome.reason.filter(|_| is_limited),
                    message: Some(outcome.message),
                    limitation: None,
                }
            }
            Held::Plain(_) | Held::Process(_) => {
                Gone { message: Some("Executor terminated".to_owned()), ..Gone::default() }
            }
            Held::Gone => Gone {
                message: Some("The executor ended while no agent was running".to_owned()),
                ..Gone::default()
            },
        }
    }

    /// Takes hold of the process, if it is there. Asks until the system says so.
    async fn take_hold(&self, forked: ForkedPid) -> Held {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_to_hold(forked).await {
                Ok(held) => return held,
                Err(error) => {
                    tracing::warn!(pid = forked.pid, %error, "a process cannot be looked at; trying again");
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn try_to_hold(&self, forked: ForkedPid) -> io::Result<Held> {
        let id = self.run.container_id;
        // One that does not say of which container it is, the containerizer would take for another's.
        if self.is_plain
            && blocking(|| is_of_container(forked.pid, id, &self.sandbox))?
            && let Some(handle) = self.adopt_plain(forked).await
        {
            return Ok(Held::Plain(handle));
        }
        let process = blocking(|| StockProcess::open(forked, id, &self.sandbox))?;
        Ok(process.map_or(Held::Gone, Held::Process))
    }

    /// Has the Mesos containerizer take a process over that no engine has to do with; `None` where it cannot.
    async fn adopt_plain(&self, forked: ForkedPid) -> Option<mesos_containerizer::Handle> {
        let mesos = self.tasks.supervisor().containerizer().mesos()?;
        let executor = v1::TaskInfo {
            task_id: v1::TaskId { value: self.run.executor_id.as_str().to_owned() },
            command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
            resources: self.resources.clone(),
            ..Default::default()
        };
        let task = PlainTaskSpec::from_task_info(&executor, Strictness::Lenient).ok()?;
        let order = ForeignOrder {
            identity: Identity {
                agent_id: self.agent_id.clone()?,
                framework_id: self.run.framework_id.clone(),
                executor_id: self.run.executor_id.clone(),
                task_id: self.run.executor_id.as_str().parse().ok()?,
                container_id: self.run.container_id,
            },
            task,
            pid: forked.pid,
            stop_signal: StopSignal::Due,
            sandbox: self.sandbox.clone(),
        };
        let adopted = mesos.adopt_foreign(order).await;
        adopted.inspect_err(|error| tracing::warn!(error = chain(error), "a process is watched alone")).ok()
    }

    /// When the container of a task is removed whose executor still has to see how it ended.
    fn removal_beside(&self) -> RemovalDelay {
        match self.removal {
            RemovalDelay::After(delay) => RemovalDelay::After(delay.max(LEAVES)),
            RemovalDelay::Never => RemovalDelay::Never,
        }
    }

    /// Watches a container; `None` where it is gone, or was never started. Asks until the engine answers.
    async fn attach(&self, engine_id: &str, removal: RemovalDelay) -> Option<Handle> {
        let docker = self.docker.as_ref()?;
        let mut pause = FIRST_PAUSE;
        loop {
            let order = AttachOrder {
                container_id: self.run.container_id,
                task: self.as_task()?,
                engine_id: engine_id.to_owned(),
                removal,
            };
            match docker.attach(order).await {
                Ok(handle) => return handle,
                Err(error) => {
                    tracing::warn!(
                        engine_id,
                        error = chain(&error),
                        "a container does not answer; trying again"
                    );
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// The container of a task that was launched after the takeover began, if there is one.
    async fn late(&self, docker: &Containerizer) -> Option<String> {
        let engine = docker.engine();
        let name = stock_name(self.run.container_id);
        let mut pause = FIRST_PAUSE;
        loop {
            match engine.inspect(&name, engine.deadlines().inspect).await {
                Ok(found) => return found.map(|found| found.id),
                Err(error) => {
                    tracing::warn!(name, error = chain(&error), "a container does not answer; trying again");
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Removes a container, until the engine says that it is gone.
    async fn remove(&self, docker: &Containerizer, engine_id: &str) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = docker.remove_orphan(engine_id).await {
            tracing::warn!(engine_id, error, "a stock agent's container was not removed; trying again");
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// What the containerizer wants to know of a container that runs already: what it may use. The rest of the task is
    /// its launch's, which is over.
    fn as_task(&self) -> Option<TaskSpec> {
        let id: TaskId = self.run.executor_id.as_str().parse().ok()?;
        let resources = &self.resources;
        let read = |resources: &[v1::Resource]| {
            let docker = v1::container_info::DockerInfo { image: "unknown".into(), ..Default::default() };
            let mut container = v1::ContainerInfo { docker: Some(docker), ..Default::default() };
            container.set_type(v1::container_info::Type::Docker);
            let info = v1::TaskInfo {
                name: id.as_str().to_owned(),
                task_id: v1::TaskId { value: id.as_str().to_owned() },
                command: Some(v1::CommandInfo { shell: Some(false), ..Default::default() }),
                container: Some(container),
                resources: resources.to_vec(),
                ..Default::default()
            };
            TaskSpec::of_running_task(&info).map(|(task, _)| task)
        };
        // Amounts that stock took and that we do not understand must not cost the task its life.
        read(resources).or_else(|_| read(&[])).inspect_err(|error| tracing::error!(%error, "a bug")).ok()
    }
}

/// Waits for the lead's end.
async fn ended(held: &Held) {
    match held {
        Held::Process(process) => process.ended().await,
        Held::Container(handle) => {
            let mut handle = handle.clone();
            handle.terminated().await;
        }
        Held::Plain(handle) => {
            let mut handle = handle.clone();
            handle.terminated().await;
        }
        Held::Gone => {}
    }
}

/// Then, or when the time is not to be told.
fn later(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now + LONGEST_STOP)
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// The name that stock gives a container (`DOCKER_NAME_PREFIX` in `src/slave/containerizer/docker.hpp`).
fn stock_name(id: ContainerId) -> String {
    format!("mesos-{id}")
}
