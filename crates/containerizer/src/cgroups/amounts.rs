//! Resources and limits in the kernel's units, as stock computes them (`src/slave/containerizer/mesos/isolators/cgroups`
//! and `Docker::RunOptions::create`).

use mesos_types::{Megabytes, Millicpus};

/// CPU shares of one CPU.
const SHARES_PER_CPU: u64 = 1024;

/// The fewest CPU shares that the kernel takes.
const LEAST_SHARES: u64 = 2;

/// The most CPU shares that the kernel takes.
const MOST_SHARES: u64 = 262_144;

/// The period of the CPU quota, in microseconds.
pub const CFS_PERIOD: u64 = 100_000;

/// The smallest CPU quota that the kernel takes, in microseconds.
const LEAST_QUOTA: u64 = 1_000;

/// The least memory that a container gets.
const LEAST_MEMORY: Megabytes = Megabytes(32);

/// The CPU shares of a request, at least 2.
pub fn cpu_shares(request: Millicpus) -> u64 {
    (request.0.saturating_mul(SHARES_PER_CPU) / 1000).max(LEAST_SHARES)
}

/// The weight, 1 to 10000, that stands for CPU shares in the unified hierarchy: the line that Docker's runtimes draw too,
/// from 2 shares at 1 to 262144 shares at 10000.
pub fn cpu_weight(shares: u64) -> u64 {
    1 + (shares.clamp(LEAST_SHARES, MOST_SHARES) - LEAST_SHARES) * 9999 / (MOST_SHARES - LEAST_SHARES)
}

/// The CPU time in a [`CFS_PERIOD`] of so many CPUs, in microseconds, at least 1000.
pub fn cpu_quota(cpus: Millicpus) -> u64 {
    (cpus.0.saturating_mul(CFS_PERIOD) / 1000).max(LEAST_QUOTA)
}

/// Memory in bytes, at least 32 MB.
pub fn memory(amount: Megabytes) -> u64 {
    amount.max(LEAST_MEMORY).bytes()
}

/// 1000 less the share of the host's memory that is requested, in thousandths: who requests little goes first.
pub fn oom_score_adj(request: Megabytes, host_memory: u64) -> i64 {
    if host_memory == 0 {
        return 1000;
    }
    let thousandths = u128::from(request.bytes()) * 1000 / u128::from(host_memory);
    1000 - i64::try_from(thousandths.min(1000)).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(1000, 1024, 39)]
    #[case(100, 102, 4)]
    #[case(1, 2, 1)]
    #[case(0, 2, 1)]
    #[case(u64::MAX, u64::MAX / 1000, 10_000)]
    fn cpus_are_shares_and_a_weight(#[case] cpus: u64, #[case] shares: u64, #[case] weight: u64) {
        assert_eq!(cpu_shares(Millicpus(cpus)), shares);
        assert_eq!(cpu_weight(shares), weight);
    }

    #[test]
    fn no_amount_is_below_what_the_kernel_takes() {
        assert_eq!((cpu_quota(Millicpus(2000)), cpu_quota(Millicpus(1))), (200_000, 1_000));
        assert_eq!((memory(Megabytes(64)), memory(Megabytes(1))), (64 << 20, 32 << 20));
    }

    #[test]
    fn who_requests_little_of_the_host_goes_first() {
        assert_eq!(oom_score_adj(Megabytes(512), 1 << 30), 500);
        assert_eq!(oom_score_adj(Megabytes(0), 1 << 30), 1000);
        assert_eq!(oom_score_adj(Megabytes(4096), 1 << 30), 0);
        assert_eq!(oom_score_adj(Megabytes(1), 0), 1000);
    }
}
