//! Work directories that a stock 1.11.0 agent wrote: read to what they say, and written again to the same bytes.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use checkpoint::recover::{FindingKind, LeftoverReason, RecoveredState, RecoveredTask};
use checkpoint::{BootId, Store, StreamRecord, Streamed, Strictness, record};
use common::{AGENT, RECORDED_AT, What, mode, recorded, recorded_boot, relink, tree, unpack};
use mesos_proto::internal::{StatusUpdate, StatusUpdateRecord};
use mesos_proto::v1::{AgentInfo, ExecutorInfo, FrameworkInfo, Task, TaskState};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

/// A file as `meta-decoded.txt` tells it: a text, or records of lines.
enum Told {
    Text(String),
    Records(Vec<(String, Vec<String>)>),
}

/// Reads the decoded listing of a recording.
fn told(root: &Path) -> BTreeMap<PathBuf, Told> {
    let text = std::fs::read_to_string(root.join("meta-decoded.txt")).expect("the listing");
    let mut files = BTreeMap::new();
    for section in text.split("## ").skip(1) {
        let mut lines = section.lines();
        let (path, rest) = lines.next().expect("a heading").split_once(' ').expect("a path");
        let content = match rest.strip_prefix("b'") {
            Some(text) => Told::Text(text.strip_suffix('\'').expect("closed").to_owned()),
            None => {
                let mut records: Vec<(String, Vec<String>)> = Vec::new();
                for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
                    if line.starts_with("record len") {
                        records.push((String::new(), Vec::new()));
                        continue;
                    }
                    let (kind, lines) = records.last_mut().expect("a record");
                    if kind.is_empty() {
                        *kind = line.to_owned();
                    } else {
                        lines.push(line.to_owned());
                    }
                }
                Told::Records(records)
            }
        };
        files.insert(Path::new("meta").join(path), content);
    }
    files
}

/// The lines that protobuf's text form has for a message, with the names of v0.
fn lines(message: &DynamicMessage) -> Vec<String> {
    let mut out = Vec::new();
    for (field, value) in message.fields() {
        let name = match field.name() {
            "agent_id" => "slave_id",
            name => name,
        };
        let values = match value {
            Value::List(values) => values.clone(),
            value => vec![value.clone()],
        };
        for value in values {
            match value {
                Value::Message(inner) => {
                    out.push(format!("{name} {{"));
                    out.extend(lines(&inner));
                    out.push("}".to_owned());
                }
                Value::EnumNumber(number) => {
                    let kind = field.kind();
                    let known = kind.as_enum().expect("an enum").get_value(number).expect("known");
                    out.push(format!("{name}: {}", known.name().replace("_AGENT", "_SLAVE")));
                }
                Value::String(text) => out.push(format!("{name}: \"{}\"", escaped(text.as_bytes()))),
                Value::Bytes(bytes) => out.push(format!("{name}: \"{}\"", escaped(&bytes))),
                Value::Bool(set) => out.push(format!("{name}: {set}")),
                Value::I32(number) => out.push(format!("{name}: {number}")),
                Value::I64(number) => out.push(format!("{name}: {number}")),
                Value::U32(number) => out.push(format!("{name}: {number}")),
                Value::U64(number) => out.push(format!("{name}: {number}")),
                Value::F32(number) => out.push(format!("{name}: {number}")),
                Value::F64(number) => out.push(format!("{name}: {number}")),
                Value::List(_) | Value::Map(_) => panic!("{name} holds {value:?}"),
            }
        }
    }
    out
}

fn escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            b'"' => "\\\"".to_owned(),
            b'\'' => "\\'".to_owned(),
            b'\\' => "\\\\".to_owned(),
            0x20..0x7f => char::from(*byte).to_string(),
            _ => format!("\\{byte:03o}"),
        })
        .collect()
}

fn text_of<M: prost::Message + ReflectMessage>(messages: &[M]) -> Vec<Vec<String>> {
    messages.iter().map(|message| lines(&message.transcode_to_dynamic())).collect()
}

/// Compares the lines of records with those of the listing, which prints every number with 17 digits and shortens long
/// texts.
fn assert_same(path: &Path, found: &[Vec<String>], told: &[Vec<String>]) {
    let same = |(found, told): (&String, &String)| {
        let numbers = || {
            let number = |line: &String| line.split_once(": ").and_then(|(_, text)| text.parse::<f64>().ok());
            number(found).zip(number(told)).is_some_and(|(found, told)| found == told)
        };
        let shortened = || told.split_once("   ...[").is_some_and(|(start, _)| found.starts_with(start));
        found == told || numbers() || shortened()
    };
    assert_eq!(found.len(), told.len(), "records of {path:?}");
    for (found, told) in found.iter().zip(told) {
        assert_eq!(found.len(), told.len(), "lines of {path:?}");
        if let Some((found, told)) = found.iter().zip(told).find(|pair| !same(*pair)) {
            panic!("{path:?}: {found:?} is not {told:?}");
        }
    }
}

