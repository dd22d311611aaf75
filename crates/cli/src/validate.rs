//! `mesos-docker validate`: what would be sent, without sending anything.

use docker_containerizer::request::EngineFacts;
use marathon_app::PortPool;
use mesos_proto::json::Names;
use serde_json::json;

use crate::args::ValidateArgs;
use crate::check::check;
use crate::document;
use crate::failure::Failure;
use crate::out;
use crate::setup::Setup;

/// Prints the TaskInfo and the create request of each task.
pub(crate) async fn validate(args: ValidateArgs) -> Result<u8, Failure> {
    let mut ports = PortPool::new([PortPool::DEFAULT_HOST_PORTS]);
    let tasks = document::read(&args.definition, &mut ports)?;
    let setup = Setup::new(&args.flags)?;
    for note in &tasks.notes {
        out::note(&format!("note {note}"));
    }
    let engine: EngineFacts = setup.facts().await;
    let mut shown = Vec::with_capacity(tasks.infos.len());
    let file = document::shown(&args.definition.file);
    for info in &tasks.infos {
        let checked = check(&setup, info, &engine).map_err(|failure| failure.within(&file))?;
        for notice in &checked.task.notices {
            out::note(&format!("note {notice}"));
        }
        shown.push(json!({
            "task_info": mesos_proto::json::to_json_set(info, Names::V1),
            "container_name": checked.request.name,
            "create_request": serde_json::to_value(&checked.request.body)
                .map_err(|error| Failure::of("the request cannot be printed", &error))?,
        }));
    }
    shown.iter().try_for_each(out::pretty)?;
    Ok(0)
}
