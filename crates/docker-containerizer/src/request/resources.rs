//! CPU and memory of the container, as `Docker::RunOptions::create` computes them.

use containerizer::cgroups::amounts;
use docker_engine::HostConfig;
use docker_engine::create_body::Resources;
use mesos_types::{Limit, Megabytes, Millicpus, TaskLimits, TaskResources};

use super::{CpuQuota, RequestInput};

/// More memory than any host has, in bytes: a limit that was set is taken back with it, since engines refuse -1 in an
/// update ("Minimum memory limit allowed is 6MB").
const BOUNDLESS: i64 = 1 << 62;

/// The CPU and memory settings of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amounts {
    pub(crate) cpu_shares: Option<i64>,
    /// Microseconds of CPU time in a period; -1 for no quota where one must be taken back.
    pub(crate) cpu_quota: Option<i64>,
    pub(crate) memory_reservation: Option<i64>,
    /// Bytes; [`BOUNDLESS`] for no limit where one must be taken back.
    pub(crate) memory: Option<i64>,
    pub(crate) oom_score_adj: Option<i64>,
}

/// Computes the settings for requests and limits on a host with `host_memory` bytes.
pub(crate) fn amounts(
    requests: &TaskResources,
    limits: &TaskLimits,
    quota: CpuQuota,
    host_memory: u64,
) -> Amounts {
    let mut amounts = Amounts { cpu_shares: requests.cpus.map(shares), ..Amounts::default() };
    amounts.cpu_quota = match (limits.cpus, quota, requests.cpus) {
        (Some(Limit::Finite(limit)), _, _) => Some(microseconds(limit)),
        (None, CpuQuota::FromRequest, Some(request)) => Some(microseconds(request)),
        (Some(Limit::Infinite), _, _)
        | (None, CpuQuota::FromLimit, _)
        | (None, CpuQuota::FromRequest, None) => None,
    };
    match limits.mem {
        None => amounts.memory = requests.mem.map(memory),
        Some(limit) => {
            if let Limit::Finite(limit) = limit {
                amounts.memory = Some(memory(limit));
            }
            if let Some(request) = requests.mem {
                amounts.memory_reservation = Some(memory(request));
                let burstable = match limit {
                    Limit::Infinite => true,
                    Limit::Finite(limit) => request < limit,
                };
                if burstable {
                    amounts.oom_score_adj = Some(amounts::oom_score_adj(request, host_memory));
                }
            }
        }
    }
    amounts
}

/// The change that brings a running container from what it `had` to new requests and limits; what is no longer limited is
/// set free.
pub(crate) fn update(
    had: Amounts,
    requests: &TaskResources,
    limits: &TaskLimits,
    quota: CpuQuota,
    host_memory: u64,
) -> Resources {
    let amounts = amounts(requests, limits, quota, host_memory);
    let frees_memory = limits.mem == Some(Limit::Infinite) || had.memory.is_some();
    let memory = amounts.memory.or(frees_memory.then_some(BOUNDLESS));
    let frees_cpus = limits.cpus == Some(Limit::Infinite) || had.cpu_quota.is_some();
    Resources {
        cpu_shares: amounts.cpu_shares,
        cpu_quota: amounts.cpu_quota.or(frees_cpus.then_some(-1)),
        memory,
        memory_reservation: amounts.memory_reservation,
        // A limit above the old swap limit is refused unless both change at once, and engines drop a -1 here. A new
        // container gets twice its memory from the engine.
        memory_swap: memory.map(|memory| memory.saturating_mul(2)),
        ..Resources::default()
    }
}

/// Sets the amounts of the input's task.
pub(super) fn apply(host: &mut HostConfig, input: &RequestInput<'_>) {
    let task = input.task;
    let amounts = amounts(&task.resources, &task.limits, input.settings.cfs, input.engine.memory);
    host.oom_score_adj = amounts.oom_score_adj;
    let host = &mut host.resources;
    host.cpu_shares = amounts.cpu_shares;
    host.cpu_quota = amounts.cpu_quota;
    host.memory_reservation = amounts.memory_reservation;
    host.memory = amounts.memory;
}

fn shares(cpus: Millicpus) -> i64 {
    signed(amounts::cpu_shares(cpus))
}

fn microseconds(cpus: Millicpus) -> i64 {
    signed(amounts::cpu_quota(cpus))
}

