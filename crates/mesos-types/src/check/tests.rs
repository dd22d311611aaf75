use super::*;
use crate::fields::Strictness;

fn health(change: impl FnOnce(&mut v1::HealthCheck)) -> v1::HealthCheck {
    let mut check = v1::HealthCheck {
        http: Some(health_check::HttpCheckInfo { port: 8080, ..Default::default() }),
        ..Default::default()
    };
    check.set_type(health_check::Type::Http);
    change(&mut check);
    check
}

fn command(value: Option<&str>, shell: bool, arguments: &[&str]) -> v1::CommandInfo {
    v1::CommandInfo {
        value: value.map(Into::into),
        shell: Some(shell),
        arguments: arguments.iter().map(|&a| a.into()).collect(),
        ..Default::default()
    }
}

fn by_command(command: v1::CommandInfo) -> v1::HealthCheck {
    health(|check| {
        check.set_type(health_check::Type::Command);
        check.command = Some(command);
    })
}

fn read(check: &v1::HealthCheck) -> Result<HealthCheckSpec, FieldError> {
    HealthCheckSpec::from_proto(check, Arguments::Following, &mut Notices::new(Strictness::Strict))
}

fn general(change: impl FnOnce(&mut v1::CheckInfo)) -> Result<CheckSpec, FieldError> {
    let mut check = v1::CheckInfo {
        tcp: Some(check_info::Tcp { port: 80 }),
        http: Some(check_info::Http { port: 80, path: None }),
        ..Default::default()
    };
    check.set_type(check_info::Type::Tcp);
    change(&mut check);
    CheckSpec::from_proto(&check, Arguments::Following, &mut Notices::new(Strictness::Strict))
}

/// Nobody authorizes the user of a check.
#[test]
fn without_an_image_a_check_runs_as_the_tasks_user() {
    let given = v1::CommandInfo { user: Some("root".into()), ..command(Some("true"), true, &[]) };
    let health = by_command(given);
    let mut notices = Notices::new(Strictness::Lenient);
    let read = HealthCheckSpec::from_proto(&health, Arguments::All, &mut notices).unwrap();
    let ProbeSpec::Command(probe) = read.probe else { panic!("{read:?}") };
    assert_eq!(probe.user, None);
    let [notice] = &notices.into_list()[..] else { panic!("one notice") };
    assert!(notice.to_string().contains("health_check.command.user"), "{notice}");
}

/// Without an image `arguments` is the whole argv, for health checks and checks alike.
#[rstest::rstest]
#[case::shell(command(Some("exit 0"), true, &[]), "sh", &["sh", "-c", "exit 0"])]
#[case::own_name(command(Some("/bin/busybox"), false, &["test", "-e", "x"]), "/bin/busybox", &["test", "-e", "x"])]
#[case::no_arguments(command(Some("true"), false, &[]), "true", &["true"])]
fn without_an_image_the_arguments_begin_with_a_name(
    #[case] given: v1::CommandInfo,
    #[case] program: &str,
    #[case] argv: &[&str],
) {
    let mut notices = Notices::new(Strictness::Strict);
    let health = by_command(given.clone());
    let health = HealthCheckSpec::from_proto(&health, Arguments::All, &mut notices).unwrap();
    let mut check =
        v1::CheckInfo { command: Some(check_info::Command { command: given }), ..Default::default() };
    check.set_type(check_info::Type::Command);
    let check = CheckSpec::from_proto(&check, Arguments::All, &mut notices).unwrap();
    for probe in [health.probe, check.probe] {
        let ProbeSpec::Command(probe) = probe else { panic!("{probe:?}") };
        assert_eq!(
            (probe.program.as_str(), probe.argv),
            (program, argv.iter().map(|&a| a.to_owned()).collect())
        );
    }
}

