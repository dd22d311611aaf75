//! What registries said about bad images, remembered for a short while: a task in a crash loop on an image that does
//! not exist must not send a request to the registry each time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::PullError;
use super::key::PullKey;

/// How long refusals are remembered (`--docker_pull_negative_ttl`, `--docker_pull_negative_cache_size`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegativeSettings {
    /// How long one is; zero for not at all.
    pub ttl: Duration,
    /// How many are; the oldest goes first.
    pub size: usize,
}

/// The refusals in memory, by what was asked and with which credentials: other credentials get another answer.
#[derive(Debug)]
pub(crate) struct NegativeCache {
    settings: NegativeSettings,
    known: HashMap<PullKey, (PullError, Instant)>,
    /// In the order in which they came; of a key that came again the later one counts.
    order: VecDeque<(PullKey, Instant)>,
}

impl Default for NegativeSettings {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), size: 256 }
    }
}

impl NegativeCache {
    pub(crate) fn new(settings: NegativeSettings) -> Self {
        Self { settings, known: HashMap::new(), order: VecDeque::new() }
    }

    /// The refusal of the same question, if it is not too old. What is too old goes: its key has credentials.
    pub(crate) fn get(&mut self, key: &PullKey, now: Instant) -> Option<PullError> {
        self.drop_surplus(now);
        self.known.get(key).map(|(error, _)| error.clone())
    }

    /// Remembers a refusal.
    pub(crate) fn put(&mut self, key: PullKey, error: PullError, now: Instant) {
        if self.settings.ttl.is_zero() || self.settings.size == 0 {
            return;
        }
        self.known.insert(key.clone(), (error, now));
        self.order.push_back((key, now));
        self.drop_surplus(now);
    }

    /// Forgets a refusal that does not hold any more.
    pub(crate) fn remove(&mut self, key: &PullKey) {
        self.known.remove(key);
        self.order.retain(|(known, _)| known != key);
    }

    /// Drops the refusals that are too old, and the oldest of too many.
    fn drop_surplus(&mut self, now: Instant) {
        while let Some((_, since)) = self.order.front() {
            let is_old = now.duration_since(*since) >= self.settings.ttl;
            if !is_old && self.order.len() <= self.settings.size {
                break;
            }
            let Some((key, since)) = self.order.pop_front() else { break };
            if self.known.get(&key).is_some_and(|(_, known)| *known == since) {
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_engine::Credentials;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(image: &str, password: Option<&str>) -> PullKey {
        let credentials =
            password.map(|password| Credentials { password: password.to_owned(), ..Credentials::default() });
        PullKey::new(&image.parse().unwrap(), None, credentials)
    }

    fn refusal(image: &str) -> PullError {
        PullError::Abandoned { image: image.to_owned() }
    }

    fn cache(size: usize) -> NegativeCache {
        NegativeCache::new(NegativeSettings { ttl: 30 * SECOND, size })
    }

    #[test]
    fn a_refusal_is_remembered_for_its_time_and_its_credentials() {
        let (mut cache, now) = (cache(8), Instant::now());
        cache.put(key("a", Some("x")), refusal("a"), now);
        assert!(cache.get(&key("a", Some("x")), now + 29 * SECOND).is_some());
        assert!(cache.get(&key("a", Some("y")), now).is_none());
        assert!(cache.get(&key("a", None), now).is_none());
        assert!(cache.get(&key("a:other", Some("x")), now).is_none());
        cache.remove(&key("a", Some("x")));
        assert!(cache.get(&key("a", Some("x")), now).is_none());
        assert!(cache.order.is_empty(), "a secret is kept");
        cache.put(key("a", Some("x")), refusal("a"), now);
        assert!(cache.get(&key("a", Some("x")), now + 30 * SECOND).is_none());
    }

    #[test]
    fn a_look_for_anything_drops_what_is_too_old() {
        let (mut cache, now) = (cache(8), Instant::now());
        cache.put(key("a", Some("x")), refusal("a"), now);
        cache.put(key("b", Some("x")), refusal("b"), now + 20 * SECOND);
        assert!(cache.get(&key("other", None), now + 30 * SECOND).is_none());
        assert_eq!((cache.known.len(), cache.order.len()), (1, 1));
        assert!(cache.get(&key("other", None), now + 50 * SECOND).is_none());
        assert!(cache.known.is_empty() && cache.order.is_empty());
    }

    #[test]
    fn it_is_bounded_and_the_oldest_goes_first() {
        let (mut cache, now) = (cache(3), Instant::now());
        for at in 0..100u32 {
            cache.put(key(&format!("a:{at}"), None), refusal("a"), now + at * SECOND / 100);
            assert!(cache.known.len() <= 3 && cache.order.len() <= 3);
        }
        assert!(cache.get(&key("a:96", None), now).is_none());
        assert!(cache.get(&key("a:97", None), now).is_some());
        // The same one again and again takes one place.
        for at in 0..100u32 {
            cache.put(key("b", None), refusal("b"), now + SECOND + at * SECOND / 100);
            assert!(cache.order.len() <= 3);
        }
        assert!(cache.get(&key("b", None), now + 3 * SECOND).is_some());
    }

    #[test]
    fn without_a_time_nothing_is_remembered() {
        let mut cache = NegativeCache::new(NegativeSettings { ttl: Duration::ZERO, size: 8 });
        cache.put(key("a", None), refusal("a"), Instant::now());
        assert!(cache.known.is_empty() && cache.order.is_empty());
    }
}
