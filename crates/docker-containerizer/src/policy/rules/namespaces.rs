//! Whose namespaces a container is in: its own, the host's, or another container's.

use docker_engine::CreateBody;

use crate::policy::judge::Policy;
use crate::policy::rule::Rule;
use crate::policy::verdict::Verdict;

/// Judges each mode. A mode that no engine has today is denied like the host's: nobody knows what it will mean.
pub(in crate::policy) fn judge(policy: &Policy, body: &CreateBody, verdict: &mut Verdict) {
    let host = &body.host_config;
    let modes: [(&str, &str, &str, &[&str]); 5] = [
        ("pid", "HostConfig.PidMode", &host.pid_mode, &["", "private"]),
        ("ipc", "HostConfig.IpcMode", &host.ipc_mode, &["", "private", "none", "shareable"]),
        ("uts", "HostConfig.UTSMode", &host.uts_mode, &["", "private"]),
        ("user", "HostConfig.UsernsMode", &host.userns_mode, &["", "private"]),
        ("cgroup", "HostConfig.CgroupnsMode", &host.cgroupns_mode, &["", "private"]),
    ];
    for (namespace, field, mode, own) in modes {
        if !own.contains(&mode) {
            shared(policy, namespace, field, mode, verdict);
        }
    }
    let network = &host.network_mode;
    if is_beyond(network) {
        shared(policy, "network", "HostConfig.NetworkMode", network, verdict);
    }
    if !host.cgroup.is_empty() {
        let what = "joining the cgroup of another container";
        join(policy, "cgroup", "HostConfig.Cgroup", what, verdict);
    }
}

/// Whether a network mode is the host's namespace or another container's; what is left is a network's name, and those
/// have no colon or slash.
pub(super) fn is_beyond(network: &str) -> bool {
    network == "host" || network.contains([':', '/'])
}

/// Denies a mode that is not the container's own, unless a rule allows it.
pub(super) fn shared(policy: &Policy, namespace: &str, field: &str, mode: &str, verdict: &mut Verdict) {
    if mode.starts_with("container:") {
        let what = format!("joining the {namespace} namespace of another container");
        join(policy, namespace, field, &what, verdict);
    } else if !policy.allows(Rule::HostNamespaces, namespace) {
        let what = format!("the {namespace} namespace {mode:?}");
        let remedy = match namespace {
            "network" => "use the network BRIDGE, NONE or USER (HOST is what a task gets that names none)",
            _ => "remove it, so that the container has its own",
        };
        verdict.deny(Rule::HostNamespaces, field, what, remedy);
    }
}

fn join(policy: &Policy, namespace: &str, field: &str, what: &str, verdict: &mut Verdict) {
    if !policy.allows(Rule::JoinContainers, namespace) {
        verdict.deny(Rule::JoinContainers, field, what, "remove it, so that the container has its own");
    }
}
