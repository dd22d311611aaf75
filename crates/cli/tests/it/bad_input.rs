//! Every kind of bad input: one line that names the field, exit code 125, and nothing left behind.
//!
//! No engine is there for these tests, so a definition that is refused was refused before anything was done.

use crate::program::{Program, Said, said};
use serde_json::{Value, json};

/// An app that is right.
fn app() -> Value {
    json!({"id": "/t", "cmd": "true", "container": {"type": "DOCKER", "docker": {"image": "busybox"}}})
}

/// A TaskInfo that is right.
fn task() -> Value {
    json!({
        "name": "t", "task_id": {"value": "t"}, "command": {"value": "true"},
        "container": {"type": "DOCKER", "docker": {"image": "busybox"}},
    })
}

/// `base` with a field set, by JSON pointer; objects on the way are made.
fn with(mut base: Value, pointer: &str, value: impl Into<Value>) -> String {
    let mut place = &mut base;
    for key in pointer.trim_start_matches('/').split('/') {
        place = &mut place[key];
    }
    *place = value.into();
    base.to_string()
}

/// A whole definition in the network `BRIDGE` with a port mapping of the old form.
fn mapped(mapping: Value) -> String {
    let docker = json!({"image": "busybox", "network": "BRIDGE", "portMappings": [mapping]});
    with(app(), "/container/docker", docker)
}

/// A TaskInfo with a `docker` object.
fn docker(docker: Value) -> String {
    with(task(), "/container/docker", docker)
}

/// The message is one line, or two with a hint, and holds no control characters.
fn assert_refused(program: &Program, what: &str, verb: &str, said: &Said, field: &str) {
    assert_eq!(said.code, Some(125), "{what} {verb}: {said:?}");
    assert_eq!(said.out, "", "{what} {verb}");
    let lines: Vec<_> = said.err.lines().collect();
    let errors = lines.iter().filter(|line| line.starts_with("error: ")).count();
    let hints = lines.iter().filter(|line| line.starts_with("  hint: ")).count();
    assert_eq!((errors, lines.len()), (1, 1 + hints), "{what} {verb}: {}", said.err);
    assert!(hints <= 1 && said.err.len() < 1500, "{what} {verb}: {}", said.err);
    assert!(lines[0].contains(field), "{what} {verb}: {field:?} is not in {:?}", lines[0]);
    assert!(!said.err.chars().any(|c| c.is_control() && c != '\n'), "{what} {verb}: {:?}", said.err);
    assert!(!said.err.contains("panicked"), "{what} {verb}: {}", said.err);
    assert!(!program.work_dir().exists(), "{what} {verb}: a work directory was made");
}

#[rstest::rstest]
#[case::nothing("", "not JSON")]
#[case::not_json("{\"id\": ", "not JSON")]
#[case::not_utf8(b"{\"id\": \"\xff\"}", "not JSON")]
#[case::no_app("[]", "no app")]
#[case::a_number("7", "expected an app definition")]
#[case::wrong_type(with(app(), "/cpus", "1"), "$.cpus")]
#[case::wrong_type_of_an_object(with(app(), "/env", json!([])), "$.env")]
#[case::unknown_field(with(app(), "/cpuss", 1), "$.cpuss: unknown field, did you mean \"cpus\"")]
#[case::unknown_field_with_an_escape(with(app(), "/c\u{1b}[31m", 1), "unknown field")]
#[case::port_above_range(mapped(json!({"containerPort": 70000})), "portMappings[0].containerPort: 70000")]
#[case::port_below_range(mapped(json!({"containerPort": -1})), "portMappings[0].containerPort: -1")]
#[case::host_port_not_in_the_resources(
    mapped(json!({"containerPort": 80, "hostPort": 80})), "portMappings[0].hostPort")]
#[case::both_paths_relative(
    with(app(), "/container/volumes", json!([{"containerPath": "a", "hostPath": "b", "mode": "RW"}])),
    "$.container.volumes[0]")]
#[case::port_mappings_on_host(
    with(app(), "/container/docker", json!({"image": "b", "network": "HOST", "portMappings": [{"containerPort": 1}]})),
    "$.container.docker.portMappings")]
#[case::user_without_a_name(
    with(app(), "/container/docker", json!({"image": "b", "network": "USER"})), "networkName")]
