//! The table as a whole, and what whole lists of parameters become.

use std::path::Path;

use docker_engine::{ApiVersion, CreateBody, NEWEST_API, OLDEST_API};
use mesos_types::{FieldError, Parameter};
use proptest::prelude::*;

use super::draft::Outcome;
use super::row::Grammar;
use super::table::{ROWS, find};
use super::*;

fn parameters(given: &[(&str, &str)]) -> Vec<Parameter> {
    given.iter().map(|(key, value)| Parameter { key: (*key).into(), value: (*value).into() }).collect()
}

fn apply_to(
    mut body: CreateBody,
    given: &[Parameter],
    api: ApiVersion,
) -> Result<(CreateBody, Outcome), FieldError> {
    let outcome = apply(&mut body, given, Context { api, sandbox: Path::new("/w/sandbox") })?;
    Ok((body, outcome))
}

/// A body as Mesos leaves it on a bridge.
fn of_mesos() -> CreateBody {
    let mut body = CreateBody::default();
    body.host_config.network_mode = "bridge".into();
    body
}

/// The body that parameters make of Mesos' own, for the newest engine.
pub(super) fn translated(given: &[(&str, &str)]) -> Result<CreateBody, FieldError> {
    apply_to(of_mesos(), &parameters(given), NEWEST_API).map(|(body, _)| body)
}

/// One translated parameter as JSON.
fn json(key: &str, value: &str) -> Result<serde_json::Value, FieldError> {
    translated(&[(key, value)]).map(|body| serde_json::to_value(body).unwrap())
}

fn refusal(given: &[(&str, &str)], api: ApiVersion) -> String {
    apply_to(of_mesos(), &parameters(given), api).unwrap_err().to_string()
}

/// A value that each option takes, beside those that its grammar tells.
fn sample(name: &str) -> &'static str {
    match name {
        "add-host" => "a:1.2.3.4",
        "blkio-weight-device" => "/dev/a:10",
        "device" => "/dev/null",
        "device-cgroup-rule" => "c 1:3 rwm",
        name if name.starts_with("device-") => "/dev/a:1",
        "dns" | "ip" | "ip6" | "link-local-ip" => "10.0.0.1",
        "annotation" | "env" | "label" | "log-opt" | "storage-opt" => "a=b",
        "cap-add" | "cap-drop" => "net_raw",
        "cgroupns" | "ipc" | "pid" | "userns" | "uts" => "host",
        "dns-search" | "domainname" => "reg.test",
        "mac-address" => "92:d0:c6:0a:29:33",
        "mount" => "type=tmpfs,dst=/a",
        "security-opt" => "no-new-privileges",
        "sysctl" => "net.a=1",
        "tmpfs" | "volume" => "/a",
        "ulimit" => "nofile=1",
        "network" | "network-alias" => "a",
        _ => "10",
    }
}

#[test]
fn names_are_sorted_and_no_two_rows_share_one() {
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    let mut all: Vec<_> = ROWS.iter().flat_map(|row| row.names()).collect();
    all.sort_unstable();
    let before = all.len();
    all.dedup();
    assert_eq!(all.len(), before);
}

/// The lists are those of `docker run --help`, of a client that talks to an engine of its own age, with the hidden
/// spellings `net`, `net-alias` and `dns-opt`.
#[rstest::rstest]
#[case(include_str!("../../../tests/data/docker-run-options-28.2.txt"))]
#[case(include_str!("../../../tests/data/docker-run-options-20.10.txt"))]
fn every_option_of_the_clients_has_a_row(#[case] list: &str) {
    let missing: Vec<_> = list.lines().filter(|name| find(name).is_none()).collect();
    assert!(list.lines().count() > 90 && missing.is_empty(), "{missing:?}");
}

