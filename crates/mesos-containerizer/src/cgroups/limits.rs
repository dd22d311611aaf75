//! Resources and limits as writes to the files of a container's groups.
//!
//! The amounts are those of stock's `cgroups/cpu` and `cgroups/mem` isolators: shares and a quota, a soft limit at the
//! request, a hard limit at the limit or else the request, raised at any time, lowered never (pages would have to go, and
//! a process with them). In v2 they have the nearest meaning: a weight, `memory.low`, `memory.max`; swap is counted by
//! itself there, so `--cgroups_limit_swap` takes it away, where v1 limits memory and swap together. And v2 can end the
//! whole container when it is out of memory, which stock's agent does too, a moment later.

use containerizer::cgroups::{CpuQuota, Version, amounts};
use mesos_types::{Limit, TaskLimits, TaskResources};

use super::hierarchies::Controller;

/// Whether memory is limited with swap (`--cgroups_limit_swap`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// It is.
    Limited,
    /// Swap is free.
    Free,
}

/// What the agent's flags say about limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitSettings {
    /// `--cgroups_enable_cfs`.
    pub(crate) quota: CpuQuota,
    /// `--cgroups_limit_swap`.
    pub(crate) swap: Swap,
    /// Processes and threads that a container may have.
    pub(crate) pids: u64,
}

/// The hard memory limit that a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemoryNow {
    /// None was ever set: the group is new.
    Fresh,
    /// This many bytes.
    Bytes(u64),
    /// It was set to be without a limit.
    Boundless,
}

/// A value for a file of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// Whose group.
    pub(crate) controller: Controller,
    /// The file's name.
    pub(crate) file: &'static str,
    /// What goes into it.
    pub(crate) value: String,
    /// Whether the kernel may lack the file.
    pub(crate) need: Need,
}

/// Whether a file must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Without it the limit would not hold.
    Required,
    /// A kernel without it limits well enough: without swap, or before the file was invented.
    IfThere,
}

impl Write {
    fn new(controller: Controller, file: &'static str, value: impl ToString) -> Self {
        Self { controller, file, value: value.to_string(), need: Need::Required }
    }

    fn if_there(self) -> Self {
        Self { need: Need::IfThere, ..self }
    }
}

/// What to write, in this order, for requests and limits; of controllers that a container is not under nothing is asked.
pub(crate) fn writes(
    version_of: impl Fn(Controller) -> Option<Version>,
    requests: &TaskResources,
    limits: &TaskLimits,
    settings: LimitSettings,
    memory_now: MemoryNow,
) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(version) = version_of(Controller::Cpu) {
        writes.extend(cpu(version, requests, limits, settings.quota));
    }
    if let Some(version) = version_of(Controller::Memory) {
        writes.extend(memory(version, requests, limits, settings.swap, memory_now));
    }
    if version_of(Controller::Pids).is_some() && memory_now == MemoryNow::Fresh {
        writes.push(Write::new(Controller::Pids, "pids.max", settings.pids));
    }
    writes
}

fn cpu(version: Version, requests: &TaskResources, limits: &TaskLimits, quota: CpuQuota) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(request) = requests.cpus {
        let shares = amounts::cpu_shares(request);
        writes.push(match version {
            Version::V1 => Write::new(Controller::Cpu, "cpu.shares", shares),
            Version::V2 => Write::new(Controller::Cpu, "cpu.weight", amounts::cpu_weight(shares)),
        });
    }
    let cap = match (limits.cpus, quota) {
        (Some(Limit::Finite(limit)), _) => Some(amounts::cpu_quota(limit)),
        (None, CpuQuota::FromRequest) => requests.cpus.map(amounts::cpu_quota),
        (Some(Limit::Infinite), _) | (None, CpuQuota::FromLimit) => None,
    };
    let period = amounts::CFS_PERIOD;
    match version {
        Version::V1 => {
            // The period first: the kernel refuses a quota that is too much of the period before.
            let quota = cap.map_or("-1".to_owned(), |quota| quota.to_string());
            let capped = |write: Write| if cap.is_some() { write } else { write.if_there() };
            writes.push(capped(Write::new(Controller::Cpu, "cpu.cfs_period_us", period)));
            writes.push(capped(Write::new(Controller::Cpu, "cpu.cfs_quota_us", quota)));
        }
        Version::V2 => {
            let quota = cap.map_or("max".to_owned(), |quota| quota.to_string());
            writes.push(Write::new(Controller::Cpu, "cpu.max", format!("{quota} {period}")));
        }
    }
    writes
}

