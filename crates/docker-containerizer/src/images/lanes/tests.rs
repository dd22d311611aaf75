use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const QUICK: Duration = Duration::from_secs(10);

fn go(turns: &[Turn]) -> Vec<PullId> {
    turns.iter().filter_map(|turn| if let Turn::Go(id) = turn { Some(*id) } else { None }).collect()
}

#[test]
fn places_go_in_the_order_of_arrival() {
    let (mut lanes, now) = (Lanes::new(2, QUICK), Instant::now());
    (0..5).for_each(|id| lanes.enter(id, Entry::Fresh));
    assert_eq!(lanes.turns(now, |_| false), [Turn::Go(0), Turn::Go(1)]);
    assert_eq!(lanes.turns(now, |_| false), []);
    lanes.leave(1);
    assert_eq!(lanes.turns(now, |_| false), [Turn::Go(2)]);
    lanes.leave(3);
    lanes.leave(0);
    assert_eq!(lanes.turns(now, |_| false), [Turn::Go(4)]);
}

#[test]
fn one_place_is_kept_for_those_of_whom_nothing_is_known() {
    let (mut lanes, now) = (Lanes::new(3, QUICK), Instant::now());
    (0..3).for_each(|id| lanes.enter(id, Entry::Fresh));
    lanes.turns(now, |_| false);
    // All three are big; nobody waits, so all go on.
    assert_eq!(lanes.turns(now + QUICK, |_| false), []);
    // A small one comes: the last of the big ones is set aside for it, and keeps its place until it has stopped.
    lanes.enter(3, Entry::Fresh);
    assert_eq!(lanes.turns(now + 60 * SECOND, |_| false), [Turn::Aside(2)]);
    assert_eq!(lanes.turns(now + 60 * SECOND, |_| false), []);
    assert_eq!(lanes.entry_of(2), Entry::Long);
    lanes.enter(2, Entry::Long);
    assert_eq!(lanes.turns(now + 60 * SECOND, |_| false), [Turn::Go(3)]);
    // The one that was set aside waits for a big one, not for small ones.
    lanes.leave(3);
    assert_eq!(lanes.turns(now + 61 * SECOND, |_| false), []);
    lanes.enter(4, Entry::Fresh);
    assert_eq!(lanes.turns(now + 61 * SECOND, |_| false), [Turn::Go(4)]);
    lanes.leave(0);
    assert_eq!(lanes.turns(now + 62 * SECOND, |_| false), [Turn::Go(2)]);
    // And is never set aside again.
    lanes.enter(5, Entry::Fresh);
    assert_eq!(lanes.turns(now + 71 * SECOND, |_| false), [Turn::Aside(4)]);
}

#[test]
fn a_pull_that_has_run_long_and_has_come_far_is_spared() {
    let (mut lanes, now) = (Lanes::new(2, QUICK), Instant::now());
    (0..2).for_each(|id| lanes.enter(id, Entry::Fresh));
    lanes.turns(now, |_| true);
    lanes.turns(now + QUICK, |_| true);
    lanes.enter(2, Entry::Fresh);
    assert_eq!(lanes.turns(now + 6 * QUICK, |_| true), []);
    // It waits for the end of any other.
    lanes.leave(0);
    assert_eq!(lanes.turns(now + 7 * QUICK, |_| true), [Turn::Go(2)]);

    let mut lanes = Lanes::new(2, QUICK);
    (0..3).for_each(|id| lanes.enter(id, Entry::Fresh));
    lanes.turns(now, |_| true);
    assert_eq!(lanes.turns(now + 6 * QUICK - SECOND, |_| true), [Turn::Aside(1)], "not much is lost yet");
    let mut lanes = Lanes::new(2, QUICK);
    (0..2).for_each(|id| lanes.enter(id, Entry::Fresh));
    lanes.turns(now, |_| false);
    lanes.enter(2, Entry::Fresh);
    assert_eq!(
        lanes.turns(now + 60 * QUICK, |_| false),
        [Turn::Aside(1)],
        "there is more to come than was lost"
    );
}

#[test]
fn with_one_place_pulls_run_one_by_one_to_their_end() {
    let (mut lanes, now) = (Lanes::new(1, QUICK), Instant::now());
    lanes.enter(0, Entry::Fresh);
    lanes.enter(1, Entry::Long);
    assert_eq!(lanes.turns(now, |_| false), [Turn::Go(0)]);
    assert_eq!(lanes.turns(now + 100 * QUICK, |_| false), []);
    lanes.leave(0);
    assert_eq!(lanes.turns(now + 100 * QUICK, |_| false), [Turn::Go(1)]);
}

/// A pull of the model: when it comes and how long it needs, in tenths of a second.
#[derive(Debug, Clone, Copy)]
struct Job {
    comes: u64,
    needs: u64,
}

