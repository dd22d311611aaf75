//! Ways out of a container, each as a whole task, and the rule of the strict preset that stops it. Each case is a task
//! that the permissive preset takes, so it is the rule that stops it and nothing else. No engine is needed.

mod file;
mod host;
mod kinds;
mod parameters;
mod paths;

use std::path::Path;

use docker_containerizer::policy::{Form, Rule};
use mesos_proto::v1;
use v1::container_info::docker_info::Network;
use v1::volume::source;

use host::{Host, container, docker, resource, task, with, with_linux, with_source, with_volume};
use parameters::PARAMETERS;

#[test]
fn an_ordinary_task_is_allowed() {
    let host = Host::new();
    assert_eq!(host.stopped_by(&task()), []);
    // What an ordinary task asks for.
    let info = with(&[
        ("memory", "64m"),
        ("cap-drop", "ALL"),
        ("cap-add", "NET_BIND_SERVICE"),
        ("security-opt", "no-new-privileges"),
        ("ulimit", "nofile=1024"),
        ("ulimit", "rtprio=0"),
        ("ulimit", "nice=20"),
        ("tmpfs", "/tmp"),
        ("tmpfs", "/dev/shm"),
        ("sysctl", "net.core.somaxconn=1024"),
        ("sysctl", "kernel.shmmax=1"),
        ("sysctl", "fs.mqueue.msg_max=1"),
        ("runtime", "runc"),
        ("volume", "/anonymous"),
        ("log-driver", "json-file"),
        ("label", "a=b"),
        ("ipc", "private"),
        ("init", "true"),
        ("read-only", "true"),
        ("shm-size", "64m"),
        ("storage-opt", "size=1G"),
    ]);
    assert_eq!(host.stopped_by(&info), []);
    // Its own sandbox, a directory in it, and a GPU of its resources.
    let mut info = with_volume(|volume| volume.host_path = Some("data".into()));
    info.resources = vec![resource("gpus", 2.0)];
    assert_eq!(host.stopped_by(&info), []);
}

