//! What a container uses.

/// What a container uses (`ResourceStatistics`); an absent value could not be read or does not apply.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// When it was read, in seconds since 1970.
    pub timestamp: f64,
    /// CPU time in user mode, in seconds.
    pub cpus_user_time_secs: f64,
    /// CPU time in the kernel, in seconds.
    pub cpus_system_time_secs: f64,
    /// The CPU limit, in CPUs.
    pub cpus_limit: Option<f64>,
    /// The CPU request, in CPUs.
    pub cpus_soft_limit: Option<f64>,
    /// Quota periods so far.
    pub cpus_nr_periods: Option<u32>,
    /// Periods in which the quota was used up.
    pub cpus_nr_throttled: Option<u32>,
    /// How long the container was held back, in seconds.
    pub cpus_throttled_time_secs: Option<f64>,
    /// Anonymous memory, in bytes.
    pub mem_rss_bytes: u64,
    /// All memory charged to the container, in bytes.
    pub mem_total_bytes: Option<u64>,
    /// The memory limit, in bytes.
    pub mem_limit_bytes: Option<u64>,
    /// The memory request, in bytes, where a limit is set.
    pub mem_soft_limit_bytes: Option<u64>,
    /// File pages charged to the container, in bytes.
    pub mem_file_bytes: Option<u64>,
    /// Of these, pages that are mapped, in bytes.
    pub mem_mapped_file_bytes: Option<u64>,
    /// What is swapped out, in bytes.
    pub mem_swap_bytes: Option<u64>,
    /// Processes, and threads where the group counts them.
    pub processes: Option<u32>,
    /// Threads.
    pub threads: Option<u32>,
    /// What the sandbox may take of the disk, in bytes.
    pub disk_limit_bytes: Option<u64>,
    /// What it takes, in bytes.
    pub disk_used_bytes: Option<u64>,
}
