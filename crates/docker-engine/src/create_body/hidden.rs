//! Values that are sent to the engine and never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

/// A list or map whose `Debug` prints keys only: environment entries, options of log and volume drivers.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden<T>(T);

impl<T> Hidden<T> {
    /// Returns what is inside.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Hidden<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Hidden<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Hidden<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl fmt::Debug for Hidden<Vec<String>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|entry| entry.split_once('=').map_or("***", |(name, _)| name));
        f.debug_list().entries(names.map(|name| format!("{name}=***"))).finish()
    }
}

impl fmt::Debug for Hidden<BTreeMap<String, String>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|key| (key, "***"))).finish()
    }
}

/// Says whether a flag has the engine's default and need not be sent.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

/// Says whether a hidden list need not be sent.
pub(super) fn hidden_list_is_empty(list: &Hidden<Vec<String>>) -> bool {
    list.is_empty()
}

/// Says whether a hidden map need not be sent.
pub(super) fn hidden_map_is_empty(map: &Hidden<BTreeMap<String, String>>) -> bool {
    map.is_empty()
}
