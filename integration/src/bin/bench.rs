//! The program behind `scripts/bench`: measures on the engine that `DOCKER_HOST` or the default socket names.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use integration::bench::report::Report;
use integration::bench::{Network, Side, baseline, executor, fetch, launch, ours};
use integration::{TestEngine, TestScope};

/// Measures side by side with the bare Engine API on the same engine.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Launches, from accepted to running: one after another and many at once.
    Launch(LaunchArgs),
    /// Downloads of a large file from this host, by mesos-fetcher and by curl.
    Fetch(FetchArgs),
    /// The memory and the threads of mesos-docker-executor under a stock agent.
    Executor(ExecutorArgs),
}

#[derive(Debug, Args)]
struct ExecutorArgs {
    /// The program; the one beside this one where none is named.
    #[arg(long)]
    program: Option<PathBuf>,
    /// How long the processes of each kind of task are watched, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=3600))]
    watch: u16,
    /// Fails if the memory or the threads are over their budget.
    #[arg(long)]
    strict: bool,
    /// Writes the results as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// Downloads of each side.
    #[arg(long, short = 'n', default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// The size of the file, in MiB.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..=16384))]
    size: u16,
    /// Where the files are written.
    #[arg(long, default_value = "target/bench-fetch")]
    directory: PathBuf,
    /// Fails if the time or the memory is over its budget.
    #[arg(long)]
    strict: bool,
    /// Writes the results as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct LaunchArgs {
    /// Launches of each side on each network, one after another.
    #[arg(long, short = 'n', default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Launches at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=500))]
    at_once: u16,
    /// How often the many at once are repeated at the best concurrency.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    repetitions: u16,
    /// Fails if a ratio is over its budget.
    #[arg(long)]
    strict: bool,
    /// Writes the results as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let what = Cli::parse().what;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    match what {
        What::Launch(arguments) => runtime.block_on(run_launch(&arguments)),
        What::Fetch(arguments) => runtime.block_on(run_fetch(&arguments)),
        What::Executor(arguments) => runtime.block_on(run_executor(&arguments)),
    }
}

async fn run_fetch(arguments: &FetchArgs) -> Result<ExitCode> {
    // The programs of one build lie beside each other.
    let fetcher = std::env::current_exe()?.with_file_name("mesos-fetcher");
    let directory = std::path::absolute(&arguments.directory)?;
    let (count, size) = (usize::from(arguments.count), usize::from(arguments.size) << 20);
    let mut progress = |done: usize| eprintln!("fetch: {done} of {count}");
    let measured = tokio::select! {
        measured = fetch::run(&fetcher, &directory, size, count, &mut progress) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    // It has nothing but what was just made.
    let _ = std::fs::remove_dir_all(&directory);
    let measured = measured?;
    print!("{}", measured.table());
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{:#}\n", measured.json()))
            .with_context(|| format!("write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    let failed = arguments.strict && !measured.within_budget();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn run_executor(arguments: &ExecutorArgs) -> Result<ExitCode> {
    let beside = || Ok(std::env::current_exe()?.with_file_name("mesos-docker-executor"));
    let program = arguments.program.clone().map_or_else(beside, anyhow::Ok)?;
    let scope = TestScope::new(&TestEngine::find()?).await?;
    let watch = std::time::Duration::from_secs(arguments.watch.into());
    let measured = tokio::select! {
        measured = executor::run(&scope, &program, watch) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let measured = measured?;
    print!("{}", measured.table());
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{:#}\n", measured.json()))
            .with_context(|| format!("write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    let failed = arguments.strict && !measured.within_budget();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns the sides of a launch benchmark; the first is the one that the others are compared with.
async fn launch_sides(scope: &TestScope, at_once: u16) -> Result<Vec<Side>> {
    let socket = scope.engine().socket();
    let work_dir = scope.subdir("work")?;
    let ours = ours::side(socket, scope.id(), &work_dir, usize::from(at_once)).await?;
    let sandbox = scope.subdir("sandbox")?;
    Ok(vec![baseline::side(socket, scope.id(), &sandbox), ours])
}

async fn run_launch(arguments: &LaunchArgs) -> Result<ExitCode> {
    let engine = TestEngine::find()?;
    let info = engine.info().await?;
    println!(
        "engine {} (API {}), {} CPUs, cgroup v{}, storage {}",
        info["ServerVersion"].as_str().unwrap_or("?"),
        engine.api_version(),
        info["NCPU"],
        info["CgroupVersion"].as_str().unwrap_or("1"),
        info["Driver"].as_str().unwrap_or("?"),
    );
    // Whatever an interrupted measurement leaves is swept when this is dropped.
    let scope = TestScope::new(&engine).await?;
    let sides = launch_sides(&scope, arguments.at_once).await?;
    let mut report = Report::default();
    let measured = tokio::select! {
        measured = measure(&sides, arguments, &mut report) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    measured?;
    scope.assert_clean().await?;
    println!("\n{}", report.table());
    if let Some(path) = &arguments.json {
        let mut text = report.json();
        text["engine"] = info["ServerVersion"].clone();
        std::fs::write(path, format!("{text:#}\n")).with_context(|| format!("write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    let failed = arguments.strict && !report.within_budget();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure(sides: &[Side], arguments: &LaunchArgs, report: &mut Report) -> Result<()> {
    let count = usize::from(arguments.count);
    for network in [Network::Host, Network::Bridge] {
        let mut progress = |done: usize, of: usize| {
            if done.is_multiple_of(10) || done == of {
                eprintln!("launch, {network}: {done} of {of}");
            }
        };
        report.sequences.extend(launch::sequential(sides, network, count, &mut progress).await?);
    }
    if arguments.at_once > 0 {
        for network in [Network::Host, Network::Bridge] {
            let mut progress = |burst: &launch::Burst| {
                let took = burst.took.iter().sum::<std::time::Duration>();
                eprintln!(
                    "at once, {network}, {}: {} at a time took {took:.2?}",
                    burst.side, burst.concurrency
                );
                // Progress that cannot be shown is no reason to stop.
                let _ = std::io::stderr().flush();
            };
            let repetitions = usize::from(arguments.repetitions);
            let (trials, bursts) =
                launch::at_once(sides, network, usize::from(arguments.at_once), repetitions, &mut progress)
                    .await?;
            report.trials.extend(trials);
            report.bursts.extend(bursts);
        }
    }
    Ok(())
}
