//! The endpoints besides the operator API, one file for each process of stock's.

pub(super) mod agent;
pub(super) mod files;
pub(super) mod help;
pub(super) mod logging;
pub(super) mod metrics;
