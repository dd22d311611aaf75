//! Launching the tasks of a definition.

use docker_containerizer::logs::LogChunk;
use docker_containerizer::{Checkpoint, Identity};
use mesos_proto::{Message, v1};
use mesos_types::ContainerId;
use task_supervisor::{Supervisor, TaskKilling, TaskOrder, owner_of};
use tokio::sync::mpsc;

use super::follow::{Followed, follow};
use super::show::Show;
use crate::args::RunArgs;
use crate::document;
use crate::failure::Failure;
use crate::host_ports::HostPorts;
use crate::runs::OwnedRun;
use crate::setup::Setup;

/// How many pieces of a task's output may wait to be printed.
const OUTPUT: usize = 64;

/// Runs a definition to its end; answers the exit code.
pub(crate) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let mut ports = HostPorts::new();
    let tasks = document::read(&args.definition, &mut ports)?;
    let setup = Setup::new(&args.flags)?;
    let supervisor = setup.supervisor().await?;
    let run = OwnedRun::begin(&setup.work_dir)?;
    let show = Show::new(args.json, tasks.infos.len());
    for note in &tasks.notes {
        show.note(note);
    }
    // Everything is checked before anything is done, so that bad input leaves nothing behind.
    let mut prepared = Vec::with_capacity(tasks.infos.len());
    for info in tasks.infos {
        let (order, output) = order(&run, &setup, info)?;
        let task = supervisor.prepare(order).map_err(|error| Failure::of("the task cannot be run", &error))?;
        prepared.push((task, output));
    }
    let mut followed = Vec::with_capacity(prepared.len());
    for (task, output) in prepared {
        for notice in &task.task().notices {
            show.note(&notice.to_string());
        }
        let name = task.task().task_id.as_str().to_owned();
        let container_id = task.container_id();
        let handle = launch(&supervisor, task)?;
        followed.push(Followed { name, container_id, handle, output });
    }
    let code = follow(&supervisor, run, show, followed, args.timeout).await;
    drop(ports);
    Ok(code)
}

fn launch(
    supervisor: &Supervisor,
    task: task_supervisor::Prepared,
) -> Result<task_supervisor::TaskHandle, Failure> {
    supervisor.launch(task).map_err(|error| Failure::of("the task cannot be launched", &error))
}

fn order(
    run: &OwnedRun,
    setup: &Setup,
    info: v1::TaskInfo,
) -> Result<(TaskOrder, mpsc::Receiver<LogChunk>), Failure> {
    let invalid = |error: mesos_types::IdError| Failure::of("the task cannot be run", &error);
    let task_id: mesos_types::TaskId = info.task_id.value.parse().map_err(invalid)?;
    let identity = Identity {
        agent_id: info.agent_id.value.parse().map_err(invalid)?,
        framework_id: run.framework_id.clone(),
        executor_id: task_id.as_str().parse().map_err(invalid)?,
        task_id,
        container_id: ContainerId::random(),
    };
    let user = info.command.as_ref().and_then(|command| command.user.as_deref());
    let owner = match user.filter(|_| setup.settings.switch_user && rustix::process::geteuid().is_root()) {
        Some(user) => Some(owner_of(user).map_err(|error| Failure::of("the task cannot be run", &error))?),
        None => None,
    };
    let (tap, output) = mpsc::channel(OUTPUT);
    let order = TaskOrder {
        identity,
        info_bytes: info.encode_to_vec(),
        info,
        checkpoint: Checkpoint::Yes,
        task_killing: TaskKilling::Sent,
        owner,
        tap: Some(tap),
    };
    Ok((order, output))
}
