//! What is printed with `--json`: one object a line, with a `type`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use docker_containerizer::FetchEvent;
use docker_containerizer::logs::LogChunk;
use docker_containerizer::{PullNews, PullStage};
use mesos_proto::json::Names;
use mesos_proto::v1;
use serde_json::{Value, json};

/// A status in Mesos' JSON form.
pub(crate) fn status(status: &v1::TaskStatus) -> Value {
    json!({"type": "status", "status": mesos_proto::json::to_json_set(status, Names::V1)})
}

/// A piece of output: as text if it is UTF-8, in base64 otherwise.
pub(crate) fn output(task: &str, chunk: &LogChunk) -> Value {
    match std::str::from_utf8(&chunk.bytes) {
        Ok(text) => json!({"type": "output", "task_id": task, "stream": chunk.stream, "text": text}),
        Err(_) => {
            let data = STANDARD.encode(&chunk.bytes);
            json!({"type": "output", "task_id": task, "stream": chunk.stream, "base64": data})
        }
    }
}

/// How far the pull of a task's image is.
pub(crate) fn pull(task: &str, news: &PullNews) -> Value {
    let stage = match &news.stage {
        PullStage::Queued => "queued",
        PullStage::Pulling => "pulling",
        PullStage::Paused { .. } => "paused",
        PullStage::Done(Ok(())) => "done",
        PullStage::Done(Err(_)) => "failed",
        _ => "unknown",
    };
    let error = match &news.stage {
        PullStage::Paused { error, .. } | PullStage::Done(Err(error)) => Some(crate::failure::chain(error)),
        _ => None,
    };
    let totals = &news.totals;
    json!({
        "type": "pull", "task_id": task, "stage": stage, "error": error,
        "layers": totals.layers, "layers_done": totals.layers_done,
        "bytes": totals.bytes, "bytes_total": totals.bytes_total, "unpacking": totals.unpacking,
    })
}

/// How far the fetch of a URI is: the fetcher's own event.
pub(crate) fn fetch(task: &str, event: &FetchEvent) -> Value {
    json!({"type": "fetch", "task_id": task, "fetch": event})
}

/// A line of ours.
pub(crate) fn note(what: &str, text: &str) -> Value {
    json!({"type": "note", "about": what, "text": text})
}
