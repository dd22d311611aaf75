//! What is told of a pull while a task waits for it, and the lines of it in the sandbox.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::{PullClass, PullError};
use super::tally::PullTotals;

/// How often at most a line about a pull that goes on is written.
const EVERY: Duration = Duration::from_secs(10);

/// Where a pull is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PullStage {
    /// It waits for its turn among the pulls.
    Queued,
    /// The engine pulls.
    Pulling,
    /// It failed, and is tried again after a pause.
    Paused {
        /// How it failed.
        error: PullError,
        /// How long the pause is in all.
        pause: Duration,
    },
    /// It is over.
    Done(Result<(), PullError>),
}

/// What is known of a pull.
#[derive(Debug, Clone)]
pub struct PullNews {
    /// Where it is.
    pub stage: PullStage,
    /// How far the attempt is.
    pub totals: PullTotals,
}

/// Decides which lines of a pull are written into one sandbox.
#[derive(Debug)]
pub(crate) struct Reporter {
    image: String,
    since: Instant,
    written: Instant,
    paused: bool,
    /// The last pause that was told, and when.
    told: Option<(Option<PullClass>, Duration, Instant)>,
}

impl Reporter {
    pub(crate) fn new(image: String, now: Instant) -> Self {
        Self { image, since: now, written: now, paused: false, told: None }
    }

    /// The line that is due, if one is: of a pull that goes on every ten seconds, of a pause once (of a row of
    /// equal ones every ten seconds), and one at the end.
    /// A failure at the end is not told here, since the task's status tells it.
    pub(crate) fn line(&mut self, news: &PullNews, now: Instant) -> Option<String> {
        let image = &self.image;
        let took = now.duration_since(self.since).as_secs_f64();
        let is_due = now.duration_since(self.written) >= EVERY;
        let was_paused = std::mem::replace(&mut self.paused, matches!(news.stage, PullStage::Paused { .. }));
        let line = match &news.stage {
            PullStage::Queued if is_due => {
                format!("image {image} waits for its turn to be pulled, for {took:.0}s")
            }
            PullStage::Pulling if is_due => {
                format!("image {image} is being pulled: {}", progress(&news.totals))
            }
            PullStage::Paused { error, pause } if !was_paused => {
                let same = |told: &(Option<PullClass>, Duration, Instant)| {
                    (told.0, told.1) == (error.class(), *pause) && now.duration_since(told.2) < EVERY
                };
                if self.told.as_ref().is_some_and(same) {
                    return None;
                }
                self.told = Some((error.class(), *pause, now));
                format!("{}; the pull is tried again in {:.0}s", crate::chain(error), pause.as_secs_f64())
            }
            PullStage::Done(Ok(())) => {
                format!("image {image} was pulled in {took:.1}s: {}", progress(&news.totals))
            }
            PullStage::Queued | PullStage::Pulling | PullStage::Paused { .. } | PullStage::Done(Err(_)) => {
                return None;
            }
        };
        self.written = now;
        Some(line)
    }
}

fn progress(totals: &PullTotals) -> String {
    let PullTotals { layers, layers_done, bytes, bytes_total, unpacking, held } = *totals;
    let step = match (held, unpacking) {
        (true, _) => ", the others wait in the engine for layers of other images",
        (false, true) => ", unpacking",
        (false, false) => "",
    };
    format!(
        "{:.1} of {:.1} MB, {layers_done} of {layers} layers{step}",
        megabytes(bytes),
        megabytes(bytes_total)
    )
}

#[expect(clippy::cast_precision_loss, reason = "for people, to a tenth of a megabyte")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(stage: PullStage) -> PullNews {
        let totals = PullTotals {
            layers: 3,
            layers_done: 1,
            bytes: 1_500_000,
            bytes_total: 9_000_000,
            ..PullTotals::default()
        };
        PullNews { stage, totals }
    }

    fn failed() -> PullError {
        PullError::Abandoned { image: "app".into() }
    }

    #[test]
    fn a_long_pull_has_a_line_every_ten_seconds_and_a_short_one_only_its_last() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut reporter = Reporter::new("app:1".into(), start);
        assert_eq!(reporter.line(&news(PullStage::Pulling), at(9_999)), None);
        assert_eq!(
            reporter.line(&news(PullStage::Done(Ok(()))), at(2_000)).as_deref(),
            Some("image app:1 was pulled in 2.0s: 1.5 of 9.0 MB, 1 of 3 layers")
        );

        let mut reporter = Reporter::new("app:1".into(), start);
        let lines =
            (0..1000).filter(|step| reporter.line(&news(PullStage::Pulling), at(step * 100)).is_some());
        assert_eq!(lines.count(), 9);
    }

    /// An engine that is away is asked once a second.
    #[test]
    fn a_row_of_equal_pauses_is_told_every_ten_seconds() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let away = |class| PullError::Failed {
            image: "app".into(),
            attempts: 1,
            class,
            source: std::sync::Arc::new(std::io::Error::other("away")),
        };
        let mut reporter = Reporter::new("app".into(), start);
        let mut told = |class, pause, at| {
            let stage = PullStage::Paused { error: away(class), pause };
            let is_told = reporter.line(&news(stage), start + at * second).is_some();
            reporter.line(&news(PullStage::Pulling), start + at * second);
            is_told
        };
        let lines = (0..60).filter(|at| told(PullClass::EngineAway, second, *at)).count();
        assert_eq!(lines, 6);
        assert!(told(PullClass::Network, second, 60), "another reason");
        assert!(told(PullClass::Network, 2 * second, 60), "another pause");
    }

    #[test]
    fn what_waits_in_the_engine_is_told_so() {
        let totals = PullTotals { held: true, ..news(PullStage::Pulling).totals };
        assert!(
            progress(&totals)
                .ends_with("1 of 3 layers, the others wait in the engine for layers of other images")
        );
    }

    #[test]
    fn a_pause_is_told_once_each_and_at_once() {
        let start = Instant::now();
        let pause = || PullStage::Paused { error: failed(), pause: Duration::from_secs(4) };
        let mut reporter = Reporter::new("app".into(), start);
        let line = reporter.line(&news(pause()), start).unwrap();
        assert!(line.ends_with("; the pull is tried again in 4s"), "{line}");
        assert_eq!(reporter.line(&news(pause()), start), None);
        assert_eq!(reporter.line(&news(PullStage::Pulling), start), None);
        assert!(reporter.line(&news(pause()), start + EVERY).is_some());
        assert_eq!(reporter.line(&news(PullStage::Done(Err(failed()))), start), None);
    }
}
