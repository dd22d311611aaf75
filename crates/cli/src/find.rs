//! The runs of a work directory as the disk tells them: one walk over the records, which skips what it cannot read.
//!
//! Only frameworks with the id of a run are looked at, so a work directory that is an agent's too is safe from us.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use docker_containerizer::Identity;
use mesos_containerizer::Seen;
use mesos_proto::Message;
use mesos_proto::v1::{self, TaskState};
use mesos_types::{AgentId, ExecutorId, FrameworkId, TaskId};
use task_supervisor::{Kind, Phase, Record, RecordStore, RunLayout};

use crate::check::kind_of;
use crate::failure::chain;
use crate::out;
use crate::runs::{self, Ownership};

/// How many entries of one directory are looked at.
const ENTRIES: usize = 100_000;

/// A run of a task.
#[derive(Debug)]
pub(crate) struct KnownRun {
    pub(crate) identity: Identity,
    pub(crate) layout: RunLayout,
    pub(crate) record: Record,
    /// The task, if the record's bytes can be decoded.
    pub(crate) info: Option<v1::TaskInfo>,
    pub(crate) owner: Ownership,
    pub(crate) created: Option<SystemTime>,
}

/// A run whose record cannot be used.
#[derive(Debug)]
pub(crate) struct BrokenRun {
    /// Why, with the record's path.
    pub(crate) why: String,
}

/// The runs of a work directory.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) known: Vec<KnownRun>,
    pub(crate) broken: Vec<BrokenRun>,
}

impl KnownRun {
    /// The task's state as far as the record tells it.
    pub(crate) fn state(&self) -> TaskState {
        state(&self.record)
    }

    /// Whether its terminal status was made.
    pub(crate) fn is_terminal(&self) -> bool {
        self.record.phase == Phase::Terminal
    }

    /// The image, as the task names it; empty if it has none.
    pub(crate) fn image(&self) -> &str {
        let docker = self.container().and_then(|container| container.docker.as_ref());
        docker.filter(|_| self.kind() == Kind::Docker).map_or("", |docker| docker.image.as_str())
    }

    /// Who has its container, or is to have it.
    pub(crate) fn kind(&self) -> Kind {
        match &self.info {
            Some(info) if self.record.is_waiting => kind_of(info.container.as_ref()),
            _ => self.record.containerizer,
        }
    }

    /// What is seen of its process; `None` for a task with an image, and for one that was not started.
    pub(crate) fn process(&self) -> Option<Seen> {
        match self.kind() {
            Kind::Docker => None,
            Kind::Mesos => mesos_containerizer::seen(self.layout.state()),
        }
    }

    fn container(&self) -> Option<&v1::ContainerInfo> {
        self.info.as_ref().and_then(|info| info.container.as_ref())
    }
}

impl Runs {
    /// Tells the person of what was skipped.
    pub(crate) fn tell_broken(&self) {
        for broken in &self.broken {
            out::note(&format!("note a run is skipped: {}", broken.why));
        }
    }
}

/// Finds all runs of a work directory, the oldest first. Blocks on the file system.
pub(crate) fn runs(work_dir: &Path) -> Runs {
    runs_where(work_dir, |_| true)
}

/// Finds the runs of one framework, those without a broken record. Blocks on the file system.
pub(crate) fn runs_of(work_dir: &Path, framework_id: &FrameworkId) -> Vec<KnownRun> {
    runs_where(work_dir, |found| found == framework_id).known
}

fn runs_where(work_dir: &Path, wanted: impl Fn(&FrameworkId) -> bool) -> Runs {
    let mut owners = BTreeMap::new();
    let mut found = Runs::default();
    for place in places(&work_dir.join("meta"), wanted) {
        let owner = owners
            .entry(place.framework_id.clone())
            .or_insert_with(|| runs::ownership(work_dir, &place.framework_id));
        match read(work_dir, &place, *owner) {
            Ok(run) => found.known.push(run),
            Err(broken) => found.broken.push(broken),
        }
    }
    found.known.sort_by_key(|run| (run.created, run.identity.container_id));
    found
}