/// Reads all records of a file, compares them with the listing, and writes them again to the same bytes.
fn compare<M>(path: &Path, bytes: &[u8], told: Vec<Vec<String>>)
where
    M: prost::Message + Default + ReflectMessage + PartialEq + std::fmt::Debug,
{
    let found = record::read_all(bytes, Ok::<M, String>).expect("read");
    assert_eq!(found.good, bytes.len() as u64, "{path:?}");
    assert_same(path, &text_of(&found.records), &told);
    assert_eq!(record::encode_list(&found.records).expect("short"), bytes, "{path:?}");
    if let [only] = found.records.as_slice() {
        assert_eq!(&record::decode::<M>(bytes).expect("one").expect("written"), only, "{path:?}");
    }
}

/// Messages, alone and in streams: what a stock agent wrote is read to what it meant, and written again to the same
/// bytes.
///
/// Peer: SlaveStateTest.CheckpointProtobufMessage, SlaveStateTest.CheckpointRepeatedProtobufMessages.
#[rstest::rstest]
#[case("02-finished", 11)]
#[case("04a-running-before-kill", 80)]
fn every_file_says_what_the_listing_says(#[case] name: &str, #[case] files: usize) {
    let root = unpack(name);
    let told = told(root.path());
    assert_eq!(told.len(), files);
    for (path, told) in told {
        let bytes = std::fs::read(root.path().join(&path)).expect("the file");
        let records = match told {
            Told::Text(text) => {
                assert_eq!(String::from_utf8(bytes).expect("text"), text, "{path:?}");
                continue;
            }
            Told::Records(records) => records,
        };
        let kind = records.first().expect("a record").0.clone();
        let told = records.into_iter().map(|(_, lines)| lines).collect();
        match kind.as_str() {
            "mesos.SlaveInfo" => compare::<AgentInfo>(&path, &bytes, told),
            "mesos.FrameworkInfo" => compare::<FrameworkInfo>(&path, &bytes, told),
            "mesos.ExecutorInfo" => compare::<ExecutorInfo>(&path, &bytes, told),
            "mesos.Task" => compare::<Task>(&path, &bytes, told),
            "mesos.internal.StatusUpdateRecord" => compare::<StatusUpdateRecord>(&path, &bytes, told),
            other => panic!("{path:?} holds {other}"),
        }
    }
}

/// Slave info, framework info and pid, executor info, run, pids, tasks, updates and acknowledgements: the whole tree of a
/// stock agent.
///
/// Peer: SlaveRecoveryTest.RecoverSlaveState.
#[rstest::rstest]
#[case("02-finished", 1, 6)]
#[case("04a-running-before-kill", 9, 46)]
fn a_stock_work_dir_is_recovered_in_full(
    #[case] name: &str,
    #[case] frameworks: usize,
    #[case] records: usize,
) {
    let root = unpack(name);
    relink(root.path());
    let told = told(root.path());
    let mut left: BTreeSet<&PathBuf> = told.keys().collect();
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert!(state.findings.is_empty(), "{:?}", state.findings);
    assert!(state.leftovers.is_empty(), "{:?}", state.leftovers);
    assert_eq!((state.errors, state.rebooted), (0, false));
    assert_eq!(state.boot, Some(recorded_boot()));
    left.remove(&PathBuf::from("meta/boot_id"));
    let agent = state.agent.expect("an agent");
    assert_eq!(agent.id.as_str(), AGENT);
    assert_eq!(agent.frameworks.len(), frameworks);
    assert!(agent.operations.is_empty() && agent.drain.is_none());

    let canonical = root.path().canonicalize().expect("there");
    let mut check = |path: PathBuf, found: Option<Vec<Vec<String>>>| {
        let path = path.strip_prefix(&canonical).expect("below").to_owned();
        let Some(Told::Records(records)) = told.get(&path) else { panic!("{path:?} is not in the listing") };
        if let Some(found) = found {
            let told: Vec<_> = records.iter().map(|(_, lines)| lines.clone()).collect();
            assert_same(&path, &found, &told);
        }
        assert!(left.remove(&path), "{path:?} twice");
    };
    let mut texts = Vec::new();
    let mut seen = 0;
    check(agent.paths.info(), Some(text_of(&[agent.info])));
    for framework in agent.frameworks {
        check(framework.paths.info(), Some(text_of(&[framework.info])));
        texts.push((framework.paths.pid(), framework.pid.unwrap_or("@0.0.0.0:0".to_owned())));
        for executor in framework.executors {
            check(executor.paths.info(), Some(text_of(&[executor.info])));
            texts.push((executor.paths.generated(), if executor.generated { "1" } else { "0" }.to_owned()));
            assert_eq!(executor.runs.len(), 1);
            for run in executor.runs {
                assert_eq!(run.id, executor.latest);
                if run.completed {
                    texts.push((run.paths.sentinel(), String::new()));
                }
                texts.extend(run.forked_pid.map(|pid| (run.paths.forked_pid(), pid.to_string())));
                texts.extend(run.libprocess_pid.map(|pid| (run.paths.libprocess_pid(), pid)));
                for task in run.tasks {
                    seen += in_order(&task);
                    check(task.paths.updates(), None);
                    check(task.paths.info(), Some(text_of(&[task.info])));
                }
            }
        }
    }
    for (path, text) in texts {
        let path = path.strip_prefix(&canonical).expect("below").to_owned();
        let Some(Told::Text(told)) = told.get(&path) else { panic!("{path:?} is not in the listing") };
        assert_eq!(&text, told, "{path:?}");
        assert!(left.remove(&path), "{path:?} twice");
    }
    assert!(left.is_empty(), "not recovered: {left:?}");
    assert_eq!(seen, records);
}

