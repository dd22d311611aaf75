//! Containment on the real control groups of this machine, as they are and as without a unified hierarchy. Each test has a
//! `--cgroups_root` of its own and removes it. Without root or control groups they are skipped by name.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use containerizer::Limitation;
use containerizer::cgroups::CpuQuota;
use mesos_types::{ContainerId, Isolation, Launcher, Limit, Megabytes, Millicpus, TaskLimits, TaskResources};
use tokio::time::{sleep, timeout};

use super::*;
use crate::cgroups::{Controller, Hierarchies, Swap};

const SOON: Duration = Duration::from_secs(30);

/// The control groups that a test uses.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Machine {
    AsItIs,
    /// Processes are followed by the freezer.
    V1,
}

/// A `--cgroups_root` of one test.
struct Root {
    containment: Containment,
    hierarchies: Hierarchies,
    root: PathBuf,
}

impl Root {
    /// `None`, with a line, where the test cannot be run.
    fn new(machine: Machine, change: impl FnOnce(&mut ContainmentSettings)) -> Option<Self> {
        let mut settings = settings();
        settings.root = format!("mesos-test-{}", ContainerId::random()).into();
        change(&mut settings);
        let found = Hierarchies::detect(&settings.hierarchy).unwrap();
        let hierarchies = if machine == Machine::V1 { found.without_unified() } else { found };
        let root = settings.root.clone();
        match Containment::on(settings, hierarchies.clone()) {
            Ok(containment) if containment.launcher() == Launcher::Linux => {
                Some(Self { containment, hierarchies, root })
            }
            Ok(containment) => skip(&containment.remarks().join("; ")),
            Err(error) => skip(&containerizer::chain(&error)),
        }
    }

    /// The files that are named so in the groups of this test, in all hierarchies.
    fn groups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for hierarchy in self.hierarchies.all() {
            let Ok(entries) = fs::read_dir(hierarchy.join(&self.root)) else { continue };
            let directories = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
            found.extend(directories.map(|entry| entry.path()));
        }
        found
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for hierarchy in self.hierarchies.all() {
            let root = hierarchy.join(&self.root);
            for group in self.groups() {
                // A test that failed may have left processes.
                let _ = fs::write(group.join("cgroup.kill"), "1");
                let _ = fs::remove_dir(group);
            }
            let _ = fs::remove_dir(root);
        }
    }
}

fn skip<T>(why: &str) -> Option<T> {
    assert!(
        std::env::var_os("MESOS_TEST_REQUIRE_ENGINE").is_none(),
        "control groups are required here: {why}"
    );
    println!("skipped: control groups cannot be used: {why}");
    None
}

fn settings() -> ContainmentSettings {
    ContainmentSettings {
        isolation: Isolation::parse("cgroups/cpu,cgroups/mem,cgroups/pids").unwrap(),
        launcher: None,
        hierarchy: "/sys/fs/cgroup".into(),
        root: "mesos-test".into(),
        quota: CpuQuota::FromLimit,
        swap: Swap::Free,
        pids_limit: None,
        count_threads: false,
        systemd: SystemdGroups::Own,
        destroy_timeout: Duration::from_secs(20),
        work_dir: "/var/lib/mesos-of-a-test".into(),
        disk: DiskSettings { interval: Duration::from_millis(50), enforcement: Enforcement::Destroy },
    }
}

fn requests() -> TaskResources {
    TaskResources {
        cpus: Some(Millicpus(500)),
        mem: Some(Megabytes(64)),
        disk: Some(Megabytes(10)),
        ..TaskResources::default()
    }
}

