//! `mesos-docker validate`: what would be sent, without sending anything.

use docker_containerizer::request::{EngineFacts, RequestInput};
use docker_containerizer::{Checkpoint, Identity, Labels};
use marathon_app::PortPool;
use mesos_proto::json::Names;
use mesos_types::{ContainerId, TaskSpec};
use serde_json::json;
use task_supervisor::RunLayout;

use crate::args::ValidateArgs;
use crate::document;
use crate::failure::Failure;
use crate::setup::Setup;

/// Prints the TaskInfo and the create request of each task.
pub(crate) async fn validate(args: ValidateArgs) -> Result<u8, Failure> {
    let mut ports = PortPool::new([PortPool::DEFAULT_HOST_PORTS]);
    let tasks = document::read(&args.definition, &mut ports)?;
    let setup = Setup::without_directory(&args.flags)?;
    for note in &tasks.notes {
        eprintln!("note {note}");
    }
    let settings = setup.request_settings();
    let engine: EngineFacts = setup.facts().await;
    let mut checked = Vec::with_capacity(tasks.infos.len());
    for info in &tasks.infos {
        let invalid = |error: &dyn std::error::Error| Failure::of("the task cannot be run", error);
        let task = TaskSpec::from_task_info(info, setup.strictness()).map_err(|error| invalid(&error))?;
        let id = |text: &str| text.parse().map_err(|error: mesos_types::IdError| invalid(&error));
        let labels = Labels {
            identity: Identity {
                agent_id: args.definition.agent_id.parse().map_err(|error: mesos_types::IdError| invalid(&error))?,
                framework_id: "validate".parse().map_err(|error: mesos_types::IdError| invalid(&error))?,
                executor_id: id(task.task_id.as_str())?,
                task_id: task.task_id.clone(),
                container_id: ContainerId::random(),
            },
            work_dir: setup.work_dir.clone(),
            checkpoint: Checkpoint::Yes,
        };
        let layout = RunLayout::of(&setup.work_dir, &labels.identity);
        let request = docker_containerizer::request::build(&RequestInput {
            task: &task,
            labels: &labels,
            sandbox: layout.sandbox(),
            overlay: &[],
            settings: &settings,
            engine: &engine,
        })
        .map_err(|error| invalid(&error))?;
        for notice in &task.notices {
            eprintln!("note {notice}");
        }
        checked.push(json!({
            "task_info": mesos_proto::json::to_json_set(info, Names::V1),
            "container_name": request.name,
            "create_request": serde_json::to_value(&request.body)
                .map_err(|error| Failure::of("the request cannot be printed", &error))?,
        }));
    }
    for task in &checked {
        let text = serde_json::to_string_pretty(task).map_err(|error| Failure::of("cannot print", &error))?;
        println!("{text}");
    }
    Ok(0)
}
