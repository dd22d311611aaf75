//! `ps`, `logs`, `kill`, `inspect`, `adopt` and `cleanup` on a real engine, beside a `run` that lives or was killed.
//!
//! Each test has a work directory and an agent id of its own; its scope removes what is left, also when it fails.

use std::path::Path;

use crate::program::{PATIENCE, Program, Said, signal};
use integration::images::TestImage;
use integration::{TestScope, eventually, require_engine};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A program in a scope of a test.
async fn begin(engine: &integration::TestEngine) -> (TestScope, Program) {
    let scope = TestScope::new(engine).await.expect("a scope");
    let program = Program::new(engine.socket(), &scope.agent_id());
    (scope, program)
}

/// An app that runs a shell command in an image.
fn app(image: TestImage, command: &str) -> Value {
    json!({
        "id": "/web", "cmd": command, "mem": 32, "cpus": 0.1,
        "container": {"type": "DOCKER", "docker": {"image": image.reference()}},
    })
}

/// A command that prints the numbers from 1 to `last`, in bursts.
fn count_to(last: u32) -> String {
    format!(
        "i=0; while [ $i -lt {last} ]; do i=$((i+1)); echo $i; [ $((i % 50)) = 0 ] && usleep 20000; done; echo end >&2"
    )
}

/// A command that ignores SIGTERM.
const STUBBORN: &str = "trap '' TERM; echo up; while :; do sleep 1; done";

/// A command that ends on SIGTERM, with 7.
const WILLING: &str = "trap 'exit 7' TERM; echo up; while :; do usleep 50000; done";

fn numbers(text: &str) -> Vec<u32> {
    text.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?} is no number"))).collect()
}

fn rows(said: &Said) -> Vec<Value> {
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What lines of a cleanup are about, without the ages.
fn things(lines: &str) -> Vec<&str> {
    lines.lines().filter_map(|line| line.split(" (").next()).collect()
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none())
}

#[tokio::test]
async fn a_run_is_seen_and_killed_from_another_process() {
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    let mut run = program.start(&app(TestImage::Busybox, WILLING).to_string());
    run.prints(1).await;
    run.says("TASK_RUNNING").await;

    let listed = rows(&program.say("ps", &["--json"]));
    let [task] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&task["state"], &task["engine_state"]), (&json!("TASK_RUNNING"), &json!("running")));
    assert_eq!(task["owner"]["pid"], run.pid());
    let table = program.say("ps", &[]).out;
    assert!(table.contains("TASK_RUNNING") && table.contains(&run.pid().to_string()), "{table}");

    let id = task["container_id"].as_str().expect("an id");
    for name in ["web", id, &id[..6], task["engine_id"].as_str().expect("an id")] {
        let said = program.say("logs", &[name]);
        assert_eq!((said.code, said.out.as_str()), (Some(0), "up\n"), "{name}: {said:?}");
    }
    let inspected: Value = serde_json::from_str(&program.say("inspect", &[id]).out).expect("JSON");
    assert_eq!(inspected["phase"], "running");
    assert_eq!(inspected["container"]["State"]["Running"], true);
    assert_eq!(inspected["task_info"]["container"]["docker"]["image"], TestImage::Busybox.reference());
    assert_eq!(inspected["terminal_status"], Value::Null);

    let refused = program.say("adopt", &["web"]);
    assert!(refused.code == Some(125) && refused.err.contains("is supervised by process"), "{refused:?}");
    let cleaned = program.say("cleanup", &[]);
    assert!(cleaned.code == Some(0) && cleaned.out.is_empty(), "{cleaned:?}");
    assert!(cleaned.err.contains("supervises them: 1 run"), "{cleaned:?}");

    let killed = program.say("kill", &["web"]);
    assert_eq!(killed.code, Some(0), "{killed:?}");
    assert!(killed.out.starts_with("TASK_KILLED web."), "{killed:?}");
    assert_eq!(run.code().await, Some(7), "{}", run.err());
    assert!(run.err().contains("TASK_KILLED"), "{}", run.err());
    let again = program.say("kill", &["web"]);
    assert!(again.code == Some(0) && again.out.starts_with("TASK_KILLED"), "{again:?}");
    let refused = program.say("adopt", &["web"]);
    assert!(refused.code == Some(125) && refused.err.contains("has ended: TASK_KILLED"), "{refused:?}");

    assert!(rows(&program.say("ps", &["--json"])).is_empty());
    assert_eq!(rows(&program.say("ps", &["--json", "-a"]))[0]["engine_state"], "gone");
    let inspected: Value = serde_json::from_str(&program.say("inspect", &["web"]).out).expect("JSON");
    assert_eq!(inspected["terminal_status"]["state"], "TASK_KILLED");
    assert_eq!(inspected["container"], Value::Null);
    assert_eq!(program.say("logs", &["-f", "web"]).out, "up\n");
    scope.assert_clean().await.expect("clean");

    let shown = program.say("cleanup", &["--dry-run"]);
    assert!(shown.code == Some(0) && shown.out.contains("would remove sandbox"), "{shown:?}");
    assert_eq!(program.say("logs", &["web"]).out, "up\n", "a dry run removes nothing");
    let cleaned = program.say("cleanup", &[]);
    assert_eq!(things(&cleaned.out), things(&shown.out.replace("would remove", "removed")), "{cleaned:?}");
    assert!(is_empty(&program.work_dir().join("runs")));
    assert!(rows(&program.say("ps", &["--json", "-a"])).is_empty());
}

