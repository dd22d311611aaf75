//! Waiting for the executors of an earlier process (`Slave::_recover`, `reregisterExecutorTimeout` in
//! `src/slave/slave.cpp`).
//!
//! Those who speak libprocess are asked to register again, those who speak HTTP subscribe by themselves; both have
//! `--executor_reregistration_timeout` for it, in which the agent does not look for its master. Departs from stock, which
//! always waits the whole time: the agent goes on once all are back.

use mesos_proto::internal;
use mesos_proto::v1::task_status::Reason;

use super::action::{Action, ToExecutor};
use super::event::{Now, Run};
use super::state::State;
use super::status::{Verdict, was_running};
use super::timers::Timer;
use crate::model::{Contact, ExecutorPhase, Peer, Phase, Recovery};

impl State {
    /// Waits for executors, if there are any to wait for.
    pub(super) fn await_executors(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.awaited.is_empty() {
            return self.finish_recovery(now, out);
        }
        self.agent.recovery = Recovery::Reconnecting;
        tracing::info!(executors = self.awaited.len(), "waiting for executors to come back");
        let patience = self.settings.executor_reregistration_timeout;
        self.timers.arm(Timer::Reregistration, now.elapsed.saturating_add(patience));
        self.ask_to_reconnect(now, out);
    }

    /// Asks those who listen, and arms the next time.
    pub(super) fn ask_to_reconnect(&mut self, now: Now, out: &mut Vec<Action>) {
        let slave_id = self.wire_agent_id();
        for pid in self.awaited.values().flatten() {
            let message = internal::ReconnectExecutorMessage { slave_id: slave_id.clone() };
            out.push(Action::Link(pid.clone()));
            out.push(Action::ToExecutor(
                Peer::Libprocess(pid.clone()),
                Box::new(ToExecutor::Reconnect(message)),
            ));
        }
        let is_waiting = self.awaited.values().any(Option::is_some);
        if let Some(pause) = self.settings.executor_reregistration_retry.filter(|_| is_waiting) {
            self.timers.arm(Timer::Reconnect, now.elapsed.saturating_add(pause));
        }
    }

    /// Executors had their time to come back: those that did not are destroyed.
    pub(super) fn give_up_awaited(&mut self, now: Now, out: &mut Vec<Action>) {
        let timeout = flags::format_duration(self.settings.executor_reregistration_timeout);
        for container_id in std::mem::take(&mut self.awaited).into_keys() {
            let Some(run): Option<Run> = self.runs.get(&container_id).cloned() else { continue };
            let Some(framework) = self.agent.frameworks.get(&run.framework_id) else { continue };
            let verdict = Verdict {
                state: was_running(framework),
                reason: Reason::ExecutorReregistrationTimeout,
                message: format!("Executor did not reregister within {timeout}"),
            };
            let phase = self.executor_mut(&run).map(|executor| executor.phase);
            if phase == Some(ExecutorPhase::Registering) {
                tracing::warn!(framework_id = %run.framework_id, executor_id = %run.executor_id, timeout,
                    "an executor did not come back; destroying its container");
                self.give_up(&run, verdict, out);
            }
        }
        self.finish_recovery(now, out);
    }

    /// Executors that are not to come back are told so where they listened.
    pub(super) fn ask_awaited_to_end(&mut self) {
        for (container_id, pid) in std::mem::take(&mut self.awaited) {
            let Some(run) = self.runs.get(&container_id).cloned() else { continue };
            let Some(executor) = self.executor_mut(&run) else { continue };
            executor.contact = match pid {
                Some(pid) => Contact::Peer(Peer::Libprocess(pid)),
                None => Contact::Lost,
            };
        }
    }

    /// The agent goes on to its master.
    pub(super) fn finish_recovery(&mut self, now: Now, out: &mut Vec<Action>) {
        self.timers.disarm(Timer::Reregistration);
        self.timers.disarm(Timer::Reconnect);
        self.agent.recovery = Recovery::Done;
        if self.agent.phase != Phase::Recovering {
            return;
        }
        self.agent.phase = Phase::Disconnected;
        self.kill_all_for_drain(now, out);
        self.finish_drain_if_empty(out);
        self.look_for_master_again(now, out);
    }
}
