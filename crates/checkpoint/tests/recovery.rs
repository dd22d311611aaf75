//! What a start makes of a work directory that is not whole: what a crash leaves, what somebody broke, what old agents
//! wrote.

mod common;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

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

/// What stock tolerates although strict, since a crash at the wrong moment leaves it: a file that is not there yet, or
/// has nothing in it.
#[rstest::rstest]
#[case("meta/slaves/agent-S0/slave.info", "nothing", false)]
#[case("meta/slaves/latest", "nothing", false)]
#[case(&format!("{FRAMEWORK}/framework.info"), "agent", true)]
#[case(&format!("{FRAMEWORK}/framework.pid"), "agent", true)]
#[case(&format!("{EXECUTOR}/executor.info"), "framework", true)]
#[case(&format!("{EXECUTOR}/runs/latest"), "framework", true)]
#[case(&format!("{RUN}/tasks/worker/task.info"), "run", false)]
#[case(&format!("{RUN}/tasks/worker/task.updates"), "task", false)]
#[case(&format!("{EXECUTOR}/executor_generated_for_command_task"), "updates", false)]
#[case("meta/boot_id", "updates", false)]
fn what_was_not_written_yet_is_skipped(#[case] path: &str, #[case] expected: &str, #[case] collected: bool) {
    let blanks: [Option<&[u8]>; 3] = [None, Some(b""), Some(&[0; 512])];
    for blank in blanks {
        let root = one_task();
        let file = root.path().join(path);
        std::fs::remove_file(&file).expect("removed");
        match blank {
            Some(_) if path.ends_with("latest") => continue,
            Some(bytes) => std::fs::write(&file, bytes).expect("written"),
            None => {}
        }
        let state = recorded(root.path(), Strictness::Strict).expect("recovered");
        assert_eq!(depth(&state), expected, "{blank:?}");
        assert_eq!(state.errors, 0);
        let skipped: Vec<_> = state.leftovers.iter().filter(|l| l.why == LeftoverReason::Skipped).collect();
        assert_eq!(skipped.len(), if collected { 2 } else { 0 }, "{skipped:?}");
        let other = state.leftovers.iter().filter(|l| l.why == LeftoverReason::OtherAgent).count();
        assert_eq!(other, usize::from(expected == "nothing"));
    }
}

/// A part that cannot be read: strict, the path and the remedy; otherwise moved aside, and the rest goes on.
#[rstest::rstest]
#[case("meta/slaves/agent-S0/slave.info", b"\xff\xff\xff\x00garbage", "nothing")]
#[case("meta/slaves/agent-S0/drain.config", b"\x02\0\0\0\xff\xff", "updates")]
#[case(&format!("{FRAMEWORK}/framework.info"), b"\x02\0\0\0\xff\xff", "agent")]
#[case(&format!("{EXECUTOR}/executor.info"), b"\x02\0\0\0", "framework")]
#[case(&format!("{EXECUTOR}/executor_generated_for_command_task"), b"maybe", "updates")]
#[case(&format!("{RUN}/pids/forked.pid"), b"-7", "updates")]
#[case(&format!("{RUN}/tasks/worker/task.info"), b"\x03\0\0\0\x0a\x01x", "run")]
#[case(&format!("{RUN}/tasks/worker/task.updates"), b"\x02\0\0\0\x08\x07", "task")]
#[case("meta/resources/resources_and_operations.state", b"\x05\0\0\0\x0a", "updates")]
#[case("meta/resources/resources_and_operations.target", b"\x05\0\0\0\x0a", "updates")]
#[case("meta/resources/resources.info", b"\x02\0\0\0\x0a\0", "updates")]
#[case("meta/boot_id", &[b'x'; 5000], "updates")]
fn what_cannot_be_read_ends_it_or_is_moved_aside(
    #[case] path: &str,
    #[case] content: &[u8],
    #[case] expected: &str,
) {
    let root = one_task();
    let file = root.path().join(path);
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
    std::fs::write(&file, content).expect("written");

    let error = recorded(root.path(), Strictness::Strict).expect_err("strict");
    let text = chain(&error);
    let canonical = root.path().canonicalize().expect("there");
    let strict = format!("{:?}", canonical.join(path));
    assert!(text.contains(&strict), "{text} names {strict}");
    assert!(text.contains("--no-strict") && text.contains("meta/slaves/latest"), "{text}");
    assert_eq!(std::fs::read(&file).expect("left where it was"), content);

    let state = recorded(root.path(), Strictness::Lenient).expect("recovered");
    assert_eq!((depth(&state), state.errors), (expected, 1), "{:?}", state.findings);
    let moved: Vec<&PathBuf> = state
        .findings
        .iter()
        .filter_map(|finding| match &finding.what {
            FindingKind::Quarantined { to, .. } => to.as_ref(),
            _ => None,
        })
        .collect();
    let [to] = moved.as_slice() else { panic!("{:?}", state.findings) };
    assert!(to.ends_with(Path::new(path).strip_prefix("meta").expect("below")), "{to:?}");
    assert_eq!(std::fs::read(to).expect("kept"), content);

    let again = recorded(root.path(), Strictness::Strict).expect("whole again");
    assert_eq!((depth(&again), again.errors), (expected, 0));
    assert!(again.leftovers.iter().any(|leftover| leftover.why == LeftoverReason::Quarantine));
}

