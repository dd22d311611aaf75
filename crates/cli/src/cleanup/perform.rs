//! Removing, run by run, each under its lock: nobody adopts what is being removed, and what is adopted stays.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use docker_containerizer::Containerizer;
use mesos_types::FrameworkId;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::plan::{Item, Plan, Thing, plan};
use crate::args::CleanupArgs;
use crate::failure::{Failure, chain};
use crate::find;
use crate::listing::{self, Container};
use crate::out;
use crate::runs::{self, Claim, OwnedRun, Ownership};
use crate::setup::Setup;

/// How many runs are removed at once: one whose container hangs does not keep the others.
const AT_ONCE: usize = 8;

/// How many runs are locked at once, each with a descriptor.
const LOCKED: usize = 256;

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
    // Without the engine's list it is not known whose sandbox is in use.
    let containerizer = setup.containerizer().await?;
    let containers = list(&setup, &containerizer).await?;
    let mut roots = find::frameworks(&setup.work_dir);
    for id in containers.keys() {
        roots.entry(id.clone()).or_default();
    }
    let tally = match args.dry_run {
        true => show(&setup, roots, containers)?,
        false => remove_all(&setup, &containerizer, roots).await?,
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

async fn list(setup: &Setup, containerizer: &Containerizer) -> Result<Containers, Failure> {
    let mut containers = Containers::new();
    for container in listing::containers(containerizer.engine(), &setup.work_dir).await?.into_values() {
        containers.entry(container.identity.framework_id.clone()).or_default().push(container);
    }
    Ok(containers)
}

/// Says what would be removed. Takes no locks, since that would make files.
fn show(setup: &Setup, roots: Roots, mut containers: Containers) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for (id, roots) in roots {
        if runs::ownership(&setup.work_dir, &id) != Ownership::Orphaned {
            tally.in_use += 1;
            continue;
        }
        let Plan { containers, directories } =
            plan(&setup.work_dir, &id, &roots, containers.remove(&id).unwrap_or_default());
        for item in containers.iter().chain(&directories) {
            out::line(&format!("would remove {}", item.line()))?;
            tally.removed += 1;
        }
    }
    Ok(tally)
}

async fn remove_all(setup: &Setup, containerizer: &Containerizer, roots: Roots) -> Result<Tally, Failure> {
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
        let mut containers = list(setup, containerizer).await?;
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut removals = JoinSet::new();
        for (run, roots) in ours {
            let containers = containers.remove(&run.framework_id).unwrap_or_default();
            let (places, work_dir, containerizer) =
                (places.clone(), setup.work_dir.clone(), containerizer.clone());
            removals.spawn(async move {
                let _place = places.acquire().await;
                remove_run(work_dir, containerizer, run, roots, containers).await
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
    containerizer: Containerizer,
    run: OwnedRun,
    roots: Vec<PathBuf>,
    containers: Vec<Container>,
) -> Tally {
    let mut tally = Tally::default();
    let id = run.framework_id.clone();
    let planned = spawn_blocking(move || plan(&work_dir, &id, &roots, containers)).await;
    let Plan { containers, directories } = planned.unwrap_or_default();
    for item in containers {
        let Thing::Container(container) = &item.thing else { continue };
        let result = containerizer.remove_orphan(&container.engine_id).await;
        tally.note(&item, result);
    }
    // What a container may still have mounted stays, and so does what says whose it is.
    if tally.failed > 0 {
        return tally;
    }
    for item in directories {
        let paths = match &item.thing {
            Thing::Container(_) => continue,
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
