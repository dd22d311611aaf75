//! Any TaskInfo in JSON is answered: read, checked and translated into a create request, or refused in one short line
//! that names the field. Nothing panics, and a request that is made keeps its promises.
//!
//! `PROPTEST_CASES` sets how many cases each property has; `scripts/fuzz` runs them for as long as you like.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use docker_containerizer::policy::{HostPlaces, Policy, Preset};
use docker_containerizer::request::{
    CpuQuota, DefaultDns, EngineFacts, EngineLog, Request, RequestInput, RequestSettings, build, draft,
};
use docker_containerizer::{Checkpoint, Identity, Labels};
use mesos_proto::v1::TaskInfo;
use mesos_types::{ContainerId, Strictness, TaskSpec};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// The sandbox in all requests here; the colon is what `-v` could not take.
const SANDBOX: &str = "/w/slaves/S/sand:box";

/// The longest line that a person is shown, in bytes.
const LONGEST_ERROR: usize = 2048;

/// Words that mean something on the way to a request.
const WORDS: [&str; 40] = [
    "name",
    "value",
    "key",
    "cpus",
    "mem",
    "ports",
    "gpus",
    "container",
    "docker",
    "image",
    "host_path",
    "container_path",
    "parameters",
    "env",
    "volume",
    "label",
    "org.apache.mesos.work_dir=/",
    "hostname",
    "memory",
    "ulimit",
    "log-driver",
    "log-opt",
    "publish",
    "MESOS_SANDBOX=/",
    "BRIDGE",
    "USER",
    "NONE",
    "udp",
    "RO",
    "SANDBOX_PATH",
    "Infinity",
    "..",
    "/",
    "a/../../b",
    "/a:/b",
    "a\u{0}b",
    "a\nb",
    "é",
    "99999999999999999999g",
    "",
];

/// Options of `docker run` that a damaged task is given: all that any client has.
static OPTIONS: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("data/docker-run-options-28.2.txt").lines().collect());

/// Tasks that stock ran, and tasks that Marathon apps become.
static SEEDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seeds = read(&crates.join("mesos-proto/tests/data/tasks"));
    for built in read(&crates.join("marathon-app/tests/golden")) {
        let apps = built.as_array().expect("the golden files are arrays of apps");
        seeds.extend(apps.iter().flat_map(|app| app["tasks"].as_array().expect("an app has tasks").clone()));
    }
    for seed in &mut seeds {
        // The recorded tasks are those of a framework, which leaves the agent to the launch.
        seed["agent_id"] = serde_json::json!({"value": "local"});
    }
    assert!(seeds.len() > 30, "{} seeds tell little", seeds.len());
    seeds
});

fn read(dir: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("the directory of seeds exists")
        .map(|file| file.expect("it can be listed").path())
        .collect();
    // A failing case names a seed by its place.
    files.sort();
    files
        .iter()
        .map(|file| {
            serde_json::from_slice(&std::fs::read(file).expect("it can be read")).expect("a seed is JSON")
        })
        .collect()
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z0-9=:/-]{0,12}",
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
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What is done to one place of a task.
#[derive(Debug, Clone)]
enum Damage {
    Delete,
    Replace(Value),
    Append(Value),
    /// Adds a `docker run` option, where there is a Docker container.
    Parameter(&'static str, String),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        1 => Just(Damage::Delete),
        // A place gets a word more often than a whole document, since most places hold one.
        3 => word().prop_map(|word| Damage::Replace(word.into())),
        1 => any_json().prop_map(Damage::Replace),
        1 => any_json().prop_map(Damage::Append),
        2 => (prop::sample::select(&OPTIONS[..]), word()).prop_map(|(key, value)| Damage::Parameter(key, value)),
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

fn apply(value: &mut Value, place: Index, damage: Damage) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let pointer = place.get(&all).clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", ""));
    match damage {
        Damage::Replace(new) => {
            if let Some(target) = value.pointer_mut(&pointer) {
                *target = new;
            }
        }
        Damage::Append(new) => match value.pointer_mut(&pointer) {
            Some(Value::Array(items)) => items.push(new),
            Some(Value::Object(members)) => drop(members.insert("appended".to_owned(), new)),
            _ => {}
        },
        Damage::Delete => {
            if let Some(Value::Object(members)) = value.pointer_mut(parent) {
                members.remove(key);
            }
        }
        Damage::Parameter(key, text) => {
            if let Some(Value::Object(docker)) = value.pointer_mut("/container/docker") {
                let parameters = docker.entry("parameters").or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(parameters) = parameters {
                    parameters.push(serde_json::json!({"key": key, "value": text}));
                }
            }
        }
    }
}

/// An error as a person sees it.
fn assert_short_line(error: &dyn std::error::Error) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() <= LONGEST_ERROR, "{} bytes: {text:.200}", text.len());
    assert!(!text.contains(char::is_control), "more than a line: {text:?}");
}

