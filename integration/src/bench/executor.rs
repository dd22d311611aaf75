//! The memory and the threads of `mesos-docker-executor` and of its guard, under a stock master and agent, beside what
//! stock's executor and its `docker run` client took. Called by the program `bench`.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::images::TestImage;
use crate::reference::Cluster;
use crate::sweep::{SCOPE_LABEL, TestScope};
use crate::web::{Page, WebServer};

/// The budget of the executor's proportional set size, in KiB.
pub const MEMORY_BUDGET: u64 = 8 * 1024;
/// The budget of the executor's threads.
pub const THREADS_BUDGET: u64 = 3;

/// The name of the program, and of its processes.
const PROGRAM: &str = "mesos-docker-executor";
/// How many tasks run at once in the larger measurement.
const MANY: usize = 20;
/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What stock takes for a task, as `wire/recorded/baseline.txt` has it: Mesos 1.11.0, Docker 20.10.24, busybox.
const STOCK: [Stock; 4] = [
    Stock { process: PROGRAM, tasks: 1, used: Used { pss: 29_215, private: 5_436, threads: 10 } },
    Stock { process: "docker run", tasks: 1, used: Used { pss: 24_990, private: 24_980, threads: 8 } },
    Stock { process: PROGRAM, tasks: 50, used: Used { pss: 5_646, private: 4_224, threads: 10 } },
    Stock { process: "docker run", tasks: 50, used: Used { pss: 5_594, private: 5_158, threads: 8 } },
];

/// What one process has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The proportional set size, in KiB.
    pub pss: u64,
    /// Dirty pages that are its own, in KiB; of stock all of its own pages, clean ones too.
    pub private: u64,
    /// Threads.
    pub threads: u64,
}

/// What stock was measured with.
struct Stock {
    process: &'static str,
    tasks: usize,
    used: Used,
}

/// Which tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    One,
    Command,
    Http,
    Many,
}

/// One kind of process of one scene.
#[derive(Clone, Copy, Debug)]
struct Row {
    scene: Scene,
    process: &'static str,
    /// The median of the processes at the end.
    last: Used,
    /// The most that one of them had at any look.
    most: Used,
}

/// All measurements.
#[derive(Debug, Default)]
pub struct Report(Vec<Row>);

/// Runs the tasks of each scene under a cluster that has `program` in its launcher directory, and watches the processes
/// for so long.
///
/// # Errors
///
/// The reference Mesos is not built, or a task does not run.
pub async fn run(scope: &TestScope, program: &Path, watch: Duration) -> Result<Report> {
    let launcher_dir = scope.subdir("launcher")?;
    let program = program.canonicalize().with_context(|| format!("find {}", program.display()))?;
    symlink(program, launcher_dir.join(PROGRAM))?;
    let work_dir = scope.subdir("cluster")?;
    let socket = format!("--docker_socket={}", scope.engine().socket().display());
    let cluster = Cluster::start(&work_dir, &launcher_dir, &[&socket]).await?;
    let web = WebServer::start().await?;
    web.serve("/health", Page::new("fine"));
    let mut report = Report::default();
    for scene in [Scene::One, Scene::Command, Scene::Http, Scene::Many] {
        eprintln!("executor: {}", scene.title());
        let instances = format!("--instances={}", scene.tasks());
        let mut framework =
            cluster.framework(&scene.task(scope.id(), web.address().port()), &[&instances]).await?;
        framework.wait_for("TASK_RUNNING", scene.tasks(), PATIENCE).await?;
        report.0.extend(look(scene, &work_dir, watch).await?);
        framework.tear_down(PATIENCE).await?;
        crate::eventually("the executors to end", PATIENCE, async || {
            Ok(executors(&work_dir)?.is_empty().then_some(()))
        })
        .await?;
    }
    cluster.stop().await?;
    Ok(report)
}

