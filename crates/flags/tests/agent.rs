//! The flags of the agent from the outside: what an operator writes, and what comes of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flags::agent::{
    AgentSettings, Containerizer, ExecutorAuthentication, FlagClass, Invocation, LoadedAgentSettings,
    LogLevel, ReconfigurationPolicy, Recover, agent_flags, recorded_stock_flags,
};
use rstest::rstest;

/// What an agent cannot do without.
const NEEDED: [&str; 2] = ["--master=127.0.0.1:5050", "--work_dir=/var/lib/mesos"];

fn invoke(args: &[&str], environment: &[(&str, &str)]) -> Result<Invocation, String> {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    AgentSettings::load(args.iter().map(OsString::from), environment).map_err(|error| error.one_line())
}

fn run(args: &[&str], environment: &[(&str, &str)]) -> Result<LoadedAgentSettings, String> {
    match invoke(args, environment)? {
        Invocation::Run(loaded) => Ok(*loaded),
        other => panic!("{other:?}"),
    }
}

/// Settings from these flags besides the needed ones.
fn with(args: &[&str]) -> Result<LoadedAgentSettings, String> {
    let args: Vec<&str> = NEEDED.iter().chain(args).copied().collect();
    run(&args, &[])
}

fn refusal(args: &[&str]) -> String {
    match with(args) {
        Err(line) => line,
        Ok(loaded) => panic!("{args:?} is taken: {:?}", loaded.settings),
    }
}

fn notices(loaded: &LoadedAgentSettings) -> Vec<&'static str> {
    loaded.notices.iter().map(|notice| notice.flag).collect()
}

#[test]
fn every_flag_of_the_stock_agent_is_known_with_its_default() {
    // Ours differ: the fetcher is looked for beside the program, and the launcher is found out at the start, as in stock.
    const DIFFERENT: [&str; 2] = ["launcher_dir", "launcher"];
    let mut count = 0;
    for (name, default) in recorded_stock_flags() {
        count += 1;
        let Some(row) = agent_flags().iter().find(|row| row.flag.name == name || row.aliases.contains(&name))
        else {
            panic!("--{name} of the stock agent is not in the table");
        };
        if DIFFERENT.contains(&name) || row.aliases.contains(&name) {
            continue;
        }
        let shown = with(&[]).unwrap().settings.shown_flags().get(name).cloned();
        // The two that an agent cannot do without are given here.
        if name == "master" || name == "work_dir" {
            continue;
        }
        assert_eq!(shown.as_deref(), default, "--{name}");
    }
    assert_eq!(count, 138);
}

#[test]
fn the_recorded_flags_of_a_running_agent_print_as_they_did() {
    let args = [
        "--containerizers=docker,mesos",
        "--docker=/var/lib/mesosd/bin/docker-log",
        "--docker_stop_timeout=5secs",
        "--executor_registration_timeout=120secs",
        "--hostname=127.0.0.1",
        "--ip=127.0.0.1",
        "--launcher_dir=/var/lib/mesosd/bin",
        "--launcher=posix",
        "--resources=cpus:64;mem:65536;disk:100000;ports:[31000-32000]",
        "--runtime_dir=/var/lib/mesosd/run/agent-runtime",
        "--no-systemd_enable_support",
        "--fetcher_cache_size=2048MB",
    ];
    let shown = with(&args).unwrap().settings.shown_flags().clone();
    for (name, value) in [
        ("containerizers", "docker,mesos"),
        ("docker_stop_timeout", "5secs"),
        ("executor_registration_timeout", "2mins"),
        ("gc_delay", "1weeks"),
        ("gc_disk_headroom", "0.1"),
        ("fetcher_cache_size", "2GB"),
        ("frameworks_home", ""),
        ("help", "false"),
        ("master", "127.0.0.1:5050"),
        ("port", "5051"),
        ("qos_correction_interval_min", "0ns"),
        ("resources", "cpus:64;mem:65536;disk:100000;ports:[31000-32000]"),
        ("systemd_enable_support", "false"),
        ("zk_session_timeout", "10secs"),
    ] {
        assert_eq!(shown.get(name).map(String::as_str), Some(value), "--{name}");
    }
    for unset in ["acls", "credential", "log_dir", "attributes", "ip6", "docker_config"] {
        assert_eq!(shown.get(unset), None, "--{unset}");
    }
}

