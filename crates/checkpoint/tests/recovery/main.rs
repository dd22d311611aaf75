//! What a start makes of a work directory that is not whole: what a crash leaves, what somebody broke, what old agents
//! wrote.
//!
//! | module | tells of |
//! |---|---|
//! | `crashes` | writes that are cut short |
//! | `damage` | files and links that are missing, broken or planted |
//! | `resources` | checkpointed resources and their commit |
//! | `agent` | what belongs to the agent, and what old agents left |

#[path = "../common/mod.rs"]
mod common;

mod agent;
mod crashes;
mod damage;
mod resources;

use checkpoint::recover::{
    CommittedResources, FindingKind, LeftoverReason, RecoveredAgent, RecoveredState, RecoveredTask,
};
use checkpoint::resources::ResourceState;
use checkpoint::{
    CommitError, OpenError, ResourceChange, Store, StreamRecord, Streamed, Strictness, Sync, record,
};
use common::{ack_record, chain, ids, recorded, tree, update_record, write_one_task};
use mesos_proto::internal::UpdateOperationStatusMessage;
use mesos_proto::v1::{self, TaskState};
use tempfile::TempDir;
use uuid::Uuid;

const FRAMEWORK: &str = "meta/slaves/agent-S0/frameworks/framework-0001";
const EXECUTOR: &str = "meta/slaves/agent-S0/frameworks/framework-0001/executors/worker";
const RUN: &str = "meta/slaves/agent-S0/frameworks/framework-0001/executors/worker/runs/c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2";

/// A work directory with one running task, whose first update was acknowledged.
fn one_task() -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("opened");
    write_one_task(&store);
    append(&store, &[update_record(uuid(1), TaskState::TaskStarting), ack_record(uuid(1))]);
    append(&store, &[update_record(uuid(2), TaskState::TaskRunning)]);
    root
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn append(store: &Store, records: &[mesos_proto::internal::StatusUpdateRecord]) {
    let ids = ids();
    let executor = store.layout().agent(&ids.agent).framework(&ids.framework).executor(&ids.executor);
    let paths = executor.run(ids.container).task(&ids.task);
    for record in records {
        store.append_task_update(&paths, record).expect("appended");
    }
}

fn agent(state: &RecoveredState) -> &RecoveredAgent {
    state.agent.as_ref().expect("an agent")
}

fn only_task(state: &RecoveredState) -> &RecoveredTask {
    &agent(state).frameworks[0].executors[0].latest_run().expect("a run").tasks[0]
}

/// How much of the one task is recovered.
fn depth(state: &RecoveredState) -> &'static str {
    let Some(agent) = &state.agent else { return "nothing" };
    let Some(framework) = agent.frameworks.first() else { return "agent" };
    let Some(executor) = framework.executors.first() else { return "framework" };
    match executor.latest_run().expect("a run").tasks.first() {
        None => "run",
        Some(task) if task.updates.updates.is_empty() => "task",
        Some(_) => "updates",
    }
}
