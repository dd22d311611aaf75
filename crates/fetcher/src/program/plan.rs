//! What becomes of each item: where it comes from, what it is called, what is done with it. Pure.
//!
//! | action | executable | archive and extract | otherwise |
//! |---|---|---|---|
//! | bypass | download, mode 0755 | download, extract; the archive stays | download |
//! | through the cache | copy, mode 0755 | extract; no archive in the sandbox | copy |
//!
//! As stock's `fetch` (src/launcher/fetcher.cpp). Departs from it in that the format of a cached file is told by the
//! URI's name and not by the name in the cache, which is made from it; and in that all items are judged before the
//! first is fetched.

use std::ffi::{OsStr, OsString};

use mesos_proto::fetcher::fetcher_info;
use sandbox::{RelPath, RelPathError};

use crate::extract::{Kind, kind_of};
use crate::info::Action;
use crate::uri::{FetchUri, UriError, redacted};

/// The task's own log files, which are written while we fetch.
pub(super) const LOG_FILES: [&str; 2] = ["stdout", "stderr"];

/// One item, ready to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Its position in the request.
    pub(super) index: usize,
    pub(super) uri: FetchUri,
    /// Its path below the sandbox, unless it is extracted from the cache.
    pub(super) destination: RelPath,
    pub(super) way: Way,
    pub(super) finish: Finish,
}

/// Whether an item goes through the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    Cached { file: RelPath, filling: Filling },
}

/// Whether the file of the cache is to be downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filling {
    /// Unless an item before has done so.
    Download,
    /// It is there.
    Present,
}

/// What is done with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Nothing.
    Keep,
    /// Nothing, though it was to be extracted: it is no archive.
    NotAnArchive,
    /// It may be executed by everybody.
    Executable,
    /// It is extracted, as an archive of this name.
    Extract { name: OsString },
}

/// Why an item cannot be fetched at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Failed to fetch '{uri}': {reason}")]
pub(super) struct Refused {
    pub(super) index: usize,
    /// The URI, redacted.
    pub(super) uri: String,
    pub(super) reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error(transparent)]
    Uri(#[from] UriError),
    #[error("'{name}' is the task's own log file; name another in 'output_file'")]
    LogFile { name: String },
    #[error("cache directory not specified")]
    NoCache,
    #[error("no cache filename specified")]
    NoCacheFile,
    #[error("the cache filename is no file name: {0}")]
    CacheFile(RelPathError),
}

/// Plans all items of a request, in their order.
///
/// # Errors
///
/// The first item that cannot be fetched.
pub(super) fn plan(items: &[fetcher_info::Item], has_cache: bool) -> Result<Vec<Item>, Refused> {
    let plan_one = |(index, item): (usize, &fetcher_info::Item)| {
        one(index, item, has_cache).map_err(|reason| Refused {
            index,
            uri: redacted(item.uri.value.trim_start()),
            reason,
        })
    };
    items.iter().enumerate().map(plan_one).collect()
}

fn one(index: usize, item: &fetcher_info::Item, has_cache: bool) -> Result<Item, Reason> {
    let uri = FetchUri::new(item.uri.value.as_str())?;
    let output = item.uri.output_file.as_deref();
    let way = way(item, has_cache)?;
    let destination = uri.destination(output)?;
    if let Some(name) = LOG_FILES.iter().find(|name| destination.as_path() == OsStr::new(name)) {
        return Err(Reason::LogFile { name: (*name).to_owned() });
    }
    let named = destination.as_path().file_name().unwrap_or_default();
    let (extract, executable) = (item.uri.extract(), item.uri.executable());
    let finish = match (&way, executable, extract) {
        (_, true, _) => Finish::Executable,
        (_, false, false) => Finish::Keep,
        (Way::Direct, false, true) => match kind_of(named) {
            Some(_) => Finish::Extract { name: named.to_owned() },
            None => Finish::NotAnArchive,
        },
        (Way::Cached { .. }, false, true) => match kind_of(OsStr::new(uri.name())) {
            Some(kind) => Finish::Extract { name: name_in_cache(kind, &uri, output.map(|_| named)) },
            None => Finish::NotAnArchive,
        },
    };
    Ok(Item { index, uri, destination, way, finish })
}

fn way(item: &fetcher_info::Item, has_cache: bool) -> Result<Way, Reason> {
    let filling = match item.action() {
        Action::BypassCache => return Ok(Way::Direct),
        Action::DownloadAndCache => Filling::Download,
        Action::RetrieveFromCache => Filling::Present,
    };
    if !has_cache {
        return Err(Reason::NoCache);
    }
    let name = item.cache_filename.as_deref().filter(|name| !name.is_empty()).ok_or(Reason::NoCacheFile)?;
    Ok(Way::Cached { file: RelPath::new(name).map_err(Reason::CacheFile)?, filling })
}