/// Watches the executors of a cluster and their guards.
async fn look(scene: Scene, work_dir: &Path, watch: Duration) -> Result<[Row; 2]> {
    let row = |process| Row { scene, process, last: Used::default(), most: Used::default() };
    let mut rows = [row("executor"), row("guard")];
    let began = Instant::now();
    loop {
        let executors = executors(work_dir)?;
        let guards = executors.iter().map(|pid| guard(*pid)).collect::<Result<Vec<_>>>()?;
        ensure!(executors.len() == scene.tasks(), "{} executors for {}", executors.len(), scene.title());
        for (row, pids) in rows.iter_mut().zip([executors, guards]) {
            let used = pids.iter().map(|pid| Used::of(*pid)).collect::<Result<Vec<_>>>()?;
            row.most = used.iter().fold(row.most, |most, used| most.max_of(*used));
            row.last = Used::median(&used);
        }
        if began.elapsed() >= watch {
            return Ok(rows);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The executors of a cluster, which have its directory in their arguments.
fn executors(work_dir: &Path) -> Result<Vec<u32>> {
    let work_dir = work_dir.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ends meanwhile has no arguments any more.
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        if arguments.starts_with(&format!("{PROGRAM}\0")) && arguments.contains(&work_dir) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The guard of an executor: its only child.
fn guard(executor: u32) -> Result<u32> {
    let children = std::fs::read_to_string(format!("/proc/{executor}/task/{executor}/children"))?;
    children.trim().parse().with_context(|| format!("the one child of an executor, not {children:?}"))
}

impl Scene {
    fn tasks(self) -> usize {
        if self == Self::Many { MANY } else { 1 }
    }

    fn title(self) -> String {
        match self {
            Self::One => "1 task".into(),
            Self::Command => "1 task, COMMAND check".into(),
            Self::Http => "1 task, HTTP check".into(),
            Self::Many => format!("{MANY} tasks"),
        }
    }

    fn task(self, scope: &str, port: u16) -> Value {
        let label = json!({ "key": "label", "value": format!("{SCOPE_LABEL}={scope}") });
        let mut task = json!({
            "name": "task",
            "container": {
                "type": "DOCKER",
                "docker": {
                    "image": TestImage::Busybox.reference(), "network": "HOST", "parameters": [label],
                },
            },
            "command": { "shell": true, "value": "trap 'exit 0' TERM; while :; do sleep 1; done" },
        });
        let check = |kind: &str, what: Value| {
            let mut check = json!({ "type": kind, "delay_seconds": 0.0, "interval_seconds": 0.5 });
            check[kind.to_lowercase()] = what;
            check
        };
        match self {
            Self::One | Self::Many => {}
            Self::Command => {
                task["health_check"] = check("COMMAND", json!({ "shell": true, "value": "true" }));
            }
            Self::Http => {
                task["health_check"] =
                    check("HTTP", json!({ "scheme": "http", "port": port, "path": "/health" }));
            }
        }
        task
    }
}

impl Used {
    fn of(pid: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        let (rollup, status) = (read("smaps_rollup")?, read("status")?);
        Ok(Self {
            pss: number(&rollup, "Pss:")?,
            private: number(&rollup, "Private_Dirty:")?,
            threads: number(&status, "Threads:")?,
        })
    }

    fn max_of(self, other: Self) -> Self {
        Self {
            pss: self.pss.max(other.pss),
            private: self.private.max(other.private),
            threads: self.threads.max(other.threads),
        }
    }

    fn median(all: &[Self]) -> Self {
        let of = |field: fn(&Self) -> u64| {
            let mut values: Vec<_> = all.iter().map(field).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0)
        };
        Self { pss: of(|used| used.pss), private: of(|used| used.private), threads: of(|used| used.threads) }
    }

    fn json(self) -> Value {
        json!({ "pss_kib": self.pss, "private_dirty_kib": self.private, "threads": self.threads })
    }
}

/// A number of a file below `/proc`.
fn number(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{name} {line}"))
}

impl Report {
    /// Says whether every executor was within its budgets at every look.
    pub fn within_budget(&self) -> bool {
        let executors = self.0.iter().filter(|row| row.process == "executor");
        executors.map(|row| row.most).all(|most| most.pss < MEMORY_BUDGET && most.threads <= THREADS_BUDGET)
    }

    /// The results for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, process: &str, last: Used, most: &str| {
            let Used { pss, private, threads } = last;
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{what:<24} {process:<22} {pss:>8} {private:>14} {threads:>8}  {most}");
        };
        for Row { scene, process, last, most } in &self.0 {
            let most = format!("{} KiB, {} KiB, {} threads", most.pss, most.private, most.threads);
            line(&scene.title(), process, *last, &most);
        }
        for Stock { process, tasks, used } in &STOCK {
            let what = if *tasks == 1 { "1 task, stock".into() } else { format!("{tasks} tasks, stock") };
            line(&what, process, *used, "-");
        }
        let verdict = if self.within_budget() { "within" } else { "OVER" };
        format!(
            "{:<24} {:<22} {:>8} {:>14} {:>8}  most seen\n{text}the executors are {verdict} the budget of {} MiB and \
             {THREADS_BUDGET} threads\n",
            "what",
            "process",
            "PSS KiB",
            "private KiB",
            "threads",
            MEMORY_BUDGET / 1024
        )
    }

    /// The results for programs.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "what": row.scene.title(), "process": row.process,
                "last": row.last.json(), "most": row.most.json(),
            })
        };
        Value::Array(self.0.iter().map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_the_executors_and_holds_at_every_look() {
        let used = |pss, threads| Used { pss, private: 100, threads };
        let row = |process, most| Row { scene: Scene::One, process, last: used(1, 1), most };
        let report =
            |pss, threads| Report(vec![row("executor", used(pss, threads)), row("guard", used(9999, 9))]);
        assert!(report(8191, 3).within_budget());
        assert!(!report(8192, 3).within_budget());
        assert!(!report(100, 4).within_budget());
        assert!(report(100, 4).table().contains("OVER"), "{}", report(100, 4).table());
    }

    #[test]
    fn a_process_is_read_from_the_system() {
        let own = Used::of(std::process::id()).expect("ours");
        assert!(own.pss > 100 && own.threads >= 1 && own.private > 10, "{own:?}");
        assert_eq!(number("a: 1\nPss:   \t 12 kB\n", "Pss:").expect("a number"), 12);
        assert!(number("Pss:", "Threads:").is_err());
    }
}
