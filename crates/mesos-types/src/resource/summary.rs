//! Resources as `/state` and the statistics show them (Mesos `src/common/http.cpp`, `model(Resources)`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::amount::Amount;
use super::one::Resource;
use super::set::ResourceSet;
use super::value::ResourceValue;

/// The scalars that are always there.
const ALWAYS: [&str; 4] = ["cpus", "disk", "gpus", "mem"];

/// A value in the summary.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SummaryValue {
    /// The sum of scalars.
    Number(f64),
    /// Ranges or a set, as text.
    Text(String),
}

/// The sums of resources by name, whatever their role: `{"cpus": 4.0, ..., "ports": "[31000-32000]"}`. Revocable ones
/// are apart, as `cpus_revocable`. A name whose shapes differ keeps the shape that came first.
pub fn summary(resources: &ResourceSet) -> BTreeMap<String, SummaryValue> {
    let mut sums: BTreeMap<String, ResourceValue> =
        ALWAYS.iter().map(|name| ((*name).to_owned(), ResourceValue::Scalar(Amount::ZERO))).collect();
    for resource in resources.iter() {
        let suffix = if resource.is_revocable() { "_revocable" } else { "" };
        let name = format!("{}{suffix}", resource.name());
        match sums.get_mut(&name) {
            Some(sum) => sum.add(resource.value()),
            None => {
                sums.insert(name, resource.value().clone());
            }
        }
    }
    sums.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// The summary of what is reserved for each role.
pub fn reserved_summary(resources: &ResourceSet) -> BTreeMap<String, BTreeMap<String, SummaryValue>> {
    resources.reserved_by_role().iter().map(|(role, resources)| (role.clone(), summary(resources))).collect()
}

/// The resources as full messages in the form of the endpoints, which says reservations in both ways.
pub fn full<'r>(resources: impl IntoIterator<Item = &'r Resource>) -> Vec<mesos_proto::v1::Resource> {
    let mut messages: Vec<_> = resources.into_iter().map(Resource::to_proto).collect();
    super::format::to_endpoint(&mut messages);
    messages
}

impl From<ResourceValue> for SummaryValue {
    fn from(value: ResourceValue) -> Self {
        match value {
            ResourceValue::Scalar(amount) => Self::Number(amount.as_f64()),
            other @ (ResourceValue::Ranges(_) | ResourceValue::Set(_)) => Self::Text(other.to_string()),
        }
    }
}
