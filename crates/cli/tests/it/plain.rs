//! Apps without an image, on a machine without an engine: processes that are run, listed, followed, killed, adopted and
//! cleared away. Every test ends with nothing of it left.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::program::{PATIENCE, Program, Said, signal};
use integration::images::TestImage;
use integration::{TestScope, eventually, programs, require_engine};
use mesos_containerizer::processes::{Stat, all};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A program without an engine, beside which the program of processes is.
fn program() -> Program {
    programs::mesos_containerizer().expect("built");
    Program::without_engine()
}

/// An app that runs a shell command.
fn app(command: &str) -> Value {
    json!({ "id": "/plain", "cmd": command, "mem": 32, "cpus": 0.1 })
}

/// With more fields.
fn app_with(command: &str, more: &Value) -> Value {
    let mut app = app(command);
    let fields = more.as_object().expect("an object").clone();
    app.as_object_mut().expect("an object").extend(fields);
    app
}

fn row(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(said.out.trim()).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// Whether a process is of a work directory: its sandbox is in its environment, or it is in it.
fn is_of(stat: &Stat, work_dir: &Path) -> bool {
    let of = |file: &str| std::fs::read(format!("/proc/{}/{file}", stat.id.pid)).unwrap_or_default();
    let names = |bytes: &[u8]| {
        let path = work_dir.as_os_str().as_bytes();
        bytes.windows(path.len()).any(|window| window == path)
    };
    let place = std::fs::read_link(format!("/proc/{}/cwd", stat.id.pid));
    !stat.is_zombie && (names(&of("environ")) || place.is_ok_and(|place| place.starts_with(work_dir)))
}

/// Waits until no process of the program's tasks is left.
async fn processes_gone(program: &Program) {
    let work_dir = program.work_dir().canonicalize().unwrap_or_else(|_| program.work_dir());
    let left = eventually("the end of all processes", PATIENCE, async || {
        let left = all()?.into_iter().filter(|stat| is_of(stat, &work_dir)).count();
        Ok((left == 0).then_some(()))
    });
    left.await.expect("nothing is left");
}

/// Waits until no process of the program's tasks is left; no control group of theirs is then.
async fn nothing_left(program: &Program) {
    processes_gone(program).await;
    for id in containers(&program.work_dir()) {
        let groups = ["/sys/fs/cgroup".into(), "/sys/fs/cgroup/freezer".into(), "/sys/fs/cgroup/pids".into()];
        for group in groups.map(|group: PathBuf| group.join("mesos").join(&id)) {
            assert!(!group.exists(), "{}", group.display());
        }
    }
}

/// The ids of the containers that a work directory had.
fn containers(work_dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![work_dir.join("meta")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
                found.extend(entry.file_name().into_string().ok().filter(|name| name.len() == 36));
            }
        }
    }
    found
}

fn numbers(text: &str) -> Vec<u32> {
    text.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?} is no number"))).collect()
}

/// The first app of Marathon's documentation, from the examples.
#[tokio::test]
async fn basic_0_runs_until_ctrl_c() {
    let program = program();
    let basic = include_str!("../../../../examples/basic-0.json");
    let mut run = program.start(basic);
    run.prints(1).await;
    run.says("TASK_RUNNING basic-0.").await;
    assert_eq!(run.out(), "Hello Marathon\n");
    signal(run.pid(), Signal::INT);
    assert_eq!(run.code().await, Some(130));
    assert!(run.err().contains("TASK_KILLED basic-0."), "{}", run.err());
    nothing_left(&program).await;
}

