//! Owns comparing two JSON documents of the engine: what they leave unsaid, and where they differ.

use std::fmt;

use serde_json::Value;

/// Fields in which a zero or an empty list says something else than no value: the client's own type for them is a
/// pointer, or the engine asks whether the list is there, or it sends the zero always. A star stands for the items of a
/// list.
const ZERO_SAYS_SOMETHING: [&str; 17] = [
    "/StopTimeout",
    "/Cmd",
    "/Entrypoint",
    "/HostConfig/Init",
    "/HostConfig/PidsLimit",
    "/HostConfig/MemorySwappiness",
    "/HostConfig/OomKillDisable",
    "/HostConfig/MaskedPaths",
    "/HostConfig/ReadonlyPaths",
    "/HostConfig/DeviceRequests/*/Count",
    "/HostConfig/Ulimits/*/Soft",
    "/HostConfig/Ulimits/*/Hard",
    "/HostConfig/BlkioWeightDevice/*/Weight",
    "/HostConfig/BlkioDeviceReadBps/*/Rate",
    "/HostConfig/BlkioDeviceWriteBps/*/Rate",
    "/HostConfig/BlkioDeviceReadIOps/*/Rate",
    "/HostConfig/BlkioDeviceWriteIOps/*/Rate",
];

/// One field in which two documents differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, as `/HostConfig/Memory`.
    pub path: String,
    /// What the client's has there.
    pub client: Option<Value>,
    /// What ours has there.
    pub ours: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        write!(f, "{}: the client has {}, we have {}", self.path, side(&self.client), side(&self.ours))
    }
}

/// Drops what says nothing: null, and the zero of its type where the engine takes that for no value.
pub fn drop_unsaid(document: &mut Value) {
    drop_below(document, "");
}

fn drop_below(value: &mut Value, at: &str) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let at = format!("{at}/{name}");
            drop_below(value, &at);
            // The keys of a label, a port or an option are data, whatever their value is.
            !value.is_null()
                && (is_data(&at) || ZERO_SAYS_SOMETHING.contains(&at.as_str()) || !is_zero(value))
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| drop_below(item, &format!("{at}/*"))),
        _ => {}
    }
}

/// Tells whether the last part of a path is a key of a map that the user fills.
fn is_data(at: &str) -> bool {
    const MAPS: [&str; 14] = [
        "Labels",
        "ExposedPorts",
        "PortBindings",
        "Volumes",
        "Sysctls",
        "Tmpfs",
        "Config",
        "Options",
        "DriverOpts",
        "StorageOpt",
        "Annotations",
        "EndpointsConfig",
        "Networks",
        "connected after the create",
    ];
    at.rsplit('/').nth(1).is_some_and(|parent| MAPS.contains(&parent))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Returns every field in which the two differ, in the order of their names.
pub fn differences(client: &Value, ours: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("", Some(client), Some(ours), &mut found);
    found
}

fn walk(at: &str, client: Option<&Value>, ours: Option<&Value>, found: &mut Vec<Difference>) {
    if let (Some(Value::Object(client)), Some(Value::Object(ours))) = (client, ours) {
        let mut names: Vec<&String> = client.keys().chain(ours.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            walk(&format!("{at}/{name}"), client.get(name), ours.get(name), found);
        }
    } else if client != ours {
        found.push(Difference { path: at.to_owned(), client: client.cloned(), ours: ours.cloned() });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_nothing_is_dropped_and_what_says_zero_stays() {
        let mut body = json!({
            "Hostname": "", "Env": null, "StopTimeout": 0, "Cmd": [], "Tty": false, "Labels": { "a": "" },
            "HostConfig": { "Memory": 0, "Init": false, "MaskedPaths": [], "Devices": [{ "PathOnHost": "/x", "Other": "" }],
                "DeviceRequests": [{ "Count": 0, "Driver": "" }], "Ulimits": [{ "Name": "core", "Soft": 0, "Hard": 0 }] },
        });
        drop_unsaid(&mut body);
        let expected = json!({
            "StopTimeout": 0, "Cmd": [], "Labels": { "a": "" },
            "HostConfig": { "Init": false, "MaskedPaths": [], "Devices": [{ "PathOnHost": "/x" }],
                "DeviceRequests": [{ "Count": 0 }], "Ulimits": [{ "Name": "core", "Soft": 0, "Hard": 0 }] },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn every_field_that_differs_is_named() {
        let found = differences(
            &json!({ "A": 1, "B": { "C": [1], "D": "x" } }),
            &json!({ "A": 1, "B": { "C": [2] }, "E": null }),
        );
        let paths: Vec<_> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths, ["/B/C", "/B/D", "/E"]);
        assert_eq!(found[0].to_string(), "/B/C: the client has [1], we have [2]");
    }
}
