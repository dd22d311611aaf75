//! Bad definitions and the exact line that a person gets.

mod common;

use serde_json::{Value, json};

/// A good app with `change` merged into it; `null` removes nothing, it is a value.
fn app(change: &Value) -> Value {
    let mut app = json!({ "id": "/a", "cmd": "true", "container": { "docker": { "image": "busybox" } } });
    merge(&mut app, change);
    app
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// The line for a definition, from reading or from building.
fn line(value: &Value) -> String {
    let text = value.to_string();
    match marathon_app::parse_text(text.as_bytes()) {
        Err(error) => {
            assert_eq!(marathon_app::parse_value(value).as_ref(), Err(&error), "both ways read the same");
            error.to_string()
        }
        Ok(apps) => match common::build(&apps[0]) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("this definition is good: {value}"),
        },
    }
}

fn check(table: &[(Value, &str)]) {
    for (change, expected) in table {
        let found = line(&app(change));
        assert_eq!(found, *expected);
        assert!(!found.contains('\n') && found.len() < 400, "{found}");
    }
}

#[test]
fn documents() {
    for (document, expected) in [
        (json!(1), "$: expected an app definition, found a number"),
        (json!([]), "$: there is no app in the document"),
        (json!([1]), "$[0]: expected an object, found a number"),
        (json!({ "app": [] }), "$.app: expected an object, found an array"),
        (json!({ "app": { "idd": "/a" } }), "$.app.idd: unknown field, did you mean \"id\"?"),
        (json!({ "apps": [ { "cmd": 1 } ] }), "$.apps[0].id: missing: the id of the app, such as /web"),
        (
            json!({ "id": "/g", "apps": [] }),
            "$: this is a group; give its apps as an array of app definitions",
        ),
        (
            json!({ "id": "/p", "containers": [] }),
            "$: this is a pod definition, and pods are not supported; write an app definition",
        ),
        (json!([app(&json!({})), app(&json!({ "id": "a/" }))]), "$[1].id: /a is the id of $[0] too"),
        (json!({}), "$.id: missing: the id of the app, such as /web"),
    ] {
        assert_eq!(line(&document), expected);
    }
}

#[test]
fn fields_and_types() {
    check(&[
        (json!({ "xyzzy": 1 }), "$.xyzzy: unknown field"),
        (json!({ "imge": "x" }), "$.imge: unknown field"),
        (json!({ "image": "x" }), "$.image: unknown field, it belongs into container.docker"),
        (
            json!({ "container": { "docker": { "imagee": "x" } } }),
            "$.container.docker.imagee: unknown field, did you mean \"image\"?",
        ),
        (json!({ "a\nb": 1 }), "$[\"a\\nb\"]: unknown field"),
        (json!({ "cpus": "1" }), "$.cpus: expected a number, found a string"),
        (json!({ "cmd": ["true"] }), "$.cmd: expected a string, found an array"),
        (json!({ "instances": true }), "$.instances: expected a whole number, found a boolean"),
        (json!({ "tty": "yes" }), "$.tty: expected true or false, found a string"),
        (json!({ "constraints": {} }), "$.constraints: expected an array, found an object"),
        (json!({ "upgradeStrategy": 1 }), "$.upgradeStrategy: expected an object, found a number"),
        (
            json!({ "unreachableStrategy": 1 }),
            "$.unreachableStrategy: expected an object or a string, found a number",
        ),
        (json!({ "labels": { "a": 1 } }), "$.labels.a: expected a string, found a number"),
        (json!({ "container": "busybox" }), "$.container: expected an object, found a string"),
        (
            json!({ "container": { "docker": { "parameters": [ { "key": "memory", "value": 1 } ] } } }),
            "$.container.docker.parameters[0].value: expected a string, found a number",
        ),
    ]);
}