/// Damage in the middle of a stream: what stands before it is kept, where stock loses the rest of the file unseen.
#[test]
fn a_damaged_stream_keeps_what_stands_before_the_damage() {
    let root = one_task();
    let file = root.path().join(RUN).join("tasks/worker/task.updates");
    let mut bytes = std::fs::read(&file).expect("read");
    let good = bytes.len();
    bytes.extend(record::encode(&v1::TaskId { value: "no record".into() }).expect("short"));
    bytes.extend(record::encode(&update_record(uuid(3), TaskState::TaskFinished)).expect("short"));
    std::fs::write(&file, &bytes).expect("written");
    assert!(recorded(root.path(), Strictness::Strict).is_err());
    assert_eq!(std::fs::read(&file).expect("read"), bytes, "strict changes nothing");
    let state = recorded(root.path(), Strictness::Lenient).expect("recovered");
    assert_eq!(only_task(&state).updates.updates.len(), 2);
    assert_eq!(std::fs::read(&file).expect("read"), bytes[..good]);
    append(&Store::open(root.path()).expect("opened"), &[ack_record(uuid(2))]);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert_eq!(only_task(&state).updates.pending().count(), 0);
}

/// A file that is another's: the name of its directory is what counts.
#[rstest::rstest]
#[case(&format!("{FRAMEWORK}/framework.info"))]
#[case(&format!("{EXECUTOR}/executor.info"))]
#[case(&format!("{RUN}/tasks/worker/task.info"))]
#[case(&format!("{RUN}/tasks/worker/task.updates"))]
#[case("meta/slaves/agent-S0/slave.info")]
fn a_file_in_the_wrong_directory_is_damage(#[case] path: &str) {
    let root = one_task();
    let file = root.path().join(path);
    let mut bytes = std::fs::read(&file).expect("read");
    for (from, to) in [("worker", "w0rker"), ("framework-0001", "framework-0002"), ("agent-S0", "agent-S1")] {
        while let Some(at) = bytes.windows(from.len()).position(|window| window == from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    std::fs::write(&file, bytes).expect("written");
    let error = chain(&recorded(root.path(), Strictness::Strict).expect_err("another's"));
    assert!(error.contains("is damaged") && error.contains("is of the"), "{error}");
}

/// The file system under `meta` is ours, and still no link in it is followed.
#[test]
fn planted_links_are_not_followed() {
    let outside = one_task();
    for path in [
        "meta/slaves/agent-S0",
        FRAMEWORK,
        EXECUTOR,
        RUN,
        &format!("{RUN}/tasks/worker/task.info"),
        &format!("{RUN}/tasks/worker/task.updates"),
        &format!("{FRAMEWORK}/framework.pid"),
        "meta/slaves/agent-S0/slave.info",
    ] {
        let root = one_task();
        let planted = root.path().join(path);
        if planted.is_dir() {
            std::fs::remove_dir_all(&planted).expect("removed");
        } else {
            std::fs::remove_file(&planted).expect("removed");
        }
        symlink(outside.path().join(path), &planted).expect("linked");
        let before = tree(outside.path());
        match recorded(root.path(), Strictness::Strict) {
            Ok(state) => assert_ne!(depth(&state), "updates", "{path}"),
            Err(error) => assert!(chain(&error).contains("it is not"), "{}", chain(&error)),
        }
        assert_eq!(tree(outside.path()), before, "{path}");
    }
}

/// Something else than a directory where one belongs is moved aside too.
#[rstest::rstest]
#[case("meta/slaves", "nothing")]
#[case("meta/slaves/agent-S0/frameworks", "agent")]
#[case(&format!("{FRAMEWORK}/executors"), "framework")]
#[case(&format!("{EXECUTOR}/runs"), "framework")]
#[case(&format!("{RUN}/tasks"), "run")]
fn what_is_no_directory_is_moved_aside(#[case] path: &str, #[case] expected: &str) {
    let outside = one_task();
    for link in [false, true] {
        let root = one_task();
        let place = root.path().join(path);
        std::fs::remove_dir_all(&place).expect("removed");
        match link {
            true => symlink(outside.path().join(path), &place).expect("linked"),
            false => std::fs::write(&place, "x").expect("written"),
        }
        assert!(recorded(root.path(), Strictness::Strict).is_err(), "{path} {link}");
        let state = recorded(root.path(), Strictness::Lenient).expect("recovered");
        assert_eq!((depth(&state), state.errors), (expected, 1), "{:?}", state.findings);
        recorded(root.path(), Strictness::Strict).expect("whole again");
    }
}

#[rstest::rstest]
#[case("meta/slaves/latest", "agent-S0")]
#[case(&format!("{EXECUTOR}/runs/latest"), "c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2")]
fn latest_leads_nowhere_else(#[case] path: &str, #[case] last: &str) {
    let other = one_task();
    let link = |root: &Path, target: &Path| {
        let link = root.join(path);
        std::fs::remove_file(&link).expect("removed");
        symlink(target, link).expect("linked");
    };
    let parent = Path::new(path).parent().expect("a parent");
    for target in [
        other.path().join(parent).join(last),
        PathBuf::from("/"),
        PathBuf::from("/proc"),
        PathBuf::from(".."),
        PathBuf::from("gone"),
        PathBuf::from("sub/../../x"),
    ] {
        let root = one_task();
        link(root.path(), &target);
        assert!(recorded(root.path(), Strictness::Strict).is_err(), "{target:?}");
        let state = recorded(root.path(), Strictness::Lenient).expect("recovered");
        assert!(matches!(depth(&state), "nothing" | "framework"), "{target:?}");
        assert!(!root.path().join(path).is_symlink(), "it is in quarantine");
    }
    // Relative, or by another way to the same directory: as good as what we write.
    let way = tempfile::tempdir().expect("a directory");
    for relative in [true, false] {
        let root = one_task();
        let by = way.path().join("way");
        let _ = std::fs::remove_file(&by);
        symlink(root.path(), &by).expect("linked");
        link(root.path(), &if relative { PathBuf::from(last) } else { by.join(parent).join(last) });
        let state = recorded(root.path(), Strictness::Strict).expect("recovered");
        assert_eq!(depth(&state), "updates");
        assert!(state.findings.is_empty(), "{:?}", state.findings);
    }
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

/// Before 1.5 there was no flag that says who made the executor (`isCommandExecutor`).
#[rstest::rstest]
#[case("/usr/libexec/mesos/mesos-executor", "Command Executor (Task: worker)", true)]
#[case("/usr/libexec/mesos/mesos-executor", "my executor", false)]
#[case("/bin/sh", "Command Executor (Task: worker)", false)]
fn an_old_tree_says_by_the_command_who_made_the_executor(
    #[case] command: &str,
    #[case] name: &str,
    #[case] generated: bool,
) {
    let root = one_task();
    let ids = ids();
    let store = Store::open(root.path()).expect("opened");
    let paths = store.layout().agent(&ids.agent).framework(&ids.framework).executor(&ids.executor);
    let mut info = common::executor_info();
    info.name = Some(name.to_owned());
    info.command.as_mut().expect("a command").value = Some(command.to_owned());
    store.write_executor(&paths, &info, !generated).expect("written");
    store.remove(&paths.generated()).expect("removed");
    drop(store);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert_eq!(agent(&state).frameworks[0].executors[0].generated, generated);
}

fn resource(name: &str) -> v1::Resource {
    v1::Resource { name: name.to_owned(), r#type: v1::value::Type::Scalar.into(), ..Default::default() }
}

fn state_of(names: &[&str]) -> ResourceState {
    ResourceState { operations: Vec::new(), resources: names.iter().map(|name| resource(name)).collect() }
}

fn change(names: &[&str]) -> ResourceChange {
    let state = state_of(names);
    ResourceChange { resources: Some(state.resources.clone()), state }
}

/// Every point at which a commit can be cut short, by which files it leaves.
#[rstest::rstest]
#[case("nothing", None, None)]
#[case("the first target", Some("old"), Some("new"))]
#[case("both targets", Some("old"), Some("new"))]
#[case("the list", Some("old"), Some("new"))]
#[case("all", Some("new"), None)]
fn a_commit_that_is_cut_short_is_found(
    #[case] written: &str,
    #[case] committed: Option<&str>,
    #[case] target: Option<&str>,
) {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("opened");
    let layout = store.layout().clone();
    let list = |name: &str| vec![resource(name)];
    if written != "nothing" {
        store.commit_resources(&change(&["old"]), || Ok::<_, std::io::Error>(())).expect("committed");
    }
    match written {
        "nothing" => {}
        "the first target" => {
            store.write_message(&layout.resource_state_target(), &state_of(&["new"])).expect("written");
        }
        "both targets" => {
            let failing = || Err(std::io::Error::other("no volume"));
            let error = store.commit_resources(&change(&["new"]), failing).expect_err("the volumes failed");
            assert!(matches!(error, CommitError::Volumes(_)));
            assert!(layout.resources_target().exists() && layout.resource_state_target().exists());
        }
        "the list" => {
            store.write_message(&layout.resource_state_target(), &state_of(&["new"])).expect("written");
            store.write_list(&layout.resources_info(), &list("new")).expect("written");
        }
        _ => store.commit_resources(&change(&["new"]), || Ok::<_, std::io::Error>(())).expect("committed"),
    }
    drop(store);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    let committed = committed.map(|name| CommittedResources::State(state_of(&[name])));
    assert_eq!(state.resources.committed, committed);
    assert_eq!(state.resources.target, target.map(|name| state_of(&[name])));

    // The next start commits what it finds once more.
    let newest = state.resources.newest();
    let store = Store::open(root.path()).expect("opened");
    let again = ResourceChange { resources: Some(newest.resources.clone()), state: newest.clone() };
    store.commit_resources(&again, || Ok::<_, std::io::Error>(())).expect("committed");
    drop(store);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert_eq!(state.resources.committed, Some(CommittedResources::State(newest)));
    assert_eq!(state.resources.target, None);
    assert!(!layout.resources_target().exists());
}

/// Volumes are made and removed after both targets are written and before either takes effect; operations that change no
/// resources touch none.
#[test]
fn volumes_follow_the_target_and_precede_the_commit() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("opened");
    let layout = store.layout();
    let mut called = false;
    let sync = || {
        called = true;
        assert!(layout.resource_state_target().exists() && layout.resources_target().exists());
        assert!(!layout.resource_state().exists() && !layout.resources_info().exists());
        Ok::<_, std::io::Error>(())
    };
    store.commit_resources(&change(&["volume"]), sync).expect("committed");
    assert!(called);
    assert!(layout.resource_state().exists() && layout.resources_info().exists());
    let before = std::fs::read(layout.resources_info()).expect("read");
    let unchanged = ResourceChange { state: state_of(&["volume"]), resources: None };
    let never = || Err(std::io::Error::other("called"));
    store.commit_resources(&unchanged, never).expect("committed");
    assert_eq!(std::fs::read(layout.resources_info()).expect("read"), before);
}

/// Agents before 1.5 had the list alone.
#[test]
fn an_old_list_of_resources_is_read() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("opened");
    store.write_list(&store.layout().resources_info(), &[resource("a"), resource("b")]).expect("written");
    store.write_list(&store.layout().resources_target(), &[resource("c")]).expect("written");
    drop(store);
    let resources = recorded(root.path(), Strictness::Strict).expect("recovered").resources;
    assert_eq!(resources.committed, Some(CommittedResources::List(vec![resource("a"), resource("b")])));
    assert_eq!(resources.newest(), state_of(&["c"]));
}

#[test]
fn operations_are_recovered_until_they_are_forgotten() {
    let root = one_task();
    let store = Store::open(root.path()).expect("opened");
    let paths = store.layout().agent(&ids().agent);
    let (operation, status) = (uuid(7), uuid(8));
    let update = UpdateOperationStatusMessage {
        operation_uuid: Some(v1::Uuid { value: operation.as_bytes().to_vec() }),
        status: v1::OperationStatus {
            state: v1::OperationState::OperationFinished.into(),
            uuid: Some(v1::Uuid { value: status.as_bytes().to_vec() }),
            ..Default::default()
        },
        ..Default::default()
    };
    let records = [StreamRecord::Update(update.clone()), StreamRecord::Acknowledged(status)];
    for (number, record) in records.iter().enumerate() {
        let wire = UpdateOperationStatusMessage::wire(record);
        store.append(&paths.operation_updates(operation), &wire, Sync::Disk).expect("appended");
        let state = checkpoint::recover::recover(&store, Strictness::Strict, &common::recorded_boot());
        let state = state.expect("recovered");
        let [found] = agent(&state).operations.as_slice() else { panic!("one operation") };
        assert_eq!((found.uuid, &found.updates.updates), (operation, &vec![update.clone()]));
        assert_eq!(found.updates.is_complete(), number == 1);
    }
    std::fs::remove_dir_all(paths.operation(operation)).expect("removed");
    let state = checkpoint::recover::recover(&store, Strictness::Strict, &common::recorded_boot());
    assert!(agent(&state.expect("recovered")).operations.is_empty());
}

#[test]
fn a_drain_survives_a_restart_and_ends() {
    let root = one_task();
    // A drain without any wish is a message of no bytes.
    for config in
        [v1::DrainConfig::default(), v1::DrainConfig { mark_gone: Some(true), ..Default::default() }]
    {
        let store = Store::open(root.path()).expect("opened");
        let paths = store.layout().agent(&ids().agent);
        store.write_drain_config(&paths, Some(&config)).expect("written");
        drop(store);
        let state = recorded(root.path(), Strictness::Strict).expect("recovered");
        assert_eq!(agent(&state).drain, Some(config));
    }
    let store = Store::open(root.path()).expect("opened");
    store.write_drain_config(&store.layout().agent(&ids().agent), None).expect("removed");
    drop(store);
    assert_eq!(agent(&recorded(root.path(), Strictness::Strict).expect("recovered")).drain, None);
}

/// Two agents never share a work directory, whatever way leads to it.
#[test]
fn a_work_dir_has_one_agent() {
    let root = tempfile::tempdir().expect("a directory");
    let work_dir = root.path().join("deep/work");
    let store = Store::open(&work_dir).expect("made");
    symlink(&work_dir, root.path().join("way")).expect("linked");
    for way in [work_dir.clone(), root.path().join("way")] {
        let error = Store::open(&way).expect_err("in use");
        let OpenError::Held { holder, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*holder, Some(std::process::id()));
        let text = error.to_string();
        assert!(
            text.contains(&format!("pid {}", std::process::id())) && text.contains("--work_dir"),
            "{text}"
        );
    }
    assert_eq!(store.layout().root(), work_dir.canonicalize().expect("there"));
    drop(store);
    Store::open(&work_dir).expect("free again");
    std::fs::write(root.path().join("file"), "").expect("written");
    let error = Store::open(&root.path().join("file")).expect_err("no directory");
    assert!(matches!(&error, OpenError::Unusable { .. }), "{error:?}");
}

/// Nothing outside of the work directory can be written, whatever a path says.
#[test]
fn writes_stay_below_the_work_dir() {
    let root = tempfile::tempdir().expect("a directory");
    let work_dir = root.path().join("work");
    let outside = root.path().join("outside");
    std::fs::create_dir(&outside).expect("made");
    let store = Store::open(&work_dir).expect("opened");
    let base = store.layout().root().to_owned();
    symlink(&outside, base.join("meta/link")).expect("linked");
    for path in ["meta/../../outside/x", "../outside/x", "meta/link/x", "/outside/x"] {
        let path = base.join(path);
        assert!(store.write(&path, b"x").is_err(), "{path:?}");
        assert!(store.point(&path, Path::new("/")).is_err(), "{path:?}");
        let record = ack_record(uuid(1));
        assert!(store.append(&path, &record, Sync::Process).is_err(), "{path:?}");
    }
    assert!(tree(&outside).is_empty());
    assert!(store.remove(&base.join("meta/nowhere/x")).is_ok());
}

/// The sandboxes of a framework that did not checkpoint, and entries that mean nothing to us.
#[test]
fn what_no_record_tells_of_is_left_over() {
    let root = one_task();
    let work = root.path().join("slaves/agent-S0/frameworks");
    std::fs::create_dir_all(work.join("framework-0001/executors")).expect("made");
    std::fs::create_dir_all(work.join("framework-0002/executors")).expect("made");
    std::fs::create_dir_all(root.path().join("slaves/agent-S9")).expect("made");
    std::fs::create_dir_all(root.path().join(FRAMEWORK).join("executors/bad\nname")).expect("made");
    std::fs::write(root.path().join(FRAMEWORK).join("executors/notes"), "").expect("written");
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert_eq!(depth(&state), "updates");
    let canonical = root.path().canonicalize().expect("there");
    let leftovers: Vec<_> = state
        .leftovers
        .iter()
        .map(|leftover| (leftover.path.strip_prefix(&canonical).expect("below").to_owned(), leftover.why))
        .collect();
    let expected = [
        (PathBuf::from("slaves/agent-S0/frameworks/framework-0002"), LeftoverReason::Skipped),
        (PathBuf::from("slaves/agent-S9"), LeftoverReason::OtherAgent),
    ];
    assert_eq!(leftovers, expected);
    let unknown = state.findings.iter().filter(|finding| matches!(finding.what, FindingKind::UnknownName));
    assert_eq!(unknown.count(), 2);
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
