//! Pulling an image from its registry.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::credentials::Credentials;
use crate::engine::{Engine, within};
use crate::error::{EngineError, ErrorKind, Op, bounded_message};
use crate::image_ref::ImageRef;
use crate::path;
use crate::streams::{Lines, next_piece};
use crate::transport::{Buffers, Call, Repeat};

/// What is asked of a pull, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullOptions<'a> {
    /// In all; `None` is as long as it goes on.
    pub total: Option<Duration>,
    /// Without any line of progress about any layer. Unpacking counts as progress, and so do the seconds that the
    /// engine counts down before it asks a registry again.
    pub inactivity: Duration,
    /// `os[/arch[/variant]]`; `None` is the engine's own.
    pub platform: Option<&'a str>,
}

/// What a pull reports, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    /// The layer's short id, or the tag in the first line; empty for lines about the whole image.
    pub layer: String,
    /// What happens: `Downloading`, `Extracting`, `Pull complete`, `Digest: …`.
    pub status: String,
    /// Bytes done, where the engine counts.
    pub current: Option<u64>,
    /// Bytes in all, where the engine knows.
    pub total: Option<u64>,
}

impl Engine {
    /// Pulls an image, always by an explicit tag or digest. `on_progress` is called for each line of progress, on
    /// this task.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Unauthorized`, `RateLimited` by the status that the engine gives, in its answer or with an error in
    /// the stream; `ServerError` with the engine's sentence for nearly everything that a registry tells it, and for what
    /// it reports within the stream without a status; `Timeout` for either deadline; `Invalid` for an image id, which no
    /// registry knows.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the pull in the engine; layers that are complete stay.
    pub async fn pull(
        &self,
        image: &ImageRef,
        credentials: Option<&Credentials>,
        options: PullOptions<'_>,
        mut on_progress: impl FnMut(PullProgress),
    ) -> Result<(), EngineError> {
        let subject = image.familiar();
        let Some((repository, reference)) = image.pull_target() else {
            let detail =
                "it is named by its id and is not on this host, and no registry knows ids".to_owned();
            return Err(EngineError::new(Op::Pull, &subject, ErrorKind::Invalid { detail }));
        };
        let mut query = format!("?fromImage={}&tag={}", path::value(&repository), path::value(reference));
        if let Some(platform) = options.platform {
            query.push_str(&format!("&platform={}", path::value(platform)));
        }
        let mut call = Call::post(format!("/images/create{query}"), Repeat::Safe);
        if let Some(credentials) = credentials {
            call = call.registry_auth(credentials.header());
        }
        let pull = self.pull_stream(&subject, &call, options.inactivity, &mut on_progress);
        match options.total {
            Some(total) => within(Op::Pull, &subject, total, pull).await,
            None => pull.await,
        }
    }

    async fn pull_stream(
        &self,
        subject: &str,
        call: &Call,
        inactivity: Duration,
        on_progress: &mut impl FnMut(PullProgress),
    ) -> Result<(), EngineError> {
        let since = Instant::now();
        let response = self.open_stream(Op::Pull, subject, inactivity, call, Buffers::Adaptive).await?;
        let mut body = response.into_body();
        let mut lines = Lines::default();
        while let Some(piece) = within(Op::Pull, subject, inactivity, async {
            next_piece(&mut body, Op::Pull, subject).await.transpose()
        })
        .await?
        {
            lines.push(&piece);
            while let Some(line) = lines.next_line() {
                on_line(subject, &line, on_progress)?;
            }
            if lines.too_long() {
                let detail = "a line of progress without an end".to_owned();
                return Err(EngineError::new(Op::Pull, subject, ErrorKind::Protocol { detail }));
            }
        }
        on_line(subject, &lines.rest(), on_progress)?;
        tracing::debug!(image = subject, took_ms = since.elapsed().as_millis(), "pull complete");
        Ok(())
    }
}

