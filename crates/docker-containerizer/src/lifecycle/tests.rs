//! The table of every state and event, and properties of random lives against a small model.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use containerizer::Kill;

const PENDING: Life = Life::Preparing { fetch: Progress::Pending, pull: Progress::Pending };
const FETCHED: Life = Life::Preparing { fetch: Progress::Done, pull: Progress::Pending };
const PULLED: Life = Life::Preparing { fetch: Progress::Pending, pull: Progress::Done };

fn killed() -> Cause {
    Cause::Killed(Kill { grace: Duration::from_secs(3) })
}

fn failure() -> Failure {
    Failure::new("pull", "no such image")
}

fn destroying(started: Started) -> Life {
    Life::Destroying { cause: killed(), started }
}

fn states() -> Vec<Life> {
    vec![
        PENDING,
        FETCHED,
        PULLED,
        Life::Mounting,
        Life::Starting,
        Life::Running,
        destroying(Started::No),
        destroying(Started::Yes),
        Life::Terminated,
    ]
}

fn events() -> Vec<Event> {
    vec![
        Event::Fetched,
        Event::Pulled,
        Event::Mounted,
        Event::Started,
        Event::Failed(failure()),
        Event::Destroy(killed()),
        Event::Exited(Exit::Code(0)),
        Event::Cleared,
    ]
}

/// One character a cell: `.` illegal, `-` no action, m mount, s start, w watch, K stop, C clear, h hasten, E the end.
const TABLE: [(&str, &str); 9] = [
    ("pending      ", "--..EE.."),
    ("fetched      ", ".m..EE.."),
    ("pulled       ", "m...EE.."),
    ("mounting     ", "..s.EE.."),
    ("starting     ", "...wC-.."),
    ("running      ", ".....KE."),
    ("destroying no", "...KCh.E"),
    ("destroying ye", ".....hE."),
    ("terminated   ", ".....-.."),
];

#[test]
fn every_state_takes_every_event_as_the_table_says() {
    for (life, (name, row)) in states().into_iter().zip(TABLE) {
        for (event, expected) in events().into_iter().zip(row.chars()) {
            let mut next = life.clone();
            let cell = match next.step(event.clone()) {
                Err(_) => '.',
                Ok(Action::None) => '-',
                Ok(Action::Mount) => 'm',
                Ok(Action::Start) => 's',
                Ok(Action::Watch) => 'w',
                Ok(Action::Stop) => 'K',
                Ok(Action::Clear) => 'C',
                Ok(Action::Hasten) => 'h',
                Ok(Action::End(_)) => 'E',
            };
            assert_eq!(cell, expected, "{name} + {event:?}");
            if cell == '.' {
                assert_eq!(next, life, "an illegal event changed the state: {name} + {event:?}");
            }
        }
    }
}

#[test]
fn a_start_that_fails_after_a_kill_ends_as_killed() {
    let mut life = Life::Starting;
    life.step(Event::Destroy(killed())).unwrap();
    life.step(Event::Failed(failure())).unwrap();
    assert_eq!(life.step(Event::Cleared), Ok(Action::End(End::DestroyedBeforeStart(killed()))));
}

#[test]
fn a_failed_start_ends_as_failed_after_it_was_cleared_away() {
    let mut life = Life::Starting;
    assert_eq!(life.step(Event::Failed(failure())), Ok(Action::Clear));
    assert_eq!(life.step(Event::Cleared), Ok(Action::End(End::Failed(failure()))));
}

fn any_event() -> impl Strategy<Value = Event> {
    prop::sample::select(events())
}

proptest! {
    #[test]
    fn a_life_ends_once_and_leaves_nothing_behind(given in prop::collection::vec(any_event(), 0..60)) {
        // The model: whether a container may exist in the engine, and how often the end was told.
        let (mut life, mut may_exist, mut ends, mut destroyed) = (Life::accepted(), false, 0, false);
        for event in given {
            let terminated = life == Life::Terminated;
            let is_destroy = matches!(event, Event::Destroy(_));
            let seen_gone = matches!(event, Event::Exited(_) | Event::Cleared);
            let Ok(action) = life.step(event) else { continue };
            destroyed |= is_destroy;
            prop_assert!(!terminated || action == Action::None, "something happened after the end");
            prop_assert!(!(destroyed && life == Life::Running), "running after a destroy");
            match action {
                Action::Start => may_exist = true,
                Action::End(_) => {
                    ends += 1;
                    if seen_gone {
                        may_exist = false;
                    }
                    prop_assert!(!may_exist, "the end was told while a container may exist");
                }
                Action::None | Action::Mount | Action::Watch | Action::Stop | Action::Clear | Action::Hasten => {}
            }
        }
        prop_assert_eq!(ends, usize::from(life == Life::Terminated));
    }
}
