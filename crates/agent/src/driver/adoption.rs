//! What becomes of each run of an earlier process: decided from its checkpoint and its record.
//!
//! | record | executor's process | the run |
//! |---|---|---|
//! | none | none | was never launched |
//! | none | checkpointed | is carried on as a stock agent's ([`super::foreign`]) |
//! | none | of an earlier boot | is gone |
//! | launching, of a task | | is launched anew under the same id, unless something of it has run: then it is adopted |
//! | launching, of an executor | | is over, unless something of it has run: who never registered is not launched again |
//! | launching, being killed | | is adopted, and its kill goes on |
//! | running | | is adopted |
//! | terminal | | its end is told, if that is not in its stream |
//! | cannot be read | | is given up, its container removed |
//!
//! A record is ours, so what it says counts before any process id beside it, which is there for a stock agent.

use mesos_proto::v1;
use task_supervisor::{Phase, Record};

use super::kind::Kind;

/// What becomes of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    /// Its container is carried to its end.
    Adopt,
    /// It is launched again, unless something of it has run.
    Relaunch,
    /// It was never launched, unless something of it has run.
    Abandon,
    /// Its terminal status is told.
    Report(Box<v1::TaskStatus>),
    /// It was never launched.
    NeverLaunched,
    /// A stock agent launched its executor, which is carried to its end.
    Foreign,
    /// It ended with the machine's last boot.
    Rebooted,
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

/// What the checkpoint says of an executor's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// Nothing: it is this process, or it was not started.
    None,
    /// It was started, or has spoken with an agent.
    Started,
    /// The machine was booted since.
    Rebooted,
}

/// Decides what becomes of a run of this kind.
///
/// An executor whose launch was cut short is not launched again, as in stock: it would have the time of those that come
/// back, which is short, to register for the first time. Its tasks were not sent to anybody, so they are told as such.
pub(super) fn plan(known: &Known, program: Program, kind: Kind) -> Plan {
    let record = match (known, program) {
        (Known::Nothing, Program::None) => return Plan::NeverLaunched,
        (Known::Nothing, Program::Started) => return Plan::Foreign,
        (Known::Nothing, Program::Rebooted) => return Plan::Rebooted,
        (Known::Unreadable(why), _) => return Plan::GiveUp(why.clone()),
        (Known::Record(record), _) => record,
    };
    match record.phase {
        Phase::Terminal => match record.end() {
            Some(status) => Plan::Report(Box::new(status)),
            None => Plan::GiveUp("its terminal status cannot be read".into()),
        },
        Phase::Launching if record.kill.is_none() => match (kind, record.is_waiting) {
            (Kind::Task, false) => Plan::Relaunch,
            // The supervisor launches itself what nothing was done for.
            (Kind::Task, true) => Plan::Adopt,
            (Kind::Executor, false) => Plan::Abandon,
            (Kind::Executor, true) => Plan::NeverLaunched,
        },
        Phase::Launching | Phase::Running => Plan::Adopt,
    }
}

impl Plan {
    /// Its name, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Relaunch => "launch again",
            Self::Abandon => "end, unless it was started",
            Self::Report(_) => "report",
            Self::NeverLaunched => "never launched",
            Self::Foreign => "adopt a stock agent's executor",
            Self::Rebooted => "gone with the last boot",
            Self::GiveUp(_) => "give up",
        }
    }

    /// Whether its container is carried on.
    pub(super) fn is_carried(&self) -> bool {
        match self {
            Self::Adopt | Self::Relaunch | Self::Abandon | Self::Foreign => true,
            Self::Report(_) | Self::NeverLaunched | Self::Rebooted | Self::GiveUp(_) => false,
        }
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

    fn waiting() -> Known {
        let Known::Record(mut record) = record(Phase::Launching, false) else { unreachable!() };
        record.is_waiting = true;
        Known::Record(record)
    }

    #[rstest::rstest]
    #[case(Known::Nothing, Program::None, Plan::NeverLaunched)]
    #[case(Known::Nothing, Program::Started, Plan::Foreign)]
    #[case(Known::Nothing, Program::Rebooted, Plan::Rebooted)]
    #[case(record(Phase::Launching, false), Program::None, Plan::Relaunch)]
    #[case(record(Phase::Launching, true), Program::None, Plan::Adopt)]
    #[case(waiting(), Program::None, Plan::Adopt)]
    #[case(record(Phase::Running, false), Program::None, Plan::Adopt)]
    #[case(record(Phase::Running, true), Program::Started, Plan::Adopt)]
    #[case(record(Phase::Running, false), Program::Rebooted, Plan::Adopt)]
    #[case(record(Phase::Terminal, false), Program::Started, Plan::Report(Box::default()))]
    #[case(Known::Unreadable("x".into()), Program::Started, Plan::GiveUp("x".into()))]
    fn what_becomes_of_a_run(#[case] known: Known, #[case] program: Program, #[case] expected: Plan) {
        assert_eq!(plan(&known, program, Kind::Task), expected);
    }

    #[rstest::rstest]
    #[case(waiting(), Plan::NeverLaunched)]
    #[case(record(Phase::Launching, false), Plan::Abandon)]
    #[case(record(Phase::Launching, true), Plan::Adopt)]
    #[case(record(Phase::Running, false), Plan::Adopt)]
    fn an_executor_is_never_launched_again(#[case] known: Known, #[case] expected: Plan) {
        assert_eq!(plan(&known, Program::None, Kind::Executor), expected);
    }
}
