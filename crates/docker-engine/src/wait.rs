//! Waiting for the end of a container.

use std::time::Duration;

use serde::Deserialize;

use crate::engine::{Engine, unreadable};
use crate::error::{EngineError, Op};
use crate::path;
use crate::streams::{broken, next_piece};
use crate::transport::{Buffers, Call, Repeat};

/// The largest answer of a wait: a number and perhaps a sentence.
const MAX_ANSWER: usize = 64 * 1024;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitEnd {
    /// The exit code, 0 to 255; 128+n where a signal ended it.
    pub exit_code: i64,
    /// Why it could not be started, if that was it.
    pub error: Option<String>,
}

impl Engine {
    /// Waits until the container does not run, for as long as that takes. `head_deadline` is for the engine's
    /// confirmation that it waits.
    ///
    /// Call it after the start: a container that was never started does not run either, and ends the wait with 0.
    /// A container that has ended already answers at once.
    ///
    /// # Errors
    ///
    /// `NotFound`; `StreamBroken` when the connection or the engine goes away in between, **which is never an exit**:
    /// ping, inspect, wait again; `Timeout` for the head.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn wait_not_running(&self, id: &str, head_deadline: Duration) -> Result<WaitEnd, EngineError> {
        let call = Call::post(path::container(id, "/wait?condition=not-running"), Repeat::Safe);
        let response = self.open_stream(Op::Wait, id, head_deadline, &call, Buffers::Small).await?;
        let mut body = response.into_body();
        let mut answer = Vec::new();
        while let Some(piece) = next_piece(&mut body, Op::Wait, id).await {
            let piece = piece?;
            if answer.len() + piece.len() > MAX_ANSWER {
                return Err(broken(Op::Wait, id));
            }
            answer.extend_from_slice(&piece);
        }
        wait_end(id, &answer)
    }
}

/// Reads the answer. An engine that goes down ends its waits without an answer, or with one that has no exit code of
/// a process: neither is an exit.
fn wait_end(id: &str, answer: &[u8]) -> Result<WaitEnd, EngineError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "StatusCode")]
        status_code: i64,
        #[serde(rename = "Error", default)]
        error: Option<WireError>,
    }
    #[derive(Deserialize)]
    struct WireError {
        #[serde(rename = "Message", default)]
        message: String,
    }
    if answer.trim_ascii().is_empty() {
        return Err(broken(Op::Wait, id));
    }
    let end: Wire = serde_json::from_slice(answer).map_err(|error| {
        if error.is_eof() { broken(Op::Wait, id) } else { unreadable(Op::Wait, id, &error) }
    })?;
    if end.status_code < 0 {
        return Err(broken(Op::Wait, id));
    }
    let error = end.error.map(|error| error.message).filter(|message| !message.is_empty());
    Ok(WaitEnd { exit_code: end.status_code, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use rstest::rstest;

    #[rstest]
    #[case(br#"{"Error":null,"StatusCode":0}"#.as_slice(), 0, None)]
    #[case(br#"{"StatusCode":137}"#, 137, None)]
    #[case(br#"{"Error":{"Message":""},"StatusCode":3}"#, 3, None)]
    #[case(br#"{"Error":{"Message":"no such file"},"StatusCode":127}"#, 127, Some("no such file"))]
    fn an_exit_is_read(#[case] answer: &[u8], #[case] exit_code: i64, #[case] error: Option<&str>) {
        assert_eq!(wait_end("c", answer).unwrap(), WaitEnd { exit_code, error: error.map(str::to_owned) });
    }

    #[rstest]
    #[case(b"".as_slice())]
    #[case(b"\n")]
    #[case(br#"{"Error":null,"#)]
    #[case(br#"{"Error":{"Message":"context canceled"},"StatusCode":-1}"#)]
    fn what_is_no_exit_is_a_broken_stream(#[case] answer: &[u8]) {
        let error = wait_end("c", answer).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::StreamBroken { .. }), "{error}");
    }
}
