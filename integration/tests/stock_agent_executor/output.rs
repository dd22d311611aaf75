//! Output through pipes, as modules for container loggers give them. Stock's own logger gives files, so a script in the
//! launcher directory makes the pipes here.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use integration::{eventually, require_engine, require_reference};

use crate::scene::{PATIENCE, Scene};

/// How much a task writes: more than pipes and buffers hold.
const MUCH: usize = 1_000_000;

/// What a logger has.
struct Logger {
    directory: PathBuf,
}

impl Logger {
    /// Puts a script in the executor's place that starts it with pipes, read once the file `go` is there.
    fn install(scene: &Scene) -> Result<Self> {
        let directory = scene.scope.subdir("logger")?;
        let program = scene.launcher_dir.join("mesos-docker-executor");
        let real = program.canonicalize()?;
        let script = format!(
            "#!/bin/sh\nd={}\nfor s in out err; do mkfifo $d/$s.pipe; \
             (exec <$d/$s.pipe; while [ ! -e $d/go ]; do sleep 0.05; done; exec cat >$d/$s) & done\n\
             exec {} \"$@\" >$d/out.pipe 2>$d/err.pipe\n",
            directory.display(),
            real.display(),
        );
        std::fs::remove_file(&program)?;
        std::fs::write(&program, script)?;
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { directory })
    }

    /// Lets the logger read.
    fn read(&self) -> Result<()> {
        Ok(std::fs::write(self.directory.join("go"), "")?)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn size(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| bytes.len())
}

#[tokio::test]
async fn a_logger_gets_each_byte_of_each_stream() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let logger = Logger::install(&scene)?;
    logger.read()?;
    let line = format!("echo begin; head -c {MUCH} /dev/zero | tr '\\0' x; echo of the task >&2");
    let events = scene.cluster.run(&scene.task(&line), &[]).await?;
    ensure!(events.last_status()?["state"] == "TASK_FINISHED", "{events:?}");
    let out = logger.file("out");
    eventually("the logger to have all", PATIENCE, async || Ok((size(&out) >= MUCH + 6).then_some(())))
        .await?;
    let out = std::fs::read_to_string(out)?;
    ensure!(out.strip_prefix("begin\n").is_some_and(|rest| rest.len() == MUCH), "{} bytes", out.len());
    ensure!(out[6..].bytes().all(|byte| byte == b'x'), "other bytes");
    let err = std::fs::read_to_string(logger.file("err"))?;
    let (ours, own) = (err.find("registered with the agent"), err.find("of the task\n"));
    ensure!(ours.is_some() && ours < own, "{err}");
    assert_eq!(scene.read(&events, "stdout")?, "");
    scene.end().await
}

/// It holds up the output alone.
#[tokio::test]
async fn a_logger_that_does_not_read_holds_up_no_kill_and_no_status() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let logger = Logger::install(&scene)?;
    let line = format!("head -c {MUCH} /dev/zero | tr '\\0' x; cat /dev/zero >&2");
    let mut framework =
        scene.cluster.framework(&scene.task(&line), &["--kill-after=1", "--kill-grace=0"]).await?;
    framework.wait_for("TASK_KILLED", 1, PATIENCE).await?;
    ensure!(size(&logger.file("out")) == 0, "the logger read");
    logger.read()?;
    framework.end(PATIENCE).await?;
    scene.end().await
}
