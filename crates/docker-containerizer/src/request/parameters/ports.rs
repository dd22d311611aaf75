//! Published and exposed ports: `nat.ParsePortSpec` of the docker client.

use std::net::IpAddr;

use docker_engine::create_body::{Empty, PortBinding};

use super::draft::Draft;
use super::error::Bad;

/// The most ports that the options of one task name in all: more are a mistake, and each costs us and the engine memory.
const MOST: usize = 1 << 17;

/// The first and the last port of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
}

/// Reads `publish`: `[[address:][host ports]:]container ports[/protocol]`, or the long form with `target=`.
pub(super) fn publish(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let spec = if value.contains('=') { standard_notation(value)? } else { value.to_owned() };
    let (front, container) = spec.rsplit_once(':').unwrap_or(("", &spec));
    let (address, host) = front.rsplit_once(':').unwrap_or(("", front));
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(Bad::because("the protocol is not tcp, udp or sctp")),
    };
    let address = host_address(address)?;
    let container = range(container).ok_or(Bad::Form)?;
    let host = if host.is_empty() { None } else { Some(range(host).ok_or(Bad::Form)?) };
    if host.is_some_and(|host| host.len() != container.len() && container.len() > 1) {
        return Err(Bad::because("the ranges of host and container ports differ in length"));
    }
    count(draft, container)?;
    for (offset, port) in (container.first..=container.last).enumerate() {
        let host_port = match host {
            None => String::new(),
            // Any free port of the range.
            Some(host) if container.len() == 1 && host.len() > 1 => format!("{}-{}", host.first, host.last),
            Some(host) => (usize::from(host.first) + offset).to_string(),
        };
        let port = format!("{port}/{protocol}");
        draft.body.exposed_ports.insert(port.clone(), Empty {});
        let binding = PortBinding { host_ip: address.clone(), host_port };
        draft.body.host_config.port_bindings.entry(port).or_default().push(binding);
    }
    Ok(())
}

/// Reads `expose`: a port or a range, and a protocol.
pub(super) fn expose(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (ports, protocol) = value.split_once('/').unwrap_or((value, ""));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    let range = range(ports).ok_or(Bad::Form)?;
    count(draft, range)?;
    for port in range.first..=range.last {
        draft.body.exposed_ports.insert(format!("{port}/{protocol}"), Empty {});
    }
    Ok(())
}

fn count(draft: &mut Draft<'_>, range: Range) -> Result<(), Bad> {
    draft.ports += range.len();
    if draft.ports > MOST { Err(Bad::because(format!("a task names at most {MOST} ports"))) } else { Ok(()) }
}

/// The short form of `published=8080,target=80,protocol=tcp`; other keys say nothing, as with the client.
fn standard_notation(value: &str) -> Result<String, Bad> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in value.split(',') {
        let mut parts = field.split('=');
        let (key, value) = (parts.next().unwrap_or_default(), parts.next().ok_or(Bad::Form)?);
        match key {
            "published" => published = value,
            "target" => target = value,
            "protocol" => protocol = value,
            _ => {}
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn host_address(address: &str) -> Result<String, Bad> {
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if !bare.is_empty() {
        let _: IpAddr = bare.parse().map_err(|_| Bad::because("the host's part is no IP address"))?;
    }
    Ok(bare.to_owned())
}

fn range(text: &str) -> Option<Range> {
    let port = |text: &str| -> Option<u16> {
        // Go takes no sign here; Rust would.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = Range { first: port(first)?, last: port(last)? };
    (range.first <= range.last).then_some(range)
}

impl Range {
    fn len(self) -> usize {
        usize::from(self.last) - usize::from(self.first) + 1
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::translated;

    #[rstest::rstest]
    #[case("80", json!({"80/tcp": [["", ""]]}))]
    #[case("8000-8002:9000-9002/udp", json!({"9000/udp": [["", "8000"]], "9001/udp": [["", "8001"]], "9002/udp": [["", "8002"]]}))]
    #[case("8000-8010:80", json!({"80/tcp": [["", "8000-8010"]]}))]
    #[case("127.0.0.1::80", json!({"80/tcp": [["127.0.0.1", ""]]}))]
    #[case("[::1]:80:81", json!({"81/tcp": [["::1", "80"]]}))]
    #[case("::1:80:81", json!({"81/tcp": [["::1", "80"]]}))]
    #[case("80:81/TCP", json!({"81/tcp": [["", "80"]]}))]
    #[case("published=80,target=81,protocol=udp", json!({"81/udp": [["", "80"]]}))]
    #[case("target=80", json!({"80/tcp": [["", ""]]}))]
    #[case("1:01", json!({"1/tcp": [["", "1"]]}))]
    fn a_port_is_published_as_the_client_does(#[case] value: &str, #[case] expected: serde_json::Value) {
        let body = translated(&[("publish", value)]).unwrap();
        let found: serde_json::Map<_, _> = body
            .host_config
            .port_bindings
            .iter()
            .map(|(port, bound)| {
                (port.clone(), bound.iter().map(|b| json!([b.host_ip, b.host_port])).collect())
            })
            .collect();
        assert_eq!(serde_json::Value::Object(found), expected);
        assert!(body.exposed_ports.keys().eq(body.host_config.port_bindings.keys()));
    }

    #[rstest::rstest]
    #[case("publish", "8000-8001:80-82")]
    #[case("publish", "70000:1")]
    #[case("publish", "a:80")]
    #[case("publish", "host:80:80")]
    #[case("publish", "")]
    #[case("publish", "80:81/foo")]
    #[case("publish", "+1:80")]
    #[case("publish", "80-70:80")]
    #[case("publish", "target")]
    #[case("publish", "published=80")]
    #[case("expose", "80:81")]
    #[case("expose", "82-80")]
    #[case("expose", "a")]
    #[case("expose", "")]
    #[case("expose", "70000")]
    fn what_is_no_port_is_refused(#[case] key: &str, #[case] value: &str) {
        assert!(translated(&[(key, value)]).is_err());
    }

    #[rstest::rstest]
    #[case("80", &["80/tcp"])]
    #[case("80/", &["80/tcp"])]
    #[case("80-82/udp", &["80/udp", "81/udp", "82/udp"])]
    fn a_port_is_exposed(#[case] value: &str, #[case] expected: &[&str]) {
        let body = translated(&[("expose", value)]).unwrap();
        assert!(body.exposed_ports.keys().eq(expected), "{:?}", body.exposed_ports);
    }

    #[test]
    fn the_number_of_ports_is_bounded() {
        let all = [("publish", "1-65535"), ("expose", "1-65535/udp")];
        assert!(translated(&all).is_ok());
        assert!(translated(&[&all[..], &[("expose", "1-9")]].concat()).is_err());
    }
}
