//! Removing, run by run, each under its lock: nobody adopts what is being removed, and what is adopted stays.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use docker_containerizer::Containerizer as Docker;
use mesos_types::FrameworkId;
use task_supervisor::{Adoption, KillRequest, Kind, SuperviseError, Supervisor, TaskKilling, Update};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::plan::{Item, Plan, Process, Thing, plan};
use crate::args::CleanupArgs;
use crate::failure::{Failure, chain};
use crate::find::{self, KnownRun};
use crate::listing::{self, Container};
use crate::out;
use crate::runs::{self, Claim, OwnedRun, Ownership};
use crate::setup::Setup;

/// How many runs are removed at once: one whose container hangs does not keep the others.
const AT_ONCE: usize = 8;

/// How many runs are locked at once, each with a descriptor.
const LOCKED: usize = 256;

/// How long a process that is killed may take to be gone: it may hang in the kernel.
const END: Duration = Duration::from_secs(60);

/// What ends the tasks of runs.
#[derive(Debug, Clone)]
struct Means {
    /// `None`: no engine answers, and no run needs one.
    docker: Option<Docker>,
    /// `None`: no run has a process.
    processes: Option<Supervisor>,
}

/// The directories that each run has.
type Roots = BTreeMap<FrameworkId, Vec<PathBuf>>;

/// The containers that each run has.
type Containers = BTreeMap<FrameworkId, Vec<Container>>;

/// How often something was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    removed: usize,
    failed: usize,
    in_use: usize,
}

/// Removes what earlier runs left, or says what would be removed.
pub(crate) async fn cleanup(args: CleanupArgs) -> Result<u8, Failure> {
    let setup = Setup::new(&args.flags.0)?;
    let means = Means::find(&setup).await?;
    let containers = means.list(&setup).await?;
    let mut roots = find::frameworks(&setup.work_dir);
    for id in containers.keys() {
        roots.entry(id.clone()).or_default();
    }
    let tally = match args.dry_run {
        true => show(&setup, roots, containers)?,
        false => remove_all(&setup, &means, roots).await?,
    };
    if tally.in_use > 0 {
        out::note(&format!(
            "note left alone, since a mesos-docker supervises them: {}",
            count(tally.in_use, "run")
        ));
    }
    if tally.failed > 0 {
        return Err(Failure::ours(format!("{} could not be removed", count(tally.failed, "thing")))
            .hint("what is left can be removed by another cleanup"));
    }
    if tally.removed == 0 {
        out::note("note there is nothing to remove");
    }
    Ok(0)
}

impl Means {
    /// Finds the engine, and what ends processes.
    ///
    /// # Errors
    ///
    /// No engine answers, and a run may have a container: without the engine's list it is not known whose sandbox is in use.
    async fn find(setup: &Setup) -> Result<Self, Failure> {
        let runs = find::runs(&setup.work_dir);
        // Where no record tells of a run there may be containers without one.
        let is_docker = |run: &KnownRun| run.kind() == Kind::Docker;
        let may_be_docker =
            !runs.broken.is_empty() || runs.known.is_empty() || runs.known.iter().any(is_docker);
        let is_plain = |run: &KnownRun| run.kind() == Kind::Mesos && !run.is_terminal();
        let processes = match runs.known.iter().any(is_plain) {
            true => Some(setup.supervisor(setup.containerizers([Kind::Mesos]).await?)),
            false => None,
        };
        match setup.docker().await {
            Ok(docker) => Ok(Self { docker: Some(docker), processes }),
            Err(failure) if may_be_docker => Err(failure),
            Err(failure) => {
                tracing::info!(why = failure.message(), "no engine answers, and no run needs one");
                Ok(Self { docker: None, processes })
            }
        }
    }

    async fn list(&self, setup: &Setup) -> Result<Containers, Failure> {
        let mut containers = Containers::new();
        let Some(docker) = &self.docker else { return Ok(containers) };
        for container in listing::containers(docker.engine(), &setup.work_dir).await?.into_values() {
            containers.entry(container.identity.framework_id.clone()).or_default().push(container);
        }
        Ok(containers)
    }

    /// Removes a container or ends a process.
    async fn end(&self, thing: &Thing) -> Result<(), String> {
        match thing {
            Thing::Container(container) => match &self.docker {
                Some(docker) => docker.remove_orphan(&container.engine_id).await,
                None => Err("no engine answers".into()),
            },
            Thing::Process(process) => match &self.processes {
                Some(supervisor) => end_process(supervisor, process).await,
                None => Err("it was launched meanwhile; clean up once more".into()),
            },
            Thing::Sandbox(_) | Thing::Run(..) => Ok(()),
        }
    }
}

