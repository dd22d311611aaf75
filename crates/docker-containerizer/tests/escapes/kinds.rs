//! Kinds and amounts: what a task asks for by one option or another, and how much of it.

use docker_containerizer::policy::{Policy, Rule};
use mesos_proto::v1;

use crate::host::{Host, container, docker, resource, task, with};

#[test]
fn no_option_is_a_mount_of_another_type() {
    let host = Host::new();
    for (types, parameter, allowed) in [
        ("\"bind\", \"volume\"", ("mount", "type=tmpfs,target=/x"), false),
        ("\"bind\", \"volume\"", ("tmpfs", "/x"), false),
        ("\"bind\"", ("mount", "target=/anonymous"), false),
        ("\"bind\"", ("volume", "/anonymous"), false),
        ("\"bind\"", ("volume", "name:/named"), false),
        ("\"bind\"", ("volume", "/usr:/host"), true),
        ("\"volume\"", ("volume", "/usr:/host"), false),
        ("\"volume\"", ("mount", "type=bind,source=/usr,target=/host"), false),
        ("\"volume\"", ("volume", "name:/named"), true),
        ("\"tmpfs\"", ("tmpfs", "/x"), true),
        // The sandbox is every task's own.
        ("", ("env", "A=b"), true),
        ("", ("volume", "./data:/data"), true),
    ] {
        let policy = host.policy(&format!("mount_types = [{types}]"));
        let (_, verdict) = host.judged(policy, &with(&[parameter]));
        let rules: Vec<_> = verdict.violations().iter().map(|one| one.rule).collect();
        assert_eq!(rules, if allowed { vec![] } else { vec![Rule::MountTypes] }, "[{types}] {parameter:?}");
    }
}

#[test]
fn a_limit_of_the_task_is_no_way_to_real_time_either() {
    let host = Host::new();
    for (kind, value, rules) in [
        (v1::r_limit_info::r_limit::Type::RlmtRtprio, 99, vec![Rule::Precedence]),
        (v1::r_limit_info::r_limit::Type::RlmtNice, 40, vec![Rule::Precedence]),
        (v1::r_limit_info::r_limit::Type::RlmtNofile, 1024, vec![]),
    ] {
        let mut limit =
            v1::r_limit_info::RLimit { soft: Some(value), hard: Some(value), ..Default::default() };
        limit.set_type(kind);
        let mut info = task();
        container(&mut info).rlimit_info = Some(v1::RLimitInfo { rlimits: vec![limit] });
        assert_eq!(host.stopped_by(&info), rules, "{kind:?}");
    }
}

#[test]
fn a_task_has_no_more_of_the_host_than_it_was_given() {
    let host = Host::new();
    for (key, value, rules) in [
        ("memory", "64m", vec![]),
        ("memory", "0", vec![Rule::Shares]),
        ("memory", "1g", vec![Rule::Shares]),
        ("memory-swap", "-1", vec![Rule::Shares]),
        ("cpu-shares", "10240", vec![Rule::Shares]),
        ("cpu-shares", "100", vec![]),
    ] {
        let mut info = with(&[(key, value)]);
        info.resources = vec![resource("mem", 128.0), resource("cpus", 0.5)];
        assert_eq!(host.stopped_by(&info), rules, "{key}={value}");
    }
}

#[test]
fn the_default_runtime_is_the_engines() {
    let host = Host::new();
    let mut policy = host.strict();
    policy.set_default_runtime("sandboxed");
    let runtime = |policy: &Policy, name: &str| {
        let (_, verdict) = host.judged(policy.clone(), &with(&[("runtime", name)]));
        verdict.violations().iter().map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(runtime(&policy, "sandboxed"), []);
    assert_eq!(runtime(&policy, "runc"), [Rule::Runtimes]);
    // An engine that does not say has the ordinary one.
    policy = host.strict();
    policy.set_default_runtime("");
    assert_eq!(runtime(&policy, "runc"), []);
}

/// What a hostile task can make us do is bounded: what is told, and what is looked at.
#[test]
fn a_task_of_many_wrong_things_is_refused_with_a_few() {
    let host = Host::new();
    let deep = format!("{}{}", host.path("srv/data"), "/a".repeat(1000));
    let volumes: Vec<_> = (0..1000).map(|at| format!("{deep}/{at}:/host{at}")).collect();
    let mut parameters: Vec<_> = volumes.iter().map(|volume| ("volume", volume.as_str())).collect();
    parameters.push(("publish", "1-2000:1-2000"));
    let (_, verdict) = host.judged(host.strict(), &with(&parameters));
    assert_eq!(verdict.violations().len(), 64);
    assert!(verdict.untold() >= 2000 - 64, "{}", verdict.untold());
    let policy = host.policy("protected_paths = false");
    let (_, verdict) = host.judged(policy, &with(&[("volume", &format!("{deep}:/host"))]));
    assert!(verdict.violations()[0].what.contains("more than 256 parts"), "{verdict:?}");
}

#[test]
fn security_options_are_compared_in_one_spelling() {
    let host = Host::new();
    for (entry, value) in [("apparmor:mine", "apparmor=mine"), ("apparmor=mine", "apparmor:mine")] {
        let policy = host.policy(&format!("preset = \"strict\"\nsecurity_options = [{entry:?}]"));
        let (_, verdict) = host.judged(policy, &with(&[("security-opt", value)]));
        assert_eq!(verdict.violations(), [], "{entry} {value}");
    }
}

#[test]
fn gpus_and_ports_of_the_resources_are_the_tasks_own() {
    let host = Host::new();
    let mut info = with(&[("publish", "31000:80"), ("publish", "31001-31002:81-82/udp")]);
    let range = |begin, end| v1::value::Range { begin, end };
    let mut ports = v1::Resource {
        name: "ports".into(),
        ranges: Some(v1::value::Ranges { range: vec![range(31000, 31002)] }),
        ..Default::default()
    };
    ports.set_type(v1::value::Type::Ranges);
    info.resources = vec![ports, resource("gpus", 1.0)];
    assert_eq!(host.stopped_by(&info), []);
    docker(&mut info).parameters.push(v1::Parameter { key: "publish".into(), value: "31003:83".into() });
    assert_eq!(host.stopped_by(&info), [Rule::Ports]);
    docker(&mut info).parameters = vec![v1::Parameter { key: "gpus".into(), value: "1".into() }];
    assert_eq!(host.stopped_by(&info), [Rule::DeviceRequests], "a second one, beside that of the resources");
}
