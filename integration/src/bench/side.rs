//! Owns what a side of a launch benchmark is. [`super::baseline`] makes one; a side of ours is made the same way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::BoxFuture;

/// The network that a launched container gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The host's own.
    Host,
    /// The engine's bridge.
    Bridge,
}

/// One launch that has succeeded: the container runs.
pub struct Launched {
    /// From accepted to running.
    pub took: Duration,
    /// Removes what was launched; awaited outside the timed part.
    pub remove: BoxFuture<'static, Result<()>>,
}

/// A launch of one container, timed by itself. It may be called again before an earlier one has ended.
pub type LaunchOnce = Arc<dyn Fn(Network) -> BoxFuture<'static, Result<Launched>> + Send + Sync>;

/// One way to launch containers.
#[derive(Clone)]
pub struct Side {
    /// As it stands in the report.
    pub name: &'static str,
    /// Does it once.
    pub launch: LaunchOnce,
    /// How many launches at once are tried for the best one; a side that takes all at once and paces itself names
    /// only the largest.
    pub concurrencies: Vec<usize>,
}

impl Network {
    /// Returns the engine's word for it.
    pub fn mode(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Bridge => "bridge",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.mode())
    }
}

impl fmt::Debug for Launched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Launched").field("took", &self.took).finish_non_exhaustive()
    }
}

impl fmt::Debug for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Side").field("name", &self.name).finish_non_exhaustive()
    }
}
