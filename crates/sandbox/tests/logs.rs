//! Log files as their caller uses them: rotation, the cursor, and going on after a kill at any moment.

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::{Scene, TinyDisk, policy, whole_stream};
use sandbox::{
    Found, LogFile, LogPosition, ResumeOutcome, Resumed, RotateOutcome, RotationPolicy, Sandbox,
    SandboxError, last_lines,
};

fn read(scene: &Scene, name: &str) -> String {
    std::fs::read_to_string(scene.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn names(scene: &Scene) -> Vec<String> {
    let entries = std::fs::read_dir(scene.sandbox.path()).expect("listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("read").file_name().into_string().expect("a name of ours"))
        .collect();
    names.sort();
    names
}

fn create(scene: &Scene, policy: RotationPolicy) -> LogFile {
    LogFile::create(&scene.sandbox, "stdout", None, policy).expect("created")
}

fn resume(scene: &Scene, at: LogPosition, policy: RotationPolicy) -> (LogFile, ResumeOutcome) {
    let Resumed { file, outcome } =
        LogFile::resume(&scene.sandbox, "stdout", &at, None, policy).expect("resumed");
    (file, outcome)
}

#[test]
fn rotation_never_splits_a_line_and_keeps_the_number_of_files() {
    let scene = Scene::new();
    let policy = policy(50, 3);
    let mut log = create(&scene, policy);
    let mut rotations = 0;
    for number in 0..400 {
        log.append(format!("line {number} ").as_bytes()).expect("appended");
        assert!(!log.wants_rotation() || log.position().offset >= 100);
        log.append(&b"and its end, more or less\n"[..10 + number % 16]).expect("appended");
        log.append(b"\n").expect("appended");
        if log.wants_rotation() {
            assert_eq!(log.rotate().expect("rotated"), RotateOutcome::Rotated);
            rotations += 1;
        }
    }
    assert!(rotations > 100, "{rotations}");
    assert_eq!(names(&scene), ["stdout", "stdout.1", "stdout.2", "stdout.3"]);
    for name in ["stdout.1", "stdout.2", "stdout.3"] {
        let content = read(&scene, name);
        assert!(content.starts_with("line ") && content.ends_with('\n'), "{name}: {content:?}");
        assert!((50..100).contains(&content.len()), "{name}: {}", content.len());
    }
}

#[test]
fn many_lines_at_once_are_cut_at_line_ends() {
    let scene = Scene::new();
    let policy = policy(100, 1000);
    let mut log = create(&scene, policy);
    let text: String = (0..500).map(|number| format!("a line of number {number}\n")).collect();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(log.fitting(rest));
        log.append(now).expect("appended");
        rest = later;
        if log.wants_rotation() {
            log.rotate().expect("rotated");
        }
    }
    assert_eq!(whole_stream(&scene.sandbox, "stdout"), text.as_bytes());
    let rotated = names(&scene).len() - 1;
    assert!(rotated > 50);
    for number in 1..=rotated {
        let content = read(&scene, &format!("stdout.{number}"));
        assert!(
            content.starts_with("a line") && content.ends_with('\n') && content.len() < 200,
            "{content:?}"
        );
    }
}

#[test]
fn a_line_without_end_is_cut_at_twice_the_size() {
    let scene = Scene::new();
    let mut log = create(&scene, policy(10, 5));
    log.append(b"0123456789").expect("appended");
    assert!(!log.wants_rotation());
    log.append(b"0123456789").expect("appended");
    assert!(log.wants_rotation());
    log.rotate().expect("rotated");
    assert_eq!((read(&scene, "stdout"), read(&scene, "stdout.1").len()), (String::new(), 20));
}

#[test]
fn without_rotated_files_the_old_one_goes() {
    let scene = Scene::new();
    let mut log = create(&scene, policy(4, 0));
    log.append(b"first\n").expect("appended");
    let at = log.position();
    log.rotate().expect("rotated");
    log.append(b"second\n").expect("appended");
    assert_eq!(names(&scene), ["stdout"]);
    // The position was stored before the rotation, so what follows comes again.
    drop(log);
    let (mut log, outcome) = resume(&scene, at, policy(4, 0));
    assert_eq!(outcome, ResumeOutcome::Rotated { dropped: 7 });
    log.append(b"second\n").expect("appended");
    assert_eq!(read(&scene, "stdout"), "second\n");
}

#[test]
fn a_lowered_number_of_files_takes_effect() {
    let scene = Scene::new();
    let mut log = create(&scene, policy(4, 9));
    for _ in 0..9 {
        log.append(b"a line\n").expect("appended");
        log.rotate().expect("rotated");
    }
    assert_eq!(names(&scene).len(), 10);
    let at = log.position();
    let (mut log, _) = resume(&scene, at, policy(4, 2));
    log.append(b"a line\n").expect("appended");
    log.rotate().expect("rotated");
    assert_eq!(names(&scene), ["stdout", "stdout.1", "stdout.2"]);
}

#[test]
fn two_streams_do_not_disturb_each_other() {
    let scene = Scene::new();
    let mut out = create(&scene, policy(4, 2));
    let mut err = LogFile::create(&scene.sandbox, "stderr", None, policy(4, 2)).expect("created");
    out.append(b"to stdout\n").expect("appended");
    err.append(b"to stderr\n").expect("appended");
    out.rotate().expect("rotated");
    err.append(b"more\n").expect("appended");
    assert_eq!(
        (read(&scene, "stdout.1"), read(&scene, "stderr")),
        ("to stdout\n".into(), "to stderr\nmore\n".into())
    );
}

#[test]
fn what_came_after_the_stored_position_is_dropped() {
    let scene = Scene::new();
    let mut log = create(&scene, RotationPolicy::UNLIMITED);
    log.append(b"one\n").expect("appended");
    let at = log.position();
    log.append(b"two\nthr").expect("appended");
    drop(log);
    let (mut log, outcome) = resume(&scene, at, RotationPolicy::UNLIMITED);
    assert_eq!(outcome, ResumeOutcome::Continued { dropped: 7 });
    log.append(b"two\n").expect("appended");
    log.append(b"three\n").expect("appended");
    assert_eq!(read(&scene, "stdout"), "one\ntwo\nthree\n");
    assert_eq!(log.position().offset, 14);
    let (_, outcome) = resume(&scene, log.position(), RotationPolicy::UNLIMITED);
    assert_eq!(outcome, ResumeOutcome::Continued { dropped: 0 });
}

#[test]
fn a_resumed_file_knows_its_size_and_its_last_line() {
    let scene = Scene::new();
    let mut log = create(&scene, policy(6, 2));
    log.append(b"partial").expect("appended");
    let (mut log, _) = resume(&scene, log.position(), policy(6, 2));
    assert!(!log.wants_rotation());
    log.append(b"\n").expect("appended");
    let (log, _) = resume(&scene, log.position(), policy(6, 2));
    assert!(log.wants_rotation());
}

#[test]
fn a_file_that_its_task_truncated_goes_on_at_its_end() {
    let scene = Scene::new();
    let mut log = create(&scene, RotationPolicy::UNLIMITED);
    log.append(b"one\ntwo\n").expect("appended");
    let at = log.position();
    std::fs::write(scene.path("stdout"), "me\n").expect("truncated");
    // While it is open, no hole is left where the old end was, and the position is the real one.
    log.append(b"three\n").expect("appended");
    assert_eq!((read(&scene, "stdout"), log.position().offset), ("me\nthree\n".into(), 9));
    std::fs::write(scene.path("stdout"), "me\n").expect("truncated");
    drop(log);
    let (mut log, outcome) = resume(&scene, at, RotationPolicy::UNLIMITED);
    assert_eq!(outcome, ResumeOutcome::Shortened { missing: 5 });
    log.append(b"four\n").expect("appended");
    assert_eq!(read(&scene, "stdout"), "me\nfour\n");
}

#[test]
fn a_second_writer_is_part_of_the_position() {
    let scene = Scene::new();
    let mut log = create(&scene, RotationPolicy::UNLIMITED);
    log.append(b"ours\n").expect("appended");
    let mut fetcher = std::fs::OpenOptions::new().append(true).open(scene.path("stdout")).expect("opened");
    std::io::Write::write_all(&mut fetcher, b"the fetcher's\n").expect("written");
    let at = log.position();
    assert_eq!(at.offset, 19);
    log.append(b"dropped\n").expect("appended");
    let (_, outcome) = resume(&scene, at, RotationPolicy::UNLIMITED);
    assert_eq!(outcome, ResumeOutcome::Continued { dropped: 8 });
    assert_eq!(read(&scene, "stdout"), "ours\nthe fetcher's\n");
}

#[test]
fn a_removed_or_replaced_file_starts_afresh() {
    for replacement in [None, Some("the task's own\n")] {
        let scene = Scene::new();
        let mut log = create(&scene, policy(1000, 2));
        log.append(b"one\n").expect("appended");
        let at = log.position();
        // Held open, so that the replacement cannot get the same inode.
        std::fs::remove_file(scene.path("stdout")).expect("removed");
        if let Some(content) = replacement {
            std::fs::write(scene.path("stdout"), content).expect("written");
        }
        let (mut fresh, outcome) = resume(&scene, at, policy(1000, 2));
        let found = if replacement.is_some() { Found::OtherFile } else { Found::Missing };
        assert_eq!(outcome, ResumeOutcome::Replaced { found });
        fresh.append(b"two\n").expect("appended");
        assert_eq!(read(&scene, "stdout"), "two\n");
        assert_eq!(scene.path("stdout").metadata().expect("there").mode() & 0o7777, 0o644);
        if let Some(content) = replacement {
            assert_eq!(read(&scene, "stdout.aside.1"), content);
        }
    }
}

#[test]
fn a_log_that_its_task_linked_under_a_second_name_rotates_but_is_not_truncated() {
    let scene = Scene::new();
    let mut log = create(&scene, policy(4, 2));
    log.append(b"one\n").expect("appended");
    std::fs::hard_link(scene.path("stdout"), scene.path("copy")).expect("linked");
    assert_eq!(log.rotate().expect("rotated"), RotateOutcome::Rotated);
    log.append(b"two\n").expect("appended");
    let mut at = log.position();
    std::fs::hard_link(scene.path("stdout"), scene.path("copy2")).expect("linked");
    at.offset = 1;
    let (_, outcome) = resume(&scene, at, policy(4, 2));
    assert_eq!(outcome, ResumeOutcome::Replaced { found: Found::HardLinked { links: 2 } });
    assert_eq!((read(&scene, "copy"), read(&scene, "copy2")), ("one\n".into(), "two\n".into()));
}

/// A task may have made its log a program and run it. The system then refuses to open it for writing.
#[test]
fn a_log_that_is_being_executed_makes_way() {
    let scene = Scene::new();
    let program = std::fs::read("/bin/sleep").expect("a program");
    let mut log = create(&scene, RotationPolicy::UNLIMITED);
    log.append(&program).expect("appended");
    let at = log.position();
    drop(log);
    std::fs::set_permissions(scene.path("stdout"), std::fs::Permissions::from_mode(0o755)).expect("set");
    let mut child = std::process::Command::new(scene.path("stdout")).arg("60").spawn().expect("started");
    let (mut log, outcome) = resume(&scene, at, RotationPolicy::UNLIMITED);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(outcome, ResumeOutcome::Replaced { found: Found::Locked });
    log.append(b"after\n").expect("appended");
    assert_eq!(read(&scene, "stdout"), "after\n");
    assert_eq!(std::fs::read(scene.path("stdout.aside.1")).expect("kept"), program);
}

/// Every state that a kill can leave in the middle of a rotation.
#[test]
fn a_kill_in_the_middle_of_a_rotation_loses_and_doubles_nothing() {
    type Steps = fn(&dyn Fn(&str, &str));
    let steps: [(&str, Steps); 5] = [
        ("before the first step", |_| {}),
        ("new file made", |rename| rename("", "stdout.new")),
        ("one moved up", |rename| {
            rename("", "stdout.new");
            rename("stdout.1", "stdout.2");
        }),
        ("live file moved", |rename| {
            rename("", "stdout.new");
            rename("stdout.1", "stdout.2");
            rename("stdout", "stdout.1");
        }),
        ("finished", |rename| {
            rename("", "stdout.new");
            rename("stdout.1", "stdout.2");
            rename("stdout", "stdout.1");
            rename("stdout.new", "stdout");
        }),
    ];
    for (what, step) in steps {
        let scene = Scene::new();
        let mut log = create(&scene, policy(4, 5));
        log.append(b"one\n").expect("appended");
        log.rotate().expect("rotated");
        log.append(b"two\n").expect("appended");
        let at = log.position();
        drop(log);
        step(&|from, to| match from {
            "" => std::fs::write(scene.path(to), "").expect("made"),
            _ => std::fs::rename(scene.path(from), scene.path(to)).expect("moved"),
        });
        if what == "finished" {
            std::fs::write(scene.path("stdout"), "thr").expect("written");
        }
        let (mut log, outcome) = resume(&scene, at, policy(4, 5));
        match what {
            "live file moved" => assert_eq!(outcome, ResumeOutcome::Rotated { dropped: 0 }),
            "finished" => assert_eq!(outcome, ResumeOutcome::Rotated { dropped: 3 }),
            _ => assert_eq!(outcome, ResumeOutcome::Continued { dropped: 0 }, "{what}"),
        }
        log.append(b"three\n").expect("appended");
        log.rotate().expect("rotated");
        log.append(b"four\n").expect("appended");
        let stream: String = ["stdout.3", "stdout.2", "stdout.1", "stdout"]
            .iter()
            .filter_map(|name| std::fs::read_to_string(scene.path(name)).ok())
            .collect();
        assert_eq!(stream, "one\ntwo\nthree\nfour\n", "{what}");
        assert!(!scene.path("stdout.new").exists(), "{what}");
    }
}

/// The live file was moved, and then the disk refused to go on.
#[test]
fn a_rotation_that_failed_half_way_is_finished_by_the_next() {
    let scene = Scene::new();
    let mut log = create(&scene, policy(4, 5));
    log.append(b"one\n").expect("appended");
    std::fs::rename(scene.path("stdout"), scene.path("stdout.1")).expect("moved");
    log.append(b"two\n").expect("appended");
    assert_eq!(log.rotate().expect("rotated"), RotateOutcome::Rotated);
    log.append(b"three\n").expect("appended");
    assert_eq!(whole_stream(&scene.sandbox, "stdout"), b"one\ntwo\nthree\n");
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_torn() {
    let scene = Scene::new();
    let Some(disk) = TinyDisk::mount(scene.sandbox.path(), "a full disk") else { return };
    let sandbox = Sandbox::open(scene.sandbox.path()).expect("opened");
    let mut log = LogFile::create(&sandbox, "stdout", None, policy(1000, 3)).expect("created");
    std::fs::write(scene.path("ballast"), [0; 16 * 1024]).expect("written");
    // Longer than a page, so that the last write is a short one.
    let line = [&[b'x'; 4999][..], b"\n"].concat();
    let mut lines = 0;
    let error = loop {
        match log.append(&line) {
            Ok(()) => lines += 1,
            Err(error) => break error,
        }
        assert!(lines < 100, "a disk of 64 KiB takes no end");
    };
    assert!(matches!(error, SandboxError::NoSpace { .. }), "{error:?}");
    assert!(error.is_no_space() && error.to_string().contains("free disk space"), "{error}");
    assert_eq!(log.position().offset, lines * 5000);
    assert_eq!(scene.path("stdout").metadata().expect("there").len(), lines * 5000);
    std::fs::remove_file(scene.path("ballast")).expect("removed");
    log.append(&line).expect("there is room again");
    assert_eq!(
        std::fs::read(scene.path("stdout")).expect("read"),
        line.repeat(usize::try_from(lines).expect("few") + 1)
    );
    drop((log, sandbox));
    drop(disk);
}

#[test]
fn positions_are_stored_as_json() {
    let at = LogPosition { offset: 5, inode: 7, device: 9 };
    let text = serde_json::to_string(&at).expect("written");
    assert_eq!(text, r#"{"offset":5,"inode":7,"device":9}"#);
    assert_eq!(serde_json::from_str::<LogPosition>(&text).expect("read"), at);
}

#[test]
fn the_tail_of_a_log_is_for_error_messages() {
    let scene = Scene::new();
    let mut log = create(&scene, RotationPolicy::UNLIMITED);
    log.append(b"one\ntwo\nthree\n").expect("appended");
    assert_eq!(last_lines(log.file(), 1000, 2).expect("read"), "two\nthree");
}
