//! What answers mean: pure. Health checks as `HealthChecker::processCheckResult` (`src/checks/health_checker.cpp`), checks
//! as `Checker::processCheckResult` (`src/checks/checker.cpp`).

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::{check_info, check_status_info};
use mesos_types::{CheckSpec, HealthCheckSpec};
use serde::{Deserialize, Serialize};

/// What a task answered to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The command ended with this code.
    ExitCode(i32),
    /// The server said this status, after redirects.
    HttpStatus(u16),
    /// Whether the connection was accepted.
    Connected(bool),
}

/// What came of asking once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// There is an answer; the text says why it counts as a failure, where it does.
    Answered(Answer, String),
    /// The task gave none: not in time, not at all. A failure.
    Unanswered(String),
    /// It could not be asked, and that is not the task's doing.
    NotDone(String),
    /// The asking was given up.
    Aborted,
}

/// What must outlive a process, for a check that goes on after an adoption.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckState {
    /// Failures of the health check in a row, as far as they count.
    pub consecutive_failures: u32,
    /// Whether it has succeeded once: then the grace period is over.
    pub succeeded: bool,
    /// The result of the check that was told last; none before the first, and after one without a result.
    pub last: Option<Answer>,
}

/// Whether a task lives on after a failed health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Lives,
    /// Too many failures in a row: it is to be killed.
    Kill,
}

/// What a health check has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Unhealthy { consecutive: u32, verdict: Verdict },
}

impl Answer {
    /// Whether a health check that gets it has succeeded.
    pub fn is_healthy(self) -> bool {
        match self {
            Self::ExitCode(code) => code == 0,
            Self::HttpStatus(status) => (200..400).contains(&status),
            Self::Connected(connected) => connected,
        }
    }
}

/// Judges one result of a health check, `running_for` after the start of the task. Success is told the first time and
/// after failures; failures in the grace period, before the first success, are not counted.
pub(crate) fn judge_health(
    spec: &HealthCheckSpec,
    state: &mut CheckState,
    is_healthy: bool,
    running_for: Duration,
) -> Option<Health> {
    if is_healthy {
        let news = !state.succeeded || state.consecutive_failures > 0;
        state.succeeded = true;
        state.consecutive_failures = 0;
        return news.then_some(Health::Healthy);
    }
    if !state.succeeded && !spec.grace.is_zero() && running_for <= spec.grace {
        return None;
    }
    state.consecutive_failures = state.consecutive_failures.saturating_add(1);
    let consecutive = state.consecutive_failures;
    let verdict = if consecutive >= spec.consecutive_failures { Verdict::Kill } else { Verdict::Lives };
    Some(Health::Unhealthy { consecutive, verdict })
}

/// Judges one result of a check: a status where it differs from the one told last.
pub(crate) fn judge_general(
    spec: &CheckSpec,
    state: &mut CheckState,
    answer: Option<Answer>,
) -> Option<v1::CheckStatusInfo> {
    if state.last == answer {
        return None;
    }
    state.last = answer;
    Some(status_of(spec, answer))
}

/// The status of a check without a result: before the first, which is not told by itself, and after one that could not
/// be done (`createEmptyCheckStatusInfo`). Every status of a task with a check carries the latest one.
pub fn empty_status(spec: &CheckSpec) -> v1::CheckStatusInfo {
    status_of(spec, None)
}

impl CheckState {
    /// The status of the check that was told last.
    pub fn status(&self, spec: &CheckSpec) -> v1::CheckStatusInfo {
        status_of(spec, self.last)
    }
}

