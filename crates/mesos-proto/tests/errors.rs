//! What a person sees of a faulty document: where, what, and the remedy.

use mesos_proto::{
    json::{JsonError, from_json, from_json_str},
    v1::{ContainerId, Secret, TaskInfo, TaskStatus, Volume, volume},
};
use serde_json::{Value, json};

fn task(change: impl FnOnce(&mut Value)) -> Result<TaskInfo, JsonError> {
    let mut task = json!({
        "name": "web", "task_id": {"value": "web.1"}, "agent_id": {"value": "S0"},
        "command": {"environment": {"variables": [{"name": "A", "value": "b"}]}},
        "container": {"type": "DOCKER", "docker": {
            "image": "busybox", "network": "BRIDGE", "port_mappings": [{"host_port": 31000, "container_port": 80}],
        }},
        "limits": {"cpus": {"value": 1.5}},
    });
    change(&mut task);
    from_json(task)
}

#[test]
fn errors_name_the_place_the_fault_and_the_remedy() {
    let docker = "/container/docker";
    let table: [(&str, Value, &str); 14] = [
        (
            "/container/docker/port_mappings/0/host_port",
            json!("x"),
            r#"$.container.docker.port_mappings[0].host_port: expected an integer 0..=4294967295, found "x""#,
        ),
        (
            "/container/docker/port_mappings/0/host_port",
            json!(-1),
            "$.container.docker.port_mappings[0].host_port: expected an integer 0..=4294967295, found -1",
        ),
        (
            "/container/docker/port_mappings",
            json!({"host_port": 1}),
            "$.container.docker.port_mappings: expected an array, found an object",
        ),
        (
            "/container/docker/port_mappings/0",
            json!(null),
            "$.container.docker.port_mappings[0]: expected an object, found null",
        ),
        (
            "/container/docker/port_mappings/0",
            json!({"host_port": 1}),
            "$.container.docker.port_mappings[0].container_port: required, but not set",
        ),
        (
            docker,
            json!({"image": "i", "netwrok": "HOST"}),
            "$.container.docker.netwrok: unknown field, did you mean network?",
        ),
        (
            docker,
            json!({"image": "i", "forcePullImage": true}),
            "$.container.docker.forcePullImage: unknown field, did you mean force_pull_image?",
        ),
        (docker, json!({"image": "i", "x y\n": 1}), r#"$.container.docker["x y\n"]: unknown field"#),
        (docker, json!({"image": null}), "$.container.docker.image: required, but not set"),
        (
            docker,
            json!({"image": "i", "network": "BRIGDE"}),
            r#"$.container.docker.network: unknown value "BRIGDE", did you mean BRIDGE?"#,
        ),
        (
            docker,
            json!({"image": "i", "network": "X"}),
            r#"$.container.docker.network: unknown value "X", expected one of HOST, BRIDGE, NONE, USER"#,
        ),
        (
            docker,
            json!({"image": "i", "privileged": "true"}),
            r#"$.container.docker.privileged: expected true or false, found "true""#,
        ),
        (
            "/limits/cpus",
            json!({"value": "lots"}),
            r#"$.limits["cpus"].value: expected a number, "Infinity", "-Infinity" or "NaN", found "lots""#,
        ),
        (
            "/command/environment/variables/0/value",
            json!(5),
            "$.command.environment.variables[0].value: expected a string, found a number",
        ),
    ];
    assert!(task(|_| {}).is_ok());
    for (pointer, value, expected) in table {
        let error = task(|task| *task.pointer_mut(pointer).unwrap() = value).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(expected.starts_with(error.path()), "{expected} has the path {}", error.path());
    }
}

#[test]
fn a_document_that_is_no_object_is_refused() {
    for (value, found) in [(json!(null), "null"), (json!([]), "an array"), (json!("x"), "a string")] {
        let error = from_json::<TaskInfo>(value).unwrap_err();
        assert_eq!(error.to_string(), format!("$: expected an object, found {found}"));
    }
    let error = from_json_str::<TaskInfo>("{\"name\": ").unwrap_err();
    assert_eq!(error.to_string(), "not valid JSON");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "EOF while parsing a value at line 1 column 9");
}

#[test]
fn the_two_names_of_a_field_exclude_each_other() {
    let error = task(|t| t["slave_id"] = json!({"value": "S1"})).unwrap_err();
    assert_eq!(error.to_string(), "$.slave_id: set together with agent_id, but only one of them can be");
    // null is not set, under whichever name.
    let task = task(|t| t["slave_id"] = json!(null)).unwrap();
    assert_eq!(task.agent_id.value, "S0");
}

