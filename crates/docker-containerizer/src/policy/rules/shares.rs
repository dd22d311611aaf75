//! The task's share of the host: memory, swap and CPU, which its own options may make smaller and not larger.

use docker_engine::CreateBody;

use crate::policy::judge::{Booked, Policy};
use crate::policy::rule::Rule;
use crate::policy::setting::Setting;
use crate::policy::verdict::Verdict;

/// The period of a CPU quota that names none, in microseconds.
const DEFAULT_PERIOD: i64 = 100_000;

/// CPU shares that the kernel gives where none are said.
const DEFAULT_SHARES: i64 = 1024;

/// Judges it. What was not booked is not limited, as in Mesos; `"none"` takes no option at all.
pub(in crate::policy) fn judge(policy: &Policy, body: &CreateBody, booked: &Booked, verdict: &mut Verdict) {
    let setting = policy.setting(Rule::Shares);
    if setting.is_any() {
        return;
    }
    let resources = &body.host_config.resources;
    let mut deny = |field: &str, what: &str, remedy: &str| {
        verdict.deny(Rule::Shares, format!("HostConfig.{field}"), what, remedy);
    };
    if *setting != Setting::Resources {
        let is_changed = resources.memory != booked.memory
            || resources.cpu_shares != booked.cpu_shares
            || resources.cpu_quota != booked.cpu_quota
            || resources.memory_swap.is_some()
            || resources.nano_cpus.is_some()
            || resources.cpu_period.is_some();
        if is_changed {
            deny("Memory", "another share of the host than its resources", "use the resources cpus and mem");
        }
        return;
    }
    if let Some(memory) = booked.memory {
        // 0 is no limit.
        if !resources.memory.is_some_and(|now| (1..=memory).contains(&now)) {
            deny("Memory", "more memory than its resources", "use the resource mem, or a smaller value");
        }
        // What is not said, and 0, is twice the memory; -1 is no limit.
        let most = memory.saturating_mul(2);
        if resources.memory_swap.is_some_and(|swap| !(0..=most).contains(&swap)) {
            deny(
                "MemorySwap",
                "more swap than twice its memory",
                "remove memory-swap, or use a smaller value",
            );
        }
    }
    if let Some(shares) = booked.cpu_shares {
        let now = resources.cpu_shares.filter(|&now| now != 0).unwrap_or(DEFAULT_SHARES);
        if now > shares.max(0) {
            deny(
                "CpuShares",
                "more CPU shares than its resources",
                "use the resource cpus, or a smaller value",
            );
        }
    }
    if let Some(quota) = booked.cpu_quota.filter(|&quota| quota > 0)
        && !is_within(resources, quota)
    {
        deny("CpuQuota", "more CPU time than its resources", "use the resource cpus, or a smaller value");
    }
}

/// Whether the CPU time is limited, and to no more than `booked` microseconds of each 100 ms.
fn is_within(resources: &docker_engine::create_body::Resources, booked: i64) -> bool {
    let booked = i128::from(booked);
    let period = resources.cpu_period.filter(|&period| period > 0).unwrap_or(DEFAULT_PERIOD);
    let by_quota = resources
        .cpu_quota
        .filter(|&quota| quota > 0)
        .map(|quota| i128::from(quota) * i128::from(DEFAULT_PERIOD) <= booked * i128::from(period));
    // A thousand millionths of a CPU are a ten thousandth of a period.
    let by_cpus =
        resources.nano_cpus.filter(|&cpus| cpus > 0).map(|cpus| i128::from(cpus) <= booked * 10_000);
    match (by_quota, by_cpus) {
        (None, None) => false,
        (quota, cpus) => quota.unwrap_or(true) && cpus.unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use docker_engine::create_body::Resources;

    use super::*;
    use crate::policy::{HostPlaces, Preset};

    fn resources(change: impl FnOnce(&mut Resources)) -> Resources {
        let mut resources = Resources {
            memory: Some(1 << 26),
            cpu_shares: Some(512),
            cpu_quota: Some(50_000),
            ..Resources::default()
        };
        change(&mut resources);
        resources
    }

    #[rstest::rstest]
    #[case(|_: &mut Resources| {}, None)]
    #[case(|now: &mut Resources| now.memory = Some(1 << 25), None)]
    #[case(|now: &mut Resources| now.memory = Some(1 << 27), Some("Memory"))]
    #[case(|now: &mut Resources| now.memory = Some(0), Some("Memory"))]
    #[case(|now: &mut Resources| now.memory = None, Some("Memory"))]
    #[case(|now: &mut Resources| now.memory_swap = Some(-1), Some("MemorySwap"))]
    #[case(|now: &mut Resources| now.memory_swap = Some(1 << 28), Some("MemorySwap"))]
    #[case(|now: &mut Resources| now.memory_swap = Some(1 << 26), None)]
    #[case(|now: &mut Resources| now.cpu_shares = Some(1024), Some("CpuShares"))]
    #[case(|now: &mut Resources| now.cpu_shares = Some(0), Some("CpuShares"))]
    #[case(|now: &mut Resources| now.cpu_shares = Some(2), None)]
    #[case(|now: &mut Resources| now.cpu_quota = Some(-1), Some("CpuQuota"))]
    #[case(|now: &mut Resources| now.cpu_quota = Some(60_000), Some("CpuQuota"))]
    #[case(|now: &mut Resources| now.cpu_period = Some(50_000), Some("CpuQuota"))]
    #[case(|now: &mut Resources| now.cpu_period = Some(200_000), None)]
    #[case(|now: &mut Resources| { now.cpu_quota = None; now.nano_cpus = Some(500_000_000) }, None)]
    #[case(|now: &mut Resources| { now.cpu_quota = None; now.nano_cpus = Some(500_000_001) }, Some("CpuQuota"))]
    #[case(|now: &mut Resources| now.pids_limit = Some(-1), None)]
    fn no_option_takes_more_than_was_given(
        #[case] change: fn(&mut Resources),
        #[case] expected: Option<&str>,
    ) {
        let mut body = CreateBody::default();
        body.host_config.resources = resources(|_| {});
        let booked = Booked::of(&body.host_config);
        body.host_config.resources = resources(change);
        let mut verdict = Verdict::default();
        let policy = Policy::preset(Preset::Strict, HostPlaces::default());
        judge(&policy, &body, &booked, &mut verdict);
        let fields: Vec<_> = verdict.violations().iter().map(|one| one.field.clone()).collect();
        assert_eq!(
            fields,
            expected.map(|field| format!("HostConfig.{field}")).into_iter().collect::<Vec<_>>()
        );
        // What nothing was booked of may be limited or not.
        let mut verdict = Verdict::default();
        judge(&policy, &body, &Booked::default(), &mut verdict);
        assert_eq!(verdict.violations(), []);
    }
}
