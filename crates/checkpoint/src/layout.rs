//! Where everything lives below the work directory (`src/slave/paths.cpp`). Only valid ids become path components, so
//! no id can lead out of its directory. Nothing here touches the file system.

use std::path::{Path, PathBuf};

use mesos_types::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use uuid::Uuid;

/// The name of the links to the newest agent and to the newest run.
pub const LATEST: &str = "latest";

/// The directory of what could not be read, below `meta`.
pub const QUARANTINE: &str = "quarantine";

/// A work directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkDir {
    root: PathBuf,
}

/// Both directories of an agent id: work and meta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPaths {
    work: PathBuf,
    meta: PathBuf,
}

/// Both directories of a framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkPaths {
    work: PathBuf,
    meta: PathBuf,
}

/// Both directories of an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorPaths {
    work: PathBuf,
    meta: PathBuf,
}

/// Both directories of a run: the sandbox and the one of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPaths {
    work: PathBuf,
    meta: PathBuf,
}

/// The directory of a task's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPaths {
    meta: PathBuf,
}

impl WorkDir {
    /// The layout below `root`, which should be canonical: links and labels carry it.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The work directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The tree of records.
    #[must_use]
    pub fn meta(&self) -> PathBuf {
        self.root.join("meta")
    }

    /// The file whose lock says that an agent uses the directory. Ours; stock agents have none.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.meta().join("agent.lock")
    }

    /// Where what could not be read is moved. Ours.
    #[must_use]
    pub fn quarantine(&self) -> PathBuf {
        self.meta().join(QUARANTINE)
    }

    /// The id of the boot in which the agent ran last.
    #[must_use]
    pub fn boot_id(&self) -> PathBuf {
        self.meta().join("boot_id")
    }

    /// The committed list of checkpointed resources.
    #[must_use]
    pub fn resources_info(&self) -> PathBuf {
        self.meta().join("resources/resources.info")
    }

    /// The list of checkpointed resources that is being committed.
    #[must_use]
    pub fn resources_target(&self) -> PathBuf {
        self.meta().join("resources/resources.target")
    }

    /// The committed resources and operations (since 1.5).
    #[must_use]
    pub fn resource_state(&self) -> PathBuf {
        self.meta().join("resources/resources_and_operations.state")
    }

    /// The resources and operations that are being committed.
    #[must_use]
    pub fn resource_state_target(&self) -> PathBuf {
        self.meta().join("resources/resources_and_operations.target")
    }

    /// The group ids that shared volumes were given.
    #[must_use]
    pub fn volume_gids(&self) -> PathBuf {
        self.meta().join("volume_gid_manager/volume_gids")
    }

    /// The directory of all agent ids' records.
    #[must_use]
    pub fn agents_meta(&self) -> PathBuf {
        self.meta().join("slaves")
    }

    /// The directory of all agent ids' sandboxes.
    #[must_use]
    pub fn agents_work(&self) -> PathBuf {
        self.root.join("slaves")
    }

    /// The link to the records of the agent id in use.
    #[must_use]
    pub fn latest_agent(&self) -> PathBuf {
        self.agents_meta().join(LATEST)
    }

    /// The directories of an agent id.
    #[must_use]
    pub fn agent(&self, id: &AgentId) -> AgentPaths {
        AgentPaths { work: self.agents_work().join(id.as_str()), meta: self.agents_meta().join(id.as_str()) }
    }

    /// The tree of CSI plugins.
    #[must_use]
    pub fn csi(&self) -> PathBuf {
        self.root.join("csi")
    }

    /// The directory of a persistent volume without a disk source; with a PATH source, `root` is the source's root
    /// (`paths::getPersistentVolumePath`). `None` when the names are no path components.
    #[must_use]
    pub fn persistent_volume(root: &Path, role: &str, persistence_id: &str) -> Option<PathBuf> {
        // A hierarchical role is one directory: a slash cannot be in a file name, and a space cannot be in a role.
        let role = role.replace('/', " ");
        let component =
            |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= 255;
        (component(&role) && component(persistence_id))
            .then(|| root.join("volumes/roles").join(role).join(persistence_id))
    }
}

impl AgentPaths {
    /// The tree of its sandboxes.
    #[must_use]
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The tree of its records.
    #[must_use]
    pub fn meta(&self) -> &Path {
        &self.meta
    }

    /// The SlaveInfo, with the id.
    #[must_use]
    pub fn info(&self) -> PathBuf {
        self.meta.join("slave.info")
    }

    /// How the agent is being drained.
    #[must_use]
    pub fn drain_config(&self) -> PathBuf {
        self.meta.join("drain.config")
    }