#[tokio::test]
async fn the_exit_code_is_the_tasks() {
    let program = program();
    for (definition, code, words) in [
        (app("echo out; echo err >&2; exit 0"), 0, "TASK_FINISHED"),
        (app("exit 3"), 3, "TASK_FAILED"),
        (app("kill -KILL $$"), 137, "TASK_FAILED"),
        (json!({ "id": "/plain", "args": ["sh", "-c", "exit 4"] }), 4, "TASK_FAILED"),
        (json!({ "id": "/plain", "args": ["no-such-program"] }), 127, "no-such-program"),
        (json!({ "id": "/plain", "args": ["/dev/null"] }), 126, "/dev/null"),
        (json!({ "id": "/plain", "cmd": "exit 0", "container": { "type": "MESOS" } }), 0, "TASK_FINISHED"),
    ] {
        let said = program.say("run", &[&program.file("app.json", definition.to_string())]);
        assert_eq!(said.code, Some(code), "{definition}: {said:?}");
        assert!(said.err.contains(words), "{definition}: {said:?}");
    }
    nothing_left(&program).await;
}

#[tokio::test]
async fn a_task_has_its_sandbox_its_user_and_marathons_variables() {
    let program = program();
    let line = "pwd; id -un; echo $HOST; echo $PORT_WEB $PORT0; echo $MARATHON_APP_ID $MARATHON_APP_RESOURCE_MEM $COLOR; \
                echo ${MARATHON_APP_DOCKER_IMAGE-none} ${HOME-none}; touch made";
    let mut more = json!({ "env": { "COLOR": "blue" }, "portDefinitions": [{ "port": 0, "name": "web" }] });
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        more["user"] = json!("nobody");
        // Its sandbox is below.
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(program.home.path(), std::fs::Permissions::from_mode(0o755))
            .expect("opened");
    }
    let said = program.say("run", &[&program.file("app.json", app_with(line, &more).to_string())]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines: Vec<_> = said.out.lines().collect();
    let sandbox = Path::new(lines[0]);
    assert!(sandbox.starts_with(program.work_dir().canonicalize().expect("made")), "{lines:?}");
    assert!(sandbox.join("made").exists());
    if is_root {
        assert_eq!(lines[1], "nobody");
    }
    assert_eq!(lines[2], rustix::system::uname().nodename().to_string_lossy());
    let (web, first) = lines[3].split_once(' ').expect("two ports");
    assert_eq!(web, first);
    assert!((31000..=32000).contains(&web.parse().expect("a port")), "{web}");
    assert_eq!(lines[4], "/plain 32.0 blue");
    assert_eq!(lines[5], "none none", "of our own environment nothing is there");
    nothing_left(&program).await;
}

#[tokio::test]
async fn a_run_is_seen_and_killed_from_another_process() {
    let program = program();
    let line =
        "trap 'echo ending; sleep 0.2; echo ended; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let mut run = program.start(&app_with(line, &json!({ "taskKillGracePeriodSeconds": 60 })).to_string());
    run.prints(1).await;
    run.says("TASK_RUNNING").await;

    let task = row(&program.say("ps", &["--json"]));
    assert_eq!((&task["state"], &task["containerizer"]), (&json!("TASK_RUNNING"), &json!("mesos")));
    let pid = task["pid"].as_u64().expect("a process");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    let table = program.say("ps", &[]);
    assert!(table.out.contains(&format!("pid {pid}")) && table.err.is_empty(), "{table:?}");

    let id = task["container_id"].as_str().expect("an id");
    for name in ["plain", id, &id[..6]] {
        let said = program.say("logs", &[name]);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "up\n", ""), "{name}");
    }
    let inspected = row(&program.say("inspect", &[id]));
    assert_eq!(inspected["process"]["pid"], json!(pid));
    assert_eq!(inspected["phase"], "running");
    let mut follow = program.background("follow", {
        let mut command = program.command("logs");
        command.args(["-f", id]);
        command
    });
    follow.prints(1).await;

    let said = program.say("kill", &[id]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("TASK_KILLED plain."), "{said:?}");
    assert_eq!(run.code().await, Some(7));
    assert_eq!(run.out(), "up\nending\nended\n");
    assert_eq!(follow.code().await, Some(0));
    assert_eq!(follow.out(), "up\nending\nended\n");
    nothing_left(&program).await;
}

