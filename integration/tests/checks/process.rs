//! Checks of a task without an image: a process of this machine. No engine is needed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use checks::{Check, CheckNews, CheckOrder, CheckRunner, CheckSettings, CheckState, Checker, Target};
use integration::{eventually, programs};
use mesos_containerizer::aside::Surroundings;
use mesos_containerizer::processes::{Stat, all, look};
use mesos_types::{HttpScheme, IpFamily, ProbeSpec};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;

use crate::lab::{
    LONG, PATIENCE, argv, health, http, is_healthy, is_unhealthy, next, out_of_time, settings, shell,
    shell_as, tcp,
};

/// A task that waits, and its sandbox.
struct Task {
    child: Child,
    sandbox: TempDir,
    target: Target,
}

impl Task {
    fn start() -> Result<Self> {
        let sandbox = tempfile::tempdir()?;
        let child = Command::new("sleep").arg("100000").stdin(Stdio::null()).spawn()?;
        let id = look(child.id()).context("the task's process")?.id;
        let target = Target::of_process(id, surroundings(sandbox.path())?);
        Ok(Self { child, sandbox, target })
    }

    fn check(&self, runner: &CheckRunner, probe: ProbeSpec, timeout: Duration) -> Checker {
        runner.start(CheckOrder {
            check: Check::Health(health(probe, timeout)),
            target: self.target.clone(),
            state: CheckState::default(),
            running_for: Duration::ZERO,
        })
    }

