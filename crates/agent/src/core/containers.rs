//! What becomes of the containers of executors with a program of their own (`Slave::executorLaunched`,
//! `executorTerminated`, `sendExecutorTerminatedStatusUpdate` in `src/slave/slave.cpp`).

use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::{Reason, Source};

use super::action::Action;
use super::event::{ContainerEvent, Gone, Now, Run};
use super::executors::has_spoken;
use super::state::State;
use super::status::{Verdict, never_started};
use super::timers::Timer;
use crate::model::{ExecutorPhase, Stage};

impl State {
    /// An executor's container told something.
    pub(super) fn container_event(
        &mut self,
        run: &Run,
        event: ContainerEvent,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if self.executor_mut(run).is_none() {
            tracing::debug!(container_id = %run.container_id, "a container that is forgotten told something");
            return;
        }
        match event {
            ContainerEvent::Progress => self.launch_goes_on(run, now),
            ContainerEvent::Up => {
                tracing::info!(executor_id = %run.executor_id, container_id = %run.container_id,
                    "an executor was started");
                self.launch_goes_on(run, now);
            }
            ContainerEvent::Waiting => self.timers.disarm(Timer::ExecutorRegistration(run.container_id)),
            ContainerEvent::Updated { token, result } => self.container_updated(token, result, out),
            ContainerEvent::Terminated(gone) => self.container_gone(run, *gone, now, out),
            ContainerEvent::Refused(why) => {
                self.agent.counters.container_launch_errors += 1;
                let verdict = Verdict {
                    state: TaskState::TaskFailed,
                    reason: Reason::ContainerLaunchFailed,
                    message: format!("Failed to launch container: {why}"),
                };
                self.causes.insert(run.container_id, verdict);
                self.container_gone(run, Gone::default(), now, out);
            }
            ContainerEvent::NeverLaunched => {
                let Some(framework) = self.agent.frameworks.get(&run.framework_id) else { return };
                let executor = framework.executors.get(&run.executor_id);
                if executor.is_some_and(has_spoken) {
                    let message = Some("The executor's container is gone".into());
                    return self.container_gone(run, Gone { message, ..Gone::default() }, now, out);
                }
                let verdict = Verdict {
                    state: never_started(framework),
                    reason: Reason::AgentRestarted,
                    message: "Task launched during agent restart".into(),
                };
                self.causes.insert(run.container_id, verdict);
                self.container_gone(run, Gone::default(), now, out);
            }
        }
    }

    /// The end of an executor is the end of its tasks.
    fn container_gone(&mut self, run: &Run, gone: Gone, now: Now, out: &mut Vec<Action>) {
        self.timers.disarm(Timer::ExecutorRegistration(run.container_id));
        self.timers.disarm(Timer::ExecutorShutdown(run.container_id));
        self.kills.remove(&run.container_id);
        let cause = self.causes.remove(&run.container_id);
        let Some(executor) = self.executor_mut(run) else { return };
        if executor.phase == ExecutorPhase::Terminated {
            return;
        }
        executor.phase = ExecutorPhase::Terminated;
        let peer = executor.peer().cloned();
        let live: Vec<_> = executor
            .tasks
            .iter()
            .filter(|task| task.stage != Stage::Terminated)
            .map(|task| task.id.clone())
            .collect();
        tracing::info!(framework_id = %run.framework_id, executor_id = %run.executor_id,
            status = gone.status, message = gone.message, "an executor is gone");
        for id in live {
            let told = v1::TaskStatus {
                task_id: v1::TaskId { value: id.as_str().into() },
                ..status_of(&gone, cause.as_ref())
            };
            self.tell_of(run, told, now, out);
        }
        if let Some(peer @ crate::model::Peer::Http(_)) = peer {
            out.push(Action::ClosePeer(peer));
        }
        self.terminated(run, gone.status, out);
        self.came_back(run.container_id, now, out);
    }
}

/// What the end of its executor is for a task, without its id (docker-containerizer.md, §1.3 no. 8). What the
/// containerizer knows comes before why the agent destroyed it; both are told.
fn status_of(gone: &Gone, cause: Option<&Verdict>) -> v1::TaskStatus {
    let state = gone.state.or(cause.map(|cause| cause.state)).unwrap_or(TaskState::TaskFailed);
    let reason = gone.reason.or(cause.map(|cause| cause.reason)).unwrap_or(Reason::ExecutorTerminated);
    let messages = [cause.map(|cause| cause.message.as_str()), gone.message.as_deref()];
    let messages: Vec<&str> = messages.into_iter().flatten().collect();
    let message = if messages.is_empty() { "Executor terminated".to_owned() } else { messages.join("; ") };
    v1::TaskStatus {
        state: state.into(),
        reason: Some(reason.into()),
        message: Some(message),
        source: Some(Source::Agent.into()),
        limitation: gone.limitation.clone(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Verdict {
        Verdict {
            state: TaskState::TaskGone,
            reason: Reason::ContainerUpdateFailed,
            message: "no cgroup".into(),
        }
    }

    fn oom() -> Gone {
        Gone {
            status: Some(9),
            state: Some(TaskState::TaskFailed),
            reason: Some(Reason::ContainerLimitationMemory),
            message: Some("too much".into()),
            limitation: Some(v1::TaskResourceLimitation::default()),
        }
    }

    #[rstest::rstest]
    #[case::by_itself(
        Gone { status: Some(256), ..Gone::default() }, None,
        TaskState::TaskFailed, Reason::ExecutorTerminated, "Executor terminated"
    )]
    #[case::with_a_sentence(
        Gone { message: Some("exited with status 1".into()), ..Gone::default() }, None,
        TaskState::TaskFailed, Reason::ExecutorTerminated, "exited with status 1"
    )]
    #[case::destroyed(
        Gone::default(),
        Some(cause()),
        TaskState::TaskGone,
        Reason::ContainerUpdateFailed,
        "no cgroup"
    )]
    #[case::out_of_memory(oom(), None, TaskState::TaskFailed, Reason::ContainerLimitationMemory, "too much")]
    #[case::both(
        oom(),
        Some(cause()),
        TaskState::TaskFailed,
        Reason::ContainerLimitationMemory,
        "no cgroup; too much"
    )]
    fn the_end_of_an_executor_is_told_of_its_tasks(
        #[case] gone: Gone,
        #[case] cause: Option<Verdict>,
        #[case] state: TaskState,
        #[case] reason: Reason,
        #[case] message: &str,
    ) {
        let status = status_of(&gone, cause.as_ref());
        assert_eq!((status.state(), status.reason(), status.message()), (state, reason, message));
        assert_eq!(status.limitation, gone.limitation);
        assert_eq!(status.source(), Source::Agent);
    }
}