/// Checks a recovered stream against its file, and counts its records.
fn in_order(task: &RecoveredTask) -> usize {
    let bytes = std::fs::read(task.paths.updates()).expect("the stream");
    let found = record::read_all(bytes.as_slice(), StatusUpdate::from_wire).expect("read");
    let mut updates = Vec::new();
    let mut acknowledged = BTreeSet::new();
    for record in &found.records {
        match record {
            StreamRecord::Update(update) => updates.push(update.clone()),
            StreamRecord::Acknowledged(uuid) => {
                acknowledged.insert(*uuid);
            }
        }
    }
    for update in &mut updates {
        // What was acknowledged is never sent again.
        if update.update_id().is_some_and(|uuid| acknowledged.contains(&uuid)) {
            update.status.data = None;
        }
    }
    assert_eq!(task.updates.updates, updates);
    assert_eq!(task.updates.acknowledged.iter().copied().collect::<BTreeSet<_>>(), acknowledged);
    let terminal = updates.iter().any(Streamed::is_terminal);
    assert_eq!(task.updates.is_complete(), terminal && task.updates.pending().next().is_none());
    found.records.len()
}

/// A running task: not over, with the executor's pids, and its last update acknowledged.
#[test]
fn a_running_task_is_told_from_a_finished_one() {
    for (name, completed) in [("02-running", false), ("02-finished", true)] {
        let root = unpack(name);
        relink(root.path());
        let state = recorded(root.path(), Strictness::Strict).expect("recovered");
        let agent = state.agent.expect("an agent");
        let executor = &agent.frameworks[0].executors[0];
        let run = executor.latest_run().expect("a run");
        assert_eq!(run.completed, completed, "{name}");
        assert_eq!((run.forked_pid, run.http), (Some(2885), false));
        assert_eq!(run.libprocess_pid.as_deref(), Some("executor(1)@127.0.0.1:34135"));
        assert!(executor.generated);
        let task = &run.tasks[0];
        assert_eq!(task.info.state(), TaskState::TaskStaging);
        assert_eq!(task.updates.is_complete(), completed);
        let last = task.updates.updates.last().expect("an update").status.state();
        assert_eq!(last, if completed { TaskState::TaskFinished } else { TaskState::TaskRunning });
    }
}

/// Writes again what was recovered, in an agent's order.
fn write_again(state: &RecoveredState, from: &Path, store: &Store) {
    let layout = store.layout();
    store.write_boot_id(state.boot.as_ref().expect("known")).expect("written");
    let agent = state.agent.as_ref().expect("an agent");
    let paths = layout.agent(&agent.id);
    store.write_agent(&paths, &agent.info).expect("written");
    for framework in &agent.frameworks {
        let paths = paths.framework(&framework.id);
        store.write_framework(&paths, &framework.info, framework.pid.as_deref()).expect("written");
        for executor in &framework.executors {
            let paths = paths.executor(&executor.id);
            store.write_executor(&paths, &executor.info, executor.generated).expect("written");
            for run in &executor.runs {
                let paths_of_run = paths.run(run.id);
                store.create_run(&paths, &paths_of_run).expect("made");
                for task in &run.tasks {
                    let paths = paths_of_run.task(&task.id);
                    store.write_task(&paths, &task.info).expect("written");
                    // From the file: what was acknowledged is recovered without its data.
                    let path = task.paths.updates();
                    let bytes = std::fs::read(from.join(path)).expect("the stream");
                    let found = record::read_all(bytes.as_slice(), Ok::<StatusUpdateRecord, String>);
                    for record in found.expect("read").records {
                        store.append_task_update(&paths, &record).expect("appended");
                    }
                }
                if let Some(pid) = run.forked_pid {
                    store.write_text(&paths_of_run.forked_pid(), &pid.to_string()).expect("written");
                }
                if let Some(pid) = &run.libprocess_pid {
                    store.write_text(&paths_of_run.libprocess_pid(), pid).expect("written");
                }
                if run.completed {
                    store.complete_run(&paths_of_run).expect("marked");
                }
            }
        }
    }
}

