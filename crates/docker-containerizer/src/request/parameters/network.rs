//! Networks and what belongs to the container's place in them: addresses, aliases, links, names.
//!
//! Mesos always names a network, which stock passes as `--net`. A `network` parameter that names a network which somebody
//! made is one more beside such a one of the task; else it replaces the task's, which newer clients refuse and older
//! ones did. The first network is the primary one, and options that name none (`ip`, `network-alias`, `link`,
//! `mac-address`) are about it (`parseNetworkOpts` of the docker client).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use docker_engine::ApiVersion;
use docker_engine::create_body::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};
use mesos_types::FieldError;

use super::csv;
use super::draft::Draft;
use super::error::{Bad, conflict, quote, unknown_field};
use super::number;

/// The first version that knows a MAC address of each network.
const MAC_OF_ENDPOINT: ApiVersion = ApiVersion::new(1, 44);

/// The longest search domain, in bytes.
const LONGEST_DOMAIN: usize = 254;

/// The keys of the long form.
const KEYS: [&str; 8] =
    ["name", "alias", "ip", "ip6", "mac-address", "link-local-ip", "driver-opt", "gw-priority"];

/// A network to connect to, with what is asked for in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) links: Vec<String>,
    pub(super) ip: String,
    pub(super) ip6: String,
    pub(super) link_local: Vec<String>,
    pub(super) mac: String,
    driver_options: BTreeMap<String, String>,
    gateway_priority: Option<i64>,
}

/// Reads `network`: a mode, a network's name, or the long form.
pub(super) fn network(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let attachment = if is_long(value) {
        long_form(draft, value)?
    } else {
        Attachment { name: value.to_owned(), ..Attachment::default() }
    };
    if attachment.name.trim().is_empty() {
        return Err(Bad::because("it names no network"));
    }
    draft.networks.push(attachment);
    Ok(())
}

/// Whether `\w+=\w+` is anywhere in the value, which is how the client tells the long form.
fn is_long(value: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    value
        .match_indices('=')
        .any(|(at, _)| word(value[..at].chars().next_back()) && word(value[at + 1..].chars().next()))
}

fn long_form(draft: &Draft<'_>, value: &str) -> Result<Attachment, Bad> {
    let mut attachment = Attachment::default();
    for (at, field) in csv::fields(value).ok_or(Bad::Form)?.iter().enumerate() {
        // The client does so with keys and values both.
        let field = field.to_lowercase();
        let (key, value) = field
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| unknown_field(at, &field, &KEYS))?;
        let value = value.trim();
        match key.trim() {
            "name" => value.clone_into(&mut attachment.name),
            "alias" => attachment.aliases.push(value.to_owned()),
            "ip" => attachment.ip = address(value)?,
            "ip6" => attachment.ip6 = address(value)?,
            "mac-address" => {
                draft.needs("mac-address", 44)?;
                attachment.mac = mac(value)?;
            }
            "link-local-ip" => attachment.link_local.push(address(value)?),
            "driver-opt" => {
                let (key, value) = value
                    .split_once('=')
                    .filter(|(key, _)| !key.is_empty())
                    .ok_or_else(|| Bad::because("driver-opt is not key=value"))?;
                attachment.driver_options.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            "gw-priority" => {
                draft.needs("gw-priority", 48)?;
                let priority = number::integer(value)
                    .ok_or_else(|| Bad::because("gw-priority is not a whole number"))?;
                attachment.gateway_priority = Some(priority);
            }
            key => return Err(unknown_field(at, key, &KEYS)),
        }
    }
    Ok(attachment)
}

/// Reads `link`: a container, or `container:alias`.
pub(super) fn link(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    if value.is_empty() || value.split(':').count() > 2 {
        return Err(Bad::Form);
    }
    draft.first.links.push(value.to_owned());
    Ok(())
}

/// Reads `ip`.
pub(super) fn ip(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.first.ip = address(value)?;
    Ok(())
}

/// Reads `ip6`.
pub(super) fn ip6(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.first.ip6 = address(value)?;
    Ok(())
}