/// `run` and then `adopt` are killed with SIGKILL in the middle of the output; a second `adopt` ends it.
#[tokio::test]
async fn a_task_is_adopted_with_its_output_exact() {
    const LAST: u32 = 8000;
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    // It waits at 5000, so that it does not end before the second process is killed.
    let line = count_to(LAST).replacen(
        "echo $i;",
        "echo $i; [ $i = 5000 ] && until [ -e $MESOS_SANDBOX/go ]; do usleep 10000; done;",
        1,
    );
    let mut run = program.start(&app(TestImage::Busybox, &format!("{line}; exit 3")).to_string());
    // Longer than the cursor may be behind.
    run.prints(2000).await;
    run.crash();
    let listed = &rows(&program.say("ps", &["--json"]))[0];
    assert_eq!(listed["owner"], Value::Null);

    let mut adopted = program.background("adopt", program.command("adopt"));
    adopted.prints(300).await;
    adopted.crash();
    let sandbox = Path::new(listed["sandbox"].as_str().expect("a sandbox"));
    std::fs::write(sandbox.join("go"), "").expect("written");

    let said = program.say("adopt", &["web"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("TASK_FAILED") && said.err.contains("end\n"), "{said:?}");
    let logs = program.say("logs", &["web"]);
    assert_eq!(numbers(&logs.out), (1..=LAST).collect::<Vec<_>>());
    assert_eq!(logs.err, "end\n");
    // What the last process printed is the end of it, without a gap.
    let printed = numbers(&said.out);
    let first = printed.first().copied().expect("it printed something");
    assert!(first > 1, "output was followed from the beginning");
    assert_eq!(printed, (first..=LAST).collect::<Vec<_>>());
    scope.assert_clean().await.expect("clean");

    let said = program.say("adopt", &[]);
    assert!(said.code == Some(0) && said.err.contains("nothing to adopt"), "{said:?}");
}

#[tokio::test]
async fn an_adopted_task_is_killed_by_a_signal_as_a_run_is() {
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    let mut run = program.start(&app(TestImage::Busybox, WILLING).to_string());
    run.prints(1).await;
    run.says("TASK_RUNNING").await;
    run.crash();
    let mut adopted = program.background("adopt", program.command("adopt"));
    adopted.says("adopted").await;
    signal(adopted.pid(), Signal::INT);
    assert_eq!(adopted.code().await, Some(130), "{}", adopted.err());
    assert!(adopted.err().contains("TASK_KILLED"), "{}", adopted.err());
    scope.assert_clean().await.expect("clean");
}

#[tokio::test]
async fn a_kill_goes_to_whoever_adopted_the_task() {
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    let mut run = program.start(&app(TestImage::Busybox, WILLING).to_string());
    run.prints(1).await;
    run.says("TASK_RUNNING").await;
    run.crash();
    let mut adopted = program.background("adopt", program.command("adopt"));
    adopted.says("adopted").await;
    let killed = program.say("kill", &["web"]);
    assert!(killed.code == Some(0) && killed.out.starts_with("TASK_KILLED web."), "{killed:?}");
    assert_eq!(adopted.code().await, Some(7), "{}", adopted.err());
    assert!(
        adopted.err().contains("TASK_KILLING") && adopted.err().contains("TASK_KILLED"),
        "{}",
        adopted.err()
    );
    scope.assert_clean().await.expect("clean");
}

/// The container was never made: whoever takes the run over can only say so.
#[tokio::test]
async fn a_launch_that_was_cut_off_is_failed_by_whoever_adopts_it() {
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    // A registry that takes a connection and says nothing: the pull hangs.
    let registry = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = registry.local_addr().expect("an address").port();
    let mut definition = app(TestImage::Busybox, "true");
    definition["container"]["docker"]["image"] = json!(format!("127.0.0.1:{port}/absent"));
    let mut run = program.start(&definition.to_string());
    eventually("the run's record", PATIENCE, async || {
        Ok((rows(&program.say("ps", &["--json"])).len() == 1).then_some(()))
    })
    .await
    .expect("a record");
    assert_eq!(rows(&program.say("ps", &["--json"]))[0]["state"], "TASK_STAGING");
    run.crash();
    let said = program.say("adopt", &[]);
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("TASK_FAILED"), "{said:?}");
    scope.assert_clean().await.expect("clean");
}