#[test]
fn settings_are_what_the_flags_say() {
    let loaded = with(&[
        "--ip=10.1.2.3",
        "--port=0",
        "--advertise-ip=1.2.3.4",
        "--advertise_port=5055",
        "--hostname=h1",
        "--no-hostname_lookup",
        "--containerizers=docker,mesos",
        "--recover=cleanup",
        "--no-strict",
        "--reconfiguration_policy=additive",
        "--libprocess_max_peers=7",
        "--libprocess_linger=3secs",
        "--zk_retry_interval=5secs",
        "--default_role=a/b",
        "--logging_level=WARNING",
        "--gc_disk_headroom=0.25",
        "--docker_remove_delay=1mins",
        "--domain={\"fault_domain\":{\"region\":{\"name\":\"r\"},\"zone\":{\"name\":\"z\"}}}",
        "--agent_features={\"capabilities\":[{\"type\":\"MULTI_ROLE\"},{\"type\":\"HIERARCHICAL_ROLE\"},{\"type\":\"RESERVATION_REFINEMENT\"},{\"type\":\"RESOURCE_PROVIDER\"},{\"type\":\"AGENT_OPERATION_FEEDBACK\"},{\"type\":\"AGENT_DRAINING\"},{\"type\":\"TASK_RESOURCE_LIMITS\"}]}",
    ])
    .unwrap();
    assert_eq!(loaded.notices, []);
    let settings = loaded.settings;
    assert_eq!(settings.network.ip, Some("10.1.2.3".parse().unwrap()));
    assert_eq!((settings.network.port, settings.network.advertise_port), (0, Some(5055)));
    assert_eq!(settings.network.advertise_ip, Some("1.2.3.4".parse().unwrap()));
    assert_eq!((settings.network.hostname.as_deref(), settings.network.hostname_lookup), (Some("h1"), false));
    assert_eq!(settings.containerizers, [Containerizer::Docker, Containerizer::Mesos]);
    assert_eq!((settings.recovery.recover, settings.recovery.strict), (Recover::Cleanup, false));
    assert_eq!(settings.recovery.reconfiguration_policy, ReconfigurationPolicy::Additive);
    let limits = &settings.network.limits;
    assert_eq!((limits.peers, limits.linger, limits.mailbox), (7, Duration::from_secs(3), 1024));
    assert_eq!(settings.registration.zk_retry_interval, Duration::from_secs(5));
    assert_eq!(settings.default_role, "a/b");
    assert_eq!(settings.log.level, LogLevel::Warning);
    assert!((settings.gc.disk_headroom - 0.25).abs() < 1e-9);
    assert_eq!(settings.docker.docker_remove_delay, Duration::from_secs(60));
    assert_eq!(settings.docker.work_dir, Some(PathBuf::from("/var/lib/mesos")));
    assert_eq!(settings.domain.unwrap().fault_domain.unwrap().region.name, "r");
    assert_eq!(settings.agent_features.unwrap().len(), 7);
    assert_eq!(settings.master.expose(), "127.0.0.1:5050");
}

