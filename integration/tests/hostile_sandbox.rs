//! A task that turns on the files in its sandbox, which our root process writes: no file of the host is ever touched,
//! nothing of ours blocks, and the output goes on.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::{Checkpoint, Ending, Labels, LaunchOrder, RemovalDelay, RunPaths};
use integration::cli_run::{CliRun, program};
use integration::logs_check::{MARK, Rig, RigOptions, check_numbers, read_stream};
use integration::supervised::Task;
use integration::{TestScope, eventually, require_engine};
use mesos_proto::v1::{Volume, volume::Mode};
use mesos_types::{Strictness, TaskSpec};
use rustix::fs::{CWD, FileType, mknodat};
use sandbox::RotationPolicy;

const SOON: Duration = Duration::from_secs(60);

/// What the task, or somebody in its place, does to a log file. `V` is a file of the host.
const TRICKS: [Trick; 6] =
    [Trick::Symlink, Trick::Fifo, Trick::HardLink, Trick::Directory, Trick::Deleted, Trick::Truncated];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trick {
    Symlink,
    Fifo,
    HardLink,
    Directory,
    Deleted,
    Truncated,
}

impl Trick {
    /// As a line of the task. A hard link to a file of the host is out of its reach.
    fn inside(self, victim: &Path) -> String {
        let victim = victim.display();
        match self {
            Self::Symlink => format!("rm stdout; ln -s {victim} stdout"),
            Self::Fifo => "rm stdout; mkfifo stdout".into(),
            Self::HardLink => "echo precious > keep; rm stdout; ln keep stdout".into(),
            Self::Directory => "rm stdout; mkdir -p stdout/below; echo x > stdout/below/file".into(),
            Self::Deleted => "rm stdout".into(),
            Self::Truncated => ": > stdout".into(),
        }
    }

    /// From outside, by somebody who may do more than the task.
    fn outside(self, sandbox: &Path, victim: &Path) -> Result<()> {
        let stdout = sandbox.join("stdout");
        if self == Self::Truncated {
            return Ok(std::fs::File::options().write(true).open(&stdout)?.set_len(0)?);
        }
        std::fs::remove_file(&stdout)?;
        match self {
            Self::Symlink => std::os::unix::fs::symlink(victim, &stdout)?,
            Self::Fifo => mknodat(CWD, &stdout, FileType::Fifo, 0o644.into(), 0)?,
            Self::HardLink => std::fs::hard_link(victim, &stdout)?,
            Self::Directory => std::fs::create_dir_all(stdout.join("below"))?,
            Self::Deleted | Self::Truncated => {}
        }
        Ok(())
    }
}

/// A file of the host that a task must not reach, and the check that nobody did.
struct Victim(PathBuf);

impl Victim {
    fn new(scope: &TestScope, name: &str) -> Result<Self> {
        let path = scope.dir().join(name);
        std::fs::write(&path, "precious\n")?;
        Ok(Self(path))
    }

    fn check(&self) -> Result<()> {
        let now = std::fs::read_to_string(&self.0).context("the file of the host")?;
        ensure!(now == "precious\n", "the file of the host was written to: {now:?}");
        Ok(())
    }
}

