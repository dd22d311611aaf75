//! What the model says in numbers (`src/slave/metrics.cpp`).

use mesos_proto::v1::{self, TaskState, value};

use super::sample::Samples;
use crate::model::{Agent, ExecutorPhase, Phase, Stage};

/// The resources that have metrics.
const RESOURCES: [&str; 4] = ["cpus", "gpus", "mem", "disk"];

/// The numbers of the agent. `now` is in seconds since 1970.
pub fn agent_samples(agent: &Agent, now: f64) -> Samples {
    let mut samples = Samples::default();
    samples.set("slave/uptime_secs", (now - agent.start_time).max(0.0));
    samples.set("slave/registered", if agent.phase == Phase::Running { 1.0 } else { 0.0 });
    if let Some(seconds) = agent.recovery_time_secs {
        samples.set("slave/recovery_time_secs", seconds);
    }
    samples.count("slave/frameworks_active", agent.frameworks.len() as u64);
    tasks(agent, &mut samples);
    executors(agent, &mut samples);
    counters(agent, &mut samples);
    resources(agent, &mut samples);
    samples
}

fn tasks(agent: &Agent, samples: &mut Samples) {
    let [mut staging, mut starting, mut running, mut killing] = [0; 4];
    for framework in agent.frameworks.values() {
        staging += framework.pending.len() as u64;
        for task in framework.executors.values().flat_map(|executor| &executor.tasks) {
            match (&task.stage, task.state()) {
                (Stage::Queued(_), _) | (Stage::Launched, TaskState::TaskStaging) => staging += 1,
                (Stage::Launched, TaskState::TaskStarting) => starting += 1,
                (Stage::Launched, TaskState::TaskRunning) => running += 1,
                (Stage::Launched, TaskState::TaskKilling) => killing += 1,
                (Stage::Launched | Stage::Terminated, _) => {}
            }
        }
    }
    let counts = [("staging", staging), ("starting", starting), ("running", running), ("killing", killing)];
    for (state, count) in counts {
        samples.count(format!("slave/tasks_{state}"), count);
    }
}

fn executors(agent: &Agent, samples: &mut Samples) {
    let executors = || agent.frameworks.values().flat_map(|framework| framework.executors.values());
    let count = |phase| executors().filter(|executor| executor.phase == phase).count() as u64;
    samples.count("slave/executors_registering", count(ExecutorPhase::Registering));
    samples.count("slave/executors_running", count(ExecutorPhase::Running));
    samples.count("slave/executors_terminating", count(ExecutorPhase::Terminating));
}

fn counters(agent: &Agent, samples: &mut Samples) {
    let counters = &agent.counters;
    for (name, count) in [
        ("tasks_finished", counters.tasks_finished),
        ("tasks_failed", counters.tasks_failed),
        ("tasks_killed", counters.tasks_killed),
        ("tasks_lost", counters.tasks_lost),
        ("tasks_gone", counters.tasks_gone),
        ("executors_terminated", counters.executors_terminated),
        ("executors_preempted", counters.executors_preempted),
        ("valid_status_updates", counters.valid_status_updates),
        ("invalid_status_updates", counters.invalid_status_updates),
        ("valid_framework_messages", counters.valid_framework_messages),
        ("invalid_framework_messages", counters.invalid_framework_messages),
        ("container_launch_errors", counters.container_launch_errors),
        ("recovery_errors", counters.recovery_errors),
    ] {
        samples.count(format!("slave/{name}"), count);
    }
}

fn resources(agent: &Agent, samples: &mut Samples) {
    for name in RESOURCES {
        for (suffix, is_revocable) in [("", false), ("_revocable", true)] {
            let of = |resource: &&v1::Resource| {
                resource.name == name
                    && resource.revocable.is_some() == is_revocable
                    && resource.r#type() == value::Type::Scalar
            };
            let total = sum(agent.total_resources.iter().filter(of));
            let used = sum(agent.allocated().filter(of));
            samples.set(format!("slave/{name}{suffix}_total"), total);
            samples.set(format!("slave/{name}{suffix}_used"), used);
            samples
                .set(format!("slave/{name}{suffix}_percent"), if total > 0.0 { used / total } else { 0.0 });
        }
    }
}

