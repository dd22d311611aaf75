//! `mesos-docker inspect`: all that is known of a task, in one JSON object.

use mesos_containerizer::Seen;
use mesos_proto::json::{Names, to_json_set};
use mesos_proto::v1::TaskInfo;
use serde_json::{Value, json};
use task_supervisor::Kind;

use crate::args::InspectArgs;
use crate::failure::{Failure, chain};
use crate::find::{self, KnownRun};
use crate::out;
use crate::pick::pick;
use crate::redact::{hide_secret_variables, hide_secrets};
use crate::runs::Ownership;
use crate::setup::Setup;

/// Prints what is known.
pub(crate) async fn inspect(args: InspectArgs) -> Result<u8, Failure> {
    let setup = Setup::new(&args.flags.0)?;
    let runs = find::runs(&setup.work_dir);
    runs.tell_broken();
    let run = pick(&runs.known, &args.id)?;
    let mut object = describe(run);
    if run.kind() == Kind::Docker {
        object["container"] = container(&setup, run).await.unwrap_or_else(|failure| {
            out::note(&format!("note the container is not shown: {}", failure.message()));
            Value::Null
        });
    } else {
        object["process"] = process(run);
    }
    out::pretty(&object)?;
    Ok(0)
}

/// What the record says.
fn describe(run: &KnownRun) -> Value {
    let identity = &run.identity;
    let owner = match run.owner {
        Ownership::Owned(pid) => json!({"pid": pid}),
        Ownership::Orphaned => Value::Null,
    };
    let status = find::terminal_status(&run.record);
    let status = status.map(|status| without_secrets(to_json_set(&status, Names::V1)));
    json!({
        "task_id": identity.task_id,
        "agent_id": identity.agent_id,
        "framework_id": identity.framework_id,
        "executor_id": identity.executor_id,
        "container_id": identity.container_id,
        "containerizer": run.kind().name(),
        "container_name": run.record.container_name,
        "engine_id": run.record.engine_id,
        "phase": run.record.phase,
        "state": run.state().as_str_name(),
        "owner": owner,
        "started_at": run.record.started_at,
        "image_digest": run.record.image,
        "kill": run.record.kill,
        "sandbox": run.layout.sandbox().to_string_lossy(),
        "task_info": run.info.as_ref().map(|info| without_secrets(to_json_set(info, Names::V1))),
        "terminal_status": status,
    })
}

/// A message's JSON form without the values of secrets.
fn without_secrets(mut json: Value) -> Value {
    hide_secrets(&mut json);
    json
}

/// The task's process, if it was started.
fn process(run: &KnownRun) -> Value {
    let started = run.record.process.map(|process| process.started_ns);
    match run.process() {
        Some(Seen::Runs(process)) => json!({ "pid": process.pid, "is_running": true, "started_ns": started }),
        Some(Seen::Gone) => json!({ "pid": null, "is_running": false, "started_ns": started }),
        None => Value::Null,
    }
}

/// The engine's inspection, if the container is there.
async fn container(setup: &Setup, run: &KnownRun) -> Result<Value, Failure> {
    let engine = setup.engine().await?;
    let id = run.record.engine_id.as_deref().unwrap_or(&run.record.container_name);
    let inspection =
        engine.inspect(id, engine.deadlines().inspect).await.map_err(|error| Failure::ours(chain(&error)))?;
    let Some(inspection) = inspection else { return Ok(Value::Null) };
    let mut container = serde_json::from_slice(&inspection.raw)
        .map_err(|error| Failure::of("the engine's answer is no JSON", &error))?;
    hide_secret_variables(&mut container, run.info.as_ref().unwrap_or(&TaskInfo::default()));
    Ok(container)
}
