//! Reads and prints JSON as it was recorded between stock 1.11.0 programs.
//!
//! `data/tasks` holds TaskInfos as a framework wrote them, before it put in the agent of the offer. `data/endpoints`
//! holds answers of the agent's operator API as stock printed them, shortened by whole tasks, executors and frameworks.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{collections::BTreeSet, fs, path::Path};

use mesos_proto::{
    Message, agent,
    json::{Names, from_json, from_json_filling, from_json_str, to_json, to_json_set},
    v1::{AgentId, TaskInfo, container_info::docker_info::Network},
};
use serde_json::{Value, json};

fn recorded(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn recorded_tasks_go_both_ways() {
    let tasks = recorded("tasks");
    assert_eq!(tasks.len(), 29);
    for (file, text) in tasks {
        let mut json: Value = serde_json::from_str(&text).unwrap();
        let mut task: TaskInfo =
            from_json_filling(json.clone(), &["agent_id"]).unwrap_or_else(|e| panic!("{file}: {e}"));
        task.agent_id = AgentId { value: "S1".to_owned() };
        json["agent_id"] = json!({"value": "S1"});

        assert_eq!(to_json_set(&task, Names::V1), as_printed(json), "{file}");
        for names in [Names::V0, Names::V1] {
            assert_eq!(from_json::<TaskInfo>(to_json_set(&task, names)).unwrap(), task, "{file}");
        }
        assert_eq!(TaskInfo::decode(task.encode_to_vec().as_slice()).unwrap(), task, "{file}");
    }
}

/// The same document with amounts as the doubles that they are, where a person wrote `32`.
fn as_printed(mut json: Value) -> Value {
    let amounts = json["resources"].as_array_mut().unwrap().iter_mut().filter_map(|r| r.get_mut("scalar"));
    for amount in amounts {
        amount["value"] = json!(amount["value"].as_f64().unwrap());
    }
    if let Some(limits) = json.get_mut("limits") {
        for limit in limits.as_object_mut().unwrap().values_mut() {
            if let Some(value) = limit["value"].as_f64() {
                limit["value"] = json!(value);
            }
        }
    }
    for name in ["check", "health_check"] {
        if let Some(check) = json.get_mut(name) {
            for (_, value) in
                check.as_object_mut().unwrap().iter_mut().filter(|(k, _)| k.ends_with("_seconds"))
            {
                *value = json!(value.as_f64().unwrap());
            }
        }
    }
    json
}

#[test]
fn a_task_without_its_agent_is_refused_where_nobody_fills_it_in() {
    let (_, text) = recorded("tasks").into_iter().find(|(file, _)| file == "env.json").unwrap();
    let error = from_json_str::<TaskInfo>(&text).unwrap_err();
    assert_eq!(error.to_string(), "$.agent_id: required, but not set");
}

#[test]
fn an_infinite_limit_is_read() {
    let (_, text) = recorded("tasks").into_iter().find(|(file, _)| file == "limits-infinite.json").unwrap();
    let task: TaskInfo = from_json_filling(serde_json::from_str(&text).unwrap(), &["agent_id"]).unwrap();
    assert!(task.limits["mem"].value.is_infinite());
    let docker = task.container.unwrap().docker.unwrap();
    assert_eq!((docker.network, docker.network()), (None, Network::Host));
}

#[test]
fn recorded_answers_are_printed_alike() {
    let answers = recorded("endpoints");
    let files: BTreeSet<_> = answers.iter().map(|(file, _)| file.as_str()).collect();
    assert!(files.contains("get_tasks.json") && files.contains("get_executors.json"), "{files:?}");
    for (file, text) in &answers {
        let answer: agent::Response = from_json_str(text).unwrap_or_else(|e| panic!("{file}: {e}"));
        // As texts, so that the order of the fields counts, and 32.0 is not 32.
        let printed = to_json(&answer, Names::V1).to_string();
        let recorded = normal(serde_json::from_str(text).unwrap()).to_string();
        if printed != recorded {
            let at = printed.bytes().zip(recorded.bytes()).take_while(|(a, b)| a == b).count();
            panic!("{file} at {at}: printed …{:.80}, recorded …{:.80}", &printed[at..], &recorded[at..]);
        }
    }
}

/// What stock leaves to chance, put in order: the keys of maps. By being read, doubles have lost another difference:
/// stock does not always end them in the nearest digit.
fn normal(mut json: Value) -> Value {
    match &mut json {
        Value::Array(elements) => elements.iter_mut().for_each(|e| *e = normal(e.take())),
        Value::Object(members) => {
            if let Some(Value::Object(map)) = members.get_mut("limits") {
                map.sort_keys();
            }
            members.values_mut().for_each(|m| *m = normal(m.take()));
        }
        _ => {}
    }
    json
}
