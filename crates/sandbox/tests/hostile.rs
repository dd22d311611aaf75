//! Every entry point against what a task with root rights can put into its sandbox: nothing outside changes, nothing
//! blocks, and the answer says what was there.

mod common;

use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Plant, SECRET, Scene, policy, promptly, rel};
use sandbox::{
    Found, Kind, LogFile, LogReader, Owner, ReadOutcome, ResolvedKind, ResumeOutcome, RotateOutcome,
    RotationPolicy, Sandbox, SandboxError, StartAt,
};

/// Runs a check with each hostile thing at `name`, and looks at the outside afterwards.
fn with_each_plant(name: &str, check: impl Fn(&Scene, Plant) + Sync) {
    for plant in Plant::ALL {
        let scene = Scene::new();
        if scene.plant(plant, name) {
            promptly(|| check(&scene, plant));
            scene.assert_outside_unchanged(&format!("{plant:?}"));
        }
    }
}

/// What our errors say is there.
fn expected(plant: Plant) -> Found {
    match plant {
        Plant::HardLink => Found::HardLinked { links: 2 },
        Plant::Fifo => Found::Node(Kind::Fifo),
        Plant::Directory | Plant::FullDirectory => Found::Node(Kind::Directory),
        Plant::Socket => Found::Node(Kind::Socket),
        Plant::Device => Found::Node(Kind::Device),
        _ => Found::Node(Kind::Symlink),
    }
}

fn assert_refused(error: &SandboxError, plant: Plant, path: &Path) {
    assert_eq!(error.path(), path, "{plant:?}");
    match error {
        SandboxError::Symlink { .. } => assert!(plant.is_link(), "{plant:?}: {error}"),
        SandboxError::Unexpected { found, .. } => assert_eq!(*found, expected(plant), "{plant:?}"),
        _ => panic!("{plant:?}: {error:?}"),
    }
}

#[test]
fn open_file_opens_nothing_but_plain_files() {
    with_each_plant("file", |scene, plant| {
        let error = scene.sandbox.open_file(&rel("file")).expect_err("refused");
        assert_refused(&error, plant, &scene.path("file"));
    });
    let scene = Scene::new();
    std::fs::create_dir(scene.path("a")).expect("made");
    std::fs::write(scene.path("a/file"), "mine").expect("written");
    let mut content = String::new();
    let mut file = scene.sandbox.open_file(&rel("./a//file")).expect("opened");
    file.read_to_string(&mut content).expect("read");
    assert_eq!(content, "mine");
    assert!(scene.sandbox.open_file(&rel("a/none")).expect_err("missing").is_not_found());
}

#[test]
fn remove_file_removes_nothing_but_plain_files() {
    with_each_plant("file", |scene, plant| {
        let error = scene.sandbox.remove_file(&rel("file")).expect_err("refused");
        assert_refused(&error, plant, &scene.path("file"));
        assert!(scene.path("file").symlink_metadata().is_ok(), "{plant:?}");
    });
    let scene = Scene::new();
    std::fs::create_dir(scene.path("a")).expect("made");
    for file in ["file", "a/file"] {
        std::fs::write(scene.path(file), "mine").expect("written");
        scene.sandbox.remove_file(&rel(file)).expect("removed");
        assert!(!scene.path(file).exists());
        assert!(scene.sandbox.remove_file(&rel(file)).expect_err("missing").is_not_found());
    }
}

