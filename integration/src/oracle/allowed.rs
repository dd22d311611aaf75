//! Owns the one list of differences between a client's request and ours that are meant, each with its reason. What is
//! not in it fails the test; an entry that no case needs any more fails it too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ours::{CONNECTIONS, ENGINE_LOG};

/// What the differences depend on besides the two requests.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The sandbox in the container.
    pub mapped_directory: String,
    /// The sandbox on the host.
    pub sandbox: String,
    /// The number behind the dot of the engine's API version.
    pub api_minor: u32,
    /// The driver that the engine gives a container that names none, where two inspections are compared.
    pub default_log_driver: Option<&'static str>,
    /// The targets of the task's `ContainerInfo.volumes`, in the container.
    pub volume_targets: Vec<String>,
}

/// A difference that is meant.
#[derive(Debug)]
pub struct Allowed {
    /// A name for the report.
    pub name: &'static str,
    /// Why it is no mistake.
    pub reason: &'static str,
    /// Takes it out of both requests; tells whether it was there.
    take_out: fn(&mut Value, &mut Value, &Context) -> bool,
}

/// All of them, in the order in which they are taken out.
pub const ALLOWED: [Allowed; 10] = [
    Allowed {
        name: "labels",
        reason: "our labels tell whose the container is; stock keeps that in its name only",
        take_out: labels,
    },
    Allowed {
        name: "log driver",
        reason: "a task that names no log driver gets the agent's with its caps (design, decision 9), and what it says \
                 of those caps counts",
        take_out: log_driver,
    },
    Allowed {
        name: "mounts",
        reason: "the sandbox, paths in it and volumes of ContainerInfo go into Mounts, which may hold a colon, and a \
                 driver of their own whatever a parameter names; the client's -v goes into Binds",
        take_out: mounts,
    },
    Allowed {
        name: "replaced network",
        reason: "no engine takes a mode such as host together with a network, so stock's task fails; the parameter's takes \
                 the place of Mesos'",
        take_out: replaced_network,
    },
    Allowed {
        name: "quota",
        reason: "no engine takes CPUs together with a quota, so stock's task fails; the parameter cpus takes the place of \
                 Mesos' quota",
        take_out: quota,
    },
    Allowed {
        name: "writable mounts",
        reason: "engines below API 1.44 know no read-only mount whose submounts are not writable",
        take_out: writable_mounts,
    },
    Allowed {
        name: "networks",
        reason: "engines below API 1.44 refuse several networks in a create, where stock's task fails; we connect all but \
                 the first before the start",
        take_out: networks,
    },
    Allowed {
        name: "health check",
        reason: "the image's own HEALTHCHECK is off in a task that does not ask for one; stock runs it and looks at it \
                 nowhere",
        take_out: health_check,
    },
    Allowed {
        name: "defaults",
        reason: "the client spells out defaults that we leave to the engine, which has the same",
        take_out: defaults,
    },
    Allowed {
        name: "order",
        reason: "the client sends variables, binds and limits in the order of a Go map, which changes from run to run",
        take_out: order,
    },
];

/// Takes all differences that are meant out of two requests; returns the names of those that were there.
pub fn take_out(client: &mut Value, ours: &mut Value, context: &Context) -> BTreeSet<&'static str> {
    let there = ALLOWED.iter().filter(|allowed| (allowed.take_out)(client, ours, context));
    there.map(|allowed| allowed.name).collect()
}

/// Gives a client's request the one form that it would have if the client's order did not change from run to run, with
/// the last value of a variable that is named twice: older clients send both, and the engine takes the last.
pub fn settle(client: &mut Value) {
    last_of_each_variable(client);
    order(client, &mut Value::Null, &Context::default());
}

fn labels(_: &mut Value, ours: &mut Value, _: &Context) -> bool {
    let Some(labels) = ours.pointer_mut("/Labels").and_then(Value::as_object_mut) else { return false };
    let before = labels.len();
    labels.retain(|name, _| !name.starts_with("org.apache.mesos."));
    let after = labels.len();
    if after == 0 {
        remove(ours, "/Labels");
    }
    after < before
}

