//! Any JSON is answered without a panic, and a good definition that is damaged becomes an error or valid tasks.

mod common;

use std::path::Path;
use std::sync::LazyLock;

use marathon_app::{App, Container, Network, Ports};
use mesos_proto::v1::TaskInfo;
use proptest::prelude::*;
use serde_json::Value;

/// The definitions in `data/`, as seeds.
static SEEDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let files = std::fs::read_dir(data).expect("tests/data exists");
    files
        .map(|file| std::fs::read(file.expect("it can be listed").path()).expect("it can be read"))
        .map(|text| serde_json::from_slice(&text).expect("the seeds are JSON"))
        .collect()
});

/// Words that mean something to the reader, among any others.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("id".to_owned()),
        Just("app".to_owned()),
        Just("container".to_owned()),
        Just("docker".to_owned()),
        Just("image".to_owned()),
        Just("portMappings".to_owned()),
        Just("networks".to_owned()),
        Just("env".to_owned()),
        Just("healthChecks".to_owned()),
        Just("BRIDGE".to_owned()),
        Just("../..".to_owned()),
        Just("a\u{0}b".to_owned()),
        ".{0,12}",
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..70_000_u32).prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What is done to one place of a definition.
#[derive(Debug, Clone)]
enum Damage {
    Delete,
    Rename(String),
    Replace(Value),
    Append(Value),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Delete),
        word().prop_map(Damage::Rename),
        any_json().prop_map(Damage::Replace),
        any_json().prop_map(Damage::Append),
    ]
}

/// Every place below a value, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                places(member, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

fn apply(value: &mut Value, place: usize, damage: Damage) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let pointer = all[place % all.len()].clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", ""));
    match damage {
        Damage::Replace(new) => {
            if let Some(target) = value.pointer_mut(&pointer) {
                *target = new;
            }
        }
        Damage::Append(new) => match value.pointer_mut(&pointer) {
            Some(Value::Array(items)) => items.push(new),
            Some(Value::Object(members)) => {
                members.insert("appended".to_owned(), new);
            }
            _ => {}
        },
        Damage::Delete | Damage::Rename(_) => {
            if let Some(Value::Object(members)) = value.pointer_mut(parent)
                && let Some(old) = members.remove(key)
                && let Damage::Rename(name) = damage
            {
                members.insert(name, old);
            }
        }
    }
}

/// What every task must hold, whatever it was made from.
fn assert_valid(app: &App, task: &TaskInfo) {
    assert!(!task.task_id.value.is_empty());
    let docker = task.container.as_ref().and_then(|container| container.docker.as_ref());
    assert_eq!(docker.is_some(), app.container.docker().is_some());
    assert_eq!(task.container.is_none(), app.container == Container::Absent);
    assert!(docker.is_none_or(|docker| !docker.image.is_empty()));
    assert!(docker.is_some() || app.network == Network::Host, "a process has no other network");
    let mappings = docker.map_or(&[][..], |docker| &docker.port_mappings);
    assert!(task.resources.iter().all(|one| one.scalar.is_none_or(|scalar| scalar.value > 0.0)));
    let offered: Vec<u64> = task
        .resources
        .iter()
        .filter_map(|one| one.ranges.as_ref())
        .flat_map(|ranges| ranges.range.iter().flat_map(|range| range.begin..=range.end))
        .collect();
    assert!(offered.iter().all(|port| (31000..=32000).contains(port)));
    for mapping in mappings {
        assert!(offered.contains(&u64::from(mapping.host_port)));
        assert!((1..=65535).contains(&mapping.container_port));
    }
    if matches!(app.network, Network::Host | Network::None) {
        assert!(mappings.is_empty());
    }
    if let Ports::Definitions { definitions, .. } = &app.ports {
        assert!(offered.len() <= definitions.len());
    }
    let command = task.command.as_ref().expect("a task has a command");
    let variables = &command.environment.as_ref().expect("a task has an environment").variables;
    assert!(variables.windows(2).all(|pair| pair[0].name < pair[1].name), "variables are unique and sorted");
    for text in variables.iter().flat_map(|one| [Some(&one.name), one.value.as_ref()]).flatten() {
        assert!(!text.contains('\0'));
    }
    match (&command.value, docker) {
        (None, Some(_)) => {}
        (Some(_), Some(_)) => assert!(command.arguments.is_empty()),
        (Some(_), None) if command.shell() => assert!(command.arguments.is_empty()),
        (program, None) => assert_eq!(command.arguments.first(), program.as_ref(), "a process has a program"),
    }
    let json = mesos_proto::json::to_json(task, mesos_proto::json::Names::V1);
    let back: TaskInfo = mesos_proto::json::from_json(json).expect("a built task prints and reads");
    assert_eq!(back.task_id, task.task_id);
}

/// The longest line that a person is shown, in bytes.
const LONGEST_ERROR: usize = 2048;

/// Reads and builds, and says whether that was possible.
fn answer(value: &Value) -> bool {
    let one_line = |error: marathon_app::AppError| {
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() <= LONGEST_ERROR, "{} bytes: {text:.200}", text.len());
        assert!(!text.contains(char::is_control), "more than a line: {text:?}");
    };
    let apps = match marathon_app::parse_value(value) {
        Err(error) => {
            one_line(error);
            return false;
        }
        Ok(apps) => apps,
    };
    let mut built = true;
    for mut app in apps {
        app.instances = app.instances.min(3);
        match common::build(&app) {
            Ok(tasks) => tasks.iter().for_each(|task| assert_valid(&app, task)),
            Err(error) => {
                one_line(error);
                built = false;
            }
        }
    }
    built
}

#[test]
fn every_field_may_be_absent_or_hold_anything() {
    let long = "x".repeat(100_000);
    let (mut good, mut bad) = (0, 0);
    for seed in SEEDS.iter() {
        let mut all = Vec::new();
        places(seed, "", &mut all);
        for place in 0..all.len() {
            let anything = [Value::Null, 7.into(), "a\u{0}b".into(), "a\nb".into(), long.as_str().into()]
                .map(Damage::Replace);
            let more = [Damage::Delete, Damage::Rename(long.clone()), Damage::Rename("a\n".to_owned())];
            for damage in anything.into_iter().chain(more) {
                let mut value = seed.clone();
                apply(&mut value, place, damage);
                *(if answer(&value) { &mut good } else { &mut bad }) += 1;
            }
        }
    }
    assert!(good > 200 && bad > 200, "{good} good and {bad} bad definitions tell little");
}

/// Seconds in CI; `PROPTEST_CASES` makes a long run of it.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(2048))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_json_is_answered(value in any_json()) {
        answer(&value);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = marathon_app::parse_text(&bytes);
    }

    #[test]
    fn damaged_definitions_are_answered(
        seed: prop::sample::Index,
        damages in prop::collection::vec((any::<usize>(), damage()), 1..4),
    ) {
        let mut value = seed.get(&SEEDS).clone();
        for (place, damage) in damages {
            apply(&mut value, place, damage);
        }
        answer(&value);
    }
}
