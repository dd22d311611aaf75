//! Running a command in a container.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::create_body::Hidden;
use crate::engine::{Engine, within};
use crate::error::{EngineError, ErrorKind, Op, bounded_message};
use crate::logs::{FrameKind, FrameSplitter, OutputStream, Terminal};
use crate::path;
use crate::streams::next_piece;
use crate::transport::{Buffers, Call, Repeat, StreamBody};

/// How much of each stream of output is kept: the end of it.
const KEPT_OUTPUT: usize = 64 * 1024;

/// How long to wait between looks at a command whose output has ended, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(100);

/// A command to run in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// Additions to the environment, `NAME=value`. Not shown by `Debug`.
    pub env: Hidden<Vec<String>>,
    /// The user; `None` is the container's.
    pub user: Option<String>,
    /// The working directory; `None` is the container's.
    pub workdir: Option<String>,
    /// Whether it gets a terminal.
    pub terminal: Terminal,
}

impl ExecRequest {
    /// Asks for a command with the container's user, directory and environment.
    pub fn new(cmd: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let cmd = cmd.into_iter().map(Into::into).collect();
        Self { cmd, env: Hidden::default(), user: None, workdir: None, terminal: Terminal::No }
    }
}

/// How a command in a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit code; 126 or 127 if it could not be run.
    pub exit_code: i64,
    /// The last 64 KiB of its standard output.
    pub stdout: Bytes,
    /// The last 64 KiB of its standard error.
    pub stderr: Bytes,
}

/// A command that was made in a container; it runs from [`Engine::exec_start`] on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecHandle {
    container: String,
    id: String,
    terminal: Terminal,
}

/// What the engine knows of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecState {
    /// Whether it is about to run or runs.
    pub running: bool,
    /// Its process on the engine's host, from the moment that it runs; kept after its end.
    pub pid: Option<u32>,
    /// How it ended; 126 or 127 if it could not be run.
    pub exit_code: Option<i64>,
}

/// The output of a command that was started.
#[derive(Debug)]
pub struct ExecOutput {
    subject: String,
    terminal: Terminal,
    body: StreamBody,
}

impl Engine {
    /// Runs a command in a running container and waits for its end.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Conflict` for a container that does not run; `Timeout` after the deadline for all of it, after
    /// which the command goes on: the engine has no way to end it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the command running.
    pub async fn exec(
        &self,
        id: &str,
        request: &ExecRequest,
        deadline: Duration,
    ) -> Result<ExecResult, EngineError> {
        within(Op::Exec, id, deadline, async {
            let exec = self.exec_create(id, request, deadline).await?;
            let (stdout, stderr) = self.exec_start(&exec, deadline).await?.read(KEPT_OUTPUT).await?;
            // The output ends a moment before the engine has the code.
            let mut pause = FIRST_LOOK;
            loop {
                let state = self.exec_inspect(&exec, deadline).await?;
                if let (false, Some(exit_code)) = (state.running, state.exit_code) {
                    return Ok(ExecResult { exit_code, stdout, stderr });
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_LOOK);
            }
        })
        .await
    }