fn memory(amount: Megabytes) -> i64 {
    signed(amounts::memory(amount))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: i64 = 1 << 20;
    const GB: u64 = 1 << 30;

    fn requests(cpus: u64, mem: u64) -> TaskResources {
        TaskResources { cpus: Some(Millicpus(cpus)), mem: Some(Megabytes(mem)), ..TaskResources::default() }
    }

    fn limits(cpus: Option<Limit<Millicpus>>, mem: Option<Limit<Megabytes>>) -> TaskLimits {
        TaskLimits { cpus, mem }
    }

    #[rstest::rstest]
    #[case::plain(requests(1000, 128), limits(None, None), CpuQuota::FromLimit,
        Amounts { cpu_shares: Some(1024), memory: Some(128 * MB), ..Amounts::default() })]
    #[case::least(requests(1, 4), limits(None, None), CpuQuota::FromRequest,
        Amounts { cpu_shares: Some(2), cpu_quota: Some(1000), memory: Some(32 * MB), ..Amounts::default() })]
    #[case::quota_from_the_request(requests(1000, 64), limits(None, None), CpuQuota::FromRequest,
        Amounts { cpu_shares: Some(1024), cpu_quota: Some(100_000), memory: Some(64 * MB), ..Amounts::default() })]
    #[case::half_of_the_host(
        requests(1000, 1024), limits(Some(Limit::Finite(Millicpus(2000))), Some(Limit::Finite(Megabytes(2048)))),
        CpuQuota::FromLimit,
        Amounts {
            cpu_shares: Some(1024), cpu_quota: Some(200_000), memory_reservation: Some(1024 * MB),
            memory: Some(2048 * MB), oom_score_adj: Some(500),
        })]
    #[case::infinite(
        requests(1000, 1024), limits(Some(Limit::Infinite), Some(Limit::Infinite)), CpuQuota::FromRequest,
        Amounts {
            cpu_shares: Some(1024), memory_reservation: Some(1024 * MB), oom_score_adj: Some(500),
            ..Amounts::default()
        })]
    #[case::a_limit_that_is_the_request(
        requests(1000, 64), limits(None, Some(Limit::Finite(Megabytes(64)))), CpuQuota::FromLimit,
        Amounts {
            cpu_shares: Some(1024), memory_reservation: Some(64 * MB), memory: Some(64 * MB), ..Amounts::default()
        })]
    #[case::nothing(TaskResources::default(), limits(None, None), CpuQuota::FromRequest, Amounts::default())]
    fn amounts_are_those_of_stock(
        #[case] requests: TaskResources,
        #[case] limits: TaskLimits,
        #[case] quota: CpuQuota,
        #[case] expected: Amounts,
    ) {
        assert_eq!(amounts(&requests, &limits, quota, 2 * GB), expected);
    }

    #[rstest::rstest]
    #[case::an_amount(limits(None, None), Some(64 * MB), Some(128 * MB))]
    #[case::a_limit(limits(None, Some(Limit::Finite(Megabytes(96)))), Some(96 * MB), Some(192 * MB))]
    #[case::set_free(limits(None, Some(Limit::Infinite)), Some(BOUNDLESS), Some(i64::MAX))]
    fn an_update_moves_the_swap_limit_with_the_memory(
        #[case] limits: TaskLimits,
        #[case] memory: Option<i64>,
        #[case] swap: Option<i64>,
    ) {
        let change = update(Amounts::default(), &requests(1000, 64), &limits, CpuQuota::FromLimit, 2 * GB);
        assert_eq!((change.memory, change.memory_swap), (memory, swap));
    }

    #[test]
    fn an_update_takes_back_what_is_absent_now() {
        let had = amounts(
            &requests(1000, 64),
            &limits(Some(Limit::Finite(Millicpus(2000))), Some(Limit::Finite(Megabytes(96)))),
            CpuQuota::FromLimit,
            2 * GB,
        );
        let none = TaskResources { cpus: Some(Millicpus(500)), ..TaskResources::default() };
        let change = update(had, &none, &limits(None, None), CpuQuota::FromLimit, 2 * GB);
        assert_eq!((change.cpu_quota, change.memory), (Some(-1), Some(BOUNDLESS)));
        // What was never limited is not touched.
        let change = update(Amounts::default(), &none, &limits(None, None), CpuQuota::FromLimit, 2 * GB);
        assert_eq!((change.cpu_shares, change.cpu_quota, change.memory), (Some(512), None, None));
    }

    #[test]
    fn an_absurd_request_does_not_overflow() {
        let all = requests(u64::MAX, u64::MAX);
        let amounts = amounts(&all, &limits(None, Some(Limit::Infinite)), CpuQuota::FromRequest, 1);
        assert!(amounts.cpu_shares.is_some_and(|s| s > 0) && amounts.oom_score_adj == Some(0));
    }
}
