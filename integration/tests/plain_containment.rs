//! Tasks without an image that do harm, under our `mesos-agent` and a stock master: a fork bomb, a memory hog, a daemon,
//! one that fills the disk. Each is contained by control groups of this machine, and nothing of it is left.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::Scene;
use integration::reference::Events;
use integration::{TestEngine, TestScope, eventually, require_engine, require_reference};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// An agent whose tasks without an image are below a control group of this test.
struct Lab {
    scene: Scene,
    root: String,
}

impl Lab {
    async fn new(engine: &TestEngine, isolation: &str, more: &[&str]) -> Result<Self> {
        let scope = TestScope::new(engine).await?;
        let root = scope.cgroups_root();
        let own = [
            "--containerizers=docker,mesos".to_owned(),
            format!("--isolation={isolation}"),
            format!("--cgroups_root={root}"),
            "--launcher=linux".to_owned(),
        ];
        let flags: Vec<&str> = own.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Ok(Self { scene: Scene::in_scope(scope, &flags).await?, root })
    }

    /// The groups of containers, in all hierarchies.
    fn groups(&self) -> Vec<PathBuf> {
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let roots = hierarchies.map(|entry| entry.path().join(&self.root));
        let groups = roots.filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
        groups
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !path.ends_with("supervisors"))
            .collect()
    }

    /// How many processes are in the groups.
    fn processes(&self) -> usize {
        let count = |group: &PathBuf| {
            std::fs::read_to_string(group.join("cgroup.procs")).map_or(0, |text| text.lines().count())
        };
        self.groups().iter().map(count).max().unwrap_or(0)
    }

    async fn has_processes(&self, least: usize) -> Result<()> {
        eventually("processes in the groups", SHORT, async || Ok((self.processes() >= least).then_some(())))
            .await
    }

    /// Waits until no group and no process is left.
    async fn nothing_left(&self) -> Result<()> {
        eventually("the end of all groups", SHORT, async || Ok(self.groups().is_empty().then_some(())))
            .await?;
        self.scene.nothing_left().await
    }
}

/// A task with so many megabytes of memory and of disk.
fn task(line: &str, mem: u64, disk: u64) -> Value {
    let scalar =
        |name: &str, value: f64| json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } });
    #[expect(clippy::cast_precision_loss, reason = "a few hundred megabytes")]
    let resources = json!([scalar("cpus", 0.5), scalar("mem", mem as f64), scalar("disk", disk as f64)]);
    json!({ "name": "test", "command": { "shell": true, "value": line }, "resources": resources })
}

/// State and reason of the last status.
fn end(events: &Events) -> Result<(Value, Value)> {
    let status = events.last_status()?;
    Ok((status["state"].clone(), status["reason"].clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_killed_with_all_that_it_forks() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab =
        Lab::new(&engine, "cgroups/cpu,cgroups/mem,cgroups/pids", &["--cgroups_pids_limit=200"]).await?;
    let bomb = task("bomb() { (bomb) & (bomb) & exec sleep 1000; }; bomb", 256, 16);
    let framework = lab.scene.patient(&bomb, &[]).await?;
    lab.has_processes(90).await?;
    ensure!(lab.processes() <= 200, "the limit holds");
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    assert_eq!(end(&events)?.0, "TASK_KILLED");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_out_of_memory_fails_with_that_reason() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::new(&engine, "cgroups/mem", &[]).await?;
    // The command itself goes on; stock ends it too.
    let hog = task("head -c 500m /dev/zero | tail; sleep 1000", 64, 16);
    let events = lab.scene.run(&hog, &[]).await?;
    let expected = (json!("TASK_FAILED"), json!("REASON_CONTAINER_LIMITATION_MEMORY"));
    assert_eq!(end(&events)?, expected, "{events:?}");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_fills_its_disk_fails_with_that_reason() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let flags = ["--enforce_container_disk_quota", "--container_disk_watch_interval=200ms"];
    let lab = Lab::new(&engine, "posix/cpu,posix/mem,disk/du", &flags).await?;
    let filler = task("head -c 60m /dev/zero > data; sleep 1000", 64, 20);
    let events = lab.scene.run(&filler, &[]).await?;
    let expected = (json!("TASK_FAILED"), json!("REASON_CONTAINER_LIMITATION_DISK"));
    assert_eq!(end(&events)?, expected, "{events:?}");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_leaves_behind_ends_with_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::new(&engine, "posix/cpu,posix/mem", &[]).await?;
    let daemon = task(
        "setsid sh -c 'trap \"\" TERM HUP; setsid sleep 1000 & sleep 1000 & wait' > /dev/null 2>&1 & sleep 1; exit 0",
        64,
        16,
    );
    let events = lab.scene.run(&daemon, &[]).await?;
    assert_eq!(end(&events)?.0, "TASK_FINISHED", "{events:?}");
    lab.nothing_left().await
}

/// The agent and the supervising parent are both killed: what is left in the groups is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_in_the_groups_of_a_killed_agent_is_killed_at_the_next_start() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::new(&engine, "cgroups/cpu,cgroups/mem", &[]).await?;
    let task = task("(setsid sleep 1000 &) ; exec sleep 1000", 64, 16);
    let mut framework = lab.scene.patient(&task, &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    lab.has_processes(2).await?;
    lab.scene.agent.kill()?;
    let group = lab.groups().pop().context("a group")?;
    let id = group.file_name().context("a name")?.to_string_lossy().into_owned();
    for process in processes_of(&format!("mesos-containerizer\0run\0{id}")) {
        rustix::process::kill_process(process, rustix::process::Signal::KILL)?;
    }
    lab.scene.start_again().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(end(&events)?.0, "TASK_FAILED", "{events:?}");
    lab.nothing_left().await
}

/// The processes whose command line has this in it.
fn processes_of(text: &str) -> Vec<rustix::process::Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let pid = entry.file_name().to_str()?.parse().ok().and_then(rustix::process::Pid::from_raw)?;
        String::from_utf8_lossy(&line).contains(text).then_some(pid)
    };
    entries.filter_map(pid).collect()
}