#[tokio::test]
async fn a_task_without_an_owner_is_killed_with_its_grace() {
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    let mut definition = app(TestImage::Busybox, STUBBORN);
    definition["instances"] = json!(2);
    definition["taskKillGracePeriodSeconds"] = json!(3600);
    let mut run = program.start(&definition.to_string());
    run.prints(2).await;
    run.crash();

    let several = program.say("kill", &["web"]);
    assert!(several.code == Some(125) && several.err.contains("names 2 tasks"), "{several:?}");
    let ids: Vec<_> = rows(&program.say("ps", &["--json"]))
        .iter()
        .map(|row| row["container_id"].as_str().expect("an id").to_owned())
        .collect();
    let killed = program.say("kill", &["--grace", "0.2secs", &ids[0]]);
    assert!(killed.code == Some(0) && killed.out.starts_with("TASK_KILLED web."), "{killed:?}");
    // The other one goes on, and is now the only one that is meant.
    assert_eq!(rows(&program.say("ps", &["--json"])).len(), 1);
    let killed = program.say("kill", &["--now", "web"]);
    assert!(killed.code == Some(0) && killed.out.starts_with("TASK_KILLED web."), "{killed:?}");
    assert!(rows(&program.say("ps", &["--json"])).is_empty());
    scope.assert_clean().await.expect("clean");
}