#[test]
fn ids_commands_and_variables() {
    let large = "x".repeat(1 << 20);
    check(&[
        (
            json!({ "id": "/A b" }),
            "$.id: \"A b\" is not a name of an id: lower-case letters, digits, dots and dashes, no dash or dot at an end",
        ),
        (json!({ "id": "/" }), "$.id: an id needs at least one name"),
        (
            json!({ "id": "/a/tasks" }),
            "$.id: \"/a/tasks\" is not allowed: its last name is one of restart, tasks, versions",
        ),
        (
            json!({ "args": ["x"] }),
            "$.args: conflicts with cmd: use cmd for a shell command, or args for the image's entrypoint",
        ),
        (json!({ "cmd": null, "args": "x" }), "$.args: expected an array, found a string"),
        (
            json!({ "cmd": large }),
            "$.cmd: 1048576 bytes are more than the kernel passes in one argument, 131071",
        ),
        (
            json!({ "cmd": null, "args": ["a", large] }),
            "$.args[1]: 1048576 bytes are more than the kernel passes in one argument, 131071",
        ),
        (
            json!({ "env": { "BIG": large } }),
            "$.env.BIG: 1048580 bytes with its name are more than the kernel passes in one variable, 131071",
        ),
        (json!({ "env": { "N": 1 } }), "$.env.N: expected a string in quotes, found a number"),
        (
            json!({ "env": { "A=B": "" } }),
            "$.env[\"A=B\"]: the name of a variable must not be empty or have a =",
        ),
        (json!({ "env": { "": "" } }), "$.env[\"\"]: the name of a variable must not be empty or have a ="),
        (
            json!({ "env": { "S": { "secret": "s" } } }),
            "$.env.S: variables from secrets are not supported yet; put the value into env or a mounted file",
        ),
        (json!({ "env": { "Z": "a\u{0}b" } }), "$.env.Z: a NUL character cannot be passed to a process"),
        (
            json!({ "labels": { "a\u{0}": "b" } }),
            "$.labels[\"a\\0\"]: a NUL character cannot be passed to a process",
        ),
        (json!({ "user": "" }), "$.user: must not be empty"),
    ]);
}

