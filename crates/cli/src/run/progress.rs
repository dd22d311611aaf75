//! Fetches and pulls on standard error: a bar for each file and each pull on a terminal, a line now and then elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use docker_containerizer::images::PullTotals;
use docker_containerizer::{FetchEvent, PullNews, PullStage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often a line about a pull or a fetch is printed where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);

/// What tasks wait for.
pub(crate) struct Waits {
    bars: Option<MultiProgress>,
    /// The pulls, by the task's number.
    pulls: HashMap<usize, Shown>,
    /// The fetches, by the task's number and the URI's place among its URIs.
    files: HashMap<(usize, usize), ProgressBar>,
    /// When a line about a task's fetch was printed, by its number.
    fetches: HashMap<usize, Instant>,
}

/// What was shown of one.
enum Shown {
    Bar(ProgressBar),
    Lines { printed: Instant, stage: Stage },
}

/// What a line is about; a new one is told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Pulling,
    Paused,
    Over,
}

impl Waits {
    pub(crate) fn new(is_terminal: bool) -> Self {
        let bars = is_terminal.then(MultiProgress::new);
        Self { bars, pulls: HashMap::new(), files: HashMap::new(), fetches: HashMap::new() }
    }

    /// Takes what is new of the pull that a task waits for.
    pub(crate) fn pulls(&mut self, at: usize, task: &str, news: &PullNews) {
        let stage = Stage::of(&news.stage);
        match &self.bars {
            Some(bars) => {
                let shown = self.pulls.entry(at).or_insert_with(|| Shown::Bar(bars.add(bar(task))));
                let Shown::Bar(bar) = shown else { return };
                match news.totals.bytes_total {
                    0 => bar.unset_length(),
                    total => bar.set_length(total),
                }
                bar.set_position(news.totals.bytes);
                bar.set_message(what(news));
                if stage == Stage::Over {
                    bar.finish_and_clear();
                    self.pulls.remove(&at);
                }
            }
            None => {
                let now = Instant::now();
                if let Some(Shown::Lines { printed, stage: told }) = self.pulls.get(&at)
                    && *told == stage
                    && now.duration_since(*printed) < EVERY
                {
                    return;
                }
                let is_first = self.pulls.insert(at, Shown::Lines { printed: now, stage }).is_none();
                if is_first && stage == Stage::Queued {
                    // Every pull is queued for a moment.
                    return;
                }
                let bytes = match news.totals.bytes_total {
                    0 => String::new(),
                    total => {
                        format!(" ({:.1} of {:.1} MB)", megabytes(news.totals.bytes), megabytes(total))
                    }
                };
                crate::out::note(&format!("pull {task}: {}{bytes}", what(news)));
            }
        }
    }

    /// Takes what is new of a fetch that a task waits for.
    pub(crate) fn fetches(&mut self, at: usize, task: &str, event: &FetchEvent) {
        match event {
            FetchEvent::Progress { item, uri, bytes, total, rate } => {
                if let Some(bars) = &self.bars {
                    let bar = self.files.entry((at, *item)).or_insert_with(|| bars.add(file_bar(task, uri)));
                    if let Some(total) = total {
                        bar.set_length(*total);
                    }
                    bar.set_position(*bytes);
                    return;
                }
                let now = Instant::now();
                if self.fetches.get(&at).is_some_and(|printed| now.duration_since(*printed) < EVERY) {
                    return;
                }
                self.fetches.insert(at, now);
                let of = total.map(|total| format!(" of {:.1}", megabytes(total))).unwrap_or_default();
                let so_far = format!("{:.1}{of} MB, {:.1} MB/s", megabytes(*bytes), megabytes(*rate));
                crate::out::note(&format!("fetch {task}: {uri}: {so_far}"));
            }
            FetchEvent::Downloaded { item, .. } => {
                if let Some(bar) = self.files.remove(&(at, *item)) {
                    bar.finish_and_clear();
                }
            }
            FetchEvent::Fetched { .. } | FetchEvent::Measured { .. } | FetchEvent::Failed { .. } => {}
        }
    }

    /// Prints something without tearing the bars.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// Takes the bars of a task away.
    pub(crate) fn finish(&mut self, at: usize) {
        if let Some(Shown::Bar(bar)) = self.pulls.remove(&at) {
            bar.finish_and_clear();
        }
        for (_, bar) in self.files.extract_if(|(task, _), _| *task == at) {
            bar.finish_and_clear();
        }
        self.fetches.remove(&at);
    }

    /// Takes all bars away.
    pub(crate) fn finish_all(&mut self) {
        for (_, shown) in self.pulls.drain() {
            if let Shown::Bar(bar) = shown {
                bar.finish_and_clear();
            }
        }
        for (_, bar) in self.files.drain() {
            bar.finish_and_clear();
        }
    }
}

impl Stage {
    fn of(stage: &PullStage) -> Self {
        match stage {
            PullStage::Queued => Self::Queued,
            PullStage::Paused { .. } => Self::Paused,
            PullStage::Done(_) => Self::Over,
            _ => Self::Pulling,
        }
    }
}

/// What a pull does, in a few words.
fn what(news: &PullNews) -> String {
    let PullTotals { layers, layers_done, unpacking, held, .. } = news.totals;
    match &news.stage {
        PullStage::Queued => "waits for its turn".to_owned(),
        PullStage::Paused { error, pause } => {
            let error = crate::failure::one_line(&crate::failure::chain(error));
            format!("{error}; again in {:.0}s", pause.as_secs_f64())
        }
        PullStage::Done(Ok(())) => "done".to_owned(),
        PullStage::Done(Err(_)) => "failed".to_owned(),
        _ if layers == 0 => "asks the registry".to_owned(),
        _ if held => format!("{layers_done} of {layers} layers, waits in the engine for other images"),
        _ if unpacking => format!("{layers_done} of {layers} layers, unpacking"),
        _ => format!("{layers_done} of {layers} layers"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people, to a tenth of a megabyte")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The bar of a file: the last part of its URI, bytes and rate.
fn file_bar(task: &str, uri: &str) -> ProgressBar {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let name: String = path.rsplit('/').next().unwrap_or(path).chars().take(24).collect();
    let style = ProgressStyle::with_template(
        "{prefix} fetch {msg:24} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
    );
    let bar = ProgressBar::new(0).with_prefix(task.to_owned()).with_message(name);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

fn bar(task: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {msg} {wide_bar} {bytes}/{total_bytes}");
    let bar = ProgressBar::new(0).with_prefix(task.to_owned());
    // The template is a constant; a bar without it is the default one.
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_told_in_a_few_words() {
        let totals = PullTotals { layers: 3, layers_done: 1, ..PullTotals::default() };
        let said = |stage, totals| what(&news(stage, totals));
        assert_eq!(said(PullStage::Queued, totals), "waits for its turn");
        assert_eq!(said(PullStage::Pulling, PullTotals::default()), "asks the registry");
        assert_eq!(said(PullStage::Pulling, totals), "1 of 3 layers");
        assert_eq!(
            said(PullStage::Pulling, PullTotals { unpacking: true, ..totals }),
            "1 of 3 layers, unpacking"
        );
    }

    fn news(stage: PullStage, totals: PullTotals) -> PullNews {
        PullNews { stage, totals }
    }
}
