//! The properties of an engine and its host.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::Engine;
use crate::error::{EngineError, Op};
use crate::serde_null::nullable;
use crate::transport::Call;
use crate::version::ApiVersion;

/// Which cgroup hierarchy the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CgroupVersion {
    /// The hierarchies per controller; also what engines that do not say have.
    V1,
    /// The unified hierarchy.
    V2,
}

impl fmt::Display for CgroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// What an engine says of itself and its host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// The engine's version.
    pub server_version: String,
    /// The API version that is spoken with it.
    pub api_version: ApiVersion,
    /// The cgroup hierarchy.
    pub cgroup_version: CgroupVersion,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// The storage driver.
    pub storage_driver: String,
    /// The log driver of containers that name none.
    pub default_log_driver: String,
    /// The runtime of containers that name none; empty where the engine does not say.
    pub default_runtime: String,
    /// Whether containers survive the daemon.
    pub live_restore: bool,
    /// The operating system, `linux`.
    pub os: String,
    /// The architecture, as the kernel names it.
    pub arch: String,
    /// The kernel's version.
    pub kernel: String,
    /// The host's memory in bytes.
    pub mem_total: u64,
    /// The host's CPUs.
    pub ncpu: u32,
    /// Security options in force, such as `name=rootless` or `name=userns`.
    pub security_options: Vec<String>,
    /// The data directory.
    pub root_dir: String,
    /// What the engine warns about.
    pub warnings: Vec<String>,
    /// Whether the kernel can limit memory.
    pub memory_limit: bool,
    /// Whether the kernel can limit swap.
    pub swap_limit: bool,
    /// Whether the kernel has CFS quotas.
    pub cpu_cfs_quota: bool,
    /// Whether the kernel can limit processes.
    pub pids_limit: bool,
}

impl Engine {
    /// Reads the properties of the engine and its host (`GET /info`).
    ///
    /// # Errors
    ///
    /// As every read: `Unreachable`, `Timeout`, `StreamBroken`, `Protocol`, or what the engine says.
    pub async fn info(&self, deadline: Duration) -> Result<EngineInfo, EngineError> {
        let info: Wire = self.call_json(Op::Info, self.name(), deadline, &Call::get("/info")).await?;
        Ok(EngineInfo {
            server_version: info.server_version,
            api_version: self.api(),
            cgroup_version: if info.cgroup_version == "2" { CgroupVersion::V2 } else { CgroupVersion::V1 },
            cgroup_driver: info.cgroup_driver,
            storage_driver: info.driver,
            default_log_driver: info.logging_driver,
            default_runtime: info.default_runtime,
            live_restore: info.live_restore_enabled,
            os: info.os_type,
            arch: info.architecture,
            kernel: info.kernel_version,
            mem_total: info.mem_total,
            ncpu: info.ncpu,
            security_options: info.security_options,
            root_dir: info.docker_root_dir,
            warnings: info.warnings,
            memory_limit: info.memory_limit,
            swap_limit: info.swap_limit,
            cpu_cfs_quota: info.cpu_cfs_quota,
            pids_limit: info.pids_limit,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wire {
    #[serde(deserialize_with = "nullable")]
    server_version: String,
    #[serde(deserialize_with = "nullable")]
    cgroup_version: String,
    #[serde(deserialize_with = "nullable")]
    cgroup_driver: String,
    #[serde(deserialize_with = "nullable")]
    driver: String,
    #[serde(deserialize_with = "nullable")]
    logging_driver: String,
    #[serde(deserialize_with = "nullable")]
    default_runtime: String,
    #[serde(deserialize_with = "nullable")]
    live_restore_enabled: bool,
    #[serde(rename = "OSType", deserialize_with = "nullable")]
    os_type: String,
    #[serde(deserialize_with = "nullable")]
    architecture: String,
    #[serde(deserialize_with = "nullable")]
    kernel_version: String,
    #[serde(deserialize_with = "nullable")]
    mem_total: u64,
    #[serde(rename = "NCPU", deserialize_with = "nullable")]
    ncpu: u32,
    #[serde(deserialize_with = "nullable")]
    security_options: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    docker_root_dir: String,
    #[serde(deserialize_with = "nullable")]
    warnings: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    memory_limit: bool,
    #[serde(deserialize_with = "nullable")]
    swap_limit: bool,
    #[serde(rename = "CpuCfsQuota", deserialize_with = "nullable")]
    cpu_cfs_quota: bool,
    #[serde(deserialize_with = "nullable")]
    pids_limit: bool,
}