/// Takes a task without an image over and kills it at once: nothing is left of it when its end is told.
async fn end_process(supervisor: &Supervisor, process: &Process) -> Result<(), String> {
    let adopted = supervisor.adopt(process.layout.clone(), Adoption::new(TaskKilling::Omitted)).await;
    let mut handle = match adopted {
        Ok(handle) => handle,
        // It ended by itself.
        Err(SuperviseError::Ended(_)) => return Ok(()),
        Err(error) => return Err(chain(&error)),
    };
    // The queue of a task that was just adopted has room; one that has ended takes no kill.
    let _ = handle.kills.try_send(KillRequest::new(Some(Duration::ZERO)));
    let end = async {
        while let Some(update) = handle.updates.recv().await {
            if matches!(update, Update::Terminal(..)) {
                return;
            }
        }
    };
    timeout(END, end).await.map_err(|_| format!("it has not ended within {}s", END.as_secs()))
}

/// Says what would be removed. Takes no locks, since that would make files.
fn show(setup: &Setup, roots: Roots, mut containers: Containers) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for (id, roots) in roots {
        if runs::ownership(&setup.work_dir, &id) != Ownership::Orphaned {
            tally.in_use += 1;
            continue;
        }
        let Plan { running, directories } =
            plan(&setup.work_dir, &id, &roots, containers.remove(&id).unwrap_or_default());
        for item in running.iter().chain(&directories) {
            out::line(&format!("would remove {}", item.line()))?;
            tally.removed += 1;
        }
    }
    Ok(tally)
}

async fn remove_all(setup: &Setup, means: &Means, roots: Roots) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut roots = roots.into_iter().peekable();
    while roots.peek().is_some() {
        let mut ours = Vec::new();
        for (id, roots) in roots.by_ref().take(LOCKED) {
            match OwnedRun::claim(&setup.work_dir, &id) {
                Ok(Claim::Ours(run)) => ours.push((run, roots)),
                Ok(Claim::Held(_)) => tally.in_use += 1,
                Err(failure) => {
                    tally.failed += 1;
                    out::note(&format!("cannot remove {id}: {}", failure.message()));
                }
            }
        }
        // Listed once more now that nobody adds to these runs: an owner may have died since the first list.
        let mut containers = means.list(setup).await?;
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut removals = JoinSet::new();
        for (run, roots) in ours {
            let containers = containers.remove(&run.framework_id).unwrap_or_default();
            let (places, work_dir, means) = (places.clone(), setup.work_dir.clone(), means.clone());
            removals.spawn(async move {
                let _place = places.acquire().await;
                remove_run(work_dir, means, run, roots, containers).await
            });
        }
        while let Some(removal) = removals.join_next().await {
            let run = removal.map_err(|error| Failure::of("a removal ended early", &error))?;
            tally.removed += run.removed;
            tally.failed += run.failed;
        }
    }
    Ok(tally)
}

/// Removes a run that is ours.
async fn remove_run(
    work_dir: PathBuf,
    means: Means,
    run: OwnedRun,
    roots: Vec<PathBuf>,
    containers: Vec<Container>,
) -> Tally {
    let mut tally = Tally::default();
    let id = run.framework_id.clone();
    let planned = spawn_blocking(move || plan(&work_dir, &id, &roots, containers)).await;
    let Plan { running, directories } = planned.unwrap_or_default();
    for item in running {
        let result = means.end(&item.thing).await;
        tally.note(&item, result);
    }
    // What a container may still have mounted stays, and so does what says whose it is.
    if tally.failed > 0 {
        return tally;
    }
    for item in directories {
        let paths = match &item.thing {
            Thing::Container(_) | Thing::Process(_) => continue,
            Thing::Sandbox(path) => vec![path.clone()],
            Thing::Run(_, paths) => paths.clone(),
        };
        let remove = move || paths.iter().try_for_each(|path| sandbox::remove_all(path).map(drop));
        let removed = spawn_blocking(move || remove().map_err(|error| chain(&error))).await;
        tally.note(&item, removed.unwrap_or_else(|error| Err(error.to_string())));
        if tally.failed > 0 {
            break;
        }
    }
    // The lock goes last, after its file.
    drop(run);
    tally
}

impl Tally {
    /// Counts a removal and says how it went.
    fn note(&mut self, item: &Item, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.removed += 1;
                // A reader that left does not stop the removal.
                let _ = out::line(&format!("removed {}", item.line()));
            }
            Err(why) => {
                self.failed += 1;
                out::note(&format!("cannot remove {}: {why}", item.line()));
            }
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