#[test]
fn resources() {
    check(&[
        (json!({ "cpus": -1 }), "$.cpus: -1 is not a number from 0 to 1000000"),
        (json!({ "mem": 1e308 }), "$.mem: 1e+308 is not a number from 0 to 8796093022207"),
        (json!({ "disk": -0.5 }), "$.disk: -0.5 is not a number from 0 to 8796093022207"),
        (json!({ "gpus": 0.5 }), "$.gpus: 0.5 is not a whole number from 0 to 1024"),
        (json!({ "instances": 1.5 }), "$.instances: 1.5 is not a whole number from 0 to 2147483647"),
        (json!({ "instances": -1 }), "$.instances: -1 is not a whole number from 0 to 2147483647"),
        (
            json!({ "instances": 2_000_000 }),
            "$.instances: 2000000 is not a number of tasks for one machine, the most is 10000",
        ),
        (
            json!({ "resourceLimits": { "mem": 64 } }),
            "$.resourceLimits.mem: the limit 64 is below the 128 that mem asks for",
        ),
        (
            json!({ "resourceLimits": { "cpus": "none" } }),
            "$.resourceLimits.cpus: \"none\" is not a number or \"unlimited\"",
        ),
        (
            json!({ "resourceLimits": { "disk": 1 } }),
            "$.resourceLimits.disk: unknown field, it belongs into the app itself",
        ),
        (
            json!({ "taskKillGracePeriodSeconds": -3 }),
            "$.taskKillGracePeriodSeconds: -3 is not a whole number from 0 to 2147483647",
        ),
    ]);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    check(&[
        (
            json!({ "secrets": { "s": { "source": "/s" } } }),
            "$.secrets: secrets are not supported yet; put the value into env or a mounted file",
        ),
        (
            json!({ "residency": { "taskLostBehavior": "WAIT_FOREVER" } }),
            "$.residency: resident tasks are not supported yet; use a host path volume",
        ),
        (
            json!({ "executor": "/bin/my-executor" }),
            "$.executor: custom executors are not supported in app definitions; leave the field out",
        ),
        (
            json!({ "container": { "type": "MESOS" } }),
            "$.container.docker: images in containers of type MESOS are not supported yet; use type DOCKER",
        ),
        (
            json!({ "container": { "linuxInfo": { "ipcInfo": { "mode": "PRIVATE" } } } }),
            "$.container.linuxInfo: it is for type MESOS, and not supported yet; use type DOCKER with container.docker.parameters: cap-add, ipc, shm-size",
        ),
        (
            json!({ "container": { "type": "docker" } }),
            "$.container.type: \"docker\" is not one of DOCKER, MESOS",
        ),
        (
            json!({ "container": { "appc": { "image": "x" } } }),
            "$.container.appc: AppC images are not supported; use container.docker.image",
        ),
        (
            json!({ "container": { "docker": { "pullConfig": { "secret": "s" } } } }),
            "$.container.docker.pullConfig: its value is a secret, and secrets are not supported yet; give registry credentials by --docker_config or fetch a docker.tar.gz",
        ),
        (
            json!({ "container": { "docker": null } }),
            "$.container.docker: missing: the image to run; without one use type MESOS, or leave the container out",
        ),
        (
            json!({ "container": { "docker": { "image": null } } }),
            "$.container.docker.image: missing: the image to run",
        ),
        (
            json!({ "container": { "docker": { "image": "" } } }),
            "$.container.docker.image: must not be empty",
        ),
        (
            json!({ "container": { "docker": { "image": "busy box" } } }),
            "$.container.docker.image: \"busy box\" is not an image reference: it has a blank",
        ),
    ]);
}

/// What is wrong with an app that names no image: `container` absent, and of type MESOS.
#[test]
fn apps_without_an_image() {
    let table = [
        (
            json!({ "cmd": null }),
            "$.cmd: missing: what to run, as there is no image that says it: cmd or args, or container.docker.image",
        ),
        (
            json!({ "args": ["sleep", "1"] }),
            "$.args: conflicts with cmd: use cmd for a shell command, or args for a program",
        ),
        (json!({ "cmd": null, "args": ["", "1"] }), "$.args[0]: the program to run must not be empty"),
        (
            json!({ "networks": [{ "mode": "container/bridge" }] }),
            "$.networks: apps without an image are on the host's network; leave the field out, or use container.docker",
        ),
        (
            json!({ "networks": [{ "name": "dcos" }] }),
            "$.networks: apps without an image are on the host's network; leave the field out, or use container.docker",
        ),
        (
            json!({ "ipAddress": {} }),
            "$.ipAddress: apps without an image are on the host's network; leave the field out, or use container.docker",
        ),
        (
            json!({ "tty": true }),
            "$.tty: terminals for apps without an image are not supported yet; leave the field out, or run the command under script(1)",
        ),
        (json!({ "image": "x" }), "$.image: unknown field, it belongs into container.docker"),
    ];
    for (change, expected) in &table {
        for mut app in [
            json!({ "id": "/a", "cmd": "true" }),
            json!({ "id": "/a", "cmd": "true", "container": { "type": "MESOS" } }),
        ] {
            merge(&mut app, change);
            assert_eq!(line(&app), *expected);
        }
    }
    let mesos = |change: Value| {
        let mut app = json!({ "id": "/a", "cmd": "true", "container": { "type": "MESOS" } });
        merge(&mut app, &json!({ "container": change }));
        line(&app)
    };
    let no_volumes = "$.container.volumes[0]: apps without an image have no volumes here; use the path on the host in the command, or container.docker";
    assert_eq!(
        mesos(json!({ "volumes": [{ "containerPath": "/a", "hostPath": "/b", "mode": "RW" }] })),
        no_volumes
    );
    assert_eq!(
        mesos(json!({ "portMappings": [{ "containerPort": 80 }] })),
        "$.container.portMappings: port mappings need a bridge or user network, and the network is HOST"
    );
}

