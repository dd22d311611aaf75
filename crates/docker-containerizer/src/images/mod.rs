//! Images on the host: when one is pulled, by whom, and what becomes of a pull that fails.
//!
//! A launch asks for its image (`acquire`); what it needs from a registry goes through the [`manager`], so that twenty
//! tasks of one image make one pull, and a registry that is down or full of big images holds nobody for long.
//!
//! | room | owns |
//! |---|---|
//! | `acquire` | a launch's way to its image: look, pull, fall back |
//! | `manager` | the pulls under way and those who wait for them |
//! | `table` | what the manager knows, under one lock |
//! | `lanes` | whose turn it is, pure |
//! | `key` | what makes two pulls the same |
//! | `policy`, `retry`, `budget` | decisions, pure |
//! | `failure`, `sentences` | what kind of failure it was |
//! | `negative` | refusals of a moment ago |
//! | `flow` | whose layers come, and whose only wait in the engine, pure |
//! | `tally`, `news`, `listener` | how far a pull is, and who is told |
//! | `counters`, `times`, `settings` | numbers for metrics, values of flags |
//! | `identity` | which image it was that ran |

mod acquire;
mod budget;
mod counters;
mod failure;
mod flow;
mod identity;
mod key;
mod lanes;
mod listener;
mod manager;
mod negative;
mod news;
mod policy;
mod retry;
mod sentences;
mod settings;
mod table;
mod tally;
mod times;

pub use counters::PullCounters;
pub use failure::{PullClass, PullError};
pub use identity::ImageIdentity;
pub use negative::NegativeSettings;
pub use news::{PullNews, PullStage};
pub use policy::PullPolicy;
pub use retry::{Backoff, RetrySettings};
pub use settings::PullSettings;
pub use tally::PullTotals;
pub use times::ImageTimes;

pub(crate) use listener::PullListener;
pub(crate) use manager::PullManager;
