//! The flags as `/flags`, `/state` and the log show them.

use std::collections::BTreeMap;

use super::master::MasterFlag;
use super::table::agent_flags;
use super::texts::{Texts, canonical};
use crate::definition::Sensitivity;

/// Names and values that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownFlags(BTreeMap<String, String>);

impl ShownFlags {
    /// Spells every flag that has a value, or a default, as stock prints it. The values were found to be of their kind.
    pub(super) fn new(texts: &Texts, master: &MasterFlag) -> Self {
        let mut shown = BTreeMap::new();
        for row in agent_flags() {
            let Some(text) = texts.text(row.flag.name) else { continue };
            let value = match (row.flag.name, row.flag.sensitivity) {
                ("master", _) => master.shown().to_owned(),
                (_, Sensitivity::Secret) => row.flag.shown(text).to_owned(),
                _ => canonical(row.flag.kind, text).unwrap_or_else(|_| text.to_owned()),
            };
            shown.insert(row.flag.name.to_owned(), value);
        }
        Self(shown)
    }

    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}
