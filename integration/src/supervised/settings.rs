//! The settings of the supervisors and containerizers that tests and benchmarks make. Each changes what it is about.

use std::path::Path;
use std::time::Duration;

use docker_containerizer::logs::LogSettings;
use docker_containerizer::request::{CpuQuota, DefaultDns, EngineLog, RequestSettings};
use docker_containerizer::{
    CredentialSources, FetchedCredentials, ProxyVariables, PullSettings, RemovalDelay, Settings,
};
use mesos_types::Strictness;
use sandbox::RotationPolicy;
use task_supervisor::{CheckSettings, MaskedVariables, SupervisorSettings};

use super::PATIENCE;

/// Returns the settings of a Docker containerizer, with its fetcher's cache below the work directory: nothing is hidden,
/// refused or rotated, and the engine has the time of a test.
pub fn docker(work_dir: &Path) -> Settings {
    Settings {
        request: RequestSettings {
            sandbox_directory: "/mnt/mesos/sandbox".into(),
            cfs: CpuQuota::FromLimit,
            default_dns: DefaultDns::default(),
            engine_log: EngineLog { driver: "local".into(), max_size: 10 << 20, max_files: 2 },
            proxies: ProxyVariables::default(),
            policy: Default::default(),
        },
        logs: LogSettings { rotation: RotationPolicy::UNLIMITED },
        drain_deadline: PATIENCE,
        exit_deadline: PATIENCE,
        pulls: PullSettings::default(),
        credentials: CredentialSources::default(),
        fetched_credentials: FetchedCredentials::Stay,
        fetcher: crate::fetch::fetcher(work_dir.join("fetch")),
    }
}

/// Returns the settings of a supervisor whose stopped containers are removed at once. The work directory is canonical.
pub fn supervisor(work_dir: &Path) -> SupervisorSettings {
    SupervisorSettings {
        work_dir: work_dir.to_owned(),
        default_grace: Duration::from_secs(3),
        reading: Strictness::Lenient.into(),
        removal: RemovalDelay::After(Duration::ZERO),
        host_address: None,
        masked: MaskedVariables::default(),
        checks: CheckSettings::default(),
    }
}
