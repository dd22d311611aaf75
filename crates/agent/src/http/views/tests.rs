//! The views against what a stock 1.11.0 agent was recorded to answer.
//!
//! `/state` and GET_STATE were recorded within a second of each other, so they are two renderings of one state. The model
//! is made of the messages in GET_STATE, and `/state` must come out; what GET_STATE does not tell (container, sandbox) is
//! taken from `/state`. The recordings are shortened by whole frameworks, and by the inspections in statuses' `data`.

use std::collections::BTreeMap;

use mesos_proto::agent::{Response, response};
use mesos_proto::json::from_json;
use mesos_proto::v1;
use mesos_types::{ExecutorId, FrameworkId, TaskId};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::http::VersionInfo;
use crate::model::{
    Agent, Draining, Executor, ExecutorPhase, Framework, Generated, LiveTask, Master, Phase, Stage,
};

const STATE: &str = include_str!("../../../tests/data/http/state.json");
const GET_STATE: &str = include_str!("../../../tests/data/http/get_state.json");
const GET_AGENT: &str = include_str!("../../../tests/data/http/get_agent.json");
const CONTAINERS: &str = include_str!("../../../tests/data/http/containers.json");
const GET_CONTAINERS: &str = include_str!("../../../tests/data/http/get_containers.json");
const STATISTICS: &str = include_str!("../../../tests/data/http/statistics.json");

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The executors of `/state`, with the member of the framework that they stand in.
fn executors_of_state() -> Vec<(String, &'static str, Value)> {
    let state = read(STATE);
    let mut found = Vec::new();
    for frameworks in ["frameworks", "completed_frameworks"] {
        for framework in state[frameworks].as_array().unwrap() {
            for list in ["executors", "completed_executors"] {
                for executor in framework[list].as_array().unwrap() {
                    found.push((framework["id"].as_str().unwrap().to_owned(), list, executor.clone()));
                }
            }
        }
    }
    found
}

fn live(task: v1::Task, stage: Stage) -> LiveTask {
    LiveTask { id: task.task_id.value.parse().unwrap(), task, stage }
}

