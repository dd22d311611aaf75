//! Processes of ours that no checkpoint tells of: those of frameworks without checkpoints whose agent was killed. The master
//! has given their tasks up, so they are stopped first thing, without a status.
//!
//! Containers of the engine tell by their labels whose they are; a process has only its record.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_containerizer::chain;
use mesos_types::ContainerId;
use task_supervisor::{
    Adoption, KillRequest, Kind, Phase, Record, RecordStore, RunLayout, Supervisor, TaskKilling, Update,
};

/// A process that nobody carries on.
#[derive(Debug)]
pub(super) struct Stray {
    container_id: ContainerId,
    layout: RunLayout,
}

/// Looks for records of processes whose runs are not among `known`. Blocks on the file system.
pub(super) fn strays(work_dir: &Path, known: &BTreeSet<ContainerId>) -> Vec<Stray> {
    let agents = children(&work_dir.join("meta/slaves"));
    let frameworks = agents.iter().flat_map(|agent| children(&agent.join("frameworks")));
    let executors = frameworks.flat_map(|framework| children(&framework.join("executors")));
    let runs = executors.flat_map(|executor| children(&executor.join("runs")));
    let unknown = runs.filter(|run| id_of(run).is_some_and(|id| !known.contains(&id)));
    let records = unknown.filter_map(|run| Some((RecordStore::new(&run).read().ok()?, run)));
    records
        .filter(|(record, run)| is_stray(record, run))
        .map(|(record, _)| stray(work_dir, &record))
        .collect()
}

/// Whether a process of this record may run. A record in another run's directory is not believed.
fn is_stray(record: &Record, run: &Path) -> bool {
    record.containerizer == Kind::Mesos
        && record.phase != Phase::Terminal
        && !record.is_waiting
        && id_of(run) == Some(record.identity().container_id)
}

fn stray(work_dir: &Path, record: &Record) -> Stray {
    let identity = record.identity();
    Stray { container_id: identity.container_id, layout: RunLayout::of(work_dir, &identity) }
}

/// The directories in a directory; links are none.
fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

fn id_of(run: &Path) -> Option<ContainerId> {
    run.file_name()?.to_str()?.parse().ok()
}

impl Stray {
    /// Stops it, with this grace, and waits for its end.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; its supervision goes on.
    pub(super) async fn stop(self, supervisor: &Supervisor, grace: Duration) {
        let Self { container_id, layout } = self;
        tracing::info!(%container_id, "stopping a process of a framework without checkpoints");
        let mut handle = match supervisor.adopt(layout, Adoption::new(TaskKilling::Omitted)).await {
            Ok(handle) => handle,
            Err(error) if error.absent().is_some() => {
                tracing::warn!(%container_id, error = chain(&error), "a process that nobody wants may go on");
                return;
            }
            Err(error) => {
                tracing::debug!(%container_id, error = chain(&error), "there is nothing to stop");
                return;
            }
        };
        // One that has ended takes no kill.
        let _ = handle.kills.send(KillRequest::new(Some(grace))).await;
        while let Some(update) = handle.updates.recv().await {
            if matches!(update, Update::Terminal(..)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use docker_containerizer::Identity;

    use super::*;

    fn identity() -> Identity {
        Identity {
            agent_id: "S0".parse().unwrap(),
            framework_id: "F".parse().unwrap(),
            executor_id: "t".parse().unwrap(),
            task_id: "t".parse().unwrap(),
            container_id: ContainerId::random(),
        }
    }

    /// Writes a record where its run is; answers the container.
    fn run(work_dir: &Path, change: impl FnOnce(&mut Record)) -> ContainerId {
        let identity = identity();
        let mut record = Record::accepted(&identity, Vec::new(), "x".into());
        record.containerizer = Kind::Mesos;
        record.phase = Phase::Running;
        change(&mut record);
        let layout = RunLayout::of(work_dir, &identity);
        layout.create_state().unwrap();
        RecordStore::new(layout.state()).write(&record).unwrap();
        identity.container_id
    }

    #[test]
    fn only_processes_that_may_run_and_that_no_checkpoint_names_are_strays() {
        let work_dir = tempfile::tempdir().unwrap();
        let work_dir = work_dir.path();
        let known = run(work_dir, |_| {});
        let expected = [run(work_dir, |_| {}), run(work_dir, |record| record.phase = Phase::Launching)];
        run(work_dir, |record| record.phase = Phase::Terminal);
        run(work_dir, |record| record.is_waiting = true);
        run(work_dir, |record| record.containerizer = Kind::Docker);
        let moved = RunLayout::of(work_dir, &identity());
        moved.create_state().unwrap();
        RecordStore::new(moved.state())
            .write(&Record::accepted(&identity(), Vec::new(), "x".into()))
            .unwrap();
        let found: BTreeSet<_> =
            strays(work_dir, &[known].into()).into_iter().map(|stray| stray.container_id).collect();
        assert_eq!(found, expected.into());
        assert!(strays(&work_dir.join("nowhere"), &BTreeSet::new()).is_empty());
    }
}