fn labels(task: &TaskSpec) -> Labels {
    Labels {
        identity: Identity {
            agent_id: "local".parse().expect("an id"),
            framework_id: "fuzz".parse().expect("an id"),
            executor_id: task.task_id.as_str().parse().expect("a task's id is an executor's"),
            task_id: task.task_id.clone(),
            container_id: ContainerId::random(),
        },
        work_dir: "/w".into(),
        checkpoint: Checkpoint::Yes,
    }
}

/// What holds for every request, whatever task it was made from.
fn assert_promises(task: &TaskSpec, labels: &Labels, request: &Request) {
    let json = serde_json::to_value(&request.body).expect("a request is JSON");
    assert!(request.name.starts_with("mesos-local-"));
    let ours = labels.to_map().expect("the work directory is UTF-8");
    assert!(
        ours.iter().all(|(key, value)| json["Labels"][key] == value.as_str()),
        "a label of ours was changed"
    );
    let mut foreign =
        json["Labels"].as_object().expect("labels").keys().filter(|key| !ours.contains_key(*key));
    assert!(foreign.all(|key| !key.starts_with("org.apache.mesos.")), "a task set a label of ours");
    assert_ne!(json["HostConfig"]["AutoRemove"], true);
    let offered: BTreeSet<u16> = task.resources.ports.iter().collect();
    let given = |keys: &[&str]| {
        let named = |key: &str| keys.contains(&key.split('=').next().unwrap_or_default());
        task.container.parameters.iter().any(|parameter| named(&parameter.key))
    };
    // What a parameter publishes is for the host policy.
    let bindings = json["HostConfig"]["PortBindings"].as_object().filter(|_| !given(&["publish"]));
    for bindings in bindings.into_iter().flat_map(|ports| ports.values()) {
        for binding in bindings.as_array().expect("bindings") {
            let port = binding["HostPort"].as_str().and_then(|port| port.parse().ok()).expect("a port");
            assert!(offered.contains(&port), "{port} is not the task's");
        }
    }
    let env = json["Env"].as_array().expect("there is an environment");
    let named =
        |name: &str| env.iter().filter(|one| one.as_str().is_some_and(|one| one.starts_with(name))).count();
    assert_eq!((named("MESOS_SANDBOX="), named("MESOS_CONTAINER_NAME=")), (1, 1));
    let mut mounts = json["HostConfig"]["Mounts"].as_array().expect("the sandbox is one").iter();
    let sandbox = mounts.any(|mount| mount["Source"] == SANDBOX && mount["Target"] == "/mnt/mesos/sandbox");
    assert!(sandbox, "the sandbox is not mounted: {json}");
    if !given(&["memory"])
        && let Some(memory) = json["HostConfig"]["Memory"].as_i64()
    {
        assert!(memory >= 32 << 20, "{memory} bytes");
    }
    assert_no_nul(&json);
}