/// Finds the directories of a framework's runs, with or without a record, in sandboxes and state. Blocks on the file
/// system.
pub(crate) fn layouts(work_dir: &Path, framework_id: &FrameworkId) -> Vec<RunLayout> {
    let mut layouts: Vec<RunLayout> = Vec::new();
    for base in [work_dir.to_owned(), work_dir.join("meta")] {
        for place in places(&base, |found| found == framework_id) {
            let layout = RunLayout::of(work_dir, &place);
            if !layouts.contains(&layout) {
                layouts.push(layout);
            }
        }
    }
    layouts
}

/// Finds the ids of all frameworks that are runs, and the directories of sandboxes and state that each has. Blocks on
/// the file system.
pub(crate) fn frameworks(work_dir: &Path) -> BTreeMap<FrameworkId, Vec<PathBuf>> {
    let mut found: BTreeMap<FrameworkId, Vec<PathBuf>> = BTreeMap::new();
    for base in [work_dir.to_owned(), work_dir.join("meta")] {
        for (_, agent) in directories(&base.join("slaves")) {
            for (name, framework) in directories(&agent.join("frameworks")) {
                if let Some(id) = runs::parse_id(&name) {
                    found.entry(id).or_default().push(framework);
                }
            }
        }
    }
    for (name, _) in directories(&runs::all(work_dir)) {
        if let Some(id) = runs::parse_id(&name) {
            found.entry(id).or_default();
        }
    }
    found
}

/// The task's state as far as a record tells it. Between the acceptance and the start it is TASK_STAGING.
pub(crate) fn state(record: &Record) -> TaskState {
    match (record.phase, record.kill) {
        (Phase::Terminal, _) => terminal_status(record).map_or(TaskState::TaskLost, |status| status.state()),
        (_, Some(_)) => TaskState::TaskKilling,
        (Phase::Running, None) => TaskState::TaskRunning,
        (Phase::Launching, None) => TaskState::TaskStaging,
    }
}

/// The terminal status of a record, if there is one that can be decoded.
pub(crate) fn terminal_status(record: &Record) -> Option<v1::TaskStatus> {
    v1::TaskStatus::decode(record.terminal_status.as_deref()?).ok()
}

fn read(work_dir: &Path, place: &Identity, owner: Ownership) -> Result<KnownRun, BrokenRun> {
    let layout = RunLayout::of(work_dir, place);
    let broken = |why| BrokenRun { why };
    let record = RecordStore::new(layout.state()).read().map_err(|error| broken(chain(&error)))?;
    let identity = record.identity();
    if RunLayout::of(work_dir, &identity) != layout {
        return Err(broken(format!("the record in {} is of another run", layout.state().display())));
    }
    let info = v1::TaskInfo::decode(record.task_info.as_slice()).ok();
    let created = created(layout.state());
    Ok(KnownRun { identity, layout, record, info, owner, created })
}

/// When a directory was made; where the file system does not know, when it changed last.
pub(crate) fn created(path: &Path) -> Option<SystemTime> {
    let metadata = path.symlink_metadata().ok()?;
    metadata.created().or_else(|_| metadata.modified()).ok()
}

/// Walks `base/slaves/<agent>/frameworks/<run>/executors/<executor>/runs/<container>`. The task id is the executor's,
/// as it is for every command task.
fn places(base: &Path, wanted: impl Fn(&FrameworkId) -> bool) -> Vec<Identity> {
    let mut places = Vec::new();
    for (agent, agent_path) in directories(&base.join("slaves")) {
        let Ok(agent_id) = agent.parse::<AgentId>() else { continue };
        for (framework, framework_path) in directories(&agent_path.join("frameworks")) {
            let Some(framework_id) = runs::parse_id(&framework).filter(&wanted) else { continue };
            for (executor, executor_path) in directories(&framework_path.join("executors")) {
                let (Ok(executor_id), Ok(task_id)) = (executor.parse::<ExecutorId>(), executor.parse())
                else {
                    continue;
                };
                for (container, _) in directories(&executor_path.join("runs")) {
                    let Ok(container_id) = container.parse() else { continue };
                    places.push(Identity {
                        agent_id: agent_id.clone(),
                        framework_id: framework_id.clone(),
                        executor_id: executor_id.clone(),
                        task_id: TaskId::clone(&task_id),
                        container_id,
                    });
                }
            }
        }
    }
    places
}

