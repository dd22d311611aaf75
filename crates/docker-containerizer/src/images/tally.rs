//! How far a pull is, put together from the engine's lines.

use std::collections::HashMap;

use docker_engine::PullProgress;

/// The most layers that are counted one by one: an image has at most 127 of them, a registry may name more.
const MOST_LAYERS: usize = 1024;

/// How far a pull is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullTotals {
    /// Layers of the image, as far as the engine has named them.
    pub layers: usize,
    /// Layers that are on the host.
    pub layers_done: usize,
    /// Bytes that were received, as the registry stores them.
    pub bytes: u64,
    /// Bytes of the layers whose size is known.
    pub bytes_total: u64,
    /// Whether a layer is being unpacked and none received.
    pub unpacking: bool,
}

/// Counts the lines of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    layers: HashMap<String, Layer>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    received: u64,
    size: u64,
    step: Step,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Waiting,
    Receiving,
    Received,
    Unpacking,
    Done,
}

impl Tally {
    /// Takes a line.
    pub(crate) fn take(&mut self, line: PullProgress) {
        // The words are the engine's API: https://docs.docker.com/reference/api/engine, `POST /images/create`.
        let step = match line.status.as_str() {
            "Pulling fs layer" | "Waiting" => Step::Waiting,
            "Downloading" => Step::Receiving,
            "Verifying Checksum" | "Download complete" => Step::Received,
            "Extracting" => Step::Unpacking,
            "Pull complete" | "Already exists" => Step::Done,
            // Lines about the whole image, retries of the engine, and what newer engines add.
            _ => return,
        };
        if line.layer.is_empty()
            || (self.layers.len() >= MOST_LAYERS && !self.layers.contains_key(&line.layer))
        {
            return;
        }
        let layer = self.layers.entry(line.layer).or_default();
        layer.step = step;
        if step == Step::Receiving {
            layer.size = line.total.unwrap_or(layer.size);
            layer.received = line.current.unwrap_or(0);
        } else if step != Step::Waiting {
            layer.received = layer.size;
        }
    }

    /// Adds it up.
    pub(crate) fn totals(&self) -> PullTotals {
        let mut totals = PullTotals { layers: self.layers.len(), ..PullTotals::default() };
        let mut receiving = false;
        for layer in self.layers.values() {
            totals.layers_done += usize::from(layer.step == Step::Done);
            totals.bytes = totals.bytes.saturating_add(layer.received);
            totals.bytes_total = totals.bytes_total.saturating_add(layer.size);
            totals.unpacking |= layer.step == Step::Unpacking;
            receiving |= layer.step == Step::Receiving;
        }
        totals.unpacking &= !receiving;
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(layer: &str, status: &str, current: Option<u64>, total: Option<u64>) -> PullProgress {
        PullProgress { layer: layer.into(), status: status.into(), current, total }
    }

    #[test]
    fn lines_add_up() {
        let mut tally = Tally::default();
        let mut after = |lines: &[PullProgress]| {
            lines.iter().cloned().for_each(|line| tally.take(line));
            tally.totals()
        };
        let started = after(&[
            line("latest", "Pulling from team/app", None, None),
            line("a", "Pulling fs layer", None, None),
            line("b", "Already exists", None, None),
            line("c", "Waiting", None, None),
        ]);
        assert_eq!(started, PullTotals { layers: 3, layers_done: 1, ..PullTotals::default() });
        let receiving = after(&[
            line("a", "Downloading", Some(10), Some(100)),
            line("c", "Downloading", Some(5), Some(50)),
            line("c", "Extracting", Some(50), Some(50)),
        ]);
        assert_eq!(receiving.bytes, 60);
        assert_eq!(receiving.bytes_total, 150);
        assert!(!receiving.unpacking);
        let unpacking = after(&[line("a", "Download complete", None, None)]);
        assert_eq!((unpacking.bytes, unpacking.unpacking), (150, true));
        let done = after(&[
            line("a", "Pull complete", None, None),
            line("c", "Pull complete", None, None),
            line("", "Digest: sha256:00", None, None),
            line("", "Status: Downloaded newer image", None, None),
        ]);
        assert_eq!((done.layers, done.layers_done, done.unpacking), (3, 3, false));
    }

    #[test]
    fn a_registry_of_a_million_layers_does_not_fill_the_memory() {
        let mut tally = Tally::default();
        for at in 0..100_000 {
            tally.take(line(&at.to_string(), "Downloading", Some(u64::MAX), Some(u64::MAX)));
        }
        assert_eq!(tally.totals().layers, MOST_LAYERS);
        assert_eq!(tally.totals().bytes, u64::MAX);
    }
}
