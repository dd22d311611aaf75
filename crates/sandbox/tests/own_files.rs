//! The files beside a sandbox, which are ours alone: locks and records.

mod common;

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Plant, Scene, promptly};
use sandbox::{
    Durability, Held, RunLock, RunLockError, SandboxError, is_temporary, read_bounded, remove_temporaries,
    write_atomic,
};

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("listed");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("read").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn a_lock_is_held_until_it_is_dropped() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("lock");
    assert!(!RunLock::is_held(&path).expect("no file is no lock"));
    let lock = RunLock::acquire(&path).expect("acquired");
    assert!(RunLock::is_held(&path).expect("looked"));
    assert_eq!(RunLock::holder(&path), Some(std::process::id()));
    match RunLock::acquire(&path) {
        Err(RunLockError::Held(held)) => {
            assert_eq!(held, Held { path: path.clone(), holder: Some(std::process::id()) });
            assert!(
                held.to_string().contains(&format!("is locked by process {}", std::process::id())),
                "{held}"
            );
        }
        other => panic!("{other:?}"),
    }
    drop(lock);
    assert!(!RunLock::is_held(&path).expect("looked"));
    assert_eq!(path.metadata().expect("it stays").mode() & 0o7777, 0o600);
    drop(RunLock::acquire(&path).expect("acquired again"));
}

/// The kernel lets go of the lock of a killed process, and a child that outlives us does not keep it.
#[test]
fn a_lock_is_not_inherited() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("lock");
    let lock = RunLock::acquire(&path).expect("acquired");
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("started");
    drop(lock);
    assert!(!RunLock::is_held(&path).expect("looked"));
    drop(child.stdin.take());
    child.wait().expect("ended");
}

#[test]
fn looking_does_not_disturb_taking() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("lock");
    drop(RunLock::acquire(&path).expect("acquired"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                RunLock::is_held(&path).expect("looked");
            }
        });
        let results: Vec<bool> = (0..500).map(|_| RunLock::acquire(&path).is_ok()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(results.into_iter().all(|taken| taken));
    });
}

#[test]
fn one_of_many_gets_the_lock() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("lock");
    let barrier = std::sync::Barrier::new(8);
    let got: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let lock = RunLock::acquire(&path);
                    // Nobody lets go before everybody has tried.
                    barrier.wait();
                    lock.is_ok()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
    });
    assert_eq!(got.into_iter().filter(|got| *got).count(), 1);
}

/// Whoever removes a run's directory does so while holding its lock. Another who waits with the old file open must
/// not take the lock of a file that is gone.
#[test]
fn a_lock_whose_file_was_removed_is_no_lock() {
    use std::sync::atomic::AtomicU32;
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("lock");
    let (holders, taken) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    let Ok(lock) = RunLock::acquire(&path) else { continue };
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold the lock");
                    taken.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    holders.fetch_sub(1, Ordering::SeqCst);
                    std::fs::remove_file(&path).expect("it is ours");
                    drop(lock);
                }
            });
        }
    });
    assert!(taken.into_inner() > 0);
}

#[test]
fn a_lock_file_is_a_plain_file() {
    for plant in Plant::ALL {
        let scene = Scene::new();
        if plant == Plant::HardLink || !scene.plant(plant, "lock") {
            continue;
        }
        promptly(|| {
            let path = scene.path("lock");
            let error = RunLock::acquire(&path).expect_err("refused");
            assert!(matches!(error, RunLockError::File(_)), "{plant:?}: {error:?}");
            if plant != Plant::LinkToNothing {
                assert!(RunLock::is_held(&path).is_err(), "{plant:?}");
            }
        });
        scene.assert_outside_unchanged("a lock");
    }
}

#[test]
fn a_record_is_replaced_whole() {
    let root = tempfile::tempdir().expect("a directory");
    for (durability, content) in
        [(Durability::Process, "one"), (Durability::PowerLoss, "two, longer"), (Durability::Process, "")]
    {
        write_atomic(root.path(), "supervision", content.as_bytes(), 0o600, durability).expect("written");
        let path = root.path().join("supervision");
        assert_eq!(read_bounded(&path, 100).expect("read"), content.as_bytes());
        assert_eq!(path.metadata().expect("there").mode() & 0o7777, 0o600);
    }
    write_atomic(root.path(), "supervision", b"x", 0o7644, Durability::Process).expect("written");
    assert_eq!(root.path().join("supervision").metadata().expect("there").mode() & 0o7777, 0o644);
    assert_eq!(names(root.path()), ["supervision"]);
}

#[test]
fn a_failed_write_leaves_the_old_record_and_nothing_else() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(root.path().join("supervision/full")).expect("made");
    let error =
        write_atomic(root.path(), "supervision", b"x", 0o600, Durability::Process).expect_err("refused");
    assert_eq!(error.path(), root.path().join("supervision"));
    assert_eq!(names(root.path()), ["supervision"]);
    for name in ["", ".", "..", "a/b", "/a", "a\0b", &"x".repeat(201)] {
        let error = write_atomic(root.path(), name, b"x", 0o600, Durability::Process).expect_err(name);
        assert!(matches!(error, SandboxError::InvalidName { .. }), "{error:?}");
    }
    let missing = write_atomic(&root.path().join("none"), "a", b"x", 0o600, Durability::Process);
    assert!(missing.expect_err("no directory").is_not_found());
}

#[test]
fn readers_see_the_old_record_or_the_new_one() {
    let root = tempfile::tempdir().expect("a directory");
    let (old, new) = (vec![b'o'; 10_000], vec![b'n'; 20_000]);
    write_atomic(root.path(), "record", &old, 0o600, Durability::Process).expect("written");
    let path = root.path().join("record");
    std::thread::scope(|scope| {
        for content in [&old, &new] {
            let root = root.path();
            scope.spawn(move || {
                for _ in 0..300 {
                    write_atomic(root, "record", content, 0o600, Durability::Process).expect("written");
                }
            });
        }
        for _ in 0..300 {
            let seen = read_bounded(&path, 50_000).expect("read");
            assert!(seen == old || seen == new, "{} bytes", seen.len());
        }
    });
    assert_eq!(names(root.path()), ["record"]);
}

#[test]
fn leftovers_of_a_killed_writer_are_recognised_and_removed() {
    let root = tempfile::tempdir().expect("a directory");
    write_atomic(root.path(), "record", b"x", 0o600, Durability::Process).expect("written");
    for name in [".record.tmp-77-0", ".record.tmp-77-1", ".hidden"] {
        std::fs::write(root.path().join(name), "half").expect("written");
    }
    assert!(is_temporary(".record.tmp-77-0"));
    assert_eq!(remove_temporaries(root.path()).expect("removed"), 2);
    assert_eq!(names(root.path()), [".hidden", "record"]);
}

#[test]
fn reads_are_bounded_and_of_plain_files() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("record");
    std::fs::write(&path, "12345").expect("written");
    assert_eq!(read_bounded(&path, 5).expect("read"), b"12345");
    assert!(matches!(read_bounded(&path, 4), Err(SandboxError::TooLarge { max: 4, .. })));
    assert!(read_bounded(&root.path().join("none"), 5).expect_err("missing").is_not_found());
    let link = root.path().join("link");
    symlink(&path, &link).expect("linked");
    assert!(matches!(read_bounded(&link, 5), Err(SandboxError::Symlink { .. })));
    let scene = Scene::new();
    scene.plant(Plant::Fifo, "fifo");
    let error = promptly(|| read_bounded(&scene.path("fifo"), 5).expect_err("refused"));
    assert!(matches!(error, SandboxError::Unexpected { .. }), "{error:?}");
}