/// Reads `link-local-ip`.
pub(super) fn link_local_ip(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let address = address(value)?;
    draft.first.link_local.push(address);
    Ok(())
}

/// Reads `mac-address`; an empty one asks for none.
pub(super) fn mac_address(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.first.mac = if value.is_empty() { String::new() } else { mac(value)? };
    Ok(())
}

/// Reads `add-host`: `name:address` or `name=address`, with or without brackets around the address.
pub(super) fn add_host(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (name, address) = value.split_once('=').or_else(|| value.split_once(':')).ok_or(Bad::Form)?;
    let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let known = address == "host-gateway" || address.trim().parse::<IpAddr>().is_ok();
    if name.is_empty() || name.contains(':') || !known {
        return Err(Bad::Form);
    }
    draft.body.host_config.extra_hosts.push(format!("{name}:{address}"));
    Ok(())
}

/// Reads `dns`, into the canonical form.
pub(super) fn dns(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let address: IpAddr = value.trim().parse().map_err(|_| Bad::Form)?;
    draft.body.host_config.dns.push(address.to_canonical().to_string());
    Ok(())
}

/// Reads `dns-search`: a domain, or a dot for none.
pub(super) fn dns_search(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let value = value.trim_matches(' ');
    let domain = if value == "." { value } else { domain(value).ok_or(Bad::Form)? };
    draft.body.host_config.dns_search.push(domain.to_owned());
    Ok(())
}

/// A domain without its last dot: labels of letters, digits and inner dashes, with a letter somewhere.
fn domain(value: &str) -> Option<&str> {
    let value = value.trim_end();
    let value = value.strip_suffix('.').unwrap_or(value);
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let named = value.contains(|c: char| c.is_ascii_alphabetic());
    (named && value.len() <= LONGEST_DOMAIN && value.split('.').all(label)).then_some(value)
}

fn address(value: &str) -> Result<String, Bad> {
    let _: IpAddr = value.parse().map_err(|_| Bad::because("it is no IP address"))?;
    Ok(value.to_owned())
}

/// A hardware address of 6, 8 or 20 bytes, as `net.ParseMAC` reads it: pairs with colons or dashes, or fours with dots.
fn mac(value: &str) -> Result<String, Bad> {
    let text = value.trim();
    let is = |separator: char, digits: usize| {
        let groups: Vec<_> = text.split(separator).collect();
        let sound = |g: &&str| g.len() == digits && g.chars().all(|c| c.is_ascii_hexdigit());
        groups.iter().all(sound) && [6, 8, 20].contains(&(groups.len() * digits / 2))
    };
    if is(':', 2) || is('-', 2) || is('.', 4) {
        Ok(value.to_owned())
    } else {
        Err(Bad::because("it is no MAC address such as 92:d0:c6:0a:29:33"))
    }
}

/// Whether a mode is the name of a network that somebody made.
pub(super) fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "" | "default" | "bridge" | "host" | "none") && !mode.starts_with("container:")
}

/// Puts the networks into the request.
///
/// Networks that somebody made stand beside those of the task that are such too, and come after them, as with the
/// client. Else they take the place of the task's own.
pub(super) fn finish(draft: &mut Draft<'_>) -> Result<(), FieldError> {
    let networks = std::mem::take(&mut draft.networks);
    let mut own = std::mem::take(&mut draft.first);
    draft.body.host_config.links.extend(own.links.iter().cloned());
    let mode = draft.body.host_config.network_mode.clone();
    let beside = is_user_defined(&mode) && networks.iter().all(|network| is_user_defined(&network.name));
    let mut names = BTreeSet::new();
    if beside {
        let endpoints = draft.body.networking_config.iter().flat_map(|config| config.endpoints_config.keys());
        names.extend(endpoints.cloned().chain([mode.clone()]));
    }
    check(&networks, names)?;
    if beside || networks.is_empty() {
        attach(draft, Attachment { name: mode.clone(), ..Attachment::default() }, std::mem::take(&mut own))?;
    }
    let several = networks.len() > usize::from(!beside);
    if beside && several {
        endpoint(draft, mode);
    } else if let Some(first) = networks.first() {
        draft.body.networking_config = None;
        first.name.clone_into(&mut draft.body.host_config.network_mode);
    }
    for network in networks {
        let name = network.name.clone();
        attach(draft, network, std::mem::take(&mut own))?;
        if several {
            endpoint(draft, name);
        }
    }
    Ok(())
}

