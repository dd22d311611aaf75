//! The collector on real directories: what is removed, what is not, and what tasks leave to make it hard.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::{Collector, GcSettings, RemovalError, Remover, age};

/// How long something may take that takes milliseconds. Far more than it needs on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// A work directory with a run, and beside it a directory that nothing may change.
struct Scene {
    root: TempDir,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("outside")).unwrap();
        std::fs::write(root.path().join("outside/precious"), "data").unwrap();
        let scene = Self { root };
        std::fs::create_dir_all(scene.run("one")).unwrap();
        std::fs::write(scene.run("one").join("stdout"), "text").unwrap();
        scene
    }

    fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    fn work_dir(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("work")
    }

    fn run(&self, name: &str) -> PathBuf {
        self.root
            .path()
            .canonicalize()
            .unwrap()
            .join("work/slaves/S0/frameworks/F/executors/E/runs")
            .join(name)
    }

    fn assert_outside_unchanged(&self) {
        assert_eq!(std::fs::read(self.outside().join("precious")).unwrap(), b"data");
        assert_eq!(std::fs::read_dir(self.outside()).unwrap().count(), 1);
    }
}

/// What keeps a directory on an empty disk, and removes it at once when the disk counts as full.
fn settings(delay: Duration, headroom: f64) -> GcSettings {
    GcSettings { delay, headroom, disk_watch_interval: Duration::from_millis(20), ..GcSettings::default() }
}

async fn eventually(what: &str, predicate: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !predicate() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_directory_goes_when_it_is_old_enough() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.run("new")).unwrap();
    let old = std::time::SystemTime::now() - 2 * WEEK;
    std::fs::File::open(scene.run("one")).unwrap().set_modified(old).unwrap();
    // A headroom below any disk's use: its fullness asks for nothing.
    let collector = Collector::start(&scene.work_dir(), settings(WEEK, -1.0));
    collector.schedule(scene.run("one")).unwrap();
    collector.schedule(scene.run("new")).unwrap();
    eventually("the old one is gone", || !scene.run("one").exists()).await;
    eventually("it is counted", || collector.counters().succeeded == 1).await;
    eventually("one is left", || collector.counters().pending == 1).await;
    assert!(scene.run("new").exists());
    assert_eq!(collector.counters().max_allowed_age, WEEK);
}

#[tokio::test]
async fn a_full_disk_removes_at_once() {
    let scene = Scene::new();
    let collector = Collector::start(&scene.work_dir(), settings(WEEK, 1.0));
    collector.schedule_from_now(scene.run("one")).unwrap();
    eventually("it is gone", || !scene.run("one").exists()).await;
    eventually("it is counted", || collector.counters().succeeded == 1).await;
    assert_eq!(collector.counters().max_allowed_age, Duration::ZERO);
}

#[tokio::test]
async fn what_is_needed_again_stays() {
    let scene = Scene::new();
    let collector = Collector::start(&scene.work_dir(), settings(WEEK, -1.0));
    collector.schedule(scene.run("one")).unwrap();
    collector.unschedule(vec![scene.run("one"), scene.run("none")]).await.unwrap();
    eventually("nothing is scheduled", || collector.counters().pending == 0).await;
    assert!(scene.run("one").join("stdout").exists());
}

/// Whoever takes a directory back while it is being removed is answered when that is over: it is there in full or gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_under_way_is_waited_for() {
    for round in 0..10 {
        let scene = Scene::new();
        for number in 0..500 {
            std::fs::write(scene.run("one").join(format!("file-{number}")), "x").unwrap();
        }
        let collector = Collector::start(&scene.work_dir(), settings(Duration::ZERO, 0.0));
        collector.schedule(scene.run("one")).unwrap();
        if round % 2 == 1 {
            let begun = || std::fs::read_dir(scene.run("one")).map_or(0, Iterator::count) < 501;
            eventually("it has begun", begun).await;
        }
        collector.unschedule(vec![scene.run("one")]).await.unwrap();
        let left = std::fs::read_dir(scene.run("one")).map_or(0, Iterator::count);
        assert!(left == 0 || left == 501, "{left} files are left");
    }
}

#[tokio::test]
async fn a_failed_removal_is_counted_and_stops_nothing() {
    let scene = Scene::new();
    let collector = Collector::start(&scene.work_dir(), settings(Duration::ZERO, 0.0));
    collector.schedule(scene.outside()).unwrap();
    eventually("it is refused", || collector.counters().failed == 1).await;
    collector.schedule(scene.run("one")).unwrap();
    eventually("the next is gone", || !scene.run("one").exists()).await;
    eventually("both are counted", || collector.counters().pending == 0).await;
    scene.assert_outside_unchanged();
}

