//! What an executor may burst to (Mesos `src/slave/slave.cpp`, `computeExecutorLimits`).

use std::collections::BTreeMap;

use mesos_proto::v1;
use v1::value::Scalar;

use super::amount::Amount;
use super::set::ResourceSet;
use crate::resources::Limit;

/// Limits by the name of the resource.
pub type ResourceLimits = BTreeMap<String, Limit<Amount>>;

/// The resources that can have limits.
const LIMITED: [&str; 2] = ["cpus", "mem"];

/// The limits of an executor with its tasks: for a resource that a task limits, the sum of all limits, or requests where
/// there is no limit, and of the executor's own request. One infinite limit makes the sum infinite.
pub fn executor_limits<'t>(
    executor: &ResourceSet,
    tasks: impl IntoIterator<Item = (&'t ResourceSet, &'t ResourceLimits)>,
) -> ResourceLimits {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let mut sums = ResourceLimits::new();
    for name in LIMITED {
        if tasks.iter().all(|(_, limits)| !limits.contains_key(name)) {
            continue;
        }
        let mut sum = executor.amount(name).unwrap_or_default();
        let mut is_infinite = false;
        for (requests, limits) in &tasks {
            match limits.get(name) {
                Some(Limit::Infinite) => is_infinite = true,
                Some(Limit::Finite(limit)) => sum = sum.plus(*limit),
                None => sum = sum.plus(requests.amount(name).unwrap_or_default()),
            }
        }
        let limit = if is_infinite { Limit::Infinite } else { Limit::Finite(sum) };
        sums.insert(name.to_owned(), limit);
    }
    sums
}

/// Reads `TaskInfo.limits`.
///
/// # Errors
///
/// A sentence about an amount that is none; `Infinity` is one.
pub fn limits_from_proto<'m>(
    limits: impl IntoIterator<Item = (&'m String, &'m Scalar)>,
) -> Result<ResourceLimits, String> {
    let read = |(name, scalar): (&String, &Scalar)| {
        let limit = match scalar.value {
            f64::INFINITY => Limit::Infinite,
            value => {
                Limit::Finite(Amount::from_f64(value).map_err(|reason| format!("limit of {name}: {reason}"))?)
            }
        };
        Ok((name.clone(), limit))
    };
    limits.into_iter().map(read).collect()
}

/// The limits as messages, for a map of any kind.
pub fn limits_to_proto(limits: &ResourceLimits) -> impl Iterator<Item = (String, Scalar)> {
    limits.iter().map(|(name, limit)| {
        let value = match limit {
            Limit::Infinite => f64::INFINITY,
            Limit::Finite(amount) => amount.as_f64(),
        };
        (name.clone(), Scalar { value })
    })
}