#[test]
fn the_command_line_beats_the_environment_which_beats_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("port", "1\n"), ("hostname", "from-dir\n"), ("recover", "cleanup"), ("?no-strict", "")]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let config_dir = format!("--config_dir={}", dir.path().display());
    let loaded = run(
        &[NEEDED[0], NEEDED[1], "--containerizers=docker", "--port=3", &config_dir],
        &[
            ("MESOS_PORT", "2"),
            ("mesos_hostname", "from-env"),
            ("MESOS_TASK_ID", "somebody's"),
            ("LIBPROCESS_PORT", "9"),
            ("LIBPROCESS_IP", "10.0.0.9"),
            ("LIBPROCESS_ADVERTISE_IP", "10.0.0.8"),
            ("LIBPROCESS_SSL_ENABLED", "false"),
            ("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH", "1"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.notices, []);
    let settings = loaded.settings;
    assert_eq!((settings.network.port, settings.network.hostname.as_deref()), (3, Some("from-env")));
    assert_eq!((settings.recovery.recover, settings.recovery.strict), (Recover::Cleanup, false));
    assert_eq!(settings.network.ip, Some("10.0.0.9".parse().unwrap()));
    assert_eq!(settings.network.advertise_ip, Some("10.0.0.8".parse().unwrap()));
    assert!(settings.network.require_peer_address_ip_match);
}

#[test]
fn the_directory_of_the_packages_is_read() {
    let etc = tempfile::tempdir().unwrap();
    let dir = etc.path().join("mesos-slave");
    for part in ["mesos", "mesos-slave/attributes", "mesos-slave/resources", "mesos-slave/old"] {
        std::fs::create_dir_all(etc.path().join(part)).unwrap();
    }
    for (name, text) in [
        ("mesos/zk", "zk://u:hunter2@a:2181/mesos\n"),
        ("mesos-slave/work_dir", "/var/lib/mesos\n"),
        ("mesos-slave/containerizers", "docker,mesos\n"),
        ("mesos-slave/?no-hostname_lookup", ""),
        ("mesos-slave/.hidden", "x"),
        ("mesos-slave/port.dpkg-old", "1"),
        ("mesos-slave/#port#", "1"),
        ("mesos-slave/port.save", "1"),
        ("mesos-slave/attributes/rack", "r1\n"),
        ("mesos-slave/attributes/ssd", "true"),
        ("mesos-slave/resources/cpus", "4"),
        ("mesos-slave/resources/ports(role)", "[1-2]"),
    ] {
        std::fs::write(etc.path().join(name), text).unwrap();
    }
    set_mode(&etc.path().join("mesos/zk"), 0o644);
    let loaded = run(&[&format!("--config_dir={}", dir.display())], &[]).unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.master.expose(), "zk://u:hunter2@a:2181/mesos");
    assert_eq!(settings.attributes.as_deref(), Some("rack:r1;ssd:true"));
    assert_eq!(settings.resources.as_deref(), Some("cpus:4;ports(role):[1-2]"));
    assert!(!settings.network.hostname_lookup);
    assert_eq!(notices(&loaded), ["config_dir", "master"]);
    assert!(loaded.notices[0].text.contains("mesos-slave/old is not read"), "{:?}", loaded.notices);
    assert!(loaded.notices[1].text.contains("chmod 0600"), "{:?}", loaded.notices);
    assert!(!format!("{loaded:?}").contains("hunter2"));

    std::fs::write(dir.join("prot"), "1").unwrap();
    let line = run(&[&format!("--config_dir={}", dir.display())], &[]).unwrap_err();
    assert!(line.contains("mesos-slave/prot: unknown flag --prot, did you mean --port?"), "{line}");
    std::fs::remove_file(dir.join("prot")).unwrap();
    std::fs::write(dir.join("port"), "x").unwrap();
    let line = run(&[&format!("--config_dir={}", dir.display())], &[]).unwrap_err();
    assert!(line.contains("mesos-slave/port: flag --port: \"x\" is not a whole number"), "{line}");
    let line = run(&["--config_dir=/nowhere"], &[]).unwrap_err();
    assert!(line.starts_with("cannot read /nowhere of flag --config_dir: No such file"), "{line}");
}

#[test]
fn the_example_of_a_directory_is_good() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let example = packaging.join("etc/mesos-agent");
    let loaded = run(&[&format!("--config_dir={}", example.display())], &[]).unwrap();
    assert_eq!(loaded.notices, []);
    assert!(loaded.settings.master.expose().starts_with("zk://"));
    assert_eq!(loaded.settings.attributes.as_deref(), Some("rack:r1"));

    // The unit starts the agent with that directory, and leaves tasks alone when it stops.
    let unit = std::fs::read_to_string(packaging.join("mesos-agent.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/sbin/mesos-agent ")).unwrap();
    assert_eq!(start, "--config_dir=/etc/mesos-agent");
    assert!(unit.lines().any(|line| line == "KillMode=process"));
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

