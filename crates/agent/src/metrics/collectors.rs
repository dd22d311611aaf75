//! The counters of the parts of the agent, by the names of their metrics.

use docker_containerizer::images::{ImageTimes, PullClass, PullCounters};
use tokio::time::Instant;

use super::sample::Samples;
use super::timer::set_timer;
use crate::gc::GcCounters;

/// What the fetcher counted, by stock's names.
pub fn fetches(named: impl IntoIterator<Item = (&'static str, u64)>, samples: &mut Samples) {
    for (name, count) in named {
        samples.count(name, count);
    }
}

/// What the garbage collector counted.
pub fn gc_removals(counters: GcCounters, samples: &mut Samples) {
    samples.count("gc/path_removals_succeeded", counters.succeeded);
    samples.count("gc/path_removals_failed", counters.failed);
    samples.count("gc/path_removals_pending", counters.pending);
    samples.set("slave/executor_directory_max_allowed_age_secs", counters.max_allowed_age.as_secs_f64());
}

/// How images came to launches: stock's timer, and what it does not count.
pub fn image_pulls(times: &ImageTimes, counters: PullCounters, now: Instant, samples: &mut Samples) {
    set_timer(samples, "containerizer/docker/image_pull_ms", times.recent(now));
    samples.count("containerizer/docker/images_ready", times.count());
    samples.set("containerizer/docker/images_ready_secs", times.sum().as_secs_f64());
    samples.count("containerizer/docker/pulls_running", counters.running as u64);
    samples.count("containerizer/docker/pulls_queued", counters.queued as u64);
    samples.count("containerizer/docker/pulls_begun", counters.begun);
    samples.count("containerizer/docker/pulls_succeeded", counters.succeeded);
    samples.count("containerizer/docker/pulls_shared", counters.shared);
    samples.count("containerizer/docker/pulls_retried", counters.retried);
    for class in PullClass::ALL {
        let name = format!("containerizer/docker/pulls_failed/{}", class.name().replace(' ', "_"));
        samples.count(name, counters.failed_of(class));
    }
}

/// What the wire counted.
pub fn libprocess_counters(counters: libprocess::Snapshot, samples: &mut Samples) {
    for (name, count) in [
        ("connections_accepted", counters.connections_accepted),
        ("connections_refused", counters.connections_refused),
        ("strangers_closed", counters.strangers_closed),
        ("messages_received", counters.messages_received),
        ("messages_unknown", counters.messages_unknown),
        ("messages_refused", counters.messages_refused),
        ("messages_sent", counters.messages_sent),
        ("messages_dropped_full", counters.messages_dropped_full),
        ("messages_dropped_unreachable", counters.messages_dropped_unreachable),
        ("links_broken", counters.links_broken),
    ] {
        samples.count(format!("libprocess/{name}"), count);
    }
}