/// The directories in a directory, by name. One that is not there has none; links are not followed.
fn directories(path: &Path) -> Vec<(String, PathBuf)> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                out::note(&format!("note {} is skipped: {error}", path.display()));
            }
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (at, entry) in entries.enumerate() {
        if at >= ENTRIES {
            out::note(&format!("note only the first {ENTRIES} entries of {} are looked at", path.display()));
            break;
        }
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const RUN: &str = "run-0123456789ab";

    /// Writes a record as a run of this process would, and reads it back as others do.
    pub(crate) fn make(work_dir: &Path, task: &str, container: &str, phase: Phase) -> Record {
        let identity = Identity {
            agent_id: "local".parse().unwrap(),
            framework_id: RUN.parse().unwrap(),
            executor_id: task.parse().unwrap(),
            task_id: task.parse().unwrap(),
            container_id: container.parse().unwrap(),
        };
        let layout = RunLayout::of(work_dir, &identity);
        layout.create_state().unwrap();
        let mut record = Record::accepted(&identity, Vec::new(), format!("mesos-local-{container}"));
        record.phase = phase;
        record.engine_id = Some(container.replace('-', "f"));
        RecordStore::new(layout.state()).write(&record).unwrap();
        record
    }

    const A: &str = "aaaaaaaa-0000-4000-8000-000000000000";
    const B: &str = "bbbbbbbb-0000-4000-8000-000000000000";

    #[test]
    fn every_record_is_found_and_the_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), "one", A, Phase::Running);
        make(dir.path(), "two", B, Phase::Terminal);
        let executors = dir.path().join("meta/slaves/local/frameworks").join(RUN).join("executors");
        let broken = executors.join("three/runs/cccccccc-0000-4000-8000-000000000000");
        std::fs::create_dir_all(&broken).unwrap();
        std::fs::write(broken.join("supervision"), "{").unwrap();
        // Things that are no runs: a link, a name that is no id, another framework.
        std::os::unix::fs::symlink(&broken, executors.join("three/runs/latest")).unwrap();
        std::fs::create_dir_all(executors.join("three/runs/no-uuid")).unwrap();
        std::fs::create_dir_all(
            dir.path().join("meta/slaves/local/frameworks/other-0000/executors/e/runs").join(A),
        )
        .unwrap();
        let found = runs(dir.path());
        assert_eq!(found.known.iter().map(KnownRun::state).collect::<Vec<_>>().len(), 2);
        assert_eq!(found.broken.len(), 1);
        assert!(found.broken[0].why.contains("three/runs/cccccccc"), "{}", found.broken[0].why);
        assert_eq!(layouts(dir.path(), &RUN.parse().unwrap()).len(), 3);
        assert_eq!(frameworks(dir.path()).len(), 1);
    }

    #[test]
    fn a_record_in_the_wrong_place_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), "one", A, Phase::Running);
        let runs_dir = dir.path().join("meta/slaves/local/frameworks").join(RUN).join("executors/one/runs");
        std::fs::rename(runs_dir.join(A), runs_dir.join(B)).unwrap();
        let found = runs(dir.path());
        assert!(found.known.is_empty());
        assert!(found.broken[0].why.contains("of another run"), "{}", found.broken[0].why);
    }

    #[rstest::rstest]
    #[case(Phase::Launching, false, TaskState::TaskStaging)]
    #[case(Phase::Running, false, TaskState::TaskRunning)]
    #[case(Phase::Running, true, TaskState::TaskKilling)]
    #[case(Phase::Terminal, true, TaskState::TaskLost)]
    fn a_record_has_a_state(#[case] phase: Phase, #[case] killed: bool, #[case] expected: TaskState) {
        let dir = tempfile::tempdir().unwrap();
        let mut record = make(dir.path(), "one", A, phase);
        record.kill = killed.then_some(task_supervisor::KillRecord {
            cause: task_supervisor::KillCause::Framework,
            deadline_ns: 0,
            grace_ns: None,
            signalled: false,
        });
        assert_eq!(state(&record), expected);
    }

    #[test]
    fn a_work_directory_that_is_not_there_has_no_runs() {
        let found = runs(Path::new("/no/such/directory"));
        assert!(found.known.is_empty() && found.broken.is_empty());
    }
}