#[tokio::test]
async fn logs_follow_through_rotations_to_the_end() {
    const LAST: u32 = 3000;
    let engine = require_engine!();
    let (_scope, program) = begin(&engine).await;
    let path = program.file("app.json", app(TestImage::Busybox, &count_to(LAST)).to_string());
    let mut command = program.command("run");
    command.args(["--docker_log_max_size=4KB", "--docker_log_max_files=50", &path]);
    let mut run = program.background("run", command);
    run.prints(100).await;
    let mut command = program.command("logs");
    command.args(["-f", "web"]);
    let mut followed = program.background("logs", command);
    assert_eq!(run.code().await, Some(0), "{}", run.err());
    assert_eq!(followed.code().await, Some(0), "{}", followed.err());
    assert_eq!(numbers(&followed.out()), (1..=LAST).collect::<Vec<_>>());
    assert_eq!(followed.err(), "end\n");
    assert_eq!(numbers(&program.say("logs", &["web"]).out), (1..=LAST).collect::<Vec<_>>());
    let rotated = rows(&program.say("ps", &["--json", "-a"]))[0]["sandbox"]
        .as_str()
        .map(|path| format!("{path}/stdout.1"));
    assert!(Path::new(&rotated.expect("a sandbox")).exists(), "the log was rotated");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_logs_quietly() {
    let engine = require_engine!();
    let (_scope, program) = begin(&engine).await;
    let mut run = program.start(&app(TestImage::Busybox, &count_to(1_000_000)).to_string());
    run.prints(10).await;
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = program.command("logs");
    command.args(["-f", "web"]).stdout(writer).stderr(std::process::Stdio::piped());
    let mut logs = command.spawn().expect("started");
    // The command holds the other end of the pipe, too.
    drop(command);
    std::io::Read::read_exact(&mut reader, &mut [0; 2]).expect("a line");
    drop(reader);
    let status = eventually("the end of logs", PATIENCE, async || Ok(logs.try_wait()?)).await.expect("ended");
    assert_eq!(status.code(), Some(0));
    let killed = program.say("kill", &["--now", "web"]);
    assert_eq!(killed.code, Some(0), "{killed:?}");
    run.code().await;
}

#[tokio::test]
async fn cleanup_removes_what_a_crash_left_and_nothing_else() {
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    let mut crashed = program.start(&app(TestImage::Volume, STUBBORN).to_string());
    crashed.prints(1).await;
    crashed.says("TASK_RUNNING").await;
    crashed.crash();
    let volumes = anonymous_volumes(&scope).await;
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    let mut lives = program.start(&app(TestImage::Busybox, WILLING).to_string());
    lives.prints(1).await;
    lives.says("TASK_RUNNING").await;
    // A record that cannot be read is named, and goes with its run.
    let sandbox = rows(&program.say("ps", &["--json"]))[0]["sandbox"].as_str().expect("a path").to_owned();
    let framework = Path::new(&sandbox).ancestors().nth(4).and_then(Path::file_name).expect("a framework");
    let broken = program
        .work_dir()
        .join("meta/slaves/other/frameworks")
        .join(framework)
        .join("executors/e/runs/00000000-0000-4000-8000-000000000000");
    std::fs::create_dir_all(&broken).expect("made");
    std::fs::write(broken.join("supervision"), "{").expect("written");
    // An agent may share the work directory; its frameworks have other ids.
    let agents = program.work_dir().join("meta/slaves/S0/frameworks/20150813-0000/executors/e/runs/x");
    std::fs::create_dir_all(&agents).expect("made");

    let shown = program.say("cleanup", &["--dry-run"]);
    assert!(
        shown.out.contains("would remove container") && shown.out.contains("its owner is gone"),
        "{shown:?}"
    );
    let listed = program.say("ps", &["--json"]);
    assert_eq!(rows(&listed).len(), 2, "a dry run removes nothing");
    assert!(listed.err.contains("00000000-0000-4000-8000-000000000000"), "{listed:?}");

    let cleaned = program.say("cleanup", &[]);
    assert_eq!(cleaned.code, Some(0), "{cleaned:?}");
    assert!(cleaned.out.contains("removed container") && cleaned.err.contains("1 run"), "{cleaned:?}");
    let left = rows(&program.say("ps", &["--json", "-a"]));
    let [left] = &left[..] else { panic!("{left:?}") };
    assert_eq!((&left["engine_state"], &left["owner"]["pid"]), (&json!("running"), &json!(lives.pid())));
    assert!(!Path::new(&sandbox).exists() && !broken.exists() && agents.exists());
    let mut client = scope.client().await.expect("a client");
    for volume in volumes {
        let status = client.get(&format!("/volumes/{volume}")).await.expect("an answer").status();
        assert_eq!(status, 404, "the anonymous volume {volume} stayed");
    }
    let killed = program.say("kill", &["web"]);
    assert_eq!(killed.code, Some(0), "{killed:?}");
    assert_eq!(lives.code().await, Some(7));
    scope.assert_clean().await.expect("clean");
}

/// The anonymous volumes of the scope's containers.
async fn anonymous_volumes(scope: &TestScope) -> Vec<String> {
    let mut client = scope.client().await.expect("a client");
    let mut volumes = Vec::new();
    for name in scope.leftovers().await.expect("a list").containers {
        let path = format!("/containers/{}/json", name.trim_start_matches('/'));
        let container = client.get(&path).await.and_then(|answer| answer.json()).expect("a container");
        for mount in
            container["Mounts"].as_array().into_iter().flatten().filter(|mount| mount["Type"] == "volume")
        {
            volumes.push(mount["Name"].as_str().expect("a name").to_owned());
        }
    }
    volumes
}

/// A sandbox with a mount in it is left where it is, and the rest of the command goes on.
#[tokio::test]
async fn a_run_that_cannot_be_removed_does_not_keep_the_others() {
    let engine = require_engine!();
    let (_scope, program) = begin(&engine).await;
    for _ in 0..2 {
        let path = program.file("app.json", app(TestImage::Busybox, "true").to_string());
        assert_eq!(program.say("run", &[&path]).code, Some(0));
    }
    let sandbox =
        rows(&program.say("ps", &["--json", "-a"]))[0]["sandbox"].as_str().expect("a path").to_owned();
    let mounted = Path::new(&sandbox).join("mounted");
    std::fs::create_dir(&mounted).expect("made");
    let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mounted).output();
    if !mount.as_ref().is_ok_and(|mount| mount.status.success()) {
        integration::engine::skip(&integration::engine::current_test(), &format!("no mount: {mount:?}"));
        return;
    }
    let cleaned = program.say("cleanup", &[]);
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&mounted).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(cleaned.code, Some(125), "{cleaned:?}");
    assert!(
        cleaned.err.contains("cannot remove sandbox") && cleaned.err.contains("is mounted there"),
        "{cleaned:?}"
    );
    assert_eq!(cleaned.out.lines().filter(|line| line.starts_with("removed run ")).count(), 1, "{cleaned:?}");
    let cleaned = program.say("cleanup", &[]);
    assert_eq!(cleaned.code, Some(0), "{cleaned:?}");
    assert!(is_empty(&program.work_dir().join("runs")));
}

#[tokio::test]
async fn an_absent_image_fails_with_the_engines_sentence_and_a_hint() {
    let engine = require_engine!();
    let (scope, program) = begin(&engine).await;
    let mut definition = app(TestImage::Busybox, "true");
    // A registry where nobody listens: nothing leaves this machine.
    definition["container"]["docker"]["image"] = json!("127.0.0.1:1/absent");
    let path = program.file("app.json", definition.to_string());
    let said = program.say("run", &[&path]);
    assert_eq!(said.code, Some(125), "{said:?}");
    let failed: Vec<_> = said.err.lines().filter(|line| line.starts_with("TASK_FAILED")).collect();
    assert!(failed.len() == 1 && failed[0].contains("127.0.0.1:1/absent"), "{said:?}");
    assert!(said.err.contains("(hint: ") && !said.err.contains("panicked"), "{said:?}");
    scope.assert_clean().await.expect("clean");
}
