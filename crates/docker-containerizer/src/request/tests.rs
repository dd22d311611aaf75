//! Whole requests, table by table, for tasks read from their messages.

use std::path::Path;

use mesos_proto::v1;
use mesos_types::{ContainerId, Strictness, TaskSpec};

use super::*;
use containerizer::{Checkpoint, Identity};

fn settings() -> RequestSettings {
    RequestSettings {
        sandbox_directory: "/mnt/mesos/sandbox".into(),
        cfs: CpuQuota::FromLimit,
        default_dns: DefaultDns::default(),
        engine_log: EngineLog { driver: "local".into(), max_size: 1 << 20, max_files: 3 },
        proxies: ProxyVariables::default(),
        policy: Default::default(),
    }
}

fn task(change: impl FnOnce(&mut v1::TaskInfo)) -> TaskSpec {
    let docker = v1::container_info::DockerInfo { image: "localhost:5000/a/b".into(), ..Default::default() };
    let mut container = v1::ContainerInfo { docker: Some(docker), ..Default::default() };
    container.set_type(v1::container_info::Type::Docker);
    let mut info = v1::TaskInfo {
        name: "t".into(),
        task_id: v1::TaskId { value: "test:colon".into() },
        agent_id: v1::AgentId { value: "local".into() },
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        container: Some(container),
        ..Default::default()
    };
    change(&mut info);
    TaskSpec::from_task_info(&info, Strictness::Lenient).unwrap()
}

fn request_in(task: &TaskSpec, sandbox: &str, default_log_driver: &str) -> Result<Request, FieldError> {
    let overlay = [EnvVar::new("", "BOTH", "overlay").unwrap()];
    request_with(task, sandbox, default_log_driver, &settings(), &overlay)
}

fn request_with(
    task: &TaskSpec,
    sandbox: &str,
    default_log_driver: &str,
    settings: &RequestSettings,
    overlay: &[EnvVar],
) -> Result<Request, FieldError> {
    let labels = Labels {
        identity: Identity {
            agent_id: "local".parse().unwrap(),
            framework_id: "f".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            task_id: task.task_id.clone(),
            container_id: ContainerId::random(),
        },
        work_dir: "/w".into(),
        checkpoint: Checkpoint::Yes,
    };
    build(&RequestInput {
        task,
        labels: &labels,
        sandbox: Path::new(sandbox),
        name: None,
        overlay,
        settings,
        engine: &EngineFacts {
            memory: 1 << 32,
            default_log_driver: default_log_driver.into(),
            api_version: docker_engine::NEWEST_API,
            data_root: "/var/lib/docker".into(),
        },
    })
}

fn request(task: &TaskSpec) -> Result<Request, FieldError> {
    request_in(task, "/w/sandbox", "json-file")
}

#[test]
fn the_environment_is_sorted_and_the_overlay_wins() {
    let task = task(|info| {
        let variable = |name: &str| v1::environment::Variable {
            name: name.into(),
            value: Some("task".into()),
            ..Default::default()
        };
        let variables = vec![variable("MESOS_SANDBOX"), variable("BOTH"), variable("A")];
        info.command.as_mut().unwrap().environment = Some(v1::Environment { variables });
    });
    let request = request(&task).unwrap();
    let name = format!("MESOS_CONTAINER_NAME={}", request.name);
    assert_eq!(*request.body.env, ["A=task", "BOTH=overlay", &name, "MESOS_SANDBOX=/mnt/mesos/sandbox"]);
}

#[test]
fn the_operators_proxies_give_way_to_every_variable() {
    let config =
        r#"{"proxies": {"default": {"httpProxy": "http://p.test:1", "allProxy": "http://all.test"}}}"#;
    let operator = crate::OperatorConfig::inline(config).unwrap();
    let mut settings = settings();
    settings.proxies = operator.proxies(Path::new("/run/docker.sock")).unwrap();
    let task = task(|info| {
        let own = v1::environment::Variable {
            name: "http_proxy".into(),
            value: Some("own".into()),
            ..Default::default()
        };
        info.command.as_mut().unwrap().environment = Some(v1::Environment { variables: vec![own] });
    });
    let overlay = [EnvVar::new("", "ALL_PROXY", "overlay").unwrap()];
    let request = request_with(&task, "/w/sandbox", "json-file", &settings, &overlay).unwrap();
    let proxies = request.body.env.iter().filter(|variable| variable.to_ascii_lowercase().contains("proxy"));
    assert!(proxies.eq([
        "ALL_PROXY=overlay",
        "HTTP_PROXY=http://p.test:1",
        "all_proxy=http://all.test",
        "http_proxy=own"
    ]));
}

