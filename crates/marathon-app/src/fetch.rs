//! `fetch` and its older form `uris`: what is fetched into the sandbox before the start.

use serde_json::Value;

use crate::error::{AppError, JsonPath, Problem};
use crate::known_fields::FETCH;
use crate::notes::Notes;
use crate::reader::{Object, string};

/// The most bytes of a URI or a path in Marathon.
const MAX_LENGTH: usize = 1024;

/// Ends of names that `uris` unpacks (Marathon `FetchUri.isExtract`).
const ARCHIVES: [&str; 7] = [".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".zip"];

/// One thing to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Where from.
    pub uri: String,
    /// Whether an archive is unpacked.
    pub extract: bool,
    /// Whether the file is made executable.
    pub executable: bool,
    /// Whether the agent's cache is used.
    pub cache: bool,
    /// Name in the sandbox, when not the last part of the URI.
    pub destination: Option<String>,
}

/// Reads `fetch` or `uris`.
pub(crate) fn read_fetch(app: &Object<'_>, notes: &mut Notes) -> Result<Vec<Fetch>, AppError> {
    let mut fetch = Vec::new();
    for (path, item) in app.array("fetch")?.unwrap_or_default() {
        fetch.push(artifact(item, path, notes)?);
    }
    let uris = app.array("uris")?.unwrap_or_default();
    if !fetch.is_empty() && !uris.is_empty() {
        return Err(app
            .at("uris")
            .error(Problem::Conflict { other: "fetch".to_owned(), remedy: "use fetch only" }));
    }
    for (path, item) in uris {
        let uri = uri(string(item, &path)?, &path)?;
        let extract = ARCHIVES.iter().any(|end| uri.ends_with(end));
        fetch.push(Fetch { uri, extract, executable: false, cache: false, destination: None });
    }
    Ok(fetch)
}

fn artifact(item: &Value, path: JsonPath, notes: &mut Notes) -> Result<Fetch, AppError> {
    let artifact = Object::open(item, path, &FETCH, notes)?;
    let Some(text) = artifact.string("uri")? else {
        return Err(artifact.at("uri").error(Problem::Missing { needed: "where to fetch from" }));
    };
    let destination = artifact.filled_string("destPath")?;
    if destination.is_some_and(|path| path.len() > MAX_LENGTH) {
        return Err(artifact.at("destPath").invalid(format!("a path has at most {MAX_LENGTH} bytes")));
    }
    Ok(Fetch {
        uri: uri(text, &artifact.at("uri"))?,
        extract: artifact.boolean("extract")?.unwrap_or(true),
        executable: artifact.boolean("executable")?.unwrap_or(false),
        cache: artifact.boolean("cache")?.unwrap_or(false),
        destination: destination.map(str::to_owned),
    })
}

fn uri(text: &str, path: &JsonPath) -> Result<String, AppError> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return Err(path.invalid(format!("a URI has 1 to {MAX_LENGTH} bytes")));
    }
    Ok(text.to_owned())
}
