//! Values at one moment.

use std::collections::BTreeMap;

/// Values by stock's name, such as `slave/tasks_running`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Sets a value. One that is no number is left out, as JSON has no word for it.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        if value.is_finite() {
            self.0.insert(name.into(), value);
        }
    }

    /// Sets a count.
    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles on the wire")]
    pub fn count(&mut self, name: impl Into<String>, count: u64) {
        self.set(name, count as f64);
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}