#[test]
fn no_open_goes_through_a_directory_that_is_a_link() {
    let scene = Scene::new();
    symlink(scene.outside(), scene.path("out")).expect("linked");
    std::fs::create_dir(scene.path("real")).expect("made");
    symlink("real", scene.path("alias")).expect("linked");
    for (path, culprit) in [("out/secret", "out"), ("out/deep/stdout", "out"), ("alias/x", "alias")] {
        let culprit = scene.path(culprit);
        let refused = |error: SandboxError| {
            assert!(matches!(&error, SandboxError::Symlink { path, .. } if *path == culprit), "{error:?}");
        };
        refused(scene.sandbox.open_file(&rel(path)).expect_err("refused"));
        refused(scene.sandbox.create_file(&rel(path), 0o600, None).expect_err("refused"));
        refused(scene.sandbox.remove_file(&rel(path)).expect_err("refused"));
        refused(scene.sandbox.create_dir_all(&rel(path), 0o700, None).expect_err("refused"));
        refused(scene.sandbox.resolve_dir_or_file(&rel(path)).expect_err("refused"));
    }
    scene.assert_outside_unchanged("through links");
}

#[test]
fn create_file_never_takes_what_is_there() {
    with_each_plant("file", |scene, plant| {
        let error = scene.sandbox.create_file(&rel("file"), 0o666, None).expect_err("refused");
        assert!(error.is_already_exists(), "{plant:?}: {error:?}");
    });
    with_each_plant("on", |scene, plant| match scene.sandbox.create_file(&rel("on/way"), 0o666, None) {
        Ok(_) => assert!(plant.is_directory(), "{plant:?}"),
        Err(SandboxError::Unexpected { .. } | SandboxError::Symlink { .. } | SandboxError::Io { .. }) => {
            assert!(!plant.is_directory(), "{plant:?}");
        }
        Err(error) => panic!("{plant:?}: {error:?}"),
    });
}

#[test]
fn created_files_and_directories_have_their_mode_and_owner() {
    let scene = Scene::new();
    let owner = rustix::process::geteuid().is_root().then(|| Owner::new(12345, 23456).expect("valid"));
    let at_first = scene.sandbox.path().metadata().expect("there");
    assert_eq!(at_first.mode() & 0o7777, 0o750);
    scene.sandbox.create_dir_all(&rel("kept"), 0o700, None).expect("made");
    scene.sandbox.create_dir_all(&rel("kept/a/b"), 0o777, owner).expect("made");
    scene.sandbox.create_dir_all(&rel("kept/a/b"), 0o700, None).expect("made again");
    drop(scene.sandbox.create_file(&rel("kept/a/b/file"), 0o4666, owner).expect("created"));
    for (name, mode, ours) in [
        ("kept", 0o700, true),
        ("kept/a", 0o777, false),
        ("kept/a/b", 0o777, false),
        ("kept/a/b/file", 0o666, false),
    ] {
        let metadata = scene.path(name).metadata().expect("there");
        assert_eq!(metadata.mode() & 0o7777, mode, "{name}");
        if let Some(owner) = owner.filter(|_| !ours) {
            assert_eq!((metadata.uid(), metadata.gid()), (owner.uid(), owner.gid()), "{name}");
        }
    }
}

#[test]
fn create_dir_all_stops_at_anything_but_directories() {
    for (name, path) in [("on", "on/way/down"), ("end", "end")] {
        with_each_plant(name, |scene, plant| {
            let owner =
                rustix::process::geteuid().is_root().then(|| Owner::new(12345, 23456).expect("valid"));
            match scene.sandbox.create_dir_all(&rel(path), 0o777, owner) {
                Ok(()) => assert!(plant.is_directory(), "{plant:?}"),
                Err(error) => match expected(plant) {
                    Found::HardLinked { .. } => assert_eq!(error.path(), scene.path(name)),
                    _ => assert_refused(&error, plant, &scene.path(name)),
                },
            }
        });
    }
}

#[test]
fn resolve_gives_directories_and_plain_files_only() {
    with_each_plant("volume", |scene, plant| match scene.sandbox.resolve_dir_or_file(&rel("volume")) {
        Ok(resolved) => {
            assert!(plant.is_directory(), "{plant:?}");
            assert_eq!((resolved.kind, resolved.host_path), (ResolvedKind::Directory, scene.path("volume")));
        }
        Err(error) => assert_refused(&error, plant, &scene.path("volume")),
    });
    let scene = Scene::new();
    std::fs::write(scene.path("file"), "x").expect("written");
    let resolved = scene.sandbox.resolve_dir_or_file(&rel("file")).expect("resolved");
    assert_eq!(resolved.kind, ResolvedKind::File);
}