#[test]
fn what_is_not_said_is_the_protocols_default() {
    let read = read(&health(|_| {})).unwrap();
    let secs = Duration::from_secs;
    assert_eq!(read.times, CheckTimes { delay: secs(15), interval: secs(10), timeout: Some(secs(20)) });
    assert_eq!((read.grace, read.consecutive_failures), (secs(10), 3));
    let path = "/".to_owned();
    let scheme = HttpScheme::Http;
    assert_eq!(read.probe, ProbeSpec::Http(HttpProbe { scheme, port: 8080, path, family: IpFamily::V4 }));
}

#[test]
fn no_timeout_is_for_ever_and_times_are_exact() {
    let read = read(&health(|check| {
        check.timeout_seconds = Some(0.0);
        check.interval_seconds = Some(0.25);
        check.delay_seconds = Some(0.0);
        check.consecutive_failures = Some(0);
    }))
    .unwrap();
    assert_eq!(read.times.timeout, None);
    assert_eq!((read.times.delay, read.times.interval), (Duration::ZERO, Duration::from_millis(250)));
    assert_eq!(read.consecutive_failures, 0);
}

#[rstest::rstest]
#[case(|c: &mut v1::HealthCheck| c.r#type = None, "health_check.type", "must specify 'type'")]
#[case(|c: &mut v1::HealthCheck| c.r#type = Some(0), "health_check.type", "'UNKNOWN' is not")]
#[case(|c: &mut v1::HealthCheck| c.r#type = Some(9), "health_check.type", "not one that this agent knows")]
#[case(|c: &mut v1::HealthCheck| c.http = None, "health_check.http", "Expecting 'http' to be set")]
#[case(|c: &mut v1::HealthCheck| c.set_type(health_check::Type::Tcp), "health_check.tcp", "Expecting 'tcp'")]
#[case(|c: &mut v1::HealthCheck| c.set_type(health_check::Type::Command), "health_check.command", "Expecting 'command'")]
#[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().port = 0, "health_check.http.port", "1 to 65535")]
#[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().port = 65536, "health_check.http.port", "1 to 65535")]
#[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().path = Some("x".into()), "health_check.http.path", "must start with '/'")]
#[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().path = Some("/a\r\nb".into()), "health_check.http.path", "control")]
#[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().path = Some("/".repeat(9000)), "health_check.http.path", "9000 bytes")]
#[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().scheme = Some("ftp".into()), "health_check.http.scheme", "Unsupported HTTP health check scheme: 'ftp'")]
#[case(|c: &mut v1::HealthCheck| c.delay_seconds = Some(-1.0), "health_check.delay_seconds", "non-negative")]
#[case(|c: &mut v1::HealthCheck| c.interval_seconds = Some(f64::NAN), "health_check.interval_seconds", "no number")]
#[case(|c: &mut v1::HealthCheck| c.timeout_seconds = Some(f64::INFINITY), "health_check.timeout_seconds", "no number")]
#[case(|c: &mut v1::HealthCheck| c.grace_period_seconds = Some(1e300), "health_check.grace_period_seconds", "no number")]
fn nonsense_is_refused_by_name(
    #[case] spoil: fn(&mut v1::HealthCheck),
    #[case] field: &str,
    #[case] why: &str,
) {
    let error = read(&health(spoil)).unwrap_err();
    assert_eq!(error.field(), field);
    let text = error.to_string();
    assert!(text.starts_with("Task uses invalid health check: ") && text.contains(why), "{text}");
}

#[rstest::rstest]
#[case(command(Some("a b"), true, &[]), &["sh", "-c", "a b"])]
#[case(command(Some("echo '\"'"), true, &[]), &["sh", "-c", "echo '\"'"])]
#[case(command(Some("a"), false, &["b", "c d"]), &["a", "b", "c d"])]
#[case(command(Some("a"), false, &["a", "b"]), &["a", "a", "b"])]
fn the_arguments_of_a_health_check_follow_its_value(#[case] given: v1::CommandInfo, #[case] argv: &[&str]) {
    let ProbeSpec::Command(probe) = read(&by_command(given)).unwrap().probe else { panic!("a command") };
    assert_eq!(probe.argv, argv);
}

