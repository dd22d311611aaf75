//! A custom executor for tests that speaks libprocess messages with its agent, as executors on stock's libmesos do
//! (`src/exec/exec.cpp`): registers, runs tasks as their data says, updates until it is acknowledged, registers again when
//! the agent asks for it, and shuts down when it is told to or when nobody asks for too long.
//!
//! What it understands is what `pymesos/executor.py` understands, and it says the same lines: see there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use libprocess::{Event, HttpHandler, Incoming, Node, Overrides, Process, Settings, Upid};
use mesos_proto::internal::{
    ExecutorRegisteredMessage, ExecutorReregisteredMessage, ExecutorToFrameworkMessage,
    FrameworkToExecutorMessage, KillTaskMessage, ReconnectExecutorMessage, RegisterExecutorMessage,
    ReregisterExecutorMessage, RunTaskMessage, ShutdownExecutorMessage, StatusUpdate,
    StatusUpdateAcknowledgementMessage, StatusUpdateMessage,
};
use mesos_proto::v1::{
    AgentId, ExecutorId, FrameworkId, TaskId, TaskInfo, TaskState, TaskStatus, task_status,
};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// Our name, as stock's driver has it.
const PROCESS: &str = "executor(1)";

/// How long the agent may take to be found, and the last messages to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many ends of tasks may wait to be told.
const ENDS: usize = 64;

/// How long between two looks for a file.
const LOOK: Duration = Duration::from_millis(100);

/// What a task is to do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    say: Option<String>,
    seconds: Option<f64>,
    until: Option<String>,
    state: Option<String>,
}

/// Whether the executor goes on.
enum Then {
    GoOn,
    Exit(u8),
}

struct Executor {
    process: Process,
    agent: Upid,
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    agent_id: AgentId,
    /// How long it waits for an agent that is away; none where tasks are not checkpointed.
    recovery: Option<Duration>,
    /// When it gives up the agent that is away.
    deadline: Option<Instant>,
    registered: bool,
    /// The state that each task would end in.
    running: BTreeMap<String, TaskState>,
    /// Tasks that no update of was acknowledged.
    new: BTreeMap<String, TaskInfo>,
    /// Updates that were not acknowledged, in order.
    updates: Vec<StatusUpdate>,
    ends: mpsc::Sender<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let overrides = Overrides::read(std::env::vars()).context("the environment")?;
    let mut settings = Settings::default();
    overrides.apply(&mut settings);
    let agent =
        Upid::resolve(&variable("MESOS_SLAVE_PID")?, PATIENCE).await.context("the agent's address")?;
    let node = Node::bind(settings, HttpHandler::none()).await.context("listen")?;
    let process = node.register(PROCESS)?;
    let (ends, ended) = mpsc::channel(ENDS);
    let mut executor = Executor {
        process,
        agent,
        framework_id: FrameworkId { value: variable("MESOS_FRAMEWORK_ID")? },
        executor_id: ExecutorId { value: variable("MESOS_EXECUTOR_ID")? },
        agent_id: AgentId { value: variable("MESOS_SLAVE_ID")? },
        recovery: recovery()?,
        deadline: None,
        registered: false,
        running: BTreeMap::new(),
        new: BTreeMap::new(),
        updates: Vec::new(),
        ends,
    };
    let status = executor.run(ended).await?;
    node.shutdown(PATIENCE).await;
    Ok(ExitCode::from(status))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("the environment has no {name}"))
}

fn recovery() -> Result<Option<Duration>> {
    if variable("MESOS_CHECKPOINT")? != "1" {
        return Ok(None);
    }
    let text = variable("MESOS_RECOVERY_TIMEOUT")?;
    flags::parse_duration(&text).map(Some).map_err(|why| anyhow::anyhow!("MESOS_RECOVERY_TIMEOUT: {why}"))
}

impl Executor {
    async fn run(&mut self, mut ended: mpsc::Receiver<String>) -> Result<u8> {
        self.process.link(&self.agent);
        let hello = RegisterExecutorMessage {
            framework_id: self.framework_id.clone(),
            executor_id: self.executor_id.clone(),
        };
        self.process.post(&self.agent, &hello);
        loop {
            let deadline = self.deadline;
            let given_up = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let then = tokio::select! {
                () = given_up => self.shut_down(),
                Some(task) = ended.recv() => {
                    self.end(&task, None);
                    Then::GoOn
                }
                event = self.process.next() => match event.context("the node has ended")? {
                    Event::Message(message) => self.take(&message)?,
                    Event::Exited(upid) if upid == self.agent => self.lost(),
                    Event::Exited(_) => Then::GoOn,
                },
            };
            if let Then::Exit(status) = then {
                return Ok(status);
            }
        }
    }

    fn lost(&mut self) -> Then {
        println!("DISCONNECTED");
        match self.recovery {
            Some(recovery) if self.registered => {
                self.deadline = Some(Instant::now() + recovery);
                Then::GoOn
            }
            Some(_) | None => self.shut_down(),
        }
    }

    fn shut_down(&mut self) -> Then {
        println!("SHUTDOWN");
        Then::Exit(0)
    }