#[test]
fn a_sandbox_is_no_link_and_is_made_whole_or_not_at_all() {
    let scene = Scene::new();
    for name in ["latest", "latest/"] {
        let link = scene.path("../").join(name);
        let _ = symlink(scene.outside(), scene.path("../latest"));
        assert!(matches!(Sandbox::open(&link), Err(SandboxError::Symlink { .. })), "{name}");
        assert!(matches!(Sandbox::create(&link, None), Err(SandboxError::Symlink { .. })), "{name}");
        assert!(sandbox::remove_all(&link).is_err(), "{name}");
    }
    std::fs::write(scene.path("kept"), "x").expect("written");
    let full = Sandbox::create(scene.sandbox.path(), None).expect_err("in use");
    assert!(matches!(full, SandboxError::NotEmpty { .. }), "{full:?}");
    assert!(scene.path("kept").exists());
    std::fs::write(scene.path("../file"), "x").expect("written");
    let below_a_file = scene.path("../file/1/2");
    assert!(Sandbox::create(&below_a_file, None).is_err());
    assert!(Sandbox::open(&scene.path("../none")).expect_err("missing").is_not_found());
    scene.assert_outside_unchanged("sandbox paths");
}

#[test]
fn a_failed_creation_removes_what_was_made() {
    let scene = Scene::new();
    let too_long = "x".repeat(300);
    assert!(Sandbox::create(&scene.path("../new/runs").join(too_long), None).is_err());
    assert!(!scene.path("../new").exists());
    assert!(scene.sandbox.path().exists());
}

#[test]
fn log_create_replaces_what_is_not_its_own() {
    with_each_plant("stdout", |scene, plant| {
        let mut log =
            LogFile::create(&scene.sandbox, "stdout", None, RotationPolicy::UNLIMITED).expect("created");
        log.append(b"line\n").expect("appended");
        let metadata = scene.path("stdout").symlink_metadata().expect("there");
        assert!(metadata.is_file() && metadata.nlink() == 1, "{plant:?}");
        assert_eq!(metadata.mode() & 0o7777, 0o644);
        assert_eq!(std::fs::read(scene.path("stdout")).expect("read"), b"line\n");
        assert!(scene.path("stdout.aside.1").symlink_metadata().is_ok(), "{plant:?}");
    });
}

#[test]
fn log_create_truncates_a_plain_file_and_takes_it_over() {
    let scene = Scene::new();
    std::fs::write(scene.path("stdout"), "old").expect("written");
    let before = scene.path("stdout").metadata().expect("there").ino();
    let owner = rustix::process::geteuid().is_root().then(|| Owner::new(12345, 23456).expect("valid"));
    let log = LogFile::create(&scene.sandbox, "stdout", owner, RotationPolicy::UNLIMITED).expect("created");
    let metadata = scene.path("stdout").metadata().expect("there");
    assert_eq!((metadata.ino(), metadata.size(), log.position().offset), (before, 0, 0));
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    if owner.is_some() {
        assert_eq!((metadata.uid(), metadata.gid()), (12345, 23456));
    }
    for name in ["", ".", "..", "a/b", "/stdout", "a\0b", &"x".repeat(300)] {
        let error = LogFile::create(&scene.sandbox, name, None, RotationPolicy::UNLIMITED).expect_err(name);
        assert!(matches!(error, SandboxError::InvalidName { .. }), "{error:?}");
    }
}

