//! Following tasks to their end: one loop over what the tasks tell, signals, the time limit and other programs' kills.

use std::future::pending;
use std::time::Duration;

use docker_containerizer::logs::LogChunk;
use mesos_types::ContainerId;
use task_supervisor::{KillRequest, Outcome, Supervisor, TaskHandle, Update};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::control::{self, Asked};
use super::show::Show;
use crate::failure::OURS;
use crate::runs::{OwnedRun, Reply};

/// The exit code of a run that was ended by `--timeout`, as `timeout` has it.
const TIMED_OUT: u8 = 124;

/// How many messages of all tasks may wait to be shown.
const MESSAGES: usize = 256;

/// How long the next piece of the last output may take.
const LAST_OUTPUT: Duration = Duration::from_secs(10);

/// A task that is followed.
pub(crate) struct Followed {
    /// The task's id.
    pub(crate) name: String,
    pub(crate) container_id: ContainerId,
    pub(crate) handle: TaskHandle,
    pub(crate) output: mpsc::Receiver<LogChunk>,
    pub(crate) output_end: OutputEnd,
}

/// How it is known that a task's output is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputEnd {
    /// All of it is there before the end of the task is told.
    WithTheTask,
    /// Its channel is closed then; the end of the task is told after that.
    ByItself,
}

/// What a task tells.
enum Message {
    Output(LogChunk),
    Update(Update),
}

/// What is printed, by a thread of its own: a reader that makes us wait must not keep us from signals and kills.
enum Line {
    Of(usize, String, Message),
    Ending(&'static str),
}

/// What is known of a task while it is followed.
struct Task {
    name: String,
    container_id: ContainerId,
    kills: mpsc::Sender<KillRequest>,
    exit_code: Option<u8>,
    asked: Vec<oneshot::Sender<Reply>>,
}

/// Why everything is being killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// A signal with this number came.
    Signal(u8),
    /// The time limit passed.
    Timeout,
}

/// The signals that end a run. They are caught from the moment that this exists, so it is made before the first task is
/// launched or adopted: a Ctrl-C in between must not leave a container behind.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupts: Option<Signal>,
    terminations: Option<Signal>,
}

impl Signals {
    /// Catches Ctrl-C and SIGTERM from now on.
    pub(crate) fn listen() -> Self {
        Self { interrupts: listen(SignalKind::interrupt()), terminations: listen(SignalKind::terminate()) }
    }
}

/// Follows tasks until each has ended and its container is removed; answers the exit code.
pub(crate) async fn follow(
    supervisor: &Supervisor,
    runs: Vec<OwnedRun>,
    signals: Signals,
    show: Show,
    followed: Vec<Followed>,
    limit: Option<Duration>,
) -> u8 {
    let (messages, mut told) = mpsc::channel(MESSAGES);
    let mut tasks = Vec::with_capacity(followed.len());
    for (at, task) in followed.into_iter().enumerate() {
        let Followed { name, container_id, handle, output, output_end } = task;
        tasks.push(Task { name, container_id, kills: handle.kills, exit_code: None, asked: Vec::new() });
        tokio::spawn(forward(at, handle.updates, (output, output_end), messages.clone()));
    }
    drop(messages);
    let (printer, printed) = print(show);
    let mut asked = control::serve(&runs);
    let Signals { mut interrupts, mut terminations } = signals;
    let time_limit = limit.map(|limit| Instant::now() + limit);
    let mut ending = None;
    loop {
        let signal = tokio::select! {
            // A message is taken only when there is room to print it.
            (room, message) = async { (printer.reserve().await, told.recv().await) } => match message {
                Some((at, message)) => {
                    if let Some(task) = tasks.get_mut(at) {
                        if let Message::Update(Update::Terminal(_, outcome, _)) = &message {
                            end(task, outcome);
                        }
                        if let Ok(room) = room {
                            room.send(Line::Of(at, task.name.clone(), message));
                        }
                    }
                    continue;
                }
                None => break,
            },
            Some(asked) = asked.recv() => {
                kill_asked(&mut tasks, asked);
                continue;
            }
            () = next_signal(&mut interrupts) => Ending::Signal(2),
            () = next_signal(&mut terminations) => Ending::Signal(15),
            () = sleep_until(time_limit.unwrap_or_else(Instant::now)), if time_limit.is_some() && ending.is_none() => {
                Ending::Timeout
            }
        };
        let grace = ending.map(|_| Duration::ZERO);
        // Nobody reads it where there is no room.
        let _ = printer.try_send(Line::Ending(match (signal, grace) {
            (Ending::Timeout, _) => "the time is up: killing the tasks",
            (Ending::Signal(_), None) => "killing the tasks; once more to kill at once",
            (Ending::Signal(_), Some(_)) => "killing the tasks at once",
        }));
        ending.get_or_insert(signal);
        for task in &tasks {
            // A task that has ended takes no kill; one with kills enough needs no more.
            let _ = task.kills.try_send(KillRequest::new(grace));
        }
    }
    drop(printer);
    // A signal here is for what is left to print and to remove; `cleanup` does what is not done then.
    tokio::select! {
        () = async {
            // A printer that is gone has printed what it could.
            let _ = printed.await;
            supervisor.containerizer().settled().await;
        } => {}
        () = next_signal(&mut interrupts) => tracing::warn!("left before everything was printed and removed"),
        () = next_signal(&mut terminations) => tracing::warn!("left before everything was printed and removed"),
    }
    runs.into_iter().for_each(OwnedRun::end);
    exit_code(ending, &tasks)
}

