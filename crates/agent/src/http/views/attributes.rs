//! Attributes as flat JSON (`json(writer, Attributes)` of `src/common/http.cpp`).

use mesos_proto::v1;
use serde_json::{Value, json};

/// Numbers as numbers, texts and ranges as texts. Of a name that stands twice the last one counts.
pub(super) fn attributes(attributes: &[v1::Attribute]) -> Value {
    json!(mesos_types::attributes::summary(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::json::from_json;

    #[test]
    fn values_have_their_kind() {
        let given = [
            json!({"name": "rack", "type": "TEXT", "text": {"value": "r1"}}),
            json!({"name": "weight", "type": "SCALAR", "scalar": {"value": 2.0}}),
            json!({"name": "span", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2}]}}),
        ];
        let given: Vec<v1::Attribute> = given.map(|value| from_json(value).unwrap()).into();
        assert_eq!(attributes(&given), json!({"rack": "r1", "weight": 2.0, "span": "[1-2]"}));
    }
}