#[case::container_network_without_a_name(with(app(), "/networks", json!([{"mode": "container"}])), "$.networks[0].name")]
#[case::image_in_upper_case(with(app(), "/container/docker/image", "Busybox"), "container.docker.image")]
#[case::image_with_a_space(with(app(), "/container/docker/image", "busy box"), "container.docker.image")]
#[case::image_with_two_tags(with(app(), "/container/docker/image", "a:b:c"), "container.docker.image")]
#[case::no_image(with(app(), "/container/docker/image", ""), "container.docker.image")]
#[case::negative_cpus(with(app(), "/cpus", -1), "$.cpus")]
#[case::more_memory_than_there_is(with(app(), "/mem", 1e308), "$.mem")]
#[case::a_megabyte_of_environment(with(app(), "/env", json!({"A": "x".repeat(1 << 20)})), "$.env.A")]
#[case::nul_in_the_environment(with(app(), "/env", json!({"A": "a\0b"})), "$.env.A")]
#[case::nul_in_the_command(with(app(), "/cmd", "a\0b"), "$.cmd")]
#[case::nul_in_the_image(with(app(), "/container/docker/image", "a\0b"), "container.docker.image")]
#[case::cmd_and_args(with(app(), "/args", json!(["x"])), "$.args")]
#[case::a_user_that_is_not_there(with(app(), "/user", "no-such-user-here"), "no-such-user-here")]
#[case::deep("[".repeat(100_000), "nested more than")]
#[case::deep_objects("{\"id\":".repeat(50_000), "nested more than")]
#[case::deep_inside(format!("{{\"id\":\"/t\",\"labels\":{}1{}}}", "{\"a\":".repeat(200), "}".repeat(200)), "nested more than")]
#[case::secrets(with(app(), "/secrets", json!({"s": {"source": "x"}})), "secrets")]
#[case::gpus(with(app(), "/gpus", json!(0.5)), "gpus")]
fn a_bad_app_is_refused(#[case] definition: impl AsRef<[u8]>, #[case] field: &str) {
    refuse(definition.as_ref(), field);
}

#[rstest::rstest]
#[case::unknown_field(with(task(), "/nam", "x"), "$.nam: unknown field")]
#[case::wrong_type(with(task(), "/command", 7), "$.command")]
#[case::a_slash_in_the_id(with(task(), "/task_id/value", "a/b"), "task_id.value")]
#[case::hostname_on_host(with(task(), "/container/hostname", "h"), "container.hostname")]
#[case::user_without_a_name(docker(json!({"image": "b", "network": "USER"})), "container.network_infos")]
#[case::port_mappings_on_host(
    docker(json!({"image": "b", "network": "HOST", "port_mappings": [{"host_port": 31000, "container_port": 1}]})),
    "container.docker.port_mappings[0]")]
#[case::host_port_not_in_the_resources(
    docker(json!({"image": "b", "network": "BRIDGE", "port_mappings": [{"host_port": 31000, "container_port": 1}]})),
    "container.docker.port_mappings[0]")]
#[case::both_paths_relative(
    with(task(), "/container/volumes", json!([{"container_path": "a", "host_path": "b", "mode": "RW"}])),
    "container.volumes[0]")]
#[case::image_with_a_space(docker(json!({"image": "a b"})), "container.docker.image")]
#[case::image_in_upper_case(docker(json!({"image": "A"})), "container.docker.image")]
#[case::image_with_two_tags(docker(json!({"image": "a:b:c"})), "container.docker.image")]
#[case::no_docker(with(task(), "/container", json!({"type": "MESOS", "mesos": {"image": {"type": "APPC"}}})), "container.mesos.image")]
#[case::negative_cpus(
    with(task(), "/resources", json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": -1}}])),
    "resources[0].scalar.value")]
#[case::more_memory_than_there_is(
    with(task(), "/resources", json!([{"name": "mem", "type": "SCALAR", "scalar": {"value": 1e308}}])),
    "resources[0].scalar.value")]
#[case::nul_in_the_command(with(task(), "/command/value", "a\0b"), "$.command.value")]
#[case::a_megabyte_of_environment(
    with(task(), "/command/environment", json!({"variables": [{"name": "A", "value": "x".repeat(1 << 20)}]})),
    "command.environment.variables[0]")]
fn a_bad_task_is_refused(#[case] definition: String, #[case] field: &str) {
    refuse(definition.as_bytes(), field);
}

fn refuse(definition: &[u8], field: &str) {
    let program = Program::without_engine();
    let path = program.file("definition.json", definition);
    for verb in ["validate", "run"] {
        assert_refused(&program, field, verb, &program.say(verb, &[&path]), field);
        // From standard input it is the same sentence.
        let mut command = program.command(verb);
        command.arg("-").stdin(std::fs::File::open(&path).expect("opened"));
        assert_refused(&program, field, verb, &said(&mut command), field);
    }
}