fn rotating() -> RigOptions {
    RigOptions {
        rotation: RotationPolicy { max_size: NonZeroU64::new(2000), max_files: 1000 },
        ..RigOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_replaces_its_log_while_it_is_written_and_rotated_reaches_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rig = Rig::new(engine.socket(), &scope.agent_id(), &scope.subdir("w")?, rotating()).await?;
    let mut runs = Vec::new();
    for trick in TRICKS {
        let victim = Victim::new(&scope, &format!("victim-{trick:?}"))?;
        let inside = trick.inside(&victim.0);
        let line = format!(
            "cd $MESOS_SANDBOX; seq 1 1000; while [ ! -e stdout.1 ]; do usleep 10000; done; {inside}; seq 1001 2000; \
             while [ ! -e go ]; do usleep 10000; done; seq 2001 2500"
        );
        runs.push((trick, victim, rig.launch(&Task::shell(&line))?));
    }
    for (trick, victim, run) in &mut runs {
        let sandbox = run.layout().sandbox().to_owned();
        // The number shows that everything before the wait was read.
        eventually(&format!("{trick:?}: output"), SOON, async || {
            let is_there =
                sandbox.join("stdout").is_file() && last_number(&sandbox).is_some_and(|last| last >= 1990);
            Ok(is_there.then_some(()))
        })
        .await?;
        std::fs::write(sandbox.join("go"), "")?;
        run.finished().await.with_context(|| format!("{trick:?}"))?;
        victim.check().with_context(|| format!("{trick:?}"))?;
        ensure!(last_number(&sandbox) == Some(2500), "{trick:?}: {:?}", last_number(&sandbox));
        let metadata = std::fs::symlink_metadata(sandbox.join("stdout"))?;
        ensure!(metadata.is_file(), "{trick:?}: {metadata:?}");
        let log = String::from_utf8_lossy(&read_stream(&sandbox, "stdout")?).into_owned();
        ensure!(!log.contains("precious"), "{trick:?}: the log has the file's content");
        if !matches!(trick, Trick::Truncated) {
            let numbers = check_numbers(log.as_bytes(), "").with_context(|| format!("{trick:?}"))?;
            ensure!(numbers.gaps == 1, "{trick:?}: {numbers:?}");
        }
        if *trick == Trick::HardLink {
            ensure!(
                std::fs::read_to_string(sandbox.join("keep"))? == "precious\n",
                "the linked file was written to"
            );
        }
    }
    rig.settled().await?;
    scope.assert_clean().await
}

/// The last number in the live file, and in the newest rotated one where that is empty.
fn last_number(sandbox: &Path) -> Option<u64> {
    ["stdout", "stdout.1"].iter().find_map(|name| {
        let path = sandbox.join(name);
        let text = path.is_file().then(|| std::fs::read_to_string(path).ok()).flatten()?;
        text.lines().rev().find(|line| !line.starts_with(MARK))?.parse().ok()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_replaced_while_nobody_was_there_is_not_followed_on_adoption() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let line = "seq 1 500; while [ ! -e $MESOS_SANDBOX/go ]; do usleep 10000; done; seq 501 1000";
    let mut killed = Vec::new();
    for trick in TRICKS {
        let work_dir = scope.subdir(&format!("w-{trick:?}"))?;
        let run = CliRun::start(&scope, engine.socket(), &work_dir, line, |_| {})?;
        killed.push((trick, work_dir, run));
    }
    for (trick, work_dir, run) in killed {
        let victim = Victim::new(&scope, &format!("victim-{trick:?}"))?;
        let layout = run.wrote("stdout", (1..=500).map(|i: u32| i.to_string().len() + 1).sum()).await?;
        run.recorded("\"running\"").await?;
        run.kill()?;
        let sandbox = layout.sandbox().to_owned();
        trick.outside(&sandbox, &victim.0)?;
        let rig = Rig::new(engine.socket(), &scope.agent_id(), &work_dir, rotating()).await?;
        let mut adopted = rig.adopt(layout).await.with_context(|| format!("{trick:?}"))?;
        std::fs::write(sandbox.join("go"), "")?;
        adopted.finished().await.with_context(|| format!("{trick:?}"))?;
        victim.check().with_context(|| format!("{trick:?}"))?;
        let log = String::from_utf8_lossy(&read_stream(&sandbox, "stdout")?).into_owned();
        ensure!(log.ends_with("\n1000\n") && log.contains("501\n502\n"), "{trick:?}: {log:?}");
        let errors = String::from_utf8_lossy(&adopted.read("stderr")?).into_owned();
        ensure!(
            errors.contains(MARK) && errors.contains("stdout"),
            "{trick:?}: nothing was said: {errors:?}"
        );
        rig.settled().await?;
    }
    scope.assert_clean().await
}

/// A sandbox is filled before the launch by what is fetched, archives included. Relative host paths are resolved below
/// it, and nothing in it is followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relative_volume_through_a_planted_symlink_is_refused() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rig =
        Rig::new(engine.socket(), &scope.agent_id(), &scope.subdir("w")?, RigOptions::default()).await?;
    let host = scope.subdir("host")?;
    let victim = Victim::new(&scope, "host/file")?;
    for (round, path) in ["data", "data/sub", "data/file"].into_iter().enumerate() {
        let volume = Volume {
            mode: Mode::Rw.into(),
            container_path: "/mounted".into(),
            host_path: Some(path.into()),
            ..Default::default()
        };
        let task =
            Task::shell("echo overwritten > /mounted/file; echo overwritten > /mounted").volume(volume);
        let labels = Labels {
            identity: rig.identity(&task)?,
            work_dir: rig.work_dir().to_owned(),
            checkpoint: Checkpoint::Yes,
        };
        let paths = RunPaths {
            sandbox: scope.subdir(&format!("sandbox-{round}"))?,
            state: scope.subdir(&format!("state-{round}"))?,
        };
        std::os::unix::fs::symlink(&host, paths.sandbox.join("data"))?;
        let spec = TaskSpec::from_task_info(task.info(), Strictness::Lenient)?;
        let containerizer = rig.containerizer();
        let request = containerizer.plan(&spec, &labels, &paths.sandbox, &[], None)?;
        let mut handle = containerizer.launch(LaunchOrder {
            labels,
            task: spec,
            request,
            paths,
            owner: None,
            output: docker_containerizer::logs::OutputTarget::Sandbox,
            tap: None,
            progress: None,
            removal: RemovalDelay::After(Duration::ZERO),
        })?;
        let ended = tokio::time::timeout(SOON, handle.terminated()).await?.context("an end")?;
        let Ending::LaunchFailed(failure) = &ended.ending else {
            anyhow::bail!("{path}: {ended:?}");
        };
        println!("{path}: {failure}");
        ensure!(failure.message().contains("data"), "{path}: {failure}");
        victim.check()?;
        ensure!(std::fs::read_dir(&host)?.count() == 1, "{path}: something was made on the host");
    }
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_reads_no_file_of_the_host_through_a_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut runs = Vec::new();
    for trick in TRICKS {
        let work_dir = scope.subdir(&format!("w-{trick:?}"))?;
        runs.push((trick, CliRun::start(&scope, engine.socket(), &work_dir, "seq 1 100", |_| {})?, work_dir));
    }
    for (trick, run, work_dir) in runs {
        let victim = Victim::new(&scope, &format!("victim-{trick:?}"))?;
        let layout = run.layout().await?;
        ensure!(run.ended().await?.success(), "{trick:?}: the run failed");
        let logs = async || {
            let id = layout.sandbox().file_name().context("a container id")?.to_owned();
            let child = Command::new(program()?)
                .arg("logs")
                .arg(format!("--work_dir={}", work_dir.display()))
                .arg(id)
                .env_remove("DOCKER_HOST")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            // A reader that opens the FIFO would wait for ever.
            let ended =
                tokio::time::timeout(SOON, tokio::task::spawn_blocking(|| child.wait_with_output())).await;
            let output = ended.with_context(|| format!("{trick:?}: logs does not end"))???;
            println!("{trick:?}: {} {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
            anyhow::Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let before = logs().await?;
        ensure!(before.lines().count() == 100, "{trick:?}: {before:?}");
        trick.outside(layout.sandbox(), &victim.0)?;
        let after = logs().await?;
        ensure!(!after.contains("precious"), "{trick:?}: {after}");
        victim.check()?;
    }
    scope.assert_clean().await
}
