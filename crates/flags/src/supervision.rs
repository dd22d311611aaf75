//! The flags about what is told of a task that runs, and how it is checked.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::values::quote;

/// `--docker_mask_environment`: whose values are masked in a task's statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerMask {
    /// `secrets`.
    Secrets,
    /// `all`.
    All,
    /// `none`.
    None,
}

/// What is told of a task that runs, and how it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSupervisionSettings {
    /// `--docker_mask_environment`.
    pub mask: DockerMask,
    /// `--docker_max_parallel_check_commands`.
    pub check_commands: NonZeroUsize,
    /// `--docker_max_parallel_check_connections`.
    pub check_connections: NonZeroUsize,
    /// `--docker_check_min_interval`.
    pub check_interval: Duration,
    /// `--docker_check_longest_turn`.
    pub check_turn: Duration,
    /// `--docker_check_engine_timeout`.
    pub check_engine: Duration,
}

/// One of the masks by its name.
pub(crate) fn mask(text: &str) -> Result<DockerMask, String> {
    match text {
        "secrets" => Ok(DockerMask::Secrets),
        "all" => Ok(DockerMask::All),
        "none" => Ok(DockerMask::None),
        _ => Err(format!("{} is none of secrets, all and none", quote(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::DockerSettings;

    fn load(pairs: &[(&str, &str)]) -> Result<DockerSupervisionSettings, String> {
        let loaded = DockerSettings::from_pairs(pairs.iter().copied());
        loaded.map(|loaded| loaded.settings.supervision).map_err(|error| error.to_string())
    }

    #[test]
    fn secrets_are_masked_unless_somebody_says_otherwise() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.mask, DockerMask::Secrets);
        assert_eq!((settings.check_commands.get(), settings.check_connections.get()), (8, 64));
        assert_eq!(settings.check_interval, Duration::from_millis(100));
        assert_eq!(settings.check_turn, Duration::from_secs(5));
        assert_eq!(settings.check_engine, Duration::from_secs(30));
    }

    #[test]
    fn every_flag_is_read() {
        let settings = load(&[
            ("docker_mask_environment", "all"),
            ("docker_max_parallel_check_commands", "2"),
            ("docker_max_parallel_check_connections", "3"),
            ("docker_check_min_interval", "1secs"),
            ("docker_check_longest_turn", "2secs"),
            ("docker_check_engine_timeout", "9secs"),
        ])
        .unwrap();
        assert_eq!(settings.mask, DockerMask::All);
        assert_eq!((settings.check_commands.get(), settings.check_connections.get()), (2, 3));
        assert_eq!(settings.check_interval, Duration::from_secs(1));
        assert_eq!(settings.check_turn, Duration::from_secs(2));
        assert_eq!(settings.check_engine, Duration::from_secs(9));
        assert_eq!(load(&[("docker_mask_environment", "none")]).unwrap().mask, DockerMask::None);
    }

    #[rstest::rstest]
    #[case("docker_mask_environment", "some")]
    #[case("docker_max_parallel_check_commands", "0")]
    #[case("docker_check_engine_timeout", "0secs")]
    fn a_value_that_cannot_be_is_refused_by_the_flags_name(#[case] name: &str, #[case] value: &str) {
        let error = load(&[(name, value)]).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
}
