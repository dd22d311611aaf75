//! One plain container: its limits, what it uses, the end of its memory or disk, its kill.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use containerizer::cgroups::{Version, add_bounds, add_cpu, add_memory, add_pids, count, now_in_seconds};
use containerizer::{Limitation, Usage, blocking};
use mesos_types::{ContainerId, Isolator, Megabytes, TaskLimits, TaskResources};
use tokio::time::{Instant, sleep};

use super::containment::Shared;
use super::error::ContainmentError;
use super::processes;
use crate::cgroups::{
    Controller, GroupDir, GroupDirs, KillError, MemoryNow, OomWatch, Pauses, Round, oom_kills, writes,
};

/// A limit beyond which there is none: the kernel's own largest number of bytes, and more than any machine has.
const BOUNDLESS: u64 = 1 << 60;

/// One plain container, as the kernel contains it. Clones are the same container.
#[derive(Debug, Clone)]
pub struct Contained {
    shared: Arc<Shared>,
    id: ContainerId,
    dirs: GroupDirs,
}

impl Contained {
    pub(super) fn new(shared: Arc<Shared>, id: ContainerId, dirs: GroupDirs) -> Self {
        Self { shared, id, dirs }
    }

    /// Which container.
    pub fn id(&self) -> ContainerId {
        self.id
    }

    /// The control groups: for the record of the container, and for its supervising parent. There are none where
    /// processes are contained as a tree alone.
    pub fn dirs(&self) -> &GroupDirs {
        &self.dirs
    }

    /// Puts the process that becomes the command into the groups, before it may do anything.
    ///
    /// # Errors
    ///
    /// A process that is gone, or a group that does not take it.
    pub fn enter(&self, pid: u32) -> Result<(), ContainmentError> {
        self.dirs.enter(pid).map_err(|source| ContainmentError::Contain { id: self.id, source })
    }

    /// The score by which the kernel chooses whom to kill when the machine itself is out of memory, for a task that may
    /// burst beyond its request (as stock's `cgroups/mem` and Docker tasks have it).
    pub fn oom_score_adj(&self, requests: &TaskResources, limits: &TaskLimits) -> Option<i64> {
        let request = requests.mem.filter(|_| self.dirs.of(Controller::Memory).is_some())?;
        let burstable = match limits.mem? {
            mesos_types::Limit::Infinite => true,
            mesos_types::Limit::Finite(limit) => request < limit,
        };
        let memory = self.shared.host.memory;
        burstable.then(|| containerizer::cgroups::amounts::oom_score_adj(request, memory))
    }

    /// Changes the limits of a container that runs: CPU both ways, memory upwards only, as stock does.
    ///
    /// # Errors
    ///
    /// A group that is gone, or a value that the kernel refuses.
    pub fn update(&self, requests: &TaskResources, limits: &TaskLimits) -> Result<(), ContainmentError> {
        let version_of = |controller| self.dirs.of(controller).map(|dir| dir.version);
        let now = self.hard_limit().map_or(MemoryNow::Boundless, MemoryNow::Bytes);
        let writes = writes(version_of, requests, limits, self.shared.limits, now);
        self.shared.disk.change(self.id, requests);
        self.dirs.apply(&writes).map_err(|source| ContainmentError::Update { id: self.id, source })
    }

    /// The hard memory limit in bytes, as the kernel has it.
    fn hard_limit(&self) -> Option<u64> {
        let dir = self.dirs.of(Controller::Memory)?;
        let file = match dir.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        count(&dir.path.join(file)).filter(|&bytes| bytes < BOUNDLESS)
    }