#[test]
fn volumes_and_fetch() {
    let volume = |volume: Value| json!({ "container": { "volumes": [volume] } });
    check(&[
        (
            volume(json!({ "containerPath": "a", "hostPath": "b", "mode": "RW" })),
            "$.container.volumes[0]: hostPath \"b\" and containerPath \"a\" are both relative, one must begin with a slash",
        ),
        (
            volume(json!({ "containerPath": "/a", "mode": "RW" })),
            "$.container.volumes[0].hostPath: missing: the path on the host or in the sandbox",
        ),
        (
            volume(json!({ "hostPath": "/a", "mode": "RW" })),
            "$.container.volumes[0].containerPath: missing: the path in the container",
        ),
        (
            volume(json!({ "containerPath": "/a", "hostPath": "/b", "mode": "rw" })),
            "$.container.volumes[0].mode: \"rw\" is not one of RO, RW",
        ),
        (
            volume(json!({ "containerPath": "a", "persistent": { "size": 1 }, "mode": "RW" })),
            "$.container.volumes[0].persistent: persistent volumes are not supported yet; use hostPath",
        ),
        (
            volume(json!({ "containerPath": "/a", "external": { "name": "v" }, "mode": "RW" })),
            "$.container.volumes[0].external.options: missing: dvdi/driver, the name of the volume driver",
        ),
        (
            volume(json!({ "containerPath": "/a", "external": { "options": { "dvdi/driver": "d" } } })),
            "$.container.volumes[0].external.name: missing: the name of the volume",
        ),
        (
            volume(json!({ "containerPath": "/a", "external": { "name": "v", "provider": "csi" } })),
            "$.container.volumes[0].external.provider: \"csi\" is not dvdi, the volume drivers of Docker",
        ),
        (
            volume(json!({ "containerPath": "/a", "hostPath": "/b", "external": { "name": "v" } })),
            "$.container.volumes[0].external: conflicts with hostPath: use one of the two",
        ),
        (
            volume(json!({ "containerPath": "/a", "secret": "s" })),
            "$.container.volumes[0].secret: secrets are not supported yet; use fetch or hostPath",
        ),
        (
            volume(json!({ "containerPath": "/a", "hostpath": "/b" })),
            "$.container.volumes[0].hostpath: unknown field, did you mean \"hostPath\"?",
        ),
        (json!({ "fetch": ["x"] }), "$.fetch[0]: expected an object, found a string"),
        (json!({ "fetch": [{}] }), "$.fetch[0].uri: missing: where to fetch from"),
        (json!({ "fetch": [{ "uri": "" }] }), "$.fetch[0].uri: a URI has 1 to 1024 bytes"),
        (json!({ "fetch": [{ "uri": "u", "destPath": "" }] }), "$.fetch[0].destPath: must not be empty"),
        (json!({ "uris": ["a"], "fetch": [{ "uri": "a" }] }), "$.uris: conflicts with fetch: use fetch only"),
    ]);
}