#[test]
fn a_shell_command_replaces_the_entrypoint() {
    let body = request(&task(|_| {})).unwrap().body;
    assert_eq!(body.entrypoint.unwrap(), ["/bin/sh"]);
    assert_eq!(body.cmd.unwrap(), ["-c", "true"]);
}

#[test]
fn the_images_default_is_sent_as_nothing() {
    let task = task(|info| info.command = Some(v1::CommandInfo { shell: Some(false), ..Default::default() }));
    let json = serde_json::to_value(request(&task).unwrap().body).unwrap();
    assert!(json.get("Cmd").is_none() && json.get("Entrypoint").is_none(), "{json}");
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_LaunchSandboxWithColon.
#[test]
fn a_sandbox_with_a_colon_is_a_mount() {
    let request = request_in(&task(|_| {}), "/w/test:colon", "json-file").unwrap();
    assert!(request.body.host_config.binds.is_empty());
    let mount = &request.body.host_config.mounts[0];
    assert_eq!((mount.source.as_str(), mount.target.as_str()), ("/w/test:colon", "/mnt/mesos/sandbox"));
}

fn volume(container_path: &str, host_path: &str, mode: v1::volume::Mode) -> v1::Volume {
    v1::Volume {
        mode: mode.into(),
        container_path: container_path.into(),
        host_path: Some(host_path.into()),
        ..Default::default()
    }
}

#[test]
fn volumes_keep_their_order_and_forms() {
    use v1::volume::Mode::{Ro, Rw};

    let task = task(|info| {
        info.container.as_mut().unwrap().volumes = vec![
            volume("/c", "/h", Ro),
            volume("rel", "/h2", Rw),
            volume("/s", "below/me", Rw),
            volume("/c:d", "/h3", Ro),
        ];
    });
    let request = request(&task).unwrap();
    assert_eq!(request.body.host_config.binds, ["/h:/c:ro", "/h2:/mnt/mesos/sandbox/rel:rw"]);
    let mounts: Vec<_> = request
        .body
        .host_config
        .mounts
        .iter()
        .map(|m| (m.source.as_str(), m.target.as_str(), m.read_only))
        .collect();
    assert_eq!(
        mounts,
        [
            ("/w/sandbox/below/me", "/s", false),
            ("/h3", "/c:d", true),
            ("/w/sandbox", "/mnt/mesos/sandbox", false)
        ]
    );
    let points =
        [MountPoint::Sandbox(sandbox::RelPath::new("below/me").unwrap()), MountPoint::Host("/h3".into())];
    assert_eq!(request.mount_points, points);
}

#[test]
fn a_port_is_exposed_and_bound() {
    let task = task(|info| {
        info.resources = vec![v1::Resource {
            name: "ports".into(),
            r#type: v1::value::Type::Ranges.into(),
            ranges: Some(v1::value::Ranges { range: vec![v1::value::Range { begin: 31000, end: 31001 }] }),
            ..Default::default()
        }];
        let docker = info.container.as_mut().unwrap().docker.as_mut().unwrap();
        docker.set_network(v1::container_info::docker_info::Network::Bridge);
        let mapping = |host_port, protocol: &str| v1::container_info::docker_info::PortMapping {
            host_port,
            container_port: 53,
            protocol: Some(protocol.into()),
        };
        docker.port_mappings = vec![mapping(31000, "tcp"), mapping(31001, "udp")];
    });
    let json = serde_json::to_value(request(&task).unwrap().body).unwrap();
    assert_eq!(json["ExposedPorts"], serde_json::json!({"53/tcp": {}, "53/udp": {}}));
    let bound = |port: &str| serde_json::json!([{"HostIp": "", "HostPort": port}]);
    assert_eq!(
        json["HostConfig"]["PortBindings"],
        serde_json::json!({"53/tcp": bound("31000"), "53/udp": bound("31001")})
    );
}

#[rstest::rstest]
#[case::the_engines_default_is_mangling("json-file", None, Some("local"), Output::Log)]
#[case::the_operator_chose_another("journald", None, None, Output::Log)]
#[case::the_task_chose_another("json-file", Some("none"), Some("none"), Output::Attach)]
fn the_log_driver_is_ours_unless_somebody_chose(
    #[case] default: &str,
    #[case] parameter: Option<&str>,
    #[case] expected: Option<&str>,
    #[case] output: Output,
) {
    let task = task(|info| {
        if let Some(value) = parameter {
            info.container.as_mut().unwrap().docker.as_mut().unwrap().parameters =
                vec![v1::Parameter { key: "log-driver".into(), value: value.into() }];
        }
    });
    let request = request_in(&task, "/w/s", default).unwrap();
    assert_eq!(request.body.host_config.log_config.as_ref().map(|l| l.driver.as_str()), expected);
    assert_eq!(request.output, output);
}

#[test]
fn a_task_may_not_set_a_label_of_ours_by_a_parameter() {
    for label in ["org.apache.mesos.work_dir=/other", "org.apache.mesos.new=1"] {
        let task = task(|info| {
            info.container.as_mut().unwrap().docker.as_mut().unwrap().parameters =
                vec![v1::Parameter { key: "label".into(), value: label.into() }];
        });
        let error = request(&task).unwrap_err().to_string();
        assert!(error.contains("org.apache.mesos."), "{error}");
    }
    for (key, value) in [
        ("mount", "type=volume,target=/v,volume-label=org.apache.mesos.work_dir=/other"),
        ("annotation", "org.apache.mesos.work_dir=/other"),
    ] {
        let task = task(|info| {
            info.container.as_mut().unwrap().docker.as_mut().unwrap().parameters =
                vec![v1::Parameter { key: key.into(), value: value.into() }];
        });
        let error = request(&task).unwrap_err().to_string();
        assert!(error.contains("org.apache.mesos."), "{error}");
    }
}

#[rstest::rstest]
#[case("Upper/Case")]
#[case("a b")]
#[case("a:b:c")]
fn an_image_reference_that_is_none_names_the_field(#[case] image: &str) {
    let task = task(|info| info.container.as_mut().unwrap().docker.as_mut().unwrap().image = image.into());
    assert_eq!(request(&task).unwrap_err().field(), "container.docker.image");
}

#[test]
fn user_networks_are_asked_as_the_task_says() {
    let asking = |name: &str, address: &str| v1::NetworkInfo {
        name: Some(name.into()),
        ip_addresses: vec![v1::network_info::IpAddress {
            ip_address: Some(address.into()),
            ..Default::default()
        }],
        labels: Some(v1::Labels {
            labels: vec![v1::Label { key: "tier".into(), value: Some("front".into()) }],
        }),
        ..Default::default()
    };
    let user = |infos: Vec<v1::NetworkInfo>| {
        task(|info| {
            let container = info.container.as_mut().unwrap();
            container.docker.as_mut().unwrap().set_network(v1::container_info::docker_info::Network::User);
            container.network_infos = infos;
        })
    };
    let plain = v1::NetworkInfo { name: Some("z".into()), ..Default::default() };
    let body = request(&user(vec![plain.clone()])).unwrap().body;
    assert_eq!((body.host_config.network_mode.as_str(), body.networking_config), ("z", None));

    let body = request(&user(vec![plain, asking("a", "fd00::5")])).unwrap().body;
    assert_eq!(body.host_config.network_mode, "z", "the first is the primary one");
    assert_eq!(
        serde_json::to_value(body.networking_config).unwrap()["EndpointsConfig"],
        serde_json::json!({
            "a": { "IPAMConfig": { "IPv6Address": "fd00::5" }, "DriverOpts": { "tier": "front" } },
            "z": {},
        })
    );
}

#[test]
fn isolation_is_set_before_the_parameters() {
    let task = task(|info| {
        info.command.as_mut().unwrap().user = Some("me".into());
        let mut gpus = v1::Resource {
            name: "gpus".into(),
            scalar: Some(v1::value::Scalar { value: 2.0 }),
            ..Default::default()
        };
        gpus.set_type(v1::value::Type::Scalar);
        info.resources = vec![gpus];
        let container = info.container.as_mut().unwrap();
        container.tty_info =
            Some(v1::TtyInfo { window_size: Some(v1::tty_info::WindowSize { rows: 24, columns: 80 }) });
        let capability = v1::capability_info::Capability::Kill.into();
        container.linux_info = Some(v1::LinuxInfo {
            effective_capabilities: Some(v1::CapabilityInfo { capabilities: vec![capability] }),
            ipc_mode: Some(v1::linux_info::IpcMode::Private.into()),
            shm_size: Some(1),
            ..Default::default()
        });
        container.docker.as_mut().unwrap().parameters =
            vec![v1::Parameter { key: "shm-size".into(), value: "2m".into() }];
    });
    let body = request(&TaskSpec { run_as: Some("7:8".into()), ..task.clone() }).unwrap().body;
    let host = &body.host_config;
    assert_eq!((body.user.as_str(), host.console_size), ("7:8", Some([24, 80])));
    assert_eq!((host.ipc_mode.as_str(), host.shm_size), ("private", Some(2 << 20)), "a parameter wins");
    assert_eq!((&host.cap_drop[..], &host.cap_add[..]), (&["ALL".to_owned()][..], &["KILL".to_owned()][..]));
    assert_eq!(host.resources.device_requests[0].count, Some(2));
    // The image's user by default, and a size that the engine does not take is said.
    assert_eq!(request(&task).unwrap().body.user, "");
}

#[test]
fn a_parameter_takes_a_capability_of_linux_info_away() {
    use v1::capability_info::Capability;

    let with = |key: &str, value: &str| {
        let task = task(|info| {
            let container = info.container.as_mut().unwrap();
            let capabilities = vec![Capability::NetRaw.into(), Capability::Chown.into()];
            container.linux_info = Some(v1::LinuxInfo {
                effective_capabilities: Some(v1::CapabilityInfo { capabilities }),
                ..Default::default()
            });
            container.docker.as_mut().unwrap().parameters =
                vec![v1::Parameter { key: key.into(), value: value.into() }];
        });
        request(&task).map(|request| request.body.host_config.cap_add)
    };
    assert_eq!(with("cap-drop", "net_raw").unwrap(), ["CHOWN"]);
    assert!(with("privileged", "true").unwrap_err().to_string().contains("container.linux_info"));
}

#[rstest::rstest]
#[case::by_default(&[], Some(&["NONE"][..]))]
#[case::asked_for_by_a_command(&[("health-cmd", "x")], Some(&["CMD-SHELL", "x"][..]))]
#[case::asked_for_as_the_image_has_it(&[("image-healthcheck", "true")], Some(&[][..]))]
#[case::taken_back(&[("image-healthcheck", "false")], Some(&["NONE"][..]))]
fn the_engines_health_check_is_off_unless_the_task_asks(
    #[case] given: &[(&str, &str)],
    #[case] expected: Option<&[&str]>,
) {
    let task = task(|info| {
        let docker = info.container.as_mut().and_then(|container| container.docker.as_mut()).unwrap();
        docker.parameters = given
            .iter()
            .map(|&(key, value)| v1::Parameter { key: key.into(), value: value.into() })
            .collect();
    });
    let health = request_in(&task, "/s", "json-file").unwrap().body.healthcheck;
    let test: Option<Vec<&str>> =
        health.as_ref().map(|health| health.test.iter().map(String::as_str).collect());
    assert_eq!(test.as_deref(), expected);
}

/// A persistent volume of a task, in the work directory.
fn persistent(id: &str, container_path: &str, mode: v1::volume::Mode) -> v1::Resource {
    v1::Resource {
        name: "disk".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 64.0 }),
        reservations: vec![v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some("a/b".into()),
            ..Default::default()
        }],
        disk: Some(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: id.into(), principal: None }),
            volume: Some(v1::Volume {
                container_path: container_path.into(),
                mode: mode.into(),
                ..Default::default()
            }),
            source: None,
        }),
        ..Default::default()
    }
}

