use super::*;
use v1::volume::Source;
use v1::volume::source::{SandboxPath, Type, sandbox_path};

fn task() -> v1::TaskInfo {
    v1::TaskInfo {
        name: "t".into(),
        task_id: v1::TaskId { value: "t.1".into() },
        agent_id: v1::AgentId { value: "local".into() },
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        ..Default::default()
    }
}

fn contained() -> v1::ContainerInfo {
    let mut container = v1::ContainerInfo::default();
    container.set_type(v1::container_info::Type::Mesos);
    container
}

fn with(container: v1::ContainerInfo) -> v1::TaskInfo {
    v1::TaskInfo { container: Some(container), ..task() }
}

fn sandbox_volume(path: &str, container_path: &str) -> v1::Volume {
    let mut source = Source {
        sandbox_path: Some(SandboxPath { r#type: Some(sandbox_path::Type::Self_.into()), path: path.into() }),
        ..Default::default()
    };
    source.set_type(Type::SandboxPath);
    v1::Volume {
        mode: v1::volume::Mode::Rw.into(),
        container_path: container_path.into(),
        source: Some(source),
        ..Default::default()
    }
}

fn persistent(id: &str, container_path: &str, mode: v1::volume::Mode) -> v1::Resource {
    v1::Resource {
        name: "disk".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 64.0 }),
        reservations: vec![v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some("r".into()),
            ..Default::default()
        }],
        disk: Some(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: id.into(), principal: None }),
            volume: Some(v1::Volume {
                mode: mode.into(),
                container_path: container_path.into(),
                ..Default::default()
            }),
            source: None,
        }),
        ..Default::default()
    }
}

fn read(task: &v1::TaskInfo) -> Result<PlainTaskSpec, FieldError> {
    PlainTaskSpec::from_task_info(task, Strictness::Lenient)
}

#[test]
fn a_command_alone_is_a_task_without_notices() {
    for info in [task(), with(contained())] {
        let spec = PlainTaskSpec::from_task_info(&info, Strictness::Strict).unwrap();
        assert_eq!(spec.command, PlainCommand::Shell("true".into()));
        assert_eq!((spec.notices.len(), spec.rlimits.len(), spec.volumes.len()), (0, 0, 0));
    }
}

#[rstest::rstest]
#[case::argument_0_is_given(&["sh", "-c"], &["sh", "-c"])]
#[case::argument_0_is_the_program(&[], &["/bin/sh"])]
fn a_program_is_not_its_own_argument(#[case] arguments: &[&str], #[case] expected: &[&str]) {
    let mut info = task();
    info.command = Some(v1::CommandInfo {
        shell: Some(false),
        value: Some("/bin/sh".into()),
        arguments: arguments.iter().map(|&argument| argument.into()).collect(),
        ..Default::default()
    });
    let PlainCommand::Program { program, arguments } = read(&info).unwrap().command else { panic!() };
    assert_eq!((program.as_str(), arguments), ("/bin/sh", expected.iter().map(|&one| one.into()).collect()));
}

#[rstest::rstest]
#[case::no_command(|t: &mut v1::TaskInfo| t.command = None, "command")]
#[case::no_value(|t: &mut v1::TaskInfo| t.command = Some(Default::default()), "command.value")]
#[case::no_program(
    |t: &mut v1::TaskInfo| t.command = Some(v1::CommandInfo { shell: Some(false), arguments: vec!["a".into()], ..Default::default() }),
    "command.value"
)]
#[case::nul(|t: &mut v1::TaskInfo| t.command.as_mut().unwrap().value = Some("a\0b".into()), "command.value")]
#[case::id(|t: &mut v1::TaskInfo| t.task_id.value = "a/b".into(), "task_id.value")]
#[case::executor(|t: &mut v1::TaskInfo| { t.command = None; t.executor = Some(Default::default()); }, "executor")]
#[case::check(|t: &mut v1::TaskInfo| t.check = Some(Default::default()), "check.type")]
#[case::gpus(
    |t: &mut v1::TaskInfo| t.resources = vec![v1::Resource { name: "gpus".into(), scalar: Some(v1::value::Scalar { value: 1.0 }), ..Default::default() }],
    "resources[gpus]"
)]
#[case::a_volume_at_an_absolute_path(
    |t: &mut v1::TaskInfo| t.resources = vec![persistent("p", "/data", v1::volume::Mode::Rw)],
    "resources[disk:p].disk.volume.container_path"
)]
fn a_task_that_cannot_run_names_the_field(#[case] spoil: fn(&mut v1::TaskInfo), #[case] field: &str) {
    let mut given = task();
    spoil(&mut given);
    assert_eq!(read(&given).unwrap_err().field(), field);
}