#[test]
fn every_translated_option_changes_the_request_and_names_a_field_that_exists() {
    let full: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docker-engine/tests/data/create-body-full.json"))
            .unwrap();
    for row in &ROWS {
        if matches!(row.grammar, Grammar::Inert(..) | Grammar::Refused(_)) {
            assert!(row.field.is_empty(), "{}", row.name);
            continue;
        }
        let value = match row.grammar {
            Grammar::Bool(_) => "true",
            Grammar::Duration(_) => "5s",
            _ => sample(row.name),
        };
        let alias = matches!(row.name, "network-alias").then_some(("network", "a"));
        let given: Vec<_> = alias.into_iter().chain([(row.name, value)]).collect();
        // A notice or a file to read is an effect too.
        let api = if row.name == "kernel-memory" { OLDEST_API } else { NEWEST_API };
        let (body, outcome) = apply_to(of_mesos(), &parameters(&given), api)
            .unwrap_or_else(|error| panic!("{}: {error}", row.name));
        assert!(body != of_mesos() || !outcome.files.is_empty(), "{} changes nothing", row.name);
        let mut at = &full;
        for part in row.field.split('.') {
            let object = at.as_object().unwrap_or_else(|| panic!("{}: {}", row.name, row.field));
            // A network may have any name.
            at = if part == "*" { object.values().next().unwrap() } else { &at[part] };
            assert!(!at.is_null(), "{}: no field {}", row.name, row.field);
        }
    }
}

#[rstest::rstest]
#[case("net", "network", "host")]
#[case("dns-opt", "dns-option", "ndots:1")]
fn an_alias_does_the_same(#[case] alias: &str, #[case] name: &str, #[case] value: &str) {
    assert_eq!(translated(&[(alias, value)]).unwrap(), translated(&[(name, value)]).unwrap());
}

#[test]
fn a_single_value_replaces_and_a_list_grows() {
    let mut body = CreateBody { hostname: "a".into(), ..of_mesos() };
    body.host_config.dns = vec!["9.9.9.9".into()];
    let given = [("hostname", "b"), ("dns", "1.1.1.1"), ("hostname", "c"), ("dns", "2.2.2.2")];
    let (body, _) = apply_to(body, &parameters(&given), NEWEST_API).unwrap();
    assert_eq!(body.hostname, "c");
    assert_eq!(body.host_config.dns, ["9.9.9.9", "1.1.1.1", "2.2.2.2"]);
}

#[rstest::rstest]
#[case("rm", "true")]
#[case("name", "x")]
#[case("restart", "always")]
#[case("restart", "on-failure:3")]
#[case("detach", "true")]
#[case("detach-keys", "ctrl-a")]
#[case("cidfile", "/x")]
#[case("attach", "stdout")]
#[case("sig-proxy", "false")]
#[case("pull", "always")]
#[case("platform", "linux/amd64")]
#[case("disable-content-trust", "false")]
#[case("help", "true")]
#[case("lxc-conf", "a=b")]
#[case("use-api-socket", "true")]
#[case("cpu-count", "1")]
#[case("isolation", "hyperv")]
fn an_option_is_refused_by_name_with_reason_and_remedy(#[case] key: &str, #[case] value: &str) {
    let error = refusal(&[(key, value)], NEWEST_API);
    assert!(error.contains(&format!("{key:?} is refused: it ")) && error.contains("; "), "{error}");
    assert!(error.contains("container.docker.parameters[0].key"), "{error}");
}

#[rstest::rstest]
#[case("rm", "false")]
#[case("rm", "0")]
#[case("detach", "false")]
#[case("restart", "no")]
#[case("pull", "missing")]
#[case("quiet", "true")]
#[case("sig-proxy", "true")]
#[case("disable-content-trust", "true")]
#[case("isolation", "default")]
fn a_default_that_is_said_changes_nothing(#[case] key: &str, #[case] value: &str) {
    assert_eq!(translated(&[(key, value)]).unwrap(), of_mesos());
}

#[rstest::rstest]
#[case("annotation", "a=b", 42, "1.43")]
#[case("health-start-interval", "1s", 43, "1.44")]
#[case("cgroupns", "host", 40, "1.41")]
#[case("mount", "type=image,src=a,dst=/a", 47, "1.48")]
#[case("mount", "type=volume,src=a,dst=/a,volume-subpath=b", 44, "1.45")]
#[case("mount", "type=bind,src=/a,dst=/a,bind-create-src", 41, "1.42")]
#[case("mount", "type=bind,src=/a,dst=/a,ro,bind-recursive=readonly,bind-propagation=rprivate", 43, "1.44")]
#[case("network", "name=a,gw-priority=1", 47, "1.48")]
#[case("network", "name=a,mac-address=92:d0:c6:0a:29:33", 43, "1.44")]
#[case("device", "vendor.com/class=0", 43, "1.44")]
#[case("security-opt", "seccomp=builtin", 41, "1.42")]
fn what_the_engine_is_too_old_for_names_both_versions(
    #[case] key: &str,
    #[case] value: &str,
    #[case] minor: u16,
    #[case] needs: &str,
) {
    let has = ApiVersion::new(1, minor);
    let error = refusal(&[(key, value)], has);
    assert!(error.contains(&format!("API {needs}")) && error.contains(&format!("has {has}")), "{error}");
    assert!(error.contains(key), "{error}");
    assert!(apply_to(of_mesos(), &parameters(&[(key, value)]), ApiVersion::new(1, minor + 1)).is_ok());
}

