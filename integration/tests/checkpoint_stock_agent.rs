//! Work directories that go from a stock 1.11.0 agent to us and back: each recovers what the other wrote, strictly.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use checkpoint::recover::{RecoveredState, recover};
use checkpoint::{BootId, Store, StreamRecord, Streamed, Strictness};
use integration::reference::Cluster;
use integration::{TestScope, eventually, require_engine, require_reference};
use mesos_proto::internal::StatusUpdate;
use mesos_proto::v1::{self, TaskState};
use mesos_types::{AgentId, ContainerId};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

/// A task of ours in a framework, executor and run of its own.
struct Planted<'a> {
    store: &'a Store,
    agent: &'a AgentId,
    framework: &'a str,
    task: &'a str,
    container: ContainerId,
}

impl Planted<'_> {
    fn run(&self) -> Result<checkpoint::RunPaths> {
        let framework = self.store.layout().agent(self.agent).framework(&self.framework.parse()?);
        Ok(framework.executor(&self.task.parse()?).run(self.container))
    }

    /// Writes it as our agent does, with these updates and acknowledgements.
    fn write(&self, records: &[StreamRecord<StatusUpdate>]) -> Result<()> {
        let framework = self.store.layout().agent(self.agent).framework(&self.framework.parse()?);
        let executor = framework.executor(&self.task.parse()?);
        let framework_id = v1::FrameworkId { value: self.framework.to_owned() };
        let info = v1::FrameworkInfo {
            user: "root".into(),
            name: self.framework.to_owned(),
            id: Some(framework_id.clone()),
            checkpoint: Some(true),
            roles: vec!["*".into()],
            capabilities: vec![v1::framework_info::Capability {
                r#type: Some(v1::framework_info::capability::Type::MultiRole.into()),
            }],
            ..Default::default()
        };
        self.store.write_framework(&framework, &info, None)?;
        let executor_info = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: self.task.to_owned() },
            framework_id: Some(framework_id.clone()),
            name: Some("Command Executor (Task: planted) (Command: NO EXECUTABLE)".into()),
            source: Some(self.task.to_owned()),
            command: Some(v1::CommandInfo {
                value: Some("/nowhere/mesos-executor".into()),
                shell: Some(false),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.store.write_executor(&executor, &executor_info, true)?;
        let run = self.run()?;
        self.store.create_run(&executor, &run)?;
        std::fs::create_dir_all(run.sandbox())?;
        self.store.point_to_sandbox(&executor, &run)?;
        let paths = run.task(&self.task.parse()?);
        let task = v1::Task {
            name: "planted".into(),
            task_id: v1::TaskId { value: self.task.to_owned() },
            framework_id,
            agent_id: v1::AgentId { value: self.agent.to_string() },
            state: TaskState::TaskStaging.into(),
            ..Default::default()
        };
        self.store.write_task(&paths, &task)?;
        for record in records {
            self.store.append_task_update(&paths, &StatusUpdate::wire(record))?;
        }
        Ok(())
    }

    fn update(&self, uuid: Uuid, state: TaskState) -> StreamRecord<StatusUpdate> {
        let agent_id = Some(v1::AgentId { value: self.agent.to_string() });
        let executor_id = Some(v1::ExecutorId { value: self.task.to_owned() });
        StreamRecord::Update(StatusUpdate {
            framework_id: v1::FrameworkId { value: self.framework.to_owned() },
            executor_id: executor_id.clone(),
            slave_id: agent_id.clone(),
            status: v1::TaskStatus {
                task_id: v1::TaskId { value: self.task.to_owned() },
                state: state.into(),
                agent_id,
                executor_id,
                timestamp: Some(1_795_253_234.5),
                uuid: Some(uuid.as_bytes().to_vec()),
                ..Default::default()
            },
            timestamp: 1_795_253_234.5,
            uuid: Some(uuid.as_bytes().to_vec()),
            ..Default::default()
        })
    }
}

fn strictly(store: &Store) -> Result<RecoveredState> {
    Ok(recover(store, Strictness::Strict, &BootId::current()?)?)
}