#[rstest::rstest]
#[case::docker(|c: &mut v1::ContainerInfo| c.set_type(v1::container_info::Type::Docker), "container.type")]
#[case::image(|c: &mut v1::ContainerInfo| c.mesos = Some(v1::container_info::MesosInfo { image: Some(Default::default()) }), "container.mesos.image")]
#[case::host_path(
    |c: &mut v1::ContainerInfo| c.volumes = vec![v1::Volume { host_path: Some("/srv".into()), container_path: "srv".into(), ..sandbox_volume("a", "b") }],
    "container.volumes[0].host_path"
)]
#[case::secret(
    |c: &mut v1::ContainerInfo| { c.volumes = vec![sandbox_volume("a", "b")]; c.volumes[0].source.as_mut().unwrap().set_type(Type::Secret); },
    "container.volumes[0].source.type"
)]
#[case::no_source(
    |c: &mut v1::ContainerInfo| { c.volumes = vec![sandbox_volume("a", "b")]; c.volumes[0].source = None; },
    "container.volumes[0]"
)]
#[case::parent(
    |c: &mut v1::ContainerInfo| {
        c.volumes = vec![sandbox_volume("a", "b")];
        let source = c.volumes[0].source.as_mut().unwrap();
        source.sandbox_path.as_mut().unwrap().set_type(sandbox_path::Type::Parent);
    },
    "container.volumes[0].source.sandbox_path.type"
)]
#[case::leaves(|c: &mut v1::ContainerInfo| c.volumes = vec![sandbox_volume("../a", "b")], "container.volumes[0].source.sandbox_path.path")]
#[case::shows_elsewhere(|c: &mut v1::ContainerInfo| c.volumes = vec![sandbox_volume("a", "b/../../c")], "container.volumes[0].container_path")]
#[case::absolute(|c: &mut v1::ContainerInfo| c.volumes = vec![sandbox_volume("a", "/b")], "container.volumes[0].container_path")]
#[case::the_sandbox(|c: &mut v1::ContainerInfo| c.volumes = vec![sandbox_volume("a", "./.")], "container.volumes[0].container_path")]
#[case::one_in_the_other(
    |c: &mut v1::ContainerInfo| c.volumes = vec![sandbox_volume("a", "b"), sandbox_volume("c", "b//d")],
    "container.volumes"
)]
#[case::network(
    |c: &mut v1::ContainerInfo| c.network_infos = vec![v1::NetworkInfo { name: Some("n".into()), ..Default::default() }],
    "container.network_infos[0].name"
)]
#[case::rlimit(|c: &mut v1::ContainerInfo| c.rlimit_info = Some(v1::RLimitInfo { rlimits: vec![Default::default()] }), "container.rlimit_info.rlimits[0].type")]
#[case::shared_memory_of_nothing(
    |c: &mut v1::ContainerInfo| c.linux_info = Some(v1::LinuxInfo { shm_size: Some(0), ..Default::default() }),
    "container.linux_info.shm_size"
)]
fn a_container_that_a_process_cannot_have_names_the_field(
    #[case] spoil: fn(&mut v1::ContainerInfo),
    #[case] field: &str,
) {
    let mut container = contained();
    spoil(&mut container);
    assert_eq!(read(&with(container)).unwrap_err().field(), field);
}

#[rstest::rstest]
#[case::docker(|c: &mut v1::ContainerInfo| c.docker = Some(Default::default()), "container.docker")]
#[case::hostname(|c: &mut v1::ContainerInfo| c.hostname = Some("h".into()), "container.hostname")]
#[case::terminal(|c: &mut v1::ContainerInfo| c.tty_info = Some(Default::default()), "container.tty_info")]
#[case::network(
    |c: &mut v1::ContainerInfo| c.network_infos = vec![v1::NetworkInfo { groups: vec!["g".into()], ..Default::default() }],
    "container.network_infos[0]"
)]
#[case::capabilities(
    |c: &mut v1::ContainerInfo| c.linux_info = Some(v1::LinuxInfo { effective_capabilities: Some(Default::default()), ..Default::default() }),
    "container.linux_info.effective_capabilities"
)]
#[case::processes(
    |c: &mut v1::ContainerInfo| c.linux_info = Some(v1::LinuxInfo { share_pid_namespace: Some(false), ..Default::default() }),
    "container.linux_info.share_pid_namespace"
)]
#[case::read_only(
    |c: &mut v1::ContainerInfo| { c.volumes = vec![sandbox_volume("a", "b")]; c.volumes[0].set_mode(v1::volume::Mode::Ro); },
    "container.volumes[0].mode"
)]
fn what_a_process_does_not_get_is_noted_or_refused(
    #[case] change: fn(&mut v1::ContainerInfo),
    #[case] field: &str,
) {
    let mut container = contained();
    change(&mut container);
    let info = with(container);
    let spec = read(&info).unwrap();
    let noted: Vec<_> = spec.notices.iter().map(|notice| notice.field.as_str()).collect();
    assert_eq!(noted, [field]);
    assert_eq!(PlainTaskSpec::from_task_info(&info, Strictness::Strict).unwrap_err().field(), field);
}

#[test]
fn volumes_have_clean_places_below_the_sandbox() {
    let mut container = contained();
    container.volumes = vec![sandbox_volume("./data//x", "shown/here/."), sandbox_volume("same", "./same")];
    let mut info = with(container);
    info.resources = vec![persistent("p", "keep/me", v1::volume::Mode::Ro)];
    let spec = read(&info).unwrap();
    assert_eq!(spec.volumes, [SandboxVolume { path: "data/x".into(), container_path: "shown/here".into() }]);
    assert_eq!(spec.resources.volumes[0].container_path, "keep/me");
    assert_eq!(spec.notices[0].field, "resources[disk:p].disk.volume.mode");
}

#[test]
fn limits_of_processes_are_honoured() {
    let mut container = contained();
    let mut limit = v1::r_limit_info::RLimit { soft: Some(7), hard: Some(9), ..Default::default() };
    limit.set_type(v1::r_limit_info::r_limit::Type::RlmtNofile);
    container.rlimit_info = Some(v1::RLimitInfo { rlimits: vec![limit] });
    let spec = read(&with(container)).unwrap();
    assert_eq!(spec.rlimits, [Rlimit { name: "nofile", soft: 7, hard: 9 }]);
    assert_eq!(spec.notices, []);
}

#[test]
fn a_running_task_is_not_lost_for_its_checks() {
    let info = v1::TaskInfo { health_check: Some(v1::HealthCheck::default()), ..task() };
    read(&info).unwrap_err();
    let (spec, left_out) = PlainTaskSpec::of_running_task(&info).unwrap();
    assert_eq!((spec.health_check, left_out[0].field.as_str()), (None, "health_check"));
}