    fn take(&mut self, message: &Incoming) -> Result<Then> {
        if message.is::<ReconnectExecutorMessage>() {
            self.reconnect(message.from.clone(), &message.decode::<ReconnectExecutorMessage>()?);
        } else if message.is::<ExecutorRegisteredMessage>() {
            let registered = message.decode::<ExecutorRegisteredMessage>()?;
            anyhow::ensure!(
                registered.executor_info.executor_id == self.executor_id,
                "another executor's answer"
            );
            anyhow::ensure!(registered.slave_id == self.agent_id, "another agent's answer");
            self.registered = true;
            println!("REGISTERED");
        } else if message.is::<ExecutorReregisteredMessage>() {
            println!("REREGISTERED");
        } else if message.is::<RunTaskMessage>() {
            self.launch(message.decode::<RunTaskMessage>()?.task)?;
        } else if message.is::<KillTaskMessage>() {
            let task_id = message.decode::<KillTaskMessage>()?.task_id.value;
            println!("KILL {task_id}");
            self.end(&task_id, Some(TaskState::TaskKilled));
        } else if message.is::<StatusUpdateAcknowledgementMessage>() {
            let acknowledged = message.decode::<StatusUpdateAcknowledgementMessage>()?;
            self.updates.retain(|update| update.uuid.as_ref() != Some(&acknowledged.uuid));
            self.new.remove(&acknowledged.task_id.value);
        } else if message.is::<FrameworkToExecutorMessage>() {
            return self.answer(&message.decode::<FrameworkToExecutorMessage>()?.data);
        } else if message.is::<ShutdownExecutorMessage>() {
            return Ok(self.shut_down());
        } else {
            println!("UNKNOWN {}", message.name);
        }
        Ok(Then::GoOn)
    }

    /// The agent has started again, maybe at another address.
    fn reconnect(&mut self, from: Upid, message: &ReconnectExecutorMessage) {
        if message.slave_id != self.agent_id {
            println!("RECONNECT of {}", message.slave_id.value);
            return;
        }
        self.agent = from;
        self.deadline = None;
        self.process.relink(&self.agent);
        let again = ReregisterExecutorMessage {
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            tasks: self.new.values().cloned().collect(),
            updates: self.updates.clone(),
        };
        self.process.post(&self.agent, &again);
    }

    fn launch(&mut self, task: TaskInfo) -> Result<()> {
        let task_id = task.task_id.value.clone();
        let orders = match task.data.as_deref() {
            None | Some([]) => Orders::default(),
            Some(data) => serde_json::from_slice(data).with_context(|| format!("the data of {task_id}"))?,
        };
        println!("LAUNCH {task_id}");
        if let Some(line) = orders.say {
            println!("{line}");
        }
        let name = orders.state.as_deref().unwrap_or("TASK_FINISHED");
        let state = TaskState::from_str_name(name).with_context(|| format!("{name} is no state"))?;
        self.running.insert(task_id.clone(), state);
        self.new.insert(task_id.clone(), task);
        self.update(&task_id, TaskState::TaskRunning);
        if let Some(seconds) = orders.seconds {
            let ends = self.ends.clone();
            tokio::spawn(async move {
                sleep(Duration::from_secs_f64(seconds)).await;
                // The executor may have ended.
                let _ = ends.send(task_id).await;
            });
            return Ok(());
        }
        if let Some(file) = orders.until {
            let file = PathBuf::from(variable("MESOS_SANDBOX")?).join(file);
            let ends = self.ends.clone();
            tokio::spawn(async move {
                while !file.exists() {
                    sleep(LOOK).await;
                }
                let _ = ends.send(task_id).await;
                // A test waits for that.
                let _ = std::fs::remove_file(file);
            });
        }
        Ok(())
    }

    fn answer(&mut self, data: &[u8]) -> Result<Then> {
        let text = String::from_utf8(data.to_vec()).context("a framework message")?;
        println!("MESSAGE {text}");
        let answer = ExecutorToFrameworkMessage {
            slave_id: self.agent_id.clone(),
            framework_id: self.framework_id.clone(),
            executor_id: self.executor_id.clone(),
            data: format!("echo: {text}").into_bytes(),
        };
        self.process.post(&self.agent, &answer);
        match text.split_once(' ') {
            Some(("finish", task_id)) => self.end(task_id, None),
            Some(("exit", status)) => return Ok(Then::Exit(status.parse().context("an exit status")?)),
            Some(_) | None => {}
        }
        Ok(Then::GoOn)
    }

    /// Ends a task in this state, or in its own.
    fn end(&mut self, task_id: &str, state: Option<TaskState>) {
        if let Some(otherwise) = self.running.remove(task_id) {
            self.update(task_id, state.unwrap_or(otherwise));
        }
    }

    fn update(&mut self, task_id: &str, state: TaskState) {
        let uuid = uuid::Uuid::new_v4().as_bytes().to_vec();
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let status = TaskStatus {
            task_id: TaskId { value: task_id.to_owned() },
            state: state.into(),
            agent_id: Some(self.agent_id.clone()),
            executor_id: Some(self.executor_id.clone()),
            source: Some(task_status::Source::Executor.into()),
            uuid: Some(uuid.clone()),
            timestamp: Some(timestamp),
            ..TaskStatus::default()
        };
        let update = StatusUpdate {
            framework_id: self.framework_id.clone(),
            executor_id: Some(self.executor_id.clone()),
            slave_id: Some(self.agent_id.clone()),
            status,
            timestamp,
            uuid: Some(uuid),
            latest_state: None,
        };
        self.updates.push(update.clone());
        let pid = Some(self.process.upid().to_string());
        self.process.post(&self.agent, &StatusUpdateMessage { update, pid });
    }
}