fn memory(
    version: Version,
    requests: &TaskResources,
    limits: &TaskLimits,
    swap: Swap,
    now: MemoryNow,
) -> Vec<Write> {
    let write = |file, value: String| Write::new(Controller::Memory, file, value);
    let mut writes = Vec::new();
    if let Some(request) = requests.mem {
        let soft = amounts::memory(request).to_string();
        writes.push(match version {
            Version::V1 => write("memory.soft_limit_in_bytes", soft),
            Version::V2 => write("memory.low", soft).if_there(),
        });
    }
    let wanted = match (limits.mem, requests.mem) {
        (Some(Limit::Infinite), _) => None,
        (Some(Limit::Finite(limit)), _) => Some(amounts::memory(limit)),
        (None, Some(request)) => Some(amounts::memory(request)),
        (None, None) => return writes,
    };
    let lowers = match (now, wanted) {
        (MemoryNow::Fresh, _) | (_, None) => false,
        (MemoryNow::Bytes(now), Some(wanted)) => wanted <= now,
        (MemoryNow::Boundless, Some(_)) => true,
    };
    if lowers {
        return writes;
    }
    match version {
        Version::V1 => {
            let value = wanted.map_or("-1".to_owned(), |bytes| bytes.to_string());
            let hard = write("memory.limit_in_bytes", value.clone());
            match (swap, now) {
                (Swap::Free, _) => writes.push(hard),
                // The limit of both is never below that of memory alone, or the kernel refuses.
                (Swap::Limited, MemoryNow::Fresh) => {
                    writes.extend([hard, write("memory.memsw.limit_in_bytes", value)]);
                }
                (Swap::Limited, MemoryNow::Bytes(_) | MemoryNow::Boundless) => {
                    writes.extend([write("memory.memsw.limit_in_bytes", value), hard]);
                }
            }
        }
        Version::V2 => {
            writes.push(write("memory.max", wanted.map_or("max".to_owned(), |bytes| bytes.to_string())));
            if swap == Swap::Limited {
                let value = if wanted.is_some() { "0" } else { "max" };
                writes.push(write("memory.swap.max", value.to_owned()).if_there());
            }
            if now == MemoryNow::Fresh {
                writes.push(write("memory.oom.group", "1".to_owned()).if_there());
            }
        }
    }
    writes
}

#[cfg(test)]
mod tests {
    use mesos_types::{Megabytes, Millicpus};

    use super::*;

    const DEFAULTS: LimitSettings =
        LimitSettings { quota: CpuQuota::FromLimit, swap: Swap::Free, pids: 16_384 };

    fn requests(cpus: u64, mem: u64) -> TaskResources {
        TaskResources { cpus: Some(Millicpus(cpus)), mem: Some(Megabytes(mem)), ..TaskResources::default() }
    }

    fn limits(cpus: Option<Limit<u64>>, mem: Option<Limit<u64>>) -> TaskLimits {
        fn each<T>(limit: Limit<u64>, of: fn(u64) -> T) -> Limit<T> {
            match limit {
                Limit::Finite(amount) => Limit::Finite(of(amount)),
                Limit::Infinite => Limit::Infinite,
            }
        }
        TaskLimits { cpus: cpus.map(|l| each(l, Millicpus)), mem: mem.map(|l| each(l, Megabytes)) }
    }

    fn text(writes: &[Write]) -> String {
        writes.iter().map(|write| format!("{}={}", write.file, write.value)).collect::<Vec<_>>().join(" ")
    }