#[test]
fn no_parameter_is_a_way_out() {
    let host = Host::new();
    let mut wrong = Vec::new();
    for (key, value, rule) in PARAMETERS {
        let rules = host.stopped_by(&with(&[(key, value)]));
        if !rules.contains(rule) {
            wrong.push(format!("{key}={value} is stopped by {rules:?} and should be by {rule:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(PARAMETERS.len() >= 60);
}

#[test]
fn no_field_of_a_task_is_a_way_out() {
    let host = Host::new();
    let bytes = |bounding: &[v1::capability_info::Capability]| v1::CapabilityInfo {
        capabilities: bounding.iter().map(|&one| one.into()).collect(),
    };
    let capabilities = bytes(&[v1::capability_info::Capability::SysAdmin]);
    let user_network = |name: &str, labels: &[(&str, &str)]| {
        let mut info = task();
        docker(&mut info).network = Some(Network::User.into());
        let labels = labels
            .iter()
            .map(|(key, value)| v1::Label { key: (*key).into(), value: Some((*value).into()) })
            .collect();
        container(&mut info).network_infos = vec![v1::NetworkInfo {
            name: Some(name.into()),
            labels: Some(v1::Labels { labels }),
            ..Default::default()
        }];
        info
    };
    let docker_volume = |driver: Option<&str>, options: &[(&str, &str)]| {
        let parameter = options
            .iter()
            .map(|(key, value)| v1::Parameter { key: (*key).into(), value: (*value).into() })
            .collect::<Vec<_>>();
        with_source(source::Type::DockerVolume, |source| {
            source.docker_volume = Some(source::DockerVolume {
                name: "v".into(),
                driver: driver.map(Into::into),
                driver_options: Some(v1::Parameters { parameter }),
            });
        })
    };
    let host_path = |path: &str, mode: Option<v1::mount_propagation::Mode>| {
        with_source(source::Type::HostPath, |source| {
            source.host_path = Some(source::HostPath {
                path: path.into(),
                mount_propagation: mode.map(|mode| v1::MountPropagation { mode: Some(mode.into()) }),
            });
        })
    };
    let mut privileged = task();
    docker(&mut privileged).privileged = Some(true);
    let mut on_the_host = task();
    docker(&mut on_the_host).network = Some(Network::Host.into());
    let mut nowhere_said = task();
    docker(&mut nowhere_said).network = None;
    let mut driver = with_volume(|volume| volume.host_path = Some("relative".into()));
    docker(&mut driver).volume_driver = Some("vieux/sshfs".into());
    let bind = &[("type", "none"), ("o", "bind"), ("device", "/")];
    let cases = [
        ("privileged", privileged, Rule::Privileged),
        ("network HOST", on_the_host, Rule::HostNamespaces),
        ("no network", nowhere_said, Rule::HostNamespaces),
        ("a network named host", user_network("host", &[]), Rule::HostNamespaces),
        ("a network that is a container", user_network("container:x", &[]), Rule::JoinContainers),
        ("a network that is a file", user_network("ns:/proc/1/ns/net", &[]), Rule::HostNamespaces),
        (
            "network labels",
            user_network("n", &[("com.docker.network.endpoint.sysctls", "x")]),
            Rule::NetworkOptions,
        ),
        ("host_path", with_volume(|volume| volume.host_path = Some("/usr".into())), Rule::HostPaths),
        (
            "host_path with a colon",
            with_volume(|volume| volume.host_path = Some("/a:b".into())),
            Rule::HostPaths,
        ),
        ("HOST_PATH", host_path("/usr", None), Rule::HostPaths),
        ("HOST_PATH /", host_path("/", None), Rule::ProtectedPaths),
        (
            "propagation",
            host_path("/usr", Some(v1::mount_propagation::Mode::Bidirectional)),
            Rule::MountPropagation,
        ),
        (
            "a mount over /proc",
            with_volume(|volume| {
                volume.host_path = Some("data".into());
                volume.container_path = "/proc/sys".into();
            }),
            Rule::SystemTargets,
        ),
        ("DOCKER_VOLUME", docker_volume(None, &[]), Rule::Volumes),
        ("DOCKER_VOLUME options", docker_volume(Some("local"), bind), Rule::VolumeOptions),
        ("DOCKER_VOLUME options without driver", docker_volume(None, bind), Rule::VolumeOptions),
        ("DOCKER_VOLUME driver", docker_volume(Some("vieux/sshfs"), &[]), Rule::VolumeDrivers),
        ("volume_driver", driver, Rule::VolumeDrivers),
        (
            "effective_capabilities",
            with_linux(v1::LinuxInfo {
                effective_capabilities: Some(capabilities.clone()),
                ..Default::default()
            }),
            Rule::Capabilities,
        ),
        (
            "bounding_capabilities",
            with_linux(v1::LinuxInfo { bounding_capabilities: Some(capabilities), ..Default::default() }),
            Rule::Capabilities,
        ),
        (
            "share_pid_namespace",
            with_linux(v1::LinuxInfo { share_pid_namespace: Some(true), ..Default::default() }),
            Rule::HostNamespaces,
        ),
        (
            "ipc_mode",
            with_linux(v1::LinuxInfo {
                ipc_mode: Some(v1::linux_info::IpcMode::ShareParent.into()),
                ..Default::default()
            }),
            Rule::HostNamespaces,
        ),
        (
            "seccomp",
            with_linux(v1::LinuxInfo {
                seccomp: Some(v1::SeccompInfo { unconfined: Some(true), ..Default::default() }),
                ..Default::default()
            }),
            Rule::SecurityOptions,
        ),
    ];
    for (what, info, rule) in cases {
        let rules = host.stopped_by(&info);
        assert!(rules.contains(&rule), "{what} is stopped by {rules:?} and should be by {rule:?}");
    }
}

#[test]
fn links_and_places_of_the_host_are_seen_through() {
    let host = Host::new();
    for (path, rule) in [
        ("srv/data/everything", Rule::ProtectedPaths),
        ("srv/data/usr", Rule::HostPaths),
        ("srv/data/usr/../usr/bin", Rule::HostPaths),
        ("srv/run", Rule::ProtectedPaths),
        ("srv/run/docker.sock", Rule::ProtectedPaths),
        ("srv/devices/null", Rule::ProtectedPaths),
        ("engine/run/docker.sock", Rule::ProtectedPaths),
        ("engine/run", Rule::ProtectedPaths),
        ("engine", Rule::ProtectedPaths),
        ("engine/root/containers", Rule::ProtectedPaths),
        ("work", Rule::ProtectedPaths),
        ("work/other", Rule::ProtectedPaths),
        ("work/sandbox/../other", Rule::ProtectedPaths),
        ("work/sandbox/below", Rule::ProtectedPaths),
        ("etc/policy.toml", Rule::ProtectedPaths),
        ("etc", Rule::ProtectedPaths),
        ("", Rule::ProtectedPaths),
    ] {
        let path = host.path(path);
        for info in [
            with(&[("volume", &format!("{path}:/host"))]),
            with(&[("mount", &format!("type=bind,source={path},target=/host"))]),
            with_volume(|volume| volume.host_path = Some(path.clone())),
        ] {
            assert!(host.stopped_by(&info).contains(&rule), "{path}: {:?}", host.stopped_by(&info));
        }
    }
    let device = host.path("srv/devices/mem");
    assert_eq!(host.stopped_by(&with(&[("device", &device)])), [Rule::Devices]);
}

#[test]
fn the_first_violation_is_told_with_rule_field_and_remedy() {
    let host = Host::new();
    let (_, verdict) = host.judged(host.strict(), &with(&[("privileged", "true"), ("pid", "host")]));
    let error = verdict.into_result().unwrap_err();
    assert_eq!(error.field(), "HostConfig.Privileged");
    let text = error.to_string();
    for part in ["rule privileged", "and 1 more", "--docker_policy", "remove"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn each_rule_can_be_opened_by_a_file() {
    let host = Host::new();
    for (key, value, rule) in PARAMETERS {
        let open = match rule.form() {
            Form::Flag => "true",
            _ => "\"any\"",
        };
        let policy = host.policy(&format!("preset = \"strict\"\n{} = {open}", rule.key()));
        let (_, verdict) = host.judged(policy, &with(&[(key, value)]));
        assert!(verdict.violations().iter().all(|one| one.rule != *rule), "{key}={value}: {verdict:?}");
    }
    assert!(Path::new(&host.path("work")).is_dir());
}
