//! The bounds of what waits in the agent and of what it remembers.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::http::count;
use super::texts::Texts;
use crate::error::FlagError;
use crate::values::quote;

/// How much may wait, be remembered, or be done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundSettings {
    /// `--max_queued_events`.
    pub queued_events: NonZeroUsize,
    /// `--max_queued_reads`.
    pub queued_reads: NonZeroUsize,
    /// `--max_queued_actions`.
    pub queued_actions: NonZeroUsize,
    /// `--max_queued_kills`, of one task.
    pub queued_kills: NonZeroUsize,
    /// `--max_completed_frameworks`.
    pub completed_frameworks: usize,
    /// `--max_waiting_status_updates`, of one task; at least 2.
    pub waiting_status_updates: usize,
    /// `--max_status_updates_in_memory`, streams.
    pub status_updates_in_memory: NonZeroUsize,
    /// `--status_update_retry_interval_min`.
    pub status_update_retry_min: Duration,
    /// `--status_update_retry_interval_max`.
    pub status_update_retry_max: Duration,
    /// `--gc_max_removals`.
    pub gc_removals: NonZeroUsize,
    /// `--recovery_max_parallel`.
    pub recovery_parallel: NonZeroUsize,
    /// `--recovery_patience`.
    pub recovery_patience: Duration,
}

impl BoundSettings {
    pub(super) fn from_texts(texts: &Texts) -> Result<Self, FlagError> {
        Ok(Self {
            queued_events: texts.required("max_queued_events", count)?,
            queued_reads: texts.required("max_queued_reads", count)?,
            queued_actions: texts.required("max_queued_actions", count)?,
            queued_kills: texts.required("max_queued_kills", count)?,
            completed_frameworks: texts.required("max_completed_frameworks", super::settings::completed)?,
            waiting_status_updates: texts.required("max_waiting_status_updates", waiting)?,
            status_updates_in_memory: texts.required("max_status_updates_in_memory", count)?,
            status_update_retry_min: texts
                .required("status_update_retry_interval_min", crate::docker::deadline)?,
            status_update_retry_max: texts
                .required("status_update_retry_interval_max", crate::docker::deadline)?,
            gc_removals: texts.required("gc_max_removals", count)?,
            recovery_parallel: texts.required("recovery_max_parallel", count)?,
            recovery_patience: texts.required("recovery_patience", crate::docker::deadline)?,
        })
    }
}

/// The head and the newest always wait.
fn waiting(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|&number| number >= 2);
    number.ok_or_else(|| format!("{} is not a whole number of at least 2", quote(text)))
}
