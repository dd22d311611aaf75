//! Finding out that a container has stopped, and only then saying so.
//!
//! A lost stream is never an exit (design §2.10): after the wait breaks, the engine is asked, by id and start time,
//! until it answers. Beside the wait a pidfd tells that the process is gone even while the engine is away; then the
//! engine has a while to come back with the exit code.
//!
//! ```text
//! wait ──code──► Exit::Code
//!   └─broken─► ping, inspect: running, same start ──► wait again
//!                             stopped               ──► Exit::Code
//!                             other start, missing  ──► Exit::Unknown
//! pidfd ──gone──► the above within a deadline, else Exit::Unknown
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docker_engine::{Engine, EngineError, EngineTime, ErrorKind, Inspection};
use tokio::time::{Instant, timeout};

use crate::driver::{Command, Driver, Watched};
use crate::lifecycle::Event;
use crate::stop::Stopping;
use containerizer::cgroups::{Cgroups, belongs_to};
use containerizer::{Cause, EngineSeen, Exit, Kill, Pidfd, Unknown};

/// The pauses between questions to an engine that is away.
const BACKOFF: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// How long a process may be seen after the engine has told its end, and between two kills of it then.
const OUTLIVED: Duration = Duration::from_secs(2);

/// The grace of a kill that asks for more than time has.
const LONGEST_GRACE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The container's init process, held so that its number cannot come to mean another process.
#[derive(Debug)]
pub(crate) struct Process {
    held: Pidfd,
}

/// Watches one run of one container.
#[derive(Debug)]
pub(crate) struct ExitWatch<'a> {
    pub(crate) engine: &'a Engine,
    /// The engine's id of the container.
    pub(crate) id: &'a str,
    /// When the run started, which tells it from a later run of the same container.
    pub(crate) started_at: &'a EngineTime,
    /// The process, where its number means something here.
    pub(crate) process: Option<&'a Process>,
    /// How long the engine may take to tell an exit that the process showed.
    pub(crate) missed_after: Duration,
    /// Whether the engine could not be reached since it last said that the run goes on.
    pub(crate) away: AtomicBool,
}

/// How a run was seen to end.
#[derive(Debug)]
pub(crate) struct SeenExit {
    pub(crate) exit: Exit,
    /// How often the kernel killed a process for memory, where that could be read in time.
    pub(crate) oom_kills: Option<u64>,
    /// Whether the engine was there.
    pub(crate) engine: EngineSeen,
}

/// What an inspection says of the run that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// It runs.
    Running,
    /// It ended.
    Ended(Exit),
}

impl Process {
    /// Takes hold of the process `pid` of the container `id`.
    ///
    /// `None` where the number means nothing: another pid namespace, no permission, or a process that is gone or is
    /// not in a control group of the container.
    pub(crate) fn open(pid: u32, id: &str) -> Option<Self> {
        let held = Pidfd::open(pid).ok()?;
        // The engine's id in the control group shows that it is the container's process; it is read after the fd was
        // taken, so the answer is about the process that the fd holds.
        if !belongs_to(pid, id) {
            return None;
        }
        Some(Self { held })
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.held.pid()
    }

    /// Waits until the process has ended. May be dropped.
    pub(crate) async fn ended(&self) {
        if let Err(error) = self.held.ended().await {
            tracing::warn!(pid = self.pid(), %error, "a process cannot be watched");
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the process has ended, though the engine says that it has: kills it when it goes on.
    async fn outlived(&self) {
        while timeout(OUTLIVED, self.ended()).await.is_err() {
            tracing::warn!(
                pid = self.pid(),
                "the engine has told the end of a process that lives: killing it"
            );
            if let Err(error) = self.kill() {
                tracing::debug!(pid = self.pid(), %error, "the process could not be killed");
            }
        }
    }

    /// Sends SIGKILL to the process, past the engine.
    pub(crate) fn kill(&self) -> std::io::Result<()> {
        self.held.signal(rustix::process::Signal::KILL)
    }
}

impl ExitWatch<'_> {
    /// Waits until the run has ended.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn ended(&self) -> Exit {
        let Some(process) = self.process else {
            return self.engine_says().await;
        };
        tokio::select! {
            biased;
            exit = self.engine_says() => exit,
            () = process.ended() => match timeout(self.missed_after, self.engine_says()).await {
                Ok(exit) => exit,
                Err(_) => Exit::Unknown(Unknown::EngineMissedIt),
            },
        }
    }