#[tokio::test]
async fn a_stubborn_task_is_killed_when_its_grace_is_over() {
    let program = program();
    // Its children ignore it, too, one of them in a session of its own.
    let line =
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 100000' & echo up; while :; do sleep 1; done";
    let mut run = program.start(&app_with(line, &json!({ "taskKillGracePeriodSeconds": 3000 })).to_string());
    run.prints(1).await;
    run.says("TASK_RUNNING").await;
    let said = program.say("kill", &["--grace=1secs", "plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("TASK_KILLED"), "{said:?}");
    assert_eq!(run.code().await, Some(137));
    nothing_left(&program).await;
}

#[tokio::test]
async fn twenty_instances_run_beside_each_other() {
    let program = program();
    let definition = app_with("echo $PORT0; sleep 0.3; exit 0", &json!({ "instances": 20 }));
    let said = program.say("run", &[&program.file("app.json", definition.to_string())]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut ports: Vec<_> = said.out.lines().filter_map(|line| line.split_once("] ")).collect();
    assert_eq!(ports.len(), 20, "{said:?}");
    ports.sort_unstable_by_key(|(_, port)| *port);
    ports.dedup_by_key(|(_, port)| *port);
    assert_eq!(ports.len(), 20, "each has a port of its own: {said:?}");
    assert_eq!(said.err.matches("TASK_FINISHED").count(), 20);
    nothing_left(&program).await;
}

/// Checks that are asked at once, and again soon.
fn checked(mut check: Value) -> Value {
    for (field, value) in [("delaySeconds", 0), ("intervalSeconds", 0), ("timeoutSeconds", 30)] {
        check[field] = json!(value);
    }
    check
}

#[tokio::test]
async fn a_command_check_is_made_in_the_sandbox_with_the_tasks_environment() {
    let program = program();
    let shell = "test -e here && test \"$COLOR\" = blue && test \"$PORT0\" = \"$(cat here)\" && exit 5";
    let more = json!({
        "env": { "COLOR": "blue" },
        "check": checked(json!({ "exec": { "command": { "shell": shell } } })),
        "healthChecks": [checked(json!({ "protocol": "COMMAND", "command": { "value": "test -e here" } }))],
    });
    let mut run = program.start(&app_with("echo $PORT0 >here; echo up; sleep 100000", &more).to_string());
    run.says("check: the command ended with 5").await;
    run.says(" healthy").await;
    signal(run.pid(), Signal::INT);
    assert_eq!(run.code().await, Some(130));
    nothing_left(&program).await;
}

#[tokio::test]
async fn a_task_that_fails_its_health_check_is_killed() {
    let program = program();
    let mut check =
        checked(json!({ "protocol": "COMMAND", "command": { "value": "echo sick >&2; exit 1" } }));
    check["gracePeriodSeconds"] = json!(0);
    check["maxConsecutiveFailures"] = json!(2);
    let definition = app_with("echo up; exec sleep 100000", &json!({ "healthChecks": [check] }));
    let said = program.say("run", &[&program.file("app.json", definition.to_string())]);
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("COMMAND health check failed: the command exited with status 1: sick"),
        "{said:?}"
    );
    assert!(said.err.contains("TASK_KILLED") || said.err.contains("TASK_FAILED"), "{said:?}");
    nothing_left(&program).await;
}

/// The task and what writes its output go on without us, and whoever takes it over tells its end.
#[tokio::test]
async fn a_run_that_was_killed_is_taken_over_with_exact_logs() {
    let program = program();
    // It waits in the middle, so that it does not end before its process is killed.
    let line = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i; [ $((i % 50)) = 0 ] && sleep 0.02; \
                [ $i = 1000 ] && until test -e go; do sleep 0.02; done; done; echo end >&2; exit 6";
    let mut run = program.start(&app(line).to_string());
    run.prints(100).await;
    run.says("TASK_RUNNING").await;
    let before = row(&program.say("ps", &["--json"]));
    run.crash();
    let orphan = row(&program.say("ps", &["--json"]));
    assert_eq!((&orphan["owner"], &orphan["pid"]), (&Value::Null, &before["pid"]), "it goes on");
    let sandbox = Path::new(orphan["sandbox"].as_str().expect("a path"));
    std::fs::write(sandbox.join("go"), "").expect("written");
    let said = program.say("adopt", &[]);
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains("TASK_FAILED"), "{said:?}");
    // What it printed is the end of all.
    let printed = numbers(&said.out);
    assert_eq!(printed.last(), Some(&2000), "{said:?}");
    assert!(printed.windows(2).all(|pair| pair[1] == pair[0] + 1), "without gap and double");
    let logs = program.say("logs", &["plain"]);
    assert_eq!(numbers(&logs.out), (1..=2000).collect::<Vec<_>>());
    assert_eq!(logs.err, "end\n");
    nothing_left(&program).await;
}

#[tokio::test]
async fn a_task_that_ended_without_an_owner_tells_its_exit_code_later() {
    let program = program();
    let mut run = program
        .start(&app("echo up; while ! test -e go; do sleep 0.05; done; echo last; exit 9").to_string());
    run.prints(1).await;
    run.says("TASK_RUNNING").await;
    let task = row(&program.say("ps", &["--json"]));
    run.crash();
    let sandbox = PathBuf::from(task["sandbox"].as_str().expect("a path"));
    std::fs::write(sandbox.join("go"), "").expect("written");
    processes_gone(&program).await;
    let table = program.say("ps", &[]);
    assert!(table.out.contains("gone"), "{table:?}");
    let said = program.say("adopt", &["plain"]);
    assert_eq!(said.code, Some(9), "{said:?}");
    assert_eq!(program.say("logs", &["plain"]).out, "up\nlast\n");
    nothing_left(&program).await;
}

#[tokio::test]
async fn a_task_without_an_owner_is_killed_and_cleared_away() {
    let program = program();
    for verb in ["kill", "cleanup"] {
        let line = "trap '' TERM; sleep 100000 & setsid sleep 100001 & echo up; while :; do sleep 1; done";
        let mut run = program.start(&app(line).to_string());
        run.prints(1).await;
        run.says("TASK_RUNNING").await;
        run.crash();
        if verb == "kill" {
            let said = program.say("kill", &["--now", "plain"]);
            assert_eq!(said.code, Some(0), "{said:?}");
            assert!(said.out.starts_with("TASK_KILLED"), "{said:?}");
        } else {
            let planned = program.say("cleanup", &["--dry-run"]);
            assert!(planned.out.contains("would remove process "), "{planned:?}");
        }
        let said = program.say("cleanup", &[]);
        assert_eq!(said.code, Some(0), "{said:?}");
        nothing_left(&program).await;
        let left: Vec<_> = ["slaves/local/frameworks", "meta/slaves/local/frameworks", "runs"]
            .into_iter()
            .flat_map(|place| std::fs::read_dir(program.work_dir().join(place)).into_iter().flatten())
            .collect();
        assert!(left.is_empty(), "{verb}: {left:?}");
    }
}

/// A run that somebody supervises is left alone.
#[tokio::test]
async fn cleanup_leaves_a_run_with_an_owner() {
    let program = program();
    let mut run = program.start(&app("echo up; sleep 100000").to_string());
    run.says("TASK_RUNNING").await;
    let said = program.say("cleanup", &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("left alone"), "{said:?}");
    assert_eq!(row(&program.say("ps", &["--json"]))["state"], "TASK_RUNNING");
    signal(run.pid(), Signal::INT);
    assert_eq!(run.code().await, Some(130));
    nothing_left(&program).await;
}

#[tokio::test]
async fn validate_shows_what_would_run_and_needs_no_engine() {
    let program = program();
    let more =
        json!({ "user": "nobody", "env": { "COLOR": "blue" }, "constraints": [["hostname", "UNIQUE"]] });
    let said =
        program.say("validate", &[&program.file("app.json", app_with("echo $COLOR", &more).to_string())]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err, "note $.constraints: no effect here\n");
    let shown = row(&said);
    assert_eq!(shown["containerizer"], "mesos");
    assert_eq!(shown["process"]["argv"], json!(["/bin/sh", "-c", "echo $COLOR"]));
    assert_eq!(shown["process"]["user"], "nobody");
    let environment = shown["process"]["env"].as_array().expect("variables");
    assert!(environment.contains(&json!("COLOR=blue")), "{environment:?}");
    assert!(!program.work_dir().exists(), "nothing is made");
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let program = program();
    let mut task = json!({
        "name": "t", "task_id": { "value": "t" },
        "command": { "value": "true" }, "container": { "type": "MESOS", "mesos": {} },
    });
    let refused = |definition: &Value, flags: &[&str], words: &str| {
        let path = program.file("task.json", definition.to_string());
        for verb in ["run", "validate"] {
            let said = program.say(verb, &[flags, &[path.as_str()]].concat());
            assert_eq!(said.code, Some(125), "{verb}: {said:?}");
            assert!(said.err.contains(words), "{verb} does not say {words:?}: {said:?}");
        }
        assert!(!program.work_dir().exists(), "nothing is made");
    };
    refused(&task, &["--docker_policy=strict"], "it has no image, so it is a process of this machine");
    task["container"]["mesos"] = json!({ "image": { "type": "DOCKER", "docker": { "name": "busybox" } } });
    refused(&task, &[], "container.mesos.image");
    task["container"] =
        json!({ "type": "MESOS", "volumes": [{ "container_path": "a", "host_path": "/b", "mode": "RW" }] });
    refused(&task, &[], "container.volumes[0].host_path");
    refused(&json!({ "id": "/plain" }), &[], "$.cmd: missing: what to run");
}

#[tokio::test]
async fn what_has_no_effect_is_said() {
    let program = program();
    let task = json!({
        "name": "t", "task_id": { "value": "t" }, "command": { "value": "true" },
        "container": { "type": "MESOS", "tty_info": {} },
    });
    let said = program.say("run", &[&program.file("task.json", task.to_string())]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("container.tty_info"), "{said:?}");
    nothing_left(&program).await;
}

/// Tasks of both kinds in one document; the engine has those with an image.
#[tokio::test]
async fn a_document_may_hold_both_kinds() {
    let engine = require_engine!();
    programs::mesos_containerizer().expect("built");
    let scope = TestScope::new(&engine).await.expect("a scope");
    let program = Program::new(engine.socket(), &scope.agent_id());
    let mut docker = app("echo in a container; while ! test -e go; do sleep 1; done");
    docker["id"] = json!("/docker");
    docker["container"] = json!({ "docker": { "image": TestImage::Busybox.reference() } });
    let both = json!([docker, app("echo in a process; exec sleep 100000")]);
    let mut run = program.start(&both.to_string());
    run.prints(2).await;
    let listed = eventually("both tasks", PATIENCE, async || {
        let said = program.say("ps", &["--json"]);
        let rows: Vec<Value> = said.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let runs = |kind: &str| {
            rows.iter().any(|row| row["containerizer"] == kind && row["state"] == "TASK_RUNNING")
        };
        Ok((runs("docker") && runs("mesos")).then_some(said))
    });
    let listed = listed.await.expect("both tasks");
    assert_eq!(listed.out.lines().count(), 2, "{listed:?}");
    run.crash();
    let mut adopt = program.background("adopt", program.command("adopt"));
    adopt.says("docker.").await;
    let said = program.say("kill", &["plain"]);
    assert!(said.out.starts_with("TASK_KILLED plain."), "{said:?}");
    let said = program.say("kill", &["--now", "docker"]);
    assert!(said.out.starts_with("TASK_KILLED docker."), "{said:?}");
    // That of the first task. Which one that is is open where both were made within one tick of the file system's clock.
    let first: Value = serde_json::from_str(listed.out.lines().next().expect("a row")).expect("JSON");
    let code = if first["containerizer"] == "docker" { 137 } else { 128 + 15 };
    assert_eq!(adopt.code().await, Some(code), "{}", adopt.err());
    nothing_left(&program).await;
    scope.assert_clean().await.expect("clean");
}
