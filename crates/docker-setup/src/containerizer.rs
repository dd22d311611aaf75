//! The Docker containerizer's settings and how tasks are read.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use docker_containerizer::logs::LogSettings;
use docker_containerizer::request::RequestSettings;
use docker_containerizer::{FetchedCredentials, OperatorConfig, Settings};
use fetcher::agent::{CacheSettings, Fetcher, FetcherSettings, Revalidation};
use flags::DockerSettings;
use mesos_types::{ProcessUser, Reading, Strictness};
use sandbox::RotationPolicy;

use crate::operator::credentials;
use crate::pulls::pull_settings;

/// Where the fetcher of a program has its things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPlaces {
    /// The directory of its cache.
    pub cache: PathBuf,
}

/// The settings of a containerizer that makes requests and fetches like these.
pub fn containerizer_settings(
    settings: &DockerSettings,
    request: RequestSettings,
    operator: Option<OperatorConfig>,
    fetcher: Fetcher,
) -> Settings {
    Settings {
        request,
        logs: LogSettings { rotation: rotation(settings) },
        drain_deadline: settings.logs.drain,
        exit_deadline: settings.deadlines.missed_exit,
        pulls: pull_settings(&settings.pulls),
        credentials: credentials(settings, operator),
        fetched_credentials: match settings.credentials.hide {
            true => FetchedCredentials::Hidden,
            false => FetchedCredentials::Stay,
        },
        fetcher,
    }
}

/// What fetches the tasks' URIs.
pub fn fetcher(settings: &DockerSettings, places: FetchPlaces) -> Fetcher {
    let fetch = &settings.fetch;
    let revalidation = if fetch.cache_revalidate { Revalidation::Always } else { Revalidation::Never };
    Fetcher::new(FetcherSettings {
        launcher_dir: fetch.launcher_dir.as_deref().map(absolute),
        cache: CacheSettings { directory: places.cache, size: fetch.cache_size, revalidation },
        stall_timeout: fetch.stall_timeout,
        parallel: fetch.parallel,
        concurrent: fetch.max_concurrent,
        retries: fetch.retries,
        frameworks_home: fetch.frameworks_home.as_deref().map(absolute),
        hadoop_home: fetch.hadoop_home.as_deref().map(absolute),
        extract_max_bytes: fetch.extract_max_size,
        extract_max_entries: fetch.extract_max_entries,
    })
}

/// How tasks are read.
pub fn reading(settings: &DockerSettings) -> Reading {
    Reading {
        strictness: if settings.docker_strict_fields { Strictness::Strict } else { Strictness::Lenient },
        user: if settings.docker_honor_user { ProcessUser::Task } else { ProcessUser::Image },
    }
}

pub(crate) fn rotation(settings: &DockerSettings) -> RotationPolicy {
    RotationPolicy {
        max_size: settings.logs.max_size.and_then(NonZeroU64::new),
        max_files: u32::try_from(settings.logs.max_files).unwrap_or(u32::MAX),
    }
}

/// A path of a flag as seen from here: the fetcher runs elsewhere.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