#[test]
fn the_fields_of_a_oneof_exclude_each_other() {
    let volume = |capability: Value| {
        let plugin = json!({"plugin_name": "p", "static_provisioning": {"volume_id": "v", "volume_capability": capability}});
        from_json::<Volume>(json!({
            "mode": "RW", "container_path": "/v", "source": {"type": "CSI_VOLUME", "csi_volume": plugin},
        }))
    };
    let mode = json!({"mode": "SINGLE_NODE_WRITER"});
    let read = volume(json!({"mount": {"fs_type": "ext4"}, "access_mode": mode})).unwrap();
    let csi = read.source.and_then(|s| s.csi_volume).and_then(|c| c.static_provisioning).unwrap();
    use volume::source::csi_volume::volume_capability::AccessType;
    assert!(matches!(csi.volume_capability.access_type, Some(AccessType::Mount(m)) if m.fs_type() == "ext4"));
    let error = volume(json!({"mount": {}, "block": {}, "access_mode": mode})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "$.source.csi_volume.static_provisioning.volume_capability.block: set together with mount, but only one of them can be"
    );
}

#[test]
fn v0_names_are_read() {
    let v0 = json!({
        "task_id": {"value": "t"}, "state": "TASK_LOST", "source": "SOURCE_SLAVE",
        "reason": "REASON_SLAVE_RESTARTED", "slave_id": {"value": "S0"},
    });
    let v1 = json!({
        "task_id": {"value": "t"}, "state": "TASK_LOST", "source": "SOURCE_AGENT",
        "reason": "REASON_AGENT_RESTARTED", "agent_id": {"value": "S0"},
    });
    assert_eq!(from_json::<TaskStatus>(v0).unwrap(), from_json::<TaskStatus>(v1).unwrap());
}

#[test]
fn names_of_fields_are_not_looked_for_in_data() {
    let names = ["slave_id", "agent_id", "SOURCE_SLAVE", "taskId", "", "a.b"];
    let labels: Vec<_> = names.iter().map(|n| json!({"key": n, "value": n})).collect();
    let limits: serde_json::Map<_, _> =
        names.iter().map(|n| ((*n).to_owned(), json!({"value": 1.0}))).collect();
    let task = task(|t| {
        t["labels"] = json!({"labels": labels});
        t["limits"] = Value::Object(limits.clone());
    })
    .unwrap();
    use mesos_proto::json::{Names, to_json_set};
    for version in [Names::V0, Names::V1] {
        let printed = to_json_set(&task, version);
        assert_eq!(printed["labels"]["labels"], json!(labels));
        assert_eq!(printed["limits"], Value::Object(limits.clone()));
    }
}

#[test]
fn depth_is_bounded() {
    let nested =
        |levels| (0..levels).fold(json!({"value": "c"}), |parent, _| json!({"value": "c", "parent": parent}));
    assert!(from_json::<ContainerId>(nested(63)).is_ok());
    let error = from_json::<ContainerId>(nested(64)).unwrap_err();
    assert!(error.to_string().ends_with(".parent: nested deeper than 64 levels"), "{error}");
    let text = "[".repeat(1_000_000);
    assert!(matches!(from_json_str::<ContainerId>(&text), Err(JsonError::Syntax { .. })));
}

#[test]
fn errors_stay_short_whatever_the_input() {
    let long = "x".repeat(1_000_000);
    let faults = [json!({ &long: 1 }), json!({"container": {"type": &long}}), json!({"limits": {&long: 1}})];
    for fault in faults {
        let error = from_json::<TaskInfo>(fault).unwrap_err().to_string();
        assert!(error.len() < 300 && !error.contains('\n'), "{error}");
    }
}

#[test]
fn secrets_are_in_no_error_and_no_debug_output() {
    let error = from_json::<Secret>(json!({"type": "VALUE", "value": {"data": "hunter2!"}})).unwrap_err();
    assert_eq!(error.to_string(), "$.value.data: expected base64, found a string that is not");

    let secret: Secret = from_json(json!({"type": "VALUE", "value": {"data": "aHVudGVyMg=="}})).unwrap();
    assert_eq!(secret.value.as_ref().unwrap().data, b"hunter2");
    let debug = format!("{secret:?}");
    assert!(debug.contains(r#"data: "***""#), "{debug}");

    use mesos_proto::{docker::spec::config::Auth, internal, v1::Credential};
    let outputs = [
        format!("{:?}", Credential { principal: "bob".to_owned(), secret: Some("hunter2".to_owned()) }),
        format!("{:?}", Auth { auth: Some("hunter2".to_owned()), email: None }),
        format!("{:?}", internal::AuthenticationStepMessage { data: b"hunter2".to_vec() }),
        format!(
            "{:?}",
            internal::AuthenticationStartMessage {
                mechanism: "PLAIN".to_owned(),
                data: Some(b"hunter2".to_vec())
            }
        ),
        debug,
    ];
    for output in outputs {
        assert!(!output.contains("hunter2") && !output.contains("104, 117"), "{output}");
        assert!(output.contains("***"), "{output}");
    }
}
