//! `/state`, `/containers`, `/monitor/statistics`, `/flags` and the like (`src/slave/http.cpp`).

use serde_json::{Value, json};

use crate::http::answer::Answer;
use crate::http::context::{Context, blocking};
use crate::http::query::Query;
use crate::http::views;
use crate::metrics::HostStats;
use crate::model::Phase;

/// What is answered before the agent knows what an earlier process left.
pub(in crate::http) const RECOVERING: &str = "Agent has not finished recovery";

/// `/state`.
pub(in crate::http) async fn state(context: &Context) -> Result<Answer, Answer> {
    let agent = context.agent().await?;
    if agent.phase == Phase::Recovering {
        return Err(Answer::unavailable(RECOVERING));
    }
    let (version, flags) = (context.sources.version.clone(), context.sources.flags.clone());
    blocking(move || {
        let facts = views::StateFacts { version: &version, flags: &flags };
        Answer::json(&views::state(&agent, facts))
    })
    .await
}

/// `/containers`, all or those of the query's `container_id`.
pub(in crate::http) async fn containers(context: &Context, query: &Query) -> Result<Answer, Answer> {
    let mut entries = context.read(views::entries).await?;
    if let Some(wanted) = query.get("container_id") {
        entries.retain(|entry| entry.container_id.to_string() == wanted);
    }
    let usages = context.sources.usages.of(entries).await;
    Ok(Answer::json(&views::containers(&usages)))
}

/// `/monitor/statistics`.
pub(in crate::http) async fn statistics(context: &Context) -> Result<Answer, Answer> {
    let usages = context.sources.usages.of(context.read(views::entries).await?).await;
    Ok(Answer::json(&views::statistics(&usages)))
}

/// `/containerizer/debug`: operations that wait for something. Containers are watched by their drivers, and none of
/// these waits without an end.
pub(in crate::http) fn containerizer_debug() -> Answer {
    Answer::json(&json!({"pending": []}))
}

/// `/flags`.
pub(in crate::http) fn flags(context: &Context) -> Answer {
    Answer::json(&json!({"flags": *context.sources.flags}))
}

/// `/version`.
pub(in crate::http) fn version(context: &Context) -> Answer {
    Answer::json(&Value::Object(context.sources.version.members()))
}

/// `/system/stats.json`.
pub(in crate::http) fn system_stats() -> Answer {
    match HostStats::read() {
        Some(stats) => Answer::json(&stats.json()),
        None => Answer::text(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "The kernel does not tell its load and memory.",
        ),
    }
}
