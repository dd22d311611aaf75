//! What is told of a task and not yet taken: a host that is slow must not keep a task from its kills.
//!
//! A status is never lost. The queue is bounded by what a task can tell: each state once, the engine's warnings, and the
//! last word of its checks, which takes the place of the one before that nobody has taken.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::order::Update;

/// How many lines for people wait at most; there is no more to one request.
const LINES: usize = 64;

/// An update with how it is kept.
#[derive(Debug)]
struct Waiting {
    update: Update,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    State,
    Line,
    Checks,
}

/// The queue to a host.
#[derive(Debug)]
pub(crate) struct Outbox {
    host: mpsc::Sender<Update>,
    waiting: VecDeque<Waiting>,
}

impl Outbox {
    pub(crate) fn new(host: mpsc::Sender<Update>) -> Self {
        Self { host, waiting: VecDeque::new() }
    }

    /// A state of the task.
    pub(crate) fn state(&mut self, update: Update) {
        self.push(update, Kind::State);
    }

    /// A warning of the engine, or another line for people.
    pub(crate) fn line(&mut self, line: Update) {
        if self.waiting.iter().filter(|waiting| waiting.kind == Kind::Line).count() < LINES {
            self.push(line, Kind::Line);
        }
    }

    /// What the checks of a running task say: all that they said last, so that it replaces what they said before.
    pub(crate) fn checks(&mut self, update: Update) {
        let since_state = self.waiting.iter_mut().rev().take_while(|waiting| waiting.kind != Kind::State);
        match since_state.into_iter().find(|waiting| waiting.kind == Kind::Checks) {
            Some(last) => last.update = update,
            None => self.push(update, Kind::Checks),
        }
    }

    /// News that are a courtesy: who is slow misses them.
    pub(crate) fn courtesy(&mut self, update: Update) {
        if self.waiting.is_empty() {
            let _ = self.host.try_send(update);
        }
    }

    /// Whether everything was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands over what comes next, once there is room. Nobody has to listen.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn hand_over(&mut self) {
        match self.host.reserve().await {
            Ok(room) => {
                if let Some(next) = self.waiting.pop_front() {
                    room.send(next.update);
                }
            }
            Err(_) => {
                tracing::debug!("nobody listens to a task's updates");
                self.waiting.clear();
            }
        }
    }

    /// Hands over all that is left.
    pub(crate) async fn empty(mut self) {
        while !self.is_empty() {
            self.hand_over().await;
        }
    }

    fn push(&mut self, update: Update, kind: Kind) {
        self.waiting.push_back(Waiting { update, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::v1::{TaskState, TaskStatus};

    fn status(state: TaskState, message: &str) -> Update {
        let mut status = TaskStatus { message: Some(message.into()), ..Default::default() };
        status.set_state(state);
        Update::Status(Box::new(status))
    }

    fn said(update: &Update) -> String {
        match update {
            Update::Status(status) => status.message().to_owned(),
            Update::Warning(warning) => warning.clone(),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_slow_host_hears_every_state_and_the_last_word_of_the_checks() {
        let (host, mut told) = mpsc::channel(1);
        let mut outbox = Outbox::new(host);
        outbox.state(status(TaskState::TaskRunning, "runs"));
        for number in 0..1000 {
            outbox.checks(status(TaskState::TaskRunning, &format!("check {number}")));
            outbox.line(Update::Warning(format!("warning {number}")));
        }
        outbox.checks(status(TaskState::TaskRunning, "unhealthy"));
        outbox.checks(status(TaskState::TaskRunning, "healthy"));
        outbox.courtesy(Update::Warning("missed".into()));
        outbox.state(status(TaskState::TaskKilled, "killed"));
        assert!(outbox.waiting.len() <= 3 + LINES, "{}", outbox.waiting.len());
        let handing = tokio::spawn(outbox.empty());
        let mut heard = Vec::new();
        while let Some(update) = told.recv().await {
            heard.push(said(&update));
        }
        handing.await.unwrap();
        let states: Vec<_> = heard.iter().filter(|said| !said.starts_with("warning")).collect();
        assert_eq!(states, ["runs", "healthy", "killed"]);
        assert_eq!(heard.len(), 3 + LINES);
    }

    #[tokio::test]
    async fn a_host_that_is_gone_is_no_reason_to_wait() {
        let (host, told) = mpsc::channel(1);
        let mut outbox = Outbox::new(host);
        drop(told);
        outbox.state(status(TaskState::TaskRunning, "runs"));
        outbox.empty().await;
    }
}
