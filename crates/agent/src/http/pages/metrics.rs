//! `/metrics/snapshot` and `/metrics`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::http::answer::Answer;
use crate::http::context::Context;
use crate::http::query::Query;
use crate::metrics::{CONTENT_TYPE, Samples, agent_samples, render};

/// `/metrics/snapshot`.
pub(in crate::http) async fn snapshot(context: &Context, query: &Query) -> Result<Answer, Answer> {
    let timeout = match query.get("timeout") {
        None => None,
        Some(text) => Some(flags::parse_duration(text).map_err(|why| {
            let shown: String = text.chars().take(64).collect();
            Answer::bad_request(format!("Invalid timeout '{shown}': {why}.\n"))
        })?),
    };
    let samples = samples(context, timeout).await?;
    let members = samples.iter().map(|(name, value)| (name.to_owned(), json!(value)));
    Ok(Answer::json(&Value::Object(members.collect())))
}

/// `/metrics`.
pub(in crate::http) async fn prometheus(context: &Context) -> Result<Answer, Answer> {
    let samples = samples(context, None).await?;
    Ok(Answer::bytes(StatusCode::OK, CONTENT_TYPE, render(&samples)))
}

/// All metrics. With a timeout, what is not there in time is left out.
///
/// # Errors
///
/// Without a timeout, the core does not answer.
pub(in crate::http) async fn samples(context: &Context, limit: Option<Duration>) -> Result<Samples, Answer> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let of_agent = context.read(move |agent| agent_samples(agent, now));
    let mut samples = match limit {
        None => of_agent.await?,
        Some(limit) => timeout(limit, of_agent).await.ok().and_then(Result::ok).unwrap_or_default(),
    };
    context.sources.metrics.collect(&mut samples);
    Ok(samples)
}