    /// Makes a command in a running container (`POST /containers/{id}/exec`). Nothing runs yet, and one that is never
    /// started goes with its container.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Conflict` for a container that does not run or is paused, `Timeout`.
    pub async fn exec_create(
        &self,
        id: &str,
        request: &ExecRequest,
        deadline: Duration,
    ) -> Result<ExecHandle, EngineError> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body<'a> {
            attach_stdout: bool,
            attach_stderr: bool,
            tty: bool,
            cmd: &'a [String],
            env: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            user: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            working_dir: Option<&'a str>,
        }
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "Id")]
            id: String,
        }
        let body = Body {
            attach_stdout: true,
            attach_stderr: true,
            tty: request.terminal == Terminal::Yes,
            cmd: &request.cmd,
            env: &request.env,
            user: request.user.as_deref(),
            working_dir: request.workdir.as_deref(),
        };
        // A struct of texts is always JSON.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let call = Call::post(path::container(id, "/exec"), Repeat::Safe).json(json);
        let created: Created = self.call_json(Op::Exec, id, deadline, &call).await?;
        Ok(ExecHandle { container: id.to_owned(), id: created.id, terminal: request.terminal })
    }

    /// Starts a command (`POST /exec/{id}/start`). When this returns, the engine has taken it on: the process follows,
    /// and [`Engine::exec_inspect`] tells its number from then on.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Conflict` for a container that has stopped or is paused; after `Timeout` and `StreamBroken` it may
    /// run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the output, leaves the command running.
    pub async fn exec_start(
        &self,
        exec: &ExecHandle,
        head_deadline: Duration,
    ) -> Result<ExecOutput, EngineError> {
        let ExecHandle { container, id, terminal } = exec;
        let json = serde_json::json!({ "Detach": false, "Tty": *terminal == Terminal::Yes }).to_string();
        let call = Call::post(format!("/exec/{}/start", path::segment(id)), Repeat::Never).json(json);
        let response = self.open_stream(Op::Exec, container, head_deadline, &call, Buffers::Adaptive).await?;
        Ok(ExecOutput { subject: container.clone(), terminal: *terminal, body: response.into_body() })
    }

    /// Asks how a command is (`GET /exec/{id}/json`).
    ///
    /// # Errors
    ///
    /// `NotFound` for one that the engine has forgotten, with its container or after its end; `Timeout`.
    pub async fn exec_inspect(
        &self,
        exec: &ExecHandle,
        deadline: Duration,
    ) -> Result<ExecState, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Wire {
            running: bool,
            #[serde(default)]
            exit_code: Option<i64>,
            #[serde(default)]
            pid: Option<i64>,
        }
        let call = Call::get(format!("/exec/{}/json", path::segment(&exec.id)));
        let wire: Wire = self.call_json(Op::Exec, &exec.container, deadline, &call).await?;
        let pid = wire.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
        Ok(ExecState { running: wire.running, pid, exit_code: wire.exit_code })
    }
}

impl ExecHandle {
    /// The engine's id of the command.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl ExecOutput {
    /// Reads the output to its end, and returns the last `kept` bytes of standard output and standard error; with a
    /// terminal both are the first. The end is that of the last process that holds the output, which may be a child
    /// of the command.
    ///
    /// # Errors
    ///
    /// `StreamBroken` when the engine went away, `InStream` for an error that the engine reports in place of output.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the output; the command goes on.
    pub async fn read(self, kept: usize) -> Result<(Bytes, Bytes), EngineError> {
        let Self { subject, terminal, mut body } = self;
        let (mut stdout, mut stderr) = (Tail::of(kept), Tail::of(kept));
        let mut splitter = FrameSplitter::default();
        while let Some(piece) = next_piece(&mut body, Op::Exec, &subject).await {
            let piece = piece?;
            if terminal == Terminal::Yes {
                stdout.push(&piece);
                continue;
            }
            splitter.push(piece);
            while let Some(frame) = splitter.next_frame().map_err(|error| {
                EngineError::new(Op::Exec, &subject, ErrorKind::Protocol { detail: error.to_string() })
            })? {
                match frame.kind {
                    FrameKind::Output(OutputStream::Stdout) => stdout.push(&frame.payload),
                    FrameKind::Output(OutputStream::Stderr) => stderr.push(&frame.payload),
                    FrameKind::EngineError => {
                        let message = bounded_message(&String::from_utf8_lossy(&frame.payload));
                        return Err(EngineError::new(Op::Exec, &subject, ErrorKind::InStream { message }));
                    }
                }
            }
        }
        Ok((stdout.finish(), stderr.finish()))
    }
}

/// The last bytes of a stream.
#[derive(Debug)]
struct Tail {
    bytes: Vec<u8>,
    kept: usize,
}

impl Tail {
    fn of(kept: usize) -> Self {
        Self { bytes: Vec::new(), kept }
    }

    fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() > 2 * self.kept {
            self.bytes.drain(..self.bytes.len() - self.kept);
        }
    }

    fn finish(mut self) -> Bytes {
        if self.bytes.len() > self.kept {
            self.bytes.drain(..self.bytes.len() - self.kept);
        }
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept() {
        let mut tail = Tail::of(KEPT_OUTPUT);
        for n in 0..100u8 {
            tail.push(&[n; 4096]);
        }
        let kept = tail.finish();
        assert_eq!(kept.len(), KEPT_OUTPUT);
        assert_eq!((kept[0], kept[KEPT_OUTPUT - 1]), (84, 99));
    }
}
