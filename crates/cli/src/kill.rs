//! `mesos-docker kill`: through the run's owner, so that it reports TASK_KILLED; without one, as its owner.

use std::time::Duration;

use mesos_types::ContainerId;
use task_supervisor::{Adoption, KillRequest, Kind, Phase, RecordStore, RunLayout, TaskKilling, Update};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::args::KillArgs;
use crate::failure::{Failure, chain};
use crate::find::{self, KnownRun};
use crate::out;
use crate::pick::pick;
use crate::runs::{self, Claim, OwnedRun, Reply, Request};
use crate::setup::Setup;

/// How long an owner may be starting or ending, when its socket is not there yet or not any more.
const OWNER_AWAY: Duration = Duration::from_secs(10);

/// The pause between two looks at such an owner.
const PAUSE: Duration = Duration::from_millis(50);

/// How long an end may take, besides the grace: an engine that is away or hangs is waited for.
const END: Duration = Duration::from_secs(10 * 60);

/// The longest answer of an owner, in bytes.
const LONGEST: u64 = 4096;

/// What an owner said.
enum Answer {
    /// The task ended in this state.
    Ended(String),
    /// It knows no such task: it ended meanwhile, or is not launched yet.
    Unknown,
    /// It could not be asked, or left before it answered.
    Away(std::io::Error),
}

/// Kills a task and prints the state in which it ended.
pub(crate) async fn kill(args: KillArgs) -> Result<u8, Failure> {
    let setup = Setup::new(&args.flags)?;
    let runs = find::runs(&setup.work_dir);
    let run = pick(&runs.known, &args.id).inspect_err(|_| runs.tell_broken())?;
    let grace = if args.now { Some(Duration::ZERO) } else { args.grace };
    let mut away_since = None;
    loop {
        if let Some(state) = ended(&run.layout) {
            return tell(run, &state);
        }
        match OwnedRun::claim(&setup.work_dir, &run.identity.framework_id)? {
            Claim::Ours(owned) => {
                let state = kill_as_owner(&setup, run, grace).await;
                owned.end();
                return tell(run, &state?);
            }
            Claim::Held(pid) => match ask(&setup, run, grace).await? {
                Answer::Ended(state) => return tell(run, &state),
                answer => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    // Another kill without an owner holds the run for the grace of a task like ours.
                    if since.elapsed() > OWNER_AWAY.saturating_add(grace_of(run, grace)) {
                        return Err(unreachable_owner(run, pid, &answer));
                    }
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

fn tell(run: &KnownRun, state: &str) -> Result<u8, Failure> {
    out::line(&format!("{state} {}", run.identity.task_id))?;
    Ok(0)
}

/// The terminal state, if the record tells one.
fn ended(layout: &RunLayout) -> Option<String> {
    let record = RecordStore::new(layout.state()).read().ok()?;
    (record.phase == Phase::Terminal).then(|| find::state(&record).as_str_name().to_owned())
}

/// Asks the owner to kill the task, and waits until it has ended.
async fn ask(setup: &Setup, run: &KnownRun, grace: Option<Duration>) -> Result<Answer, Failure> {
    let dir = runs::dir_of(&setup.work_dir, &run.identity.framework_id);
    let deadline = END.saturating_add(grace_of(run, grace));
    match timeout(deadline, converse(&dir, run.identity.container_id, grace)).await {
        Ok(Ok(Reply::Ended { state })) => Ok(Answer::Ended(state)),
        Ok(Ok(Reply::Unknown)) => Ok(Answer::Unknown),
        Ok(Err(error)) => Ok(Answer::Away(error)),
        Err(_) => Err(Failure::ours(format!(
            "{} has not ended within {}s",
            run.identity.task_id,
            deadline.as_secs()
        ))
        .hint(match run.kind() {
            Kind::Docker => "its owner goes on trying; is the Docker Engine alive?",
            Kind::Mesos => "its owner goes on trying",
        })),
    }
}

async fn converse(
    dir: &std::path::Path,
    container_id: ContainerId,
    grace: Option<Duration>,
) -> std::io::Result<Reply> {
    let (held, path) = runs::short_path(dir)?;
    let stream = UnixStream::connect(path).await?;
    drop(held);
    let (read, mut write) = stream.into_split();
    let grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    let mut request =
        serde_json::to_vec(&Request::Kill { container_id: container_id.to_string(), grace_ms })?;
    request.push(b'\n');
    write.write_all(&request).await?;
    let mut line = String::new();
    BufReader::new(read.take(LONGEST)).read_line(&mut line).await?;
    if line.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it ended before it answered"));
    }
    Ok(serde_json::from_str(&line)?)
}

/// Adopts the task and kills it, so that its record tells the end and its container goes.
pub(crate) async fn kill_as_owner(
    setup: &Setup,
    run: &KnownRun,
    grace: Option<Duration>,
) -> Result<String, Failure> {
    // Somebody else may have ended it before the run was ours.
    if let Some(state) = ended(&run.layout) {
        return Ok(state);
    }
    let failed =
        |error: &dyn std::error::Error| Failure::of(format!("cannot kill {}", run.identity.task_id), error);
    let supervisor = setup.supervisor(setup.containerizers([run.kind()]).await?);
    let mut handle = supervisor
        .adopt(run.layout.clone(), Adoption::new(TaskKilling::Omitted))
        .await
        .map_err(|error| failed(&error))?;
    // The queue of a task that was just adopted has room; one that has ended takes no kill.
    let _ = handle.kills.try_send(KillRequest::new(grace));
    let deadline = END.saturating_add(grace_of(run, grace));
    let end = async {
        while let Some(update) = handle.updates.recv().await {
            if let Update::Terminal(status, _, _) = update {
                return Some(status.state().as_str_name().to_owned());
            }
        }
        None
    };
    let state = timeout(deadline, end).await.ok().flatten().ok_or_else(|| {
        Failure::ours(format!("{} has not ended within {}s", run.identity.task_id, deadline.as_secs())).hint(
            match run.kind() {
                Kind::Docker => "is the Docker Engine alive? mesos-docker kill goes on where this one ended",
                Kind::Mesos => "mesos-docker kill goes on where this one ended",
            },
        )
    })?;
    supervisor.containerizer().settled().await;
    Ok(state)
}

/// The grace of a kill: as the person wants it, or as the task does (`KillPolicy`).
fn grace_of(run: &KnownRun, wanted: Option<Duration>) -> Duration {
    let policy = run.info.as_ref().and_then(|info| info.kill_policy.as_ref());
    let nanoseconds = policy.and_then(|policy| policy.grace_period.as_ref()).map(|grace| grace.nanoseconds);
    let own = nanoseconds.and_then(|nanoseconds| u64::try_from(nanoseconds).ok()).map(Duration::from_nanos);
    wanted.or(own).unwrap_or_default()
}

fn unreachable_owner(run: &KnownRun, pid: Option<u32>, answer: &Answer) -> Failure {
    let owner = pid.map_or_else(|| "the process that supervises it".into(), |pid| format!("process {pid}"));
    let why = match answer {
        Answer::Away(error) => chain(error),
        Answer::Ended(_) | Answer::Unknown => "it does not know the task".into(),
    };
    Failure::ours(format!("cannot kill {}: {owner} cannot be asked: {why}", run.identity.task_id))
        .hint("end that process with SIGTERM, and its tasks with it, or with SIGKILL and kill again")
}
