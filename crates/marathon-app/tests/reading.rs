//! Good definitions: the forms that mean the same, the defaults, and the notes.

mod common;

use std::time::Duration;

use marathon_app::{App, Command, HostPorts, Limit, Network, Ports, Probe, Protocols, Tty, VolumeMode};
use serde_json::{Value, json};

fn read(value: &Value) -> App {
    let mut apps = marathon_app::parse_value(value).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(apps.len(), 1);
    apps.remove(0)
}

/// A small app with `fields` set.
fn app(fields: Value) -> App {
    let mut value = json!({ "id": "/a", "container": { "docker": { "image": "busybox" } } });
    if let (Value::Object(app), Value::Object(fields)) = (&mut value, fields) {
        app.extend(fields);
    }
    read(&value)
}

/// A small app with fields of `container` and of `container.docker` set.
fn container(container: Value, docker: Value) -> Value {
    let mut value = json!({ "id": "/a", "container": { "docker": { "image": "busybox" } } });
    for (pointer, fields) in [("/container", container), ("/container/docker", docker)] {
        if let (Some(Value::Object(object)), Value::Object(fields)) = (value.pointer_mut(pointer), fields) {
            object.extend(fields);
        }
    }
    value
}

fn notes(app: &App) -> Vec<String> {
    app.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_said_has_marathons_defaults() {
    let app = app(json!({}));
    assert_eq!(app.id.to_string(), "/a");
    assert_eq!(app.command, Command::ImageDefault);
    assert_eq!((app.resources.cpus, app.resources.mem, app.resources.disk), (1.0, 128.0, 0.0));
    assert_eq!((app.limits.cpus, app.limits.mem), (None, None));
    assert_eq!((app.instances, app.kill_grace, app.tty), (1, None, Tty::Absent));
    assert_eq!((app.user, app.role, app.health_check, app.check), (None, None, None, None));
    assert!(app.env.is_empty() && app.labels.is_empty() && app.fetch.is_empty() && app.volumes.is_empty());
    let docker = app.container.docker().unwrap();
    assert!(!docker.force_pull && !docker.privileged && docker.parameters.is_empty());
    assert_eq!(app.network, Network::Host);
    let Ports::Definitions { definitions, host_ports } = &app.ports else { panic!("{:?}", app.ports) };
    assert_eq!(*host_ports, HostPorts::Chosen);
    assert_eq!(definitions.len(), 1);
    assert_eq!((definitions[0].port, definitions[0].name.as_deref()), (0, Some("default")));
    assert_eq!(app.notes, []);
}

#[test]
fn commands() {
    for (fields, command) in [
        (json!({ "cmd": "a b" }), Command::Shell("a b".to_owned())),
        (json!({ "cmd": "a", "args": [] }), Command::Shell("a".to_owned())),
        (json!({ "args": ["a", ""] }), Command::Arguments(vec!["a".to_owned(), String::new()])),
        (json!({ "cmd": "", "args": ["a"] }), Command::Arguments(vec!["a".to_owned()])),
        (json!({ "cmd": "", "args": null }), Command::ImageDefault),
    ] {
        assert_eq!(app(fields).command, command);
    }
}

#[test]
fn numbers() {
    let app = app(json!({
        "cpus": 0, "mem": 16.5, "disk": 1e3, "gpus": 0.0, "instances": 2.0,
        "taskKillGracePeriodSeconds": 90,
        "resourceLimits": { "cpus": 0.5, "mem": "unlimited" },
    }));
    assert_eq!((app.resources.cpus, app.resources.mem, app.resources.disk), (0.0, 16.5, 1000.0));
    assert_eq!((app.limits.cpus, app.limits.mem), (Some(Limit::At(0.5)), Some(Limit::Unlimited)));
    assert_eq!((app.instances, app.kill_grace), (2, Some(Duration::from_secs(90))));
    // There are no resources of nothing.
    let tasks = common::build(&app).unwrap();
    let names: Vec<_> = tasks[0].resources.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["mem", "disk", "ports"]);
}

#[test]
fn old_and_new_forms_of_networks_mean_the_same() {
    let user = Network::User { name: "n".to_owned(), labels: [("l".to_owned(), "v".to_owned())].into() };
    for (network, new, old) in [
        (Network::Host, json!([{ "mode": "host" }]), json!({ "network": "HOST" })),
        (Network::Bridge, json!([{ "mode": "container/bridge" }]), json!({ "network": "BRIDGE" })),
        (user, json!([{ "name": "n", "labels": { "l": "v" } }]), json!({ "network": "USER" })),
    ] {
        let mut by_old = container(json!({}), old);
        if let Network::User { .. } = network {
            by_old["ipAddress"] = json!({ "networkName": "n", "labels": { "l": "v" } });
        }
        let mut by_both = by_old.clone();
        by_both["networks"] = new.clone();
        assert_eq!(app(json!({ "networks": new })).network, network);
        assert_eq!(read(&by_old).network, network);
        assert_eq!(read(&by_both).network, network);
    }
    let none = read(&container(json!({}), json!({ "network": "NONE" })));
    assert_eq!((none.network, none.ports), (Network::None, Ports::None));
}

