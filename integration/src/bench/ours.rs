//! Owns our side of the launch benchmark: a TaskInfo through the supervisor and the containerizer, from accepted to
//! TASK_RUNNING.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use docker_containerizer::{Containerizer, Identity};
use docker_engine::{Engine, EngineOptions};
use mesos_proto::v1;
use mesos_types::ContainerId;
use task_supervisor::{
    KillRequest, Supervisor, SupervisorSettings, TaskHandle, TaskKilling, TaskOrder, Update,
};

use super::side::{Launched, Network, Side};
use crate::images::TestImage;
use crate::supervised::settings;
use crate::sweep::SCOPE_LABEL;

/// How long a launch or a removal may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes our side on the engine at `socket`, with a work directory of its own.
///
/// # Errors
///
/// The engine doesn't answer.
pub async fn side(socket: &Path, scope: &str, work_dir: &Path, at_once: usize) -> Result<Side> {
    let engine = Engine::connect(EngineOptions::new(socket)).await.context("connect to the engine")?;
    let docker = settings::docker(work_dir);
    let containerizer = Containerizer::new(engine, docker).await.context("make the containerizer")?;
    let work_dir = work_dir.canonicalize().context("find the work directory")?;
    let settings = SupervisorSettings { default_grace: Duration::ZERO, ..settings::supervisor(&work_dir) };
    let supervisor = Supervisor::new(containerizer, settings);
    let scope = scope.to_owned();
    Ok(Side {
        name: "ours",
        launch: Arc::new(move |network| {
            Box::pin(launch(supervisor.clone(), task(network, &scope), scope.clone()))
        }),
        concurrencies: vec![at_once.max(1)],
    })
}

/// Returns the task: the same command, limits and label as the baseline's container.
fn task(network: Network, scope: &str) -> v1::TaskInfo {
    use v1::container_info::{DockerInfo, Type, docker_info};

    let parameter = v1::Parameter { key: "label".into(), value: format!("{SCOPE_LABEL}={scope}") };
    let mut docker = DockerInfo {
        image: TestImage::Busybox.reference().into(),
        parameters: vec![parameter],
        ..DockerInfo::default()
    };
    docker.set_network(match network {
        Network::Host => docker_info::Network::Host,
        Network::Bridge => docker_info::Network::Bridge,
    });
    let mut container = v1::ContainerInfo { docker: Some(docker), ..Default::default() };
    container.set_type(Type::Docker);
    let scalar = |name: &str, value| v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    v1::TaskInfo {
        name: "bench".into(),
        task_id: v1::TaskId { value: format!("bench-{}", uuid::Uuid::new_v4()) },
        agent_id: v1::AgentId { value: scope.into() },
        resources: vec![scalar("cpus", 0.1), scalar("mem", 64.0)],
        command: Some(v1::CommandInfo {
            shell: Some(false),
            arguments: vec!["sleep".into(), "1000".into()],
            ..Default::default()
        }),
        container: Some(container),
        ..Default::default()
    }
}

async fn launch(supervisor: Supervisor, info: v1::TaskInfo, scope: String) -> Result<Launched> {
    let began = Instant::now();
    let task_id = info.task_id.value.clone();
    let identity = Identity {
        agent_id: scope.parse()?,
        framework_id: "bench".parse()?,
        executor_id: task_id.parse()?,
        task_id: task_id.parse()?,
        container_id: ContainerId::random(),
    };
    let order = TaskOrder::new(identity, info, TaskKilling::Omitted);
    let container_id = order.identity.container_id;
    let mut task = supervisor.launch(supervisor.prepare(order)?)?;
    tokio::time::timeout(PATIENCE, running(&mut task)).await.context("no TASK_RUNNING")??;
    let took = began.elapsed();
    let settled = supervisor.containerizer().wait(container_id);
    let remove = async move {
        task.kills.send(KillRequest::new(Some(Duration::ZERO))).await.context("the task takes no kill")?;
        let end = async {
            while task.updates.recv().await.is_some() {}
            if let Some(mut settled) = settled {
                settled.settled().await;
            }
        };
        tokio::time::timeout(PATIENCE, end).await.context("not removed")
    };
    Ok(Launched { took, remove: Box::pin(remove) })
}

async fn running(task: &mut TaskHandle) -> Result<()> {
    while let Some(update) = task.updates.recv().await {
        match update {
            Update::Running(..) => return Ok(()),
            Update::Terminal(_, outcome, _) => bail!("the task ended: {}", outcome.message),
            _ => {}
        }
    }
    bail!("the task's updates ended")
}
