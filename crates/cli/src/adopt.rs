//! `mesos-docker adopt`: takes over tasks whose process is gone, and follows them to their end as `run` does.

use std::collections::{BTreeMap, BTreeSet};

use mesos_types::FrameworkId;
use task_supervisor::{Adoption, Kind, Supervisor, TaskKilling};
use tokio::sync::mpsc;

use crate::args::AdoptArgs;
use crate::failure::{Failure, OURS};
use crate::find::{self, KnownRun};
use crate::logs::Feed;
use crate::out;
use crate::pick::pick;
use crate::run::follow::{Followed, OutputEnd, Signals, follow};
use crate::run::launch::OUTPUT;
use crate::run::show::Show;
use crate::runs::{Claim, OwnedRun, Ownership};
use crate::setup::Setup;

/// Whether everything that was to be taken over was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    All,
    Some,
}

/// Takes over tasks; answers the exit code.
pub(crate) async fn adopt(args: AdoptArgs) -> Result<u8, Failure> {
    let setup = Setup::new(&args.flags)?;
    let runs = find::runs(&setup.work_dir);
    runs.tell_broken();
    let wanted = choose(&runs.known, &args.ids)?;
    if wanted.is_empty() {
        out::note("note every task has ended or has an owner: there is nothing to adopt");
        return Ok(0);
    }
    let of_wanted = runs.known.iter().filter(|run| wanted.contains(&run.identity.framework_id));
    let kinds = of_wanted.filter(|run| !run.is_terminal()).map(KnownRun::kind);
    let supervisor = setup.supervisor(setup.containerizers(kinds).await?);
    let mut extent = Extent::All;
    let mut owned = BTreeMap::new();
    for id in wanted {
        match OwnedRun::claim(&setup.work_dir, &id)? {
            Claim::Ours(run) => drop(owned.insert(id, run)),
            Claim::Held(pid) => {
                extent = Extent::Some;
                out::note(&format!("note the run {id} was taken over by {} just now", process(pid)));
            }
        }
    }
    // What the records say is sure only now that the runs are ours.
    let tasks: Vec<_> = find::runs(&setup.work_dir)
        .known
        .into_iter()
        .filter(|run| !run.is_terminal() && owned.contains_key(&run.identity.framework_id))
        .collect();
    let show = Show::new(args.json, tasks.len());
    let signals = Signals::listen();
    let mut followed = Vec::with_capacity(tasks.len());
    for task in tasks {
        let meanwhile = match task.kind() {
            Kind::Docker => "",
            Kind::Mesos => "; mesos-docker logs has what it wrote meanwhile",
        };
        match take(&supervisor, task).await {
            Ok(task) => {
                show.note(&format!("{}: adopted; its output goes on here{meanwhile}", task.name));
                followed.push(task);
            }
            Err(failure) => {
                extent = Extent::Some;
                out::note(&format!("note {}", failure.message()));
            }
        }
    }
    let code = follow(&supervisor, owned.into_values().collect(), signals, show, followed, None).await;
    Ok(if code == 0 && extent == Extent::Some { OURS } else { code })
}

/// The runs to take over: those of the named tasks, or all that need it.
fn choose(known: &[KnownRun], ids: &[String]) -> Result<BTreeSet<FrameworkId>, Failure> {
    if ids.is_empty() {
        let needs = |run: &&KnownRun| !run.is_terminal() && run.owner == Ownership::Orphaned;
        return Ok(known.iter().filter(needs).map(|run| run.identity.framework_id.clone()).collect());
    }
    let mut chosen = BTreeSet::new();
    for id in ids {
        let run = pick(known, id)?;
        let task = &run.identity.task_id;
        if run.is_terminal() {
            return Err(Failure::ours(format!("{task} has ended: {}", run.state().as_str_name()))
                .hint(format!("mesos-docker logs {} prints its output", run.identity.container_id)));
        }
        if let Ownership::Owned(pid) = run.owner {
            return Err(Failure::ours(format!("{task} is supervised by {}", process(pid)))
                .hint("mesos-docker logs -f follows its output"));
        }
        chosen.insert(run.identity.framework_id.clone());
    }
    Ok(chosen)
}

async fn take(supervisor: &Supervisor, run: KnownRun) -> Result<Followed, Failure> {
    let failed =
        |error: &dyn std::error::Error| Failure::of(format!("cannot adopt {}", run.identity.task_id), error);
    let (tap, output) = mpsc::channel(OUTPUT);
    // What an earlier process launched without an engine is copied into the sandbox by its own parent.
    let feed = match run.kind() == Kind::Mesos && !run.record.is_waiting {
        true => Some(Feed::from_now(&run.layout).map_err(|error| failed(&error))?),
        false => None,
    };
    let (tap, output_end) = match feed {
        Some(feed) => {
            tokio::spawn(feed.run(tap));
            (None, OutputEnd::ByItself)
        }
        None => (Some(tap), OutputEnd::WithTheTask),
    };
    let handle = supervisor
        .adopt(run.layout.clone(), Adoption::new(TaskKilling::Sent).tap(tap))
        .await
        .map_err(|error| failed(&error))?;
    let container_id = run.identity.container_id;
    Ok(Followed { name: run.identity.task_id.to_string(), container_id, handle, output, output_end })
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}
