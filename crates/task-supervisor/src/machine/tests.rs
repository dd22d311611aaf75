//! The table of every state and event, and properties of random lives.

use proptest::prelude::*;

use super::*;

const OWN: Duration = Duration::from_secs(3);
const OTHER: Duration = Duration::from_secs(1);

fn killing(cause: KillCause) -> Life {
    let grace = if cause == KillCause::CompletionTime { Duration::ZERO } else { OWN };
    Life::Killing(Killing { cause, grace })
}

fn checked() -> v1::CheckStatusInfo {
    v1::CheckStatusInfo { r#type: Some(v1::check_info::Type::Tcp.into()), ..Default::default() }
}

fn states() -> Vec<Life> {
    let causes = [
        KillCause::Framework,
        KillCause::Shutdown,
        KillCause::Drain,
        KillCause::HealthCheck,
        KillCause::CompletionTime,
    ];
    [Life::Staging, Life::Starting, Life::Running]
        .into_iter()
        .chain(causes.map(killing))
        .chain([Life::Ended])
        .collect()
}

fn events() -> Vec<Event> {
    vec![
        Event::Prepared,
        Event::Started,
        Event::Kill(KillCause::Framework, None),
        Event::Kill(KillCause::Shutdown, Some(OTHER)),
        Event::TimeUp,
        Event::Health(Health::Healthy),
        Event::Health(Health::Unhealthy),
        Event::Health(Health::Failing),
        Event::Checked(checked()),
        Event::Gone,
        Event::Terminated,
    ]
}

/// One letter an action. Told are s STARTING, r RUNNING, h healthy, u unhealthy, c checked, k KILLING, T the end; done are
/// n the note that it started, l limit, x no limit, b checks begin, p checks pause, e checks end, K stop.
fn letter(action: &Action) -> char {
    match action {
        Action::Tell(News::Starting) => 's',
        Action::Tell(News::Running) => 'r',
        Action::Tell(News::Health(true)) => 'h',
        Action::Tell(News::Health(false)) => 'u',
        Action::Tell(News::Checked(_)) => 'c',
        Action::Tell(News::Killing) => 'k',
        Action::Tell(News::Terminal) => 'T',
        Action::NoteStarted => 'n',
        Action::Limit => 'l',
        Action::Unlimit => 'x',
        Action::StartChecks => 'b',
        Action::PauseChecks => 'p',
        Action::StopChecks => 'e',
        Action::Stop(_) => 'K',
    }
}

/// A row for each state, a column for each event, in their orders.
#[rustfmt::skip]
const TABLE: [(&str, [&str; 11]); 9] = [
    //             prepared started  kill    kill,    time  healthy unhealthy failing  checked gone  ended
    //                                       other grace up
    ("staging",  ["s",     "nsrlb", "xpK",  "xpK",   "",   "",     "",       "",      "",     "",    "eT"]),
    ("starting", ["",      "nrlb",  "xpKk", "xpKk",  "",   "",     "",       "",      "",     "",    "eT"]),
    ("running",  ["",      "nlb",   "xpKk", "xpKk",  "K",  "h",    "u",      "uxpKk", "c",    "xe",  "eT"]),
    ("killed",   ["",      "n",     "",     "K",     "",   "",     "",       "",      "",     "xe",  "eT"]),
    ("shut down",["",      "n",     "",     "K",     "",   "",     "",       "",      "",     "xe",  "eT"]),
    ("drained",  ["",      "n",     "",     "K",     "",   "",     "",       "",      "",     "xe",  "eT"]),
    ("unhealthy",["",      "n",     "",     "K",     "",   "",     "",       "",      "",     "xe",  "eT"]),
    ("too long", ["",      "n",     "",     "",      "",   "h",    "u",      "u",     "c",    "xe",  "eT"]),
    ("ended",    ["",      "",      "",     "",      "",   "",     "",       "",      "",     "",    ""]),
];

fn run(life: Life, event: Event, task_killing: TaskKilling) -> (String, Life) {
    let mut machine = Machine { life, task_killing, grace: OWN };
    let letters = machine.step(event).iter().map(letter).collect();
    (letters, machine.life)
}

#[test]
fn every_state_takes_every_event_as_the_table_says() {
    assert_eq!(states().len(), TABLE.len());
    for (life, (name, row)) in states().into_iter().zip(TABLE) {
        for (event, expected) in events().into_iter().zip(row) {
            let (found, next) = run(life, event.clone(), TaskKilling::Sent);
            assert_eq!(found, expected, "{name} + {event:?}");
            let (silent, same) = run(life, event.clone(), TaskKilling::Omitted);
            assert_eq!(silent, expected.replace('k', ""), "{name} + {event:?}, without TASK_KILLING");
            assert_eq!(same, next, "{name} + {event:?}");
            if found.is_empty() {
                assert_eq!(next, life, "{name} + {event:?} did nothing and changed the state");
            }
        }
    }
}

/// Where each event leads from each state: the first letters of the states' names in the table, a dot for no change.
#[test]
fn every_state_goes_where_the_table_says() {
    const NEXT: [&str; 9] = [
        "SRFH......E",
        ".RFH......E",
        "..FHT..U..E",
        "...*......E",
        "...*......E",
        "...*......E",
        "...*......E",
        "..........E",
        "...........",
    ];
    for (life, row) in states().into_iter().zip(NEXT) {
        for (event, expected) in events().into_iter().zip(row.chars()) {
            let (_, next) = run(life, event.clone(), TaskKilling::Sent);
            let found = match next {
                next if next == life => '.',
                Life::Staging => panic!("back to staging by {event:?}"),
                Life::Starting => 'S',
                Life::Running => 'R',
                Life::Ended => 'E',
                // The first cause stays under a kill with another grace.
                Life::Killing(now) => match life {
                    Life::Killing(before) if before.cause == now.cause && now.grace == OTHER => '*',
                    Life::Killing(_) => panic!("{life:?} + {event:?} gave {now:?}"),
                    Life::Staging | Life::Starting | Life::Running | Life::Ended => match now.cause {
                        KillCause::Framework => 'F',
                        KillCause::Shutdown => 'H',
                        KillCause::Drain => 'D',
                        KillCause::CompletionTime => 'T',
                        KillCause::HealthCheck => 'U',
                    },
                },
            };
            assert_eq!(found, expected, "{life:?} + {event:?} gave {next:?}");
        }
    }
}

#[test]
fn a_kill_has_the_grace_that_it_brings_or_the_tasks_own() {
    let mut machine = Machine::accepted(TaskKilling::Sent, OWN);
    let stop = |actions: Vec<Action>| {
        actions.into_iter().find_map(|action| match action {
            Action::Stop(killing) => Some(killing),
            _ => None,
        })
    };
    let killing = |grace| Some(Killing { cause: KillCause::Framework, grace });
    assert_eq!(stop(machine.step(Event::Kill(KillCause::Framework, None))), killing(OWN));
    // Repeated, it does not begin anew, whoever repeats it.
    assert_eq!(stop(machine.step(Event::Kill(KillCause::Shutdown, Some(OWN)))), None);
    assert_eq!(stop(machine.step(Event::Kill(KillCause::Framework, Some(OTHER)))), killing(OTHER));
    // A longer one counts as well, as in stock.
    assert_eq!(stop(machine.step(Event::Kill(KillCause::Framework, None))), killing(OWN));
    assert_eq!(stop(machine.step(Event::TimeUp)), None);
}

#[rstest::rstest]
#[case::trusts_a_record_that_launched(false, None, None, Life::Starting, "")]
#[case::trusts_a_record_that_ran(true, None, None, Life::Running, "")]
#[case::nothing_was_heard(true, None, Some(v1::TaskState::TaskStaging), Life::Staging, "")]
#[case::running_was_lost(true, None, Some(v1::TaskState::TaskStarting), Life::Starting, "")]
#[case::running_was_heard(true, None, Some(v1::TaskState::TaskRunning), Life::Running, "")]
#[case::killing_was_lost(
    true,
    Some(KillCause::Framework),
    Some(v1::TaskState::TaskRunning),
    killing(KillCause::Framework),
    "k"
)]
#[case::killing_was_heard(
    true,
    Some(KillCause::Framework),
    Some(v1::TaskState::TaskKilling),
    killing(KillCause::Framework),
    ""
)]
#[case::killed_before_anything_was_heard(
    false,
    Some(KillCause::Framework),
    Some(v1::TaskState::TaskStaging),
    killing(KillCause::Framework),
    ""
)]
#[case::a_kill_by_the_record(true, Some(KillCause::Framework), None, killing(KillCause::Framework), "")]
#[case::none_is_told_of_a_task_whose_time_is_up(
    true,
    Some(KillCause::CompletionTime),
    Some(v1::TaskState::TaskRunning),
    killing(KillCause::CompletionTime),
    ""
)]
#[case::a_kill_that_was_told_and_not_recorded_is_done_again(
    true,
    None,
    Some(v1::TaskState::TaskKilling),
    killing(KillCause::Framework),
    "K"
)]
fn an_adopted_task_is_told_from_where_it_was_heard(
    #[case] is_running: bool,
    #[case] cause: Option<KillCause>,
    #[case] told: Option<v1::TaskState>,
    #[case] expected: Life,
    #[case] letters: &str,
) {
    let under_way = cause.map(|cause| match killing(cause) {
        Life::Killing(killing) => killing,
        other => panic!("{other:?}"),
    });
    let (machine, actions) = Machine::adopted(TaskKilling::Sent, OWN, is_running, under_way, told);
    assert_eq!(machine.life(), expected);
    assert_eq!(actions.iter().map(letter).collect::<String>(), letters);
}

