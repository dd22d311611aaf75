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
use crate::transport::{Buffers, Call, Repeat};

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
            let exec_id = self.exec_create(id, request, deadline).await?;
            let (stdout, stderr) = self.exec_output(id, &exec_id, request.terminal, deadline).await?;
            let exit_code = self.exec_exit_code(id, &exec_id, deadline).await?;
            Ok(ExecResult { exit_code, stdout, stderr })
        })
        .await
    }

    async fn exec_create(
        &self,
        id: &str,
        request: &ExecRequest,
        deadline: Duration,
    ) -> Result<String, EngineError> {
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
        Ok(created.id)
    }

    /// Starts the command and reads its output to the end.
    async fn exec_output(
        &self,
        id: &str,
        exec_id: &str,
        terminal: Terminal,
        deadline: Duration,
    ) -> Result<(Bytes, Bytes), EngineError> {
        let json = serde_json::json!({ "Detach": false, "Tty": terminal == Terminal::Yes }).to_string();
        let call = Call::post(format!("/exec/{}/start", path::segment(exec_id)), Repeat::Never).json(json);
        let response = self.open_stream(Op::Exec, id, deadline, &call, Buffers::Adaptive).await?;
        let mut body = response.into_body();
        let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
        let mut splitter = FrameSplitter::default();
        while let Some(piece) = next_piece(&mut body, Op::Exec, id).await {
            let piece = piece?;
            if terminal == Terminal::Yes {
                stdout.push(&piece);
                continue;
            }
            splitter.push(piece);
            while let Some(frame) = splitter.next_frame().map_err(|error| {
                EngineError::new(Op::Exec, id, ErrorKind::Protocol { detail: error.to_string() })
            })? {
                match frame.kind {
                    FrameKind::Output(OutputStream::Stdout) => stdout.push(&frame.payload),
                    FrameKind::Output(OutputStream::Stderr) => stderr.push(&frame.payload),
                    FrameKind::EngineError => {
                        let message = bounded_message(&String::from_utf8_lossy(&frame.payload));
                        return Err(EngineError::new(Op::Exec, id, ErrorKind::InStream { message }));
                    }
                }
            }
        }
        Ok((stdout.finish(), stderr.finish()))
    }

    /// Asks for the exit code until the engine has it: the output ends a moment before.
    async fn exec_exit_code(&self, id: &str, exec_id: &str, deadline: Duration) -> Result<i64, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Wire {
            running: bool,
            #[serde(default)]
            exit_code: Option<i64>,
        }
        let call = Call::get(format!("/exec/{}/json", path::segment(exec_id)));
        let mut pause = FIRST_LOOK;
        loop {
            let wire: Wire = self.call_json(Op::Exec, id, deadline, &call).await?;
            if let (false, Some(code)) = (wire.running, wire.exit_code) {
                return Ok(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
        if self.0.len() > 2 * KEPT_OUTPUT {
            self.0.drain(..self.0.len() - KEPT_OUTPUT);
        }
    }

    fn finish(mut self) -> Bytes {
        if self.0.len() > KEPT_OUTPUT {
            self.0.drain(..self.0.len() - KEPT_OUTPUT);
        }
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept() {
        let mut tail = Tail::default();
        for n in 0..100u8 {
            tail.push(&[n; 4096]);
        }
        let kept = tail.finish();
        assert_eq!(kept.len(), KEPT_OUTPUT);
        assert_eq!((kept[0], kept[KEPT_OUTPUT - 1]), (84, 99));
    }
}
