//! Owns asking the code under test for the request of a TaskInfo. Pure: no engine is needed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use docker_containerizer::request::{
    Connection, CpuQuota, DefaultDns, Dns, EngineFacts, EngineLog, Request, RequestInput, RequestSettings,
    build,
};
use docker_containerizer::{Checkpoint, Identity, Labels};
use mesos_proto::v1;
use mesos_types::{AgentId, ContainerId, FieldError, Strictness, TaskSpec};
use sandbox::Sandbox;
use serde_json::Value;

use super::command_line::Agent;
use super::recorder::Outcome;

/// The settings of the log driver that a container gets where it names none.
pub const ENGINE_LOG: (&str, u64, u32) = ("local", 1 << 20, 2);

/// Where the networks that we connect after the create stand in an outcome.
pub const CONNECTIONS: &str = "connected after the create";

/// Who a container of the comparison belongs to.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The agent.
    pub agent_id: AgentId,
    /// The container.
    pub container_id: ContainerId,
    /// The agent's work directory.
    pub work_dir: String,
}

/// Translates a task for an engine that speaks `api`.
///
/// # Errors
///
/// The field that is refused.
pub fn request(task: &v1::TaskInfo, agent: &Agent, owner: &Owner, api: &str) -> Result<Request, FieldError> {
    let spec = TaskSpec::from_task_info(task, Strictness::Lenient)?;
    let framework =
        "framework".parse().map_err(|error| FieldError::new("framework_id", format!("{error}")))?;
    let executor =
        task.task_id.value.parse().map_err(|error| FieldError::new("task_id", format!("{error}")))?;
    let labels = Labels {
        identity: Identity {
            agent_id: owner.agent_id.clone(),
            framework_id: framework,
            executor_id: executor,
            task_id: spec.task_id.clone(),
            container_id: owner.container_id,
        },
        work_dir: owner.work_dir.clone().into(),
        checkpoint: Checkpoint::Yes,
    };
    let (driver, max_size, max_files) = ENGINE_LOG;
    let bridge = agent.bridge_dns.clone();
    let settings = RequestSettings {
        sandbox_directory: agent.mapped_directory.clone(),
        cfs: if agent.cfs { CpuQuota::FromRequest } else { CpuQuota::FromLimit },
        default_dns: DefaultDns {
            bridge: bridge.map(|[nameservers, search, options]| Dns { nameservers, search, options }),
            user: BTreeMap::new(),
            any_user: None,
        },
        engine_log: EngineLog { driver: driver.into(), max_size, max_files },
        proxies: docker_containerizer::ProxyVariables::default(),
        policy: Default::default(),
    };
    let api_version = api.parse().map_err(|error| FieldError::new("api", format!("{error}")))?;
    let engine = EngineFacts {
        memory: agent.host_memory,
        default_log_driver: "json-file".into(),
        api_version,
        data_root: "/var/lib/docker".into(),
    };
    let request = build(&RequestInput {
        task: &spec,
        labels: &labels,
        sandbox: Path::new(&agent.sandbox),
        name: None,
        overlay: &[],
        settings: &settings,
        engine: &engine,
    })?;
    // Files that parameters name are read when the sandbox is ready, as at a launch.
    let sandbox = Sandbox::open(Path::new(&agent.sandbox))
        .map_err(|error| FieldError::new("sandbox", format!("{error}")))?;
    Ok(request.with_files(&sandbox)?.unwrap_or(request))
}

/// Returns a request in the form in which a client's is recorded.
///
/// # Errors
///
/// The body cannot be written as JSON.
pub fn outcome(request: Result<Request, FieldError>) -> Result<Outcome> {
    Ok(match request {
        Ok(request) => {
            let mut body = serde_json::to_value(&request.body).context("write the create request")?;
            if !request.connections.is_empty() {
                let settings =
                    |one: &Connection| Ok((one.network.clone(), serde_json::to_value(&one.settings)?));
                body[CONNECTIONS] = request.connections.iter().map(settings).collect::<Result<Value>>()?;
            }
            Outcome::Sent { query: BTreeMap::from([("name".to_owned(), request.name)]), body }
        }
        Err(error) => Outcome::Refused(error.to_string()),
    })
}