/// Hands on what a task tells, its output before what came after it.
async fn forward(
    at: usize,
    mut updates: mpsc::Receiver<Update>,
    (mut output, output_end): (mpsc::Receiver<LogChunk>, OutputEnd),
    messages: mpsc::Sender<(usize, Message)>,
) {
    loop {
        let message = tokio::select! {
            biased;
            Some(chunk) = output.recv() => Message::Output(chunk),
            update = updates.recv() => match update {
                Some(update) => {
                    let is_last = matches!(update, Update::Terminal(..)) && output_end == OutputEnd::ByItself;
                    while is_last && let Ok(Some(chunk)) = timeout(LAST_OUTPUT, output.recv()).await {
                        if messages.send((at, Message::Output(chunk))).await.is_err() {
                            return;
                        }
                    }
                    Message::Update(update)
                }
                None => return,
            },
        };
        if messages.send((at, message)).await.is_err() {
            return;
        }
    }
}

/// Starts the printer. It ends when its sender is dropped, and says so.
fn print(mut show: Show) -> (mpsc::Sender<Line>, oneshot::Receiver<()>) {
    let (printer, mut lines) = mpsc::channel(MESSAGES);
    let (done, printed) = oneshot::channel();
    std::thread::spawn(move || {
        while let Some(line) = lines.blocking_recv() {
            match line {
                Line::Of(at, name, Message::Output(chunk)) => show.output(at, &name, &chunk),
                Line::Of(at, name, Message::Update(update)) => show.update(at, &name, &update),
                Line::Ending(text) => show.ending(text),
            }
        }
        show.finish();
        // Whoever waited may have left.
        let _ = done.send(());
    });
    (printer, printed)
}

fn end(task: &mut Task, outcome: &Outcome) {
    task.exit_code = Some(outcome.exit_code);
    for asked in task.asked.drain(..) {
        let state = outcome.state.as_str_name().to_owned();
        // Whoever asked may have left.
        let _ = asked.send(Reply::Ended { state });
    }
}

fn kill_asked(tasks: &mut [Task], asked: Asked) {
    let found =
        tasks.iter_mut().find(|task| task.container_id == asked.container_id && task.exit_code.is_none());
    match found {
        Some(task) => {
            let _ = task.kills.try_send(KillRequest::new(asked.grace));
            task.asked.push(asked.reply);
        }
        None => drop(asked.reply.send(Reply::Unknown)),
    }
}

/// The first exit code that is not 0, unless a signal or the time limit ended the run.
fn exit_code(ending: Option<Ending>, tasks: &[Task]) -> u8 {
    match ending {
        Some(Ending::Timeout) => TIMED_OUT,
        Some(Ending::Signal(number)) => 128 + number,
        // A task that ended without a word has not succeeded.
        None => tasks.iter().map(|task| task.exit_code.unwrap_or(OURS)).find(|code| *code != 0).unwrap_or(0),
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind).inspect_err(|error| tracing::warn!(%error, "a signal cannot be listened for")).ok()
}

async fn next_signal(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: u8) -> Task {
        Task {
            name: "t".into(),
            container_id: ContainerId::random(),
            kills: mpsc::channel(1).0,
            exit_code: Some(code),
            asked: Vec::new(),
        }
    }

    #[rstest::rstest]
    #[case(None, &[0, 0], 0)]
    #[case(None, &[0, 3, 4], 3)]
    #[case(None, &[], 0)]
    #[case(Some(Ending::Timeout), &[137], 124)]
    #[case(Some(Ending::Signal(2)), &[0], 130)]
    #[case(Some(Ending::Signal(15)), &[0], 143)]
    fn the_exit_code_is_the_first_that_is_not_0(
        #[case] ending: Option<Ending>,
        #[case] codes: &[u8],
        #[case] expected: u8,
    ) {
        let tasks: Vec<_> = codes.iter().map(|&code| ended(code)).collect();
        assert_eq!(exit_code(ending, &tasks), expected);
    }

    #[test]
    fn a_task_that_ended_without_a_word_has_not_succeeded() {
        let silent = Task { exit_code: None, ..ended(0) };
        assert_eq!(exit_code(None, &[ended(0), silent]), OURS);
    }
}
