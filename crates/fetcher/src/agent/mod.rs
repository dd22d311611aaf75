//! The agent side: decides what goes through the cache, starts the child for one fetch, follows it, ends it.
//!
//! The Docker containerizer calls [`Fetcher::fetch`] before a container is created, and gets what the child prints and
//! how far it is through a callback. Follows `FetcherProcess` of Mesos (src/slave/containerizer/fetcher.cpp).
//!
//! ```text
//! uris ──plan──► take entries ──► [child: measure] ──► reserve ──► wait for others' ──► child: fetch ──► complete
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `account` | the user that a fetch runs as |
//! | `plan` | what is wanted, and what is told to the child; pure |
//! | `program` | where the child's program is, and its environment |
//! | `child` | one child from its start to its end |
//! | `cached` | a fetch's entries of the cache |
//! | `fetcher` | a whole fetch, and the counters |

mod account;
mod cached;
mod child;
mod error;
mod fetcher;
mod plan;
mod program;
mod settings;

pub use account::Account;
pub use error::FetchError;
pub use fetcher::{FetchOrder, Fetched, Fetcher, Metrics, Told};
pub use plan::{Wanted, is_registry_config, may_bring_registry_config};
pub use settings::{CacheSettings, FetcherSettings, Revalidation};