#[test]
fn log_resume_replaces_what_is_not_its_own() {
    with_each_plant("planted", |scene, plant| {
        let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(1000, 3)).expect("created");
        log.append(b"before\n").expect("appended");
        let at = log.position();
        drop(log);
        std::fs::rename(scene.path("stdout"), scene.path("hidden")).expect("renamed");
        std::fs::rename(scene.path("planted"), scene.path("stdout")).expect("renamed");
        let resumed = LogFile::resume(&scene.sandbox, "stdout", &at, None, policy(1000, 3)).expect("resumed");
        assert_eq!(resumed.outcome, ResumeOutcome::Replaced { found: expected(plant) });
        let mut log = resumed.file;
        log.append(b"after\n").expect("appended");
        assert_eq!(std::fs::read(scene.path("stdout")).expect("read"), b"after\n");
        assert_eq!(std::fs::read(scene.path("hidden")).expect("read"), b"before\n");
    });
}

#[test]
fn log_resume_looks_at_the_rotated_file_with_the_same_care() {
    with_each_plant("stdout.1", |scene, plant| {
        let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(1000, 3)).expect("created");
        log.append(b"before\n").expect("appended");
        let mut at = log.position();
        drop(log);
        std::fs::remove_file(scene.path("stdout")).expect("removed");
        // Even a position that names the outside file does not get that file truncated.
        let secret = scene.outside().join("secret").metadata().expect("there");
        (at.device, at.inode, at.offset) = (secret.dev(), secret.ino(), 1);
        let resumed = LogFile::resume(&scene.sandbox, "stdout", &at, None, policy(1000, 3)).expect("resumed");
        assert_eq!(resumed.outcome, ResumeOutcome::Replaced { found: Found::Missing }, "{plant:?}");
    });
}

#[test]
fn log_rotate_replaces_what_is_not_its_own() {
    with_each_plant("planted", |scene, plant| {
        let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(4, 3)).expect("created");
        log.append(b"before\n").expect("appended");
        std::fs::rename(scene.path("stdout"), scene.path("hidden")).expect("renamed");
        std::fs::rename(scene.path("planted"), scene.path("stdout")).expect("renamed");
        let outcome = log.rotate().expect("rotated");
        assert_eq!(outcome, RotateOutcome::Replaced { found: expected(plant) });
        log.append(b"after\n").expect("appended");
        assert_eq!(std::fs::read(scene.path("stdout")).expect("read"), b"after\n");
        assert!(scene.path("stdout.1").symlink_metadata().is_err());
    });
}

#[test]
fn log_rotate_goes_round_what_is_in_the_way() {
    for max_files in [0, 1, 2, 3] {
        for name in ["stdout.1", "stdout.2", "stdout.3", "stdout.new"] {
            with_each_plant(name, |scene, plant| {
                let mut log =
                    LogFile::create(&scene.sandbox, "stdout", None, policy(4, max_files)).expect("created");
                for round in 0..5 {
                    log.append(format!("round {round}\n").as_bytes()).expect("appended");
                    let outcome = log.rotate().expect("rotated");
                    assert_eq!(outcome, RotateOutcome::Rotated, "{plant:?} {name} {max_files} {round}");
                }
                log.append(b"last\n").expect("appended");
                assert_eq!(std::fs::read(scene.path("stdout")).expect("read"), b"last\n");
                for number in 1..=max_files.min(3) {
                    let content = std::fs::read(scene.path(&format!("stdout.{number}"))).expect("read");
                    assert_eq!(content, format!("round {}\n", 5 - number).as_bytes(), "{plant:?} {name}");
                }
                assert!(scene.path("stdout.new").symlink_metadata().is_err());
            });
        }
    }
}

