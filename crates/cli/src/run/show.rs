//! What a run prints: the tasks' output to standard output and error, everything of ours to standard error.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use docker_containerizer::logs::{LogChunk, StreamName};
use docker_containerizer::{Limitation, LogsEnd, Running, Termination};
use mesos_proto::v1::{self, TaskState};
use task_supervisor::Update;

use super::json;
use super::progress::Waits;

/// The longest line that is put together before it is printed in parts, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// What is printed, and how.
pub(crate) struct Show {
    form: Form,
    /// Whether lines carry the task's number, since there are several.
    prefixed: bool,
    coloured: bool,
    /// Beginnings of lines, by task and stream.
    partial: HashMap<(usize, StreamName), Vec<u8>>,
    waits: Waits,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Show {
    /// For `tasks` tasks.
    pub(crate) fn new(is_json: bool, tasks: usize) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self {
            form: if is_json { Form::Json } else { Form::Text },
            prefixed: tasks > 1,
            coloured: is_terminal && std::env::var_os("NO_COLOR").is_none(),
            partial: HashMap::new(),
            waits: Waits::new(is_terminal && !is_json),
        }
    }

    /// A line for the definition's author.
    pub(crate) fn note(&self, text: &str) {
        self.say("note", AnsiColor::Yellow, text);
    }

    /// That everything is being killed, and why.
    pub(crate) fn ending(&self, text: &str) {
        self.say("mesos-docker", AnsiColor::Yellow, text);
    }

    /// A piece of a task's output.
    pub(crate) fn output(&mut self, at: usize, task: &str, chunk: &LogChunk) {
        match self.form {
            Form::Json => print_line(&json::output(task, chunk)),
            Form::Text if !self.prefixed => self.waits.suspend(|| write_to(chunk.stream, &chunk.bytes)),
            Form::Text => self.lines(at, chunk),
        }
    }

    /// What was told of a task.
    pub(crate) fn update(&mut self, at: usize, task: &str, update: &Update) {
        match update {
            Update::Fetch(event) => match self.form {
                Form::Json => print_line(&json::fetch(task, event)),
                Form::Text => self.waits.fetches(at, task, event),
            },
            Update::Pull(news) => match self.form {
                Form::Json => print_line(&json::pull(task, news)),
                Form::Text => self.waits.pulls(at, task, news),
            },
            Update::Note(line) => self.note(&format!("{task}: {line}")),
            Update::Warning(warning) => self.note(&format!("{task}: the engine warns: {warning}")),
            Update::Status(status) => self.status(at, task, status, &checked(status)),
            Update::Running(status, running) => {
                let place = running.docker().map(place).unwrap_or_default();
                self.status(at, task, status, &place);
            }
            Update::Terminal(status, _, termination) => {
                self.flush(at);
                self.status(at, task, status, "");
                self.incomplete(task, termination);
                if let Some(hint) = hint(termination) {
                    self.say("hint", AnsiColor::Yellow, hint);
                }
            }
            _ => {}
        }
    }

    /// Ends what is unfinished on the terminal.
    pub(crate) fn finish(&mut self) {
        self.waits.finish_all();
    }

    fn incomplete(&self, task: &str, termination: &Termination) {
        if termination.logs == LogsEnd::Incomplete {
            self.note(&format!("{task}: the end of the output could not be read"));
        }
    }

    fn status(&mut self, at: usize, task: &str, status: &v1::TaskStatus, more: &str) {
        if self.form == Form::Json {
            return print_line(&json::status(status));
        }
        let state = status.state();
        if state != TaskState::TaskKilling {
            self.waits.finish(at);
        }
        let number = if self.prefixed { format!("#{} ", at + 1) } else { String::new() };
        let message = status.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        let reason = match status.reason {
            Some(_) if is_bad(state) => format!(" ({})", status.reason().as_str_name()),
            _ => String::new(),
        };
        let text = format!("{number}{task}{more}{message}{reason}");
        self.say(state.as_str_name(), colour(state), &text);
    }

