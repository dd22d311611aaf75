//! What is missing, cannot be read, or leads elsewhere.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

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
