//! Limits, shares and devices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::serde_null::nullable;

/// The resources of a container, also of an update of a running one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// The relative weight of CPU time, 2 to 262144.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    /// The memory limit in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<i64>,
    /// The CPU limit in billionths of a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nano_cpus: Option<i64>,
    /// The cgroup to be made under.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub cgroup_parent: String,
    /// The weight of block I/O, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blkio_weight: Option<u16>,
    /// The weight for single devices.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub blkio_weight_device: Vec<BlkioWeight>,
    /// Bytes read per second.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub blkio_device_read_bps: Vec<BlkioRate>,
    /// Bytes written per second.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub blkio_device_write_bps: Vec<BlkioRate>,
    /// Reads per second.
    #[serde(
        rename = "BlkioDeviceReadIOps",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "nullable"
    )]
    pub blkio_device_read_iops: Vec<BlkioRate>,
    /// Writes per second.
    #[serde(
        rename = "BlkioDeviceWriteIOps",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "nullable"
    )]
    pub blkio_device_write_iops: Vec<BlkioRate>,
    /// The CFS period in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<i64>,
    /// The CFS quota in microseconds per period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<i64>,
    /// The real-time period in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_realtime_period: Option<i64>,
    /// The real-time run time in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_realtime_runtime: Option<i64>,
    /// The CPUs to run on, `0-2,7`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub cpuset_cpus: String,
    /// The memory nodes to use.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub cpuset_mems: String,
    /// Host devices.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub devices: Vec<DeviceMapping>,
    /// Rules of the device cgroup.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub device_cgroup_rules: Vec<String>,
    /// Devices asked of a driver, such as GPUs.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub device_requests: Vec<DeviceRequest>,
    /// The kernel memory limit in bytes (until API 1.41).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_memory: Option<i64>,
    /// The limit of TCP buffers in bytes.
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "Option::is_none")]
    pub kernel_memory_tcp: Option<i64>,
    /// The soft memory limit in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<i64>,
    /// Memory and swap together in bytes; -1 is unlimited swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<i64>,
    /// How readily memory is swapped, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<i64>,
    /// Whether the OOM killer leaves the container alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kill_disable: Option<bool>,
    /// The most processes; -1 is unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// The resource limits of processes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub ulimits: Vec<Ulimit>,
    /// The number of CPUs (Windows).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<i64>,
    /// The percentage of CPUs (Windows).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<i64>,
    /// Operations per second on the system drive (Windows).
    #[serde(rename = "IOMaximumIOps", skip_serializing_if = "Option::is_none")]
    pub io_maximum_iops: Option<u64>,
    /// Bytes per second on the system drive (Windows).
    #[serde(rename = "IOMaximumBandwidth", skip_serializing_if = "Option::is_none")]
    pub io_maximum_bandwidth: Option<u64>,
}

/// The weight of one block device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BlkioWeight {
    /// The device's path.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub path: String,
    /// The weight, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
}

/// The rate of one block device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BlkioRate {
    /// The device's path.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub path: String,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// A host device inside the container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    /// The path on the host.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub path_on_host: String,
    /// The path in the container.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub path_in_container: String,
    /// What is allowed: a subset of `rwm`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub cgroup_permissions: String,
}

/// Devices asked of a driver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    /// The driver's name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub driver: String,
    /// How many; -1 is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Which ones.
    #[serde(rename = "DeviceIDs", skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub device_ids: Vec<String>,
    /// What they must be able to do: a list of alternatives, each a list of all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub capabilities: Vec<Vec<String>>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub options: BTreeMap<String, String>,
}

/// One resource limit of processes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// The limit's name, without `RLIMIT_`, in lower case.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub name: String,
    /// The soft limit; -1 is unlimited.
    pub soft: i64,
    /// The hard limit; -1 is unlimited.
    pub hard: i64,
}