fn status_of(spec: &CheckSpec, answer: Option<Answer>) -> v1::CheckStatusInfo {
    let kind = spec.kind();
    let mut status = v1::CheckStatusInfo { r#type: Some(kind.into()), ..Default::default() };
    match kind {
        check_info::Type::Command => {
            let exit_code = answer.and_then(|answer| match answer {
                Answer::ExitCode(code) => Some(code),
                Answer::HttpStatus(_) | Answer::Connected(_) => None,
            });
            status.command = Some(check_status_info::Command { exit_code });
        }
        check_info::Type::Http => {
            let status_code = answer.and_then(|answer| match answer {
                Answer::HttpStatus(status) => Some(status.into()),
                Answer::ExitCode(_) | Answer::Connected(_) => None,
            });
            status.http = Some(check_status_info::Http { status_code });
        }
        check_info::Type::Tcp => {
            let succeeded = answer.and_then(|answer| match answer {
                Answer::Connected(connected) => Some(connected),
                Answer::ExitCode(_) | Answer::HttpStatus(_) => None,
            });
            status.tcp = Some(check_status_info::Tcp { succeeded });
        }
        check_info::Type::Unknown => {}
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_types::{CheckTimes, CommandProbe, IpFamily, ProbeSpec, TcpProbe};
    use proptest::prelude::*;

    const TIMES: CheckTimes =
        CheckTimes { delay: Duration::ZERO, interval: Duration::from_secs(1), timeout: None };

    fn health(grace: u64, consecutive_failures: u32) -> HealthCheckSpec {
        let probe = ProbeSpec::Tcp(TcpProbe { port: 80, family: IpFamily::V4 });
        HealthCheckSpec { probe, times: TIMES, grace: Duration::from_secs(grace), consecutive_failures }
    }

    const fn bad(consecutive: u32, verdict: Verdict) -> Option<Health> {
        Some(Health::Unhealthy { consecutive, verdict })
    }

    /// Results at seconds 1, 2, 3 ... and what is told after each.
    #[rstest::rstest]
    #[case::the_first_success_is_told(health(0, 3), &[true, true, true], &[Some(Health::Healthy), None, None])]
    #[case::failures_are_told_each(health(0, 3), &[false, false, false],
        &[bad(1, Verdict::Lives), bad(2, Verdict::Lives), bad(3, Verdict::Kill)])]
    #[case::a_success_ends_the_row(health(0, 2), &[false, true, false, false],
        &[bad(1, Verdict::Lives), Some(Health::Healthy), bad(1, Verdict::Lives), bad(2, Verdict::Kill)])]
    #[case::failures_in_the_grace_do_not_count(health(2, 1), &[false, false, false],
        &[None, None, bad(1, Verdict::Kill)])]
    #[case::a_success_ends_the_grace(health(10, 2), &[false, true, false],
        &[None, Some(Health::Healthy), bad(1, Verdict::Lives)])]
    #[case::no_number_is_as_one(health(0, 0), &[false], &[bad(1, Verdict::Kill)])]
    #[case::it_goes_on_until_the_task_is_gone(health(0, 1), &[false, false], &[bad(1, Verdict::Kill), bad(2, Verdict::Kill)])]
    fn results_are_told_as_in_stock(
        #[case] spec: HealthCheckSpec,
        #[case] results: &[bool],
        #[case] told: &[Option<Health>],
    ) {
        let mut state = CheckState::default();
        for (second, (result, expected)) in (1..).zip(results.iter().zip(told)) {
            let ran = Duration::from_secs(second);
            assert_eq!(judge_health(&spec, &mut state, *result, ran), *expected, "at second {second}");
        }
    }

    #[test]
    fn an_adopted_check_goes_on_counting() {
        let mut state = CheckState { consecutive_failures: 2, succeeded: true, last: None };
        let told = judge_health(&health(1000, 3), &mut state, false, Duration::from_secs(1));
        assert_eq!(told, bad(3, Verdict::Kill));
    }

    #[rstest::rstest]
    #[case(Answer::ExitCode(0), true)]
    #[case(Answer::ExitCode(1), false)]
    #[case(Answer::HttpStatus(199), false)]
    #[case(Answer::HttpStatus(200), true)]
    #[case(Answer::HttpStatus(399), true)]
    #[case(Answer::HttpStatus(400), false)]
    #[case(Answer::Connected(true), true)]
    #[case(Answer::Connected(false), false)]
    fn an_answer_is_healthy_or_not(#[case] answer: Answer, #[case] healthy: bool) {
        assert_eq!(answer.is_healthy(), healthy);
    }

    #[test]
    fn a_check_is_told_when_its_result_changes() {
        let (program, argv) = ("x".to_owned(), vec!["x".to_owned()]);
        let probe = ProbeSpec::Command(CommandProbe { program, argv, environment: Vec::new(), user: None });
        let spec = CheckSpec { probe, times: TIMES };
        let mut state = CheckState::default();
        let codes = [None, Some(3), Some(3), Some(0), None, None];
        let told: Vec<_> = codes
            .into_iter()
            .map(|code| judge_general(&spec, &mut state, code.map(Answer::ExitCode)))
            .map(|status| status.map(|status| status.command.unwrap().exit_code))
            .collect();
        assert_eq!(told, [None, Some(Some(3)), None, Some(Some(0)), Some(None), None]);
        let empty = empty_status(&spec);
        assert_eq!(empty.r#type(), check_info::Type::Command);
        assert_eq!(empty.command, Some(check_status_info::Command { exit_code: None }));
    }

    /// The form in records on disk.
    #[test]
    fn the_state_is_kept_as_it_was_written() {
        let text = r#"{"consecutive_failures":2,"succeeded":true,"last":{"exit_code":3}}"#;
        let state = CheckState { consecutive_failures: 2, succeeded: true, last: Some(Answer::ExitCode(3)) };
        assert_eq!(serde_json::from_str::<CheckState>(text).unwrap(), state);
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        assert_eq!(serde_json::from_str::<CheckState>("{}").unwrap(), CheckState::default());
    }

    proptest! {
        /// The task is killed exactly when the last results are that many failures, outside the grace.
        #[test]
        fn the_verdict_is_about_the_last_results(results in prop::collection::vec(any::<bool>(), 1..40), most in 1..5_u32) {
            let spec = health(0, most);
            let mut state = CheckState::default();
            for (at, result) in results.iter().enumerate() {
                let told = judge_health(&spec, &mut state, *result, Duration::from_secs(at as u64 + 1));
                let row = results[..=at].iter().rev().take_while(|result| !**result).count();
                let killed = matches!(told, Some(Health::Unhealthy { verdict: Verdict::Kill, .. }));
                prop_assert_eq!(killed, row >= most as usize);
            }
        }
    }
}