/// The ids of the agents that the master knows.
async fn agents(cluster: &Cluster) -> Result<Vec<String>> {
    let slaves = cluster.get("/slaves").await?;
    let slaves = slaves["slaves"].as_array().context("the agents")?;
    Ok(slaves.iter().filter_map(|slave| slave["id"].as_str().map(str::to_owned)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_agent_recovers_what_we_wrote_and_we_what_it_wrote() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let cluster_dir = scope.subdir("cluster")?;
    let launcher_dir = scope.subdir("launcher")?;
    let work_dir = cluster_dir.join("agents/0/work");
    let socket = format!("--docker_socket={}", engine.socket().display());
    let flags = [socket.as_str(), "--docker_kill_orphans=false", "--docker_remove_delay=1hrs"];

    // The stock agent registers. What it wrote is whole to us.
    let cluster = Cluster::start(&cluster_dir, &launcher_dir, &flags).await?;
    let (port, registered) = (cluster.port(), agents(&cluster).await?);
    cluster.stop().await?;
    let store = Store::open(&work_dir)?;
    let state = strictly(&store)?;
    ensure!(state.findings.is_empty() && state.leftovers.is_empty(), "{state:?}");
    let agent = state.agent.context("no agent was recovered")?;
    assert_eq!(registered, [agent.id.to_string()]);
    assert_eq!(state.boot, Some(BootId::current()?));

    // We write everything once more, and a task that has ended and one whose container is gone.
    store.write_boot_id(&BootId::current()?)?;
    store.write_agent(&agent.paths, &agent.info)?;
    let planted = |framework, task| Planted {
        store: &store,
        agent: &agent.id,
        framework,
        task,
        container: ContainerId::random(),
    };
    let (ended, gone) = (planted("planted-0001", "ended"), planted("planted-0002", "gone"));
    let ids = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    ended.write(&[
        ended.update(ids[0], TaskState::TaskRunning),
        StreamRecord::Acknowledged(ids[0]),
        ended.update(ids[1], TaskState::TaskFinished),
        StreamRecord::Acknowledged(ids[1]),
    ])?;
    store.complete_run(&ended.run()?)?;
    gone.write(&[gone.update(ids[2], TaskState::TaskRunning)])?;
    let gone_updates = gone.run()?.task(&"gone".parse()?).updates();
    let written = std::fs::read(&gone_updates)?;
    drop(store);

    // The stock agent, which is strict, is the same agent and knows both tasks.
    let cluster = Cluster::start_at(port, &cluster_dir, &launcher_dir, &flags).await?;
    assert_eq!(agents(&cluster).await?, registered);
    eventually("the stock agent to tell the end of the task that is gone", PATIENCE, async || {
        let length = std::fs::metadata(&gone_updates)?.len();
        Ok((length > written.len() as u64).then_some(()))
    })
    .await?;
    cluster.stop().await?;

    // It told the master of the one, and went on with the other where we stopped.
    let log = std::fs::read_to_string(cluster_dir.join("reference.log"))?;
    ensure!(log.contains("completed task ended of framework planted-0001"), "the ended task is unknown");
    ensure!(log.contains("Resending task status update TASK_RUNNING"), "nothing was sent again");
    let bytes = std::fs::read(&gone_updates)?;
    ensure!(bytes.starts_with(&written), "the stock agent wrote over what we had written");
    let store = Store::open(&work_dir)?;
    let state = strictly(&store)?;
    assert_eq!(state.errors, 0);
    let agent = state.agent.context("no agent was recovered")?;
    let framework = agent.frameworks.iter().find(|framework| framework.id.as_str() == "planted-0002");
    let executor = framework.and_then(|framework| framework.executors.first()).context("its executor")?;
    let task = executor.latest_run().and_then(|run| run.tasks.first()).context("its task")?;
    let told: Vec<TaskState> = task.updates.updates.iter().map(|update| update.status.state()).collect();
    assert_eq!(told.first(), Some(&TaskState::TaskRunning));
    ensure!(told.last().is_some_and(|state| checkpoint::stream::is_terminal_task_state(*state)), "{told:?}");
    ensure!(Path::new(&work_dir).join("meta/agent.lock").exists(), "our lock file stays");
    Ok(())
}
