//! How far a pull is, put together from the engine's lines.

use std::collections::HashMap;

use docker_engine::PullProgress;
use tokio::time::Instant;

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
    /// Whether all that is missing waits in the engine for layers of other pulls.
    pub held: bool,
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
    /// Since when it waits for the engine to ask for it.
    waits_since: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It was named, and is asked for.
    #[default]
    Asked,
    /// The engine asks for it when it is done with others.
    Waiting,
    Receiving,
    Received,
    Unpacking,
    Done,
}

impl Tally {
    /// Takes a line.
    pub(crate) fn take(&mut self, line: PullProgress, now: Instant) {
        // The words are the engine's API: https://docs.docker.com/reference/api/engine, `POST /images/create`.
        let step = match line.status.as_str() {
            "Pulling fs layer" => Step::Asked,
            "Waiting" => Step::Waiting,
            retry if retry.starts_with("Retrying in ") => Step::Asked,
            "Downloading" => Step::Receiving,
            "Verifying Checksum" | "Download complete" => Step::Received,
            "Extracting" => Step::Unpacking,
            "Pull complete" | "Already exists" => Step::Done,
            // Lines about the whole image, and what newer engines add.
            _ => return,
        };
        if line.layer.is_empty()
            || (self.layers.len() >= MOST_LAYERS && !self.layers.contains_key(&line.layer))
        {
            return;
        }
        let layer = self.layers.entry(line.layer).or_default();
        layer.step = step;
        layer.waits_since = (step == Step::Waiting).then(|| layer.waits_since.unwrap_or(now));
        if step == Step::Receiving {
            layer.size = line.total.unwrap_or(layer.size);
            layer.received = line.current.unwrap_or(0);
        } else if !matches!(step, Step::Asked | Step::Waiting) {
            layer.received = layer.size;
        }
    }

    /// Since when the engine keeps a layer waiting.
    pub(crate) fn waits_since(&self, layer: &str) -> Option<Instant> {
        self.layers.get(layer)?.waits_since
    }

    /// Since when it keeps the first of those waiting that do.
    pub(crate) fn first_waits_since(&self) -> Option<Instant> {
        self.layers.values().filter_map(|layer| layer.waits_since).min()
    }

    /// Whether a layer waits in the engine and nothing is done about any other.
    pub(crate) fn is_waiting(&self) -> bool {
        let is_busy = |layer: &Layer| matches!(layer.step, Step::Asked | Step::Receiving | Step::Unpacking);
        self.first_waits_since().is_some() && !self.layers.values().any(is_busy)
    }

    /// Whether a layer is asked for or comes.
    pub(crate) fn is_receiving(&self) -> bool {
        self.layers.values().any(|layer| matches!(layer.step, Step::Asked | Step::Receiving))
    }

    /// Whether the size of every layer is known, and half of the bytes are here.
    pub(crate) fn is_past_half(&self) -> bool {
        let is_known = |layer: &Layer| !matches!(layer.step, Step::Asked | Step::Waiting);
        let PullTotals { bytes, bytes_total, .. } = self.totals();
        bytes_total > 0 && bytes >= bytes_total / 2 && self.layers.values().all(is_known)
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
            lines.iter().cloned().for_each(|line| tally.take(line, Instant::now()));
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
    fn half_of_an_image_is_known_when_all_its_layers_are() {
        let mut tally = Tally::default();
        let mut after = |line: PullProgress| {
            tally.take(line, Instant::now());
            tally.is_past_half()
        };
        assert!(!after(line("a", "Pulling fs layer", None, None)));
        assert!(!after(line("b", "Waiting", None, None)));
        assert!(!after(line("a", "Downloading", Some(90), Some(100))), "the other may be a big one");
        assert!(!after(line("b", "Downloading", Some(1), Some(100))));
        assert!(after(line("b", "Downloading", Some(10), Some(100))));
    }

    #[test]
    fn a_registry_of_a_million_layers_does_not_fill_the_memory() {
        let mut tally = Tally::default();
        for at in 0..100_000 {
            let line = line(&at.to_string(), "Downloading", Some(u64::MAX), Some(u64::MAX));
            tally.take(line, Instant::now());
        }
        assert_eq!(tally.totals().layers, MOST_LAYERS);
        assert_eq!(tally.totals().bytes, u64::MAX);
    }
}
