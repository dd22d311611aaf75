//! What of a run is to go, and the line that says so.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesos_containerizer::Seen;
use mesos_types::FrameworkId;
use task_supervisor::{Kind, RecordStore, RunLayout};

use crate::find;
use crate::listing::Container;
use crate::runs;
use crate::units::{age, bytes};

/// How many entries of a sandbox are looked at for its size.
const ENTRIES: usize = 10_000;

/// Something that is to go.
#[derive(Debug, Clone)]
pub(crate) enum Thing {
    /// A container, with its anonymous volumes.
    Container(Container),
    /// A task without an image that has not ended, as far as is known.
    Process(Process),
    /// The sandbox of a task.
    Sandbox(PathBuf),
    /// What else there is of a run: its directories of sandboxes and of records, and last the one with its lock.
    Run(FrameworkId, Vec<PathBuf>),
}

/// A task without an image.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) layout: RunLayout,
    /// Its number, where it is seen.
    pid: Option<u32>,
}

/// Something that is to go, with what people want to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) thing: Thing,
    why: String,
    since: Option<SystemTime>,
    size: Option<u64>,
}

/// A run without an owner, in the order in which its things must go: containers and processes, then what they had in use,
/// then what a repetition needs to find the rest.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) running: Vec<Item>,
    pub(crate) directories: Vec<Item>,
}

/// Plans the removal of a run. Blocks on the file system.
pub(crate) fn plan(
    work_dir: &Path,
    framework_id: &FrameworkId,
    roots: &[PathBuf],
    containers: Vec<Container>,
) -> Plan {
    let mut plan = Plan::default();
    for container in containers {
        let layout = RunLayout::of(work_dir, &container.identity);
        plan.running.push(Item {
            why: format!("task {}, {}, {}", container.identity.task_id, container.state, why(&layout)),
            since: seconds(container.created),
            size: None,
            thing: Thing::Container(container),
        });
    }
    for run in find::runs_of(work_dir, framework_id) {
        if run.kind() == Kind::Docker || run.is_terminal() {
            continue;
        }
        let pid = match run.process() {
            Some(Seen::Runs(process)) => Some(process.pid),
            Some(Seen::Gone) | None => None,
        };
        plan.running.push(Item {
            why: format!("task {}, {}", run.identity.task_id, why(&run.layout)),
            since: run.created,
            size: None,
            thing: Thing::Process(Process { layout: run.layout, pid }),
        });
    }
    for layout in find::layouts(work_dir, framework_id) {
        let sandbox = layout.sandbox();
        if sandbox.symlink_metadata().is_ok() {
            plan.directories.push(Item {
                why: why(&layout),
                since: find::created(sandbox),
                size: size(sandbox),
                thing: Thing::Sandbox(sandbox.to_owned()),
            });
        }
    }
    let run = runs::dir_of(work_dir, framework_id);
    plan.directories.push(Item {
        why: "nobody owns it".into(),
        since: roots.first().or(Some(&run)).and_then(|path| find::created(path)),
        size: None,
        thing: Thing::Run(framework_id.clone(), roots.iter().chain([&run]).cloned().collect()),
    });
    plan
}

impl Item {
    /// The line about it, after `removed` or `would remove`.
    pub(crate) fn line(&self) -> String {
        let what = match &self.thing {
            Thing::Container(container) => {
                let id: String = container.engine_id.chars().take(12).collect();
                format!("container {id} with its anonymous volumes")
            }
            Thing::Process(Process { pid: Some(pid), .. }) => format!("process {pid}"),
            Thing::Process(Process { pid: None, .. }) => "processes that may be left".to_owned(),
            Thing::Sandbox(path) => format!("sandbox {}", path.display()),
            Thing::Run(id, _) => format!("run {id}"),
        };
        let size = self.size.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
        format!("{what} ({}, {} old{size})", self.why, age(self.since))
    }
}

/// Why nobody needs a task's things.
fn why(layout: &RunLayout) -> String {
    match RecordStore::new(layout.state()).read() {
        Ok(record) if find::terminal_status(&record).is_some() => {
            find::state(&record).as_str_name().to_owned()
        }
        Ok(_) => "its owner is gone".into(),
        Err(_) => "without a record".into(),
    }
}

/// The size of a directory's files; nothing if it has too many to be cheap. Links are not followed.
fn size(path: &Path) -> Option<u64> {
    let mut directories = vec![path.to_owned()];
    let (mut total, mut seen) = (0, 0);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).ok()? {
            seen += 1;
            if seen > ENTRIES {
                return None;
            }
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            if metadata.is_dir() {
                directories.push(entry.path());
            } else {
                total += metadata.len();
            }
        }
    }
    Some(total)
}

fn seconds(since_1970: i64) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(since_1970).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::tests::{RUN, make};
    use task_supervisor::Phase;

    #[test]
    fn sandboxes_go_before_records_and_the_lock_goes_last() {
        let dir = tempfile::tempdir().unwrap();
        let record = make(dir.path(), "web", "aaaaaaaa-0000-4000-8000-000000000000", Phase::Running);
        let layout = RunLayout::of(dir.path(), &record.identity());
        std::fs::create_dir_all(layout.sandbox()).unwrap();
        std::fs::write(layout.sandbox().join("stdout"), [b'x'; 3000]).unwrap();
        let id: FrameworkId = RUN.parse().unwrap();
        std::fs::create_dir_all(runs::dir_of(dir.path(), &id)).unwrap();
        let roots = find::frameworks(dir.path()).remove(&id).unwrap();
        let container = Container {
            engine_id: "0123456789abcdef".into(),
            identity: record.identity(),
            state: "running".into(),
            created: 1,
        };
        let plan = plan(dir.path(), &id, &roots, vec![container]);
        let line = plan.running[0].line();
        assert!(
            line.starts_with(
                "container 0123456789ab with its anonymous volumes (task web, running, its owner is gone, "
            ),
            "{line}"
        );
        let lines: Vec<_> = plan.directories.iter().map(Item::line).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("sandbox ") && lines[0].ends_with(", 2 KB)"), "{lines:?}");
        assert!(lines[1].starts_with("run run-0123456789ab (nobody owns it, "), "{lines:?}");
        let Thing::Run(_, paths) = &plan.directories[1].thing else { panic!("{lines:?}") };
        let below =
            |at: usize, path: &str| assert!(paths[at].starts_with(dir.path().join(path)), "{paths:?}");
        below(0, "slaves/local/frameworks");
        below(1, "meta/slaves/local/frameworks");
        below(2, "runs");
    }

    #[test]
    fn a_directory_with_too_much_in_it_has_no_size() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=ENTRIES {
            std::fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(size(dir.path()), None);
    }
}