/// The model whose `/state` was recorded.
fn recorded() -> Agent {
    let response: Response = from_json(read(GET_STATE)).unwrap();
    let response::GetState { get_tasks, get_executors, get_frameworks } = response.get_state.unwrap();
    let (tasks, executors, frameworks) =
        (get_tasks.unwrap(), get_executors.unwrap(), get_frameworks.unwrap());
    let of = |task: &v1::Task, executor: &v1::ExecutorInfo| {
        let executor_id = task.executor_id.as_ref().map_or(&task.task_id.value, |id| &id.value);
        *executor_id == executor.executor_id.value
            && Some(&task.framework_id) == executor.framework_id.as_ref()
    };
    let made = |info: &v1::ExecutorInfo| {
        let framework_id = info.framework_id.as_ref().unwrap().value.clone();
        let (_, list, shown) = executors_of_state()
            .into_iter()
            .find(|(framework, _, shown)| {
                *framework == framework_id && shown["id"] == *info.executor_id.value
            })
            .unwrap();
        let mut executor = Executor::new(
            info.executor_id.value.parse().unwrap(),
            info.clone(),
            Generated::ForCommandTask,
            shown["container"].as_str().unwrap().parse().unwrap(),
            shown["directory"].as_str().unwrap().into(),
            None,
        );
        executor.phase = if list == "executors" { ExecutorPhase::Running } else { ExecutorPhase::Terminated };
        let all = |list: &[v1::Task]| list.iter().filter(|task| of(task, info)).cloned().collect::<Vec<_>>();
        executor.tasks.extend(all(&tasks.launched_tasks).into_iter().map(|task| live(task, Stage::Launched)));
        executor
            .tasks
            .extend(all(&tasks.terminated_tasks).into_iter().map(|task| live(task, Stage::Terminated)));
        for task in all(&tasks.completed_tasks) {
            executor.completed_tasks.push(task);
        }
        executor
    };
    let framework = |info: &v1::FrameworkInfo| {
        let id: FrameworkId = info.id.as_ref().unwrap().value.parse().unwrap();
        let mut framework = Framework::new(id, info.clone(), None);
        let ours = |executor: &&v1::ExecutorInfo| executor.framework_id.as_ref() == info.id.as_ref();
        for info in executors.executors.iter().map(|executor| &executor.executor_info).filter(ours) {
            let executor = made(info);
            framework.executors.insert(executor.id.clone(), executor);
        }
        for info in executors.completed_executors.iter().map(|executor| &executor.executor_info).filter(ours)
        {
            framework.completed_executors.push(made(info));
        }
        framework
    };
    let state = read(STATE);
    let response: Response = from_json(read(GET_AGENT)).unwrap();
    let info = response.get_agent.unwrap().agent_info.unwrap();
    let start_time = state["start_time"].as_f64().unwrap();
    let pid = state["pid"].as_str().unwrap().to_owned();
    let mut agent = Agent::new(info, pid, "/var/lib/mesos/agent".into(), start_time, uuid::Uuid::nil());
    agent.phase = Phase::Running;
    agent.id = Some(state["id"].as_str().unwrap().parse().unwrap());
    agent.capabilities = state["capabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| v1::agent_info::capability::Type::from_str_name(name.as_str().unwrap()).unwrap())
        .collect();
    let hostname = state["master_hostname"].as_str().map(str::to_owned);
    agent.master =
        Some(Master { pid: "master@127.0.0.1:5050".to_owned(), hostname, capabilities: Vec::new() });
    for info in &frameworks.frameworks {
        let framework = framework(&info.framework_info);
        agent.frameworks.insert(framework.id.clone(), framework);
    }
    for info in &frameworks.completed_frameworks {
        agent.completed_frameworks.push(framework(&info.framework_info));
    }
    agent
}

fn recorded_version() -> VersionInfo {
    let state = read(STATE);
    let text = |name: &str| state[name].as_str().unwrap().to_owned();
    VersionInfo {
        version: text("version"),
        build_time: state["build_time"].as_f64().unwrap(),
        build_user: text("build_user"),
        git_sha: Some(text("git_sha")),
        git_tag: Some(text("git_tag")),
    }
}

fn recorded_flags() -> BTreeMap<String, String> {
    serde_json::from_value(read(STATE)["flags"].clone()).unwrap()
}

/// The same document with its unordered lists in one order.
fn sorted(mut value: Value) -> Value {
    fn id_of(value: &Value) -> String {
        let paths = ["/id", "/executor_info/executor_id/value", "/framework_info/id/value", "/task_id/value"];
        let own =
            paths.iter().find_map(|path| value.pointer(path)).and_then(Value::as_str).unwrap_or_default();
        let framework = ["/framework_id/value", "/executor_info/framework_id/value"];
        let framework = framework.iter().find_map(|path| value.pointer(path)).and_then(Value::as_str);
        format!("{own} {}", framework.unwrap_or_default())
    }
    fn sort(value: &mut Value) {
        match value {
            Value::Array(list) => {
                list.iter_mut().for_each(sort);
                if list.iter().all(|element| element.get("state").is_none() || element.get("name").is_some())
                {
                    list.sort_by_cached_key(id_of);
                }
            }
            Value::Object(members) => members.values_mut().for_each(sort),
            _ => {}
        }
    }
    sort(&mut value);
    value
}

/// Finds the first difference, so that a failure is readable.
fn assert_same(ours: &Value, stock: &Value, path: &str) {
    match (ours, stock) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()) {
                let (Some(a), Some(b)) = (a.get(name), b.get(name)) else {
                    panic!("{path}/{name}: ours {:?}, stock's {:?}", a.get(name), b.get(name))
                };
                assert_same(a, b, &format!("{path}/{name}"));
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            a.iter().zip(b).enumerate().for_each(|(at, (a, b))| assert_same(a, b, &format!("{path}/{at}")));
        }
        // The texts of numbers, as 1 and 1.0 are two types to some readers.
        (a, b) => assert_eq!(a.to_string(), b.to_string(), "{path}"),
    }
}

#[test]
fn state_is_as_stock_prints_it() {
    let (version, flags) = (recorded_version(), recorded_flags());
    let ours = state(&recorded(), StateFacts { version: &version, flags: &flags });
    assert_same(&sorted(ours), &sorted(read(STATE)), "");
}

#[test]
fn get_state_is_as_stock_prints_it() {
    let response = Response {
        r#type: Some(response::Type::GetState.into()),
        get_state: Some(state_message(&recorded())),
        ..Response::default()
    };
    assert_same(&sorted(state_json(&response)), &sorted(read(GET_STATE)), "");
}

