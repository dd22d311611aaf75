//! What a crash leaves in the middle of a write.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

#[test]
fn what_was_written_is_read_back() {
    let root = one_task();
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert!(state.findings.is_empty() && state.leftovers.is_empty(), "{state:?}");
    let agent = agent(&state);
    assert_eq!(agent.info, common::agent_info());
    let framework = &agent.frameworks[0];
    assert_eq!((&framework.info, &framework.pid), (&common::framework_info(), &None));
    let executor = &framework.executors[0];
    assert_eq!((&executor.info, executor.generated), (&common::executor_info(), true));
    let run = executor.latest_run().expect("a run");
    assert_eq!((run.id, run.completed, run.http), (ids().container, false, false));
    assert_eq!((run.forked_pid, &run.libprocess_pid), (None, &None), "an in-process run has none");
    assert_eq!(run.paths.meta(), root.path().canonicalize().expect("there").join(RUN));
    let task = only_task(&state);
    assert_eq!(task.info, common::task());
    let pending: Vec<_> = task.updates.pending().collect();
    assert_eq!(pending, [&common::update(uuid(2), TaskState::TaskRunning)]);
    assert_eq!(task.updates.updates[0].status.data, None, "nobody is sent it again");
}

/// The writes of a launch, each cut short at every point: the next start recovers what stands, and the launch can be
/// done again over it.
#[test]
fn a_launch_that_is_cut_short_anywhere_is_recovered() {
    let whole = one_task();
    let expected = ["meta/boot_id", "meta/slaves/agent-S0/slave.info", "meta/slaves/latest"]
        .map(PathBuf::from)
        .into_iter()
        .chain(["framework.info", "framework.pid"].map(|name| Path::new(FRAMEWORK).join(name)))
        .chain(
            ["executor.info", "executor_generated_for_command_task"]
                .map(|name| Path::new(EXECUTOR).join(name)),
        )
        .chain([Path::new(EXECUTOR).join("runs/latest"), Path::new(RUN).join("tasks/worker/task.info")]);
    let order: Vec<PathBuf> = expected.collect();
    for done in 0..=order.len() {
        for temporary in [None, Some(0), Some(3), Some(usize::MAX)] {
            let root = tempfile::tempdir().expect("a directory");
            drop(Store::open(root.path()).expect("opened"));
            copy(whole.path(), root.path(), &order[..done]);
            if let (Some(length), Some(next)) = (temporary, order.get(done)) {
                let directory = root.path().join(next.parent().expect("a parent"));
                std::fs::create_dir_all(&directory).expect("made");
                match std::fs::read(whole.path().join(next)) {
                    Ok(bytes) if !next.ends_with("latest") => {
                        let part = &bytes[..length.min(bytes.len())];
                        std::fs::write(directory.join("aB3xYz"), part).expect("written");
                    }
                    _ => symlink("somewhere", directory.join("aB3xYz")).expect("linked"),
                }
            }
            let state = recorded(root.path(), Strictness::Strict).expect("recovered");
            assert_eq!(state.errors, 0, "{done} {temporary:?}");
            // What is left over is removed as a whole.
            let canonical = root.path().canonicalize().expect("there");
            let left_over = |path: &Path| {
                state.leftovers.iter().any(|leftover| canonical.join(path).starts_with(&leftover.path))
            };
            let swept = tree(root.path());
            let mut temporaries = swept.keys().filter(|path| path.ends_with("aB3xYz"));
            assert!(temporaries.all(|path| left_over(path)), "{done} {temporary:?}");
            write_one_task(&Store::open(root.path()).expect("opened"));
            let state = recorded(root.path(), Strictness::Strict).expect("recovered");
            assert_eq!(depth(&state), "task", "{done} {temporary:?}");
        }
    }
}