#[rstest]
#[case(&["--prot=1"], "unknown flag --prot, did you mean --port?")]
#[case(&["--port=70000"], "flag --port: \"70000\" is not a port")]
#[case(&["--port=1", "--port=2"], "flag --port is given more than once")]
#[case(&["--slave_subsystems=a", "--agent_subsystems=b"], "flag --agent_subsystems is given more than once")]
#[case(&["--ip=::1"], "flag --ip: \"::1\" is not an IPv4 address")]
#[case(&["--ip=1.2.3.4", "--ip_discovery_command=x"], "flags --ip and --ip_discovery_command exclude each other")]
#[case(&["--containerizers=docker,rkt"], "flag --containerizers: \"rkt\" is neither docker nor mesos")]
#[case(&["--containerizers="], "flag --containerizers: no containerizer is named")]
#[case(&["--recover=maybe"], "flag --recover: \"maybe\" is neither reconnect nor cleanup")]
#[case(&["--libprocess_max_peers=0"], "flag --libprocess_max_peers: \"0\" is not a whole number of at least 1")]
#[case(&["--perf_interval=often"], "flag --perf_interval: invalid duration \"often\"")]
#[case(&["--gc_disk_headroom=2"], "flag --gc_disk_headroom: \"2\" is not a number from 0 to 1")]
#[case(&["--default_role=a//b"], "flag --default_role: \"a//b\" is not the name of a role")]
#[case(&["--gc_delay"], "flag --gc_delay needs a value")]
#[case(&["--no-port"], "flag --no-port makes no sense")]
#[case(&["--domain={"], "flag --domain: the value is not JSON")]
#[case(&["--domain={\"fault_domain\":1}"], "flag --domain: ")]
#[case(&["--agent_features={\"capabilities\":[{\"type\":\"MULTI_ROLE\"}]}"], "flag --agent_features: HIERARCHICAL_ROLE cannot be left out")]
#[case(&["--docker_socket=x"], "flag --docker_socket: Invalid Docker socket path")]
#[case(&["--resources=cpus:x"], "flag --resources: the value of \"cpus\" cannot be used")]
#[case(&["--attributes=rack"], "flag --attributes: \"rack\" is not an attribute: expected key:value")]
#[case(&["--resources=file:///nowhere"], "cannot read the value of flag --resources from /nowhere: No such file")]
#[case(&["--credential=/nowhere"], "cannot read the value of flag --credential from /nowhere: No such file")]
#[case(&["--authentication_timeout_min=2mins"], "flag --authentication_timeout_min: it is longer than")]
fn what_cannot_be_used_is_named_on_one_line(#[case] args: &[&str], #[case] start: &str) {
    let line = refusal(args);
    assert!(line.starts_with(start), "{line}");
    assert!(!line.contains('\n'));
}

#[test]
fn what_is_missing_is_named_with_the_remedy() {
    assert_eq!(
        run(&["--work_dir=/w"], &[]).unwrap_err(),
        "flag --master is missing: write --master=host:port or --master=zk://host:port/path"
    );
    assert_eq!(
        run(&["--master=a:1"], &[]).unwrap_err(),
        "flag --work_dir is missing: write --work_dir=/var/lib/mesos"
    );
}

#[rstest]
#[case("authenticate_http_readonly", "true", "false")]
#[case("authenticate_http_readwrite", "1", "0")]
#[case("http_credentials", "/etc/secret-hunter2", "")]
#[case("http_authenticators", "com_hunter2", "basic")]
#[case("acls", "{\"permissive\": false}", "")]
#[case("authorizer", "com_hunter2", "local")]
#[case("firewall_rules", "{}", "")]
#[case("authenticatee", "com_hunter2", "crammd5")]
#[case("modules", "file:///nowhere", "")]
#[case("hooks", "com_hunter2", "")]
#[case("master_detector", "", "")]
#[case("container_logger", "com_hunter2", "")]
#[case("secret_resolver", "com_hunter2", "")]
fn what_is_unsafe_to_leave_out_stops_the_start(
    #[case] name: &str,
    #[case] set: &str,
    #[case] harmless: &str,
) {
    let harmless = with(&["--containerizers=docker", &format!("--{name}={harmless}")]).unwrap();
    assert_eq!(harmless.notices, [], "{name}");
    if set.is_empty() {
        return;
    }
    let line = refusal(&[&format!("--{name}={set}")]);
    assert!(line.contains("is refused: this agent "), "{line}");
    assert!(line.contains("remove") && !line.contains("hunter2") && !line.contains('\n'), "{line}");
    assert!(line.starts_with(&format!("flag --{name} ")), "{line}");
    // The same from the environment names the variable.
    let variable = format!("MESOS_{}", name.to_uppercase());
    let line = run(&NEEDED, &[(&variable, set)]).unwrap_err();
    assert!(
        line.starts_with(&format!("in environment variable {variable}: flag --{name} is refused")),
        "{line}"
    );
}

