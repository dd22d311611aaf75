//! `mesos-docker validate`: what would be sent or run and what the policy says of it, without doing anything.

use docker_containerizer::policy::Verdict;
use docker_containerizer::request::{EngineFacts, Request};
use marathon_app::PortPool;
use mesos_proto::json::{Names, to_json_set};
use mesos_proto::v1::TaskInfo;
use mesos_types::{PlainCommand, PlainTaskSpec};
use serde_json::{Value, json};
use task_supervisor::Kind;

use crate::args::ValidateArgs;
use crate::check::{Checked, What, check, kind_of};
use crate::document;
use crate::failure::{Failure, OURS};
use crate::out;
use crate::redact::{hide_secret_variables, hide_secrets};
use crate::setup::{Setup, facts_without_engine};

/// Prints the TaskInfo of each task, with the create request and the policy's verdict, or without an image with the
/// process. Answers 125 when the policy does not allow one of them.
pub(crate) async fn validate(args: ValidateArgs) -> Result<u8, Failure> {
    let mut ports = PortPool::new([PortPool::DEFAULT_HOST_PORTS]);
    let tasks = document::read(&args.definition, &mut ports)?;
    let mut setup = Setup::to_launch(&args.flags)?;
    for note in &tasks.notes {
        out::note(&format!("note {note}"));
    }
    let needs_engine = tasks.infos.iter().any(|info| kind_of(info.container.as_ref()) == Kind::Docker);
    let (engine, mut assumed) = match needs_engine {
        true => engine(&mut setup, &args).await,
        false => (facts_without_engine(), None),
    };
    let mut shown = Vec::with_capacity(tasks.infos.len());
    let file = document::shown(&args.definition.file);
    let mut code = 0;
    for info in &tasks.infos {
        let checked = check(&setup, info, &engine).map_err(|failure| failure.within(&file))?;
        // What is wrong whatever the engine is, is said alone.
        if let Some(assumed) = assumed.take() {
            out::note(&assumed);
        }
        for notice in checked.notices() {
            out::note(&format!("note {notice}"));
        }
        shown.push(match &checked.what {
            What::Docker { request, verdict } => {
                for violation in verdict.violations() {
                    out::note(&format!("denied {violation}"));
                    code = OURS;
                }
                if let more @ 1.. = verdict.untold() {
                    out::note(&format!("denied {more} more of the same task"));
                }
                describe(&setup, info, request, verdict, &engine)?
            }
            What::Plain(task) => describe_plain(info, task, &checked),
        });
    }
    shown.iter().try_for_each(out::pretty)?;
    Ok(code)
}

/// What is known of the engine: what `--api-version` says, what an engine says that answers, or what is assumed, with a
/// line that says so.
async fn engine(setup: &mut Setup, args: &ValidateArgs) -> (EngineFacts, Option<String>) {
    if let Some(api_version) = args.api_version {
        return (EngineFacts { api_version, ..facts_without_engine() }, None);
    }
    if let Some(facts) = setup.engine_facts().await {
        return (facts, None);
    }
    let facts = facts_without_engine();
    let line = format!(
        "note no engine answers: one with API {} and the log driver {} is assumed (another with --api-version)",
        facts.api_version, facts.default_log_driver
    );
    (facts, Some(line))
}

/// A task's message without the values of secrets.
fn shown_info(info: &TaskInfo) -> Value {
    let mut task_info = to_json_set(info, Names::V1);
    hide_secrets(&mut task_info);
    task_info
}

/// What would run of a task without an image.
fn describe_plain(info: &TaskInfo, task: &PlainTaskSpec, checked: &Checked) -> Value {
    let argv = match &task.command {
        PlainCommand::Shell(line) => json!(["/bin/sh", "-c", line]),
        PlainCommand::Program { program, arguments } => {
            json!([[program.clone()].as_slice(), &arguments[1..]].concat())
        }
    };
    let environment = task.environment.iter().map(|one| format!("{}={}", one.name(), one.value()));
    let owner = checked.owner.map(|owner| json!({ "uid": owner.uid(), "gid": owner.gid() }));
    json!({
        "task_info": shown_info(info),
        "containerizer": Kind::Mesos.name(),
        "process": { "argv": argv, "env": environment.collect::<Vec<_>>(), "user": task.user, "runs_as": owner },
    })
}

fn describe(
    setup: &Setup,
    info: &TaskInfo,
    request: &Request,
    verdict: &Verdict,
    engine: &EngineFacts,
) -> Result<Value, Failure> {
    let Request { name, body, connections, .. } = request;
    let unprintable = |error: serde_json::Error| Failure::of("the request cannot be printed", &error);
    let mut create_request = serde_json::to_value(body).map_err(unprintable)?;
    hide_secret_variables(&mut create_request, info);
    let mut connects = Vec::with_capacity(connections.len());
    for connection in connections {
        let settings = serde_json::to_value(&connection.settings).map_err(unprintable)?;
        connects.push(json!({ "network": connection.network, "endpoint_config": settings }));
    }
    Ok(json!({
        "task_info": shown_info(info),
        "containerizer": Kind::Docker.name(),
        "container_name": name,
        "api_version": engine.api_version.to_string(),
        "create_request": create_request,
        "network_connects": connects,
        "policy": policy(setup, verdict),
    }))
}

fn policy(setup: &Setup, verdict: &Verdict) -> Value {
    let violations: Vec<Value> = verdict
        .violations()
        .iter()
        .map(|violation| {
            json!({
                "rule": violation.rule.key(),
                "field": violation.field,
                "what": violation.what,
                "remedy": violation.remedy,
            })
        })
        .collect();
    json!({
        "policy": setup.settings.docker_policy,
        "preset": setup.policy.base().name(),
        "allowed": violations.is_empty(),
        "violations": violations,
        "more_violations": verdict.untold(),
    })
}