/// The control: what the bad ones are made of is right.
#[test]
fn the_app_and_the_task_are_right_without_their_faults() {
    let program = Program::without_engine();
    for definition in [app(), task()] {
        let path = program.file("definition.json", definition.to_string());
        let said = program.say("validate", &[&path]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let shown: Value = serde_json::from_str(&said.out).expect("one JSON value");
        assert_eq!(shown["create_request"]["Image"], "busybox");
        assert!(!program.work_dir().exists());
    }
}

#[test]
fn fifty_megabytes_are_refused_without_reading_them() {
    let program = Program::without_engine();
    let path = program.file("large.json", "{");
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(50 << 20)).expect("grown");
    for verb in ["validate", "run"] {
        let said = program.say(verb, &[&path]);
        assert_refused(&program, "50 MB", verb, &said, "large.json is larger than 8 MB");
    }
    // An input without an end is left where the largest definition ends.
    let mut command = program.command("validate");
    command.arg("-").stdin(std::fs::File::open("/dev/zero").expect("opened"));
    assert_refused(
        &program,
        "/dev/zero",
        "validate",
        &said(&mut command),
        "standard input is larger than 8 MB",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let program = Program::without_engine();
    let said = program.say("run", &["/no/such/file.json"]);
    assert_refused(&program, "missing", "run", &said, "/no/such/file.json: No such file");
    let said = program.say("run", &["/"]);
    assert_refused(&program, "a directory", "run", &said, "cannot read /: ");
}

#[test]
fn a_file_name_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStringExt;

    let program = Program::without_engine();
    let name = std::ffi::OsString::from_vec(b"app-\xff.json".to_vec());
    let path = program.home.path().join(name);
    let run = |verb| said(program.command(verb).arg(&path));
    assert_refused(&program, "missing", "run", &run("run"), "app-\u{fffd}.json: No such file");
    std::fs::write(&path, app().to_string()).expect("written");
    let validated = run("validate");
    assert_eq!(validated.code, Some(0), "{validated:?}");
}

#[test]
fn an_engine_that_is_not_there_is_told_with_a_hint() {
    let program = Program::without_engine();
    let path = program.file("app.json", app().to_string());
    let said = program.say("run", &[&path]);
    assert_refused(&program, "no engine", "run", &said, "/nonexistent/docker.sock");
    assert!(said.err.contains("hint: ") && said.err.contains("start the Docker Engine"), "{}", said.err);
}

#[rstest::rstest]
#[case("tcp://10.0.0.1:2375", "tcp address")]
#[case("ssh://me@there", "ssh address")]
fn an_engine_elsewhere_is_refused(#[case] host: &str, #[case] why: &str) {
    let program = Program::without_engine();
    let path = program.file("app.json", app().to_string());
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mesos-docker"));
    command
        .env_remove("MESOS_DOCKER_SOCKET")
        .env("DOCKER_HOST", host)
        .env("TMPDIR", program.home.path().join("tmp"));
    command.arg("run").arg(format!("--work_dir={}", program.work_dir().display())).arg(path);
    let said = said(&mut command);
    assert_refused(&program, host, "run", &said, why);
    assert!(said.err.contains("--docker_socket"), "{}", said.err);
}

#[test]
fn a_flag_that_is_wrong_is_named() {
    let program = Program::without_engine();
    let path = program.file("app.json", app().to_string());
    for (flag, named) in [
        ("--docker_stop_timeout=soon", "docker_stop_timeout"),
        ("--timeout=soon", "--timeout"),
        ("--instances=-1", "--instances"),
        ("--no-such-flag", "--no-such-flag"),
    ] {
        let said = program.say("run", &[flag, &path]);
        assert_eq!(said.code, Some(125), "{said:?}");
        assert!(said.err.contains(named) && !program.work_dir().exists(), "{said:?}");
    }
}

#[rstest::rstest]
#[case("logs")]
#[case("kill")]
#[case("inspect")]
fn a_task_that_is_not_there_is_told(#[case] verb: &str) {
    let program = Program::without_engine();
    assert_refused(
        &program,
        "unknown id",
        verb,
        &program.say(verb, &["web"]),
        "no task or container has the id \"web\"",
    );
    assert_refused(&program, "no id", verb, &program.say(verb, &[""]), "the id is empty");
}

#[test]
fn without_an_engine_the_records_are_listed_and_nothing_is_removed() {
    let program = Program::without_engine();
    let said = program.say("ps", &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("TASK ") && said.err.contains("only the records are shown"), "{said:?}");
    let said = program.say("cleanup", &[]);
    assert_refused(&program, "cleanup", "cleanup", &said, "/nonexistent/docker.sock");
}

#[test]
fn output_that_nobody_reads_is_no_panic() {
    let program = Program::without_engine();
    let path = program.file("app.json", app().to_string());
    for args in [["validate", path.as_str()].as_slice(), &["ps", "-a"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let errors = writer.try_clone().expect("a second end");
        let mut command = program.command(args[0]);
        let status =
            command.args(&args[1..]).stdout(writer).stderr(errors).status().expect("the program runs");
        assert_eq!(status.code(), Some(0), "{args:?}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").expect("opened");
    let mut command = program.command("validate");
    let failed = command.arg(&path).stdout(full).output().expect("the program runs");
    assert_eq!(failed.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("No space left"), "{failed:?}");
}