#[test]
fn executors_are_told_and_authenticated_as_the_flags_say() {
    let plain = with(&["--containerizers=docker"]).unwrap();
    assert_eq!(plain.settings.executors.authentication, ExecutorAuthentication::Open);
    assert_eq!(plain.settings.executors.reregistration_timeout, Duration::from_secs(2));
    assert_eq!(plain.settings.executors.heartbeat_interval, Duration::from_secs(30 * 60));

    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = key.path().display().to_string();
    for spelling in ["jwt_secret_key", "executor_secret_key"] {
        let loaded = with(&[
            "--containerizers=docker",
            "--authenticate_http_executors",
            &format!("--{spelling}=file://{path}"),
            "--executor_environment_variables={\"A\": \"b\"}",
            "--default_container_info={\"type\": \"MESOS\"}",
            "--executor_reregistration_retry_interval=1secs",
            "--http_command_executor",
        ])
        .unwrap();
        assert_eq!(notices(&loaded), ["jwt_secret_key"], "the file lies open");
        let executors = &loaded.settings.executors;
        assert_eq!(executors.authentication, ExecutorAuthentication::Required);
        assert_eq!(executors.jwt_secret_key.as_deref(), Some(key.path()));
        assert_eq!(executors.reregistration_retry_interval, Some(Duration::from_secs(1)));
        assert!(executors.http_command_executor && executors.default_container.is_some());
        assert_eq!(loaded.settings.docker.executor_environment_variables.as_ref().unwrap()["A"], "b");
        assert_eq!(loaded.settings.shown_flags()["jwt_secret_key"], "***");
    }
}

#[rstest]
#[case("--authenticate_http_executors", "give --jwt_secret_key")]
#[case("--jwt_secret_key=hunter2", "not the path of a file")]
#[case("--executor_reregistration_timeout=16secs", "15secs at most")]
#[case("--executor_reregistration_retry_interval=0secs", "longer than 0")]
#[case("--executor_environment_variables={\"A\": 1}", "is not a string")]
#[case("--executor_environment_variables={\"A=\": \"hunter2\"}", "cannot be the name of a variable")]
#[case("--executor_environment_variables={\"A\": \"hunter2\"", "JSON")]
#[case("--default_container_info={}", "type")]
fn what_executors_cannot_be_told_stops_the_start(#[case] flag: &str, #[case] why: &str) {
    let line = refusal(&[flag]);
    assert!(line.contains(why) && !line.contains("hunter2"), "{line}");
}

#[rstest]
#[case("LIBPROCESS_SSL_ENABLED", "true")]
#[case("LIBPROCESS_SSL_ENABLED", "yes")]
#[case("SSL_ENABLED", "1")]
#[case("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH", "yes")]
#[case("LIBPROCESS_IP", "nowhere")]
#[case("LIBPROCESS_ADVERTISE_PORT", "70000")]
fn variables_of_libprocess_are_read_or_refused(#[case] name: &str, #[case] value: &str) {
    let line = run(&NEEDED, &[(name, value)]).unwrap_err();
    assert!(line.starts_with(&format!("the environment variable {name}")), "{line}");
}

#[test]
fn a_variable_of_libprocess_without_effect_is_told_and_an_empty_one_is_unset() {
    let environment =
        [("LIBPROCESS_NUM_WORKER_THREADS", "8"), ("LIBPROCESS_IP", ""), ("LIBPROCESS_PORT", "any")];
    let args = [NEEDED[0], NEEDED[1], "--containerizers=docker"];
    let loaded = run(&args, &environment).unwrap();
    assert_eq!(loaded.notices.len(), 1, "{:?}", loaded.notices);
    assert!(loaded.notices[0].text.contains("LIBPROCESS_NUM_WORKER_THREADS has no effect"));
    assert_eq!(loaded.settings.network.ip, None);
}