/// The bind mounts of a request: source, target, and whether it is read-only.
fn binds(request: &Request) -> Vec<(&str, &str, bool)> {
    let mounts = request.body.host_config.mounts.iter();
    mounts.map(|mount| (mount.source.as_str(), mount.target.as_str(), mount.read_only)).collect()
}

const DATA: &str = "/w/volumes/roles/a b/data";

#[test]
fn a_persistent_volume_shows_in_the_sandbox_and_only_there() {
    let task = task(|info| info.resources = vec![persistent("data", "some/where", v1::volume::Mode::Rw)]);
    let request = request(&task).unwrap();
    assert_eq!(
        binds(&request),
        [("/w/sandbox", "/mnt/mesos/sandbox", false), (DATA, "/mnt/mesos/sandbox/some/where", false)]
    );
    assert!(request.body.host_config.binds.is_empty());
    assert!(matches!(&request.mount_points[..], [MountPoint::Volume(place), MountPoint::Sandbox(at)]
        if place.path() == Path::new(DATA) && at.as_path() == Path::new("some/where")));
}

#[test]
fn an_absolute_place_of_a_persistent_volume_is_honoured() {
    let task = task(|info| info.resources = vec![persistent("data", "/data", v1::volume::Mode::Ro)]);
    let request = request(&task).unwrap();
    let mounts = [("/w/sandbox", "/mnt/mesos/sandbox", false), (DATA, "/data", true)];
    assert_eq!(binds(&request), mounts);
}