#[test]
fn get_agent_is_as_stock_prints_it() {
    let response = Response {
        r#type: Some(response::Type::GetAgent.into()),
        get_agent: Some(agent(&recorded())),
        ..Response::default()
    };
    assert_same(&state_json(&response), &read(GET_AGENT), "");
}

#[test]
fn empty_lists_are_printed_where_stock_prints_them() {
    let nothing = Agent::new(v1::AgentInfo::default(), String::new(), "/w".into(), 0.0, uuid::Uuid::nil());
    let response = Response {
        r#type: Some(response::Type::GetTasks.into()),
        get_tasks: Some(tasks(&nothing)),
        ..Response::default()
    };
    assert_eq!(
        state_json(&response).to_string(),
        r#"{"type":"GET_TASKS","get_tasks":{"pending_tasks":[],"queued_tasks":[],"launched_tasks":[],"terminated_tasks":[],"completed_tasks":[]}}"#
    );
    let response = Response { get_executors: Some(executors(&nothing)), ..Response::default() };
    assert_eq!(state_json(&response), json!({"get_executors": {"executors": [], "completed_executors": []}}));
    let response = Response { get_frameworks: Some(frameworks(&nothing)), ..Response::default() };
    assert_eq!(
        state_json(&response),
        json!({"get_frameworks": {"frameworks": [], "completed_frameworks": []}})
    );
}

fn recorded_usage(timestamp: f64) -> v1::ResourceStatistics {
    v1::ResourceStatistics {
        timestamp,
        cpus_user_time_secs: Some(0.0),
        cpus_system_time_secs: Some(0.01),
        cpus_soft_limit: Some(0.1),
        mem_limit_bytes: Some(33_554_432),
        mem_rss_bytes: Some(49_152),
        ..v1::ResourceStatistics::default()
    }
}

#[test]
fn containers_and_statistics_are_as_stock_prints_them() {
    let with = |usage: Option<v1::ResourceStatistics>| {
        entries(&recorded()).into_iter().map(|entry| (entry, usage.clone())).collect::<Vec<_>>()
    };
    assert_same(&containers(&with(Some(recorded_usage(1_795_253_998.451_86)))), &read(CONTAINERS), "");
    assert_same(&statistics(&with(Some(recorded_usage(1_795_253_998.454_169)))), &read(STATISTICS), "");
    let response = Response {
        r#type: Some(response::Type::GetContainers.into()),
        get_containers: containers_response(with(Some(recorded_usage(1_795_253_998.521_91)))),
        ..Response::default()
    };
    assert_same(&state_json(&response), &read(GET_CONTAINERS), "");

    // Without its usage a container is still told of, but has no statistics.
    assert_eq!(statistics(&with(None)), json!([]));
    assert_eq!(containers(&with(None))[0].get("statistics"), None);
    assert_eq!(containers(&with(None))[0]["status"], read(CONTAINERS)[0]["status"]);
    assert_eq!(containers_response(Vec::new()), None);
}

#[test]
fn a_container_that_ended_is_not_listed() {
    let mut agent = recorded();
    for executor in agent.frameworks.values_mut().flat_map(|framework| framework.executors.values_mut()) {
        executor.phase = ExecutorPhase::Terminated;
    }
    assert_eq!(entries(&agent), []);
}

#[test]
fn pending_and_queued_tasks_and_the_drain_are_told() {
    let mut agent = recorded();
    let framework = agent.frameworks.values_mut().next().unwrap();
    let info = |id: &str| v1::TaskInfo {
        name: id.to_owned(),
        task_id: v1::TaskId { value: id.to_owned() },
        ..Default::default()
    };
    let task_id = |id: &str| id.parse::<TaskId>().unwrap();
    let executor_id: ExecutorId = "e".parse().unwrap();
    framework.pending.push(crate::model::PendingTask { id: task_id("p"), info: info("p"), executor_id });
    let queued = info("q");
    let task = v1::Task { task_id: queued.task_id.clone(), ..Default::default() };
    let executor = framework.executors.values_mut().next().unwrap();
    executor.tasks.push(live(task, Stage::Queued(Box::new(queued))));
    agent.draining = Some(Draining {
        config: v1::DrainConfig { mark_gone: Some(true), ..Default::default() },
        started: 12.5,
    });

    let told = tasks(&agent);
    let ids = |list: &[v1::Task]| {
        list.iter().map(|task| (task.task_id.value.clone(), task.state())).collect::<Vec<_>>()
    };
    assert_eq!(ids(&told.pending_tasks), [("p".to_owned(), v1::TaskState::TaskStaging)]);
    assert_eq!(ids(&told.queued_tasks), [("q".to_owned(), v1::TaskState::TaskStaging)]);

    let (version, flags) = (recorded_version(), BTreeMap::from([("log_dir".to_owned(), "/l".to_owned())]));
    let shown = state(&agent, StateFacts { version: &version, flags: &flags });
    assert_eq!(shown["frameworks"][0]["executors"][0]["queued_tasks"][0]["id"], "q");
    assert_eq!((&shown["drain_config"]["mark_gone"], &shown["log_dir"]), (&json!(true), &json!("/l")));
    assert_eq!(shown["estimated_drain_start_time_seconds"], json!(12.5));
    assert_eq!(super::agent(&agent).estimated_drain_start_time.unwrap().nanoseconds, 12_500_000_000);
}

