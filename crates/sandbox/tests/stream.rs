//! Properties: whatever is appended, stored, rotated and killed in whatever order, the stream is exact.

mod common;

use common::{Scene, policy, whole_stream};
use proptest::prelude::*;
use sandbox::{LogFile, LogPosition, LogReader, ReadOutcome, RotationPolicy, StartAt};

/// One thing that happens to a stream.
#[derive(Clone, Debug)]
enum Event {
    /// The container prints this, and it is appended.
    Append(Vec<u8>),
    /// The cursor is stored.
    Store,
    /// The cursor is stored and the file rotated.
    Rotate,
    /// Our process is killed and a successor goes on at the stored cursor.
    Kill,
    /// The cursor is stored, and our process is killed after so many steps of the rotation.
    KillInRotation(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let line =
        proptest::collection::vec(prop_oneof![4 => Just(b'x'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..30);
    proptest::collection::vec(
        prop_oneof![
            8 => line.prop_map(Event::Append),
            3 => Just(Event::Store),
            2 => Just(Event::Rotate),
            2 => Just(Event::Kill),
            1 => (0..4_usize).prop_map(Event::KillInRotation),
        ],
        0..60,
    )
}

/// A supervisor with its stored cursor: the log's position, and how much of the container's output it stands for.
struct Supervisor {
    scene: Scene,
    policy: RotationPolicy,
    log: LogFile,
    /// Everything that the container has printed, which the engine keeps.
    printed: Vec<u8>,
    stored: (LogPosition, usize),
}

impl Supervisor {
    fn new(policy: RotationPolicy) -> Supervisor {
        let scene = Scene::new();
        let log = LogFile::create(&scene.sandbox, "stdout", None, policy).expect("created");
        let stored = (log.position(), 0);
        Supervisor { scene, policy, log, printed: Vec::new(), stored }
    }

    fn store(&mut self) {
        self.stored = (self.log.position(), self.printed.len());
    }

    fn rotate(&mut self) {
        self.store();
        self.log.rotate().expect("rotated");
    }

    fn put(&mut self, bytes: &[u8]) {
        self.log.append(bytes).expect("appended");
    }

    /// Goes on at the stored cursor and reads again what the engine has after it.
    fn resume(&mut self) {
        let (at, from) = self.stored;
        let resumed =
            LogFile::resume(&self.scene.sandbox, "stdout", &at, None, self.policy).expect("resumed");
        self.log = resumed.file;
        let again = self.printed[from..].to_vec();
        self.put(&again);
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Append(bytes) => {
                self.printed.extend_from_slice(&bytes);
                self.put(&bytes);
            }
            Event::Store => self.store(),
            Event::Rotate => self.rotate(),
            Event::Kill => self.resume(),
            Event::KillInRotation(steps) => {
                self.store();
                self.partial_rotation(steps);
                self.resume();
            }
        }
    }

    /// The first steps of a rotation, as `rotate.rs` does them.
    fn partial_rotation(&self, steps: usize) {
        let path = |name: &str| self.scene.path(name);
        if steps > 0 {
            std::fs::write(path("stdout.new"), "").expect("made");
        }
        if steps > 1 {
            let rotated: Vec<u32> =
                (1..).take_while(|number| path(&format!("stdout.{number}")).exists()).collect();
            for number in rotated.into_iter().rev() {
                let (from, to) = (format!("stdout.{number}"), format!("stdout.{}", number + 1));
                std::fs::rename(path(&from), path(&to)).expect("moved");
            }
            std::fs::rename(path("stdout"), path("stdout.1")).expect("moved");
        }
        if steps > 2 {
            std::fs::rename(path("stdout.new"), path("stdout")).expect("moved");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Rotated files, oldest first, and the live file are the bytes that the container printed, once and in order.
    #[test]
    fn the_files_are_the_stream(events in events()) {
        let mut supervisor = Supervisor::new(policy(20, 1000));
        for event in events {
            let killed = matches!(event, Event::Kill | Event::KillInRotation(_));
            supervisor.step(event);
            if killed {
                prop_assert_eq!(whole_stream(&supervisor.scene.sandbox, "stdout"), &*supervisor.printed);
            }
        }
        prop_assert_eq!(whole_stream(&supervisor.scene.sandbox, "stdout"), &*supervisor.printed);
    }

    /// With the rotation that the policy asks for, and pieces cut as it asks for, every file ends with a line.
    #[test]
    fn rotated_files_hold_whole_lines(lines in proptest::collection::vec("[a-z]{0,18}", 0..80), piece in 1..60_usize) {
        let mut supervisor = Supervisor::new(policy(20, 1000));
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        supervisor.printed = text.clone().into_bytes();
        for chunk in text.as_bytes().chunks(piece) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(supervisor.log.fitting(rest));
                supervisor.put(now);
                rest = later;
                if supervisor.log.wants_rotation() {
                    supervisor.log.rotate().expect("rotated");
                }
            }
        }
        prop_assert_eq!(whole_stream(&supervisor.scene.sandbox, "stdout"), text.as_bytes());
        for number in (1..).take_while(|number| supervisor.scene.path(&format!("stdout.{number}")).exists()) {
            let content = std::fs::read(supervisor.scene.path(&format!("stdout.{number}"))).expect("read");
            prop_assert_eq!(content.last(), Some(&b'\n'));
            prop_assert!((20..40).contains(&content.len()), "{}", content.len());
        }
    }

    /// Who reads along, now and then, reads the same stream.
    #[test]
    fn a_reader_sees_the_stream(
        events in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..30), 0..4_u8), 0..60),
        size in 1..40_usize,
    ) {
        let mut supervisor = Supervisor::new(policy(20, 1000));
        let mut reader = LogReader::open(&supervisor.scene.sandbox, "stdout", StartAt::Oldest).expect("opened");
        let mut seen = Vec::new();
        let mut buffer = vec![0; size];
        for (bytes, what) in events {
            supervisor.step(Event::Append(bytes));
            match what {
                0 => supervisor.rotate(),
                1 => {
                    if let ReadOutcome::Data(count) = reader.read_new(&mut buffer).expect("read") {
                        seen.extend_from_slice(&buffer[..count]);
                    }
                }
                _ => {}
            }
        }
        loop {
            match reader.read_new(&mut buffer).expect("read") {
                ReadOutcome::Data(count) => seen.extend_from_slice(&buffer[..count]),
                ReadOutcome::NextFile => {}
                ReadOutcome::Idle => break,
                outcome => prop_assert!(false, "{:?}", outcome),
            }
        }
        prop_assert_eq!(seen, supervisor.printed);
    }
}