#[test]
fn networks() {
    let docker = |docker: Value| json!({ "container": { "docker": docker } });
    check(&[
        (
            docker(json!({ "network": "bridge" })),
            "$.container.docker.network: \"bridge\" is not one of BRIDGE, HOST, NONE, USER",
        ),
        (
            docker(json!({ "network": "USER" })),
            "$.ipAddress: missing: networkName, the name of the network for container.docker.network USER",
        ),
        (
            json!({ "ipAddress": { "labels": {} }, "container": { "docker": { "network": "USER" } } }),
            "$.ipAddress.networkName: missing: the name of the network",
        ),
        (
            json!({ "ipAddress": { "networkName": "n" } }),
            "$.ipAddress: needs container.docker.network USER, or use networks instead",
        ),
        (
            json!({ "networks": [{ "mode": "bridge" }] }),
            "$.networks[0].mode: \"bridge\" is not one of host, container/bridge, container",
        ),
        (json!({ "networks": [{}] }), "$.networks[0].name: missing: the name of the network"),
        (
            json!({ "networks": [{ "mode": "host", "name": "n" }] }),
            "$.networks[0].name: the host network has no name",
        ),
        (
            json!({ "networks": [{ "name": "a" }, { "name": "b" }] }),
            "$.networks: a task has one network, use a single element",
        ),
        (
            json!({ "networks": [{ "mode": "host" }], "container": { "docker": { "network": "BRIDGE" } } }),
            "$.container.docker.network: conflicts with networks: use networks only",
        ),
    ]);
}

#[test]
fn ports() {
    let mapping = |mapping: Value| json!({ "networks": [{ "mode": "container/bridge" }], "container": { "portMappings": [mapping] } });
    let two = |first: Value, second: Value| json!({ "networks": [{ "mode": "container/bridge" }], "container": { "portMappings": [first, second] } });
    check(&[
        (
            mapping(json!({ "hostPort": 65536 })),
            "$.container.portMappings[0].hostPort: 65536 is not a whole number from 0 to 65535",
        ),
        (
            mapping(json!({ "containerPort": -1 })),
            "$.container.portMappings[0].containerPort: -1 is not a whole number from 0 to 65535",
        ),
        (
            mapping(json!({ "hostPort": 80 })),
            "$.container.portMappings[0].hostPort: host port 80 is not in the resources, the ports are 31000-32000",
        ),
        (
            mapping(json!({ "protocol": "sctp" })),
            "$.container.portMappings[0].protocol: \"sctp\" is not one of tcp, udp, tcp,udp, udp,tcp",
        ),
        (
            mapping(json!({ "name": "a b" })),
            "$.container.portMappings[0].name: \"a b\" is not the name of a port: at most 63 letters, digits, dashes and underscores",
        ),
        (
            mapping(json!({ "networkNames": ["n"] })),
            "$.container.portMappings[0].networkNames: must hold the one network of the app, or nothing",
        ),
        (
            two(json!({ "name": "a" }), json!({ "name": "a" })),
            "$.container.portMappings[1].name: \"a\" is the name of another port",
        ),
        (
            two(json!({ "hostPort": 31001 }), json!({ "hostPort": 31001 })),
            "$.container.portMappings[1].hostPort: host port 31001 is taken, by another port or task; 0 takes a free one",
        ),
        (
            json!({ "container": { "portMappings": [{ "containerPort": 80 }] } }),
            "$.container.portMappings: port mappings need a bridge or user network, and the network is HOST",
        ),
        (
            json!({ "container": { "docker": { "network": "NONE", "portMappings": [{ "containerPort": 80 }] } } }),
            "$.container.docker.portMappings: port mappings need a bridge or user network, and the network is NONE",
        ),
        (
            json!({ "container": { "portMappings": [], "docker": { "network": "BRIDGE", "portMappings": [{}] } } }),
            "$.container.docker.portMappings: conflicts with container.portMappings: use container.portMappings only",
        ),
        (json!({ "ports": [9000, 9000] }), "$.ports[1]: port 9000 is there twice"),
        (json!({ "ports": [70000] }), "$.ports[0]: 70000 is not a whole number from 0 to 65535"),
        (
            json!({ "ports": [0], "portDefinitions": [{}, {}] }),
            "$.ports: conflicts with portDefinitions: use portDefinitions only",
        ),
        (
            json!({ "portDefinitions": [{ "port": 9000 }, { "port": 9000, "protocol": "udp,tcp" }] }),
            "$.portDefinitions[1].port: port 9000 is there twice",
        ),
        (
            json!({ "requirePorts": true, "ports": [8080] }),
            "$.ports[0]: host port 8080 is not in the resources, the ports are 31000-32000",
        ),
        (json!({ "instances": 1002 }), "$.portDefinitions[0]: no host port is left in 31000-32000"),
    ]);
}

