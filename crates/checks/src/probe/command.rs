//! Commands in the container, by exec.
//!
//! ```text
//! create ─► start ─► output … ─► its end ─► exit code
//!                      │ a look from time to time, and when the time is up:
//!                      ├ ended: its exit code, whatever holds the output open
//!                      ├ not begun: the engine is slow, and the time has not begun either
//!                      └ too old: killed with all that it has started
//! ```
//!
//! The time of a command is the age of its processes, where they can be seen, so the engine's slowness counts against no
//! timeout. Where they cannot be seen, the time begins when the engine first says that the command runs.
//!
//! The engine cannot end a command (`moby` has no call for it). On a host whose processes are in sight they are killed
//! from here ([`crate::processes`]). Elsewhere a second command of the same user does it from within the container: it
//! looks for the mark in `/proc/*/environ`, which needs `sh`, `tr` and `grep` in the image. (Root is no use there: it may not
//! look into processes of other users without CAP_SYS_PTRACE, which containers do not have.) A command that could not be killed is kept in
//! mind, and the check is not made again before it is gone: no more than one is ever left in a container for each check.
//! One that an earlier process has left is found by its mark, where processes are in sight, and killed before the first.

use std::time::Duration;

use docker_engine::{EngineError, ErrorKind, ExecHandle, ExecRequest, ExecState};
use mesos_types::CommandProbe;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::seconds;
use crate::counts::Counters;
use crate::judge::{Answer, Asked};
use crate::output::{KEPT, last_words};
use crate::processes::{Family, Killed, MARK, Root, reclaim};
use crate::runner::{Shared, Turn};
use crate::target::Container;

/// The pauses between looks at a command that runs.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(10);

/// The pauses between looks at a command whose output has ended or that was killed: its code follows in a moment.
const FIRST_ASK: Duration = Duration::from_millis(2);
const LAST_ASK: Duration = Duration::from_millis(200);

/// How long the engine may take to say how a command is whose time seems to be up.
const LOOK: Duration = Duration::from_secs(5);

/// How long a command that was killed may take to go, and how far the engine may be behind the end of one.
const GOING: Duration = Duration::from_secs(5);

/// Kills the processes with a mark from within a container. A line of `/proc/<pid>/environ` ends with a NUL, behind which
/// some implementations of grep see nothing.
const KILL_WITHIN: &str = r#"for e in /proc/[0-9]*/environ; do
tr '\000' '\n' <"$e" 2>/dev/null | grep -q -F -x -e "$1" && p=${e%/environ} && kill -9 "${p#/proc/}" 2>/dev/null
done 2>/dev/null; true"#;

/// The command of one check, made again and again.
#[derive(Debug)]
pub(super) struct Commands {
    probe: CommandProbe,
    /// What the marks of its commands begin with, `MESOS_CHECK_RUN=health-`.
    mark: String,
    /// Whether an earlier process may have left one.
    is_adopted: bool,
    /// One that may still run.
    left: Option<Command>,
}

/// One run of the command.
#[derive(Debug, Clone)]
struct Command {
    exec: ExecHandle,
    /// `MESOS_CHECK_RUN=...`.
    mark: String,
    /// Who it runs as.
    user: Option<String>,
    /// Its process, once the engine has told it.
    root: Option<Root>,
    /// When it was first seen running; for hosts whose processes are out of sight.
    seen: Option<Instant>,
}

/// What a look shows.
enum Look {
    /// It has not begun.
    NotBegun,
    /// It has been running for this long.
    Runs(Duration),
    /// It ended.
    Ended(i64),
    /// The engine does not say. A sentence.
    Unknown(String),
}

impl Commands {
    /// The commands of the check of this name, which no other check of the container has.
    pub(super) fn new(probe: CommandProbe, name: &str, is_adopted: bool) -> Self {
        Self { probe, mark: format!("{MARK}={name}-"), is_adopted, left: None }
    }