    async fn engine_says(&self) -> Exit {
        let mut failures = 0;
        loop {
            match self.engine.wait_not_running(self.id, self.engine.deadlines().stream_head).await {
                // The code of a container that ran already when we asked is that of its last run.
                Ok(end) => return Exit::Code(end.exit_code),
                Err(error) => {
                    tracing::debug!(container = self.id, error = crate::chain(&error), "the wait broke")
                }
            }
            match self.look().await {
                Ok(Seen::Ended(exit)) => return exit,
                Ok(Seen::Running) => {
                    failures = 0;
                    self.away.store(false, Ordering::Relaxed);
                }
                Err(error) => {
                    if matches!(error.kind(), ErrorKind::Unreachable { .. }) {
                        self.away.store(true, Ordering::Relaxed);
                    }
                    tracing::debug!(
                        container = self.id,
                        error = crate::chain(&error),
                        "the engine is asked again"
                    );
                }
            }
            tokio::time::sleep(BACKOFF[failures.min(BACKOFF.len() - 1)]).await;
            failures += 1;
        }
    }

    /// Whether the engine was there when the run ended.
    fn engine_seen(&self) -> EngineSeen {
        if self.away.load(Ordering::Relaxed) { EngineSeen::Away } else { EngineSeen::Throughout }
    }

    async fn look(&self) -> Result<Seen, EngineError> {
        let inspection = self.engine.inspect(self.id, self.engine.deadlines().inspect).await?;
        Ok(judge(inspection.as_ref(), self.started_at))
    }
}

impl Driver {
    /// Waits for the exit, and stops the container when it is told to. What the engine tells counts only once the
    /// process is gone, where we hold it: a terminal status must not come before.
    pub(crate) async fn exit_of(&mut self, watched: &Watched) -> SeenExit {
        let shared = self.shared.clone();
        let watch = ExitWatch {
            engine: &shared.engine,
            id: &watched.engine_id,
            started_at: &watched.started_at,
            process: watched.process.as_ref(),
            missed_after: shared.settings.exit_deadline,
            away: AtomicBool::new(false),
        };
        let (stop_signal, view) = (self.stop_signal.clone(), self.view.clone());
        let stopping = Stopping {
            engine: &shared.engine,
            id: &watched.engine_id,
            stop_signal: &stop_signal,
            process: watched.process.as_ref(),
            delivered: AtomicBool::new(self.view.borrow().signalled),
            view: &view,
        };
        // When SIGKILL follows.
        let mut stop = self.kill.map(deadline);
        let (mut is_gone, mut oom_kills) = (false, None);
        let mut ended = std::pin::pin!(watch.ended());
        let mut gone = std::pin::pin!(async {
            match &watched.process {
                Some(process) => process.ended().await,
                None => std::future::pending().await,
            }
        });
        loop {
            let perform = async {
                match stop {
                    Some(deadline) => match stopping.perform(deadline).await {},
                    None => std::future::pending::<()>().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut gone, if !is_gone => {
                    // The control group goes with the process: read it while it is there.
                    is_gone = true;
                    view.send_modify(|view| view.is_gone = true);
                    oom_kills = watched.cgroups.as_ref().and_then(Cgroups::oom_kills);
                    // Nobody is left to take the stop signal.
                    stopping.delivered.store(true, Ordering::Relaxed);
                }
                exit = &mut ended => {
                    if let Some(process) = watched.process.as_ref().filter(|_| !is_gone) {
                        process.outlived().await;
                        oom_kills = watched.cgroups.as_ref().and_then(Cgroups::oom_kills);
                    }
                    return SeenExit { exit, oom_kills, engine: watch.engine_seen() };
                }
                Some(Command::Destroy(kill)) = self.commands.recv() => {
                    self.step(Event::Destroy(Cause::Killed(kill)));
                    self.kill = Some(kill);
                    stop = Some(deadline(kill));
                }
                () = perform => {}
            }
        }
    }
}

/// How the run that started at `started_at` ended, if it is over by this inspection: also where the container runs
/// again, since a wait would be for the end of that.
pub(crate) fn over(inspection: Option<&Inspection>, started_at: &EngineTime) -> Option<Exit> {
    match judge(inspection, started_at) {
        Seen::Running => None,
        Seen::Ended(exit) => Some(exit),
    }
}

/// What an inspection says of the run that started at `started_at`.
fn judge(inspection: Option<&Inspection>, started_at: &EngineTime) -> Seen {
    match inspection {
        None => Seen::Ended(Exit::Unknown(Unknown::RemovedOutside)),
        Some(now) if now.state.started_at != *started_at => {
            Seen::Ended(Exit::Unknown(Unknown::RestartedOutside))
        }
        Some(now) if now.state.running || now.state.restarting => Seen::Running,
        Some(now) => Seen::Ended(Exit::Code(now.state.exit_code)),
    }
}

/// When SIGKILL follows a kill of now.
fn deadline(kill: Kill) -> Instant {
    let now = Instant::now();
    now.checked_add(kill.grace).unwrap_or(now + LONGEST_GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_beyond_time_is_long_and_no_panic() {
        assert!(deadline(Kill { grace: Duration::MAX }) > Instant::now() + Duration::from_secs(1 << 20));
    }
}
