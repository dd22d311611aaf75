//! The containerizer with real processes, followed as trees and in control groups.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod common;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Lab, Launcher, PATIENCE, is_there, marked, plain, terminated, unique};
use containerizer::{Ending, Exit, Kill, LogsEnd, Phase, Progress, StopSignal, Unknown};
use mesos_containerizer::{ContainerizerError, ForeignOrder};
use mesos_proto::v1;
use rustix::process::Signal;

const AT_ONCE: Kill = Kill { grace: Duration::ZERO };
const LONG: Kill = Kill { grace: Duration::from_secs(600) };

#[rstest::rstest]
#[case::success("exit 0", Exit::Code(0))]
#[case::a_code("echo why >&2; exit 7", Exit::Code(7))]
#[case::a_signal("kill -ABRT $$", Exit::Signal(6))]
#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_to_its_end(
    #[case] script: &str,
    #[case] exit: Exit,
    #[values(Launcher::Tree, Launcher::Groups)] launcher: Launcher,
) {
    let Some(lab) = Lab::new(launcher) else { return };
    let run = lab.run(&format!("pwd; {script}"));
    let mut handle = lab.launch(&run);
    let running = handle.running().await.expect("it was started");
    assert!(running.pid > 0 && running.started_at.elapsed().unwrap() < PATIENCE);
    let end = terminated(&mut handle).await;
    assert_eq!(end.ending, Ending::Exited(exit));
    assert_eq!((end.killed, end.limitation, end.logs), (None, None, LogsEnd::Complete));
    assert_eq!(run.read("stdout"), format!("{}\n", run.sandbox().display()));
    assert_eq!(end.last_errors.is_empty(), !script.contains("why"));
    assert!(lab.containerizer.containers().is_empty());
    lab.assert_no_groups(&run);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_its_environment_and_wins_over_its_owner() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let mut run = lab.run("echo $A $B $MESOS_SANDBOX; env | grep -c GEHEIM");
    run.info.command.as_mut().unwrap().environment = Some(v1::Environment {
        variables: vec![v1::environment::Variable {
            name: "A".into(),
            value: Some("task".into()),
            ..Default::default()
        }],
    });
    run.overlay = vec![common::variable("A", "owner"), common::variable("B", "owner")];
    terminated(&mut lab.launch(&run)).await;
    assert_eq!(run.read("stdout"), format!("task owner {}\n0\n", run.sandbox().display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_executed_is_a_failed_launch() {
    let Some(lab) = Lab::new(Launcher::Groups) else { return };
    let mut run = lab.run("");
    run.info.command = Some(v1::CommandInfo {
        shell: Some(false),
        value: Some("no-such-program".into()),
        ..Default::default()
    });
    let mut handle = lab.launch(&run);
    assert!(handle.running().await.is_none());
    let Ending::LaunchFailed(failure) = terminated(&mut handle).await.ending.clone() else {
        panic!("it ran")
    };
    assert_eq!((failure.phase(), failure.docker_run_code()), ("start", 127));
    assert!(failure.message().contains("cannot execute no-such-program: No such file"), "{failure}");
    lab.assert_no_groups(&run);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uri_that_cannot_be_fetched_is_a_failed_launch() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let mut run = lab.run("touch started");
    run.info.command.as_mut().unwrap().uris =
        vec![v1::command_info::Uri { value: "/no/such/file".into(), ..Default::default() }];
    let end = terminated(&mut lab.launch(&run)).await;
    let Ending::LaunchFailed(failure) = &end.ending else { panic!("{end:?}") };
    assert_eq!(failure.phase(), "fetch");
    assert!(!run.sandbox().join("started").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_used_once_and_a_verb_needs_one_that_is_known() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let run = lab.run("sleep 1000");
    let mut handle = lab.launch(&run);
    let again = lab.containerizer.launch(run.order());
    assert!(matches!(again, Err(ContainerizerError::AlreadyStarted(id)) if id == run.id()));
    handle.running().await.unwrap();
    let usage = lab.containerizer.usage(run.id()).unwrap();
    assert!(usage.mem_rss_bytes > 0);
    assert!(lab.containerizer.status(run.id()).unwrap().running.is_some());
    assert!(lab.containerizer.surroundings(run.id()).is_some());
    lab.containerizer.destroy(run.id(), AT_ONCE).unwrap();
    terminated(&mut handle).await;
    assert!(lab.containerizer.destroy(run.id(), AT_ONCE).is_none());
    assert!(matches!(lab.containerizer.usage(run.id()), Err(ContainerizerError::Unknown(_))));
    lab.containerizer.settled().await;
}

/// Trees that a kill must end: in a session of their own, forked twice, deaf, stopped, and many.
#[rstest::rstest]
#[case::one("exec sleep MARK")]
#[case::session("setsid sleep MARK & wait; sleep MARK")]
#[case::forked_twice("(setsid sh -c '(sleep MARK &); sleep MARK' &); sleep MARK")]
#[case::deaf("trap '' TERM HUP INT; while :; do sleep MARK; done")]
#[case::stopped("sleep MARK & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!; kill -STOP $$")]
#[case::many(
    "for i in $(seq 50); do (setsid sh -c 'trap \"\" TERM; sleep MARK; sleep MARK' &) ; done; sleep MARK"
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_ends_the_whole_tree(
    #[case] script: &str,
    #[values(Launcher::Tree, Launcher::Groups)] launcher: Launcher,
) {
    let Some(lab) = Lab::new(launcher) else { return };
    let mark = unique();
    let run = lab.run(&script.replace("MARK", &mark));
    let mut handle = lab.launch(&run);
    handle.running().await.unwrap();
    common::eventually("it sleeps", || is_there(&format!("sleep\0{mark}"))).await;
    lab.containerizer.destroy(run.id(), Kill { grace: Duration::from_millis(100) }).unwrap();
    let end = terminated(&mut handle).await;
    assert!(matches!(end.ending, Ending::Exited(Exit::Signal(9 | 15))), "{end:?}");
    assert!(end.killed.is_some());
    assert!(!is_there(&mark), "something is left");
    lab.assert_no_groups(&run);
}

/// A stopped process is continued to take the stop signal, and what handles it has the grace.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_asks_first_and_the_whole_tree_has_the_grace() {
    let Some(lab) = Lab::new(Launcher::Groups) else { return };
    let mark = unique();
    let inner =
        format!("trap 'sleep 0.3; echo bye; exit 3' TERM; echo up; while :; do sleep {mark} & wait; done");
    // The shell in front ends at once by the signal, as shells do.
    let run = lab.run(&format!("sh -c '{}' & wait", inner.replace('\'', "'\\''")));
    let mut handle = lab.launch(&run);
    common::eventually("it is up", || run.read("stdout").contains("up")).await;
    let began = Instant::now();
    lab.containerizer.destroy(run.id(), LONG).unwrap();
    handle.signalled().await;
    let end = terminated(&mut handle).await;
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(end.ending, Ending::Exited(Exit::Signal(15)));
    assert!(run.read("stdout").ends_with("bye\n"), "{}", run.read("stdout"));
    assert!(!is_there(&mark));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_kill_with_less_grace_counts() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let run = lab.run("trap '' TERM; echo up; while :; do sleep 0.1; done");
    let mut handle = lab.launch(&run);
    common::eventually("it is up", || run.read("stdout") == "up\n").await;
    lab.containerizer.destroy(run.id(), LONG).unwrap();
    handle.signalled().await;
    lab.containerizer.destroy(run.id(), AT_ONCE).unwrap();
    let end = terminated(&mut handle).await;
    assert_eq!((&end.ending, end.killed), (&Ending::Exited(Exit::Signal(9)), Some(AT_ONCE)));
}

/// A kill interrupts a fetch, and a start is let through and stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_of_a_launch_leaves_nothing() {
    let Some(lab) = Lab::new(Launcher::Groups) else { return };
    for delay in [0, 1, 2, 3, 5, 8, 13, 21, 34] {
        let mark = unique();
        let run = lab.run(&format!("exec sleep {mark}"));
        let mut handle = lab.launch(&run);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        lab.containerizer.destroy(run.id(), AT_ONCE);
        let end = terminated(&mut handle).await;
        let is_expected = matches!(
            end.ending,
            Ending::DestroyedBeforeStart(Phase::Fetching | Phase::Mounting | Phase::Starting)
                | Ending::Exited(Exit::Signal(9))
        );
        assert!(is_expected, "{end:?}");
        assert!(!is_there(&mark));
        lab.assert_no_groups(&run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_the_sandbox_and_persistent_ones_show_in_it() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let mut run = lab.run("echo a > data/file; echo b > shown/deep/file; cat kept/file");
    let volume = lab.dir.path().join("work/volumes/roles/team/data");
    fs::create_dir_all(&volume).unwrap();
    run.info.resources = vec![common::volume("data", "team", "data")];
    run.info.container = Some(common::sandbox_volume("kept", "shown/deep"));
    run.info.command.as_mut().unwrap().value =
        Some("echo a > data/file; echo b > shown/deep/file; cat kept/file".into());
    let mut handle = lab.launch(&run);
    let end = terminated(&mut handle).await;
    assert_eq!(end.ending, Ending::Exited(Exit::Code(0)), "{}", end.last_errors);
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "a\n");
    assert_eq!(run.read("stdout"), "b\n");
}

/// What was fetched may have put links into the way of volumes.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_does_not_go_through_a_link() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    for planted in ["kept", "shown"] {
        let mut run = lab.run("touch started");
        let precious = lab.dir.path().join(format!("precious-{planted}"));
        fs::create_dir(&precious).unwrap();
        std::os::unix::fs::symlink(&precious, run.sandbox().join(planted)).unwrap();
        run.info.container = Some(common::sandbox_volume("kept", "shown/deep"));
        let end = terminated(&mut lab.launch(&run)).await;
        let Ending::LaunchFailed(failure) = &end.ending else { panic!("{end:?}") };
        assert_eq!(failure.phase(), "mount");
        assert!(failure.message().contains("symbolic link"), "{failure}");
        assert_eq!(fs::read_dir(&precious).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_in_the_sandbox_and_progress_is_told() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let run = lab.run("while ! [ -e go ]; do sleep 0.01; done");
    let (progress, mut told) = tokio::sync::mpsc::channel(8);
    let mut order = run.order();
    order.progress = Some(progress);
    let mut handle = lab.containerizer.launch(order).unwrap();
    assert!(matches!(told.recv().await, Some(Progress::Prepared)));
    handle.running().await.unwrap();
    lab.containerizer.note(run.id(), "a note");
    common::eventually("the note is there", || run.read("stderr") == "[mesos-agent] a note\n").await;
    fs::write(run.sandbox().join("go"), "").unwrap();
    terminated(&mut handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_has_all_of_the_output_before_the_end() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let run = lab.run("seq 20000; echo why >&2");
    let (tap, mut chunks) = tokio::sync::mpsc::channel(4);
    let mut order = run.order();
    order.tap = Some(tap);
    let mut handle = lab.containerizer.launch(order).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(chunk) = chunks.recv().await {
        match chunk.stream {
            containerizer::StreamName::Stdout => out.extend_from_slice(&chunk.bytes),
            containerizer::StreamName::Stderr => err.extend_from_slice(&chunk.bytes),
        }
    }
    terminated(&mut handle).await;
    assert_eq!((out, err), (fs::read(run.sandbox().join("stdout")).unwrap(), b"why\n".to_vec()));
}

/// Who looks on and does not read holds up the end for a while, and no longer; how the command ended is known.
#[rstest::rstest]
#[case::by_itself(Exit::Code(3))]
#[case::killed(Exit::Signal(9))]
#[tokio::test(flavor = "multi_thread")]
async fn a_tap_that_nobody_reads_does_not_hold_up_the_end(#[case] exit: Exit) {
    let Some(lab) = Lab::with_drain(Launcher::Tree, Duration::from_millis(300)) else { return };
    let run = lab.run("yes & while [ ! -e go ]; do sleep 0.05; done; exit 3");
    let (tap, chunks) = tokio::sync::mpsc::channel(1);
    let mut order = run.order();
    order.tap = Some(tap);
    let mut handle = lab.containerizer.launch(order).unwrap();
    // The pipe to who looks on is full, or about to be: with pieces of one page it takes no more than half of its size.
    let printed = || fs::metadata(run.sandbox().join("stdout")).is_ok_and(|file| file.len() > 1 << 14);
    common::eventually("the output", printed).await;
    match exit {
        Exit::Signal(_) => drop(lab.containerizer.destroy(run.id(), AT_ONCE)),
        _ => fs::write(run.sandbox().join("go"), "").unwrap(),
    }
    let end = terminated(&mut handle).await;
    assert_eq!(end.ending, Ending::Exited(exit));
    assert_eq!(end.logs, LogsEnd::Complete);
    drop(chunks);
}

/// A parent that is killed takes the command with it, and what that left is found; the exit is honestly unknown.
#[rstest::rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_is_killed_is_an_unknown_exit_and_nothing_is_left(
    #[values(Launcher::Tree, Launcher::Groups)] launcher: Launcher,
) {
    let Some(lab) = Lab::new(launcher) else { return };
    let mark = unique();
    let run = lab.run(&format!("sleep {mark} & (sleep {mark} &); sleep {mark}"));
    let mut handle = lab.launch(&run);
    common::eventually("it sleeps", || marked(&format!("sleep\0{mark}")).len() == 3).await;
    let parent = marked(&run.id().to_string());
    let parent = parent.iter().find(|id| common::is_parent(id.pid)).expect("the parent");
    mesos_containerizer::processes::signal_one(*parent, Signal::KILL).unwrap();
    let end = terminated(&mut handle).await;
    assert_eq!(end.ending, Ending::Exited(Exit::Unknown(Unknown::WatcherKilled)));
    assert_eq!(end.logs, LogsEnd::Incomplete);
    assert!(!is_there(&mark));
    assert!(handle.running().await.is_some());
}

/// What the test below runs: a process whose name is no text, and whose first thread has ended while another goes on. `ps`
/// shows it as a zombie.
#[test]
#[ignore = "it is a process of another test"]
fn hides() {
    let Ok(place) = std::env::var("HIDES") else { return };
    #[expect(unsafe_code, reason = "only a process that was forked begins with the thread of this function")]
    // SAFETY: the C library keeps its locks in order over a fork, and nobody else's is needed in the new process.
    if let nix::unistd::ForkResult::Parent { child } = unsafe { nix::unistd::fork() }.unwrap() {
        nix::sys::wait::waitpid(child, None).unwrap();
        return;
    }
    std::thread::spawn(move || {
        let own = std::process::id();
        while !fs::read(format!("/proc/{own}/stat")).unwrap().windows(3).any(|part| part == b") Z") {
            std::thread::yield_now();
        }
        fs::write(format!("{place}.tmp"), format!("{own}\n")).unwrap();
        fs::rename(format!("{place}.tmp"), place).unwrap();
        loop {
            std::thread::park();
        }
    });
    rustix::thread::set_name(c"\xff\xfe) ").unwrap();
    #[expect(unsafe_code, reason = "the standard library has no way to end the first thread alone")]
    // SAFETY: the thread ends here, so nothing of it is used any more; what it owns is never freed.
    unsafe {
        nix::libc::syscall(nix::libc::SYS_exit, 0);
    }
}

/// Left behind by the command, and as what a kill has to end.
#[rstest::rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_hides_behind_a_name_or_a_thread(
    #[values(Launcher::Tree, Launcher::Groups)] launcher: Launcher,
    #[values(false, true)] is_left_behind: bool,
) {
    let Some(lab) = Lab::new(launcher) else { return };
    let exe = std::env::current_exe().unwrap();
    let then = if is_left_behind { "until [ -e hidden ]; do sleep 0.01; done; exit 4" } else { "wait" };
    let run = lab.run(&format!("HIDES=$PWD/hidden {} --ignored --exact hides & {then}", exe.display()));
    let mut handle = lab.launch(&run);
    common::eventually("it hides", || run.sandbox().join("hidden").exists()).await;
    let hidden: u32 = run.read("hidden").trim().parse().unwrap();
    let expected = if is_left_behind {
        Exit::Code(4)
    } else {
        lab.containerizer.destroy(run.id(), AT_ONCE).unwrap();
        Exit::Signal(9)
    };
    let end = terminated(&mut handle).await;
    assert_eq!(end.ending, Ending::Exited(expected), "{}", run.read("stderr"));
    let is_there = mesos_containerizer::processes::look(hidden).is_some_and(|stat| !stat.is_zombie);
    assert!(!is_there, "{hidden} is left");
    lab.assert_no_groups(&run);
}

/// The process that owns the containers of the tests below: it is killed while they run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is a process of other tests"]
async fn owner() {
    let dir = std::env::var("OWNER_DIR").expect("started by a test");
    let script = std::env::var("OWNER_SCRIPT").expect("started by a test");
    let launcher = if std::env::var("OWNER_GROUPS").is_ok() { Launcher::Groups } else { Launcher::Tree };
    let lab = Lab::at(dir.into(), launcher).expect("checked by the test");
    let run = lab.run(&script);
    let mut handle = lab.launch(&run);
    handle.running().await.expect("it runs");
    std::future::pending::<()>().await;
}

/// Launches in a process of its own and kills that one once the container runs.
async fn launched_by_another(lab: &Lab, script: &str, is_up: impl Fn() -> bool) {
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner
        .args(["--ignored", "--exact", "owner"])
        .env("OWNER_DIR", lab.dir.path())
        .env("OWNER_SCRIPT", script);
    if lab.launcher == Launcher::Groups {
        owner.env("OWNER_GROUPS", "1");
    }
    let mut owner = owner.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    common::eventually("it is up", is_up).await;
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[rstest::rstest]
#[case::it_goes_on(false)]
#[case::it_ends_meanwhile(true)]
#[tokio::test(flavor = "multi_thread")]
async fn a_container_outlives_its_agent_and_keeps_its_exit_status(
    #[case] ends_meanwhile: bool,
    #[values(Launcher::Tree, Launcher::Groups)] launcher: Launcher,
) {
    let Some(lab) = Lab::new(launcher) else { return };
    let run = lab.run("echo up; while ! [ -e go ]; do sleep 0.01; done; echo why >&2; exit 9");
    let script = run.info.command.as_ref().unwrap().value.clone().unwrap();
    launched_by_another(&lab, &script, || run.read("stdout") == "up\n").await;
    if ends_meanwhile {
        fs::write(run.sandbox().join("go"), "").unwrap();
        common::eventually("it is over", || {
            mesos_containerizer::parent::ended::End::load(&run.state()).unwrap().is_some()
        })
        .await;
    }
    let mut handle = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
    assert!(handle.running().await.is_some());
    if !ends_meanwhile {
        assert!(lab.containerizer.usage(run.id()).unwrap().mem_rss_bytes > 0);
        fs::write(run.sandbox().join("go"), "").unwrap();
    }
    let end = terminated(&mut handle).await;
    assert_eq!((&end.ending, end.last_errors.as_str()), (&Ending::Exited(Exit::Code(9)), "why"));
    lab.assert_no_groups(&run);
    // Once more, as an agent does that was killed before it had told the end.
    let mut again = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
    assert_eq!(terminated(&mut again).await.ending, Ending::Exited(Exit::Code(9)));
}

#[rstest::rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_container_is_killed_with_its_tree(
    #[values(Launcher::Tree, Launcher::Groups)] launcher: Launcher,
) {
    let Some(lab) = Lab::new(launcher) else { return };
    let mark = unique();
    let script = format!("trap '' TERM; (setsid sh -c 'sleep {mark}; :' &); sleep {mark}; :");
    let run = lab.run(&script);
    launched_by_another(&lab, &script, || marked(&format!("sleep\0{mark}")).len() == 2).await;
    let mut handle = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
    lab.containerizer.destroy(run.id(), Kill { grace: Duration::from_millis(50) }).unwrap();
    let end = terminated(&mut handle).await;
    assert_eq!(end.ending, Ending::Exited(Exit::Signal(9)));
    assert!(!is_there(&mark));
    lab.assert_no_groups(&run);
}

/// The parent of another boot, and a number that has come to mean another process, are nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_number_has_come_to_mean_is_left_alone() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let stat = mesos_containerizer::processes::look(other.id()).unwrap();
    let boot = mesos_containerizer::processes::boot_id().unwrap();
    let cases = [
        (boot, stat.id.start + 1, Unknown::WatcherKilled),
        ("another".to_owned(), stat.id.start, Unknown::Rebooted),
    ];
    for (boot, start, expected) in cases {
        let run = lab.run("");
        let process = format!(r#"{{"pid":{},"start":{start}}}"#, other.id());
        let record = format!(
            r#"{{"version":1,"boot_id":"{boot}","parent":{process},"command":{process},"groups":[],"started_at_millis":1}}"#
        );
        fs::write(run.state().join("plain-processes"), record).unwrap();
        let mut handle = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
        assert_eq!(terminated(&mut handle).await.ending, Ending::Exited(Exit::Unknown(expected)));
        assert!(other.try_wait().unwrap().is_none(), "another process was killed");
    }
    other.kill().unwrap();
    other.wait().unwrap();
}

/// A disk may lose what was written last before the power went.
#[rstest::rstest]
#[case::a_record("plain-processes")]
#[case::an_end("plain-ended")]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_become_unreadable_is_an_unknown_exit(#[case] file: &str) {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let run = lab.run("exit 3");
    terminated(&mut lab.launch(&run)).await;
    fs::write(run.state().join(file), "").unwrap();
    let mut handle = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
    let expected = if file == "plain-ended" { Exit::Unknown(Unknown::WatcherKilled) } else { Exit::Code(3) };
    assert_eq!(terminated(&mut handle).await.ending, Ending::Exited(expected));
    fs::remove_file(run.state().join("plain-ended")).unwrap();
    let mut handle = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
    let Ending::Exited(Exit::Unknown(_)) = terminated(&mut handle).await.ending else {
        panic!("it is known")
    };
}

/// The agent may be killed and replaced while a parent is about to give up.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_never_began_is_a_failed_launch_also_when_that_is_seen_late() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let run = lab.run("");
    let mut parent = Command::new("sleep").arg("1000").spawn().unwrap();
    let id = mesos_containerizer::processes::look(parent.id()).unwrap().id;
    let boot = mesos_containerizer::processes::boot_id().unwrap();
    let record = format!(
        r#"{{"version":1,"boot_id":"{boot}","parent":{{"pid":{},"start":{}}},"command":{{"pid":0,"start":0}},"groups":[],"started_at_millis":1}}"#,
        id.pid, id.start
    );
    fs::write(run.state().join("plain-processes"), record).unwrap();
    let mut handle = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
    let end = r#"{"version":1,"ended":{"never_started":{"why":"the agent went away"}},"at_millis":5,"last_errors":"","is_complete":true}"#;
    fs::write(run.state().join("plain-ended"), end).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    let end = terminated(&mut handle).await;
    let Ending::LaunchFailed(failure) = &end.ending else { panic!("{end:?}") };
    assert_eq!((failure.phase(), failure.message()), ("recover", "the agent went away"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_an_agent_did_not_finish_has_failed() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let run = lab.run("true");
    let mut handle = lab.containerizer.adopt(run.adoption(StopSignal::Due)).await.unwrap();
    let end = terminated(&mut handle).await;
    let Ending::LaunchFailed(failure) = &end.ending else { panic!("{end:?}") };
    assert!(failure.message().contains("restarted during the launch"), "{failure}");
}

/// The executor of a stock agent: its parent is gone, and it is known by its environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_another_agent_is_watched_and_killed() {
    let Some(lab) = Lab::new(Launcher::Tree) else { return };
    let mark = unique();
    let run = lab.run("");
    let mut foreign = Command::new("setsid")
        .args(["sh", "-c", &format!("(setsid sleep {mark} &); sleep {mark} & sleep {mark}; :")])
        .env("MESOS_SANDBOX", run.sandbox())
        .spawn()
        .unwrap();
    common::eventually("it sleeps", || marked(&format!("sleep\0{mark}")).len() == 3).await;
    let order = |pid| ForeignOrder {
        identity: run.identity(),
        task: plain(&run.info),
        pid,
        stop_signal: StopSignal::Due,
        sandbox: run.sandbox(),
    };
    // Somebody else's is not taken.
    let mut handle = lab.containerizer.adopt_foreign(order(std::process::id())).await.unwrap();
    let unknown = Ending::Exited(Exit::Unknown(Unknown::NotOurs));
    assert_eq!(terminated(&mut handle).await.ending, unknown);

    let mut handle = lab.containerizer.adopt_foreign(order(foreign.id())).await.unwrap();
    assert_eq!(handle.running().await.unwrap().pid, foreign.id());
    lab.containerizer.destroy(run.id(), Kill { grace: Duration::from_millis(200) }).unwrap();
    foreign.wait().unwrap();
    assert_eq!(terminated(&mut handle).await.ending, unknown);
    // What had left the session before nobody can know, without control groups.
    let rest = marked(&format!("sleep\0{mark}"));
    assert!(rest.len() <= 1, "{rest:?}");
    mesos_containerizer::processes::signal_all(&rest, Signal::KILL);
}
