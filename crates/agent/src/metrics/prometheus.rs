//! Metrics as Prometheus text (exposition format 0.0.4).

use std::fmt::Write as _;

use super::catalogue::{Apart, FAMILIES, Family, Kind};
use super::sample::Samples;

/// The type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Prints the samples, family by family. What has no sample is left out.
pub fn render(samples: &Samples) -> String {
    let mut text = String::new();
    FAMILIES.iter().for_each(|family| render_family(family, samples, &mut text));
    text
}

fn render_family(family: &Family, samples: &Samples, text: &mut String) {
    let Family { name, kind, help, members } = family;
    let mut lines = String::new();
    for member in *members {
        let Some(value) = samples.get(member.stock) else { continue };
        let value = value * member.scale;
        // Writing to a string does not fail.
        let _ = match member.apart {
            Apart::Nothing => writeln!(lines, "{name} {value}"),
            Apart::Labels(labels) => writeln!(lines, "{name}{{{labels}}} {value}"),
            Apart::Suffix(suffix) => writeln!(lines, "{name}{suffix} {value}"),
            Apart::JsonOnly => Ok(()),
        };
    }
    if lines.is_empty() {
        return;
    }
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Summary => "summary",
    };
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_come_whole_and_once() {
        let mut samples = Samples::default();
        samples.count("slave/tasks_running", 2);
        samples.count("slave/tasks_staging", 0);
        samples.count("slave/tasks_finished", 7);
        samples.set("slave/uptime_secs", 1.5);
        samples.set("slave/cpus_percent", 0.5);
        samples.set("containerizer/docker/image_pull_ms/p50", 250.0);
        samples.set("containerizer/docker/image_pull_ms", 300.0);
        samples.count("containerizer/docker/images_ready", 4);
        samples.set("containerizer/docker/images_ready_secs", 1.25);
        assert_eq!(
            render(&samples),
            "# HELP mesos_agent_uptime_seconds Time since the agent's process started.\n\
             # TYPE mesos_agent_uptime_seconds gauge\n\
             mesos_agent_uptime_seconds 1.5\n\
             # HELP mesos_agent_tasks Tasks that have not ended, by state.\n\
             # TYPE mesos_agent_tasks gauge\n\
             mesos_agent_tasks{state=\"staging\"} 0\n\
             mesos_agent_tasks{state=\"running\"} 2\n\
             # HELP mesos_agent_tasks_ended_total Tasks that ended, by their last state.\n\
             # TYPE mesos_agent_tasks_ended_total counter\n\
             mesos_agent_tasks_ended_total{state=\"finished\"} 7\n\
             # HELP mesos_agent_image_seconds Time until a launch had its image, pulled or present; quantiles of the last hour.\n\
             # TYPE mesos_agent_image_seconds summary\n\
             mesos_agent_image_seconds{quantile=\"0.5\"} 0.25\n\
             mesos_agent_image_seconds_sum 1.25\n\
             mesos_agent_image_seconds_count 4\n"
        );
    }

    #[test]
    fn nothing_is_printed_of_nothing() {
        assert_eq!(render(&Samples::default()), "");
    }
}