    fn file(&self, name: &str) -> Result<String> {
        let path = self.sandbox.path().join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn end(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn surroundings(sandbox: &Path) -> Result<Surroundings> {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Ok(Surroundings {
        program: programs::mesos_containerizer()?,
        sandbox: sandbox.canonicalize()?,
        environment: [variable("PATH", "/usr/bin:/bin"), variable("COLOR", "blue")].into(),
        identity: None,
        limits: Arc::default(),
        groups: Arc::default(),
    })
}

fn runner() -> CheckRunner {
    CheckRunner::new(settings())
}

/// Waits until nothing is left of the checks of a task: no process in its sandbox, and no child that nobody waited for.
async fn nothing_left(task: &Task) -> Result<()> {
    let sandbox = task.sandbox.path().canonicalize()?;
    eventually("the end of the checks' processes", PATIENCE, async || {
        let is_left = |stat: &Stat| {
            let place = fs::read_link(format!("/proc/{}/cwd", stat.id.pid));
            let is_dead_child = stat.is_zombie && stat.parent == std::process::id();
            is_dead_child || place.is_ok_and(|place| place == sandbox)
        };
        Ok((!all()?.iter().any(is_left)).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_in_the_sandbox_with_the_tasks_environment() -> Result<()> {
    let (task, runner) = (Task::start()?, runner());
    let line = format!(
        r#"test "$PWD" = "{}" && test "$COLOR$SIZE" = bluelarge && test -z "$CARGO_PKG_NAME$HOME""#,
        task.sandbox.path().canonicalize()?.display()
    );
    is_healthy(&mut task.check(&runner, shell_as(&line, None, &[("SIZE", "large")]), LONG)).await?;
    // What the check names wins.
    let probe = shell_as("test $COLOR = red", None, &[("COLOR", "red")]);
    is_healthy(&mut task.check(&runner, probe, LONG)).await?;
    nothing_left(&task).await?;
    task.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_of_a_process_is_the_answer_and_the_last_words_are_told() -> Result<()> {
    let (task, runner) = (Task::start()?, runner());
    for (probe, expected) in [
        (shell("echo out; echo bad >&2; exit 3"), "the command exited with status 3: bad"),
        (shell("echo out; kill -9 $$"), "the command exited with status 137 (SIGKILL): out"),
        (argv(&["no-such-command"]), "the command exited with status 127 (the command was not found): "),
        (argv(&["/dev/null"]), "the command exited with status 126 (the command cannot be run): "),
    ] {
        let mut checker = task.check(&runner, probe, LONG);
        let why = is_unhealthy(&mut checker).await?;
        ensure!(why.starts_with(&format!("COMMAND health check failed: {expected}")), "{why}");
        checker.stop().await;
    }
    ensure!(runner.counts().not_done == 0, "{:?}", runner.counts());
    nothing_left(&task).await?;
    task.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_out_of_time_is_killed_with_its_children() -> Result<()> {
    let (task, runner) = (Task::start()?, runner());
    let line = "echo working; sleep 1001 & setsid sleep 1002 & (sleep 1003 &) ; env -i sleep 1004";
    let mut checker = task.check(&runner, shell(line), Duration::from_millis(500));
    assert_eq!(out_of_time(&mut checker, "0.500s").await?, "working");
    checker.stop().await;
    nothing_left(&task).await?;
    let counts = runner.counts();
    ensure!(counts.timed_out >= 1 && counts.killed_commands >= 1, "{counts:?}");
    ensure!((counts.left_commands, counts.not_done) == (0, 0), "{counts:?}");
    task.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_under_way_ends_with_its_check() -> Result<()> {
    let (task, runner) = (Task::start()?, runner());
    for way in ["stop", "pause", "drop"] {
        let line = format!("echo here >{way}; setsid sleep 1001 & sleep 1002");
        let checker = task.check(&runner, shell(&line), LONG);
        eventually("a command", PATIENCE, async || Ok(task.file(way).ok().filter(|text| text == "here\n")))
            .await?;
        match way {
            "stop" => checker.stop().await,
            "pause" => {
                checker.pause();
                nothing_left(&task).await?;
                checker.stop().await;
            }
            _ => drop(checker),
        }
        nothing_left(&task).await?;
    }
    task.end()
}

/// A check whose task ends meanwhile has nothing to say about it.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_task_is_no_failure_of_its_check() -> Result<()> {
    let (mut task, runner) = (Task::start()?, runner());
    let line = format!("echo here >begun; while kill -0 {}; do :; done; exit 1", task.child.id());
    let mut checker = task.check(&runner, shell(&line), LONG);
    eventually("a command", PATIENCE, async || Ok(task.file("begun").ok().filter(|text| text == "here\n")))
        .await?;
    task.child.kill()?;
    task.child.wait()?;
    ensure!(timeout(PATIENCE, checker.next()).await?.is_none(), "it told something");
    nothing_left(&task).await
}

/// The network of the task is this machine's.
#[tokio::test(flavor = "multi_thread")]
async fn servers_are_asked_on_the_hosts_network() -> Result<()> {
    let (task, runner) = (Task::start()?, runner());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A connection alone ends without a request.
                if stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").await;
                }
            });
        }
    });
    let get = http(HttpScheme::Http, port, "/", IpFamily::V4);
    is_healthy(&mut task.check(&runner, get, LONG)).await?;
    is_healthy(&mut task.check(&runner, tcp(port, IpFamily::V4), LONG)).await?;
    // Nobody listens at it, and nobody else gets it.
    let taken = TcpSocket::new_v4()?;
    taken.bind("127.0.0.1:0".parse()?)?;
    let silent = taken.local_addr()?.port();
    let why = is_unhealthy(&mut task.check(&runner, tcp(silent, IpFamily::V4), LONG)).await?;
    ensure!(why.contains("refused"), "{why}");
    task.end()
}

/// The commands of many tasks take turns; none is left out.
#[tokio::test(flavor = "multi_thread")]
async fn commands_of_many_tasks_take_turns() -> Result<()> {
    const TASKS: usize = 24;
    const TURNS: usize = 3;

    let task = Task::start()?;
    let mut settings = CheckSettings::default();
    settings.commands_at_once = TURNS.try_into()?;
    let runner = CheckRunner::new(settings);
    // Each leaves a file while it runs, and says when there are too many of them.
    let line = "touch run-$$; set -- run-*; rm run-$$; test $# -le 3";
    let mut checkers: Vec<_> = (0..TASKS).map(|_| task.check(&runner, shell(line), LONG)).collect();
    for checker in &mut checkers {
        ensure!(next(checker).await? == CheckNews::Healthy);
    }
    for checker in checkers {
        checker.stop().await;
    }
    nothing_left(&task).await?;
    task.end()
}
