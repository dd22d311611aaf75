//! What our `mesos-agent` makes of processes that an earlier one left: launches that were cut short, processes of frameworks
//! without checkpoints, and executors that are a stock agent's by all that stands in the work directory. Those of stock
//! that run are taken over; a number that means another process by now never is.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use integration::agent::{PATIENT, Scene, files, states};
use integration::executors::{self, Place, Protocol};
use integration::reference::Framework;
use integration::{eventually, require_engine, require_pymesos, require_reference};
use rstest::rstest;
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// The executor's id.
const ID: &str = "several";

/// What each agent here is started with; an interpreter takes its time to come back.
const FLAGS: [&str; 2] = ["--containerizers=docker,mesos", "--executor_reregistration_timeout=15secs"];

/// A task without an image.
fn plain(line: &str) -> Value {
    json!({ "name": "test", "command": { "shell": true, "value": line } })
}

/// A server that answers nobody until it is told to, and then everybody with `hi`.
struct Slow {
    port: u16,
    answers: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

impl Slow {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let (answers, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (will, was) = (answers.clone(), asked.clone());
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                was.store(true, Ordering::SeqCst);
                if will.load(Ordering::SeqCst) {
                    // Who asks is the fetcher; it says if it gets no answer.
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n");
                } else {
                    held.push(stream);
                }
            }
        });
        Ok(Self { port, answers, asked })
    }

    fn uris(&self) -> Value {
        json!([{ "value": format!("http://127.0.0.1:{}/greeting", self.port), "cache": false, "extract": false }])
    }

    async fn asked(&self) -> Result<()> {
        eventually("the fetch", SHORT, async || Ok(self.asked.load(Ordering::SeqCst).then_some(()))).await
    }
}

/// Waits until a task has told a state.
async fn told(framework: &Framework, task: &str, state: &str) -> Result<()> {
    let what = format!("{task} {state}");
    let waited = eventually(&what, SHORT, async || {
        let told = framework.events().by_task().remove(task).unwrap_or_default();
        Ok(told.iter().any(|told| told == state).then_some(()))
    });
    waited.await.with_context(|| format!("it told {:?}", framework.events().summary()))
}

fn is_there(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until a process is gone.
async fn gone(pid: u32) -> Result<()> {
    eventually("the end of a process", SHORT, async || Ok((!is_there(pid)).then_some(()))).await
}

/// The number of the only plain container's process.
fn process(scene: &Scene) -> Result<u32> {
    let records = files(scene.agent.work_dir(), "plain-processes");
    let [record] = &records[..] else { anyhow::bail!("{records:?}") };
    let record: Value = serde_json::from_slice(&std::fs::read(record)?)?;
    record["command"]["pid"].as_u64().and_then(|pid| pid.try_into().ok()).context("a number")
}

/// Stock gives such a task up (`SlaveRecoveryTest.RestartBeforeContainerizerLaunch`); ours has all that a launch needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_launch_was_cut_short_is_launched_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &FLAGS).await?;
    let slow = Slow::start()?;
    let mut task = plain("cat greeting; echo ran");
    task["command"]["uris"] = slow.uris();
    let framework = scene.patient(&task, &[]).await?;
    slow.asked().await?;
    scene.agent.kill()?;
    slow.answers.store(true, Ordering::SeqCst);
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(scene.output(&events, events.task_id()?, "stdout")?, "hi\nran\n", "it ran once");
    Ok(())
}

/// Its tasks were given to nobody, so they are lost, and nothing of it runs any more.
#[rstest]
#[case(&[], "TASK_LOST")]
#[case(&["--capability=PARTITION_AWARE"], "TASK_DROPPED")]
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_whose_launch_was_cut_short_is_not(
    #[case] options: &[&str],
    #[case] state: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &FLAGS).await?;
    let slow = Slow::start()?;
    let mut executor = executors::executor(&scene.scope, ID, Protocol::V0, Place::Process).await?;
    executor["command"]["uris"] = slow.uris();
    let tasks =
        json!([executors::task(&executor, "a", &json!({})), executors::task(&executor, "b", &json!({}))]);
    let framework = scene.patient(&tasks, options).await?;
    slow.asked().await?;
    scene.agent.kill()?;
    slow.answers.store(true, Ordering::SeqCst);
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    for (task, told) in events.by_task() {
        assert_eq!(told, [state], "{task}");
    }
    assert_eq!(events.last_status()?["reason"], "REASON_AGENT_RESTARTED");
    assert_eq!(files(scene.agent.work_dir(), "plain-processes"), Vec::<PathBuf>::new());
    Ok(())
}

/// The master gave their tasks up as soon as the agent was gone, so nothing is told of them.
#[tokio::test(flavor = "multi_thread")]
async fn processes_of_a_framework_without_checkpoints_are_stopped_by_the_next_start() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &FLAGS).await?;
    // One of them has left its session.
    let line = "setsid sleep 1000 & echo $! > child; sleep 1000";
    let mut passing = scene.master.framework(&plain(line), &["--timeout=100"]).await?;
    passing.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let stray = process(&scene)?;
    let child = eventually("its child", SHORT, async || {
        let text = scene.output(&passing.events(), passing.events().task_id()?, "child").unwrap_or_default();
        Ok(text.trim().parse::<u32>().ok())
    })
    .await?;
    let mut lasting = scene.patient(&plain("sleep 1000"), &[]).await?;
    lasting.wait_for("TASK_RUNNING", 1, SHORT).await?;
    scene.agent.kill()?;
    let told = passing.end(LONG).await?;
    assert_eq!(states(&told), ["TASK_STARTING", "TASK_RUNNING", "TASK_LOST"]);
    assert!(is_there(stray) && is_there(child), "a process ends with its agent");
    scene.start_again().await?;
    gone(stray).await?;
    gone(child).await?;
    lasting.kill_tasks()?;
    let events = lasting.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    Ok(())
}

