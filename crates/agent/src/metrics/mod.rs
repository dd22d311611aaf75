//! What the agent measures: stock's names at `/metrics/snapshot`, and the same as Prometheus text at `/metrics`.
//!
//! ```text
//! model ─────► gauges ─┐
//! collectors ──────────┼──► samples by stock's name ──► flat JSON
//! host ────────────────┘             └── catalogue ──► Prometheus families
//! ```
//!
//! Nothing is stored here. The core counts in the model; containerizer, fetcher, garbage collector and libprocess count for
//! themselves, and a [`Collector`] that the driver adds reads them when somebody asks. Every name that a sample may have
//! stands in the catalogue.

mod catalogue;
mod collectors;
mod gauges;
mod host;
mod prometheus;
mod registry;
mod sample;
mod timer;

pub use collectors::{fetches, gc_removals, image_pulls, libprocess_counters};
pub use gauges::agent_samples;
pub use host::HostStats;
pub use prometheus::{CONTENT_TYPE, render};
pub use registry::{Collector, Metrics};
pub use sample::Samples;