/// A volume whose host path is the place of a persistent volume in the sandbox, as Marathon's applications have it, shows
/// the persistent volume: in stock that is mounted there.
#[rstest::rstest]
#[case::the_volume("in/data", &[(DATA, "/db", false)])]
#[case::a_part_of_it("in/data/part", &[("/w/volumes/roles/a b/data/part", "/db", false)])]
#[case::what_holds_it("in", &[("/w/sandbox/in", "/db", false), (DATA, "/db/data", false)])]
#[case::something_else("in/database", &[("/w/sandbox/in/database", "/db", false)])]
fn a_place_of_the_sandbox_shows_the_volume_in_it(
    #[case] host_path: &str,
    #[case] expected: &[(&str, &str, bool)],
    #[values(false, true)] by_parameter: bool,
) {
    let task = task(|info| {
        info.resources = vec![persistent("data", "in/data", v1::volume::Mode::Rw)];
        let container = info.container.as_mut().unwrap();
        if by_parameter {
            let value = format!("type=bind,source=./{host_path},target=/db");
            let parameter = v1::Parameter { key: "mount".into(), value };
            container.docker.as_mut().unwrap().parameters.push(parameter);
        } else {
            container.volumes = vec![volume("/db", host_path, v1::volume::Mode::Rw)];
        }
    });
    let request = request(&task).unwrap();
    let mut shown = binds(&request);
    shown.retain(|(_, target, _)| target.starts_with("/db"));
    assert_eq!(shown, expected);
    assert!(binds(&request).contains(&(DATA, "/mnt/mesos/sandbox/in/data", false)));
}

#[test]
fn nothing_makes_a_read_only_volume_writable() {
    let task = task(|info| {
        info.resources = vec![persistent("data", "data", v1::volume::Mode::Ro)];
        info.container.as_mut().unwrap().volumes = vec![volume("/db", "data", v1::volume::Mode::Rw)];
    });
    let request = request(&task).unwrap();
    assert!(binds(&request).contains(&(DATA, "/db", true)), "{:?}", binds(&request));
}

#[test]
fn a_part_of_a_shared_volume_is_refused() {
    let task = task(|info| {
        let mut shared = persistent("data", "data", v1::volume::Mode::Rw);
        shared.shared = Some(Default::default());
        info.resources = vec![shared];
        info.container.as_mut().unwrap().volumes = vec![volume("/db", "data/part", v1::volume::Mode::Rw)];
    });
    let error = request(&task).unwrap_err().to_string();
    assert!(error.contains("part in the shared persistent volume data"), "{error}");
}
