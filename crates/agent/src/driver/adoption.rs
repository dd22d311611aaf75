//! What becomes of each run of an earlier process: decided from its checkpoint and its record.
//!
//! | record | the task |
//! |---|---|
//! | none | was never launched |
//! | launching | is launched anew under the same id, unless its container has started: then it is adopted |
//! | launching, being killed | is adopted, and its kill goes on |
//! | running | is adopted |
//! | terminal | its status is told, if that is not in its stream |
//! | cannot be read | is given up, its container removed |
//!
//! A run of a stock agent has an executor process that we cannot talk to; it is given up, its container removed.

use mesos_proto::v1;
use task_supervisor::{Phase, Record};

/// What becomes of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    /// Its container is carried to its end.
    Adopt,
    /// It is launched again, unless its container has started.
    Relaunch,
    /// Its terminal status is told.
    Report(Box<v1::TaskStatus>),
    /// It was never launched.
    NeverLaunched,
    /// Its executor is a process of a stock agent.
    NotOurs,
    /// It cannot be carried on; says why.
    GiveUp(String),
}

/// What is known of a run beside its checkpoint.
#[derive(Debug)]
pub(super) enum Known {
    /// Its record.
    Record(Box<Record>),
    /// Nothing was written of it.
    Nothing,
    /// The record cannot be read; says why.
    Unreadable(String),
}

/// Decides what becomes of a run. `is_stock` says that an executor process is checkpointed.
pub(super) fn plan(known: &Known, is_stock: bool) -> Plan {
    let record = match known {
        Known::Nothing if is_stock => return Plan::NotOurs,
        Known::Nothing => return Plan::NeverLaunched,
        Known::Unreadable(why) => return Plan::GiveUp(why.clone()),
        Known::Record(record) => record,
    };
    match record.phase {
        Phase::Terminal => match record.end() {
            Some(status) => Plan::Report(Box::new(status)),
            None => Plan::GiveUp("its terminal status cannot be read".into()),
        },
        Phase::Launching if record.kill.is_none() => Plan::Relaunch,
        Phase::Launching | Phase::Running => Plan::Adopt,
    }
}

#[cfg(test)]
mod tests {
    use docker_containerizer::{Identity, Kill};
    use mesos_proto::Message as _;
    use task_supervisor::{KillCause, KillRecord};

    use super::*;

    fn record(phase: Phase, is_killed: bool) -> Known {
        let identity = Identity {
            agent_id: "S".parse().unwrap(),
            framework_id: "F".parse().unwrap(),
            executor_id: "t".parse().unwrap(),
            task_id: "t".parse().unwrap(),
            container_id: mesos_types::ContainerId::random(),
        };
        let mut record = Record::accepted(&identity, Vec::new(), "mesos-S-c".into());
        record.phase = phase;
        if is_killed {
            let kill = Kill { grace: std::time::Duration::from_secs(1) };
            record.kill = Some(KillRecord::now(KillCause::Framework, kill));
        }
        if phase == Phase::Terminal {
            record.terminal_status = Some(v1::TaskStatus::default().encode_to_vec());
        }
        Known::Record(Box::new(record))
    }

    #[rstest::rstest]
    #[case(Known::Nothing, false, Plan::NeverLaunched)]
    #[case(Known::Nothing, true, Plan::NotOurs)]
    #[case(record(Phase::Launching, false), false, Plan::Relaunch)]
    #[case(record(Phase::Launching, true), false, Plan::Adopt)]
    #[case(record(Phase::Running, false), false, Plan::Adopt)]
    #[case(record(Phase::Running, true), false, Plan::Adopt)]
    #[case(record(Phase::Terminal, false), false, Plan::Report(Box::default()))]
    #[case(Known::Unreadable("x".into()), false, Plan::GiveUp("x".into()))]
    fn what_becomes_of_a_run(#[case] known: Known, #[case] is_stock: bool, #[case] expected: Plan) {
        assert_eq!(plan(&known, is_stock), expected);
    }
}