    /// What the container uses, without asking anybody but the kernel. `supervisor` is its supervising parent, below which
    /// its processes are found where no group counts them.
    ///
    /// # Errors
    ///
    /// A container that has ended.
    pub fn usage(
        &self,
        supervisor: Option<u32>,
        requests: &TaskResources,
        limits: &TaskLimits,
    ) -> Result<Usage, ContainmentError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| ContainmentError::Usage {
            id: self.id,
            source,
        };
        let mut usage = Usage { timestamp: now_in_seconds(), ..Usage::default() };
        let memory = self.dirs.of(Controller::Memory);
        if let Some(dir) = memory {
            add_memory(&mut usage, dir.version, &dir.path).map_err(|error| failed(error.into()))?;
        }
        let counted = self.counts_cpu();
        if let Some(dir) = counted {
            let cpu = self.dirs.of(Controller::Cpu).unwrap_or(dir);
            add_cpu(&mut usage, dir.version, &dir.path, &cpu.path).map_err(|error| failed(error.into()))?;
        }
        if memory.is_none() || counted.is_none() {
            let sum = processes::sum(&self.dirs, supervisor, &self.shared.listing)
                .map_err(|error| failed(error.into()))?;
            if memory.is_none() {
                usage.mem_rss_bytes = sum.resident;
            }
            if counted.is_none() {
                usage.cpus_user_time_secs = sum.user;
                usage.cpus_system_time_secs = sum.system;
            }
        }
        self.add_counts(&mut usage);
        add_bounds(&mut usage, requests, limits, self.shared.limits.quota, self.shared.host);
        if self.shared.settings.isolation.has(Isolator::DiskDu) {
            usage.disk_limit_bytes = requests.disk.map(Megabytes::bytes);
            usage.disk_used_bytes = self.shared.disk.used(self.id);
        }
        Ok(usage)
    }

    /// The group that counts CPU time: in v2 each does, with the controller or without.
    fn counts_cpu(&self) -> Option<&GroupDir> {
        let own = self.dirs.of(Controller::Cpuacct);
        own.or_else(|| self.dirs.tracker().filter(|dir| dir.version == Version::V2))
    }

    fn add_counts(&self, usage: &mut Usage) {
        if let Some(dir) = self.dirs.of(Controller::Pids) {
            add_pids(usage, &dir.path);
        }
        let Some(dir) = self.dirs.tracker().filter(|_| self.shared.settings.count_threads) else { return };
        let threads = match dir.version {
            Version::V1 => "tasks",
            Version::V2 => "cgroup.threads",
        };
        let lines = |file: &str| {
            let text = std::fs::read_to_string(dir.path.join(file)).ok()?;
            u32::try_from(text.lines().count()).ok()
        };
        usage.processes = lines("cgroup.procs").or(usage.processes);
        usage.threads = lines(threads);
    }

    /// Begins to look at what the sandbox and the persistent volumes take of the disk, where `disk/du` is asked for.
    pub fn watch_disk(&self, sandbox: &Path, requests: &TaskResources) {
        if self.shared.settings.isolation.has(Isolator::DiskDu) {
            self.shared.disk.watch(self.id, sandbox, &self.shared.settings.work_dir, requests);
        }
    }

    /// What ran out, of a container that has ended.
    pub fn limitation(&self) -> Option<Limitation> {
        if oom_kills(&self.dirs).is_some_and(|kills| kills > 0) {
            return Some(self.memory_limitation());
        }
        self.shared.disk.exceeded_now(self.id)
    }

    fn memory_limitation(&self) -> Limitation {
        let limit = self.hard_limit().map(|bytes| Megabytes(bytes >> 20));
        Limitation::Memory { limit, peak: self.memory_peak() }
    }

    /// The most memory that the container ever took, in bytes. Kernels before 5.19 do not count it in v2.
    fn memory_peak(&self) -> Option<u64> {
        let dir = self.dirs.of(Controller::Memory)?;
        let file = match dir.version {
            Version::V1 => "memory.max_usage_in_bytes",
            Version::V2 => "memory.peak",
        };
        count(&dir.path.join(file))
    }

    /// Waits until the container has run out of memory or disk, whereupon it is to be destroyed. For ever, where nothing
    /// looks after that.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn exhausted(&self) -> Limitation {
        tokio::select! {
            () = self.out_of_memory() => self.memory_limitation(),
            limitation = self.shared.disk.exceeded(self.id) => limitation,
        }
    }

    async fn out_of_memory(&self) {
        match OomWatch::new(&self.dirs) {
            Ok(Some(watch)) => watch.killed().await,
            Ok(None) => std::future::pending().await,
            Err(error) => {
                // The counter is read again when the container has ended.
                let error = containerizer::chain(&error);
                tracing::warn!(container_id = %self.id, error, "nothing tells when the container is out of memory");
                std::future::pending().await
            }
        }
    }

    /// Kills every process in the groups and waits until none is left; with no groups there is nothing to do.
    ///
    /// # Errors
    ///
    /// Groups that cannot be read or written, or processes that are left when `--cgroups_destroy_timeout` is over.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn kill_all(&self) -> Result<(), ContainmentError> {
        let timeout = self.shared.settings.destroy_timeout;
        kill_all(&self.dirs, timeout).await.map_err(|source| ContainmentError::Kill { id: self.id, source })
    }

    /// Kills what is left and removes the groups; looks at the disk no longer.
    ///
    /// # Errors
    ///
    /// Processes or groups that are left when `--cgroups_destroy_timeout` is over.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn remove(&self) -> Result<(), ContainmentError> {
        self.shared.disk.forget(self.id);
        self.kill_all().await?;
        remove(&self.dirs, self.id, self.shared.settings.destroy_timeout).await
    }
}

/// Kills until nothing is left.
pub(super) async fn kill_all(dirs: &GroupDirs, timeout: Duration) -> Result<(), KillError> {
    let began = Instant::now();
    let mut pauses = Pauses::new();
    loop {
        match blocking(|| dirs.kill_round())? {
            Round::Empty => return Ok(()),
            Round::Left(pids) if began.elapsed() >= timeout => return Err(KillError::left(&pids, timeout)),
            Round::Left(_) => sleep(pauses.next()).await,
        }
    }
}

/// Removes empty groups; the kernel may call one busy for a moment after its last process went. What has come into one
/// meanwhile, as the command of a check may that was on its way, is killed.
pub(super) async fn remove(
    dirs: &GroupDirs,
    id: ContainerId,
    timeout: Duration,
) -> Result<(), ContainmentError> {
    let began = Instant::now();
    let mut pauses = Pauses::new();
    loop {
        match blocking(|| dirs.remove()) {
            Ok(()) => return Ok(()),
            Err(source) if began.elapsed() >= timeout => {
                return Err(ContainmentError::Remove { id, after: timeout, source });
            }
            Err(_) => {
                // What cannot be killed is told by the groups that stay.
                let _ = blocking(|| dirs.kill_round());
                sleep(pauses.next()).await;
            }
        }
    }
}
