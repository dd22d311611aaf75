//! The model in the answers of the v1 operator API (`Http::_getTasks` and its neighbours in `src/slave/http.cpp`).

use mesos_proto::agent::response::{
    GetAgent, GetExecutors, GetFrameworks, GetState, GetTasks, get_executors, get_frameworks,
};
use mesos_proto::json::{Names, to_json};
use mesos_proto::{v1, without_secrets};
use serde_json::{Map, Value, json};

use crate::model::{Agent, Executor, Framework, task_of};

/// The lists of each part of an answer about state.
const LISTS: [(&str, &[&str]); 3] = [
    (
        "get_tasks",
        &["pending_tasks", "queued_tasks", "launched_tasks", "terminated_tasks", "completed_tasks"],
    ),
    ("get_executors", &["executors", "completed_executors"]),
    ("get_frameworks", &["frameworks", "completed_frameworks"]),
];

/// The answer to GET_AGENT.
pub(crate) fn agent(agent: &Agent) -> GetAgent {
    let mut info = agent.info.clone();
    info.id = agent.id.as_ref().map(|id| v1::AgentId { value: id.as_str().to_owned() });
    GetAgent {
        agent_info: Some(info),
        drain_config: agent.draining.as_ref().map(|draining| draining.config),
        estimated_drain_start_time: agent.draining.as_ref().map(|draining| nanoseconds(draining.started)),
    }
}

/// The answer to GET_FRAMEWORKS.
pub(crate) fn frameworks(agent: &Agent) -> GetFrameworks {
    let shown = |framework: &Framework| get_frameworks::Framework { framework_info: framework.info.clone() };
    GetFrameworks {
        frameworks: agent.frameworks.values().map(shown).collect(),
        completed_frameworks: agent.completed_frameworks.iter().map(shown).collect(),
    }
}

/// The answer to GET_EXECUTORS.
pub(crate) fn executors(agent: &Agent) -> GetExecutors {
    let shown =
        |executor: &Executor| get_executors::Executor { executor_info: without_secrets(&executor.info) };
    let running = all_frameworks(agent).flat_map(|framework| framework.executors.values());
    let completed = all_frameworks(agent).flat_map(|framework| framework.completed_executors.iter());
    GetExecutors {
        executors: running.map(shown).collect(),
        completed_executors: completed.map(shown).collect(),
    }
}

/// The answer to GET_TASKS.
pub(crate) fn tasks(agent: &Agent) -> GetTasks {
    let mut tasks = GetTasks::default();
    for framework in all_frameworks(agent) {
        let framework_id = v1::FrameworkId { value: framework.id.as_str().to_owned() };
        let staging = |info| without_secrets(&task_of(info, v1::TaskState::TaskStaging, &framework_id));
        tasks.pending_tasks.extend(framework.pending.iter().map(|pending| staging(&pending.info)));
        for executor in framework.executors.values().chain(framework.completed_executors.iter()) {
            tasks.queued_tasks.extend(executor.queued_tasks().map(|(_, info)| staging(info)));
            tasks.launched_tasks.extend(executor.launched_tasks().map(|live| without_secrets(&live.task)));
            tasks
                .terminated_tasks
                .extend(executor.terminated_tasks().map(|live| without_secrets(&live.task)));
            tasks.completed_tasks.extend(executor.completed_tasks.iter().map(without_secrets));
        }
    }
    tasks
}

/// The answer to GET_STATE.
pub(crate) fn state_message(agent: &Agent) -> GetState {
    GetState {
        get_tasks: Some(tasks(agent)),
        get_executors: Some(executors(agent)),
        get_frameworks: Some(frameworks(agent)),
    }
}

/// The JSON form of an answer about state: here, as in stock, empty lists are printed.
pub(crate) fn state_json(response: &mesos_proto::agent::Response) -> Value {
    let mut shown = to_json(response, Names::V1);
    fill(&mut shown);
    if let Some(state) = shown.get_mut("get_state") {
        fill(state);
    }
    shown
}

/// Puts the empty lists into the parts that an answer has.
fn fill(answer: &mut Value) {
    for (part, names) in LISTS {
        let Some(Value::Object(given)) = answer.get_mut(part) else { continue };
        let list = |name: &&str| ((*name).to_owned(), given.remove(*name).unwrap_or_else(|| json!([])));
        let filled: Map<_, _> = names.iter().map(list).collect();
        *given = filled;
    }
}

fn all_frameworks(agent: &Agent) -> impl Iterator<Item = &Framework> {
    agent.frameworks.values().chain(agent.completed_frameworks.iter())
}

#[expect(clippy::cast_possible_truncation, reason = "the time of now fits, and the conversion saturates")]
fn nanoseconds(seconds: f64) -> v1::TimeInfo {
    v1::TimeInfo { nanoseconds: (seconds * 1e9) as i64 }
}