/// Everything but the directories of tasks is refused, whatever the path says.
#[test]
fn nothing_but_the_directories_of_tasks_is_removed() {
    let scene = Scene::new();
    let work_dir = scene.work_dir();
    std::fs::create_dir_all(work_dir.join("meta/slaves/S0")).unwrap();
    std::fs::create_dir_all(work_dir.join("volumes/roles/r/v")).unwrap();
    symlink(scene.outside(), work_dir.join("slaves/link")).unwrap();
    std::fs::create_dir(scene.outside().join("dir")).unwrap();
    let remover = Remover::new(&work_dir);
    for path in [
        PathBuf::from("/"),
        PathBuf::from("slaves/S0"),
        work_dir.clone(),
        work_dir.join("meta"),
        work_dir.join("meta/slaves"),
        work_dir.join("slaves"),
        work_dir.join("slaves/"),
        work_dir.join("slaves/.."),
        work_dir.join("slaves/S0/../../volumes"),
        work_dir.join("volumes/roles/r/v"),
        work_dir.join("slaves/link/dir"),
        scene.outside(),
    ] {
        let error = remover.remove(&path).unwrap_err();
        assert!(matches!(error, RemovalError::NotOurs { .. }), "{path:?}: {error:?}");
    }
    std::fs::remove_dir(scene.outside().join("dir")).unwrap();
    // A link in the last place is no directory, and is not followed.
    assert!(matches!(remover.remove(&work_dir.join("slaves/link")), Err(RemovalError::Remove { .. })));
    scene.assert_outside_unchanged();
    assert_eq!(remover.remove(&work_dir.join("slaves/gone/x/y")).unwrap().directories, 0);
    assert_eq!(remover.remove(&work_dir.join("meta/slaves/S0")).unwrap().directories, 1);
}

#[test]
fn what_a_task_left_is_removed_and_nothing_it_points_to() {
    let scene = Scene::new();
    let run = scene.run("one");
    symlink(scene.outside(), run.join("link")).unwrap();
    symlink(scene.outside().join("precious"), run.join("file-link")).unwrap();
    symlink("/", run.join("root")).unwrap();
    std::fs::hard_link(scene.outside().join("precious"), run.join("hard")).unwrap();
    mknodat(CWD, run.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    std::fs::create_dir_all(run.join("deep/".to_owned() + &"d/".repeat(300))).unwrap();
    std::fs::create_dir(run.join("closed")).unwrap();
    std::fs::write(run.join("closed/file"), "x").unwrap();
    std::fs::set_permissions(run.join("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    let removed = Remover::new(scene.work_dir()).remove(&run).unwrap();
    assert_eq!(removed.files, 7);
    assert!(!run.exists());
    scene.assert_outside_unchanged();
}

/// A mount that a crash left in a sandbox is taken away, and what is in it stays.
#[test]
fn what_is_still_mounted_is_unmounted_and_kept() {
    let scene = Scene::new();
    let point = scene.run("one").join("volume");
    std::fs::create_dir(&point).unwrap();
    if let Err(errno) = rustix::mount::mount_bind(scene.outside(), &point) {
        println!("SKIPPED: a mount below a directory that is collected: {errno}");
        return;
    }
    assert!(point.join("precious").exists());
    Remover::new(scene.work_dir()).remove(&scene.run("one")).unwrap();
    assert!(!scene.run("one").exists());
    scene.assert_outside_unchanged();
}

/// An executor that cannot be recovered goes with its sandbox, when the agent is not strict.
///
/// Peer: SlaveRecoveryTest.GCExecutor.
#[tokio::test]
async fn an_executor_that_cannot_be_recovered_is_collected() {
    use mesos_proto::v1::{AgentInfo, FrameworkInfo};
    let scene = Scene::new();
    let store = checkpoint::Store::open(&scene.work_dir()).unwrap();
    let boot = checkpoint::BootId::current().unwrap();
    let agent = store.layout().agent(&"S0".parse().unwrap());
    let framework = agent.framework(&"F".parse().unwrap());
    let executor = framework.executor(&"E".parse().unwrap());
    let id = mesos_proto::v1::AgentId { value: "S0".into() };
    store.write_agent(&agent, &AgentInfo { id: Some(id), ..Default::default() }).unwrap();
    store.write_framework(&framework, &FrameworkInfo::default(), None).unwrap();
    store.write(&executor.info(), b"\x02\0\0\0\xff\xff").unwrap();

    let strict = checkpoint::recover::recover(&store, checkpoint::Strictness::Strict, &boot);
    assert!(strict.is_err());
    let state = checkpoint::recover::recover(&store, checkpoint::Strictness::Lenient, &boot).unwrap();
    assert_eq!(state.errors, 1);
    let recovered = &state.agent.as_ref().unwrap().frameworks[0];
    assert!(recovered.executors.is_empty());

    let collector = Collector::start(&scene.work_dir(), settings(Duration::ZERO, 0.0));
    for leftover in &state.leftovers {
        collector.schedule(leftover.path.clone()).unwrap();
    }
    eventually("its records and its sandboxes are gone", || {
        !executor.meta().exists() && !executor.work().exists()
    })
    .await;
    assert!(framework.meta().exists() && agent.info().exists());
    assert!(age(Path::new(&store.layout().quarantine())).is_ok(), "what could not be read is kept");
}
