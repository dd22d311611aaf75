//! The owner of one task: waits for what happens to it and tells what follows.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use docker_containerizer::{
    Containerizer, Handle, Identity, Kill, Progress, RemovalDelay, Running, Termination,
};
use mesos_proto::{Message, v1};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::layout::RunLayout;
use crate::outcome::{KillCause, outcome};
use crate::record::{KillRecord, Phase, Record, RecordStore, unix_ns};
use crate::status::StatusMaker;
use crate::supervisor::{KillRequest, TaskKilling, Update};

/// The owner of one task.
pub(crate) struct Loop {
    pub(crate) containerizer: Containerizer,
    pub(crate) identity: Identity,
    pub(crate) handle: Handle,
    pub(crate) progress: Option<mpsc::Receiver<Progress>>,
    pub(crate) record: Record,
    pub(crate) store: RecordStore,
    pub(crate) maker: StatusMaker,
    pub(crate) grace: Duration,
    pub(crate) max_completion: Option<Duration>,
    pub(crate) task_killing: TaskKilling,
    pub(crate) removal: RemovalDelay,
    pub(crate) layout: RunLayout,
}

/// What the loop waits for.
enum Event {
    Progress(Option<Progress>),
    Running(Option<Running>),
    Kill(KillRequest),
    CompletionTime,
    Terminated(Option<Arc<Termination>>),
}

impl Loop {
    /// Carries the task to its terminal status.
    pub(crate) async fn run(mut self, updates: mpsc::Sender<Update>, mut kills: mpsc::Receiver<KillRequest>) {
        // An adopted task whose TASK_RUNNING was told goes on silently.
        let mut told_running = self.record.phase == Phase::Running;
        // Before TASK_STARTING the agent has the task, and no executor could send TASK_KILLING.
        let mut told_starting = self.progress.is_none();
        let mut completion =
            self.record.completion_deadline_ns.filter(|_| self.record.kill.is_none()).map(instant_of);
        if let Some(kill) = self.record.kill {
            self.containerizer.destroy(self.identity.container_id, kill.left());
        }
        loop {
            match self.next(&mut kills, told_running, completion).await {
                Event::Progress(None) => self.progress = None,
                // A courtesy, both: a listener that is slow misses news, and kills are still read.
                Event::Progress(Some(Progress::Fetch(event))) => {
                    let _ = updates.try_send(Update::Fetch(event));
                }
                Event::Progress(Some(Progress::Pull(news))) => {
                    let _ = updates.try_send(Update::Pull(news));
                }
                Event::Progress(Some(Progress::Warnings(warnings))) => {
                    for warning in warnings {
                        send(&updates, Update::Warning(warning)).await;
                    }
                }
                Event::Progress(Some(Progress::Prepared)) => {
                    told_starting = true;
                    send(&updates, Update::Status(Box::new(self.maker.starting()))).await;
                }
                Event::Running(running) => {
                    told_running = true;
                    if let Some(running) = running {
                        completion = self.started(&running).filter(|_| self.record.kill.is_none());
                        // A kill that came while the container was started counts: RUNNING never follows KILLING
                        // (`killed` in `src/docker/executor.cpp`).
                        if self.record.kill.is_none() {
                            let status = Box::new(self.maker.running(&running));
                            send(&updates, Update::Running(status, Box::new(running))).await;
                        }
                    }
                }
                Event::Kill(request) => {
                    let grace = request.grace.unwrap_or(self.grace);
                    let is_first = self.record.kill.is_none();
                    // A task that is being killed does not run out of time any more.
                    completion = None;
                    self.kill(KillCause::Framework, Kill { grace });
                    if is_first && told_starting && self.task_killing == TaskKilling::Sent {
                        send(&updates, Update::Status(Box::new(self.maker.killing()))).await;
                    }
                }
                Event::CompletionTime => {
                    completion = None;
                    self.kill(KillCause::CompletionTime, Kill { grace: Duration::ZERO });
                }
                Event::Terminated(termination) => {
                    let Some(termination) = termination else { return };
                    let outcome = outcome(&termination, self.record.kill.map(|kill| kill.cause));
                    let status = self.maker.terminal(&outcome);
                    self.ended(&status);
                    let termination = Box::new((*termination).clone());
                    send(&updates, Update::Terminal(Box::new(status), Box::new(outcome), termination)).await;
                    return;
                }
            }
        }
    }

    /// Waits for the next event. What comes first in a task's life is taken first.
    async fn next(
        &mut self,
        kills: &mut mpsc::Receiver<KillRequest>,
        told_running: bool,
        completion: Option<Instant>,
    ) -> Event {
        let mut handle = self.handle.clone();
        tokio::select! {
            biased;
            Some(request) = kills.recv() => Event::Kill(request),
            progress = next_progress(&mut self.progress) => Event::Progress(progress),
            running = self.handle.running(), if !told_running => Event::Running(running),
            termination = handle.terminated(), if told_running => Event::Terminated(termination),
            () = sleep_until(completion.unwrap_or_else(Instant::now)), if completion.is_some() => Event::CompletionTime,
        }
    }

    /// Records that the task runs; answers when it must have completed.
    fn started(&mut self, running: &Running) -> Option<Instant> {
        self.record.phase = Phase::Running;
        self.record.engine_id = Some(running.engine_id.clone());
        self.record.started_at = Some(running.started_at.as_str().to_owned());
        // A run that is adopted before it was told keeps what the launch knew.
        let image = self.record.image.get_or_insert_with(|| running.image.as_str().to_owned());
        self.maker.ran(Some(image.clone()));
        if self.record.completion_deadline_ns.is_none() {
            self.record.completion_deadline_ns =
                self.max_completion.map(|longest| unix_ns(SystemTime::now() + longest));
        }
        self.write();
        self.record.completion_deadline_ns.map(instant_of)
    }

    /// Records a kill, then performs it. The first cause stays, whoever kills again.
    fn kill(&mut self, cause: KillCause, kill: Kill) {
        let cause = self.record.kill.map_or(cause, |first| first.cause);
        self.record.kill = Some(KillRecord::now(cause, kill));
        self.write();
        self.containerizer.destroy(self.identity.container_id, kill);
    }

    fn ended(&mut self, status: &v1::TaskStatus) {
        self.record.phase = Phase::Terminal;
        self.record.terminal_status = Some(status.encode_to_vec());
        self.record.removal_ns = match self.removal {
            RemovalDelay::After(delay) => Some(unix_ns(SystemTime::now() + delay)),
            RemovalDelay::Never => None,
        };
        self.write();
    }

    /// Writes the record. A disk that fails is told and does not stop the task: without a record the next process
    /// finds the container by its labels.
    fn write(&self) {
        if let Err(error) = self.store.write(&self.record) {
            tracing::error!(
                container_id = %self.identity.container_id,
                task_id = %self.identity.task_id,
                error = docker_containerizer::chain(&error),
                "the supervision record was not written"
            );
        }
    }
}

async fn next_progress(progress: &mut Option<mpsc::Receiver<Progress>>) -> Option<Progress> {
    match progress {
        Some(progress) => progress.recv().await,
        None => std::future::pending().await,
    }
}

/// Sends an update; nobody has to listen.
async fn send(updates: &mpsc::Sender<Update>, update: Update) {
    if updates.send(update).await.is_err() {
        tracing::debug!("nobody listens to a task's updates");
    }
}

fn instant_of(deadline_ns: u64) -> Instant {
    let now = unix_ns(SystemTime::now());
    Instant::now() + Duration::from_nanos(deadline_ns.saturating_sub(now))
}
