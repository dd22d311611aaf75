//! `--docker_policy` and what `validate` shows, without an engine.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::program::{Program, Said};

/// A Marathon app on the bridge, with these parameters.
fn app(parameters: &[(&str, &str)]) -> String {
    let parameters: Vec<_> =
        parameters.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    json!({
        "id": "/web",
        "cmd": "true",
        "container": { "docker": { "image": "busybox", "parameters": parameters } },
        "networks": [{ "mode": "container/bridge" }],
    })
    .to_string()
}

fn shown(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

#[test]
fn validate_shows_the_request_and_the_verdict_without_an_engine() {
    let program = Program::without_engine();
    let path = program.file("app.json", app(&[("cap-add", "NET_ADMIN"), ("memory", "64m")]));
    let said = program.say("validate", &["--docker_policy=strict", &path]);
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("API 1.51") && said.err.contains("assumed"), "{}", said.err);
    assert!(said.err.contains("denied rule capabilities"), "{}", said.err);
    let shown = shown(&said);
    assert_eq!(shown["create_request"]["HostConfig"]["Memory"], 64 << 20);
    assert_eq!((&shown["api_version"], &shown["policy"]["preset"]), (&json!("1.51"), &json!("strict")));
    assert_eq!(shown["policy"]["allowed"], false);
    let violations = shown["policy"]["violations"].as_array().expect("a list");
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0]["rule"], "capabilities");
    assert_eq!(violations[0]["field"], "HostConfig.CapAdd[0]");

    // The default allows it.
    let said = program.say("validate", &[&path]);
    assert_eq!((said.code, &self::shown(&said)["policy"]["allowed"]), (Some(0), &json!(true)), "{said:?}");
    assert!(!program.work_dir().exists());
}

#[test]
fn validate_shows_the_operators_proxies_without_their_passwords() {
    let program = Program::without_engine();
    let config = json!({ "proxies": { "default": { "httpProxy": "http://u:hunter4@p.test:1" } } });
    let config = program.file("config.json", config.to_string());
    let path = program.file("app.json", app(&[]));
    let said = program.say("validate", &[&format!("--docker_config={config}"), &path]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!format!("{said:?}").contains("hunter4"), "{said:?}");
    let shown = shown(&said);
    let env = shown["create_request"]["Env"].as_array().expect("a list");
    assert!(env.contains(&json!("HTTP_PROXY=http://***@p.test:1")), "{env:?}");
}

#[test]
fn validate_checks_for_the_version_that_is_asked() {
    let program = Program::without_engine();
    let networks = json!({
        "task_id": {"value": "t"}, "name": "t", "command": {"value": "true"},
        "container": {
            "type": "DOCKER",
            "docker": {"image": "busybox", "network": "USER"},
            "network_infos": [{"name": "front"}, {"name": "back"}],
        },
    });
    let path = program.file("task.json", networks.to_string());
    let said = program.say("validate", &["--api-version", "1.41", &path]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.err.contains("assumed"), "{}", said.err);
    let old = shown(&said);
    assert_eq!(old["network_connects"], json!([{ "network": "back", "endpoint_config": {} }]));
    let endpoints = |shown: &Value| {
        let endpoints = &shown["create_request"]["NetworkingConfig"]["EndpointsConfig"];
        endpoints.as_object().map(serde_json::Map::len)
    };
    assert_eq!(endpoints(&old), Some(1));
    let new = shown(&program.say("validate", &["--api-version=1.44", &path]));
    assert_eq!((endpoints(&new), &new["network_connects"]), (Some(2), &json!([])));
    let said = program.say("validate", &["--api-version=new", &path]);
    assert_eq!(said.code, Some(125), "{said:?}");
}

#[test]
fn run_refuses_what_the_policy_does_not_allow_before_it_looks_for_an_engine() {
    let program = Program::without_engine();
    let path = program.file("app.json", app(&[("privileged", "true")]));
    let said = program.say("run", &["--docker_policy=strict", &path]);
    assert_eq!(said.code, Some(125), "{said:?}");
    for part in ["app.json", "rule privileged", "HostConfig.Privileged", "--docker_policy"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert!(!program.work_dir().exists());
}

#[test]
fn a_policy_file_is_read_and_its_faults_are_named() {
    let program = Program::without_engine();
    let app = program.file("app.json", app(&[("cap-add", "NET_ADMIN")]));
    let run = |policy: &str| {
        let file = program.file("policy", policy);
        program.say("validate", &[&format!("--docker_policy={file}"), &app])
    };
    assert_eq!(run("preset = \"strict\"\ncapabilities = [\"NET_ADMIN\"]").code, Some(0));
    assert_eq!(run(r#"{"preset": "strict", "capabilities": ["NET_ADMIN"]}"#).code, Some(0));
    assert_eq!(run("capabilities = []").code, Some(125));
    let work_dir = program.work_dir();
    let inside = format!("host_paths = [\"{}\"]", work_dir.join("a").display());
    std::fs::create_dir_all(work_dir.join("a")).expect("made");
    for (policy, part) in [
        ("capabilites = []", "did you mean \"capabilities\"?"),
        ("preset = \"strickt\"", "did you mean \"strict\"?"),
        ("{\"preset\": \"strict\", \"preset\": \"permissive\"}", "twice"),
        (&inside, "in the work_dir"),
    ] {
        let said = run(policy);
        assert_eq!(said.code, Some(125), "{said:?}");
        assert!(said.err.contains("--docker_policy") && said.err.contains(part), "{part}: {}", said.err);
    }
    // What launches nothing goes on without a policy.
    let mut ps = program.command("ps");
    let said_by_ps = crate::program::said(ps.env("MESOS_DOCKER_POLICY", "/no/such/file"));
    assert_eq!(said_by_ps.code, Some(0), "{said_by_ps:?}");
    let file = program.file("open", "preset = \"strict\"");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("changed");
    let said = program.say("validate", &[&format!("--docker_policy=file://{file}"), &app]);
    assert!(said.err.contains("can be written by everybody"), "{}", said.err);
}
