//! Launching the tasks of a definition.

use std::time::Duration;

use docker_containerizer::logs::LogChunk;
use mesos_proto::v1;
use mesos_types::FrameworkId;
use sandbox::Owner;
use task_supervisor::{KillRequest, Kind, Prepared, Supervisor, TaskKilling, TaskOrder};
use tokio::sync::mpsc;

use super::follow::{Followed, OutputEnd, Signals, follow};
use super::show::Show;
use crate::args::RunArgs;
use crate::check;
use crate::document::{self, Tasks};
use crate::failure::Failure;
use crate::host_ports::HostPorts;
use crate::runs::{self, OwnedRun};
use crate::setup::{self, Setup};

/// How many pieces of a task's output may wait to be printed.
pub(crate) const OUTPUT: usize = 64;

/// A task that was checked, with the end of its output that we print from.
type Ready = (Prepared, mpsc::Receiver<LogChunk>);

/// Runs a definition to its end; answers the exit code.
///
/// Everything is checked before anything is done: first what needs no engine, then the engine, then what its facts
/// decide. Directories are made after all of it, so that bad input leaves nothing behind.
pub(crate) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let mut ports = HostPorts::new();
    let Tasks { infos, notes } = document::read(&args.definition, &mut ports)?;
    let mut setup = Setup::to_launch(&args.flags)?;
    let without_engine = setup::facts_without_engine();
    let framework_id = runs::new_id()?;
    let kinds: Vec<_> = infos.iter().map(|info| check::kind_of(info.container.as_ref())).collect();
    let mut orders = Vec::with_capacity(infos.len());
    let shown = document::shown(&args.definition.file);
    for info in infos {
        let checked = check::check(&setup, &info, &without_engine)
            .and_then(check::Checked::allowed)
            .map_err(|failure| failure.within(&shown))?;
        orders.push(order(&framework_id, info, checked.owner)?);
    }
    if kinds.contains(&Kind::Docker) {
        // One that does not answer is to leave nothing behind.
        setup.engine().await?;
    }
    setup.make_work_dir()?;
    let supervisor = setup.supervisor(setup.containerizers(kinds).await?);
    let show = Show::new(args.json, orders.len());
    for note in &notes {
        show.note(note);
    }
    let mut ready = Vec::with_capacity(orders.len());
    for (order, output) in orders {
        let task =
            supervisor.prepare(order).map_err(|error| Failure::of("the task cannot be run", &error))?;
        ready.push((task, output));
    }
    let run = OwnedRun::begin(&setup.work_dir, framework_id)?;
    let signals = Signals::listen();
    let (followed, failed) = launch(&supervisor, &show, ready);
    let code = follow(&supervisor, vec![run], signals, show, followed, args.timeout).await;
    // Host ports are ours until the last container is gone.
    drop(ports);
    match failed {
        Some(failure) => Err(failure),
        None => Ok(code),
    }
}

/// Launches all tasks. When one cannot be, those before it are killed, and the caller follows them to their end.
fn launch(supervisor: &Supervisor, show: &Show, ready: Vec<Ready>) -> (Vec<Followed>, Option<Failure>) {
    let mut followed: Vec<Followed> = Vec::with_capacity(ready.len());
    for (task, output) in ready {
        for notice in task.notices() {
            show.note(&notice.to_string());
        }
        let name = task.task_id().as_str().to_owned();
        let container_id = task.container_id();
        match supervisor.launch(task) {
            Ok(handle) => followed.push(Followed {
                name,
                container_id,
                handle,
                output,
                output_end: OutputEnd::WithTheTask,
            }),
            Err(error) => {
                for task in &followed {
                    // The queue of a task that was just launched has room.
                    let _ = task.handle.kills.try_send(KillRequest::new(Some(Duration::ZERO)));
                }
                return (followed, Some(Failure::of(format!("the task {name} cannot be launched"), &error)));
            }
        }
    }
    (followed, None)
}

fn order(
    framework_id: &FrameworkId,
    info: v1::TaskInfo,
    owner: Option<Owner>,
) -> Result<(TaskOrder, mpsc::Receiver<LogChunk>), Failure> {
    let (tap, output) = mpsc::channel(OUTPUT);
    let order = TaskOrder {
        owner,
        tap: Some(tap),
        ..TaskOrder::new(check::identity(&info, framework_id)?, info, TaskKilling::Sent)
    };
    Ok((order, output))
}