/// The name by which a file of the cache is extracted: the URI's own, which tells the format. A single compressed file
/// gets the output file's name where there is one.
fn name_in_cache(kind: Kind, uri: &FetchUri, output: Option<&OsStr>) -> OsString {
    let own = OsStr::new(uri.name());
    match (kind, output) {
        (Kind::Compressed(_), Some(output)) if kind_of(output) == Some(kind) => output.to_owned(),
        (Kind::Compressed(_), Some(output)) => {
            // Its ending goes again when the file is extracted.
            let ending = uri.name().rsplit_once('.').map_or("", |(_, ending)| ending);
            let mut name = output.to_owned();
            name.push(".");
            name.push(ending);
            name
        }
        _ => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mesos_proto::v1::command_info::Uri;
    use rstest::rstest;

    use super::*;

    fn item(action: Action, value: &str) -> fetcher_info::Item {
        let uri = Uri { value: value.to_owned(), ..Uri::default() };
        let cache_filename = (action != Action::BypassCache).then(|| "c1-file".to_owned());
        fetcher_info::Item { uri, action: action.into(), cache_filename }
    }

    fn unpacked(name: &str) -> Finish {
        Finish::Extract { name: name.into() }
    }

    #[rstest]
    #[case(Action::BypassCache, "/a/b.tgz", None, false, true, "b.tgz", unpacked("b.tgz"))]
    #[case(Action::BypassCache, "/a/b.tgz", None, true, true, "b.tgz", Finish::Executable)]
    #[case(Action::BypassCache, "/a/b.tgz", None, false, false, "b.tgz", Finish::Keep)]
    #[case(Action::BypassCache, "/a/b", None, false, true, "b", Finish::NotAnArchive)]
    #[case(Action::BypassCache, "/a/b.tgz", Some("x"), false, true, "x", Finish::NotAnArchive)]
    #[case(Action::BypassCache, "/a/b", Some("d/x.zip"), false, true, "d/x.zip", unpacked("x.zip"))]
    #[case(Action::DownloadAndCache, "/a/b.tgz", None, false, true, "b.tgz", unpacked("b.tgz"))]
    #[case(Action::RetrieveFromCache, "/a/b.tgz", Some("x"), false, true, "x", unpacked("b.tgz"))]
    #[case(Action::RetrieveFromCache, "/a/b", Some("x.zip"), false, true, "x.zip", Finish::NotAnArchive)]
    #[case(Action::RetrieveFromCache, "/a/b", None, true, true, "b", Finish::Executable)]
    #[case(Action::RetrieveFromCache, "/a/b.gz", None, false, true, "b.gz", unpacked("b.gz"))]
    #[case(Action::RetrieveFromCache, "/a/b.gz", Some("x.gz"), false, true, "x.gz", unpacked("x.gz"))]
    #[case(Action::RetrieveFromCache, "/a/b.gz", Some("x"), false, true, "x", unpacked("x.gz"))]
    fn the_table(
        #[case] action: Action,
        #[case] value: &str,
        #[case] output: Option<&str>,
        #[case] executable: bool,
        #[case] extract: bool,
        #[case] destination: &str,
        #[case] finish: Finish,
    ) {
        let mut item = item(action, value);
        item.uri.output_file = output.map(str::to_owned);
        item.uri.executable = Some(executable);
        item.uri.extract = Some(extract);
        let planned = plan(&[item], true).expect("planned").remove(0);
        assert_eq!(planned.destination.as_path().to_str(), Some(destination));
        assert_eq!(planned.finish, finish);
        assert_eq!(planned.way == Way::Direct, action == Action::BypassCache);
    }

    #[test]
    fn extract_is_the_default_and_executable_is_not() {
        let planned = plan(&[item(Action::BypassCache, "/a.tar")], false).expect("planned");
        assert_eq!(planned[0].finish, unpacked("a.tar"));
    }

    #[test]
    fn the_first_refused_item_is_told() {
        let good = item(Action::BypassCache, "/a");
        let bad = item(Action::BypassCache, "/b/'");
        let worse = item(Action::BypassCache, "http://h");
        let refused = plan(&[good, bad, worse], false).expect_err("refused");
        assert_eq!(refused.index, 1);
        assert_eq!(refused.to_string(), "Failed to fetch '/b/'': Illegal characters in URI");
    }

    #[rstest]
    #[case("/a/stderr", None)]
    #[case("/a/b", Some("./stdout"))]
    fn the_tasks_log_is_not_overwritten(#[case] value: &str, #[case] output: Option<&str>) {
        let mut item = item(Action::BypassCache, value);
        item.uri.output_file = output.map(str::to_owned);
        assert!(matches!(plan(&[item], false), Err(Refused { reason: Reason::LogFile { .. }, .. })));
    }

    #[test]
    fn the_cache_must_be_there_and_its_files_named() {
        let cached = item(Action::RetrieveFromCache, "/a");
        let reason = |item: &fetcher_info::Item, has_cache| {
            plan(std::slice::from_ref(item), has_cache).expect_err("refused").reason
        };
        assert_eq!(reason(&cached, false), Reason::NoCache);
        let nameless = fetcher_info::Item { cache_filename: None, ..cached.clone() };
        assert_eq!(reason(&nameless, true), Reason::NoCacheFile);
        let outside = fetcher_info::Item { cache_filename: Some("../x".to_owned()), ..cached };
        assert!(matches!(reason(&outside, true), Reason::CacheFile(_)));
    }
}
