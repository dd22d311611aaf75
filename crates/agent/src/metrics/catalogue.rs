//! Every metric: stock's name of it, and how Prometheus knows it.

/// What becomes of a value over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is a part of a summary of times.
    Summary,
}

/// A family of metrics: what Prometheus has one name, one type and one explanation for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) members: &'static [Member],
}

/// One metric of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Stock's name.
    pub(super) stock: &'static str,
    /// What tells it apart in its family, as Prometheus writes it, without braces; or a suffix such as `_count`.
    pub(super) apart: Apart,
    /// What one of stock's units is of Prometheus' base unit.
    pub(super) scale: f64,
}

/// What tells a metric apart in its family.
#[derive(Debug, Clone, Copy)]
pub(super) enum Apart {
    /// Nothing: it is the only one.
    Nothing,
    /// Labels, as Prometheus writes them.
    Labels(&'static str),
    /// The end of its name.
    Suffix(&'static str),
    /// It stands in the JSON only; another says the same here.
    JsonOnly,
}

const fn one(stock: &'static str) -> Member {
    Member { stock, apart: Apart::Nothing, scale: 1.0 }
}

const fn with(stock: &'static str, labels: &'static str) -> Member {
    Member { stock, apart: Apart::Labels(labels), scale: 1.0 }
}

const fn millis(stock: &'static str, labels: &'static str) -> Member {
    Member { stock, apart: Apart::Labels(labels), scale: 0.001 }
}

const fn suffix(stock: &'static str, suffix: &'static str) -> Member {
    Member { stock, apart: Apart::Suffix(suffix), scale: 1.0 }
}

const fn json_only(stock: &'static str) -> Member {
    Member { stock, apart: Apart::JsonOnly, scale: 1.0 }
}

const fn gauge(name: &'static str, help: &'static str, members: &'static [Member]) -> Family {
    Family { name, kind: Kind::Gauge, help, members }
}

const fn counter(name: &'static str, help: &'static str, members: &'static [Member]) -> Family {
    Family { name, kind: Kind::Counter, help, members }
}

/// All families. Stock's names are those of Mesos 1.11 (`src/slave/metrics.cpp` and others), where it has them.
#[rustfmt::skip]
pub(super) const FAMILIES: &[Family] = &[
    gauge("mesos_agent_uptime_seconds", "Time since the agent's process started.", &[one("slave/uptime_secs")]),
    gauge("mesos_agent_registered", "Whether the agent is registered with a master.", &[one("slave/registered")]),
    gauge("mesos_agent_recovery_seconds", "Time that the recovery took.", &[one("slave/recovery_time_secs")]),
    counter("mesos_agent_recovery_errors_total", "Parts of the recorded state that could not be recovered.", &[one("slave/recovery_errors")]),
    gauge("mesos_agent_frameworks", "Frameworks with tasks on this agent.", &[one("slave/frameworks_active")]),
    gauge("mesos_agent_tasks", "Tasks that have not ended, by state.", &[
        with("slave/tasks_staging", r#"state="staging""#),
        with("slave/tasks_starting", r#"state="starting""#),
        with("slave/tasks_running", r#"state="running""#),
        with("slave/tasks_killing", r#"state="killing""#),
    ]),
    counter("mesos_agent_tasks_ended_total", "Tasks that ended, by their last state.", &[
        with("slave/tasks_finished", r#"state="finished""#),
        with("slave/tasks_failed", r#"state="failed""#),
        with("slave/tasks_killed", r#"state="killed""#),
        with("slave/tasks_lost", r#"state="lost""#),
        with("slave/tasks_gone", r#"state="gone""#),
    ]),
    gauge("mesos_agent_executors", "Executors that have not ended, by state.", &[
        with("slave/executors_registering", r#"state="registering""#),
        with("slave/executors_running", r#"state="running""#),
        with("slave/executors_terminating", r#"state="terminating""#),
    ]),
    counter("mesos_agent_executors_terminated_total", "Executors that ended.", &[one("slave/executors_terminated")]),
    counter("mesos_agent_executors_preempted_total", "Executors that were stopped for others.", &[one("slave/executors_preempted")]),
    counter("mesos_agent_status_updates_total", "Status updates that came from executors, by whether they were valid.", &[
        with("slave/valid_status_updates", r#"valid="true""#),
        with("slave/invalid_status_updates", r#"valid="false""#),
    ]),
    counter("mesos_agent_framework_messages_total", "Messages between frameworks and executors, by whether they were valid.", &[
        with("slave/valid_framework_messages", r#"valid="true""#),
        with("slave/invalid_framework_messages", r#"valid="false""#),
    ]),
    counter("mesos_agent_container_launch_errors_total", "Containers that could not be launched.", &[one("slave/container_launch_errors")]),
    gauge("mesos_agent_executor_directory_max_allowed_age_seconds", "How old the sandbox of an ended executor gets at present.", &[one("slave/executor_directory_max_allowed_age_secs")]),
    gauge("mesos_agent_resources", "Resources of the agent; mem and disk in megabytes.", &[
        with("slave/cpus_total", r#"resource="cpus",revocable="false""#),
        with("slave/gpus_total", r#"resource="gpus",revocable="false""#),
        with("slave/mem_total", r#"resource="mem",revocable="false""#),
        with("slave/disk_total", r#"resource="disk",revocable="false""#),
        with("slave/cpus_revocable_total", r#"resource="cpus",revocable="true""#),
        with("slave/gpus_revocable_total", r#"resource="gpus",revocable="true""#),
        with("slave/mem_revocable_total", r#"resource="mem",revocable="true""#),
        with("slave/disk_revocable_total", r#"resource="disk",revocable="true""#),
    ]),
    gauge("mesos_agent_resources_used", "Resources that executors and tasks hold; mem and disk in megabytes.", &[
        with("slave/cpus_used", r#"resource="cpus",revocable="false""#),
        with("slave/gpus_used", r#"resource="gpus",revocable="false""#),
        with("slave/mem_used", r#"resource="mem",revocable="false""#),
        with("slave/disk_used", r#"resource="disk",revocable="false""#),
        with("slave/cpus_revocable_used", r#"resource="cpus",revocable="true""#),
        with("slave/gpus_revocable_used", r#"resource="gpus",revocable="true""#),
        with("slave/mem_revocable_used", r#"resource="mem",revocable="true""#),
        with("slave/disk_revocable_used", r#"resource="disk",revocable="true""#),
        // A quotient of the others.
        json_only("slave/cpus_percent"),
        json_only("slave/gpus_percent"),
        json_only("slave/mem_percent"),
        json_only("slave/disk_percent"),
        json_only("slave/cpus_revocable_percent"),
        json_only("slave/gpus_revocable_percent"),
        json_only("slave/mem_revocable_percent"),
        json_only("slave/disk_revocable_percent"),
    ]),
    gauge("mesos_host_cpus", "CPUs of the host that are online.", &[one("system/cpus_total")]),
    gauge("mesos_host_load", "Load of the host, by the minutes that it is the mean of.", &[
        with("system/load_1min", r#"minutes="1""#),
        with("system/load_5min", r#"minutes="5""#),
        with("system/load_15min", r#"minutes="15""#),
    ]),
    gauge("mesos_host_memory_bytes", "Memory of the host.", &[one("system/mem_total_bytes")]),
    gauge("mesos_host_memory_free_bytes", "Memory of the host that is free; caches are not.", &[one("system/mem_free_bytes")]),
    counter("mesos_agent_gc_path_removals_total", "Directories that the garbage collector removed, by result.", &[
        with("gc/path_removals_succeeded", r#"result="succeeded""#),
        with("gc/path_removals_failed", r#"result="failed""#),
    ]),
    gauge("mesos_agent_gc_path_removals_pending", "Directories that wait for the garbage collector.", &[one("gc/path_removals_pending")]),
    counter("mesos_agent_task_fetches_total", "Tasks whose URIs were fetched, by result.", &[
        with("containerizer/fetcher/task_fetches_succeeded", r#"result="succeeded""#),
        with("containerizer/fetcher/task_fetches_failed", r#"result="failed""#),
    ]),
    gauge("mesos_agent_fetcher_cache_bytes", "Size of the fetcher's cache.", &[one("containerizer/fetcher/cache_size_total_bytes")]),
    gauge("mesos_agent_fetcher_cache_used_bytes", "What is taken of the fetcher's cache.", &[one("containerizer/fetcher/cache_size_used_bytes")]),
    Family {
        name: "mesos_agent_image_seconds",
        kind: Kind::Summary,
        help: "Time until a launch had its image, pulled or present; quantiles of the last hour.",
        members: &[
            millis("containerizer/docker/image_pull_ms/p50", r#"quantile="0.5""#),
            millis("containerizer/docker/image_pull_ms/p90", r#"quantile="0.9""#),
            millis("containerizer/docker/image_pull_ms/p95", r#"quantile="0.95""#),
            millis("containerizer/docker/image_pull_ms/p99", r#"quantile="0.99""#),
            millis("containerizer/docker/image_pull_ms/p999", r#"quantile="0.999""#),
            millis("containerizer/docker/image_pull_ms/p9999", r#"quantile="0.9999""#),
            suffix("containerizer/docker/images_ready_secs", "_sum"),
            suffix("containerizer/docker/images_ready", "_count"),
            json_only("containerizer/docker/image_pull_ms"),
            json_only("containerizer/docker/image_pull_ms/count"),
            json_only("containerizer/docker/image_pull_ms/min"),
            json_only("containerizer/docker/image_pull_ms/max"),
        ],
    },
    gauge("mesos_agent_pulls", "Pulls of images, by whether the engine is at them.", &[
        with("containerizer/docker/pulls_running", r#"state="running""#),
        with("containerizer/docker/pulls_queued", r#"state="queued""#),
    ]),
    counter("mesos_agent_pulls_begun_total", "Pulls of images that were begun.", &[one("containerizer/docker/pulls_begun")]),
    counter("mesos_agent_pulls_succeeded_total", "Pulls of images that ended well.", &[one("containerizer/docker/pulls_succeeded")]),
    counter("mesos_agent_pulls_shared_total", "Launches that joined the pull of another.", &[one("containerizer/docker/pulls_shared")]),
    counter("mesos_agent_pulls_retried_total", "Attempts of pulls after a failed one.", &[one("containerizer/docker/pulls_retried")]),
    counter("mesos_agent_pull_attempts_failed_total", "Attempts of pulls that failed, by reason.", &[
        with("containerizer/docker/pulls_failed/not_found", r#"reason="not_found""#),
        with("containerizer/docker/pulls_failed/denied", r#"reason="denied""#),
        with("containerizer/docker/pulls_failed/rate_limited", r#"reason="rate_limited""#),
        with("containerizer/docker/pulls_failed/network", r#"reason="network""#),
        with("containerizer/docker/pulls_failed/disk_full", r#"reason="disk_full""#),
        with("containerizer/docker/pulls_failed/engine", r#"reason="engine""#),
        with("containerizer/docker/pulls_failed/engine_away", r#"reason="engine_away""#),
    ]),
    counter("mesos_agent_connections_accepted_total", "Inbound connections that were taken.", &[one("libprocess/connections_accepted")]),
    counter("mesos_agent_connections_refused_total", "Inbound connections that were refused because there were too many.", &[one("libprocess/connections_refused")]),
    counter("mesos_agent_strangers_closed_total", "Connections without a message that were closed to make room, or for being too slow.", &[one("libprocess/strangers_closed")]),
    counter("mesos_agent_messages_received_total", "Messages of masters and executors that came, by what became of them.", &[
        with("libprocess/messages_received", r#"outcome="delivered""#),
        with("libprocess/messages_unknown", r#"outcome="unknown_process""#),
        with("libprocess/messages_refused", r#"outcome="refused""#),
    ]),
    counter("mesos_agent_messages_sent_total", "Messages to masters and executors, by what became of them.", &[
        with("libprocess/messages_sent", r#"outcome="sent""#),
        with("libprocess/messages_dropped_full", r#"outcome="queue_full""#),
        with("libprocess/messages_dropped_unreachable", r#"outcome="unreachable""#),
    ]),
    counter("mesos_agent_links_broken_total", "Links to masters and executors that broke.", &[one("libprocess/links_broken")]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Metrics of stock that are about parts which this agent does not have.
    const NOT_OURS: [&str; 2] = ["containerizer/mesos/", "resource_provider_manager/"];

    #[test]
    fn every_metric_of_stock_is_known() {
        let recorded = include_str!("../../tests/data/http/metrics.json");
        let recorded: serde_json::Value = serde_json::from_str(recorded).unwrap();
        let known: BTreeSet<_> =
            FAMILIES.iter().flat_map(|family| family.members).map(|member| member.stock).collect();
        let missing: Vec<_> = recorded
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| {
                !known.contains(name.as_str()) && !NOT_OURS.iter().any(|part| name.starts_with(part))
            })
            .collect();
        assert_eq!(missing, Vec::<&String>::new());
    }

    #[test]
    fn no_name_stands_twice() {
        let mut seen = BTreeSet::new();
        for family in FAMILIES {
            assert!(seen.insert(family.name), "{}", family.name);
            for member in family.members {
                assert!(seen.insert(member.stock), "{}", member.stock);
            }
        }
    }

    /// Prometheus' rules for names: base units, `_total` for counters and for nothing else.
    #[test]
    fn names_are_as_prometheus_wants_them() {
        for family in FAMILIES {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(family.name.starts_with("mesos_") && family.name.chars().all(is_name), "{}", family.name);
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert!(!family.name.ends_with("_secs") && !family.name.ends_with("_ms"), "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\']), "{}", family.help);
            for member in family.members {
                if let Apart::Labels(labels) = member.apart {
                    for label in labels.split(',') {
                        let (name, value) = label.split_once('=').unwrap();
                        assert!(name.chars().all(is_name) && value.len() > 2, "{label}");
                        assert!(value.starts_with('"') && value.ends_with('"'), "{label}");
                    }
                }
            }
        }
    }
}
