//! `/logging/toggle` (`Logging::toggle` of libprocess' `logging.cpp`).

use http::StatusCode;

use crate::http::answer::Answer;
use crate::http::context::Context;
use crate::http::query::Query;

/// Tells the level, or raises it for a time.
pub(in crate::http) fn toggle(context: &Context, query: &Query) -> Result<Answer, Answer> {
    let log = &context.sources.log;
    let refused = |why: &str| Answer::bad_request(format!("{why}\n"));
    let (level, duration) = match (query.get("level"), query.get("duration")) {
        (None, None) => return Ok(Answer::text(StatusCode::OK, format!("{}\n", log.level()))),
        (None, Some(_)) => return Err(refused("Expecting 'level=value' in query.")),
        (Some(_), None) => return Err(refused("Expecting 'duration=value' in query.")),
        (Some(level), Some(duration)) => (level, duration),
    };
    let shown = |text: &str| text.chars().take(64).collect::<String>();
    let number: i64 =
        level.parse().map_err(|_| refused(&format!("Failed to convert '{}' to number.", shown(level))))?;
    let level = u32::try_from(number).map_err(|_| refused(&format!("Invalid level '{number}'.")))?;
    let duration =
        flags::parse_duration(duration).map_err(|why| refused(&format!("Invalid duration: {why}.")))?;
    log.set(level, duration);
    Ok(Answer::empty())
}