    /// The records of an operation.
    #[must_use]
    pub fn operation(&self, uuid: Uuid) -> PathBuf {
        self.meta.join("operations").join(uuid.hyphenated().to_string())
    }

    /// The stream of an operation's status updates.
    #[must_use]
    pub fn operation_updates(&self, uuid: Uuid) -> PathBuf {
        self.operation(uuid).join("operation.updates")
    }

    /// What local resource providers keep.
    #[must_use]
    pub fn resource_providers(&self) -> PathBuf {
        self.meta.join("resource_providers")
    }

    /// The registry of resource providers, a LevelDB of stock's.
    #[must_use]
    pub fn resource_provider_registry(&self) -> PathBuf {
        self.meta.join("resource_provider_registry")
    }

    /// The directories of a framework.
    #[must_use]
    pub fn framework(&self, id: &FrameworkId) -> FrameworkPaths {
        let below = |base: &Path| base.join("frameworks").join(id.as_str());
        FrameworkPaths { work: below(&self.work), meta: below(&self.meta) }
    }
}

impl FrameworkPaths {
    /// The tree of its sandboxes.
    #[must_use]
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The tree of its records.
    #[must_use]
    pub fn meta(&self) -> &Path {
        &self.meta
    }

    /// The FrameworkInfo.
    #[must_use]
    pub fn info(&self) -> PathBuf {
        self.meta.join("framework.info")
    }

    /// The scheduler's UPID, `@0.0.0.0:0` for one that speaks HTTP.
    #[must_use]
    pub fn pid(&self) -> PathBuf {
        self.meta.join("framework.pid")
    }

    /// The directories of an executor.
    #[must_use]
    pub fn executor(&self, id: &ExecutorId) -> ExecutorPaths {
        let below = |base: &Path| base.join("executors").join(id.as_str());
        ExecutorPaths { work: below(&self.work), meta: below(&self.meta) }
    }
}

impl ExecutorPaths {
    /// The tree of its sandboxes.
    #[must_use]
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The tree of its records.
    #[must_use]
    pub fn meta(&self) -> &Path {
        &self.meta
    }

    /// The ExecutorInfo.
    #[must_use]
    pub fn info(&self) -> PathBuf {
        self.meta.join("executor.info")
    }

    /// Whether the agent made the executor for a command task: `1` or `0` (since 1.5).
    #[must_use]
    pub fn generated(&self) -> PathBuf {
        self.meta.join("executor_generated_for_command_task")
    }

    /// The link to the records of the newest run.
    #[must_use]
    pub fn latest_meta(&self) -> PathBuf {
        self.meta.join("runs").join(LATEST)
    }

    /// The link to the newest sandbox.
    #[must_use]
    pub fn latest_work(&self) -> PathBuf {
        self.work.join("runs").join(LATEST)
    }

    /// The directories of a run.
    #[must_use]
    pub fn run(&self, id: ContainerId) -> RunPaths {
        let below = |base: &Path| base.join("runs").join(id.to_string());
        RunPaths { work: below(&self.work), meta: below(&self.meta) }
    }
}

impl RunPaths {
    /// The sandbox, which the task sees.
    #[must_use]
    pub fn sandbox(&self) -> &Path {
        &self.work
    }

    /// The directory of the run's records, which no task sees. The `supervision` record of an in-process run is in it.
    #[must_use]
    pub fn meta(&self) -> &Path {
        &self.meta
    }

    /// The marker of a run that is over.
    #[must_use]
    pub fn sentinel(&self) -> PathBuf {
        self.meta.join("executor.sentinel")
    }

    /// The marker of an executor that speaks HTTP.
    #[must_use]
    pub fn http_marker(&self) -> PathBuf {
        self.meta.join("http.marker")
    }

    /// The executor's process id. In-process runs have none.
    #[must_use]
    pub fn forked_pid(&self) -> PathBuf {
        self.meta.join("pids/forked.pid")
    }

    /// The executor's UPID. In-process runs have none.
    #[must_use]
    pub fn libprocess_pid(&self) -> PathBuf {
        self.meta.join("pids/libprocess.pid")
    }

    /// The directory of a task's records.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> TaskPaths {
        TaskPaths { meta: self.meta.join("tasks").join(id.as_str()) }
    }
}

impl TaskPaths {
    /// The directory of its records.
    #[must_use]
    pub fn meta(&self) -> &Path {
        &self.meta
    }

    /// The Task (not the TaskInfo), as it was when it was accepted.
    #[must_use]
    pub fn info(&self) -> PathBuf {
        self.meta.join("task.info")
    }

    /// The stream of its status updates.
    #[must_use]
    pub fn updates(&self) -> PathBuf {
        self.meta.join("task.updates")
    }
}
