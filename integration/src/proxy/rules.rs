//! Owns which request meets which fault. [`super::connection`] asks for every request; tests add and remove rules.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What happens to a request that a rule matches. "The engine acts" means that the request was passed on whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Pass the request on after this time.
    Delay(Duration),
    /// The engine acts at once; its answer is held back for this time.
    DelayAnswer(Duration),
    /// The engine never sees the request, and the client gets no answer; until the rule is removed, when the request is passed on.
    Hang,
    /// The engine acts, and the client gets no answer until the rule is removed.
    HangAnswer,
    /// The connection is closed and the engine never sees the request.
    Cut,
    /// The same, by a reset (TCP only).
    Reset,
    /// The engine acts, and the connection is closed instead of an answer.
    CutAnswer,
    /// The engine acts; the connection is closed after the answer's head and this many bytes of its content.
    CutBody(u64),
    /// The engine acts; after the answer's head and this many bytes of its content nothing more comes until the
    /// rule is removed.
    StallBody(u64),
    /// The engine acts; its answer's content comes in pieces of at most this many bytes, each after this time.
    Drip(usize, Duration),
    /// The engine acts; its answer's content comes with other bytes than it sent, and as many.
    Corrupt,
    /// The engine never sees the request; the client gets this status and this JSON.
    Replace(u16, String),
    /// The engine acts; the client gets this status and this JSON instead of the engine's answer.
    ReplaceAnswer(u16, String),
}

/// One rule: which requests, how often, what happens.
#[derive(Clone, Debug)]
pub struct Rule {
    method: String,
    path: String,
    query: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(u64);

/// The rules in force. Shared by the proxy's handle and its connections.
#[derive(Debug)]
pub(super) struct Rules {
    table: Mutex<Table>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: RuleId,
    rule: Rule,
    seen: usize,
    hits: usize,
    removed: bool,
}

impl Fault {
    /// Answers with a status and a sentence in the engine's own form, without the engine.
    pub fn error(status: u16, sentence: &str) -> Self {
        Self::Replace(status, serde_json::json!({ "message": sentence }).to_string())
    }
}

impl Rule {
    /// Makes a rule for every request of this method (`*` for any) whose path, without version and query, matches
    /// the pattern, in which `*` stands for any characters: `/containers/*/start`.
    pub fn new(method: &str, path: &str, fault: Fault) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            skip: 0,
            times: usize::MAX,
            fault,
        }
    }

    /// Restricts the rule to requests whose query contains this text.
    #[must_use]
    pub fn with_query(mut self, part: &str) -> Self {
        part.clone_into(&mut self.query);
        self
    }

    /// Restricts the rule to the first `times` requests that match (after those skipped).
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Lets the first `skip` requests that match pass.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    fn matches(&self, method: &str, target: &str) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        (self.method == "*" || self.method == method)
            && glob(&self.path, without_version(path))
            && query.contains(&self.query)
    }
}

impl Rules {
    pub(super) fn new() -> Self {
        Self { table: Mutex::default(), changed: watch::Sender::new(0) }
    }

    pub(super) fn add(&self, rule: Rule) -> RuleId {
        let mut table = self.lock();
        let id = RuleId(table.next);
        table.next += 1;
        table.entries.push(Entry { id, rule, seen: 0, hits: 0, removed: false });
        id
    }

    /// Takes a rule out of force and releases what it holds.
    pub(super) fn remove(&self, id: RuleId) {
        self.lock().entries.iter_mut().filter(|entry| entry.id == id).for_each(|entry| entry.removed = true);
        self.changed.send_modify(|generation| *generation += 1);
    }

    pub(super) fn clear(&self) {
        self.lock().entries.iter_mut().for_each(|entry| entry.removed = true);
        self.changed.send_modify(|generation| *generation += 1);
    }

    /// Tells how many requests a rule has met, also after its removal.
    pub(super) fn hits(&self, id: RuleId) -> usize {
        self.lock().entries.iter().find(|entry| entry.id == id).map_or(0, |entry| entry.hits)
    }

    /// Decides on one request: the first rule in force that matches it and isn't used up, if any.
    pub(super) fn decide(&self, method: &str, target: &str) -> Option<(RuleId, Fault)> {
        let mut table = self.lock();
        for entry in table.entries.iter_mut().filter(|entry| !entry.removed) {
            if !entry.rule.matches(method, target) {
                continue;
            }
            entry.seen += 1;
            if entry.seen <= entry.rule.skip || entry.hits >= entry.rule.times {
                continue;
            }
            entry.hits += 1;
            return Some((entry.id, entry.rule.fault.clone()));
        }
        None
    }

    /// Waits until a rule is removed. Cancel safe.
    pub(super) async fn removed(&self, id: RuleId) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let gone = self.lock().entries.iter().all(|entry| entry.id != id || entry.removed);
            // The sender lives in self, so the channel cannot be closed.
            if gone || changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic elsewhere leaves the table as usable as it was: every change is one assignment.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts `/v1.41` off a path.
fn without_version(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v") else { return path };
    let end = rest.find('/').unwrap_or(rest.len());
    let numeric = rest[..end].chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    if numeric && end > 0 { &rest[end..] } else { path }
}

/// Tells whether the whole text matches a pattern in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| glob(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_path_without_its_version() {
        let cases = [
            ("POST", "/containers/*/start", "", "POST", "/v1.41/containers/abc/start", true),
            ("POST", "/containers/*/start", "", "POST", "/containers/abc/start?x=y", true),
            ("POST", "/containers/*/start", "", "POST", "/v1.41/exec/abc/start", false),
            ("POST", "/containers/*/start", "", "GET", "/v1.41/containers/abc/start", false),
            ("*", "/images/*/json", "", "GET", "/v1.41/images/127.0.0.1:5000/a/b:c/json", true),
            ("*", "/containers/json", "", "GET", "/v1.41/containers/json?all=1", true),
            ("*", "/containers/json", "", "GET", "/v1.41/containers/abc/json", false),
            ("*", "*", "", "DELETE", "/v1.41/containers/abc", true),
            ("GET", "/containers/*/logs", "follow=1", "GET", "/v1.41/containers/a/logs?follow=0", false),
            (
                "GET",
                "/containers/*/logs",
                "follow=1",
                "GET",
                "/v1.41/containers/a/logs?stdout=1&follow=1",
                true,
            ),
            ("GET", "/volumes", "", "GET", "/volumes", true),
            ("GET", "/version", "", "GET", "/version", true),
        ];
        for (method, path, query, asked, target, expected) in cases {
            let rule = Rule::new(method, path, Fault::Cut).with_query(query);
            assert_eq!(
                rule.matches(asked, target),
                expected,
                "{method} {path} {query} against {asked} {target}"
            );
        }
    }

    #[test]
    fn a_rule_is_used_as_often_as_it_says_and_the_next_one_takes_over() {
        let rules = Rules::new();
        let first = rules.add(Rule::new("*", "/a", Fault::Cut).after(1).times(2));
        let second = rules.add(Rule::new("*", "/a", Fault::Hang));
        let decided: Vec<_> = (0..5).map(|_| rules.decide("GET", "/a").map(|(id, _)| id)).collect();
        assert_eq!(decided, [Some(second), Some(first), Some(first), Some(second), Some(second)]);
        assert_eq!((rules.hits(first), rules.hits(second)), (2, 3));
        rules.remove(second);
        assert_eq!(rules.decide("GET", "/a"), None);
    }
}