/// Copies some files and links of a work directory, links pointing into the copy.
fn copy(from: &Path, to: &Path, paths: &[PathBuf]) {
    let (old, new) = (from.canonicalize().expect("there"), to.canonicalize().expect("there"));
    for path in paths {
        let target = to.join(path);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("made");
        match from.join(path).read_link() {
            Ok(link) => {
                let link = new.join(link.strip_prefix(&old).expect("inside"));
                std::fs::create_dir_all(&link).expect("made");
                symlink(link, target).expect("linked");
            }
            Err(_) => {
                std::fs::copy(from.join(path), target).expect("copied");
            }
        }
    }
}

/// An append that is cut short at every byte: the records before it stand, and the next append follows them.
#[test]
fn an_append_that_is_cut_short_anywhere_is_cut_off() {
    let root = one_task();
    let file = root.path().join(RUN).join("tasks/worker/task.updates");
    let before = std::fs::read(&file).expect("read");
    let next = record::encode(&update_record(uuid(3), TaskState::TaskFinished)).expect("short");
    for cut in 0..=next.len() {
        std::fs::write(&file, [&before[..], &next[..cut]].concat()).expect("written");
        let state = recorded(root.path(), Strictness::Strict).expect("recovered");
        let whole = cut == next.len();
        assert_eq!(only_task(&state).updates.updates.len(), if whole { 3 } else { 2 }, "{cut}");
        let found = state.findings.iter().find_map(|finding| match finding.what {
            FindingKind::Cut { bytes } => Some(bytes),
            _ => None,
        });
        assert_eq!(found, (cut > 0 && !whole).then_some(cut as u64));
        append(&Store::open(root.path()).expect("opened"), &[ack_record(uuid(2))]);
        let state = recorded(root.path(), Strictness::Strict).expect("recovered");
        assert!(only_task(&state).updates.acknowledged.contains(&uuid(2)), "{cut}");
    }
    // What a power cut may leave of an append that was never synced.
    std::fs::write(&file, [&before[..], &[0; 5000]].concat()).expect("written");
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert_eq!(only_task(&state).updates.updates.len(), 2);
    assert_eq!(std::fs::read(&file).expect("read"), before);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = TaskState> {
        prop::sample::select(vec![TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever updates and acknowledgements are appended, and wherever the last append is cut, the next start
        /// reads what was whole.
        #[test]
        fn a_stream_reads_as_it_was_written(
            states in prop::collection::vec((state(), any::<bool>()), 1..12),
            cut in 0_u64..200,
        ) {
            let root = tempfile::tempdir().expect("a directory");
            let store = Store::open(root.path()).expect("opened");
            write_one_task(&store);
            let mut records = Vec::new();
            for (number, (state, acknowledged)) in states.into_iter().enumerate() {
                let id = uuid(number as u128 + 1);
                records.push(update_record(id, state));
                if acknowledged {
                    records.push(ack_record(id));
                }
            }
            append(&store, &records);
            drop(store);
            let file = root.path().join(RUN).join("tasks/worker/task.updates");
            let last = record::encode(records.last().expect("one")).expect("short").len() as u64;
            let length = file.metadata().expect("there").len();
            let cut = cut.min(last);
            std::fs::File::options().write(true).open(&file).expect("opened").set_len(length - cut).expect("cut");
            if cut > 0 {
                records.pop();
            }
            let state = recorded(root.path(), Strictness::Strict).expect("recovered");
            let found = &only_task(&state).updates;
            let mut acknowledged: Vec<Uuid> = found.acknowledged.iter().copied().collect();
            acknowledged.sort();
            let acks = records.iter().filter_map(|record| record.uuid.as_deref()).map(|id| Uuid::from_slice(id).expect("an id"));
            prop_assert_eq!(&acknowledged, &acks.collect::<Vec<_>>());
            let updates: Vec<_> = records.iter().filter_map(|record| record.update.clone()).collect();
            prop_assert_eq!(found.updates.len(), updates.len());
            for (found, mut written) in found.updates.iter().zip(updates) {
                if found.update_id().is_some_and(|id| acknowledged.contains(&id)) {
                    written.status.data = None;
                }
                prop_assert_eq!(found, &written);
            }
        }
    }
}