fn log_driver(client: &mut Value, ours: &mut Value, context: &Context) -> bool {
    let (driver, size, files) = ENGINE_LOG;
    let mut expected =
        json!({ "max-size": size.to_string(), "max-file": files.to_string(), "compress": "false" });
    if let Some(options) = client.pointer("/HostConfig/LogConfig/Config").and_then(Value::as_object) {
        options.iter().for_each(|(name, value)| expected[name] = value.clone());
    }
    let theirs = client.pointer("/HostConfig/LogConfig/Type").and_then(Value::as_str);
    if theirs == context.default_log_driver
        && ours.pointer("/HostConfig/LogConfig") == Some(&json!({ "Type": driver, "Config": expected }))
    {
        remove(ours, "/HostConfig/LogConfig");
        remove(client, "/HostConfig/LogConfig");
        return true;
    }
    false
}

fn mounts(client: &mut Value, ours: &mut Value, context: &Context) -> bool {
    let is_mounted = |target: &str| {
        let mounts = client.pointer("/HostConfig/Mounts").and_then(Value::as_array);
        mounts.into_iter().flatten().any(|mount| mount["Target"] == target)
    };
    let mut moved = Vec::new();
    let mut driver = None;
    if let Some(mounts) = ours.pointer_mut("/HostConfig/Mounts").and_then(Value::as_array_mut) {
        mounts.retain(|mount| {
            let text = |name: &str| mount[name].as_str().unwrap_or_default();
            let target = text("Target");
            let is_below = text("Source")
                .strip_prefix(&context.sandbox)
                .is_some_and(|below| text("Type") == "bind" && (below.is_empty() || below.starts_with('/')));
            let is_volume = context.volume_targets.iter().any(|volume| volume == target);
            if is_mounted(target) || !(is_below || is_volume) {
                return true;
            }
            if let Some(name) = mount.pointer("/VolumeOptions/DriverConfig/Name") {
                driver = Some(name.clone());
            }
            let modes = [
                if mount["ReadOnly"] == json!(true) { "ro" } else { "" },
                mount.pointer("/BindOptions/Propagation").and_then(Value::as_str).unwrap_or_default(),
                text("Consistency"),
            ];
            let modes: Vec<_> = modes.into_iter().filter(|mode| !mode.is_empty()).collect();
            let modes = if modes.is_empty() { String::new() } else { format!(":{}", modes.join(",")) };
            moved.push(json!(format!("{}:{target}{modes}", text("Source"))));
            false
        });
        if mounts.is_empty() {
            remove(ours, "/HostConfig/Mounts");
        }
    }
    let theirs = client.pointer("/HostConfig/VolumeDriver").cloned();
    let Some(host) = ours.pointer_mut("/HostConfig").and_then(Value::as_object_mut) else { return false };
    let was_there = !moved.is_empty();
    if was_there {
        let binds = host.entry("Binds").or_insert_with(|| json!([]));
        binds.as_array_mut().into_iter().for_each(|binds| binds.append(&mut moved));
    }
    if let Some(driver) = driver.filter(|driver| theirs.as_ref() == Some(driver)) {
        host.entry("VolumeDriver").or_insert(driver);
    }
    // Mesos writes the mode that is the default, also where we do.
    for side in [client, ours] {
        for bind in side.pointer_mut("/HostConfig/Binds").and_then(Value::as_array_mut).into_iter().flatten()
        {
            let text = bind.as_str().unwrap_or_default();
            let target = text.split(':').nth(1).unwrap_or_default();
            if context.volume_targets.iter().any(|volume| volume == target) {
                *bind = json!(text.strip_suffix(":rw").unwrap_or(text));
            }
        }
    }
    was_there
}

fn replaced_network(client: &mut Value, ours: &mut Value, _: &Context) -> bool {
    let mode = |side: &Value| side.pointer("/HostConfig/NetworkMode").cloned().unwrap_or_default();
    let (theirs, mine) = (mode(client), mode(ours));
    let endpoints = client.pointer("/NetworkingConfig/EndpointsConfig").and_then(Value::as_object);
    let is_mixed = endpoints.is_some_and(|endpoints| {
        endpoints.len() > 1 && mine.as_str().is_some_and(|mine| endpoints.contains_key(mine))
    });
    let is_mode = ["host", "bridge", "none"].map(|mode| json!(mode)).contains(&theirs);
    if !is_mixed || !is_mode || theirs == mine {
        return false;
    }
    remove(client, "/NetworkingConfig");
    client["HostConfig"]["NetworkMode"] = mine;
    true
}