/// Reads one line: progress, or the error that ends the pull although the status said success.
fn on_line(
    subject: &str,
    line: &[u8],
    on_progress: &mut impl FnMut(PullProgress),
) -> Result<(), EngineError> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(());
    }
    let Ok(line) = serde_json::from_slice::<Line>(line) else {
        let detail = "a line of progress that is not JSON".to_owned();
        return Err(EngineError::new(Op::Pull, subject, ErrorKind::Protocol { detail }));
    };
    if let Some(error) = line.failure(subject) {
        return Err(error);
    }
    let (current, total) = line.progress_detail.map_or((None, None), |detail| (detail.current, detail.total));
    on_progress(PullProgress {
        layer: line.id.unwrap_or_default(),
        status: line.status.unwrap_or_default(),
        current: current.and_then(|count| u64::try_from(count).ok()),
        total: total.and_then(|count| u64::try_from(count).ok()).filter(|total| *total > 0),
    });
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    id: Option<String>,
    status: Option<String>,
    progress_detail: Option<ProgressDetail>,
    error: Option<String>,
    error_detail: Option<ErrorDetail>,
}

#[derive(Deserialize)]
struct ProgressDetail {
    current: Option<i64>,
    total: Option<i64>,
}

#[derive(Deserialize)]
struct ErrorDetail {
    code: Option<i64>,
    message: Option<String>,
}

impl Line {
    fn failure(&self, subject: &str) -> Option<EngineError> {
        if self.error.is_none() && self.error_detail.is_none() {
            return None;
        }
        let detail = self.error_detail.as_ref();
        let message =
            detail.and_then(|detail| detail.message.as_deref()).or(self.error.as_deref()).unwrap_or_default();
        let code = detail.and_then(|detail| detail.code).and_then(|code| u16::try_from(code).ok());
        Some(match code {
            Some(status @ 400..=599) => {
                EngineError::from_status(Op::Pull, subject, status, message.as_bytes(), None)
            }
            _ => {
                let message = bounded_message(message);
                EngineError::new(Op::Pull, subject, ErrorKind::ServerError { message })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Vec<PullProgress>, Result<(), EngineError>) {
        let mut seen = Vec::new();
        let result = lines
            .iter()
            .try_for_each(|line| on_line("app:latest", line.as_bytes(), &mut |progress| seen.push(progress)));
        (seen, result)
    }

    #[test]
    fn progress_is_read_per_layer() {
        let (seen, result) = read(&[
            r#"{"status":"Pulling from team/app","id":"latest"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":10,"total":20},"progress":"[=>]","id":"a1"}"#,
            r#"{"status":"Extracting","progressDetail":{"current":7,"units":"s"},"id":"a1"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"a1"}"#,
            r#"{"status":"Status: Downloaded newer image"}"#,
            "",
        ]);
        result.unwrap();
        let shape: Vec<_> = seen.iter().map(|p| (p.layer.as_str(), p.current, p.total)).collect();
        assert_eq!(
            shape,
            [
                ("latest", None, None),
                ("a1", Some(10), Some(20)),
                ("a1", Some(7), None),
                ("a1", None, None),
                ("", None, None)
            ]
        );
        assert_eq!(seen[1].status, "Downloading");
    }

    #[test]
    fn an_error_in_the_stream_fails_the_pull() {
        let (_, result) = read(&[r#"{"errorDetail":{"message":"no basic auth"},"error":"no basic auth"}"#]);
        let error = result.unwrap_err();
        assert_eq!(error.engine_message(), Some("no basic auth"));
        assert!(matches!(error.kind(), ErrorKind::ServerError { .. }));
        let (_, result) =
            read(&[r#"{"errorDetail":{"code":429,"message":"slow down"},"error":"slow down"}"#]);
        assert!(matches!(result.unwrap_err().kind(), ErrorKind::RateLimited { .. }));
        let (_, result) = read(&[r#"{"error":"only this"}"#]);
        assert_eq!(result.unwrap_err().engine_message(), Some("only this"));
    }
}
