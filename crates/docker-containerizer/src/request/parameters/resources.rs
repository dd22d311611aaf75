//! CPU, memory and limits of processes.

use docker_engine::create_body::Ulimit;
use mesos_types::FieldError;

use super::draft::Draft;
use super::error::{Bad, conflict};
use super::number;

/// The limits that the client knows by name.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `cpus`.
pub(super) fn cpus(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.nano_cpus = Some(number::nano_cpus(value).ok_or(Bad::Form)?);
    Ok(())
}

/// Reads `memory-swap`: a size, or -1.
pub(super) fn memory_swap(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let size = if value == "-1" { -1 } else { number::size(value).ok_or(Bad::Form)? };
    draft.body.host_config.resources.memory_swap = Some(size);
    Ok(())
}

/// Reads `memory-swappiness`: 0 to 100, or -1 for the engine's default.
pub(super) fn swappiness(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let value = number::integer(value).filter(|value| (-1..=100).contains(value)).ok_or(Bad::Form)?;
    draft.body.host_config.resources.memory_swappiness = Some(value);
    Ok(())
}

/// Reads `kernel-memory`, which engines dropped with API 1.42.
pub(super) fn kernel_memory(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let size = number::size(value).ok_or(Bad::Form)?;
    if draft.needs("", 42).is_ok() {
        draft.notice("engines with API 1.42 and newer have no limit of kernel memory");
    } else {
        draft.body.host_config.resources.kernel_memory = Some(size);
    }
    Ok(())
}

/// Reads `ulimit`: `name=soft[:hard]`, where -1 is unlimited.
pub(super) fn ulimit(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (name, limits) = value.split_once('=').ok_or(Bad::Form)?;
    if !ULIMITS.contains(&name) {
        return Err(Bad::because("there is no limit of that name"));
    }
    let limit = |text: &str| -> Result<i64, Bad> { text.parse().map_err(|_| Bad::Form) };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(Bad::because("the soft limit is above the hard one"));
    }
    let ulimits = &mut draft.body.host_config.resources.ulimits;
    ulimits.retain(|ulimit| ulimit.name != name);
    ulimits.push(Ulimit { name: name.to_owned(), soft, hard });
    ulimits.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

/// Puts the CPU limit into the request.
///
/// The engine takes `NanoCpus` or a quota with a period, not both. `cpus` is the later word, so it takes the place of
/// Mesos' quota; with a quota of the task's own it is a contradiction.
pub(super) fn finish(draft: &mut Draft<'_>) -> Result<(), FieldError> {
    let (period, quota) = (draft.cpu_period, draft.cpu_quota);
    let resources = &mut draft.body.host_config.resources;
    resources.cpu_period = period.or(resources.cpu_period);
    resources.cpu_quota = quota.or(resources.cpu_quota);
    if let Some(nano_cpus) = draft.nano_cpus {
        if [period, quota].into_iter().flatten().any(|given| given != 0) && nano_cpus > 0 {
            return Err(conflict("cpus and cpu-period or cpu-quota exclude each other"));
        }
        if nano_cpus > 0 {
            (resources.cpu_period, resources.cpu_quota) = (None, None);
        }
        resources.nano_cpus = Some(nano_cpus);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use docker_engine::{ApiVersion, CreateBody, NEWEST_API};
    use mesos_types::Parameter;

    use super::super::draft::{Context, Outcome, apply};
    use super::*;

    fn limited(given: &[(&str, &str)], api: ApiVersion) -> Result<(CreateBody, Outcome), FieldError> {
        let mut body = CreateBody::default();
        body.host_config.resources.cpu_quota = Some(50_000);
        let given: Vec<_> =
            given.iter().map(|(k, v)| Parameter { key: (*k).into(), value: (*v).into() }).collect();
        let outcome = apply(&mut body, &given, Context { api, sandbox: std::path::Path::new("/w") })?;
        Ok((body, outcome))
    }

    #[rstest::rstest]
    #[case(&[("cpus", "1.5")], (Some(1_500_000_000), None, None))]
    #[case(&[("cpus", "0")], (Some(0), None, Some(50_000)))]
    #[case(&[("cpu-quota", "10000"), ("cpu-period", "20000")], (None, Some(20_000), Some(10_000)))]
    #[case(&[], (None, None, Some(50_000)))]
    #[case(&[("cpu-quota", "0"), ("cpus", "1")], (Some(1_000_000_000), None, None))]
    fn cpus_take_the_place_of_mesos_quota(
        #[case] given: &[(&str, &str)],
        #[case] expected: (Option<i64>, Option<i64>, Option<i64>),
    ) {
        let resources = limited(given, NEWEST_API).unwrap().0.host_config.resources;
        assert_eq!((resources.nano_cpus, resources.cpu_period, resources.cpu_quota), expected);
    }

    #[test]
    fn a_quota_and_cpus_of_the_task_are_a_contradiction() {
        let error = limited(&[("cpus", "1"), ("cpu-quota", "1000")], NEWEST_API).unwrap_err().to_string();
        assert!(error.contains("cpus and cpu-period or cpu-quota"), "{error}");
    }

    #[test]
    fn kernel_memory_is_sent_while_engines_have_it() {
        let (body, outcome) = limited(&[("kernel-memory", "5m")], ApiVersion::new(1, 41)).unwrap();
        assert_eq!((body.host_config.resources.kernel_memory, outcome.notices.len()), (Some(5 << 20), 0));
        let (body, outcome) = limited(&[("kernel-memory", "5m")], ApiVersion::new(1, 42)).unwrap();
        assert_eq!((body.host_config.resources.kernel_memory, outcome.notices.len()), (None, 1));
    }

    #[test]
    fn limits_of_one_name_replace_each_other() {
        let given = [("ulimit", "nofile=1"), ("ulimit", "nofile=2:3"), ("ulimit", "core=-1")];
        let limits = limited(&given, NEWEST_API).unwrap().0.host_config.resources.ulimits;
        let found: Vec<_> =
            limits.iter().map(|limit| (limit.name.as_str(), limit.soft, limit.hard)).collect();
        assert_eq!(found, [("core", -1, -1), ("nofile", 2, 3)]);
    }

    #[rstest::rstest]
    #[case("ulimit", "nofile=5:1")]
    #[case("ulimit", "nofile=-1:5")]
    #[case("ulimit", "nofile=unlimited")]
    #[case("ulimit", "nofile=1:2:3")]
    #[case("ulimit", "nofile=")]
    #[case("ulimit", "foo=1")]
    #[case("ulimit", "nofile")]
    #[case("memory-swap", "-2")]
    #[case("memory-swappiness", "101")]
    #[case("memory", "-1")]
    #[case("memory", "")]
    #[case("cpus", "")]
    fn what_is_no_limit_is_refused(#[case] key: &str, #[case] value: &str) {
        assert!(limited(&[(key, value)], NEWEST_API).is_err());
    }
}
