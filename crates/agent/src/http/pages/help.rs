//! `/help`: what there is to ask for.

use http::StatusCode;
use serde_json::{Value, json};

use crate::http::answer::Answer;
use crate::http::query::Query;
use crate::http::route::{Endpoint, route};

/// The endpoints and what they tell.
const PAGES: [(Endpoint, &str); 18] = [
    (Endpoint::State, "The agent, its frameworks, executors and tasks."),
    (Endpoint::Containers, "Containers, their status and what they use; ?container_id=ID for one."),
    (Endpoint::Statistics, "What executors use."),
    (Endpoint::ContainerizerDebug, "Operations of the containerizer that wait."),
    (Endpoint::Flags, "The flags."),
    (Endpoint::Health, "200 as long as the agent answers."),
    (Endpoint::OperatorApi, "The v1 operator API, by POST."),
    (Endpoint::FilesBrowse, "A directory: ?path=PATH."),
    (Endpoint::FilesRead, "A piece of a file: ?path=PATH&offset=N&length=N; without an offset its size."),
    (Endpoint::FilesDownload, "A whole file: ?path=PATH."),
    (Endpoint::FilesDebug, "The virtual paths and what they stand for."),
    (
        Endpoint::MetricsSnapshot,
        "The metrics by stock's names; ?timeout=5secs leaves out what is not there in time.",
    ),
    (Endpoint::Prometheus, "The metrics as Prometheus text."),
    (Endpoint::Version, "The version."),
    (Endpoint::LoggingToggle, "The level of the log; ?level=N&duration=15mins raises it for a time."),
    (Endpoint::SystemStats, "Load and memory of the host."),
    (Endpoint::ExecutorApi, "The v1 executor API, by POST."),
    (Endpoint::Help, "This page; ?format=json for programs."),
];

/// The page of all endpoints, or of the one that the rest of the path names.
pub(in crate::http) fn help(path: &str, query: &Query) -> Answer {
    let rest = path.trim_end_matches('/').trim_start_matches("/help");
    let about = route(rest);
    let pages = || PAGES.iter().filter(|(endpoint, _)| rest.is_empty() || *endpoint == about);
    // `/help/files` is about all of a process, as in stock.
    let is_process = |(endpoint, _): &&(Endpoint, &str)| endpoint.path().starts_with(&format!("{rest}/"));
    let found: Vec<_> = match pages().next() {
        Some(_) => pages().collect(),
        None if rest == "/slave(1)" => PAGES.iter().collect(),
        None => PAGES.iter().filter(is_process).collect(),
    };
    if found.is_empty() {
        return Answer::not_found();
    }
    if query.get("format") == Some("json") {
        let shown: Value =
            found.iter().map(|(endpoint, text)| json!({"name": endpoint.path(), "text": text})).collect();
        return Answer::json(&json!({"processes": [{"id": "slave(1)", "endpoints": shown}]}));
    }
    let lines: String = found
        .iter()
        .map(|(endpoint, text)| format!("<dt><code>{}</code></dt><dd>{text}</dd>\n", endpoint.path()))
        .collect();
    let page = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Help</title></head>\n\
         <body><h1>Endpoints of this agent</h1>\n<dl>\n{lines}</dl></body></html>\n"
    );
    Answer::bytes(StatusCode::OK, "text/html; charset=utf-8", page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_its_line() {
        let query = Query::default();
        let text = |path: &str| format!("{:?}", help(path, &query));
        for (endpoint, _) in PAGES {
            assert!(text("/help").contains(&format!("<code>{}</code>", endpoint.path())));
            let own = text(&format!("/help{}", endpoint.path()));
            assert!(own.contains(endpoint.path()), "{own}");
        }
        assert!(!text("/help/state").contains("/containers"));
        assert!(text("/help/slave(1)/state").contains("<code>/state</code>"));
        assert!(text("/help/files").contains("/files/read") && !text("/help/files").contains("<code>/state"));
        assert!(text("/help/nosuch").contains("404"));
    }

    #[test]
    fn programs_get_json() {
        let text = format!("{:?}", help("/help", &Query::parse("format=json").unwrap()));
        assert!(text.contains("Json"), "{text}");
    }
}