/// What the web UI of 1.11 and mesos-dns read, with the type that they need.
#[rstest]
#[case::ui("/id", "string")]
#[case::ui("/pid", "string")]
#[case::ui("/hostname", "string")]
#[case::ui("/version", "string")]
#[case::ui("/build_time", "number")]
#[case::ui("/build_user", "string")]
#[case::ui("/start_time", "number")]
#[case::ui("/master_hostname", "string")]
#[case::ui("/attributes", "object")]
#[case::ui("/flags/work_dir", "string")]
#[case::ui("/resources/cpus", "number")]
#[case::ui("/resources/gpus", "number")]
#[case::ui("/resources/mem", "number")]
#[case::ui("/resources/disk", "number")]
#[case::ui("/resources/ports", "string")]
#[case::ui("/reserved_resources", "object")]
#[case::ui("/unreserved_resources/cpus", "number")]
#[case::ui("/unreserved_resources_allocated/cpus", "number")]
#[case::ui("/reserved_resources_full", "object")]
#[case::ui("/unreserved_resources_full", "array")]
#[case::ui("/resource_providers", "array")]
#[case::ui("/completed_frameworks", "array")]
#[case::ui("/frameworks/0/id", "string")]
#[case::ui("/frameworks/0/name", "string")]
#[case::ui("/frameworks/0/user", "string")]
#[case::ui("/frameworks/0/roles/0", "string")]
#[case::ui("/frameworks/0/completed_executors", "array")]
#[case::ui("/frameworks/0/executors/0/id", "string")]
#[case::ui("/frameworks/0/executors/0/name", "string")]
#[case::ui("/frameworks/0/executors/0/source", "string")]
#[case::ui("/frameworks/0/executors/0/container", "string")]
#[case::ui("/frameworks/0/executors/0/directory", "string")]
#[case::ui("/frameworks/0/executors/0/resources/cpus", "number")]
#[case::ui("/frameworks/0/executors/0/role", "string")]
#[case::ui("/frameworks/0/executors/0/queued_tasks", "array")]
#[case::ui("/frameworks/0/executors/0/completed_tasks", "array")]
#[case::ui("/frameworks/0/executors/0/tasks/0/resources/mem", "number")]
#[case::ui("/frameworks/0/executors/0/tasks/0/role", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/id", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/name", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/framework_id", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/slave_id", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/state", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/resources/ports", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/labels/0/key", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/labels/0/value", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/statuses/1/state", "string")]
#[case::dns("/frameworks/0/executors/0/tasks/0/statuses/1/timestamp", "number")]
#[case::dns("/frameworks/0/executors/0/tasks/0/statuses/1/container_status/container_id/value", "string")]
#[case::dns(
    "/frameworks/0/executors/0/tasks/0/statuses/1/container_status/network_infos/0/ip_addresses/0/ip_address",
    "string"
)]
#[case::dns("/frameworks/0/executors/0/tasks/0/container/docker/port_mappings/0/host_port", "number")]
#[case::dns("/frameworks/0/executors/0/tasks/0/container/docker/port_mappings/0/container_port", "number")]
fn readers_find_their_fields(#[case] path: &str, #[case] kind: &str) {
    let (version, flags) = (recorded_version(), recorded_flags());
    let shown = state(&recorded(), StateFacts { version: &version, flags: &flags });
    let found = match shown.pointer(path) {
        Some(Value::String(_)) => "string",
        Some(Value::Number(_)) => "number",
        Some(Value::Object(_)) => "object",
        Some(Value::Array(_)) => "array",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Null) | None => "nothing",
    };
    assert_eq!(found, kind, "{path}");
}