    /// Prints the lines that a piece completes, each with the task's number.
    fn lines(&mut self, at: usize, chunk: &LogChunk) {
        let partial = self.partial.entry((at, chunk.stream)).or_default();
        partial.extend_from_slice(&chunk.bytes);
        let complete = match partial.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if partial.len() > LONGEST_LINE => partial.len(),
            None => return,
        };
        let rest = partial.split_off(complete);
        let lines = std::mem::replace(partial, rest);
        self.waits.suspend(|| write_to(chunk.stream, &prefixed(at, &lines)));
    }

    /// Prints the beginnings of lines that will not be completed.
    fn flush(&mut self, at: usize) {
        for stream in [StreamName::Stdout, StreamName::Stderr] {
            if let Some(rest) = self.partial.remove(&(at, stream)).filter(|rest| !rest.is_empty()) {
                let mut line = prefixed(at, &rest);
                line.push(b'\n');
                write_to(stream, &line);
            }
        }
    }

    fn say(&self, what: &str, colour: AnsiColor, text: &str) {
        let text = crate::failure::one_line(text);
        if self.form == Form::Json {
            return print_line(&json::note(what, &text));
        }
        let style = Style::new().bold().fg_color(Some(colour.into()));
        let line = if self.coloured {
            format!("{style}{what}{style:#} {text}\n")
        } else {
            format!("{what} {text}\n")
        };
        self.waits.suspend(|| write_to(StreamName::Stderr, line.as_bytes()));
    }
}

/// What the definition's author can do about an end, where the status does not say it already.
fn hint(termination: &Termination) -> Option<&'static str> {
    match termination.limitation {
        Some(Limitation::Memory { limit: Some(_), .. }) => {
            Some("give the task more memory: mem in its definition")
        }
        _ => None,
    }
}

/// Where a task is reached: its address and host ports.
fn place(running: &Running) -> String {
    let mut text = String::new();
    if let Some(ip) = running.addresses.ipv4 {
        text.push_str(&format!(" {ip}"));
    }
    if let Some(ip) = running.addresses.ipv6 {
        text.push_str(&format!(" {ip}"));
    }
    let mut ports: Vec<_> = running
        .ports
        .iter()
        .map(|port| format!(" {}->{}/{}", port.host_port, port.container_port, port.protocol))
        .collect();
    // An engine with IPv6 publishes each port twice.
    ports.sort();
    ports.dedup();
    text.extend(ports);
    text
}

/// What a check says, where the status is told for that: `healthy`, `not healthy`, or the result of the task's check.
fn checked(status: &v1::TaskStatus) -> String {
    use v1::task_status::Reason;

    match (status.reason, status.healthy) {
        (Some(_), Some(true)) if status.reason() == Reason::TaskHealthCheckStatusUpdated => " healthy".into(),
        (Some(_), Some(false)) if status.reason() == Reason::TaskHealthCheckStatusUpdated => {
            " not healthy".into()
        }
        (Some(_), _) if status.reason() == Reason::TaskCheckStatusUpdated => {
            format!(" check: {}", status.check_status.as_ref().map_or_else(String::new, result))
        }
        _ => String::new(),
    }
}

/// The result of a check.
fn result(check: &v1::CheckStatusInfo) -> String {
    let command = check.command.as_ref().and_then(|command| command.exit_code);
    let http = check.http.as_ref().and_then(|http| http.status_code);
    let tcp = check.tcp.as_ref().and_then(|tcp| tcp.succeeded);
    match (command, http, tcp) {
        (Some(code), _, _) => format!("the command ended with {code}"),
        (_, Some(code), _) => format!("HTTP status {code}"),
        (_, _, Some(true)) => "the connection is accepted".into(),
        (_, _, Some(false)) => "the connection is refused".into(),
        (None, None, None) => "no result".into(),
    }
}