fn assert_no_nul(json: &Value) {
    match json {
        Value::String(text) => assert!(!text.contains('\0'), "a NUL would cut {text:?}"),
        Value::Array(items) => items.iter().for_each(assert_no_nul),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            assert!(!key.contains('\0'), "a NUL would cut {key:?}");
            assert_no_nul(value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn settings(policy: Policy) -> RequestSettings {
    RequestSettings {
        sandbox_directory: "/mnt/mesos/sandbox".into(),
        cfs: CpuQuota::FromRequest,
        default_dns: DefaultDns::default(),
        engine_log: EngineLog { driver: "local".into(), max_size: 1 << 20, max_files: 3 },
        proxies: docker_containerizer::ProxyVariables::default(),
        policy: Arc::new(policy),
    }
}

/// The strict policy judges what can be translated, and always alike.
fn assert_judged(input: &RequestInput<'_>, is_translated: bool) {
    let Ok((request, verdict)) = draft(input) else {
        assert!(!is_translated, "a policy makes no difference to the translation");
        return;
    };
    let (again, verdict_again) = draft(input).expect("translated once");
    assert_eq!((&request.body, &verdict), (&again.body, &verdict_again));
    for violation in verdict.violations() {
        assert!(!violation.field.is_empty() && !violation.what.is_empty());
    }
    if let Err(error) = verdict.into_result() {
        assert_short_line(&error);
    }
}

/// Takes a document all the way; says whether a request came out.
fn answer(json: Value) -> bool {
    let info: TaskInfo = match mesos_proto::json::from_json(json) {
        Ok(info) => info,
        Err(error) => {
            assert_short_line(&error);
            return false;
        }
    };
    let strict = TaskSpec::from_task_info(&info, Strictness::Strict);
    let task = match TaskSpec::from_task_info(&info, Strictness::Lenient) {
        Ok(task) => task,
        Err(error) => {
            assert_short_line(&error);
            assert!(strict.is_err(), "strict takes no task that lenient refuses");
            return false;
        }
    };
    assert_eq!(strict.is_ok(), task.notices.is_empty(), "strict refuses just the tasks with notices");
    let labels = labels(&task);
    let settings = settings(Policy::default());
    let strict_policy = self::settings(Policy::preset(Preset::Strict, HostPlaces::default()));
    let engine = EngineFacts {
        memory: 1 << 34,
        default_log_driver: "json-file".into(),
        api_version: docker_engine::NEWEST_API,
        data_root: "/var/lib/docker".into(),
    };
    let input = RequestInput {
        task: &task,
        labels: &labels,
        sandbox: Path::new(SANDBOX),
        name: None,
        overlay: &[],
        settings: &settings,
        engine: &engine,
    };
    let request = build(&input);
    assert_judged(&RequestInput { settings: &strict_policy, ..input }, request.is_ok());
    match request {
        Ok(request) => {
            assert_promises(&task, &labels, &request);
            true
        }
        Err(error) => {
            assert_short_line(&error);
            false
        }
    }
}

#[test]
fn every_field_may_be_absent_or_hold_anything() {
    // Longer than an environment variable may be.
    let long = "x".repeat(140_000);
    let (mut good, mut bad) = (0, 0);
    for seed in SEEDS.iter() {
        let mut all = Vec::new();
        places(seed, "", &mut all);
        for pointer in all.iter().skip(1) {
            let words = ["a\u{0}b", "a\nb", &long].map(Value::from);
            for new in [Value::Null, 7.into(), (-1).into(), 1e308.into()].into_iter().chain(words) {
                let mut value = seed.clone();
                *value.pointer_mut(pointer).expect("the place was found") = new;
                *(if answer(value) { &mut good } else { &mut bad }) += 1;
            }
            let mut value = seed.clone();
            if let Some(Value::Object(members)) = value.pointer_mut(pointer) {
                members.insert(format!("{long}\n"), Value::Null);
                assert!(!answer(value), "an unknown field is taken");
            }
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} good and {bad} bad tasks tell little");
}

/// Seconds in CI; `PROPTEST_CASES` makes a long run of it.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(2048)) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_json_is_answered(json in any_json()) {
        answer(json);
    }

    #[test]
    fn damaged_tasks_are_answered(
        seed: Index,
        damages in prop::collection::vec((any::<Index>(), damage()), 1..5),
    ) {
        let mut json = seed.get(&SEEDS).clone();
        for (place, damage) in damages {
            apply(&mut json, place, damage);
        }
        answer(json);
    }
}
