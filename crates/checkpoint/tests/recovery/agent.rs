//! What belongs to the agent id in use, and what is left of others.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

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

/// Frameworks use an id again; what the earlier task told, and was heard, is not the new one's.
#[test]
fn a_task_of_an_id_that_comes_again_begins_anew() {
    let root = one_task();
    let ids = ids();
    let store = Store::open(root.path()).expect("opened");
    append(
        &store,
        &[ack_record(uuid(2)), update_record(uuid(3), TaskState::TaskFinished), ack_record(uuid(3))],
    );
    let executor = store.layout().agent(&ids.agent).framework(&ids.framework).executor(&ids.executor);
    let paths = executor.run(ids.container).task(&ids.task);
    store.write_task(&paths, &common::task()).expect("written");
    append(&store, &[update_record(uuid(4), TaskState::TaskRunning)]);
    drop(store);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    let updates = &only_task(&state).updates;
    assert_eq!((updates.updates.len(), updates.is_complete()), (1, false));
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

/// What tells the next start, ours or a stock agent's, which process and which protocol an executor has.
#[test]
fn where_an_executor_is_reached_is_read_back() {
    let root = one_task();
    let store = Store::open(root.path()).expect("opened");
    let ids = ids();
    let executor = store.layout().agent(&ids.agent).framework(&ids.framework).executor(&ids.executor);
    let run = executor.run(ids.container);
    store.write_forked_pid(&run, 4_194_304).expect("written");
    store.write_executor_pid(&run, "executor(1)@127.0.0.1:40001").expect("written");
    store.write_http_marker(&run).expect("written");
    drop(store);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    let found = agent(&state).frameworks[0].executors[0].latest_run().expect("a run");
    assert_eq!(found.forked_pid, Some(4_194_304));
    assert_eq!(found.libprocess_pid.as_deref(), Some("executor(1)@127.0.0.1:40001"));
    assert!(found.http);
    // As a stock agent writes them: no newline, and nothing in the marker.
    assert_eq!(std::fs::read(run.forked_pid()).expect("read"), b"4194304");
    assert_eq!(std::fs::read(run.http_marker()).expect("read"), b"");
}
