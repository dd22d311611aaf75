//! Resources as JSON: sums by name, and whole ones by role. The arithmetic is that of `mesos_types`.

use mesos_proto::json::{Names, to_json};
use mesos_proto::v1;
use mesos_types::resource::summary::{full, reserved_summary, summary};
use mesos_types::{Resource, ResourceSet};
use serde_json::{Value, json};

/// The sum by name: numbers, and ranges and sets as texts. What can be revoked counts apart, as `cpus_revocable`.
pub(super) fn amounts<'a>(resources: impl IntoIterator<Item = &'a v1::Resource>) -> Value {
    json!(summary(&sum(resources)))
}

/// The amounts reserved for each role (`Resources::reservations`).
pub(super) fn reserved(resources: &[v1::Resource]) -> Value {
    json!(reserved_summary(&sum(resources)))
}

/// The amounts that are reserved for nobody.
pub(super) fn unreserved(resources: &[v1::Resource]) -> Value {
    json!(summary(&sum(resources).unreserved()))
}

/// What is reserved for each role, whole.
pub(super) fn reserved_full(resources: &[v1::Resource]) -> Value {
    let roles = sum(resources).reserved_by_role().into_iter();
    roles.map(|(role, resources)| (role, whole(&resources))).collect()
}

/// What is reserved for nobody, whole.
pub(super) fn unreserved_full(resources: &[v1::Resource]) -> Value {
    whole(&sum(resources).unreserved())
}

/// The sum of messages in either form. What is no resource was refused when it came, so nothing is left out here.
fn sum<'a>(resources: impl IntoIterator<Item = &'a v1::Resource>) -> ResourceSet {
    resources.into_iter().filter_map(|resource| Resource::from_proto(resource).ok()).collect()
}

fn whole(resources: &ResourceSet) -> Value {
    full(resources.iter()).iter().map(|resource| to_json(resource, Names::V0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::json::from_json;

    fn resources(value: Value) -> Vec<v1::Resource> {
        let Value::Array(values) = value else { panic!("a list") };
        values.into_iter().map(|value| from_json(value).unwrap()).collect()
    }

    #[test]
    fn amounts_are_summed_by_name() {
        let given = resources(json!([
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.2}},
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.5}, "revocable": {}},
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 5, "end": 6}, {"begin": 1, "end": 2}]}},
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 7, "end": 7}]}},
            {"name": "zone", "type": "SET", "set": {"item": ["b", "a"]}},
        ]));
        assert_eq!(
            amounts(&given),
            json!({"cpus": 0.3, "disk": 0.0, "gpus": 0.0, "mem": 0.0, "cpus_revocable": 1.5,
                "ports": "[1-2, 5-7]", "zone": "{a, b}"})
        );
    }

    #[test]
    fn reservations_are_told_in_both_forms() {
        let given = resources(json!([
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 1.0}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 2.0}, "reservations": [{"type": "STATIC", "role": "a"}]},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 4.0},
                "reservations": [{"type": "DYNAMIC", "role": "a", "principal": "p"}]},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 8.0},
                "reservations": [{"type": "STATIC", "role": "a"}, {"type": "DYNAMIC", "role": "a/b", "principal": "p"}]},
        ]));
        assert_eq!(unreserved(&given)["mem"], 1.0);
        assert_eq!(reserved(&given)["a"]["mem"], 6.0);
        assert_eq!(reserved(&given)["a/b"]["mem"], 8.0);
        let full = reserved_full(&given);
        assert_eq!(
            full["a"],
            json!([
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 2.0}, "role": "a",
                    "reservations": [{"type": "STATIC", "role": "a"}]},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 4.0}, "role": "a", "reservation": {"principal": "p"},
                    "reservations": [{"type": "DYNAMIC", "role": "a", "principal": "p"}]},
            ])
        );
        assert_eq!(full["a/b"][0].get("role"), None);
        assert_eq!(
            unreserved_full(&given),
            json!([{"name": "mem", "type": "SCALAR", "scalar": {"value": 1.0}, "role": "*"}])
        );
    }

    #[test]
    fn the_form_of_old_masters_is_read_too() {
        let given = resources(json!([
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 2.0}, "role": "r"},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 1.0}, "role": "*"},
        ]));
        assert_eq!((&reserved(&given)["r"]["mem"], &unreserved(&given)["mem"]), (&json!(2.0), &json!(1.0)));
        assert_eq!(unreserved_full(&given)[0]["role"], "*");
    }
}