fn any_event() -> impl Strategy<Value = Event> {
    let causes = [KillCause::Framework, KillCause::Shutdown, KillCause::Drain];
    let kill = (prop::sample::select(causes.to_vec()), prop::option::of(0_u64..5))
        .prop_map(|(cause, grace)| Event::Kill(cause, grace.map(Duration::from_secs)));
    prop_oneof![3 => prop::sample::select(events()), 1 => kill]
}

fn any_machine() -> impl Strategy<Value = Machine> {
    let task_killing = prop::sample::select(vec![TaskKilling::Sent, TaskKilling::Omitted]);
    (prop::sample::select(states()), task_killing).prop_map(|(life, task_killing)| Machine {
        life,
        task_killing,
        grace: OWN,
    })
}

proptest! {
    /// What a framework hears, whatever happens in whatever order.
    #[test]
    fn a_framework_hears_one_end_and_nothing_out_of_order(
        given in prop::collection::vec(any_event(), 0..60),
        accepted in any::<bool>(),
        any in any_machine(),
    ) {
        let mut machine =
            if accepted { Machine::accepted(TaskKilling::Sent, OWN) } else { any };
        let begins_staging = machine.life == Life::Staging;
        let mut heard = Vec::new();
        for event in given {
            let ended = machine.life == Life::Ended;
            let was_killing = matches!(machine.life, Life::Killing(_));
            let actions = machine.step(event.clone());
            prop_assert!(!ended || actions.is_empty(), "{actions:?} after the end");
            prop_assert!(
                !was_killing || matches!(machine.life, Life::Killing(_) | Life::Ended),
                "a kill was taken back"
            );
            // A kill is never lost on a task that has not ended.
            if matches!(event, Event::Kill(..)) && !ended {
                prop_assert!(matches!(machine.life, Life::Killing(_)));
            }
            for action in actions {
                if let Action::Tell(news) = action {
                    heard.push(news);
                }
            }
        }
        let at = |wanted: fn(&News) -> bool| heard.iter().position(wanted);
        let count = |wanted: fn(&News) -> bool| heard.iter().filter(|news| wanted(news)).count();
        let is_end: fn(&News) -> bool = |news| *news == News::Terminal;
        let is_killing: fn(&News) -> bool = |news| *news == News::Killing;
        let is_running: fn(&News) -> bool =
            |news| matches!(news, News::Running | News::Health(_) | News::Checked(_));
        prop_assert!(count(is_end) <= 1 && count(is_killing) <= 1);
        prop_assert!(count(|news| *news == News::Starting) <= 1 && count(|news| *news == News::Running) <= 1);
        if let Some(end) = at(is_end) {
            prop_assert_eq!(end, heard.len() - 1, "something was told after the end");
        }
        if let Some(killing) = at(is_killing) {
            prop_assert!(!heard[killing..].iter().any(is_running), "RUNNING after KILLING: {:?}", heard);
        }
        if begins_staging && let Some(first) = heard.first() {
            prop_assert!(matches!(first, News::Starting | News::Terminal), "{:?} came first", first);
            if let Some(running) = at(is_running) {
                prop_assert_eq!(&heard[running], &News::Running, "checks were told before RUNNING");
            }
        }
    }

    /// What is done, whatever happens: nothing is left running behind the end, and nothing is checked that is killed.
    #[test]
    fn checks_and_limits_follow_the_task(given in prop::collection::vec(any_event(), 0..60)) {
        let mut machine = Machine::accepted(TaskKilling::Sent, OWN);
        let (mut is_checked, mut is_limited, mut is_gone, mut stops) = (false, false, false, 0);
        for event in given {
            match event {
                Event::Gone => is_gone |= machine.life == Life::Running,
                Event::Started => is_gone = false,
                _ => {}
            }
            for action in machine.step(event) {
                match action {
                    Action::StartChecks => is_checked = true,
                    Action::PauseChecks | Action::StopChecks => is_checked = false,
                    Action::Limit => is_limited = true,
                    Action::Unlimit => is_limited = false,
                    Action::Stop(_) => stops += 1,
                    Action::NoteStarted | Action::Tell(_) => {}
                }
            }
            match machine.life {
                Life::Staging | Life::Starting => prop_assert!(!is_checked && !is_limited && stops == 0),
                Life::Running => {
                    prop_assert!(is_checked != is_gone && is_limited != is_gone && stops == 0);
                }
                Life::Killing(killing) => {
                    prop_assert!(stops > 0);
                    prop_assert!(!is_checked || killing.cause == KillCause::CompletionTime);
                    prop_assert!(!is_limited || killing.cause == KillCause::CompletionTime);
                }
                Life::Ended => prop_assert!(!is_checked),
            }
        }
    }
}
