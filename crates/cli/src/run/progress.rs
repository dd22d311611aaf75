//! Pulls on standard error: a bar for each layer on a terminal, a line now and then elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use docker_engine::PullProgress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often a line is printed where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);

/// The layers that are being pulled.
pub(crate) struct Pulls {
    bars: Option<MultiProgress>,
    layers: HashMap<String, ProgressBar>,
    done: HashMap<String, (u64, u64)>,
    printed: Option<Instant>,
}

impl Pulls {
    pub(crate) fn new(is_terminal: bool) -> Self {
        let bars = is_terminal.then(MultiProgress::new);
        Self { bars, layers: HashMap::new(), done: HashMap::new(), printed: None }
    }

    /// Takes a line of the engine.
    pub(crate) fn update(&mut self, line: &PullProgress) {
        match &self.bars {
            Some(bars) if !line.layer.is_empty() => {
                let bar = self.layers.entry(line.layer.clone()).or_insert_with(|| bars.add(bar(&line.layer)));
                bar.set_message(line.status.clone());
                if let Some(total) = line.total {
                    bar.set_length(total);
                }
                if let Some(current) = line.current {
                    bar.set_position(current);
                }
                if line.status.starts_with("Pull complete") || line.status.starts_with("Already exists") {
                    bar.finish();
                }
            }
            Some(_) => {}
            None => self.plainly(line),
        }
    }

    /// Prints something without tearing the bars.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&mut self) {
        for (_, bar) in self.layers.drain() {
            bar.finish_and_clear();
        }
        self.done.clear();
        self.printed = None;
    }

    fn plainly(&mut self, line: &PullProgress) {
        if let (Some(current), Some(total)) = (line.current, line.total) {
            self.done.insert(line.layer.clone(), (current, total));
        }
        if self.printed.is_some_and(|printed| printed.elapsed() < EVERY) {
            return;
        }
        self.printed = Some(Instant::now());
        let (current, total) =
            self.done.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        let what = if line.layer.is_empty() {
            line.status.clone()
        } else {
            format!("{}: {}", line.layer, line.status)
        };
        let bytes = match total {
            0 => String::new(),
            total => format!(" ({:.1} of {:.1} MB)", megabytes(current), megabytes(total)),
        };
        crate::out::note(&format!("pull {what}{bytes}"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people, to a tenth of a megabyte")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn bar(layer: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:14} {msg:20} {wide_bar} {bytes}/{total_bytes}");
    let bar = ProgressBar::new(0).with_prefix(layer.to_owned());
    // The template is a constant; a bar without it is the default one.
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