    /// Runs the command once; see [`super::Prober::ask`].
    pub(super) async fn ask(
        &mut self,
        shared: &Shared,
        target: &Container,
        timeout: Option<Duration>,
        given_up: &CancellationToken,
        turn: &mut Turn<'_>,
    ) -> Asked {
        if std::mem::take(&mut self.is_adopted) {
            self.reclaim(shared, target).await;
        }
        if let Some(left) = self.left.take() {
            match left.end(shared, target).await {
                Ok(true) => {}
                Ok(false) => {
                    self.keep(left, shared);
                    return Asked::Unanswered(
                        "the command of an earlier check still runs and cannot be killed".to_owned(),
                    );
                }
                Err(why) => {
                    self.left = Some(left);
                    return Asked::NotDone(why);
                }
            }
        }
        let mark = format!("{}{}", self.mark, uuid::Uuid::new_v4());
        let deadline = shared.settings.engine_deadline;
        let request = self.request(&mark);
        let created = target.engine.exec_create(&target.id, &request, deadline).await;
        let exec = match created {
            Ok(exec) => exec,
            Err(error) => return refused(&error),
        };
        if given_up.is_cancelled() {
            return Asked::Aborted;
        }
        let user = request.user;
        let mut command = Command { exec, mark, user, root: None, seen: None };
        let asked = command.run(shared, target, timeout, given_up, turn).await;
        match asked {
            Ok(asked) => asked,
            Err((asked, left)) => {
                if left {
                    self.keep(command, shared);
                }
                asked
            }
        }
    }

