//! The settings of the fetcher, valid by construction.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::docker::{Values, count, deadline};
use crate::error::FlagError;
use crate::values::{parse_bool, parse_bytes, quote};

/// What the fetcher can be told by flags. See [`crate::DOCKER_FLAGS`] for what each means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchSettings {
    /// `--launcher_dir`.
    pub launcher_dir: Option<PathBuf>,
    /// `--fetcher_cache_dir`; absolute.
    pub cache_dir: PathBuf,
    /// `--fetcher_cache_size` in bytes; 0 is no cache.
    pub cache_size: u64,
    /// `--fetcher_cache_revalidate`.
    pub cache_revalidate: bool,
    /// `--fetcher_stall_timeout`.
    pub stall_timeout: Duration,
    /// `--fetcher_parallel`, 1 to 64.
    pub parallel: NonZeroUsize,
    /// `--fetcher_max_concurrent`, 1 to 1024.
    pub max_concurrent: NonZeroUsize,
    /// `--fetcher_retries`, 0 to 100.
    pub retries: u32,
    /// `--fetcher_extract_max_size` in bytes.
    pub extract_max_size: u64,
    /// `--fetcher_extract_max_entries`.
    pub extract_max_entries: u64,
    /// `--frameworks_home`; empty is unset, as in Mesos.
    pub frameworks_home: Option<PathBuf>,
    /// `--hadoop_home`; empty is unset.
    pub hadoop_home: Option<PathBuf>,
}

impl FetchSettings {
    pub(crate) fn from_values(values: &Values) -> Result<Self, FlagError> {
        let path = |name| {
            values.optional(name).map(|(_, text)| text).filter(|text| !text.is_empty()).map(PathBuf::from)
        };
        Ok(Self {
            launcher_dir: path("launcher_dir"),
            cache_dir: values.absolute("fetcher_cache_dir", "")?,
            cache_size: values.required("fetcher_cache_size", parse_bytes)?,
            cache_revalidate: values.required("fetcher_cache_revalidate", parse_bool)?,
            stall_timeout: values.required("fetcher_stall_timeout", deadline)?,
            parallel: values.required("fetcher_parallel", |text| count(text, 1..=64))?,
            max_concurrent: values.required("fetcher_max_concurrent", |text| count(text, 1..=1024))?,
            retries: values.required("fetcher_retries", retries)?,
            extract_max_size: values.required("fetcher_extract_max_size", parse_bytes)?,
            extract_max_entries: values
                .required("fetcher_extract_max_entries", |text| count(text, 1..=1_000_000_000))?
                .get()
                .try_into()
                .unwrap_or(u64::MAX),
            frameworks_home: path("frameworks_home"),
            hadoop_home: path("hadoop_home"),
        })
    }
}

fn retries(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number <= 100);
    number.ok_or_else(|| format!("{} is not a whole number from 0 to 100", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DockerSettings;

    fn load(pairs: &[(&str, &str)]) -> Result<FetchSettings, FlagError> {
        DockerSettings::from_pairs(pairs.iter().copied()).map(|loaded| loaded.settings.fetch)
    }

    #[test]
    fn the_defaults_are_those_of_mesos_and_ours() {
        let expected = FetchSettings {
            launcher_dir: None,
            cache_dir: "/tmp/mesos/fetch".into(),
            cache_size: 2 << 30,
            cache_revalidate: false,
            stall_timeout: Duration::from_secs(60),
            parallel: NonZeroUsize::new(8).unwrap(),
            max_concurrent: NonZeroUsize::new(16).unwrap(),
            retries: 4,
            extract_max_size: 16 << 30,
            extract_max_entries: 1_000_000,
            frameworks_home: None,
            hadoop_home: None,
        };
        assert_eq!(load(&[]).unwrap(), expected);
    }

    #[test]
    fn every_flag_sets_its_field() {
        let given = load(&[
            ("launcher_dir", "/l"),
            ("fetcher_cache_dir", "/c"),
            ("fetcher_cache_size", "0B"),
            ("fetcher_cache_revalidate", "true"),
            ("fetcher_stall_timeout", "2secs"),
            ("fetcher_parallel", "3"),
            ("fetcher_max_concurrent", "4"),
            ("fetcher_retries", "0"),
            ("fetcher_extract_max_size", "1MB"),
            ("fetcher_extract_max_entries", "6"),
            ("frameworks_home", "/f"),
            ("hadoop_home", ""),
        ])
        .unwrap();
        let expected = FetchSettings {
            launcher_dir: Some("/l".into()),
            cache_dir: "/c".into(),
            cache_size: 0,
            cache_revalidate: true,
            stall_timeout: Duration::from_secs(2),
            parallel: NonZeroUsize::new(3).unwrap(),
            max_concurrent: NonZeroUsize::new(4).unwrap(),
            retries: 0,
            extract_max_size: 1 << 20,
            extract_max_entries: 6,
            frameworks_home: Some("/f".into()),
            hadoop_home: None,
        };
        assert_eq!(given, expected);
    }

    #[test]
    fn bad_values_name_their_flag() {
        for (name, value) in [
            ("fetcher_cache_dir", "fetch"),
            ("fetcher_cache_size", "2"),
            ("fetcher_stall_timeout", "0secs"),
            ("fetcher_parallel", "0"),
            ("fetcher_retries", "-1"),
        ] {
            let error = load(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("flag --{name}: ")), "{error}");
        }
    }
}
