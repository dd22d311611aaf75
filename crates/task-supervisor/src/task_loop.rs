//! The owner of one task: waits for what happens to it, asks the [`Machine`] what follows, and does that.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use checks::CheckUpdate;
use docker_containerizer::{Identity, Kill, Progress as Told, RemovalDelay, Termination};
use mesos_proto::{Message, v1};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::checking::{Checking, Said, Which};
use crate::composing::{Composing, Handle, Progress, Running};
use crate::layout::RunLayout;
use crate::machine::{Action, Event, Killing, Life, Machine, News};
use crate::order::{KillRequest, Update};
use crate::outbox::Outbox;
use crate::outcome::outcome;
use crate::record::{KillRecord, Phase, ProcessRecord, Record, RecordStore, unix_ns};
use crate::status::StatusMaker;

/// The owner of one task.
pub(crate) struct Loop {
    pub(crate) containerizers: Composing,
    pub(crate) identity: Identity,
    pub(crate) handle: Handle,
    pub(crate) progress: Option<Progress>,
    pub(crate) record: Record,
    pub(crate) store: RecordStore,
    pub(crate) maker: StatusMaker,
    pub(crate) machine: Machine,
    /// What is to be done first, of an adopted task.
    pub(crate) late: Vec<Action>,
    pub(crate) checking: Checking,
    pub(crate) max_completion: Option<Duration>,
    pub(crate) removal: RemovalDelay,
    pub(crate) layout: RunLayout,
}

/// What was seen of the container.
#[derive(Default)]
struct Seen {
    /// Whether it was waited for: it started, or ended without.
    is_waited: bool,
    running: Option<Running>,
    termination: Option<Arc<Termination>>,
    /// Whether its process is known to be gone.
    is_gone: bool,
    /// When the task has run for its longest time.
    time_up: Option<Instant>,
    /// Why the health check failed, for the status that tells it.
    why: Option<String>,
}

/// What the loop waits for.
enum Heard {
    Event(Event),
    Progress(Option<Told>),
    Check(Which, CheckUpdate),
    Running(Option<Running>),
    /// The container's process is gone.
    Gone,
    Terminated(Option<Arc<Termination>>),
    /// The container has had its stop signal.
    Signalled,
    /// Something that was told was taken.
    Taken,
}

impl Loop {
    /// Carries the task to its terminal status.
    pub(crate) async fn run(mut self, updates: mpsc::Sender<Update>, mut kills: mpsc::Receiver<KillRequest>) {
        let mut outbox = Outbox::new(updates);
        let mut seen = Seen::default();
        if let Some(kill) = self.record.kill {
            self.containerizers.destroy(self.identity.container_id, kill.left());
        }
        for action in std::mem::take(&mut self.late) {
            self.perform(action, &mut seen, &mut outbox);
        }
        while self.machine.life() != Life::Ended {
            let event = match self.next(&mut kills, &seen, &mut outbox).await {
                Heard::Event(event) => event,
                Heard::Progress(progress) => match self.heard(progress, &mut outbox) {
                    Some(event) => event,
                    None => continue,
                },
                Heard::Check(which, update) => {
                    match self.record.checks.get_or_insert_default().take(which, update) {
                        Said::Event(event, why) => {
                            seen.why = why;
                            event
                        }
                        Said::Note(line) => {
                            self.containerizers.note(self.identity.container_id, &line);
                            outbox.line(Update::Note(line));
                            continue;
                        }
                    }
                }
                Heard::Running(running) => {
                    seen.is_waited = true;
                    let Some(running) = running else { continue };
                    self.maker.reached(&running);
                    seen.running = Some(running);
                    Event::Started
                }
                Heard::Gone => {
                    seen.is_gone = true;
                    Event::Gone
                }
                // The runtime shuts down: the next process goes on.
                Heard::Terminated(None) => return,
                Heard::Terminated(termination) => {
                    seen.termination = termination;
                    Event::Terminated
                }
                Heard::Signalled => {
                    if let Some(kill) = &mut self.record.kill {
                        kill.signalled = true;
                        self.write();
                    }
                    continue;
                }
                Heard::Taken => continue,
            };
            if event == Event::TimeUp {
                seen.time_up = None;
            }
            for action in self.machine.step(event) {
                self.perform(action, &mut seen, &mut outbox);
            }
        }
        outbox.empty().await;
    }

    /// Waits for what happens next. What comes first in a task's life is taken first.
    async fn next(
        &mut self,
        kills: &mut mpsc::Receiver<KillRequest>,
        seen: &Seen,
        outbox: &mut Outbox,
    ) -> Heard {
        let (mut handle, mut stopped, mut gone) =
            (self.handle.clone(), self.handle.clone(), self.handle.clone());
        let is_due = self.record.kill.is_some_and(|kill| !kill.signalled);
        let time_up = seen.time_up;
        tokio::select! {
            biased;
            Some(request) = kills.recv() => Heard::Event(Event::Kill(request.cause, request.grace)),
            progress = next_progress(&mut self.progress) => Heard::Progress(progress),
            running = self.handle.running(), if !seen.is_waited => Heard::Running(running),
            () = gone.gone(), if seen.is_waited && !seen.is_gone => Heard::Gone,
            termination = handle.terminated(), if seen.is_waited => Heard::Terminated(termination),
            () = stopped.signalled(), if is_due => Heard::Signalled,
            () = sleep_until(time_up.unwrap_or_else(Instant::now)), if time_up.is_some() => Heard::Event(Event::TimeUp),
            (which, update) = self.checking.next() => Heard::Check(which, update),
            () = outbox.hand_over(), if !outbox.is_empty() => Heard::Taken,
        }
    }