/// Checks that the networks can stand together.
fn check(networks: &[Attachment], mut names: BTreeSet<String>) -> Result<(), FieldError> {
    if let Some(twice) = networks.iter().find(|network| !names.insert(network.name.clone())) {
        return Err(conflict(format!("the network {} is named twice", quote(&twice.name))));
    }
    let made = networks.iter().filter(|network| is_user_defined(&network.name)).count();
    if made != 0 && made != networks.len() {
        return Err(conflict(
            "a container cannot have both a network that somebody made and a mode such as host",
        ));
    }
    Ok(())
}

/// Puts one network's settings into the request, with those of the options that name no network.
fn attach(draft: &mut Draft<'_>, mut network: Attachment, own: Attachment) -> Result<(), FieldError> {
    let both = |option: &str| {
        Err(conflict(format!("the parameter {option} is given for a network that has its own")))
    };
    let list = |of: &mut Vec<String>, own: Vec<String>| {
        let both = !of.is_empty() && !own.is_empty();
        of.extend(own);
        !both
    };
    let text = |of: &mut String, own: String| {
        let both = !of.is_empty() && !own.is_empty();
        if !own.is_empty() {
            *of = own;
        }
        !both
    };
    if !list(&mut network.aliases, own.aliases) {
        return both("network-alias");
    }
    if !list(&mut network.link_local, own.link_local) {
        return both("link-local-ip");
    }
    if !text(&mut network.ip, own.ip) {
        return both("ip");
    }
    if !text(&mut network.ip6, own.ip6) {
        return both("ip6");
    }
    if !text(&mut network.mac, own.mac) {
        return both("mac-address");
    }
    if is_user_defined(&network.name) {
        network.links = own.links;
    } else if !network.aliases.is_empty() {
        return Err(FieldError::new(
            "container.docker.parameters",
            format!("network-alias needs a network that somebody made, and {} is none", quote(&network.name)),
        )
        .hint("remove it, or name such a network"));
    }
    if draft.context.api < MAC_OF_ENDPOINT && !network.mac.is_empty() {
        draft.body.mac_address = std::mem::take(&mut network.mac);
    }
    fill(draft, network);
    Ok(())
}

/// Adds to the endpoint of a network what is asked for in it, and makes none where nothing is.
fn fill(draft: &mut Draft<'_>, network: Attachment) {
    let addresses = !(network.ip.is_empty() && network.ip6.is_empty() && network.link_local.is_empty());
    let nothing = !addresses
        && network.aliases.is_empty()
        && network.links.is_empty()
        && network.mac.is_empty()
        && network.driver_options.is_empty()
        && network.gateway_priority.is_none();
    if nothing {
        return;
    }
    let endpoint = endpoint(draft, network.name);
    if addresses {
        let ipam = endpoint.ipam_config.get_or_insert_with(EndpointIpamConfig::default);
        replace(&mut ipam.ipv4_address, network.ip);
        replace(&mut ipam.ipv6_address, network.ip6);
        ipam.link_local_ips.extend(network.link_local);
    }
    endpoint.aliases.extend(network.aliases);
    endpoint.links.extend(network.links);
    replace(&mut endpoint.mac_address, network.mac);
    endpoint.driver_opts.extend(network.driver_options);
    endpoint.gw_priority = network.gateway_priority.or(endpoint.gw_priority);
}

fn endpoint<'a>(draft: &'a mut Draft<'_>, name: String) -> &'a mut EndpointSettings {
    let config = draft.body.networking_config.get_or_insert_with(NetworkingConfig::default);
    config.endpoints_config.entry(name).or_default()
}

fn replace(text: &mut String, by: String) {
    if !by.is_empty() {
        *text = by;
    }
}

