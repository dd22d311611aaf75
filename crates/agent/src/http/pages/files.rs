//! `/files/browse`, `/files/read`, `/files/download`, `/files/debug` (`src/files/files.cpp`).

use std::sync::Arc;

use docker_containerizer::chain;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::files::{FileInfo, FilesError, browse, open_download, read};
use crate::http::answer::Answer;
use crate::http::body::Body;
use crate::http::context::{Context, blocking};
use crate::http::query::Query;

/// A list of what is in a directory.
pub(in crate::http) async fn list(context: &Context, query: &Query) -> Result<Answer, Answer> {
    let path = path(query)?;
    let (files, most) = (context.sources.files.clone(), context.settings.max_listed_files);
    let infos = blocking(move || browse(&files, &path, most)).await?.map_err(refused)?;
    Ok(Answer::json(&infos.iter().map(shown).collect()))
}

/// A piece of a file.
pub(in crate::http) async fn piece(context: &Context, query: &Query) -> Result<Answer, Answer> {
    let path = path(query)?;
    let (offset, length) = (number(query, "offset")?, number(query, "length")?);
    let files = context.sources.files.clone();
    blocking(move || {
        let content = read(&files, &path, offset, length).map_err(refused)?;
        let mut shown = Map::new();
        shown.insert("data".to_owned(), json!(content.text()));
        shown.insert("offset".to_owned(), json!(offset.unwrap_or(content.size)));
        Ok(Answer::json(&Value::Object(shown)))
    })
    .await?
}

/// A whole file. `downloads` bounds how many are sent at once.
pub(in crate::http) async fn whole(
    context: &Context,
    query: &Query,
    method: &Method,
    downloads: &Arc<Semaphore>,
) -> Result<Answer, Answer> {
    let path = path(query)?;
    let Ok(permit) = downloads.clone().try_acquire_owned() else {
        return Err(Answer::unavailable("Too many files are being downloaded; ask again later."));
    };
    let files = context.sources.files.clone();
    let opened = blocking(move || open_download(&files, &path)).await?;
    let download = opened.map_err(|error| match error {
        FilesError::NotFound => Answer::not_found(),
        error => refused(error),
    })?;
    let mut headers = vec![
        (header::CONTENT_LENGTH, HeaderValue::from(download.size)),
        (header::CONTENT_TYPE, HeaderValue::from_static(download.content_type)),
        // What a task wrote is not to be run in the name of the agent.
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ];
    if let Ok(disposition) = HeaderValue::try_from(download.disposition) {
        headers.push((header::CONTENT_DISPOSITION, disposition));
    }
    let body = match *method {
        Method::HEAD => Body::whole(bytes::Bytes::new()),
        _ => Body::file(download.file, download.size, context.settings.stall, permit),
    };
    Ok(Answer::streamed(body, headers))
}

/// What is attached.
pub(in crate::http) fn attached(context: &Context) -> Answer {
    let attached = context.sources.files.attached();
    Answer::json(&attached.into_iter().map(|(name, path)| (name, json!(path))).collect())
}

/// The query's path, which must be there.
fn path(query: &Query) -> Result<String, Answer> {
    match query.get("path") {
        Some(path) if !path.is_empty() => Ok(path.to_owned()),
        _ => Err(Answer::bad_request("Expecting 'path=value' in query.\n")),
    }
}

/// A number of the query; -1 is none, as in stock.
fn number(query: &Query, name: &str) -> Result<Option<u64>, Answer> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with(['+', '-'])),
        None => text.parse::<i64>().ok(),
    };
    match parsed {
        Some(-1) => Ok(None),
        Some(number) => u64::try_from(number)
            .map(Some)
            .map_err(|_| Answer::bad_request(format!("Negative {name} provided: {number}.\n"))),
        None => {
            let shown: String = text.chars().take(64).collect();
            Err(Answer::bad_request(format!(
                "Failed to parse {name}: Failed to convert '{shown}' to number.\n"
            )))
        }
    }
}

/// The answer for a file that is not shown.
pub(in crate::http) fn refused(error: FilesError) -> Answer {
    match error {
        FilesError::NotFound => Answer::text(StatusCode::NOT_FOUND, ""),
        FilesError::Invalid(why) => Answer::bad_request(format!("{why}\n")),
        error @ FilesError::Failed { .. } => {
            let why = chain(&error);
            tracing::warn!(why, "a file could not be shown");
            Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}.\n"))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "stock prints seconds as a double")]
fn shown(info: &FileInfo) -> Value {
    json!({
        "gid": info.gid,
        "mode": info.mode_text(),
        "mtime": info.mtime as f64,
        "nlink": info.nlink,
        "path": info.path,
        "size": info.size,
        "uid": info.uid,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parsed(text: &str) -> Result<Option<u64>, String> {
        let query = Query::parse(&format!("offset={text}")).unwrap();
        number(&query, "offset").map_err(|answer| format!("{answer:?}"))
    }

    #[rstest]
    #[case("0", Some(0))]
    #[case("-1", None)]
    #[case("12", Some(12))]
    #[case("0x2", Some(2))]
    #[case("9223372036854775807", Some(i64::MAX.unsigned_abs()))]
    fn numbers_are_read_as_stock_reads_them(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(parsed(text), Ok(expected));
    }

    #[rstest]
    #[case("-2", "Negative offset provided: -2.")]
    #[case("x", "Failed to parse offset: Failed to convert 'x' to number.")]
    #[case("", "Failed to convert '' to number.")]
    #[case("+2", "Failed to convert ' 2' to number.")]
    #[case("1.5", "Failed to convert '1.5' to number.")]
    #[case("0x-2", "Failed to convert")]
    #[case("99999999999999999999", "Failed to convert '99999999999999999999' to number.")]
    #[case("9223372036854775808", "Failed to convert")]
    fn others_are_refused(#[case] text: &str, #[case] why: &str) {
        let error = parsed(text).unwrap_err();
        assert!(error.contains("400") && error.contains(why), "{error}");
    }

    /// As it was recorded of a stock agent.
    #[test]
    fn a_listing_is_as_stock_prints_it() {
        let stock: Value =
            serde_json::from_str(include_str!("../../../tests/data/http/browse.json")).unwrap();
        let infos: Vec<_> = stock
            .as_array()
            .unwrap()
            .iter()
            .map(|file| FileInfo {
                path: file["path"].as_str().unwrap().to_owned(),
                nlink: 1,
                size: file["size"].as_u64().unwrap(),
                mtime: 1_795_253_996,
                mode: 0o100_644,
                uid: "root".to_owned(),
                gid: "root".to_owned(),
            })
            .collect();
        let ours: Value = infos.iter().map(shown).collect();
        assert_eq!(ours.to_string(), stock.to_string());
    }
}
