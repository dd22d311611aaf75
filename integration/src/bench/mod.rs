//! Owns the benchmarks that `scripts/bench` runs: what they measure, side by side on one engine in one run, and how it is
//! told. Called by the program `bench`.
//!
//! A [`Side`] is one way to do the work: [`baseline`] by the bare Engine API, [`ours`] by the supervisor. [`launch`] runs any
//! number of sides interleaved, so that a busy machine is busy for all of them; [`stats`] compares, [`report`] prints.
//! [`fetch`] compares the fetcher with curl, and needs no engine; [`executor`] weighs the executor of a stock agent.

pub mod baseline;
pub mod executor;
pub mod fetch;
pub mod launch;
pub mod ours;
pub mod report;
pub mod side;
pub mod stats;

pub use side::{Launched, Network, Side};