#[test]
fn checks() {
    let health = |check: Value| json!({ "healthChecks": [check] });
    check(&[
        (
            health(json!({ "protocol": "UDP" })),
            "$.healthChecks[0].protocol: \"UDP\" is not one of HTTP, HTTPS, TCP, COMMAND, MESOS_TCP, MESOS_HTTP, MESOS_HTTPS",
        ),
        (
            health(json!({ "protocol": "COMMAND" })),
            "$.healthChecks[0].command: missing: the command of the check",
        ),
        (
            health(json!({ "protocol": "COMMAND", "command": {} })),
            "$.healthChecks[0].command.value: missing: the command of the check",
        ),
        (
            health(json!({ "protocol": "COMMAND", "command": { "value": "x" }, "path": "/" })),
            "$.healthChecks[0].path: does not go with the protocol of this check",
        ),
        (
            health(json!({ "protocol": "MESOS_TCP", "command": { "value": "x" } })),
            "$.healthChecks[0].command: does not go with the protocol of this check",
        ),
        (
            health(json!({ "protocol": "MESOS_HTTP", "portIndex": 1 })),
            "$.healthChecks[0].portIndex: there is no port with index 1, the app has 1 ports",
        ),
        (
            health(json!({ "protocol": "MESOS_HTTP", "portIndex": 0, "port": 80 })),
            "$.healthChecks[0].portIndex: conflicts with port: use one of the two",
        ),
        (
            health(json!({ "protocol": "MESOS_TCP", "port": 0 })),
            "$.healthChecks[0].port: 0 is not a port from 1 to 65535",
        ),
        (
            health(json!({ "intervalSeconds": 0.5 })),
            "$.healthChecks[0].intervalSeconds: 0.5 is not a whole number from 0 to 2147483647",
        ),
        (
            json!({ "healthChecks": [{ "protocol": "MESOS_TCP" }, { "protocol": "MESOS_HTTP" }] }),
            "$.healthChecks[1]: a task has at most one health check of protocol COMMAND or MESOS_*",
        ),
        (json!({ "check": {} }), "$.check: needs exactly one of http, tcp and exec"),
        (json!({ "check": { "exec": {} } }), "$.check.exec.command: missing: an object with shell or argv"),
        (
            json!({ "check": { "exec": { "command": { "shell": "a", "argv": ["b"] } } } }),
            "$.check.exec.command: needs exactly one of shell and argv",
        ),
        (
            json!({ "check": { "http": { "scheme": "HTTPS" } } }),
            "$.check.http.scheme: Mesos has checks over plain HTTP only",
        ),
    ]);
}

#[test]
fn long_and_strange_names_make_short_lines() {
    let found = line(&json!({ "k".repeat(100_000): 1 }));
    assert!(found.len() < 200, "{found}");
    let found = line(&app(&json!({ "container": { "docker": { "network": "n".repeat(100_000) } } })));
    assert!(found.len() < 200, "{found}");
}

#[test]
fn messages_never_hold_the_value_of_a_variable() {
    for change in [
        json!({ "env": { "PASSWORD": { "hunter2": 1 } } }),
        json!({ "env": { "PASSWORD": ["hunter2"] } }),
        json!({ "env": { "PASSWORD": format!("hunter2{}", "x".repeat(200_000)) } }),
        json!({ "env": { "PASSWORD": "hunter2\u{0}" } }),
        json!({ "env": "hunter2" }),
        json!({ "labels": "hunter2" }),
    ] {
        assert!(!line(&app(&change)).contains("hunter2"));
    }
}
