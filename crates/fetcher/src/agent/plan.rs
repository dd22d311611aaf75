//! What is wanted of the URIs of a task, and what the child is told. Pure.

use std::collections::HashMap;
use std::ffi::OsStr;

use mesos_proto::fetcher::fetcher_info::Item;
use mesos_proto::v1::command_info;
use mesos_types::UriSpec;
use sandbox::RelPath;

use crate::cache::CacheFile;
use crate::extract::kind_of;
use crate::info::Action;
use crate::uri::{FetchUri, UriError};

/// The names under which the Docker client keeps the credentials of registries.
const REGISTRY_CONFIGS: [&str; 2] = [".dockercfg", "config.json"];

/// One URI of a task that may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The URI.
    pub uri: FetchUri,
    /// What the task says about it.
    pub spec: UriSpec,
    /// Where it goes, below the sandbox.
    pub destination: RelPath,
}

impl Wanted {
    /// Checks the URIs of a task, all of them before anything is fetched.
    ///
    /// # Errors
    ///
    /// The first that is refused.
    pub fn all(specs: &[UriSpec]) -> Result<Vec<Wanted>, UriError> {
        specs.iter().map(Wanted::new).collect()
    }

    fn new(spec: &UriSpec) -> Result<Wanted, UriError> {
        let uri = FetchUri::new(spec.value.as_str())?;
        let destination = uri.destination(spec.output_file.as_deref())?;
        Ok(Wanted { uri, destination, spec: spec.clone() })
    }

    /// Whether it is unpacked into the sandbox.
    #[must_use]
    pub fn is_unpacked(&self) -> bool {
        self.spec.extract && !self.spec.executable && self.is_archive()
    }

    /// Whether its name in the sandbox, or that of the URI, which is its name in the cache, is an archive's.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        let in_sandbox = self.destination.as_path().file_name().and_then(kind_of);
        in_sandbox.or_else(|| kind_of(OsStr::new(self.uri.name()))).is_some()
    }

    /// The item that tells the child what to do with it; `cached` is its file in the cache.
    pub(super) fn item(&self, cached: Option<(Action, &CacheFile)>) -> Item {
        let uri = command_info::Uri {
            value: self.spec.value.clone(),
            executable: Some(self.spec.executable),
            extract: Some(self.spec.extract),
            cache: Some(self.spec.cache),
            output_file: self.spec.output_file.clone(),
        };
        let (action, file) = match cached {
            Some((action, file)) => (action, Some(file.name.clone())),
            None => (Action::BypassCache, None),
        };
        Item { uri, action: action.into(), cache_filename: file }
    }
}

/// Whether a path below the sandbox is one where registry credentials are looked for, or may be from.
#[must_use]
pub fn is_registry_config(path: &RelPath) -> bool {
    let name = path.as_path().file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| REGISTRY_CONFIGS.contains(&name))
}

/// Whether the pull must wait for the fetch: an archive may bring registry credentials, and so may a file that is
/// named like them (design §4).
#[must_use]
pub fn may_bring_registry_config(wanted: &[Wanted]) -> bool {
    wanted.iter().any(|wanted| wanted.is_unpacked() || is_registry_config(&wanted.destination))
}

/// Groups the URIs that are to be cached: each key once, with the position of every URI that it serves.
pub(super) fn cached_groups(wanted: &[Wanted]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (at, one) in wanted.iter().enumerate().filter(|(_, one)| one.spec.cache) {
        let group = *seen.entry(one.uri.value()).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(at);
    }
    groups
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn spec(value: &str) -> UriSpec {
        UriSpec { value: value.into(), executable: false, extract: true, cache: false, output_file: None }
    }

    fn wanted(spec: UriSpec) -> Wanted {
        Wanted::all(&[spec]).unwrap().remove(0)
    }

    #[rstest]
    #[case("http://h/a.tgz", true)]
    #[case("http://h/a.bin", false)]
    #[case("http://h/.dockercfg", true)]
    #[case("file:///etc/docker/config.json", true)]
    fn a_pull_waits_for_what_may_bring_credentials(#[case] uri: &str, #[case] expected: bool) {
        assert_eq!(may_bring_registry_config(&[wanted(spec(uri))]), expected);
        let unpacked = UriSpec { extract: false, ..spec("http://h/a.tgz") };
        assert!(!may_bring_registry_config(&[wanted(unpacked)]));
    }

    #[test]
    fn an_output_file_decides_about_the_name() {
        let dockercfg = UriSpec { output_file: Some(".docker/config.json".into()), ..spec("http://h/x") };
        assert!(is_registry_config(&wanted(dockercfg).destination));
        let archive = UriSpec { output_file: Some("x.tar".into()), ..spec("http://h/x") };
        assert!(wanted(archive).is_unpacked());
        let executable = UriSpec { executable: true, ..spec("http://h/x.tar") };
        assert!(!wanted(executable).is_unpacked());
    }

    #[test]
    fn a_uri_that_is_wanted_twice_is_cached_once() {
        let cached = |uri: &str| UriSpec { cache: true, ..spec(uri) };
        let all = Wanted::all(&[cached("/a"), spec("/a"), cached("/b"), cached("/a")]).unwrap();
        assert_eq!(cached_groups(&all), [vec![0, 3], vec![2]]);
    }

    #[test]
    fn one_bad_uri_refuses_them_all() {
        let error = Wanted::all(&[spec("/a"), spec("lala://nopath")]).unwrap_err().to_string();
        assert!(error.contains("Malformed"), "{error}");
    }

    #[test]
    fn the_child_is_told_the_task_s_words() {
        let one = wanted(UriSpec { output_file: Some("x".into()), ..spec(" /a#sha256") });
        let item = one.item(None);
        assert_eq!((item.uri.value.as_str(), item.cache_filename.as_deref()), (" /a#sha256", None));
        let file = CacheFile { user: "u".into(), name: "c1-a".into() };
        let item = one.item(Some((Action::RetrieveFromCache, &file)));
        assert_eq!(
            (item.action(), item.cache_filename.as_deref()),
            (Action::RetrieveFromCache, Some("c1-a"))
        );
    }
}
