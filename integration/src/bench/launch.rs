//! Owns how launches are measured: one after another with the sides taking turns, and many at once. Called by the
//! program `bench`; knows nothing of what a side does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::side::{Launched, Network, Side};

/// Launches of each side before the measured ones, to warm caches up.
const WARM_UP: usize = 3;
/// How many containers are removed at once, outside the timed parts.
const REMOVE_AT_ONCE: usize = 8;

/// The launches of one side, one after another.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The side's name.
    pub side: &'static str,
    /// The network the containers had.
    pub network: Network,
    /// Each launch, in the order in which they were.
    pub took: Vec<Duration>,
}

/// Many launches of one side at once, repeated.
#[derive(Clone, Debug)]
pub struct Burst {
    /// The side's name.
    pub side: &'static str,
    /// The network the containers had.
    pub network: Network,
    /// How many were under way at a time.
    pub concurrency: usize,
    /// From the first begin to the last running, one value a repetition.
    pub took: Vec<Duration>,
}

/// Launches `count` containers of each side one after another, the sides taking turns; who goes first alternates.
///
/// # Errors
///
/// A launch or a removal fails.
pub async fn sequential(
    sides: &[Side],
    network: Network,
    count: usize,
    progress: &mut impl FnMut(usize, usize),
) -> Result<Vec<Sequence>> {
    let mut sequences: Vec<_> = sides
        .iter()
        .map(|side| Sequence { side: side.name, network, took: Vec::with_capacity(count) })
        .collect();
    for round in 0..WARM_UP + count {
        for turn in 0..sides.len() {
            let at = if round % 2 == 0 { turn } else { sides.len() - 1 - turn };
            let launched = launch(&sides[at], network).await?;
            if round >= WARM_UP {
                sequences[at].took.push(launched.took);
            }
            launched.remove.await.with_context(|| format!("remove a container of {}", sides[at].name))?;
        }
        progress((round + 1).saturating_sub(WARM_UP), count);
    }
    Ok(sequences)
}

/// Finds each side's best concurrency for `count` launches, then repeats the best ones, the sides taking turns.
/// Returns the trials and the repetitions.
///
/// # Errors
///
/// A launch or a removal fails.
pub async fn at_once(
    sides: &[Side],
    network: Network,
    count: usize,
    repetitions: usize,
    progress: &mut impl FnMut(&Burst),
) -> Result<(Vec<Burst>, Vec<Burst>)> {
    let mut trials = Vec::new();
    let mut best = Vec::new();
    for side in sides {
        let mut bursts = Vec::new();
        for concurrency in side.concurrencies.iter().copied().filter(|concurrency| *concurrency <= count) {
            let took = vec![burst(side, network, count, concurrency).await?];
            let trial = Burst { side: side.name, network, concurrency, took };
            progress(&trial);
            bursts.push(trial);
        }
        let fastest =
            bursts.iter().min_by_key(|burst| burst.took[0]).context("a side without a concurrency")?;
        best.push(Burst { took: Vec::new(), ..fastest.clone() });
        trials.extend(bursts);
    }
    for round in 0..repetitions {
        for turn in 0..sides.len() {
            let at = if round % 2 == 0 { turn } else { sides.len() - 1 - turn };
            let took = burst(&sides[at], network, count, best[at].concurrency).await?;
            best[at].took.push(took);
            progress(&Burst { took: vec![took], ..best[at].clone() });
        }
    }
    Ok((trials, best))
}

async fn burst(side: &Side, network: Network, count: usize, concurrency: usize) -> Result<Duration> {
    let began = Instant::now();
    let launched: Vec<Launched> = stream::iter((0..count).map(|_| launch(side, network)))
        .buffer_unordered(concurrency)
        .try_collect()
        .await?;
    let took = began.elapsed();
    let mut removals: Vec<_> = launched.into_iter().map(|launched| launched.remove).collect();
    while !removals.is_empty() {
        let some = removals.split_off(removals.len().saturating_sub(REMOVE_AT_ONCE));
        try_join_all(some).await.with_context(|| format!("remove containers of {}", side.name))?;
    }
    Ok(took)
}

async fn launch(side: &Side, network: Network) -> Result<Launched> {
    (side.launch)(network).await.with_context(|| format!("launch by {} on the {network} network", side.name))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn side(name: &'static str, calls: &Arc<Mutex<Vec<&'static str>>>) -> Side {
        let calls = Arc::clone(calls);
        let launch = move |_| -> futures_util::future::BoxFuture<'static, Result<Launched>> {
            calls.lock().expect("a lock").push(name);
            Box::pin(async {
                Ok(Launched { took: Duration::from_millis(1), remove: Box::pin(async { Ok(()) }) })
            })
        };
        Side { name, launch: Arc::new(launch), concurrencies: vec![1, 4] }
    }

    #[tokio::test]
    async fn the_sides_take_turns_and_the_first_one_alternates() {
        let calls = Arc::default();
        let sides = [side("a", &calls), side("b", &calls)];
        let found = sequential(&sides, Network::Host, 5, &mut |_, _| {}).await.expect("launched");
        assert_eq!(found.iter().map(|sequence| sequence.took.len()).collect::<Vec<_>>(), [5, 5]);
        let calls = calls.lock().expect("a lock").clone();
        assert_eq!(calls.len(), 2 * (WARM_UP + 5));
        assert_eq!(calls[..6], ["a", "b", "b", "a", "a", "b"]);
    }

    #[tokio::test]
    async fn many_at_once_tries_each_concurrency_and_repeats_the_best() {
        let calls = Arc::default();
        let sides = [side("a", &calls)];
        let (trials, best) = at_once(&sides, Network::Host, 10, 3, &mut |_| {}).await.expect("launched");
        assert_eq!((trials.len(), best.len(), best[0].took.len()), (2, 1, 3));
        assert_eq!(calls.lock().expect("a lock").len(), 10 * 5);
    }
}