    #[rstest::rstest]
    #[case::request(
        Version::V1,
        requests(500, 64),
        limits(None, None),
        DEFAULTS,
        "cpu.shares=512 cpu.cfs_period_us=100000 cpu.cfs_quota_us=-1 \
         memory.soft_limit_in_bytes=67108864 memory.limit_in_bytes=67108864 pids.max=16384"
    )]
    #[case::least(Version::V1, requests(1, 1), limits(None, None), LimitSettings { quota: CpuQuota::FromRequest, ..DEFAULTS },
        "cpu.shares=2 cpu.cfs_period_us=100000 cpu.cfs_quota_us=1000 \
         memory.soft_limit_in_bytes=33554432 memory.limit_in_bytes=33554432 pids.max=16384")]
    #[case::swap(Version::V1, requests(1000, 64), limits(Some(Limit::Finite(2000)), Some(Limit::Finite(128))),
        LimitSettings { swap: Swap::Limited, ..DEFAULTS },
        "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=200000 \
         memory.soft_limit_in_bytes=67108864 memory.limit_in_bytes=134217728 memory.memsw.limit_in_bytes=134217728 pids.max=16384")]
    #[case::infinite(Version::V1, requests(1000, 64), limits(Some(Limit::Infinite), Some(Limit::Infinite)),
        LimitSettings { quota: CpuQuota::FromRequest, ..DEFAULTS },
        "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=-1 \
         memory.soft_limit_in_bytes=67108864 memory.limit_in_bytes=-1 pids.max=16384")]
    #[case::v2(Version::V2, requests(1000, 64), limits(Some(Limit::Finite(2000)), Some(Limit::Finite(128))),
        LimitSettings { swap: Swap::Limited, ..DEFAULTS },
        "cpu.weight=39 cpu.max=200000 100000 memory.low=67108864 memory.max=134217728 memory.swap.max=0 \
         memory.oom.group=1 pids.max=16384")]
    #[case::v2_infinite(
        Version::V2,
        requests(1000, 64),
        limits(Some(Limit::Infinite), Some(Limit::Infinite)),
        DEFAULTS,
        "cpu.weight=39 cpu.max=max 100000 memory.low=67108864 memory.max=max memory.oom.group=1 pids.max=16384"
    )]
    fn a_new_container_is_held_to_its_resources(
        #[case] version: Version,
        #[case] requests: TaskResources,
        #[case] limits: TaskLimits,
        #[case] settings: LimitSettings,
        #[case] expected: &str,
    ) {
        let found = writes(|_| Some(version), &requests, &limits, settings, MemoryNow::Fresh);
        assert_eq!(text(&found), expected);
    }

    #[rstest::rstest]
    #[case::raised(Version::V1, MemoryNow::Bytes(64 << 20), Some(Limit::Finite(128)),
        "memory.soft_limit_in_bytes=67108864 memory.memsw.limit_in_bytes=134217728 memory.limit_in_bytes=134217728")]
    #[case::lowered(Version::V1, MemoryNow::Bytes(256 << 20), Some(Limit::Finite(128)), "memory.soft_limit_in_bytes=67108864")]
    #[case::the_same(Version::V2, MemoryNow::Bytes(128 << 20), Some(Limit::Finite(128)), "memory.low=67108864")]
    #[case::set_free(Version::V1, MemoryNow::Bytes(256 << 20), Some(Limit::Infinite),
        "memory.soft_limit_in_bytes=67108864 memory.memsw.limit_in_bytes=-1 memory.limit_in_bytes=-1")]
    #[case::free_already(Version::V2, MemoryNow::Boundless, Some(Limit::Finite(128)), "memory.low=67108864")]
    #[case::set_free_in_v2(
        Version::V2,
        MemoryNow::Bytes(1),
        Some(Limit::Infinite),
        "memory.low=67108864 memory.max=max memory.swap.max=max"
    )]
    fn a_memory_limit_is_raised_and_never_lowered(
        #[case] version: Version,
        #[case] now: MemoryNow,
        #[case] limit: Option<Limit<u64>>,
        #[case] expected: &str,
    ) {
        let only_memory = |controller| (controller == Controller::Memory).then_some(version);
        let settings = LimitSettings { swap: Swap::Limited, ..DEFAULTS };
        let found = writes(only_memory, &requests(1000, 64), &limits(None, limit), settings, now);
        assert_eq!(text(&found), expected);
    }

    #[test]
    fn nothing_is_written_where_a_container_has_no_group() {
        let found = writes(|_| None, &requests(1000, 64), &limits(None, None), DEFAULTS, MemoryNow::Fresh);
        assert_eq!(found, []);
        let none = TaskResources::default();
        let found = writes(|_| Some(Version::V2), &none, &limits(None, None), DEFAULTS, MemoryNow::Bytes(1));
        assert_eq!(text(&found), "cpu.max=max 100000");
    }

    proptest::proptest! {
        /// Whatever is asked for and in whatever order, the memory that a container may have never shrinks.
        #[test]
        fn no_update_takes_memory_away(wanted in proptest::collection::vec(proptest::option::of(0u64..4096), 1..8)) {
            let only_memory = |controller| (controller == Controller::Memory).then_some(Version::V2);
            let mut now = MemoryNow::Fresh;
            let mut had = 0u128;
            for limit in wanted {
                let limit = Some(limit.map_or(Limit::Infinite, Limit::Finite));
                let found = writes(only_memory, &requests(1000, 1), &limits(None, limit), DEFAULTS, now);
                if let Some(write) = found.iter().find(|write| write.file == "memory.max") {
                    let has = write.value.parse().unwrap_or(u128::MAX);
                    proptest::prop_assert!(has >= had);
                    had = has;
                    now = write.value.parse().map_or(MemoryNow::Boundless, MemoryNow::Bytes);
                }
                proptest::prop_assert!(now != MemoryNow::Fresh);
            }
        }
    }
}