#[cfg(test)]
mod tests {
    use docker_engine::{CreateBody, NEWEST_API};
    use serde_json::{Value, json};

    use super::super::draft::{Context, apply};
    use super::super::tests::translated;
    use super::*;

    fn endpoints(given: &[(&str, &str)]) -> Result<Value, String> {
        let body = translated(given).map_err(|error| error.to_string())?;
        let endpoints = body.networking_config.map(|config| config.endpoints_config);
        Ok(json!([body.host_config.network_mode, endpoints]))
    }

    #[rstest::rstest]
    #[case(&[("network", "host")], json!(["host", null]))]
    #[case(&[("network", "container:abc")], json!(["container:abc", null]))]
    #[case(&[("network", "foo"), ("network-alias", "a"), ("link", "b:c")],
        json!(["foo", {"foo": {"Aliases": ["a"], "Links": ["b:c"]}}]))]
    #[case(&[("ip", "10.0.0.2"), ("network", "foo"), ("ip6", "::2"), ("link-local-ip", "169.254.0.1")],
        json!(["foo", {"foo": {"IPAMConfig":
            {"IPv4Address": "10.0.0.2", "IPv6Address": "::2", "LinkLocalIPs": ["169.254.0.1"]}}}]))]
    #[case(&[("network", "Name=Foo,ALIAS=x,alias=Y,ip=10.0.0.2,driver-opt=A=B,driver-opt=c=d")],
        json!(["foo", {"foo": {"Aliases": ["x", "y"], "IPAMConfig": {"IPv4Address": "10.0.0.2"},
            "DriverOpts": {"a": "b", "c": "d"}}}]))]
    #[case(&[("network", "foo"), ("network", "name=bar,gw-priority=3,mac-address=92:d0:c6:0a:29:34"),
            ("mac-address", "92:d0:c6:0a:29:33")],
        json!(["foo", {"foo": {"MacAddress": "92:d0:c6:0a:29:33"},
            "bar": {"MacAddress": "92:d0:c6:0a:29:34", "GwPriority": 3}}]))]
    #[case(&[("ip", "10.0.0.2")], json!(["bridge", {"bridge": {"IPAMConfig": {"IPv4Address": "10.0.0.2"}}}]))]
    #[case(&[("link", "a:b")], json!(["bridge", null]))]
    fn networks_are_what_the_client_sends(#[case] given: &[(&str, &str)], #[case] expected: Value) {
        assert_eq!(endpoints(given).unwrap(), expected);
    }

    #[rstest::rstest]
    #[case(&[("network", "foo"), ("network", "foo")], "named twice")]
    #[case(&[("network", "foo"), ("network", "host")], "somebody made")]
    #[case(&[("network-alias", "a")], "network-alias needs")]
    #[case(&[("network", "host"), ("network-alias", "a")], "network-alias needs")]
    #[case(&[("network", "name=foo,ip6=::1"), ("ip6", "::2")], "ip6 is given for a network that has its own")]
    #[case(&[("network", "name=foo,alias=a"), ("network-alias", "b")], "network-alias is given")]
    #[case(&[("network", "")], "names no network")]
    #[case(&[("network", "alias=a")], "names no network")]
    #[case(&[("network", "a b=c")], "no key=value of this option")]
    #[case(&[("network", "name=a,driver-opt=x")], "driver-opt is not")]
    #[case(&[("network", "name=a,ip=x1")], "no IP address")]
    #[case(&[("ip", "notip")], "no IP address")]
    #[case(&[("mac-address", "foo")], "no MAC address")]
    #[case(&[("mac-address", "00:00:5e:00:53")], "no MAC address")]
    #[case(&[("link", "a:b:c")], "is not container")]
    #[case(&[("link", "")], "is not container")]
    fn networks_that_cannot_be_are_refused(#[case] given: &[(&str, &str)], #[case] expected: &str) {
        let error = endpoints(given).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest::rstest]
    #[case("92:d0:c6:0a:29:33")]
    #[case("92-d0-c6-0a-29-33")]
    #[case("0000.5e00.5301")]
    #[case("00:00:5e:00:53:01:00:00")]
    fn a_mac_address_goes_where_the_engine_looks_for_it(#[case] mac: &str) {
        for (minor, body_has, endpoint_has) in [(43, mac, ""), (44, "", mac)] {
            let mut body = CreateBody::default();
            body.host_config.network_mode = "foo".into();
            let given = [mesos_types::Parameter { key: "mac-address".into(), value: mac.into() }];
            let context = Context { api: ApiVersion::new(1, minor), sandbox: std::path::Path::new("/w") };
            apply(&mut body, &given, context).unwrap();
            let endpoint =
                body.networking_config.map(|config| config.endpoints_config["foo"].mac_address.clone());
            assert_eq!(
                (body.mac_address.as_str(), endpoint.unwrap_or_default().as_str()),
                (body_has, endpoint_has)
            );
        }
    }

    #[test]
    fn a_network_takes_the_place_of_a_mode_and_stands_beside_a_network() {
        let mut body = CreateBody::default();
        body.host_config.network_mode = "mesos".into();
        let settings = EndpointSettings { aliases: vec!["a".into()], ..EndpointSettings::default() };
        let endpoints_config = BTreeMap::from([("mesos".to_owned(), settings)]);
        body.networking_config = Some(NetworkingConfig { endpoints_config });
        let context = Context { api: NEWEST_API, sandbox: std::path::Path::new("/w") };
        let one = |key: &str, value: &str| [mesos_types::Parameter { key: key.into(), value: value.into() }];
        let mut kept = body.clone();
        apply(&mut kept, &one("network-alias", "b"), context).unwrap();
        assert_eq!(kept.networking_config.unwrap().endpoints_config["mesos"].aliases, ["a", "b"]);
        let mut more = body.clone();
        apply(&mut more, &one("net", "more"), context).unwrap();
        assert_eq!(more.host_config.network_mode, "mesos");
        let endpoints = more.networking_config.unwrap().endpoints_config;
        assert_eq!(endpoints.keys().collect::<Vec<_>>(), ["mesos", "more"]);
        assert_eq!(endpoints["mesos"].aliases, ["a"]);
        let mut plain = CreateBody::default();
        plain.host_config.network_mode = "mesos".into();
        apply(&mut plain, &one("net", "more"), context).unwrap();
        assert_eq!(plain.networking_config.unwrap().endpoints_config.len(), 2);
        assert!(apply(&mut body.clone(), &one("net", "mesos"), context).is_err(), "named twice");
        apply(&mut body, &one("net", "host"), context).unwrap();
        assert_eq!((body.host_config.network_mode.as_str(), body.networking_config), ("host", None));
    }

    #[rstest::rstest]
    #[case("add-host", "a:1.2.3.4", "a:1.2.3.4")]
    #[case("add-host", "a=::1", "a:::1")]
    #[case("add-host", "a:[::1]", "a:::1")]
    #[case("add-host", "a:host-gateway", "a:host-gateway")]
    #[case("dns", " 0:0::1 ", "::1")]
    #[case("dns", "::ffff:1.2.3.4", "1.2.3.4")]
    #[case("dns-search", "a.b.", "a.b")]
    #[case("dns-search", ".", ".")]
    #[case("dns-opt", "ndots:2", "ndots:2")]
    fn names_are_found(#[case] key: &str, #[case] value: &str, #[case] expected: &str) {
        let host = translated(&[(key, value)]).unwrap().host_config;
        assert_eq!([host.extra_hosts, host.dns, host.dns_search, host.dns_options].concat(), [expected]);
    }

    #[rstest::rstest]
    #[case("add-host", "a:foo")]
    #[case("add-host", "a")]
    #[case("add-host", ":1.2.3.4")]
    #[case("dns", "foo")]
    #[case("dns", "010.1.1.1")]
    #[case("dns-search", "a b")]
    #[case("dns-search", "1.2")]
    #[case("dns-search", "-a.b")]
    #[case("dns-search", "a..b")]
    fn what_is_no_name_is_refused(#[case] key: &str, #[case] value: &str) {
        assert!(translated(&[(key, value)]).is_err());
    }
}
