//! `--default_container_dns`: the DNS settings of containers whose task names none (message `ContainerDNSInfo`).

use serde_json::Value;

/// The validated value of the flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDns {
    /// The entries for Docker networks, in order.
    pub docker: Vec<DnsEntry>,
    /// The whole value as given; the part for the Mesos containerizer is in it.
    pub json: Value,
}

/// DNS settings for one Docker network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsEntry {
    /// The network.
    pub network: DnsNetwork,
    /// Name servers, in order.
    pub nameservers: Vec<String>,
    /// Search domains, in order.
    pub search: Vec<String>,
    /// Resolver options, in order.
    pub options: Vec<String>,
}

/// Which containers an entry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsNetwork {
    /// Those on the default bridge.
    Bridge,
    /// Those on a user-defined network without an entry of its own.
    AnyUser,
    /// Those on the user-defined network of this name.
    User(String),
}

impl ContainerDns {
    /// Reads and checks the flag's value (Mesos `src/slave/flags.cpp`, `default_container_dns`).
    ///
    /// # Errors
    ///
    /// A sentence for what is not a `ContainerDNSInfo`, and for what Mesos refuses: network modes UNKNOWN and HOST,
    /// two BRIDGE entries, two USER entries without a name, two USER entries with the same name.
    pub fn from_json(json: Value) -> Result<Self, String> {
        let object = json.as_object().ok_or("expected a JSON object")?;
        let mut docker: Vec<DnsEntry> = Vec::new();
        for (index, entry) in array(object.get("docker"), "docker")?.iter().enumerate() {
            let entry = DnsEntry::from_json(entry).map_err(|reason| format!("docker[{index}]: {reason}"))?;
            if docker.iter().any(|other| other.network == entry.network) {
                return Err(format!("docker[{index}]: {}", twice(&entry.network)));
            }
            docker.push(entry);
        }
        array(object.get("mesos"), "mesos")?;
        Ok(Self { docker, json })
    }

    /// The entry for the default bridge.
    pub fn for_bridge(&self) -> Option<&DnsEntry> {
        self.docker.iter().find(|entry| entry.network == DnsNetwork::Bridge)
    }

    /// The entry for the user-defined network `name`: its own, else the one for all of them.
    pub fn for_user_network(&self, name: &str) -> Option<&DnsEntry> {
        let own = |entry: &&DnsEntry| matches!(&entry.network, DnsNetwork::User(other) if other == name);
        self.docker
            .iter()
            .find(own)
            .or_else(|| self.docker.iter().find(|entry| entry.network == DnsNetwork::AnyUser))
    }
}

impl DnsEntry {
    fn from_json(json: &Value) -> Result<Self, String> {
        let object = json.as_object().ok_or("expected a JSON object")?;
        let name = match object.get("network_name") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err("network_name: expected a string".to_owned()),
        };
        let network = match (object.get("network_mode").and_then(Value::as_str), name) {
            (Some("BRIDGE"), None) => DnsNetwork::Bridge,
            (Some("BRIDGE"), Some(_)) => {
                return Err("network_name has no meaning with network_mode BRIDGE".to_owned());
            }
            (Some("USER"), None) => DnsNetwork::AnyUser,
            (Some("USER"), Some(name)) => DnsNetwork::User(name),
            (Some(mode @ ("UNKNOWN" | "HOST")), _) => {
                return Err(format!("network_mode {mode} cannot have DNS settings, expected BRIDGE or USER"));
            }
            _ => return Err("network_mode: expected BRIDGE or USER".to_owned()),
        };
        let dns = object.get("dns").and_then(Value::as_object).ok_or("dns: expected a JSON object")?;
        let list = |key| strings(dns.get(key), key);
        Ok(Self {
            network,
            nameservers: list("nameservers")?,
            search: list("search")?,
            options: list("options")?,
        })
    }
}

/// The sentence for a second entry of the same network.
fn twice(network: &DnsNetwork) -> String {
    match network {
        DnsNetwork::Bridge => "a second entry for network_mode BRIDGE".to_owned(),
        DnsNetwork::AnyUser => "a second entry for network_mode USER without a network_name".to_owned(),
        DnsNetwork::User(name) => format!("a second entry for the user network {name:?}"),
    }
}

/// An optional array.
fn array<'v>(value: Option<&'v Value>, key: &str) -> Result<&'v [Value], String> {
    match value {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(format!("{key}: expected an array")),
    }
}

/// An optional array of strings.
fn strings(value: Option<&Value>, key: &str) -> Result<Vec<String>, String> {
    array(value, key)?
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| format!("{key}: expected strings")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(mode: &str, name: Option<&str>, server: &str) -> Value {
        json!({ "network_mode": mode, "network_name": name, "dns": { "nameservers": [server] } })
    }

    fn parse(entries: &[Value]) -> Result<ContainerDns, String> {
        ContainerDns::from_json(json!({ "docker": entries }))
    }

    #[test]
    fn entries_are_found_by_network() {
        let dns = parse(&[
            entry("BRIDGE", None, "1.1.1.1"),
            entry("USER", None, "2.2.2.2"),
            entry("USER", Some("n1"), "3.3.3.3"),
        ])
        .unwrap();
        assert_eq!(dns.for_bridge().unwrap().nameservers, ["1.1.1.1"]);
        assert_eq!(dns.for_user_network("n1").unwrap().nameservers, ["3.3.3.3"]);
        assert_eq!(dns.for_user_network("n2").unwrap().nameservers, ["2.2.2.2"]);
        assert_eq!(ContainerDns::from_json(json!({})).unwrap().for_bridge(), None);
    }

    #[test]
    fn what_mesos_refuses_is_refused() {
        for (entries, message) in [
            (vec![entry("UNKNOWN", None, "a")], "docker[0]: network_mode UNKNOWN cannot have DNS settings"),
            (vec![entry("HOST", None, "a")], "docker[0]: network_mode HOST cannot have DNS settings"),
            (vec![entry("BRIDGE", None, "a"); 2], "docker[1]: a second entry for network_mode BRIDGE"),
            (vec![entry("USER", None, "a"); 2], "docker[1]: a second entry for network_mode USER without"),
            (vec![entry("USER", Some("n"), "a"); 2], "docker[1]: a second entry for the user network \"n\""),
            (vec![json!({ "network_mode": "BRIDGE" })], "docker[0]: dns: expected a JSON object"),
            (vec![json!({ "dns": {} })], "docker[0]: network_mode: expected BRIDGE or USER"),
            (vec![json!(1)], "docker[0]: expected a JSON object"),
            (
                vec![json!({ "network_mode": "USER", "dns": { "search": [1] } })],
                "docker[0]: search: expected",
            ),
        ] {
            let error = parse(&entries).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
        assert!(ContainerDns::from_json(json!([])).is_err());
        assert!(ContainerDns::from_json(json!({ "docker": {} })).is_err());
    }
}