#[test]
fn every_accepted_flag_says_why_it_changes_nothing() {
    for row in agent_flags() {
        let FlagClass::NoEffect(reason) = row.class else { continue };
        let name = row.flag.name;
        let other = match row.flag.kind {
            flags::FlagKind::Bool if row.flag.default == Some("true") => "false",
            flags::FlagKind::Bool => "true",
            flags::FlagKind::Duration => "7secs",
            flags::FlagKind::Bytes => "7MB",
            flags::FlagKind::Count => "7",
            flags::FlagKind::Json => "{}",
            _ => "seven",
        };
        let loaded = with(&["--containerizers=docker", &format!("--{name}={other}")]).unwrap();
        let texts: Vec<&str> = loaded.notices.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(texts, [format!("--{name} has no effect: {reason}")]);
        let default = row.flag.default.unwrap_or_default();
        let quiet = with(&["--containerizers=docker", &format!("--{name}={default}")]).unwrap();
        assert_eq!(quiet.notices, [], "--{name}={default}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let dir = tempfile::tempdir().unwrap();
    let credential = dir.path().join("credential");
    std::fs::write(&credential, r#"{"principal":"p","secret":"hunter2"}"#).unwrap();
    set_mode(&credential, 0o600);
    let loaded = run(
        &[
            "--master=zk://mesos:hunter2@a:2181,b:2181/mesos",
            "--work_dir=/w",
            "--containerizers=docker",
            &format!("--credential=file://{}", credential.display()),
            r#"--docker_config={"auths":{"r":{"auth":"hunter2"}}}"#,
        ],
        &[],
    )
    .unwrap();
    assert_eq!(loaded.settings.registration.credential, Some(credential.clone()));
    let shown: &BTreeMap<String, String> = loaded.settings.shown_flags();
    assert_eq!(shown["master"], "zk://mesos:***@a:2181,b:2181/mesos");
    assert_eq!((shown["credential"].as_str(), shown["docker_config"].as_str()), ("***", "***"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
    // Both lie open on the command line.
    assert_eq!(notices(&loaded), ["master", "docker_config"]);

    set_mode(&credential, 0o644);
    let open = with(&["--containerizers=docker", &format!("--credential={}", credential.display())]).unwrap();
    assert_eq!(notices(&open), ["credential"]);
    // From here it is found as well, as by stock.
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(credential.strip_prefix("/").unwrap());
    let open = with(&["--containerizers=docker", &format!("--credential={}", relative.display())]).unwrap();
    assert!(open.settings.registration.credential.unwrap().is_absolute());
    for inline in [r#"--credential={"secret":"hunter2"}"#, "--credential=hunter2"] {
        let line = refusal(&[inline]);
        assert!(line.starts_with("flag --credential: ") && !line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_master_in_a_file_is_used_by_its_content_and_shown_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zk");
    std::fs::write(&path, "zk://u:hunter2@a/mesos\n").unwrap();
    set_mode(&path, 0o600);
    let master = format!("--master=file://{}", path.display());
    let loaded = run(&[&master, "--work_dir=/w", "--containerizers=docker"], &[]).unwrap();
    assert_eq!(loaded.settings.master.expose(), "zk://u:hunter2@a/mesos");
    assert_eq!(format!("--master={}", loaded.settings.shown_flags()["master"]), master);
    assert_eq!(loaded.notices, []);
}

#[test]
fn help_and_version_need_nothing_else() {
    let Ok(Invocation::Help(text)) = invoke(&["--help"], &[]) else { panic!() };
    for row in agent_flags() {
        assert!(text.contains(row.flag.name), "{}", row.flag.name);
    }
    assert!(matches!(invoke(&["--version"], &[]), Ok(Invocation::Version)));
    assert!(matches!(invoke(&["--help=false", NEEDED[0], NEEDED[1]], &[]), Ok(Invocation::Run(_))));
}

#[test]
fn what_is_no_flag_is_ignored_with_a_line() {
    let loaded = with(&["--containerizers=docker", "stray"]).unwrap();
    assert!(loaded.notices[0].text.contains("\"stray\" is not a flag"), "{:?}", loaded.notices);
}

#[test]
fn an_agent_without_docker_says_so() {
    assert_eq!(notices(&with(&[]).unwrap()), ["containerizers"]);
}

#[test]
fn a_relative_work_dir_is_made_absolute() {
    let loaded = run(&[NEEDED[0], "--work_dir=w"], &[]).unwrap();
    assert!(loaded.settings.work_dir.is_absolute() && loaded.settings.work_dir.ends_with("w"));
    assert_eq!(loaded.settings.shown_flags()["work_dir"], "w");
}