#[test]
fn port_mappings_are_read_from_every_form() {
    let mapping = json!([{ "containerPort": 80, "servicePort": 9000, "protocol": "udp,tcp", "name": "x" }]);
    let bridge = json!({ "network": "BRIDGE" });
    let mut in_docker = bridge.clone();
    in_docker["portMappings"] = mapping.clone();
    for value in [
        container(json!({ "portMappings": mapping }), bridge),
        container(json!({}), in_docker.clone()),
        container(json!({ "portMappings": mapping }), in_docker),
    ] {
        let Ports::Mappings(mappings) = read(&value).ports else { panic!("{value}") };
        assert_eq!((mappings[0].container_port, mappings[0].host_port), (80, Some(0)));
        assert_eq!((mappings[0].service_port, mappings[0].protocols), (9000, Protocols::UdpTcp));
    }
    let empty = read(&container(json!({ "portMappings": [] }), json!({ "network": "BRIDGE" })));
    assert_eq!(empty.ports, Ports::Mappings(Vec::new()));
    let absent = read(&container(json!({}), json!({ "network": "BRIDGE" })));
    assert_eq!((absent.ports.len(), absent.ports.is_empty()), (1, false));
    // Marathon prints an empty array for an app on the host's network.
    assert_eq!(read(&container(json!({ "portMappings": [] }), json!({}))).ports.len(), 1);
}

#[test]
fn ports_and_port_definitions_may_say_the_same() {
    let both = app(json!({ "ports": [9000, 0], "portDefinitions": [{ "port": 9000, "name": "a" }, {}] }));
    let Ports::Definitions { definitions, .. } = both.ports else { panic!("{:?}", both.ports) };
    assert_eq!(definitions[0].name.as_deref(), Some("a"));
    assert_eq!(app(json!({ "ports": [] })).ports.len(), 0);
    assert_eq!(app(json!({ "ports": [], "portDefinitions": [{}, {}] })).ports.len(), 2);
}

#[test]
fn volumes_without_a_mode_can_be_written() {
    let value = container(json!({ "volumes": [{ "containerPath": "/a", "hostPath": "b" }] }), json!({}));
    assert_eq!(read(&value).volumes[0].mode, VolumeMode::ReadWrite);
}

#[test]
fn checks_have_marathons_times() {
    let app = app(json!({
        "healthChecks": [{ "protocol": "MESOS_HTTP" }],
        "check": { "exec": { "command": { "shell": "true" } } },
    }));
    let health = app.health_check.unwrap();
    assert_eq!((health.times.delay, health.times.interval, health.times.timeout), (15, 60, 20));
    assert_eq!((health.grace_seconds, health.max_consecutive_failures), (300, Some(3)));
    assert_eq!(app.check.unwrap().probe, Probe::Shell("true".to_owned()));
}

#[test]
fn every_field_without_effect_gets_one_line() {
    let fields = json!({
        "acceptedResourceRoles": ["*"], "backoffFactor": 1.5, "backoffSeconds": 1, "constraints": [["a", "UNIQUE"]],
        "dependencies": ["/b"], "executorResources": { "cpus": 1 }, "killSelection": "OLDEST_FIRST",
        "maxLaunchDelaySeconds": 1, "readinessChecks": [{}], "taskRateLimit": 1, "unreachableStrategy": "disabled",
        "upgradeStrategy": { "maximumOverCapacity": 1 }, "version": "v", "versionInfo": { "lastScalingAt": "t" },
        "tasksStaged": 0, "tasksRunning": 0, "tasksHealthy": 0, "tasksUnhealthy": 0, "deployments": [{}],
        "readinessCheckResults": [{}], "tasks": [{}], "lastTaskFailure": { "state": "s" }, "taskStats": { "a": {} },
    });
    let count = fields.as_object().unwrap().len();
    let lines = notes(&app(fields));
    assert_eq!(lines.len(), count);
    assert!(
        lines.iter().all(|line| line.starts_with("$.") && line.ends_with(": no effect here")),
        "{lines:?}"
    );
    assert_eq!(
        notes(&app(json!({ "constraints": [], "upgradeStrategy": {}, "version": null }))),
        [] as [String; 0]
    );
}

#[test]
fn fields_without_effect_in_this_place_say_why() {
    let mut value = container(json!({}), json!({ "network": "BRIDGE", "credential": { "principal": "p" } }));
    value["requirePorts"] = json!(true);
    value["ports"] = json!([80]);
    let lines = notes(&read(&value));
    assert_eq!(
        lines,
        [
            "$.container.docker.credential: no effect here, nor in Marathon for type DOCKER; use --docker_config or fetch a docker.tar.gz",
            "$.ports: no effect here, the network has port mappings instead",
            "$.requirePorts: no effect here, the network has port mappings instead",
        ]
    );
}

#[test]
fn documents_of_one_and_of_many() {
    let one = json!({ "id": "/a", "container": { "docker": { "image": "i" } } });
    let two = json!({ "id": "/b", "container": { "docker": { "image": "i" } } });
    for (document, ids) in [
        (one.clone(), vec!["/a"]),
        (json!({ "app": one }), vec!["/a"]),
        (json!([one, two]), vec!["/a", "/b"]),
        (json!({ "apps": [two, one] }), vec!["/b", "/a"]),
    ] {
        let apps = marathon_app::parse_text(document.to_string().as_bytes()).unwrap();
        assert_eq!(apps.iter().map(|app| app.id.to_string()).collect::<Vec<_>>(), ids);
    }
}

#[test]
fn instances_differ_in_ids_and_host_ports_only() {
    let mut value =
        container(json!({ "portMappings": [{ "containerPort": 80 }] }), json!({ "network": "BRIDGE" }));
    value["instances"] = json!(3);
    let tasks = common::build(&read(&value)).unwrap();
    let ports: Vec<_> = tasks
        .iter()
        .map(|task| task.container.as_ref().unwrap().docker.as_ref().unwrap().port_mappings[0].host_port)
        .collect();
    assert_eq!(ports, [31000, 31001, 31002]);
    assert!(tasks.windows(2).all(|pair| pair[0].task_id != pair[1].task_id && pair[0].name == pair[1].name));
    value["instances"] = json!(0);
    assert_eq!(common::build(&read(&value)).unwrap(), []);
}
