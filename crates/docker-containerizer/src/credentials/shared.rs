//! One answer of a helper for all who ask for it at the same time.
//!
//! Many tasks of one image start at once. A helper that gives everyone another token would make as many pulls of them,
//! and one that hangs would hold them up one after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use docker_engine::Credentials;
use tokio::time::Instant;

use super::helper::HelperError;

/// What a helper answered, for everyone.
pub(super) type Answer = Result<Option<Credentials>, Arc<HelperError>>;

/// The helper and the address that it is asked for.
type Key = (String, String);

/// The questions that somebody waits for now. An answer goes with the last of them, so a rotated secret is seen by the
/// next who asks.
#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Mutex<BTreeMap<Key, Weak<Question>>>>);

/// Held by the one who runs the helper; the last answer, and when it came.
type Question = tokio::sync::Mutex<Option<(Instant, Answer)>>;

impl Questions {
    /// Runs `run`, or waits for who does it already for the same helper and address.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; if it is the one who runs, the next one who waits runs.
    pub(super) async fn ask(&self, helper: &str, address: &str, run: impl Future<Output = Answer>) -> Answer {
        let since = Instant::now();
        let question = self.question((helper.to_owned(), address.to_owned()));
        let mut last = question.lock().await;
        if let Some((at, answer)) = &*last
            && *at >= since
        {
            return answer.clone();
        }
        let answer = run.await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    /// The question that others wait for already, or a new one.
    fn question(&self, key: Key) -> Arc<Question> {
        let mut questions = self.lock();
        questions.retain(|_, question| question.strong_count() > 0);
        let known = questions.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let question = Arc::default();
            questions.insert(key, Arc::downgrade(&question));
            question
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Weak<Question>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn token(number: usize) -> Credentials {
        Credentials { password: number.to_string(), ..Credentials::default() }
    }

    /// A helper that takes a second, and gives another token each time.
    async fn ask(questions: &Questions, helper: &str, runs: &AtomicUsize) -> Answer {
        questions
            .ask(helper, "reg.test", async {
                let number = runs.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Some(token(number)))
            })
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_at_the_same_time_gets_the_same_answer_and_later_ones_a_new_one() {
        let (questions, runs) = (Questions::default(), AtomicUsize::new(0));
        let all = futures_util::future::join_all((0..20).map(|_| ask(&questions, "a", &runs))).await;
        assert!(all.into_iter().all(|answer| answer.unwrap() == Some(token(0))));
        assert!(questions.lock().values().all(|question| question.upgrade().is_none()), "a secret is kept");
        assert_eq!(ask(&questions, "a", &runs).await.unwrap(), Some(token(1)));

        let (one, other) = tokio::join!(ask(&questions, "a", &runs), ask(&questions, "b", &runs));
        assert_ne!(one.unwrap(), other.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_too() {
        let (questions, runs) = (Questions::default(), AtomicUsize::new(0));
        let fail = || {
            questions.ask("a", "reg.test", async {
                runs.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(30)).await;
                Err(Arc::new(HelperError::TooLong))
            })
        };
        let since = Instant::now();
        let all = futures_util::future::join_all((0..20).map(|_| fail())).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!((runs.into_inner(), since.elapsed()), (1, Duration::from_secs(30)));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_one_who_runs_is_killed_the_next_runs() {
        let (questions, runs) = (Questions::default(), AtomicUsize::new(0));
        let first = tokio::time::timeout(Duration::from_millis(500), ask(&questions, "a", &runs));
        let (first, second) = tokio::join!(first, ask(&questions, "a", &runs));
        assert!(first.is_err());
        assert_eq!(second.unwrap(), Some(token(1)));
        assert!(questions.lock().values().all(|question| question.upgrade().is_none()));
    }
}