/// A framework with an executor in a process that runs the tasks `stays` and `ends`.
async fn with_executor(scene: &Scene, protocol: Protocol) -> Result<Framework> {
    let executor = executors::executor(&scene.scope, ID, protocol, Place::Process).await?;
    let tasks = json!([
        executors::task(&executor, "stays", &json!({})),
        executors::task(&executor, "ends", &json!({})),
    ]);
    let options: Vec<&str> = PATIENT.iter().chain(&["--calls"]).copied().collect();
    let framework = scene.framework(&tasks, &options).await?;
    told(&framework, "stays", "TASK_RUNNING").await?;
    told(&framework, "ends", "TASK_RUNNING").await?;
    Ok(framework)
}

/// Makes the only run one of a stock agent, as far as its files tell: no record of ours, and the number of its process in
/// `forked.pid`, written at this time.
fn as_of_stock(scene: &Scene, pid: u32, written: SystemTime) -> Result<()> {
    let record = files(scene.agent.work_dir(), "supervision").pop().context("a record")?;
    let run = record.parent().context("a run")?.to_owned();
    for entry in std::fs::read_dir(&run)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "supervision" || name.to_string_lossy().starts_with("plain-") {
            std::fs::remove_file(entry.path())?;
        }
    }
    let pids = run.join("pids");
    std::fs::create_dir_all(&pids)?;
    let path = pids.join("forked.pid");
    std::fs::write(&path, pid.to_string())?;
    std::fs::File::options().write(true).open(path)?.set_modified(written)?;
    Ok(())
}

/// When a process was started, at the latest.
fn seen(pid: u32) -> Result<SystemTime> {
    Ok(std::fs::metadata(Path::new("/proc").join(pid.to_string()))?.modified()?)
}

/// Its files are a stock agent's, and the process has no agent program of ours above it that is asked.
#[rstest]
#[case(Protocol::V0)]
#[case(Protocol::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_of_stock_in_a_process_is_taken_over(#[case] protocol: Protocol) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let mut scene = Scene::start(&engine, &FLAGS).await?;
    let mut framework = with_executor(&scene, protocol).await?;
    let pid = process(&scene)?;
    scene.agent.kill()?;
    as_of_stock(&scene, pid, seen(pid)? + Duration::from_millis(20))?;
    scene.start_again().await?;
    scene.logged("by=\"its process and control groups\"").await?;
    framework.call(&executors::message(ID, "finish ends")).await?;
    told(&framework, "ends", "TASK_FINISHED").await?;
    assert!(is_there(pid));
    framework.call(&executors::shutdown(ID)).await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task()["stays"], ["TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(events.last_status()?["reason"], "REASON_EXECUTOR_TERMINATED");
    gone(pid).await
}

/// One that does not come back, since it is stopped, is killed.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_of_stock_that_does_not_come_back_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let flags = [FLAGS[0], "--executor_reregistration_timeout=1secs"];
    let mut scene = Scene::start(&engine, &flags).await?;
    let framework = with_executor(&scene, Protocol::V0).await?;
    let pid = process(&scene)?;
    scene.agent.kill()?;
    as_of_stock(&scene, pid, seen(pid)? + Duration::from_millis(20))?;
    let raw = rustix::process::Pid::from_raw(pid.try_into()?).context("a number")?;
    rustix::process::kill_process(raw, rustix::process::Signal::STOP)?;
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    for (task, told) in events.by_task() {
        assert_eq!(told, ["TASK_RUNNING", "TASK_LOST"], "{task}");
    }
    assert_eq!(events.last_status()?["reason"], "REASON_EXECUTOR_REREGISTRATION_TIMEOUT");
    gone(pid).await
}

/// A process of the test that ends with it.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who has the number of an executor that is gone is nobody's business.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_the_number_of_an_executor_is_left_alone() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let mut scene = Scene::start(&engine, &FLAGS).await?;
    let framework = with_executor(&scene, Protocol::V0).await?;
    let pid = process(&scene)?;
    scene.agent.kill()?;
    let raw = rustix::process::Pid::from_raw(pid.try_into()?).context("a number")?;
    rustix::process::kill_process(raw, rustix::process::Signal::KILL)?;
    gone(pid).await?;
    let mut bystander = Bystander(Command::new("sleep").arg("1000").spawn()?);
    let number = bystander.0.id();
    // The executor was started long before the bystander was.
    as_of_stock(&scene, number, seen(number)? - Duration::from_secs(3600))?;
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    for (task, told) in events.by_task() {
        assert_eq!(told, ["TASK_RUNNING", "TASK_FAILED"], "{task}");
    }
    let last = events.last_status()?;
    assert_eq!(last["reason"], "REASON_EXECUTOR_TERMINATED");
    assert_eq!(last["message"], "The executor ended while no agent was running");
    // What ends an executor has been done by the time its end is told.
    ensure!(bystander.0.try_wait()?.is_none(), "the bystander was killed");
    Ok(())
}
