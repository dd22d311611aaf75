//! Updates of what a container may use: the newest counts, and each is answered, unless the container ends before.
//!
//! An engine that hangs holds one update up, and those that come meanwhile become one: the last that was wanted. Nothing
//! is asked for before the container was seen up, since what does not run is not updated.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mesos_proto::v1;
use mesos_types::resource::ResourceLimits;
use tokio::sync::Notify;

/// What a container shall have from now on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// The updates that this one answers, in the order of their coming.
    pub(super) tokens: Vec<u64>,
    /// What it may use.
    pub(super) resources: Vec<v1::Resource>,
    /// What it may burst to.
    pub(super) limits: ResourceLimits,
}

/// The updates of one run that were not performed yet.
#[derive(Debug, Default)]
pub(super) struct Updates {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    wanted: Option<Wanted>,
    is_up: bool,
}

impl Updates {
    /// Wants an update. It takes the place of one that nobody has begun with.
    pub(super) fn want(&self, token: u64, resources: Vec<v1::Resource>, limits: ResourceLimits) {
        {
            let mut state = self.state();
            let mut tokens = state.wanted.take().map(|earlier| earlier.tokens).unwrap_or_default();
            tokens.push(token);
            state.wanted = Some(Wanted { tokens, resources, limits });
        }
        self.changed.notify_one();
    }

    /// Wants again what was not performed, unless something newer is wanted: that answers both.
    pub(super) fn again(&self, earlier: Wanted) {
        {
            let mut state = self.state();
            state.wanted = Some(match state.wanted.take() {
                Some(newer) => Wanted { tokens: [earlier.tokens, newer.tokens].concat(), ..newer },
                None => earlier,
            });
        }
        self.changed.notify_one();
    }

    /// The container runs.
    pub(super) fn up(&self) {
        self.state().is_up = true;
        self.changed.notify_one();
    }

    /// Waits for what comes next.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again. One task waits.
    pub(super) async fn next(&self) -> Wanted {
        loop {
            {
                let mut state = self.state();
                if state.is_up
                    && let Some(wanted) = state.wanted.take()
                {
                    return wanted;
                }
            }
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(value: f64) -> Vec<v1::Resource> {
        vec![v1::Resource {
            name: "cpus".into(),
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        }]
    }

    #[tokio::test]
    async fn the_newest_counts_and_each_is_answered() {
        let updates = Updates::default();
        updates.want(1, cpus(1.0), ResourceLimits::new());
        updates.want(2, cpus(2.0), ResourceLimits::new());
        assert!(
            tokio::time::timeout(std::time::Duration::ZERO, updates.next()).await.is_err(),
            "it is not up"
        );
        updates.up();
        let next = updates.next().await;
        assert_eq!((next.tokens, next.resources), (vec![1, 2], cpus(2.0)));
        updates.want(3, cpus(3.0), ResourceLimits::new());
        let third = updates.next().await;
        assert_eq!(third.tokens, [3]);

        // What is wanted again gives way to what is newer.
        updates.again(third);
        let third = updates.next().await;
        assert_eq!((third.tokens.clone(), third.resources.clone()), (vec![3], cpus(3.0)));
        updates.want(4, cpus(4.0), ResourceLimits::new());
        updates.again(third);
        let fourth = updates.next().await;
        assert_eq!((fourth.tokens, fourth.resources), (vec![3, 4], cpus(4.0)));
    }
}
