//! The agent ends, is killed, cleans up, or comes back after a boot, and tasks without an image run on it.

use anyhow::{Context as _, Result, ensure};
use integration::agent::states;
use integration::{eventually, require_engine, require_reference};

use crate::lab::{LONG, Lab, SHORT, message, plain};

/// Asked to end, or killed: the task is the same process before and after.
#[rstest::rstest]
#[case::asked(true)]
#[case::killed(false)]
#[tokio::test(flavor = "multi_thread")]
async fn tasks_go_on_while_the_agent_is_away(#[case] is_asked: bool) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let framework = lab.waiting("echo last words; exit 3").await?;
    let id = lab.scene.agent.id()?;
    if is_asked {
        lab.scene.agent.stop().await?;
    } else {
        lab.scene.agent.kill()?;
    }
    ensure!(lab.processes().iter().any(|line| line.contains("mesos-containerizer")), "{:?}", lab.processes());
    lab.scene.start_again().await?;
    assert_eq!(lab.scene.agent.id()?, id);
    // Adopted, so it can be looked at, and ends as ever.
    let statistics = lab.scene.agent.get(&lab.scene.master, "/monitor/statistics").await?;
    ensure!(statistics[0]["statistics"]["mem_rss_bytes"].as_u64() > Some(0), "{statistics}");
    lab.scene.open_gate()?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(message(events.last_status()?), "Command exited with status 3");
    assert_eq!(lab.stdout(&events)?, "last words\n");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_adopted_is_killed_and_so_is_one_that_was_killed_meanwhile() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let framework = lab.waiting("true").await?;
    lab.scene.crash().await?;
    framework.kill_tasks()?;
    assert_eq!(states(&framework.end(LONG).await?), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);

    let framework = lab.waiting("true").await?;
    lab.scene.agent.kill()?;
    framework.kill_tasks()?;
    eventually("the master to be asked", SHORT, async || {
        let metrics = lab.scene.master.get("/metrics/snapshot").await?;
        Ok((metrics["master/messages_kill_task"].as_f64() >= Some(2.0)).then_some(()))
    })
    .await?;
    lab.scene.start_again().await?;
    assert_eq!(states(&framework.end(LONG).await?), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_framework_without_checkpoints_end_with_the_agent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let task = plain("(setsid sleep 1000 &); exec sleep 1000");
    let mut framework = lab.scene.framework(&task, &["--timeout=100"]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    lab.scene.agent.stop().await?;
    lab.no_processes().await?;
    drop(framework);

    lab.scene.start_again().await?;
    let mut framework = lab.scene.framework(&task, &["--timeout=100"]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    lab.scene.agent.kill()?;
    ensure!(!lab.processes().is_empty(), "a killed agent cannot stop a task");
    lab.scene.agent.launch()?;
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_stops_the_tasks_and_ends_and_the_next_start_is_a_new_agents() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let framework = lab.waiting("true").await?;
    let id = lab.scene.agent.id()?;
    lab.scene.agent.kill()?;
    lab.scene.agent.set_flag("--recover=cleanup");
    lab.scene.agent.launch()?;
    let status = lab.scene.agent.ended().await?;
    assert!(status.success(), "{status}: {}", lab.scene.agent.log_text());
    assert_eq!(lab.processes(), Vec::<String>::new());
    lab.nothing_left().await?;
    lab.scene.agent.set_flag("--recover=reconnect");
    lab.scene.start_again().await?;
    assert_ne!(lab.scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_LOST"]);
    Ok(())
}

/// After a boot the numbers of processes are anybody's: what ended before it has its code, nothing is killed by number.
///
/// Peer: `SlaveRecoveryTest.RebootWithExecutorPidReused`.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_boot_no_process_is_taken_for_a_task() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    // A control group has the container's name, which is of one boot; numbers are not.
    let mut lab = Lab::start(&engine, &["--launcher=posix"]).await?;
    let framework = lab.waiting("true").await?;
    let id = lab.scene.agent.id()?;
    lab.scene.agent.kill()?;
    let meta = lab.scene.agent.work_dir().join("meta");
    let boot = meta.join("boot_id");
    ensure!(boot.is_file(), "no boot id");
    let other = "01234567-89ab-cdef-0123-456789abcdef";
    let current = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    std::fs::write(&boot, other)?;
    // The machine's own processes have these numbers now, so they are the ones of a boot that is over.
    let mut written = 0;
    for path in integration::agent::files(&meta, "plain-processes")
        .iter()
        .chain(&integration::agent::files(&meta, "supervision"))
    {
        let text = std::fs::read_to_string(path)?;
        written += usize::from(text.contains(current.trim()));
        std::fs::write(path, text.replace(current.trim(), other))?;
    }
    ensure!(written > 0, "no record has the id of the boot");
    // Its pauses come and go, and one that begins has the shell's command line for a moment.
    let lasting = |processes: Vec<String>| {
        let lasting = processes.into_iter().filter(|process| !process.starts_with("sleep "));
        lasting.collect::<std::collections::BTreeSet<_>>()
    };
    let before = lasting(lab.processes());
    lab.scene.start_again().await?;
    assert_eq!(lab.scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    let told = message(events.last_status()?);
    assert_eq!(told, "Failed to get exit status for Command: the machine was restarted");
    assert_eq!(lasting(lab.processes()), before, "a process of this boot was touched");
    // In truth there was no boot, so the test ends the process itself.
    lab.scene.open_gate()?;
    lab.no_processes().await
}

/// The supervising process is killed, whoever did it: the task is over, and that is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_supervising_process_is_killed_fails_without_a_code() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let framework = lab.waiting("true").await?;
    let meta = lab.scene.agent.work_dir().join("meta");
    let record = integration::agent::files(&meta, "plain-processes").pop().context("no record")?;
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record)?)?;
    let parent = record["parent"]["pid"].as_i64().with_context(|| record.to_string())?;
    let parent = rustix::process::Pid::from_raw(parent.try_into()?).context("a pid")?;
    rustix::process::kill_process(parent, rustix::process::Signal::KILL)?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(
        message(events.last_status()?),
        "Failed to get exit status for Command: the process that watched it was killed"
    );
    lab.nothing_left().await
}
