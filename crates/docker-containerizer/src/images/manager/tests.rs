//! The manager on a paused clock. What is put in place of the engine here is the one call to it, which ends after a
//! time or fails; the pulls through a real engine are in `integration/tests/images_pull.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::images::{Backoff, NegativeSettings, RetrySettings};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
#[error("a failure of class {0}")]
struct Failed(PullClass);

/// What the far end did.
#[derive(Debug, Default)]
struct Seen {
    now: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Keys that are being pulled; one twice is a pull that was not shared.
    keys: Mutex<Vec<PullKey>>,
    twice: AtomicUsize,
}

/// Counts an attempt for as long as it is not dropped.
struct Counted(Arc<Seen>, PullKey);

impl Counted {
    fn new(seen: &Arc<Seen>, key: &PullKey) -> Self {
        seen.begun.fetch_add(1, Ordering::Relaxed);
        let now = seen.now.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most.fetch_max(now, Ordering::Relaxed);
        let mut keys = seen.keys.lock().unwrap();
        if keys.contains(key) {
            seen.twice.fetch_add(1, Ordering::Relaxed);
        }
        keys.push(key.clone());
        Self(seen.clone(), key.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        let mut keys = self.0.keys.lock().unwrap();
        let at = keys.iter().position(|key| *key == self.1).unwrap();
        keys.remove(at);
    }
}

fn settings() -> PullSettings {
    PullSettings {
        retry: RetrySettings {
            max_retries: 2,
            network: Backoff { from: SECOND, to: 8 * SECOND },
            rate_limit: Backoff { from: 60 * SECOND, to: 600 * SECOND },
        },
        negative: NegativeSettings { ttl: 30 * SECOND, size: 8 },
        // What is in place of the engine says one line per attempt.
        inactivity: 100_000 * SECOND,
        ..PullSettings::default()
    }
}

/// A manager whose n-th attempt takes a time and ends in a way.
fn manager(
    settings: PullSettings,
    attempt: impl Fn(usize) -> (Duration, Option<PullClass>) + Send + Sync + 'static,
) -> (PullManager, Arc<Seen>, TaskTracker) {
    saying(settings, move |at| {
        let (takes, fails) = attempt(at);
        // An engine that is away says nothing.
        let is_there = fails != Some(PullClass::EngineAway);
        (is_there.then_some((Duration::ZERO, "Pulling fs layer")).into_iter().collect(), takes, fails)
    })
}

/// What an attempt says, how long it takes after that, and how it ends.
type Script = (Vec<(Duration, &'static str)>, Duration, Option<PullClass>);

/// The same, which says lines about one layer of its own, each after a time.
fn saying(
    settings: PullSettings,
    attempt: impl Fn(usize) -> Script + Send + Sync + 'static,
) -> (PullManager, Arc<Seen>, TaskTracker) {
    let (seen, tasks) = (Arc::new(Seen::default()), TaskTracker::new());
    let far = seen.clone();
    let manager = PullManager::attempting(settings, tasks.clone(), move |key, _, mut tap| {
        let counted = Counted::new(&far, key);
        let at = far.begun.load(Ordering::Relaxed) - 1;
        let (lines, takes, fails) = attempt(at);
        Box::pin(async move {
            let _counted = counted;
            for (after, status) in lines {
                sleep(after).await;
                let (current, total) =
                    if status == "Downloading" { (Some(1), Some(100)) } else { (None, None) };
                tap(PullProgress { layer: at.to_string(), status: status.into(), current, total });
            }
            sleep(takes).await;
            match fails {
                None => Ok(()),
                Some(class) => {
                    Err(AttemptFailure { class, retry_after: None, source: Arc::new(Failed(class)) })
                }
            }
        })
    });
    (manager, seen, tasks)
}

fn image(at: usize) -> ImageRef {
    format!("reg.test/image:{at}").parse().unwrap()
}

fn key(at: usize) -> PullKey {
    PullKey::new(&image(at), None, None)
}

async fn pull(manager: &PullManager, at: usize) -> Result<(), PullError> {
    manager.pull(&key(at), &image(at), Fallback::None, |_| {}).await
}

/// Nothing of any pull is left.
async fn assert_clean(manager: &PullManager, seen: &Seen, tasks: &TaskTracker) {
    tasks.close();
    tasks.wait().await;
    assert_eq!(seen.now.load(Ordering::Relaxed), 0);
    let counters = manager.counters();
    assert_eq!((counters.running, counters.queued), (0, 0));
    let table = format!("{:?}", manager.inner.table());
    assert!(table.contains("pulls: {}") && table.contains("signals: {}"), "{table}");
}

#[tokio::test(start_paused = true)]
async fn all_who_want_one_image_share_one_pull() {
    let (manager, seen, tasks) = manager(settings(), |_| (5 * SECOND, None));
    let results = join_all((0..20).map(|_| pull(&manager, 1))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(seen.begun.load(Ordering::Relaxed), 1);
    let counters = manager.counters();
    assert_eq!((counters.begun, counters.shared, counters.succeeded), (1, 19, 1));
    // One that comes later begins anew.
    pull(&manager, 1).await.unwrap();
    assert_eq!(seen.begun.load(Ordering::Relaxed), 2);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn other_credentials_are_another_pull() {
    let (manager, seen, tasks) = manager(settings(), |_| (5 * SECOND, None));
    let login = |user: &str| docker_engine::Credentials { username: user.into(), ..Default::default() };
    let keys = ["a", "b", "a"].map(|user| PullKey::new(&image(1), None, Some(login(user))));
    let image = image(1);
    join_all(keys.iter().map(|key| manager.pull(key, &image, Fallback::None, |_| {}))).await;
    assert_eq!(seen.begun.load(Ordering::Relaxed), 2);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_to_leave_stops_the_pull_and_others_do_not() {
    let (manager, seen, tasks) = manager(settings(), |_| (100 * SECOND, None));
    let mut first = Box::pin(pull(&manager, 1));
    let mut second = Box::pin(pull(&manager, 1));
    tokio::select! {
        _ = &mut first => panic!("it takes longer"),
        _ = &mut second => panic!("it takes longer"),
        () = sleep(SECOND) => {}
    }
    drop(first);
    tokio::select! { _ = &mut second => panic!("it takes longer"), () = sleep(SECOND) => {} }
    assert_eq!(seen.now.load(Ordering::Relaxed), 1);
    drop(second);
    assert_eq!(manager.counters().abandoned, 1);
    // One that comes at once begins anew, and does not join the one that is being stopped.
    pull(&manager, 1).await.unwrap();
    assert_eq!(seen.begun.load(Ordering::Relaxed), 2);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn forty_pulls_never_exceed_the_cap() {
    let settings = PullSettings { max_parallel: 3, ..settings() };
    let (manager, seen, tasks) =
        manager(settings, |at| (Duration::from_secs(if at % 3 == 0 { 60 } else { 2 }), None));
    let results = join_all((0..40).map(|at| pull(&manager, at))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(seen.most.load(Ordering::Relaxed), 3);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_image_does_not_wait_for_big_ones() {
    let settings = PullSettings { max_parallel: 2, quick: 10 * SECOND, ..settings() };
    let (manager, seen, tasks) =
        manager(settings, |at| (Duration::from_secs(if at == 2 { 1 } else { 10_000 }), None));
    let big = [pull(&manager, 1), pull(&manager, 2)].map(Box::pin);
    let mut big = Box::pin(join_all(big));
    tokio::select! { _ = &mut big => panic!("they take longer"), () = sleep(60 * SECOND) => {} }
    let since = Instant::now();
    tokio::select! { _ = &mut big => panic!("they take longer"), small = pull(&manager, 3) => small.unwrap() }
    assert!(since.elapsed() <= 2 * SECOND, "it waited {:?}", since.elapsed());
    assert_eq!(manager.counters().set_aside, 1);
    assert!(big.await.iter().all(Result::is_ok));
    assert_eq!(seen.most.load(Ordering::Relaxed), 2);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_told() {
    let (manager, seen, tasks) = manager(settings(), |at| (SECOND, (at < 2).then_some(PullClass::Network)));
    let mut paused = 0;
    let told = |news: &PullNews| paused += usize::from(matches!(news.stage, PullStage::Paused { .. }));
    manager.pull(&key(1), &image(1), Fallback::None, told).await.unwrap();
    assert!(paused >= 2);
    assert_eq!((seen.begun.load(Ordering::Relaxed), manager.counters().retried), (3, 2));
    assert_eq!(manager.counters().failed_of(PullClass::Network), 2);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn the_retries_end() {
    let (manager, seen, tasks) = manager(settings(), |_| (SECOND, Some(PullClass::Network)));
    let error = pull(&manager, 1).await.unwrap_err();
    assert_eq!(seen.begun.load(Ordering::Relaxed), 3);
    assert_eq!(crate::chain(&error), "the pull failed at attempt 3: a failure of class network");
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_another_way_leaves_at_the_first_failure() {
    let (manager, seen, tasks) = manager(settings(), |_| (SECOND, Some(PullClass::Network)));
    let since = Instant::now();
    let error = manager.pull(&key(1), &image(1), Fallback::Cached, |_| {}).await.unwrap_err();
    assert_eq!(error.class(), Some(PullClass::Network));
    assert!(since.elapsed() < 2 * SECOND);
    assert_clean(&manager, &seen, &tasks).await;
    assert_eq!(seen.begun.load(Ordering::Relaxed), 1);
}

/// The engine was lost, and nothing is wrong with the registry.
#[tokio::test(start_paused = true)]
async fn who_has_another_way_waits_for_an_engine_that_is_away() {
    let (manager, seen, tasks) =
        manager(settings(), |at| (SECOND, (at == 0).then_some(PullClass::EngineAway)));
    manager.pull(&key(1), &image(1), Fallback::Cached, |_| {}).await.unwrap();
    assert_eq!(seen.begun.load(Ordering::Relaxed), 2);
    assert_clean(&manager, &seen, &tasks).await;
}

/// The time for which an engine is waited for is that of one absence, and of nothing between two.
#[tokio::test(start_paused = true)]
async fn an_engine_that_came_back_may_be_lost_again() {
    let (manager, seen, tasks) = saying(settings(), |at| match at {
        // It is lost, comes back and pulls for a quarter of an hour, and is lost again.
        0 | 2 => (Vec::new(), SECOND, Some(PullClass::EngineAway)),
        1 => (vec![(SECOND, "Downloading")], 900 * SECOND, Some(PullClass::EngineAway)),
        _ => (Vec::new(), SECOND, None),
    });
    pull(&manager, 1).await.unwrap();
    assert_eq!(seen.begun.load(Ordering::Relaxed), 4);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stays_away_is_given_up_after_ten_minutes() {
    let (manager, seen, tasks) = manager(settings(), |_| (SECOND, Some(PullClass::EngineAway)));
    let since = Instant::now();
    let error = pull(&manager, 1).await.unwrap_err();
    assert_eq!(error.class(), Some(PullClass::EngineAway));
    assert!((595..=605).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    assert_clean(&manager, &seen, &tasks).await;
}

/// Both words of the table come before the owner is run for the first time.
#[tokio::test(start_paused = true)]
async fn a_pull_that_is_set_aside_before_it_began_begins_later() {
    let settings = PullSettings { max_parallel: 2, quick: Duration::ZERO, ..settings() };
    let (manager, seen, tasks) = manager(settings, |_| (SECOND, None));
    let pulls = (0..16).map(|at| pull(&manager, at));
    let results = tokio::time::timeout(100 * SECOND, join_all(pulls)).await.expect("somebody waits for ever");
    assert!(results.iter().all(Result::is_ok));
    assert!(manager.counters().set_aside > 0);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_silent_for_too_long_fails() {
    let settings = PullSettings { inactivity: 20 * SECOND, ..settings() };
    let lines =
        [(15 * SECOND, "Pulling fs layer"), (15 * SECOND, "Downloading"), (15 * SECOND, "Downloading")];
    let (manager, seen, tasks) = saying(settings, move |_| (lines.to_vec(), 1000 * SECOND, None));
    let since = Instant::now();
    let error = pull(&manager, 1).await.unwrap_err();
    assert_eq!(error.class(), Some(PullClass::Network));
    let said = "the pull failed at attempt 3: cannot pull image reg.test/image:1: no answer within 20s";
    assert_eq!(crate::chain(&error), said);
    assert!((195..=200).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    assert_clean(&manager, &seen, &tasks).await;
}

/// The engine has begun with the layers of the first, and keeps those of the second waiting for ten minutes.
#[tokio::test(start_paused = true)]
async fn silence_does_not_count_while_the_engine_is_busy_with_another_pull() {
    let settings = PullSettings { inactivity: 20 * SECOND, ..settings() };
    let (manager, seen, tasks) = saying(settings, move |at| match at {
        0 => (vec![(10 * SECOND, "Downloading"); 60], SECOND, None),
        _ => (
            vec![(SECOND, "Pulling fs layer"), (Duration::ZERO, "Waiting"), (610 * SECOND, "Downloading")],
            SECOND,
            None,
        ),
    });
    let mut held = 0;
    let told = |news: &PullNews| held += usize::from(news.totals.held);
    let (big_key, small_key, big, small) = (key(1), key(2), image(1), image(2));
    let (first, second) = tokio::join!(
        manager.pull(&big_key, &big, Fallback::None, |_| {}),
        manager.pull(&small_key, &small, Fallback::None, told)
    );
    first.unwrap();
    second.unwrap();
    assert_eq!((manager.counters().retried, seen.begun.load(Ordering::Relaxed)), (0, 2));
    assert!(held > 500, "it was told {held} times that it waits in the engine");
    // The same with nobody else there is silence.
    let error = pull(&manager, 3).await.unwrap_err();
    assert!(crate::chain(&error).contains("the engine keeps its layers waiting"), "{error:?}");
    assert_clean(&manager, &seen, &tasks).await;
}

/// The second was set aside for the third, and has all of its time for the attempt after that.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_set_aside_costs_a_waiter_nothing() {
    let settings =
        PullSettings { max_parallel: 2, quick: 10 * SECOND, timeout: Some(26 * SECOND), ..settings() };
    let (manager, seen, tasks) = manager(settings, |_| (20 * SECOND, None));
    let results = join_all((0..3).map(|at| pull(&manager, at))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(manager.counters().set_aside, 1);
    assert_clean(&manager, &seen, &tasks).await;
}

/// A pull whose layer has come to more than half is not given up for another after a minute.
#[tokio::test(start_paused = true)]
async fn a_pull_that_is_nearly_done_is_not_set_aside() {
    let settings = PullSettings { max_parallel: 2, quick: 10 * SECOND, ..settings() };
    let (manager, seen, tasks) = saying(settings, |_| {
        (vec![(SECOND, "Downloading"), (SECOND, "Download complete")], 300 * SECOND, None)
    });
    let big = [pull(&manager, 1), pull(&manager, 2)].map(Box::pin);
    let mut big = Box::pin(join_all(big));
    tokio::select! { _ = &mut big => panic!("they take longer"), () = sleep(100 * SECOND) => {} }
    let (big, small) = tokio::join!(big, pull(&manager, 3));
    assert!(big.iter().all(Result::is_ok) && small.is_ok());
    assert_eq!(manager.counters().set_aside, 0);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_time_is_up_is_told_what_failed_until_then() {
    let settings = PullSettings { timeout: Some(30 * SECOND), ..settings() };
    let (manager, seen, tasks) = manager(settings, |_| (SECOND, Some(PullClass::RateLimited)));
    let error = pull(&manager, 1).await.unwrap_err();
    assert_eq!(
        crate::chain(&error),
        "the pull of image reg.test/image:1 was not done within 30s: the pull failed at attempt 1: \
         a failure of class rate limited"
    );
    assert!(error.into_failure().message().contains("(hint: raise --docker_pull_timeout"));
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_and_forgotten() {
    let (manager, seen, tasks) = manager(settings(), |_| (SECOND, Some(PullClass::NotFound)));
    for _ in 0..5 {
        assert_eq!(pull(&manager, 1).await.unwrap_err().class(), Some(PullClass::NotFound));
    }
    assert_eq!((seen.begun.load(Ordering::Relaxed), manager.counters().remembered), (1, 4));
    pull(&manager, 2).await.unwrap_err();
    assert_eq!(seen.begun.load(Ordering::Relaxed), 2);
    sleep(31 * SECOND).await;
    pull(&manager, 1).await.unwrap_err();
    assert_eq!(seen.begun.load(Ordering::Relaxed), 3);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn a_waiter_has_its_own_time_which_stands_in_the_queue() {
    let settings = PullSettings { max_parallel: 1, timeout: Some(30 * SECOND), ..settings() };
    let (manager, seen, tasks) = manager(settings, |at| (Duration::from_secs([25, 20, 40][at]), None));
    let since = Instant::now();
    let (first, second) = tokio::join!(pull(&manager, 1), pull(&manager, 2));
    assert!(first.is_ok() && second.is_ok(), "{second:?}");
    assert_eq!(since.elapsed().as_secs(), 45);
    let error = pull(&manager, 3).await.unwrap_err();
    assert!(matches!(error, PullError::TimedOut { .. }), "{error:?}");
    assert_eq!(since.elapsed().as_secs(), 75);
    assert_clean(&manager, &seen, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses() {
    let settings = PullSettings { max_parallel: 1, max_queued: 1, ..settings() };
    let (manager, seen, tasks) = manager(settings, |_| (SECOND, None));
    let results = join_all((0..3).map(|at| pull(&manager, at))).await;
    assert!(matches!(results[2], Err(PullError::QueueFull { waiting: 1, .. })), "{results:?}");
    assert!(results[0].is_ok() && results[1].is_ok());
    assert_clean(&manager, &seen, &tasks).await;
}

/// A task of the property: when it comes, what it wants, and when it gives up.
#[derive(Debug, Clone, Copy)]
struct Want {
    comes: u64,
    image: usize,
    leaves: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever comes, fails and leaves: the cap holds, no image is pulled twice at a time, everybody is answered, and
    /// nothing is left.
    #[test]
    fn waiters_may_come_and_go_at_any_time(
        cap in 1usize..4,
        wants in prop::collection::vec(
            (0u64..60_000, 0usize..8, 1u64..200_000)
                .prop_map(|(comes, image, leaves)| Want { comes, image, leaves }), 1..40),
        ways in prop::collection::vec(
            (0u64..40_000, prop::option::weighted(0.4, prop::sample::select(PullClass::ALL.to_vec()))), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let settings = PullSettings { max_parallel: cap, ..settings() };
            let (manager, seen, tasks) = manager(settings, move |at| {
                let (takes, class) = ways[at % ways.len()];
                (Duration::from_millis(takes), class)
            });
            let waits = wants.iter().map(|want| {
                let manager = manager.clone();
                async move {
                    sleep(Duration::from_millis(want.comes)).await;
                    let leaves = Duration::from_millis(want.leaves);
                    let _ = tokio::time::timeout(leaves, pull(&manager, want.image)).await;
                }
            });
            // The last failure of an engine that is away comes after ten minutes.
            tokio::time::timeout(3600 * SECOND, join_all(waits)).await.expect("somebody is not answered");
            assert!(seen.most.load(Ordering::Relaxed) <= cap);
            assert_eq!(seen.twice.load(Ordering::Relaxed), 0);
            tokio::time::timeout(SECOND, assert_clean(&manager, &seen, &tasks)).await.expect("something is left");
            let counters = manager.counters();
            let asked = counters.begun + counters.shared + counters.remembered;
            assert_eq!(asked, wants.len() as u64);
        });
    }
}
