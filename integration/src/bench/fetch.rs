//! A download of one large file from this host to its disk: `mesos-fetcher` side by side with `curl -o`.
//!
//! Both are started anew for each run, so starting counts too. Runs are interleaved, and the page cache is written out
//! before each, so that neither pays for the other's bytes. The server is the same for both and reads nothing from disk.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::stats::{Estimate, median_estimate, milliseconds, ratio_estimate};
use crate::web::{Page, WebServer};

/// The budget of our time over curl's.
pub const TIME_BUDGET: f64 = 1.05;
/// The budget of our memory, in KiB.
pub const MEMORY_BUDGET: u64 = 32 * 1024;

/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long one download may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// All runs of both sides.
#[derive(Debug)]
pub struct Fetches {
    /// The size of the file, in bytes.
    pub size: u64,
    /// Each run of ours, and the most memory that it had.
    pub ours: Vec<Run>,
    /// Each run of curl.
    pub curl: Vec<Run>,
}

/// One download.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// From start to end of the process.
    pub took: Duration,
    /// The highest proportional set size that was seen, in KiB.
    pub pss: u64,
    /// The peak of the resident set, in KiB, shared pages included.
    pub rss: u64,
}

/// Downloads a file of `size` bytes `count` times by each side to a file below `directory`.
///
/// # Errors
///
/// A program cannot be run or fails, or a file is not as large as it should be.
pub async fn run(
    fetcher: &Path,
    directory: &Path,
    size: usize,
    count: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Fetches> {
    let server = WebServer::start().await?;
    let url = server.serve("/file", Page::new(vec![0; size]));
    let sandbox = directory.join("sandbox");
    std::fs::create_dir_all(&sandbox).with_context(|| format!("create {}", sandbox.display()))?;
    let info = json!({
        "sandbox_directory": sandbox,
        "items": [{ "action": "BYPASS_CACHE", "uri": { "value": url, "extract": false } }],
    });
    let file = sandbox.join("file");
    let mut fetches = Fetches { size: size as u64, ours: Vec::new(), curl: Vec::new() };
    for done in 0..count {
        let mut ours = Command::new(fetcher);
        ours.env("MESOS_FETCHER_INFO", info.to_string());
        let mut curl = Command::new("curl");
        curl.args(["-s", "-f", "-o"]).arg(&file).arg(&url);
        // Each goes first every other time, as what was written before is a burden on who comes after.
        let mut sides = [(ours, "mesos-fetcher"), (curl, "curl")];
        if done % 2 == 1 {
            sides.reverse();
        }
        for (command, name) in sides {
            let run = one(command, &file, fetches.size).await.context(name)?;
            if name == "curl" { &mut fetches.curl } else { &mut fetches.ours }.push(run);
        }
        progress(done + 1);
    }
    Ok(fetches)
}

async fn one(mut command: Command, file: &PathBuf, size: u64) -> Result<Run> {
    rustix::fs::sync();
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start")?;
    let pid = child.id().context("it has ended already")?;
    let mut run = Run { took: Duration::ZERO, pss: 0, rss: 0 };
    let status = loop {
        match tokio::time::timeout(LOOK, child.wait()).await {
            Ok(status) => break status.context("wait")?,
            Err(_) => {
                run.pss = run.pss.max(kibibytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:"));
                run.rss = run.rss.max(kibibytes(&format!("/proc/{pid}/status"), "VmHWM:"));
            }
        }
        ensure!(began.elapsed() < PATIENCE, "it does not end within {PATIENCE:?}");
    };
    run.took = began.elapsed();
    ensure!(status.success(), "it ended with {status}");
    let found = file.metadata().context("look at the file")?.len();
    ensure!(found == size, "the file has {found} bytes instead of {size}");
    std::fs::remove_file(file).context("remove the file")?;
    Ok(run)
}

/// Reads a number of a file below `/proc`; 0 when the process has just ended.
fn kibibytes(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}

impl Fetches {
    /// Our time over curl's.
    pub fn ratio(&self) -> Option<Estimate> {
        ratio_estimate(&times(&self.ours), &times(&self.curl))
    }

    /// Our highest proportional set size, in KiB.
    pub fn memory(&self) -> u64 {
        self.ours.iter().map(|run| run.pss).max().unwrap_or(0)
    }

    /// Says whether time and memory are within their budgets.
    pub fn within_budget(&self) -> bool {
        self.ratio().is_some_and(|ratio| ratio.value <= TIME_BUDGET) && self.memory() <= MEMORY_BUDGET
    }

    /// The results for people.
    pub fn table(&self) -> String {
        let side = |name: &str, runs: &[Run]| {
            let Some(median) = median_estimate(&times(runs)) else { return String::new() };
            let most = |of: fn(&Run) -> u64| runs.iter().map(of).max().unwrap_or(0) / 1024;
            let rate = self.size as f64 / 1_048_576.0 / (median.value / 1000.0);
            format!(
                "{name:<16} n={} median {:.0} ms ({:.0}-{:.0}), {rate:.0} MiB/s, at most {} MiB PSS, {} MiB RSS\n",
                runs.len(),
                median.value,
                median.low,
                median.high,
                most(|run| run.pss),
                most(|run| run.rss),
            )
        };
        let verdict = if self.within_budget() { "within" } else { "OVER" };
        let ratio = self.ratio().map_or_else(String::new, |ratio| {
            format!(
                "ratio to curl    {:.3} ({:.3}-{:.3}), {verdict} the budget of {TIME_BUDGET} and {} MiB\n",
                ratio.value,
                ratio.low,
                ratio.high,
                MEMORY_BUDGET / 1024
            )
        });
        side("mesos-fetcher", &self.ours) + &side("curl -o", &self.curl) + &ratio
    }

    /// The results for programs.
    pub fn json(&self) -> Value {
        let side = |runs: &[Run]| -> Vec<Value> {
            let run =
                |run: &Run| json!({ "ms": run.took.as_millis(), "pss_kib": run.pss, "rss_kib": run.rss });
            runs.iter().map(run).collect()
        };
        json!({
            "bytes": self.size,
            "mesos_fetcher": side(&self.ours),
            "curl": side(&self.curl),
            "ratio": self.ratio().map(|ratio| ratio.value),
        })
    }
}

fn times(runs: &[Run]) -> Vec<f64> {
    let took: Vec<_> = runs.iter().map(|run| run.took).collect();
    milliseconds(&took)
}