#[rstest::rstest]
#[case(command(Some("/bin/a"), false, &["a", "b"]), &["/bin/a", "b"])]
#[case(command(Some("/bin/a"), false, &["/bin/a", "b"]), &["/bin/a", "b"])]
#[case(command(Some("/bin/a"), false, &["b"]), &["/bin/a", "b"])]
fn a_general_check_may_name_its_program_twice(#[case] given: v1::CommandInfo, #[case] argv: &[&str]) {
    let read = general(|check| {
        check.set_type(check_info::Type::Command);
        check.command = Some(check_info::Command { command: given });
    })
    .unwrap();
    let ProbeSpec::Command(probe) = &read.probe else { panic!("a command") };
    assert_eq!(probe.argv, argv);
    assert_eq!(read.kind(), check_info::Type::Command);
}

#[rstest::rstest]
#[case(command(None, true, &[]), "health_check.command.value", "'shell command'")]
#[case(command(None, false, &["a"]), "health_check.command.value", "'executable path'")]
#[case(command(Some(""), false, &[]), "health_check.command.value", "no name")]
#[case(command(Some("a\0"), true, &[]), "health_check.command", "NUL")]
#[case(v1::CommandInfo { user: Some("a\nb".into()), ..command(Some("a"), true, &[]) }, "health_check.command.user", "control")]
#[case(command(Some("a"), true, &["b"]), "health_check.command.arguments", "takes no arguments")]
#[case(v1::CommandInfo { uris: vec![Default::default()], ..command(Some("a"), true, &[]) }, "health_check.command.uris", "nothing is fetched")]
fn a_command_that_cannot_be_run_is_refused(
    #[case] given: v1::CommandInfo,
    #[case] field: &str,
    #[case] why: &str,
) {
    let error = read(&by_command(given)).unwrap_err();
    assert_eq!(error.field(), field);
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_variable_of_a_check_is_named_by_its_place() {
    let variable = v1::environment::Variable { name: "A=B".into(), ..Default::default() };
    let environment = Some(v1::Environment { variables: vec![variable] });
    let given = v1::CommandInfo { environment, ..command(Some("a"), true, &[]) };
    let error = read(&by_command(given)).unwrap_err();
    assert_eq!(error.field(), "health_check.command.environment.variables[0].value");
    assert!(error.to_string().starts_with("Task uses invalid health check"), "{error}");
}

#[test]
fn statuses_are_accepted_without_effect_as_in_stock() {
    let given = health(|check| check.http.as_mut().unwrap().statuses = vec![204]);
    let mut notices = Notices::new(Strictness::Lenient);
    HealthCheckSpec::from_proto(&given, Arguments::Following, &mut notices).unwrap();
    assert_eq!(notices.into_list()[0].field, "health_check.http.statuses");
    assert!(read(&given).is_err());
}

#[rstest::rstest]
#[case(|c: &mut v1::CheckInfo| c.r#type = None, "check.type")]
#[case(|c: &mut v1::CheckInfo| c.r#type = Some(0), "check.type")]
#[case(|c: &mut v1::CheckInfo| c.tcp.as_mut().unwrap().port = 70000, "check.tcp.port")]
#[case(|c: &mut v1::CheckInfo| c.tcp = None, "check.tcp")]
#[case(|c: &mut v1::CheckInfo| c.set_type(check_info::Type::Command), "check.command")]
#[case(|c: &mut v1::CheckInfo| { c.set_type(check_info::Type::Http); c.http.as_mut().unwrap().path = Some("x".into()); }, "check.http.path")]
#[case(|c: &mut v1::CheckInfo| c.interval_seconds = Some(-0.5), "check.interval_seconds")]
fn nonsense_in_a_check_is_refused_by_name(#[case] spoil: fn(&mut v1::CheckInfo), #[case] field: &str) {
    let error = general(spoil).unwrap_err();
    assert_eq!(error.field(), field);
    assert!(error.to_string().starts_with("Task uses invalid check: "), "{error}");
}