    /// Hands on how far the launch is.
    fn heard(&mut self, told: Option<Told>, outbox: &mut Outbox) -> Option<Event> {
        match told {
            None => self.progress = None,
            Some(Told::Fetch(event)) => outbox.courtesy(Update::Fetch(event)),
            Some(Told::Pull(news)) => outbox.courtesy(Update::Pull(news)),
            Some(Told::Warnings(warnings)) => {
                warnings.into_iter().for_each(|warning| outbox.line(Update::Warning(warning)));
            }
            Some(Told::Prepared) => return Some(Event::Prepared),
        }
        None
    }

    fn perform(&mut self, action: Action, seen: &mut Seen, outbox: &mut Outbox) {
        match action {
            Action::NoteStarted => {
                if let Some(running) = &seen.running {
                    self.started(running);
                }
            }
            Action::Tell(news) => self.tell(news, seen, outbox),
            Action::Limit => {
                let is_killed = self.record.kill.is_some();
                seen.time_up = self.record.completion_deadline_ns.filter(|_| !is_killed).map(instant_of);
            }
            Action::Unlimit => seen.time_up = None,
            Action::StartChecks => {
                if let Some(running) = &seen.running {
                    let record = self.record.checks.clone().unwrap_or_default();
                    let id = self.identity.container_id;
                    self.checking.start(&self.containerizers, id, running, &record);
                }
            }
            Action::PauseChecks => self.checking.pause(),
            Action::StopChecks => self.checking.stop(),
            Action::Stop(killing) => self.stop(killing),
        }
    }

    fn tell(&mut self, news: News, seen: &mut Seen, outbox: &mut Outbox) {
        match news {
            News::Starting => outbox.state(Update::Status(Box::new(self.maker.starting()))),
            News::Running => {
                if let Some(running) = &seen.running {
                    let status = Box::new(self.maker.running(running));
                    outbox.state(Update::Running(status, Box::new(running.clone())));
                }
            }
            News::Health(healthy) => {
                self.record.checks.get_or_insert_default().healthy = Some(healthy);
                self.write();
                outbox.checks(Update::Status(Box::new(self.maker.health(healthy, seen.why.take()))));
            }
            News::Checked(check) => {
                self.write();
                outbox.checks(Update::Status(Box::new(self.maker.checked(check))));
            }
            News::Killing => outbox.state(Update::Status(Box::new(self.maker.killing()))),
            News::Terminal => {
                let Some(termination) = &seen.termination else { return };
                let outcome =
                    outcome(self.record.containerizer, termination, self.record.kill.map(|kill| kill.cause));
                let status = self.maker.terminal(&outcome);
                self.ended(&status);
                let termination = Box::new((**termination).clone());
                outbox.state(Update::Terminal(Box::new(status), Box::new(outcome), termination));
            }
        }
    }

    /// Records that the task runs, and when it must have completed.
    fn started(&mut self, running: &Running) {
        // What an earlier process has recorded stays: somebody may have started the container again meanwhile.
        if self.record.phase == Phase::Running {
            return;
        }
        self.record.phase = Phase::Running;
        match running {
            Running::Docker(running) => {
                self.record.engine_id = Some(running.engine_id.clone());
                self.record.started_at = Some(running.started_at.as_str().to_owned());
                // A run that is adopted before it was told keeps what the launch knew.
                let image = self.record.image.get_or_insert_with(|| running.image.as_str().to_owned());
                self.maker.ran(Some(image.clone()));
            }
            Running::Plain(process) => {
                let started_ns = unix_ns(running.started_at());
                self.record.process = Some(ProcessRecord { pid: process.pid, started_ns });
            }
        }
        if self.record.completion_deadline_ns.is_none() {
            self.record.completion_deadline_ns =
                self.max_completion.map(|longest| unix_ns(running.started_at() + longest));
        }
        self.write();
    }

    /// Records a kill, then performs it.
    fn stop(&mut self, killing: Killing) {
        let kill = Kill { grace: killing.grace };
        // One signal is enough, however often the grace changes.
        let signalled = self.record.kill.is_some_and(|kill| kill.signalled);
        self.record.kill = Some(KillRecord { signalled, ..KillRecord::now(killing.cause, kill) });
        self.write();
        self.containerizers.destroy(self.identity.container_id, kill);
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

async fn next_progress(progress: &mut Option<Progress>) -> Option<Told> {
    match progress {
        Some(progress) => progress.next().await,
        None => std::future::pending().await,
    }
}

fn instant_of(deadline_ns: u64) -> Instant {
    let now = unix_ns(SystemTime::now());
    Instant::now() + Duration::from_nanos(deadline_ns.saturating_sub(now))
}