fn quota(client: &mut Value, ours: &mut Value, _: &Context) -> bool {
    let says = |side: &Value, name: &str| side.pointer(&format!("/HostConfig/{name}")).is_some();
    let is_both = says(client, "NanoCpus") && says(client, "CpuQuota");
    if !is_both || !says(ours, "NanoCpus") || says(ours, "CpuQuota") {
        return false;
    }
    remove(client, "/HostConfig/CpuQuota");
    true
}

fn writable_mounts(client: &mut Value, _: &mut Value, context: &Context) -> bool {
    let mut was_there = false;
    let mounts = client.pointer_mut("/HostConfig/Mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten().filter(|_| context.api_minor < 44) {
        let options = mount.get_mut("BindOptions").and_then(Value::as_object_mut);
        was_there |= options.is_some_and(|options| options.remove("ReadOnlyNonRecursive").is_some());
        if mount.get("BindOptions") == Some(&json!({})) {
            remove(mount, "/BindOptions");
        }
    }
    was_there
}

fn networks(_: &mut Value, ours: &mut Value, _: &Context) -> bool {
    let connected = ours.as_object_mut().and_then(|body| body.remove(CONNECTIONS));
    let Some(Value::Object(connected)) = connected else { return false };
    let first =
        ours.pointer("/HostConfig/NetworkMode").and_then(Value::as_str).unwrap_or_default().to_owned();
    let endpoints = &mut ours["NetworkingConfig"]["EndpointsConfig"];
    if endpoints.get(&first).is_none() {
        endpoints[&first] = json!({});
    }
    connected.into_iter().for_each(|(name, settings)| endpoints[name] = settings);
    true
}

fn health_check(client: &mut Value, ours: &mut Value, _: &Context) -> bool {
    let is_off = ours.pointer("/Healthcheck") == Some(&json!({ "Test": ["NONE"] }));
    let is_meant = is_off && client.pointer("/Healthcheck").is_none();
    if is_meant {
        remove(ours, "/Healthcheck");
    }
    is_meant
}

fn last_of_each_variable(body: &mut Value) {
    let Some(list) = body.pointer_mut("/Env").and_then(Value::as_array_mut) else { return };
    let name = |entry: &Value| {
        let entry = entry.as_str().unwrap_or_default();
        entry.split_once('=').map_or(entry, |(name, _)| name).to_owned()
    };
    let last: BTreeMap<_, _> = list.iter().enumerate().map(|(at, entry)| (name(entry), at)).collect();
    let mut at = 0;
    list.retain(|entry| {
        at += 1;
        last.get(&name(entry)) == Some(&(at - 1))
    });
}

fn defaults(client: &mut Value, ours: &mut Value, _: &Context) -> bool {
    let defaults = [
        ("/HostConfig/RestartPolicy", json!({ "Name": "no" })),
        ("/HostConfig/MemorySwappiness", json!(-1)),
        ("/HostConfig/OomKillDisable", json!(false)),
        ("/HostConfig/PidsLimit", json!(0)),
        ("/HostConfig/ConsoleSize", json!([0, 0])),
        ("/HostConfig/Isolation", json!("default")),
    ];
    let mut was_there = false;
    for (path, default) in defaults {
        for side in [&mut *client, &mut *ours] {
            if side.pointer(path) == Some(&default) {
                remove(side, path);
                was_there = true;
            }
        }
    }
    was_there
}

fn order(client: &mut Value, ours: &mut Value, _: &Context) -> bool {
    let mut was_there = false;
    for path in ["/Env", "/HostConfig/Binds", "/HostConfig/Ulimits"] {
        for side in [&mut *client, &mut *ours] {
            if let Some(list) = side.pointer_mut(path).and_then(Value::as_array_mut) {
                let before = list.clone();
                list.sort_by_key(Value::to_string);
                was_there |= *list != before;
            }
        }
    }
    was_there
}