    /// Ends a command that is left.
    pub(super) async fn clear(&mut self, shared: &Shared, target: &Container) {
        let mut pause = FIRST_LOOK;
        // A command goes with its container at the latest, so this need not be tried for ever.
        for _ in 0..10 {
            let Some(left) = &self.left else { return };
            if target.has_ended() || matches!(left.end(shared, target).await, Ok(true)) {
                self.left = None;
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
        tracing::warn!(container = target.id, "a command of a check is left in a container");
    }

    /// Kills what an earlier process has left, where it is in sight.
    async fn reclaim(&self, shared: &Shared, target: &Container) {
        let Some(init) = target.init else { return };
        let (container, mark) = (target.id.clone(), self.mark.clone());
        let killed = shared.look_through(move || reclaim(&container, init, &mark)).await;
        if killed.is_some_and(|killed| killed > 0) {
            Counters::add(&shared.counters.killed_commands);
            tracing::info!(container = target.id, "a command of a check was left and is killed");
        }
    }

    fn keep(&mut self, command: Command, shared: &Shared) {
        Counters::add(&shared.counters.left_commands);
        self.left = Some(command);
    }

    fn request(&self, mark: &str) -> ExecRequest {
        let mut env: Vec<String> = self
            .probe
            .environment
            .iter()
            .map(|variable| format!("{}={}", variable.name(), variable.value()))
            .collect();
        env.push(mark.to_owned());
        let mut request = ExecRequest::new(self.probe.argv.clone());
        request.env = env.into();
        request.user.clone_from(&self.probe.user);
        request
    }
}

impl Command {
    /// Starts it and carries it to its end. An error says also whether it may still run.
    async fn run(
        &mut self,
        shared: &Shared,
        target: &Container,
        timeout: Option<Duration>,
        given_up: &CancellationToken,
        turn: &mut Turn<'_>,
    ) -> Result<Asked, (Asked, bool)> {
        let deadline = shared.settings.engine_deadline;
        let output = match target.engine.exec_start(&self.exec, deadline).await {
            Ok(output) => output,
            Err(error) if error.outcome_unknown() => return Err((refused(&error), true)),
            Err(error) => return Ok(self.not_started(&error, target, deadline).await),
        };
        let asked = Instant::now();
        let mut read = std::pin::pin!(output.read(KEPT));
        let (mut words, mut is_read) = (String::new(), false);
        let mut pause = FIRST_LOOK;
        let mut next = asked + timeout.map_or(pause, |timeout| pause.min(timeout));
        loop {
            tokio::select! {
                biased;
                () = given_up.cancelled() => {
                    Counters::add(&shared.counters.killed_commands);
                    let gone = matches!(self.end(shared, target).await, Ok(true));
                    return if gone { Ok(Asked::Aborted) } else { Err((Asked::Aborted, true)) };
                }
                output = &mut read, if !is_read => {
                    is_read = true;
                    if let Ok((stdout, stderr)) = &output {
                        words = last_words(stdout, stderr);
                    }
                    // The code follows in a moment; without a proper end the engine is asked what is.
                    pause = FIRST_ASK;
                    next = Instant::now();
                    continue;
                }
                () = sleep_until(next) => {}
            }
            let over = |ran: Duration| timeout.is_some_and(|timeout| ran >= timeout);
            let is_time_up = over(asked.elapsed());
            match self.look(shared, target, is_time_up).await {
                Look::Ended(code) => {
                    if !is_read
                        && let Ok(Ok((stdout, stderr))) = tokio::time::timeout(LAST_ASK, &mut read).await
                    {
                        words = last_words(&stdout, &stderr);
                    }
                    return Ok(ended(code, &words));
                }
                Look::Runs(ran) if over(ran) => {
                    let timeout = timeout.unwrap_or_default();
                    Counters::add(&shared.counters.timed_out);
                    Counters::add(&shared.counters.killed_commands);
                    let gone = matches!(self.end(shared, target).await, Ok(true));
                    if !is_read
                        && let Ok(Ok((stdout, stderr))) = tokio::time::timeout(LAST_ASK, &mut read).await
                    {
                        words = last_words(&stdout, &stderr);
                    }
                    let why =
                        with_words(format!("the command did not end within {}", seconds(timeout)), &words);
                    return if gone {
                        Ok(Asked::Unanswered(why))
                    } else {
                        Err((Asked::Unanswered(why), true))
                    };
                }
                Look::Runs(ran) => {
                    // One that runs on asks little of the engine: the others need not wait for its end.
                    let longest = shared.settings.longest_turn;
                    if ran >= longest {
                        turn.end();
                    }
                    pause = (pause * 2).min(LAST_LOOK);
                    let until = [timeout, (!turn.has_ended()).then_some(longest)];
                    let left = until.into_iter().flatten().map(|until| until.saturating_sub(ran)).min();
                    next = Instant::now() + left.map_or(pause, |left| left.clamp(FIRST_ASK, pause));
                }
                Look::NotBegun if asked.elapsed() < deadline => {
                    pause = (pause * 2).clamp(FIRST_ASK, LAST_ASK);
                    next = Instant::now() + pause;
                }
                Look::NotBegun => {
                    let why = format!("the engine did not start the command within {}", seconds(deadline));
                    return Err((Asked::NotDone(why), true));
                }
                Look::Unknown(why) => return Err((Asked::NotDone(why), true)),
            }
        }
    }

    /// Looks how it is. When its time seems to be up, its processes tell where the engine does not.
    async fn look(&mut self, shared: &Shared, target: &Container, is_time_up: bool) -> Look {
        let deadline = shared.settings.engine_deadline;
        let deadline = if is_time_up { deadline.min(LOOK) } else { deadline };
        match target.engine.exec_inspect(&self.exec, deadline).await {
            Ok(ExecState { running: false, exit_code: Some(code), .. }) => Look::Ended(code),
            Ok(ExecState { pid: None, .. }) => Look::NotBegun,
            Ok(ExecState { pid: Some(pid), .. }) => {
                let seen = self.seen.get_or_insert_with(Instant::now).elapsed();
                if target.init.is_none() {
                    return Look::Runs(seen);
                }
                if self.root.is_none() {
                    self.root = Root::of(pid, &target.id);
                }
                // A process that is in sight tells how old it is. One that has ended is no older, and the engine is
                // about to notice that; one that never does is not waited for.
                let age = self.root.and_then(|root| root.age());
                Look::Runs(age.unwrap_or_else(|| seen.saturating_sub(GOING)))
            }
            Err(error) => {
                let age = if is_time_up {
                    self.ask_family(shared, target, Family::age).await.flatten()
                } else {
                    None
                };
                age.map_or_else(|| Look::Unknown(error.to_string()), Look::Runs)
            }
        }
    }

    /// Ends it with all that it has started. Answers whether it is gone.
    ///
    /// # Errors
    ///
    /// A sentence where the engine does not say.
    async fn end(&self, shared: &Shared, target: &Container) -> Result<bool, String> {
        let deadline = shared.settings.engine_deadline;
        let mut killed = self.ask_family(shared, target, Family::kill).await;
        let mut asked_within = killed.is_some();
        let since = Instant::now();
        let mut pause = FIRST_ASK;
        loop {
            match target.engine.exec_inspect(&self.exec, deadline).await {
                Ok(ExecState { running: false, .. }) => return Ok(true),
                Ok(ExecState { running: true, .. }) => {}
                Err(error) if error.is_not_found() => return Ok(true),
                // It was in sight, and is gone; the engine need not confirm it.
                Err(_) if killed == Some(Killed::All) => return Ok(true),
                Err(error) => return Err(error.to_string()),
            }
            if since.elapsed() >= GOING {
                return Ok(false);
            }
            if !asked_within {
                asked_within = true;
                self.kill_within(shared, target).await;
            } else if matches!(killed, Some(Killed::NoneFound | Killed::SomeLeft)) {
                // One that was about to begin was not there to be killed.
                killed = self.ask_family(shared, target, Family::kill).await;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_ASK);
        }
    }

    /// Kills it from within the container.
    async fn kill_within(&self, shared: &Shared, target: &Container) {
        let mut request = ExecRequest::new(["/bin/sh", "-c", KILL_WITHIN, "sh", &self.mark]);
        request.user.clone_from(&self.user);
        let killed = target.engine.exec(&target.id, &request, shared.settings.engine_deadline).await;
        match killed {
            Ok(result) if result.exit_code == 0 => {}
            Ok(result) => {
                tracing::warn!(
                    container = target.id,
                    exit_code = result.exit_code,
                    "a command of a check cannot be killed from within: the image needs /bin/sh, tr and grep, or the agent \
                     the host's processes in sight (--pid=host)"
                );
            }
            Err(error) => {
                tracing::warn!(container = target.id, %error, "a command of a check cannot be killed");
            }
        }
    }

    /// Its processes; `None` where they are out of sight.
    fn family(&self, target: &Container) -> Option<Family> {
        let (container, mark) = (target.id.clone(), self.mark.clone());
        Some(Family { container, init: target.init?, mark, root: self.root })
    }

    /// Asks something of its processes that takes a while; `None` where they are out of sight, or do not let
    /// themselves be looked at in time: a look at a process waits for the locks of its memory.
    async fn ask_family<T: Send + 'static>(
        &self,
        shared: &Shared,
        target: &Container,
        ask: fn(&Family) -> T,
    ) -> Option<T> {
        let family = self.family(target)?;
        shared.look_through(move || ask(&family)).await
    }

    /// What a start means that the engine refused: the command cannot be run, or the engine failed.
    async fn not_started(&self, error: &EngineError, target: &Container, deadline: Duration) -> Asked {
        if let Ok(ExecState { running: false, exit_code: Some(code @ (126 | 127)), .. }) =
            target.engine.exec_inspect(&self.exec, deadline).await
            && is_about_the_command(error)
        {
            return ended(code, error.engine_message().unwrap_or_default());
        }
        refused(error)
    }
}

/// An engine's refusal: a request that it finds wrong is the check's fault, all else is no verdict.
fn refused(error: &EngineError) -> Asked {
    match error.kind() {
        ErrorKind::BadRequest { message } => Asked::Unanswered(with_words(
            "the command cannot be run".to_owned(),
            &last_words(message.as_bytes(), b""),
        )),
        _ => Asked::NotDone(error.to_string()),
    }
}

fn is_about_the_command(error: &EngineError) -> bool {
    docker_engine::exec_failure_exit_code(error) != 125
}

pub(super) fn ended(code: i64, words: &str) -> Asked {
    let meaning = match code {
        126 => " (the command cannot be run)",
        127 => " (the command was not found)",
        137 => " (SIGKILL)",
        143 => " (SIGTERM)",
        _ => "",
    };
    let why = with_words(format!("the command exited with status {code}{meaning}"), words);
    Asked::Answered(Answer::ExitCode(i32::try_from(code).unwrap_or(i32::MAX)), why)
}

pub(super) fn with_words(sentence: String, words: &str) -> String {
    if words.is_empty() { sentence } else { format!("{sentence}: {words}") }
}