/// What became of one.
#[derive(Debug, Clone, Copy, Default)]
struct Story {
    began: Option<u64>,
    ended: Option<u64>,
    set_aside: u32,
    /// Tenths of a second that it ran in vain, and whether that was more than half of what it needs.
    lost: u64,
    lost_half: bool,
}

/// The place of a pull in the list of jobs.
fn at(id: PullId) -> usize {
    usize::try_from(id).unwrap()
}

/// Whether the lanes know how far the pulls of a model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sizes {
    Unknown,
    Known,
}

/// Runs jobs through the lanes in steps of a tenth of a second; a pull that is set aside begins anew.
fn simulate(cap: usize, sizes: Sizes, jobs: &[Job]) -> Vec<Story> {
    let start = Instant::now();
    let time = |tick: u64| start + Duration::from_millis(tick * 100);
    let mut lanes = Lanes::new(cap, QUICK);
    let mut stories = vec![Story::default(); jobs.len()];
    let mut running: BTreeMap<PullId, u64> = BTreeMap::new();
    for tick in 0.. {
        running.retain(|id, since| {
            let ends = tick - *since >= jobs[at(*id)].needs;
            if ends {
                lanes.leave(*id);
                stories[at(*id)].ended = Some(tick);
            }
            !ends
        });
        for (id, _) in jobs.iter().enumerate().filter(|(_, job)| job.comes == tick) {
            lanes.enter(id as PullId, Entry::Fresh);
        }
        loop {
            let is_past_half = |id: PullId| {
                let ran = running.get(&id).map(|since| tick - since).unwrap_or_default();
                sizes == Sizes::Known && ran * 2 > jobs[at(id)].needs
            };
            let turns = lanes.turns(time(tick), is_past_half);
            assert!(lanes.running() <= cap, "more than {cap} at once");
            for turn in &turns {
                if let Turn::Aside(id) = turn {
                    let since = running.remove(id).expect("only what runs is set aside");
                    let story = &mut stories[at(*id)];
                    story.lost = tick - since;
                    story.lost_half = (tick - since) * 2 > jobs[at(*id)].needs;
                    stories[at(*id)].set_aside += 1;
                    lanes.enter(*id, Entry::Long);
                }
            }
            for id in go(&turns) {
                assert!(running.insert(id, tick).is_none(), "{id} began twice");
                stories[at(id)].began.get_or_insert(tick);
            }
            assert!(running.len() <= cap);
            if turns.is_empty() {
                break;
            }
        }
        if stories.iter().all(|story| story.ended.is_some()) {
            return stories;
        }
        assert!(tick < 1_000_000, "somebody waits for ever: {stories:?}");
    }
    unreachable!()
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let needs = prop_oneof![3 => 1u64..50, 2 => 100u64..3000];
    prop::collection::vec((0u64..400, needs).prop_map(|(comes, needs)| Job { comes, needs }), 1..30)
}

proptest! {
    /// The promise of the rule: with two places or more, whoever is k-th in the queue begins within k times `quick`;
    /// nobody is set aside twice, nobody waits for ever, and the cap holds (asserted on the way).
    #[test]
    fn nobody_waits_for_big_ones(cap in 2usize..6, mut jobs in jobs()) {
        jobs.sort_by_key(|job| job.comes);
        let stories = simulate(cap, Sizes::Unknown, &jobs);
        for (at, (job, story)) in jobs.iter().zip(&stories).enumerate() {
            prop_assert!(story.set_aside <= 1);
            let began = story.began.unwrap();
            // Those in front of it when it came, and itself.
            let place = stories[..at].iter().filter(|other| other.began.unwrap() >= job.comes).count() as u64 + 1;
            let bound = place * u64::try_from(QUICK.as_millis()).unwrap() / 100;
            prop_assert!(
                began - job.comes <= bound,
                "the {place}. in the queue waited {} tenths of a second: {jobs:?} {stories:?}", began - job.comes
            );
        }
    }

    /// What is lost by setting a pull aside is a minute's work, or less than half of its own; and still nobody waits for
    /// ever (asserted on the way).
    #[test]
    fn no_pull_loses_much(cap in 2usize..6, mut jobs in jobs()) {
        jobs.sort_by_key(|job| job.comes);
        for story in simulate(cap, Sizes::Known, &jobs) {
            prop_assert!(story.set_aside <= 1);
            prop_assert!(story.lost < 600 || !story.lost_half, "{story:?}");
        }
    }

    #[test]
    fn with_one_place_everybody_has_a_turn_in_order(mut jobs in jobs()) {
        jobs.sort_by_key(|job| job.comes);
        let stories = simulate(1, Sizes::Unknown, &jobs);
        prop_assert!(stories.is_sorted_by_key(|story| story.began));
        prop_assert!(stories.iter().all(|story| story.set_aside == 0));
    }
}