/// Mesos counts amounts in thousandths, so that sums are exact.
fn sum<'a>(resources: impl Iterator<Item = &'a v1::Resource>) -> f64 {
    let thousandths = |resource: &v1::Resource| {
        resource.scalar.as_ref().map_or(0.0, |scalar| (scalar.value * 1000.0).round())
    };
    // The sum of nothing is -0.0, which looks odd in JSON.
    resources.map(thousandths).fold(0.0, |sum, amount| sum + amount) / 1000.0
}

#[cfg(test)]
mod tests {
    use mesos_proto::json::from_json;
    use serde_json::json;

    use super::*;
    use crate::model::{Executor, Framework, Generated, LiveTask, PendingTask};

    fn amount(name: &str, value: f64) -> v1::Resource {
        from_json(json!({"name": name, "type": "SCALAR", "scalar": {"value": value}})).unwrap()
    }

    #[test]
    fn tasks_and_executors_are_counted_where_they_are() {
        let mut agent =
            Agent::new(v1::AgentInfo::default(), String::new(), "/w".into(), 100.0, uuid::Uuid::nil());
        agent.total_resources = vec![
            amount("cpus", 4.0),
            amount("mem", 1024.0),
            v1::Resource { revocable: Some(Default::default()), ..amount("cpus", 2.0) },
        ];
        let mut framework = Framework::new("F".parse().unwrap(), v1::FrameworkInfo::default(), None);
        framework.pending.push(PendingTask {
            id: "p".parse().unwrap(),
            info: v1::TaskInfo::default(),
            executor_id: "p".parse().unwrap(),
        });
        let info = v1::ExecutorInfo {
            resources: vec![amount("cpus", 0.1), amount("mem", 32.0)],
            ..Default::default()
        };
        let container = "b0de5307-c27c-4d02-b6e6-7f237ab34080".parse().unwrap();
        let mut executor =
            Executor::new("e".parse().unwrap(), info, Generated::No, container, "/w/e".into(), None);
        executor.phase = ExecutorPhase::Running;
        let stages = [
            (Stage::Queued(Box::default()), TaskState::TaskStaging),
            (Stage::Launched, TaskState::TaskStaging),
            (Stage::Launched, TaskState::TaskStarting),
            (Stage::Launched, TaskState::TaskRunning),
            (Stage::Launched, TaskState::TaskRunning),
            (Stage::Launched, TaskState::TaskKilling),
            (Stage::Terminated, TaskState::TaskRunning),
            (Stage::Terminated, TaskState::TaskFinished),
        ];
        for (at, (stage, state)) in stages.into_iter().enumerate() {
            let task =
                v1::Task { state: state.into(), resources: vec![amount("cpus", 0.2)], ..Default::default() };
            executor.tasks.push(LiveTask { id: format!("t{at}").parse().unwrap(), task, stage });
        }
        framework.executors.insert(executor.id.clone(), executor);
        agent.frameworks.insert(framework.id.clone(), framework);
        agent.counters.tasks_failed = 3;
        agent.phase = Phase::Running;

        let samples = agent_samples(&agent, 112.5);
        for (name, value) in [
            ("uptime_secs", 12.5),
            ("registered", 1.0),
            ("frameworks_active", 1.0),
            ("tasks_staging", 3.0),
            ("tasks_starting", 1.0),
            ("tasks_running", 2.0),
            ("tasks_killing", 1.0),
            ("tasks_failed", 3.0),
            ("executors_registering", 0.0),
            ("executors_running", 1.0),
            ("cpus_total", 4.0),
            ("cpus_used", 1.3),
            ("cpus_percent", 0.325),
            ("cpus_revocable_total", 2.0),
            ("cpus_revocable_used", 0.0),
            ("mem_used", 32.0),
            ("disk_percent", 0.0),
        ] {
            assert_eq!(samples.get(&format!("slave/{name}")), Some(value), "{name}");
        }
        assert!(samples.iter().all(|(_, value)| value.is_sign_positive()));
        // It is known once the recovery is done.
        assert_eq!(samples.get("slave/recovery_time_secs"), None);
    }
}