#[test]
fn log_rotate_needs_the_same_sandbox() {
    let scene = Scene::new();
    let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(4, 3)).expect("created");
    log.append(b"before\n").expect("appended");
    std::fs::rename(scene.sandbox.path(), scene.path("../moved")).expect("renamed");
    symlink(scene.outside(), scene.sandbox.path()).expect("linked");
    assert!(matches!(log.rotate(), Err(SandboxError::Symlink { .. })));
    std::fs::remove_file(scene.sandbox.path()).expect("removed");
    std::fs::create_dir(scene.sandbox.path()).expect("made");
    assert!(matches!(log.rotate(), Err(SandboxError::Moved { .. })));
    log.append(b"after\n").expect("the old file goes on");
    assert_eq!(std::fs::read(scene.path("../moved/stdout")).expect("read"), b"before\nafter\n");
    scene.assert_outside_unchanged("a moved sandbox");
}

#[test]
fn log_reader_reads_plain_files_only() {
    with_each_plant("stdout", |scene, plant| {
        let mut reader = LogReader::open(&scene.sandbox, "stdout", StartAt::Oldest).expect("opened");
        let mut buffer = [0; 100];
        assert_eq!(reader.read_new(&mut buffer).expect("nothing there"), ReadOutcome::Idle, "{plant:?}");
    });
    with_each_plant("planted", |scene, plant| {
        std::fs::write(scene.path("stdout"), "mine").expect("written");
        let mut reader = LogReader::open(&scene.sandbox, "stdout", StartAt::Live).expect("opened");
        let mut buffer = [0; 100];
        assert_eq!(reader.read_new(&mut buffer).expect("begun"), ReadOutcome::NextFile);
        std::fs::rename(scene.path("stdout"), scene.path("hidden")).expect("renamed");
        std::fs::rename(scene.path("planted"), scene.path("stdout")).expect("renamed");
        assert_eq!(reader.read_new(&mut buffer).expect("the rest"), ReadOutcome::Data(4));
        let error = reader.read_new(&mut buffer).expect_err("refused");
        assert!(
            matches!(error, SandboxError::Unexpected { found, .. } if found == expected(plant)),
            "{error:?}"
        );
    });
}

/// A task that swaps entries as fast as it can while we work on them.
#[test]
fn swapping_entries_under_our_hands_leads_nowhere() {
    let scene = Scene::new();
    let stop = AtomicBool::new(false);
    let work = scene.sandbox.path();
    std::fs::create_dir(work.join("dir")).expect("made");
    symlink(scene.outside(), work.join("link")).expect("linked");
    symlink(scene.outside().join("secret"), work.join("file-link")).expect("linked");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = |a: &str, b: &str| {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                let _ = renameat_with(CWD, work.join(a), CWD, work.join(b), RenameFlags::EXCHANGE);
            };
            while !stop.load(Ordering::Relaxed) {
                exchange("dir", "link");
                exchange("stdout", "file-link");
                let _ = std::fs::hard_link(scene.outside().join("secret"), work.join("stdout.1"));
            }
        });
        let owner = rustix::process::geteuid().is_root().then(|| Owner::new(12345, 23456).expect("valid"));
        let mut at = None;
        for round in 0..1000 {
            let _ = scene.sandbox.create_dir_all(&rel("dir/deep/er"), 0o777, owner);
            let _ = scene.sandbox.create_file(&rel(&format!("dir/file{round}")), 0o666, owner);
            if let Ok(mut file) = scene.sandbox.open_file(&rel("dir/secret")) {
                let mut content = String::new();
                let _ = file.read_to_string(&mut content);
                assert_ne!(content, SECRET);
            }
            let log = match at {
                Some(at) => {
                    LogFile::resume(&scene.sandbox, "stdout", &at, owner, policy(4, 2)).map(|it| it.file)
                }
                None => LogFile::create(&scene.sandbox, "stdout", owner, policy(4, 2)),
            };
            if let Ok(mut log) = log {
                let _ = log.append(b"hostile\n");
                let _ = log.rotate();
                at = (round % 3 != 0).then(|| log.position());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    for name in ["stdout.1", "stdout.2"] {
        let _ = std::fs::remove_file(scene.path(name));
    }
    scene.assert_outside_unchanged("swapped entries");
}
