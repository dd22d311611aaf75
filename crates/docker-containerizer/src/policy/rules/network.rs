//! The networks of a container, its links, and the host ports that reach it.

use docker_engine::{CreateBody, EndpointSettings};
use mesos_types::PortRanges;

use super::namespaces::{is_beyond, shared};
use crate::policy::judge::{Policy, Situation};
use crate::policy::rule::Rule;
use crate::policy::setting::Setting;
use crate::policy::verdict::Verdict;
use crate::request::Connection;

/// Judges them, those of the create and those that are connected after it.
pub(in crate::policy) fn judge(
    policy: &Policy,
    body: &CreateBody,
    connections: &[Connection],
    situation: &Situation,
    verdict: &mut Verdict,
) {
    let mode = &body.host_config.network_mode;
    if !is_beyond(mode) {
        network(policy, "HostConfig.NetworkMode", mode, verdict);
    }
    for (name, settings) in body.networking_config.iter().flat_map(|config| &config.endpoints_config) {
        let field = format!("NetworkingConfig.EndpointsConfig[{name}]");
        if is_beyond(name) {
            shared(policy, "network", &field, name, verdict);
        } else if name != mode {
            network(policy, &field, name, verdict);
        }
        endpoint(policy, &field, settings, verdict);
    }
    for Connection { network: name, settings } in connections {
        let field = format!("NetworkConnect[{name}]");
        if is_beyond(name) {
            shared(policy, "network", &field, name, verdict);
        } else {
            network(policy, &field, name, verdict);
        }
        endpoint(policy, &field, settings, verdict);
    }
    links(policy, "HostConfig.Links", &body.host_config.links, verdict);
    ports(policy, body, &situation.resources.ports, verdict);
}

fn network(policy: &Policy, field: &str, name: &str, verdict: &mut Verdict) {
    let is_engines_own = matches!(name, "" | "default" | "bridge" | "none");
    if !is_engines_own && !policy.allows(Rule::Networks, name) {
        verdict.deny(Rule::Networks, field, format!("the network {name}"), "use another network");
    }
}

fn endpoint(policy: &Policy, field: &str, settings: &EndpointSettings, verdict: &mut Verdict) {
    for key in settings.driver_opts.keys() {
        if !policy.allows(Rule::NetworkOptions, key) {
            let what = format!("the option {key} for the network's driver");
            let remedy = "remove the network's label, or the driver-opt of the parameter network";
            verdict.deny(Rule::NetworkOptions, format!("{field}.DriverOpts[{key}]"), what, remedy);
        }
    }
    links(policy, &format!("{field}.Links"), &settings.links, verdict);
}

fn links(policy: &Policy, field: &str, links: &[String], verdict: &mut Verdict) {
    if !links.is_empty() && !policy.setting(Rule::Links).is_any() {
        let remedy = "remove the parameter link, and use a network";
        verdict.deny(Rule::Links, field, "a link to another container", remedy);
    }
}

fn ports(policy: &Policy, body: &CreateBody, resource: &PortRanges, verdict: &mut Verdict) {
    let setting = policy.setting(Rule::Ports);
    if setting.is_any() {
        return;
    }
    if body.host_config.publish_all_ports {
        let what = "publishing all ports, on host ports that the task was not given";
        let remedy = "remove publish-all, and use port mappings";
        verdict.deny(Rule::Ports, "HostConfig.PublishAllPorts", what, remedy);
    }
    for (port, bindings) in &body.host_config.port_bindings {
        // No binding at all is one to any free port.
        let hosts = bindings.iter().map(|binding| binding.host_port.as_str());
        let hosts: Vec<&str> = if bindings.is_empty() { vec![""] } else { hosts.collect() };
        for (at, host) in hosts.into_iter().enumerate() {
            if *setting == Setting::Resources && is_given(host, resource) {
                continue;
            }
            if verdict.is_full() {
                verdict.count();
                continue;
            }
            let what = match host {
                "" | "0" => format!("publishing {port} on any free port of the host"),
                host => format!("publishing {port} on the host's {host}"),
            };
            let field = format!("HostConfig.PortBindings[{port}][{at}]");
            let remedy = format!("use host ports of the task's resource ports, which holds {resource}");
            verdict.deny(Rule::Ports, field, what, remedy);
        }
    }
}

/// Whether a port, or each of a range `begin-end`, is in the task's ports.
fn is_given(host: &str, resource: &PortRanges) -> bool {
    let (begin, end) = host.split_once('-').unwrap_or((host, host));
    match (begin.parse::<u16>(), end.parse::<u16>()) {
        (Ok(begin @ 1..), Ok(end)) if begin <= end => (begin..=end).all(|port| resource.contains(port)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("31000", true)]
    #[case("31000-31002", true)]
    #[case("31002-31003", false)]
    #[case("30999", false)]
    #[case("31002-31000", false)]
    #[case("", false)]
    #[case("0", false)]
    #[case("+31000x", false)]
    fn only_ports_of_the_task_are_given(#[case] host: &str, #[case] expected: bool) {
        let resource = PortRanges::new([(31000, 31002)]).unwrap();
        assert_eq!(is_given(host, &resource), expected);
    }
}
