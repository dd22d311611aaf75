//! Whole apps to whole tasks: `data/NAME.json` becomes `golden/NAME.json`. After a change that is meant, run
//! `UPDATE_GOLDEN=1 cargo test -p marathon-app --test golden` and read the difference.

mod common;

use std::path::Path;

use mesos_proto::json::{Names, from_json, to_json};
use mesos_proto::v1::TaskInfo;
use serde_json::{Value, json};

fn snapshot(text: &[u8]) -> Value {
    let apps = marathon_app::parse_text(text).expect("the definition is good");
    let apps: Vec<Value> = apps
        .iter()
        .map(|app| {
            let tasks = common::build(app).expect("the tasks can be built");
            let notes: Vec<String> = app.notes.iter().map(ToString::to_string).collect();
            json!({ "notes": notes, "tasks": tasks.iter().map(task_json).collect::<Vec<_>>() })
        })
        .collect();
    Value::Array(apps)
}

/// The Mesos JSON of a task, which must read back as the same task; printing adds defaults, so the prints are compared.
fn task_json(task: &TaskInfo) -> Value {
    let json = to_json(task, Names::V1);
    let back: TaskInfo = from_json(json.clone()).expect("what is printed can be read");
    assert_eq!(to_json(&back, Names::V1), json);
    json
}

#[test]
fn every_definition_becomes_its_tasks() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut names: Vec<_> = std::fs::read_dir(tests.join("data"))
        .expect("tests/data exists")
        .map(|entry| entry.expect("it can be listed").file_name())
        .collect();
    names.sort();
    assert!(names.len() >= 15, "definitions are missing: {names:?}");
    for name in names {
        let text = std::fs::read(tests.join("data").join(&name)).expect("it can be read");
        let found = snapshot(&text);
        let golden = tests.join("golden").join(&name);
        if update {
            let pretty = serde_json::to_string_pretty(&found).expect("JSON prints");
            std::fs::write(&golden, pretty + "\n").expect("it can be written");
        }
        let expected = std::fs::read(&golden).unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
        let expected: Value = serde_json::from_slice(&expected).expect("golden files are JSON");
        assert_eq!(found, expected, "{}", name.display());
    }
}