/// Whole trees, texts, messages and links, byte for byte as stock wrote them, and no mode is wider than stock's.
///
/// Peer: SlaveStateTest.CheckpointString.
#[rstest::rstest]
#[case("02-finished")]
#[case("02-running")]
#[case("04a-running-before-kill")]
fn what_we_write_is_what_stock_wrote(#[case] name: &str) {
    let root = unpack(name);
    relink(root.path());
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    let ours = tempfile::tempdir().expect("a directory");
    let store = Store::open(ours.path()).expect("opened");
    write_again(&state, root.path(), &store);
    let below = |root: &Path| {
        let canonical = root.canonicalize().expect("there");
        let mut tree = tree(&root.join("meta"));
        tree.remove(Path::new("agent.lock"));
        for what in tree.values_mut() {
            if let What::Link(target) = what {
                *target = target.strip_prefix(&canonical).expect("inside").to_owned();
            }
        }
        tree
    };
    let (stock, written) = (below(root.path()), below(ours.path()));
    assert_eq!(stock.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    for (path, what) in &stock {
        assert!(written[path] == *what, "{path:?} differs");
        let (theirs, ours) = (root.path().join("meta").join(path), ours.path().join("meta").join(path));
        if !matches!(what, What::Link(_)) {
            assert_eq!(mode(&ours) & !mode(&theirs), 0, "{path:?} is wider than stock's");
            assert!(matches!(what, What::Directory) || mode(&ours) == 0o600, "{path:?}");
        }
    }
}

/// A work directory that stands in another place than it was written in: links have absolute targets.
#[test]
fn a_work_dir_that_was_moved_is_recovered() {
    let root = unpack("02-finished");
    assert!(!Path::new(RECORDED_AT).exists(), "this machine has an agent of its own");
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert_eq!(state.agent.expect("an agent").frameworks[0].executors.len(), 1);
    let moved = state.findings.iter().filter(|finding| matches!(finding.what, FindingKind::Moved { .. }));
    assert_eq!(moved.count(), 2);
}

/// No pid of an earlier boot is trusted, also not by the start after the next.
#[test]
fn after_a_reboot_pids_are_forgotten_for_good() {
    let root = unpack("02-running");
    relink(root.path());
    let store = Store::open(root.path()).expect("opened");
    let boot = BootId::current().expect("a boot");
    let state = checkpoint::recover::recover(&store, Strictness::Strict, &boot).expect("recovered");
    assert!(state.rebooted);
    let stale = state.findings.iter().filter(|finding| matches!(finding.what, FindingKind::StalePidRemoved));
    assert_eq!(stale.count(), 2);
    store.write_boot_id(&boot).expect("written");
    let again = checkpoint::recover::recover(&store, Strictness::Strict, &boot).expect("recovered");
    assert!(!again.rebooted && again.findings.is_empty(), "{:?}", again.findings);
    for state in [state, again] {
        let agent = state.agent.expect("an agent");
        let run = agent.frameworks[0].executors[0].latest_run().expect("a run");
        assert_eq!((run.forked_pid, run.libprocess_pid.as_deref()), (None, None));
        assert!(!run.completed);
    }
}

/// As when the machine was booted and the agent's resources changed: the next start is a new agent.
#[test]
fn an_agent_id_that_was_let_go_is_history() {
    let root = unpack("02-finished");
    relink(root.path());
    std::fs::create_dir_all(root.path().join("slaves").join(AGENT)).expect("made");
    let store = Store::open(root.path()).expect("opened");
    store.forget_agent().expect("removed");
    store.forget_agent().expect("again");
    let state =
        checkpoint::recover::recover(&store, Strictness::Strict, &recorded_boot()).expect("recovered");
    assert!(state.agent.is_none());
    let canonical = root.path().canonicalize().expect("there");
    let leftovers: Vec<_> = state.leftovers.iter().map(|leftover| (&leftover.path, leftover.why)).collect();
    let (meta, work) = (canonical.join("meta/slaves").join(AGENT), canonical.join("slaves").join(AGENT));
    assert_eq!(leftovers, [(&meta, LeftoverReason::OtherAgent), (&work, LeftoverReason::OtherAgent)]);
}