/// Starts a command of the shell in a container.
fn start(contained: &Contained, script: &str) -> Child {
    let mut child = Command::new("sh")
        .args(["-c", &format!("read go; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    contained.enter(child.id()).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child
}

/// Waits for what must become true.
async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let reached = timeout(SOON, async {
        while !is_true() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(reached.await.is_ok(), "{what}");
}

fn count(contained: &Contained) -> usize {
    contained.dirs().processes().unwrap().len()
}

/// Kills a container and removes its groups; nothing of it may be left.
async fn finish(root: &Root, contained: &Contained, mut child: Child) {
    contained.kill_all().await.unwrap();
    child.wait().unwrap();
    assert!(contained.dirs().is_empty().unwrap());
    contained.remove().await.unwrap();
    assert_eq!(root.groups(), Vec::<PathBuf>::new());
}

#[rstest::rstest]
#[case(Machine::AsItIs)]
#[case(Machine::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_held_and_gone_after_a_kill(#[case] machine: Machine) {
    let Some(root) = Root::new(machine, |settings| settings.pids_limit = std::num::NonZero::new(150)) else {
        return;
    };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let child = start(&contained, "bomb() { (bomb) & (bomb) & exec sleep 1000; }; bomb");
    // Who cannot fork ends, so that at least half of the limit is left.
    until("the bomb reaches its limit", || count(&contained) >= 70).await;
    assert!(count(&contained) <= 150);
    finish(&root, &contained, child).await;
}

/// Nothing holds it but the kill itself, which is faster than it forks.
#[rstest::rstest]
#[case(Machine::AsItIs)]
#[case(Machine::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_fork_all_the_time_are_gone_after_a_kill(#[case] machine: Machine) {
    let Some(root) = Root::new(machine, |settings| {
        settings.isolation = Isolation::parse("posix/cpu,posix/mem").unwrap();
        settings.pids_limit = std::num::NonZero::new(2000);
    }) else {
        return;
    };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let script = "hop() { (hop) & }; i=0; while [ $i -lt 20 ]; do hop; i=$((i+1)); done; sleep 1000";
    let child = start(&contained, script);
    until("they hop", || count(&contained) >= 10).await;
    finish(&root, &contained, child).await;
}

#[rstest::rstest]
#[case(Machine::AsItIs)]
#[case(Machine::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_is_gone_after_a_kill(#[case] machine: Machine) {
    let Some(root) = Root::new(machine, |_| ()) else { return };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let mut child = start(&contained, "setsid sh -c 'setsid sleep 1000 & sleep 1000 &' & wait");
    until("the command has ended", || child.try_wait().unwrap().is_some()).await;
    until("its daemons go on", || count(&contained) == 2).await;
    finish(&root, &contained, child).await;
}

#[rstest::rstest]
#[case(Machine::AsItIs)]
#[case(Machine::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_stopped_or_frozen_are_gone_after_a_kill(#[case] machine: Machine) {
    let Some(root) = Root::new(machine, |_| ()) else { return };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let child = start(&contained, "sh -c 'kill -STOP $$' & sleep 1000");
    until("both are there", || count(&contained) >= 3).await;
    let group = contained.dirs().iter().next().unwrap().path.clone();
    for (file, value) in [("cgroup.freeze", "1"), ("freezer.state", "FROZEN")] {
        if group.join(file).exists() {
            fs::write(group.join(file), value).unwrap();
        }
    }
    finish(&root, &contained, child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_a_task_made_are_emptied_and_removed_too() {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let child = start(&contained, "exec sleep 1000");
    for dir in contained.dirs().iter() {
        let inner = dir.path.join("own/inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    assert_eq!(contained.dirs().processes().unwrap(), [child.id()].into());
    finish(&root, &contained, child).await;
}

#[rstest::rstest]
#[case("head -c 300m /dev/zero | tail")]
#[case("head -c 300m /dev/zero | tail; sleep 1000")]
#[tokio::test(flavor = "multi_thread")]
async fn a_memory_hog_is_told_at_once_and_after_its_end(#[case] script: &str) {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    assert_eq!(contained.limitation(), None);
    let child = start(&contained, script);
    let has_run_out = |limitation| {
        let Limitation::Memory { limit, peak } = limitation else { panic!("{limitation:?}") };
        assert_eq!(limit, Some(Megabytes(64)));
        // Kernels before 5.19 do not count it in v2.
        let dir = &contained.dirs().of(Controller::Memory).unwrap().path;
        let is_counted =
            ["memory.max_usage_in_bytes", "memory.peak"].iter().any(|file| dir.join(file).exists());
        assert_eq!(peak.is_some(), is_counted);
        // What is charged ahead of its use is not all used.
        assert!(peak.is_none_or(|peak| (60 << 20..=64 << 20).contains(&peak)), "{peak:?}");
    };
    has_run_out(timeout(SOON, contained.exhausted()).await.unwrap());
    has_run_out(contained.limitation().unwrap());
    // Also to who asks later.
    has_run_out(timeout(SOON, contained.exhausted()).await.unwrap());
    finish(&root, &contained, child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_container_is_no_end_of_its_memory() {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let child = start(&contained, "sleep 1000");
    let watched = contained.clone();
    let watch = tokio::spawn(async move { watched.exhausted().await });
    finish(&root, &contained, child).await;
    assert!(timeout(Duration::from_millis(200), watch).await.is_err(), "a group that goes is no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_in_the_files_and_change_with_an_update() {
    let Some(root) = Root::new(Machine::V1, |settings| settings.quota = CpuQuota::FromRequest) else {
        return;
    };
    let id = ContainerId::random();
    let contained = root.containment.contain(id, &requests(), &TaskLimits::default()).unwrap();
    let file = |name: &str| {
        let mut paths = contained.dirs().iter().map(|dir| dir.path.join(name));
        let path = paths.find(|path| path.exists()).unwrap();
        fs::read_to_string(path).unwrap().trim().to_owned()
    };
    let shown = || {
        ["cpu.shares", "cpu.cfs_quota_us", "memory.limit_in_bytes", "memory.soft_limit_in_bytes"]
            .map(file)
            .join(" ")
    };
    assert_eq!(shown(), "512 50000 67108864 67108864");
    assert!(file("pids.max").parse::<u64>().unwrap() > 1000);
    let more = TaskResources { cpus: Some(Millicpus(2000)), mem: Some(Megabytes(128)), ..requests() };
    contained.update(&more, &TaskLimits::default()).unwrap();
    assert_eq!(shown(), "2048 200000 134217728 134217728");
    contained.update(&requests(), &TaskLimits::default()).unwrap();
    assert_eq!(shown(), "512 50000 134217728 67108864", "memory is not taken away");
    let limits = TaskLimits { cpus: Some(Limit::Infinite), mem: Some(Limit::Finite(Megabytes(256))) };
    // Another agent process finds the container by its name alone.
    let adopted = root.containment.adopt(id, None);
    adopted.update(&requests(), &limits).unwrap();
    assert_eq!(shown(), "512 -1 268435456 67108864");
    assert_eq!(adopted.oom_score_adj(&requests(), &limits).map(|score| score > 0), Some(true));
    adopted.remove().await.unwrap();
    assert_eq!(root.groups(), Vec::<PathBuf>::new());
}

#[rstest::rstest]
#[case("cgroups/cpu,cgroups/mem,cgroups/pids")]
#[case("posix/cpu,posix/mem")]
#[tokio::test(flavor = "multi_thread")]
async fn usage_is_counted_with_controllers_and_without(#[case] isolation: &str) {
    for machine in [Machine::AsItIs, Machine::V1] {
        let Some(root) = Root::new(machine, |settings| {
            settings.isolation = Isolation::parse(isolation).unwrap();
            settings.count_threads = true;
        }) else {
            return;
        };
        let contained =
            root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
        let child = start(&contained, "x=$(head -c 1000000 /dev/zero | tr '\\0' x); while :; do :; done");
        let usage = || contained.usage(None, &requests(), &TaskLimits::default()).unwrap();
        // While the shell begins it has children, and has had time of the CPU already.
        let mut seen = usage();
        until("it uses CPU time and memory, and is one", || {
            seen = usage();
            let is_used = seen.cpus_user_time_secs > 0.0 && seen.mem_rss_bytes > 0;
            is_used && (seen.processes, seen.threads) == (Some(1), Some(1))
        })
        .await;
        let usage = seen;
        assert_eq!((usage.cpus_soft_limit, usage.mem_limit_bytes), (Some(0.5), Some(64 << 20)));
        finish(&root, &contained, child).await;
        assert!(contained.usage(None, &requests(), &TaskLimits::default()).is_err());
    }
}

/// The command of a check may be on its way into the groups while they go.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_groups_that_go_goes_with_them() {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let mut child = start(&contained, "exec sleep 1000");
    let removed = super::contained::remove(contained.dirs(), contained.id(), SOON);
    timeout(SOON, removed).await.unwrap().unwrap();
    child.wait().unwrap();
    assert_eq!(root.groups(), Vec::<PathBuf>::new());
}

/// An agent may be killed between stopping a container and letting it die.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_left_frozen_goes_on_with_the_next_agent() {
    let Some(root) = Root::new(Machine::V1, |_| ()) else { return };
    let contained =
        root.containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap();
    let child = start(&contained, "exec sleep 1000");
    let state = contained.dirs().iter().next().unwrap().path.join("freezer.state");
    fs::write(&state, "FROZEN").unwrap();
    let adopted = root.containment.adopt(contained.id(), Some(contained.dirs().clone()));
    assert_eq!(fs::read_to_string(&state).unwrap(), "THAWED\n");
    finish(&root, &adopted, child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_groups_that_nobody_carries_are_swept() {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let theirs = ContainmentSettings {
        root: root.root.clone(),
        work_dir: "/var/lib/mesos-of-another".into(),
        ..settings()
    };
    let theirs = Containment::on(theirs, root.hierarchies.clone()).unwrap();
    let contain = |containment: &Containment| {
        containment.contain(ContainerId::random(), &requests(), &TaskLimits::default()).unwrap()
    };
    let (carried, orphan, other) = (contain(&root.containment), contain(&root.containment), contain(&theirs));
    let (stock, unknown) = (ContainerId::random(), ContainerId::random());
    let first = carried.dirs().iter().next().unwrap().path.parent().unwrap().to_owned();
    for name in [stock.to_string(), unknown.to_string(), "no-container".to_owned()] {
        fs::create_dir(first.join(name)).unwrap();
    }
    let mut child = start(&orphan, "sleep 1000");
    let keep: BTreeSet<_> = [carried.id()].into();
    let swept = root.containment.sweep(&keep, |id| id == stock).await;
    assert!(swept.left.is_empty(), "{:?}", swept.left);
    assert_eq!(swept.removed.iter().copied().collect::<BTreeSet<_>>(), [orphan.id(), stock].into());
    child.wait().unwrap();
    let is_there = |name: &str| first.join(name).exists();
    assert!(is_there(&carried.id().to_string()) && is_there(&other.id().to_string()));
    assert!(is_there(&unknown.to_string()) && is_there("no-container"));
    carried.remove().await.unwrap();
    other.remove().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_a_stock_agents_container_are_found_by_its_process() {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let id = ContainerId::random();
    let made = root.containment.contain(id, &requests(), &TaskLimits::default()).unwrap();
    let child = start(&made, "sleep 1000");
    let found = root.containment.adopt_foreign(id, child.id());
    let paths =
        |contained: &Contained| contained.dirs().iter().map(|dir| dir.path.clone()).collect::<BTreeSet<_>>();
    assert_eq!(paths(&found), paths(&made));
    assert!(root.containment.adopt_foreign(ContainerId::random(), child.id()).dirs().is_none());
    finish(&root, &found, child).await;
}

#[test]
fn a_supervising_parent_has_a_group_beside_those_of_containers() {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let files = root.containment.supervisor_procs().unwrap();
    assert!(files.iter().all(|file| file.exists()), "{files:?}");
    let swept = root.groups();
    assert!(swept.iter().all(|group| group.ends_with("supervisors")), "{swept:?}");
}

#[rstest::rstest]
#[case(
    "cgroups/mem",
    None,
    "--isolation needs the control group controller memory",
    "write --isolation=posix/cpu,posix/mem"
)]
#[case(
    "posix/cpu",
    Some(Launcher::Linux),
    "--launcher=linux needs the control group controller freezer",
    "write --launcher=posix"
)]
fn what_was_asked_for_and_is_not_mounted_stops_the_start(
    #[case] isolation: &str,
    #[case] launcher: Option<Launcher>,
    #[case] what: &str,
    #[case] remedy: &str,
) {
    let isolation = Isolation::parse(isolation).unwrap();
    let settings =
        ContainmentSettings { isolation, launcher, hierarchy: "/no/such/place".into(), ..settings() };
    let error = Containment::new(settings).unwrap_err().to_string();
    assert!(
        error.starts_with(what) && error.ends_with(remedy) && error.contains("/no/such/place"),
        "{error}"
    );
}

/// A file system in which even root makes no directory, as control groups are in a container.
#[rstest::rstest]
#[case("cgroups/mem", Some("--isolation needs control groups that the agent may change"))]
#[case("posix/cpu,posix/mem", None)]
fn groups_that_cannot_be_made_stop_an_isolator_and_not_the_default(
    #[case] isolation: &str,
    #[case] refused: Option<&str>,
) {
    let text = "1 0 0:1 / /proc/self/fdinfo rw - cgroup cgroup rw,memory\n2 0 0:1 / /proc/self/fdinfo rw - cgroup cgroup rw,freezer\n";
    let hierarchies = Hierarchies::from_mounts(&containerizer::cgroups::Mounts::parse(text));
    let settings = ContainmentSettings { isolation: Isolation::parse(isolation).unwrap(), ..settings() };
    match (Containment::on(settings, hierarchies), refused) {
        (Err(error), Some(refused)) => {
            let error = error.to_string();
            assert!(error.starts_with(refused) && error.contains("--cgroupns=host"), "{error}");
        }
        (Ok(containment), None) => {
            assert_eq!(containment.launcher(), Launcher::Posix);
            assert!(
                containment.remarks()[0].contains("as with --launcher=posix"),
                "{:?}",
                containment.remarks()
            );
            let id = ContainerId::random();
            let contained = containment.contain(id, &requests(), &TaskLimits::default()).unwrap();
            assert!(contained.dirs().is_none() && containment.supervisor_procs().unwrap().is_empty());
        }
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn posix_isolators_with_the_posix_launcher_need_no_control_groups() {
    let isolation = Isolation::parse("posix/cpu,posix/mem").unwrap();
    let settings = ContainmentSettings { isolation, launcher: Some(Launcher::Posix), ..settings() };
    let containment = Containment::on(settings, Hierarchies::default()).unwrap();
    assert_eq!((containment.launcher(), containment.remarks()), (Launcher::Posix, &[] as &[String]));
}

/// Whatever is tested below, its root is a directory of this test alone.
#[test]
fn a_root_of_a_test_is_removed_with_it() {
    let Some(root) = Root::new(Machine::AsItIs, |_| ()) else { return };
    let path: PathBuf =
        root.hierarchies.all().into_iter().map(|at| at.join(&root.root)).find(|at| at.exists()).unwrap();
    drop(root);
    assert!(!Path::new(&path).exists());
}
