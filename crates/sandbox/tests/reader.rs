//! Reading a stream that is being written, as `logs -f` does.

mod common;

use common::{Scene, policy};
use sandbox::{LogFile, LogReader, ReadOutcome, RotationPolicy, StartAt};

/// Reads until there is nothing new, and gives the text and everything else that happened on the way.
fn drain(reader: &mut LogReader) -> (String, Vec<ReadOutcome>) {
    let mut text = Vec::new();
    let mut outcomes = Vec::new();
    let mut buffer = [0; 7];
    loop {
        match reader.read_new(&mut buffer).expect("read") {
            ReadOutcome::Data(count) => text.extend_from_slice(&buffer[..count]),
            ReadOutcome::Idle => return (String::from_utf8(text).expect("text"), outcomes),
            outcome => outcomes.push(outcome),
        }
        assert!(outcomes.len() < 100, "{outcomes:?}");
    }
}

#[test]
fn a_stream_need_not_exist_yet() {
    let scene = Scene::new();
    let mut reader = LogReader::open(&scene.sandbox, "stdout", StartAt::Oldest).expect("opened");
    assert_eq!(drain(&mut reader), (String::new(), vec![]));
    let mut log =
        LogFile::create(&scene.sandbox, "stdout", None, RotationPolicy::UNLIMITED).expect("created");
    log.append(b"a first line\n").expect("appended");
    assert_eq!(drain(&mut reader), ("a first line\n".into(), vec![ReadOutcome::NextFile]));
    log.append(b"a second\n").expect("appended");
    assert_eq!(drain(&mut reader), ("a second\n".into(), vec![]));
}

#[test]
fn reading_begins_where_it_is_told_to() {
    for (start, expected) in [
        (StartAt::Oldest, "line 0\nline 1\nline 2\nlive\nnew\n"),
        (StartAt::Live, "live\nnew\n"),
        (StartAt::End, "new\n"),
    ] {
        let scene = Scene::new();
        let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(4, 9)).expect("created");
        for number in 0..3 {
            log.append(format!("line {number}\n").as_bytes()).expect("appended");
            log.rotate().expect("rotated");
        }
        log.append(b"live\n").expect("appended");
        let mut reader = LogReader::open(&scene.sandbox, "stdout", start).expect("opened");
        let (mut text, _) = drain(&mut reader);
        log.append(b"new\n").expect("appended");
        text += &drain(&mut reader).0;
        assert_eq!(text, expected, "{start:?}");
    }
}

#[test]
fn several_rotations_between_two_reads_lose_nothing() {
    let scene = Scene::new();
    let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(4, 9)).expect("created");
    let mut reader = LogReader::open(&scene.sandbox, "stdout", StartAt::Oldest).expect("opened");
    log.append(b"zero\n").expect("appended");
    assert_eq!(drain(&mut reader).0, "zero\n");
    for number in 1..6 {
        log.append(format!("line {number}\n").as_bytes()).expect("appended");
        log.rotate().expect("rotated");
    }
    assert_eq!(
        drain(&mut reader),
        ("line 1\nline 2\nline 3\nline 4\nline 5\n".into(), vec![ReadOutcome::NextFile; 5])
    );
}

#[test]
fn more_rotations_than_files_are_a_gap_that_is_told() {
    let scene = Scene::new();
    let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(4, 2)).expect("created");
    let mut reader = LogReader::open(&scene.sandbox, "stdout", StartAt::Oldest).expect("opened");
    log.append(b"zero\n").expect("appended");
    assert_eq!(drain(&mut reader).0, "zero\n");
    for number in 1..6 {
        log.append(format!("line {number}\n").as_bytes()).expect("appended");
        log.rotate().expect("rotated");
    }
    log.append(b"live\n").expect("appended");
    assert_eq!(drain(&mut reader), ("line 1\nlive\n".into(), vec![ReadOutcome::Lost]));
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let scene = Scene::new();
    let mut log =
        LogFile::create(&scene.sandbox, "stdout", None, RotationPolicy::UNLIMITED).expect("created");
    let mut reader = LogReader::open(&scene.sandbox, "stdout", StartAt::Live).expect("opened");
    log.append(b"before the cut\n").expect("appended");
    assert_eq!(drain(&mut reader).0, "before the cut\n");
    std::fs::write(scene.path("stdout"), "").expect("truncated");
    log.append(b"after\n").expect("appended");
    assert_eq!(drain(&mut reader), ("after\n".into(), vec![ReadOutcome::Truncated]));
}

/// A writer and a reader at full speed: what is read is what was written.
#[test]
fn reading_while_it_is_rotated() {
    let scene = Scene::new();
    let mut log = LogFile::create(&scene.sandbox, "stdout", None, policy(200, 10_000)).expect("created");
    let mut reader = LogReader::open(&scene.sandbox, "stdout", StartAt::Oldest).expect("opened");
    let text: String = (0..3000).map(|number| format!("a line of number {number}\n")).collect();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in text.split_inclusive('\n') {
                log.append(line.as_bytes()).expect("appended");
                if log.wants_rotation() {
                    log.rotate().expect("rotated");
                }
            }
        });
        let mut buffer = [0; 1000];
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while seen.len() < text.len() {
            assert!(std::time::Instant::now() < deadline, "read {} of {} bytes", seen.len(), text.len());
            match reader.read_new(&mut buffer).expect("read") {
                ReadOutcome::Data(count) => seen.extend_from_slice(&buffer[..count]),
                ReadOutcome::Idle => std::thread::yield_now(),
                ReadOutcome::NextFile => {}
                outcome => panic!("{outcome:?}"),
            }
        }
    });
    assert!(seen == text.as_bytes());
}