#[rstest::rstest]
#[case("volume-from", "did you mean \"volumes-from\"")]
#[case("v", "write \"volume\"")]
#[case("--volume", "write \"volume\", without dashes")]
#[case("-m", "write \"memory\"")]
#[case("Memory", "did you mean \"memory\"")]
#[case("", "remove it")]
#[case("xyzzyplugh", "remove it")]
fn an_unknown_option_names_the_nearest(#[case] key: &str, #[case] hint: &str) {
    let error = refusal(&[(key, "x")], NEWEST_API);
    assert!(error.contains(hint) && error.contains("no option"), "{error}");
}

#[test]
fn the_number_of_parameters_is_bounded() {
    let many = vec![("dns", "1.1.1.1"); 4097];
    assert!(refusal(&many, NEWEST_API).contains("at most 4096"));
    assert!(translated(&many[1..]).is_ok());
}

#[test]
fn an_endless_key_is_answered_at_once_and_shortly() {
    assert!(refusal(&[(&"x".repeat(1 << 20), "x")], NEWEST_API).len() < 300);
}

#[rstest::rstest]
#[case("memory", "lots", "the value \"lots\" of the parameter \"memory\" is not a size such as 64m or 1.5g")]
#[case("privileged", "yes", "is not true or false")]
#[case("pid", "private", "is not host or container:name")]
#[case("cpus", "1/3", "is not a number of CPUs")]
#[case("health-interval", "5", "is not a duration")]
#[case("env", "hunter2", "NAME alone would take the value from the agent's environment")]
#[case("mount", "type=hunter2,dst=/a", "its type is not bind, volume, tmpfs or image")]
#[case("ulimit", "foo=1", "there is no limit of that name")]
fn a_bad_value_names_option_value_and_form(#[case] key: &str, #[case] value: &str, #[case] expected: &str) {
    let error = refusal(&[(key, value)], NEWEST_API);
    assert!(error.contains(expected) && error.contains("parameters[0].value"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[rstest::rstest]
#[case("env", "=hunter2")]
#[case("env", "hunter2")]
#[case("label", "=hunter2")]
#[case("log-opt", "=hunter2")]
#[case("mount", "type=volume,dst=/a,volume-opt=o=password=hunter2,ro=hunter2")]
#[case("mount", "type=volume,\"volume-opt=password=hunter2")]
#[case("mount", "type=volume,dst=/a,volume-opt=o=password=un,hunter2")]
#[case("mount", "type=volume,dst=/a,volume-opt=o=password=un,hunter2=x")]
#[case("network", "name=a,driver-opt=password=un,hunter2")]
#[case("network", "name=a,driver-opt=password=un,hunter2=x")]
#[case("network", "name=a,driver-opt=hunter2")]
#[case("storage-opt", "hunter2")]
#[case("annotation", "=hunter2")]
fn a_value_that_may_be_secret_is_not_quoted(#[case] key: &str, #[case] value: &str) {
    let error = refusal(&[(key, value)], NEWEST_API);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_key_with_an_equals_sign_is_split_as_on_a_command_line() {
    assert_eq!(*translated(&[("env=A", "b=c")]).unwrap().env, ["A=b=c"]);
    let sets_dns = |key: &str| sets(&Parameter { key: key.into(), value: "1".into() }, &["dns"]);
    assert!(sets_dns("dns") && sets_dns("dns=1.1.1.") && !sets_dns("dnsx"));
    assert!(sets(&Parameter { key: "dns-opt".into(), value: "x".into() }, &["dns-option"]));
}

#[test]
fn a_task_keeps_the_variables_that_mesos_tells_it() {
    for value in ["MESOS_SANDBOX=/tmp", "MESOS_CONTAINER_NAME=x", "MESOS_SANDBOX="] {
        assert!(translated(&[("env", value)]).is_err());
    }
    let mut body = of_mesos();
    body.env = vec!["A=mesos".to_owned(), "AB=1".to_owned()].into();
    let (body, _) = apply_to(body, &parameters(&[("env", "A=b=c"), ("env", "B=2")]), NEWEST_API).unwrap();
    assert_eq!(*body.env, ["A=b=c", "AB=1", "B=2"]);
}

/// Peer: DockerTest.ROOT_DOCKER_NVIDIA_GPU_DeviceAllow.
#[test]
fn a_gpu_device_is_asked_for_beside_those_of_the_engine() {
    let body = json("device", "/dev/nvidiactl:/dev/nvidiactl:rwm").unwrap();
    assert_eq!(
        body["HostConfig"]["Devices"],
        serde_json::json!([{
            "PathOnHost": "/dev/nvidiactl", "PathInContainer": "/dev/nvidiactl", "CgroupPermissions": "rwm"
        }])
    );
}

/// Peer: DockerTest.ROOT_DOCKER_NVIDIA_GPU_InspectDevices.
#[test]
fn a_devices_permissions_are_those_that_are_given() {
    let body = json("device", "/dev/nvidiactl:rw").unwrap();
    let device = &body["HostConfig"]["Devices"][0];
    assert_eq!(
        (&device["PathOnHost"], &device["CgroupPermissions"]),
        (&"/dev/nvidiactl".into(), &"rw".into())
    );
}

proptest! {
    /// Keys of the table, near misses and noise, with values of all grammars.
    #[test]
    fn any_parameters_are_answered_and_a_request_survives_json(
        given in prop::collection::vec((any_key(), any_value()), 0..6),
        minor in 40_u16..52,
    ) {
        let given: Vec<_> = given.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let given = parameters(&given);
        let api = ApiVersion::new(1, minor);
        let first = apply_to(of_mesos(), &given, api);
        let again = apply_to(of_mesos(), &given, api);
        match (first, again) {
            (Ok((body, _)), Ok((again, _))) => {
                prop_assert_eq!(&body, &again);
                let text = serde_json::to_string(&body).unwrap();
                prop_assert_eq!(serde_json::from_str::<CreateBody>(&text).unwrap(), body);
            }
            (Err(error), Err(again)) => {
                prop_assert_eq!(&error, &again);
                let text = error.to_string();
                prop_assert!(text.len() < 2048 && !text.contains(char::is_control), "{}", text);
            }
            _ => prop_assert!(false, "it depends on more than its input"),
        }
    }
}

fn any_key() -> impl Strategy<Value = String> {
    let names: Vec<_> = ROWS.iter().flat_map(|row| row.names()).collect();
    prop_oneof![
        8 => prop::sample::select(names).prop_map(str::to_owned),
        1 => "[a-z=-]{0,12}",
        1 => any::<String>(),
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "true",
        "-1",
        "0",
        "10",
        "1.5",
        "64m",
        "30s",
        "a",
        "/a",
        "/dev/null",
        "host",
        "container:a",
        "1.2.3.4",
        "::1",
        "nofile",
        "net.a",
        "seccomp",
        "type",
        "bind",
        "volume",
        "tmpfs",
        "image",
        "src",
        "dst",
        "ro",
        "name",
        "alias",
        "gw-priority",
        "bind-recursive",
        "readonly",
        "volume-opt",
        "device",
        "capabilities",
        "systempaths=unconfined",
        "65535",
        "1-65535",
        "udp",
        "CAP_ALL",
        "c 1:3 rwm",
        "é",
        "\"",
        "\0",
        "\u{202e}",
        "99999999999999999999",
    ]);
    let joint = prop::sample::select(vec!["", "=", ":", ",", "/", "-", " ", ";"]);
    prop_oneof![
        6 => prop::collection::vec((parts, joint), 0..7)
            .prop_map(|parts| parts.into_iter().flat_map(|(part, joint)| [part, joint]).collect::<String>()),
        1 => any::<String>(),
    ]
}