fn remove(document: &mut Value, path: &str) {
    if let Some((parent, name)) = path.rsplit_once('/')
        && let Some(fields) = document.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            mapped_directory: "/mnt".into(),
            sandbox: "/s".into(),
            api_minor: 41,
            default_log_driver: None,
            volume_targets: vec!["/v".into()],
        }
    }

    fn remains(client: Value, ours: Value) -> bool {
        let (mut client, mut ours) = (client, ours);
        take_out(&mut client, &mut ours, &context());
        client != ours
    }

    fn local(size: &str) -> Value {
        json!({ "Type": "local", "Config": { "max-size": size, "max-file": "2", "compress": "false" } })
    }

    /// What is like a difference that is meant, and is none.
    #[rstest::rstest]
    #[case::a_label_of_the_task(json!({}), json!({ "Labels": { "a": "b" } }))]
    #[case::a_label_that_is_lost(json!({ "Labels": { "a": "b" } }), json!({}))]
    #[case::another_size(json!({ "HostConfig": {} }), json!({ "HostConfig": { "LogConfig": local("7") } }))]
    #[case::a_driver_that_the_task_names(
        json!({ "HostConfig": { "LogConfig": { "Type": "json-file" } } }),
        json!({ "HostConfig": { "LogConfig": local("1048576") } })
    )]
    #[case::a_mount_of_a_parameter(
        json!({ "HostConfig": { "Binds": ["/a:/b"] } }),
        json!({ "HostConfig": { "Mounts": [{ "Type": "bind", "Source": "/a", "Target": "/b" }] } })
    )]
    #[case::a_path_that_only_begins_like_the_sandbox(
        json!({ "HostConfig": { "Binds": ["/sx:/b"] } }),
        json!({ "HostConfig": { "Mounts": [{ "Type": "bind", "Source": "/sx", "Target": "/b" }] } })
    )]
    #[case::a_volume_that_became_writable(
        json!({ "HostConfig": { "Binds": ["/s/a:/v:ro"] } }),
        json!({ "HostConfig": { "Mounts": [{ "Type": "bind", "Source": "/s/a", "Target": "/v" }] } })
    )]
    #[case::a_propagation_that_is_lost(
        json!({ "HostConfig": { "Binds": ["/s/a:/b:rslave"] } }),
        json!({ "HostConfig": { "Mounts": [{ "Type": "bind", "Source": "/s/a", "Target": "/b" }] } })
    )]
    #[case::a_network_of_the_users(
        json!({ "HostConfig": { "NetworkMode": "a" }, "NetworkingConfig": { "EndpointsConfig": { "a": {}, "b": {} } } }),
        json!({ "HostConfig": { "NetworkMode": "b" } })
    )]
    #[case::a_quota_without_cpus(json!({ "HostConfig": { "CpuQuota": 1 } }), json!({ "HostConfig": {} }))]
    #[case::another_order_of_devices(
        json!({ "HostConfig": { "Dns": ["1", "2"] } }), json!({ "HostConfig": { "Dns": ["2", "1"] } })
    )]
    #[case::a_health_check_that_is_lost(
        json!({ "Healthcheck": { "Test": ["CMD-SHELL", "x"] } }), json!({ "Healthcheck": { "Test": ["NONE"] } })
    )]
    #[case::a_health_check_that_stays_on(
        json!({ "Healthcheck": { "Test": ["NONE"] } }), json!({})
    )]
    #[case::no_swappiness(
        json!({ "HostConfig": { "MemorySwappiness": 0 } }), json!({ "HostConfig": {} })
    )]
    fn what_is_not_meant_remains(#[case] client: Value, #[case] ours: Value) {
        assert!(remains(client, ours));
    }

    /// What every task has besides.
    #[test]
    fn what_is_meant_is_taken_out() {
        let client = json!({ "HostConfig": {
            "Binds": ["/s:/mnt", "/s/a:/v:ro"], "RestartPolicy": { "Name": "no" }, "NanoCpus": 1, "CpuQuota": 1,
        } });
        let ours = json!({ "Labels": { "org.apache.mesos.x": "y" }, "Healthcheck": { "Test": ["NONE"] }, "HostConfig": {
            "LogConfig": local("1048576"),
            "NanoCpus": 1,
            "Mounts": [
                { "Type": "bind", "Source": "/s/a", "Target": "/v", "ReadOnly": true },
                { "Type": "bind", "Source": "/s", "Target": "/mnt" },
            ],
        } });
        assert!(!remains(client, ours));
    }

    #[test]
    fn the_last_of_each_variable_counts() {
        let mut body = json!({ "Env": ["B=1", "A=1", "A=2", "C"] });
        settle(&mut body);
        assert_eq!(body, json!({ "Env": ["A=2", "B=1", "C"] }));
    }
}
