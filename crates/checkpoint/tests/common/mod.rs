//! What the tests of this crate share: recorded work directories, and one made by hand.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use checkpoint::recover::{RecoverError, recover};
use checkpoint::{BootId, RecoveredState, Store, Streamed, Strictness, WorkDir};
use mesos_proto::internal::{StatusUpdate, StatusUpdateRecord};
use mesos_proto::v1::{self, TaskState};
use tempfile::TempDir;
use uuid::Uuid;

/// The agent of the recordings.
pub(crate) const AGENT: &str = "6367cdae-ead1-4771-9bcc-29bc2086ffc2-S1";

/// Where the recorded agent had its work directory.
pub(crate) const RECORDED_AT: &str = "/var/lib/mesosd/agent";

/// The boot of the recordings.
pub(crate) fn recorded_boot() -> BootId {
    BootId::parse("56eb10da-f96c-451e-b01f-4a000900c190\n").expect("an id")
}

/// Unpacks a recorded work directory. Its links point to where it was.
pub(crate) fn unpack(name: &str) -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let path = format!("{}/tests/data/stock-1.11-{name}.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(path).expect("the recording");
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(root.path()).expect("unpacked");
    root
}

/// Makes the links of an unpacked work directory point into it.
pub(crate) fn relink(root: &Path) {
    let canonical = root.canonicalize().expect("there");
    for (path, what) in tree(root) {
        let What::Link(target) = what else { continue };
        let target = target.strip_prefix(RECORDED_AT).expect("inside");
        std::fs::remove_file(root.join(&path)).expect("removed");
        symlink(canonical.join(target), root.join(&path)).expect("linked");
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

/// Everything below a directory.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, What> {
    fn walk(root: &Path, at: &Path, into: &mut BTreeMap<PathBuf, What>) {
        for entry in std::fs::read_dir(at).expect("listed") {
            let path = entry.expect("listed").path();
            let kind = path.symlink_metadata().expect("looked at").file_type();
            let what = if kind.is_dir() {
                walk(root, &path, into);
                What::Directory
            } else if kind.is_symlink() {
                What::Link(path.read_link().expect("read"))
            } else {
                What::File(std::fs::read(&path).expect("read"))
            };
            into.insert(path.strip_prefix(root).expect("below").to_owned(), what);
        }
    }
    let mut into = BTreeMap::new();
    walk(root, root, &mut into);
    into
}

/// The nine permission bits of a file or directory.
pub(crate) fn mode(path: &Path) -> u32 {
    path.symlink_metadata().expect("looked at").permissions().mode() & 0o777
}

/// Recovers a work directory as its agent would, in the boot of the recordings.
pub(crate) fn recorded(root: &Path, strictness: Strictness) -> Result<RecoveredState, RecoverError> {
    let store = Store::open(root).expect("opened");
    recover(&store, strictness, &recorded_boot())
}

/// An error with what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// The ids of the hand-made work directory.
pub(crate) struct Ids {
    pub(crate) agent: mesos_types::AgentId,
    pub(crate) framework: mesos_types::FrameworkId,
    pub(crate) executor: mesos_types::ExecutorId,
    pub(crate) task: mesos_types::TaskId,
    pub(crate) container: mesos_types::ContainerId,
}

pub(crate) fn ids() -> Ids {
    Ids {
        agent: "agent-S0".parse().expect("an id"),
        framework: "framework-0001".parse().expect("an id"),
        // Six letters, as a temporary file has.
        executor: "worker".parse().expect("an id"),
        task: "worker".parse().expect("an id"),
        container: "c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2".parse().expect("an id"),
    }
}

pub(crate) fn agent_info() -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: "node".into(),
        id: Some(v1::AgentId { value: ids().agent.to_string() }),
        checkpoint: Some(true),
        ..Default::default()
    }
}

pub(crate) fn framework_info() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".into(),
        name: "framework".into(),
        id: Some(v1::FrameworkId { value: ids().framework.to_string() }),
        checkpoint: Some(true),
        ..Default::default()
    }
}

pub(crate) fn executor_info() -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: ids().executor.to_string() },
        name: Some("Command Executor (Task: worker) (Command: NO EXECUTABLE)".into()),
        command: Some(v1::CommandInfo {
            value: Some("/usr/libexec/mesos/mesos-executor".into()),
            shell: Some(false),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn task() -> v1::Task {
    let ids = ids();
    v1::Task {
        name: "worker".into(),
        task_id: v1::TaskId { value: ids.task.to_string() },
        framework_id: v1::FrameworkId { value: ids.framework.to_string() },
        agent_id: v1::AgentId { value: ids.agent.to_string() },
        state: TaskState::TaskStaging.into(),
        ..Default::default()
    }
}

pub(crate) fn update(uuid: Uuid, state: TaskState) -> StatusUpdate {
    let ids = ids();
    StatusUpdate {
        framework_id: v1::FrameworkId { value: ids.framework.to_string() },
        status: v1::TaskStatus {
            task_id: v1::TaskId { value: ids.task.to_string() },
            state: state.into(),
            data: Some(b"[{}]".to_vec()),
            uuid: Some(uuid.as_bytes().to_vec()),
            ..Default::default()
        },
        timestamp: 1.5,
        uuid: Some(uuid.as_bytes().to_vec()),
        ..Default::default()
    }
}

pub(crate) fn update_record(uuid: Uuid, state: TaskState) -> StatusUpdateRecord {
    StatusUpdate::wire(&checkpoint::StreamRecord::Update(update(uuid, state)))
}

pub(crate) fn ack_record(uuid: Uuid) -> StatusUpdateRecord {
    StatusUpdate::wire(&checkpoint::StreamRecord::Acknowledged(uuid))
}

/// Writes one agent with one framework, executor, run and task, as an agent would.
pub(crate) fn write_one_task(store: &Store) {
    let ids = ids();
    let layout: &WorkDir = store.layout();
    let agent = layout.agent(&ids.agent);
    let framework = agent.framework(&ids.framework);
    let executor = framework.executor(&ids.executor);
    let run = executor.run(ids.container);
    store.write_boot_id(&recorded_boot()).expect("written");
    store.write_agent(&agent, &agent_info()).expect("written");
    store.write_framework(&framework, &framework_info(), None).expect("written");
    store.write_executor(&executor, &executor_info(), true).expect("written");
    store.create_run(&executor, &run).expect("made");
    store.write_task(&run.task(&ids.task), &task()).expect("written");
}