fn prefixed(at: usize, lines: &[u8]) -> Vec<u8> {
    let prefix = format!("[{}] ", at + 1);
    let mut text = Vec::with_capacity(lines.len() + prefix.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(prefix.as_bytes());
        text.extend_from_slice(line);
    }
    text
}

fn is_bad(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFailed | TaskState::TaskKilled | TaskState::TaskError | TaskState::TaskLost
    )
}

fn colour(state: TaskState) -> AnsiColor {
    match state {
        TaskState::TaskFinished | TaskState::TaskRunning => AnsiColor::Green,
        state if is_bad(state) => AnsiColor::Red,
        _ => AnsiColor::Cyan,
    }
}

/// Writes to one of our streams. A reader that is gone is no failure of the task.
fn write_to(stream: StreamName, bytes: &[u8]) {
    let result = match stream {
        StreamName::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        StreamName::Stderr => io::stderr().lock().write_all(bytes),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "nobody reads the output");
    }
}

fn print_line(value: &serde_json::Value) {
    write_to(StreamName::Stdout, format!("{value}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_containerizer::{Ending, Exit, Failure};
    use mesos_types::Megabytes;

    #[test]
    fn each_line_gets_the_tasks_number() {
        assert_eq!(prefixed(1, b"a\nb\n"), b"[2] a\n[2] b\n");
        assert_eq!(prefixed(0, b"a"), b"[1] a");
    }

    #[rstest::rstest]
    #[case(v1::CheckStatusInfo { command: Some(v1::check_status_info::Command { exit_code: Some(2) }), ..Default::default() }, " check: the command ended with 2")]
    #[case(v1::CheckStatusInfo { http: Some(v1::check_status_info::Http { status_code: Some(503) }), ..Default::default() }, " check: HTTP status 503")]
    #[case(v1::CheckStatusInfo { tcp: Some(v1::check_status_info::Tcp { succeeded: Some(true) }), ..Default::default() }, " check: the connection is accepted")]
    #[case(v1::CheckStatusInfo { tcp: Some(v1::check_status_info::Tcp { succeeded: None }), ..Default::default() }, " check: no result")]
    fn the_result_of_a_check_is_told(#[case] check: v1::CheckStatusInfo, #[case] expected: &str) {
        let mut status = v1::TaskStatus { check_status: Some(check), ..Default::default() };
        assert_eq!(checked(&status), "");
        status.set_reason(v1::task_status::Reason::TaskCheckStatusUpdated);
        assert_eq!(checked(&status), expected);
    }

    #[test]
    fn a_task_turns_healthy_and_not_healthy() {
        let mut status = v1::TaskStatus { healthy: Some(true), ..Default::default() };
        assert_eq!(checked(&status), "");
        status.set_reason(v1::task_status::Reason::TaskHealthCheckStatusUpdated);
        assert_eq!(checked(&status), " healthy");
        status.healthy = Some(false);
        assert_eq!(checked(&status), " not healthy");
    }

    #[rstest::rstest]
    #[case(Ending::LaunchFailed(Failure::new("pull", "no such image")), None, None)]
    #[case(Ending::LaunchFailed(Failure::new("create", "conflict").exit_code(125)), None, None)]
    #[case(Ending::Exited(Exit::Code(137)), Some(Limitation::Memory { limit: Some(Megabytes(32)), peak: None }), Some("mem"))]
    #[case(Ending::Exited(Exit::Code(3)), None, None)]
    fn an_end_that_can_be_helped_has_a_hint(
        #[case] ending: Ending,
        #[case] limitation: Option<Limitation>,
        #[case] expected: Option<&str>,
    ) {
        let termination = Termination { limitation, ..Termination::new(ending) };
        let hint = hint(&termination);
        assert_eq!(hint.is_some(), expected.is_some(), "{hint:?}");
        assert!(hint.unwrap_or_default().contains(expected.unwrap_or_default()), "{hint:?}");
    }
}
