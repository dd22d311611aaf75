//! Commands beside a process of this machine: those of tasks without an image.
//!
//! A command runs in the task's sandbox, with its environment, as its user and in its control groups
//! ([`mesos_containerizer::aside`]); stock's `mesos-executor` runs it as its child (`CheckerProcess::commandCheck` in
//! `src/checks/checker_process.cpp`). Its time begins when it was executed, so a busy machine counts against no timeout.
//! One that could not be killed, as it hangs in the kernel, is kept in mind, and the check is not made again before it is
//! gone. Nothing outlives the agent, so nothing is to be found after an adoption.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use mesos_containerizer::aside::{Aside, AsideEnd, AsideError, AsideOrder};
use mesos_types::CommandProbe;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::command::{ended, with_words};
use super::seconds;
use crate::counts::Counters;
use crate::judge::Asked;
use crate::output::{KEPT, last_words};
use crate::runner::{Shared, Turn};
use crate::target::Process;

/// How long a command that was killed may take to go.
const GOING: Duration = Duration::from_secs(5);

/// The exit codes that say that a command cannot be executed.
const NOT_EXECUTED: [i32; 2] = [126, 127];

/// The command of one check, made again and again.
#[derive(Debug)]
pub(super) struct Beside {
    process: Process,
    probe: CommandProbe,
    /// One that was killed and does not go.
    left: Option<Aside>,
}

impl Beside {
    /// The commands of one check of a task.
    pub(super) fn new(process: Process, probe: CommandProbe) -> Self {
        Self { process, probe, left: None }
    }

    /// Runs the command once; see [`super::Prober::ask`].
    pub(super) async fn ask(
        &mut self,
        shared: &Shared,
        limit: Option<Duration>,
        given_up: &CancellationToken,
        turn: &mut Turn<'_>,
    ) -> Asked {
        if let Some(left) = &mut self.left {
            if timeout(Duration::ZERO, left.gone()).await.is_err() {
                return Asked::Unanswered(
                    "the command of an earlier check still runs and cannot be killed".to_owned(),
                );
            }
            self.left = None;
        }
        let deadline = shared.settings.engine_deadline;
        let starting = timeout(deadline, Aside::start(&self.process.surroundings, self.order()));
        let mut command = match given_up.run_until_cancelled(starting).await {
            None => return Asked::Aborted,
            Some(Err(_)) => {
                return Asked::NotDone(format!("the command was not started within {}", seconds(deadline)));
            }
            Some(Ok(Err(error))) => return not_started(&error),
            Some(Ok(Ok(command))) => command,
        };
        let out_of_time = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let mut out_of_time = std::pin::pin!(out_of_time);
        // The others need not wait for a command that is slow.
        let mut turn_is_over = std::pin::pin!(sleep(shared.settings.longest_turn));
        loop {
            tokio::select! {
                biased;
                () = given_up.cancelled() => {
                    self.end(command, shared).await;
                    return Asked::Aborted;
                }
                end = command.ended() => return match end {
                    Ok(end) => judge(&end),
                    Err(error) => {
                        self.end(command, shared).await;
                        Asked::NotDone(containerizer::chain(&error))
                    }
                },
                () = &mut out_of_time => {
                    Counters::add(&shared.counters.timed_out);
                    let end = self.end(command, shared).await;
                    let words = end.map(|end| last_words(&end.stdout, &end.stderr)).unwrap_or_default();
                    let limit = seconds(limit.unwrap_or_default());
                    let why = format!("the command did not end within {limit}");
                    return Asked::Unanswered(with_words(why, &words));
                }
                () = &mut turn_is_over, if !turn.has_ended() => turn.end(),
            }
        }
    }

    /// Waits until a command that is left is gone, for a while: it is killed, and goes when the kernel lets it.
    pub(super) async fn clear(&mut self) {
        let Some(left) = &mut self.left else { return };
        if timeout(GOING, left.gone()).await.is_err() {
            let sandbox = self.process.surroundings.sandbox.display();
            tracing::warn!(%sandbox, "a command of a check is killed and does not go");
        }
        self.left = None;
    }

    /// Kills a command with all that it has started, and keeps one in mind that does not go.
    async fn end(&mut self, mut command: Aside, shared: &Shared) -> Option<AsideEnd> {
        Counters::add(&shared.counters.killed_commands);
        command.kill();
        let going = async {
            let end = command.ended().await.ok();
            command.gone().await;
            end
        };
        let end = timeout(GOING, going).await;
        if end.is_err() {
            Counters::add(&shared.counters.left_commands);
            self.left = Some(command);
        }
        end.ok().flatten()
    }

    fn order(&self) -> AsideOrder {
        let environment = self.probe.environment.iter();
        AsideOrder {
            executable: self.probe.program.clone(),
            arguments: self.probe.argv.clone(),
            environment: environment.map(|one| (one.name().to_owned(), one.value().to_owned())).collect(),
            identity: None,
            kept: KEPT,
        }
    }
}

/// What it means that a command was not started: it is the task's fault where there is no such file.
fn not_started(error: &AsideError) -> Asked {
    match error {
        AsideError::Start(failure) if NOT_EXECUTED.contains(&failure.exit_code) => {
            ended(failure.exit_code.into(), &failure.to_string())
        }
        _ => Asked::NotDone(containerizer::chain(error)),
    }
}

/// What the end of a command means; a signal is told as shells do.
fn judge(end: &AsideEnd) -> Asked {
    let code = end.status.code().or(end.status.signal().map(|signal| 128 + signal));
    let words = last_words(&end.stdout, &end.stderr);
    match code {
        Some(code) => ended(code.into(), &words),
        // Neither ended nor killed: no end that wait(2) tells without being asked for more.
        None => Asked::NotDone(with_words("the command has not ended".to_owned(), &words)),
    }
}
