//! What a container may do beyond an ordinary one: privileges, capabilities, security options, the kernel's settings,
//! the runtime, its place among the host's processes.

use docker_engine::{CreateBody, HostConfig};

use crate::policy::judge::Policy;
use crate::policy::rule::Rule;
use crate::policy::verdict::Verdict;

/// Judges it.
pub(in crate::policy) fn judge(policy: &Policy, body: &CreateBody, verdict: &mut Verdict) {
    let host = &body.host_config;
    if host.privileged && !policy.setting(Rule::Privileged).is_any() {
        let remedy = "remove container.docker.privileged or the parameter privileged";
        verdict.deny(Rule::Privileged, "HostConfig.Privileged", "a privileged container", remedy);
    }
    for (at, name) in host.cap_add.iter().enumerate() {
        let name = capability(name);
        if !policy.allows(Rule::Capabilities, &name) {
            let what = format!("adding the capability {name}");
            verdict.deny(Rule::Capabilities, format!("HostConfig.CapAdd[{at}]"), what, "do not add it");
        }
    }
    for (at, option) in host.security_opt.iter().enumerate() {
        let option = security_option(option);
        if !policy.allows(Rule::SecurityOptions, &option) {
            // A seccomp profile is a whole file.
            let shown: String = option.chars().take(64).collect();
            let field = format!("HostConfig.SecurityOpt[{at}]");
            verdict.deny(Rule::SecurityOptions, field, format!("the security option {shown}"), "remove it");
        }
    }
    system_paths(policy, host, verdict);
    if host.runtime != policy.default_runtime {
        listed(policy, Rule::Runtimes, "HostConfig.Runtime", "the runtime", &host.runtime, verdict);
    }
    for key in host.annotations.keys() {
        let field = format!("HostConfig.Annotations[{key}]");
        listed(policy, Rule::Annotations, &field, "the annotation", key, verdict);
    }
    for key in host.sysctls.keys() {
        let field = format!("HostConfig.Sysctls[{key}]");
        listed(policy, Rule::Sysctls, &field, "the kernel parameter", key, verdict);
    }
    let parent = &host.resources.cgroup_parent;
    listed(policy, Rule::CgroupParents, "HostConfig.CgroupParent", "the cgroup parent", parent, verdict);
    for key in host.storage_opt.keys() {
        let field = format!("HostConfig.StorageOpt[{key}]");
        listed(policy, Rule::StorageOptions, &field, "the storage option", key, verdict);
    }
    precedence(policy, host, verdict);
}

/// Denies a value that is set and not in the rule's list.
pub(super) fn listed(
    policy: &Policy,
    rule: Rule,
    field: &str,
    noun: &str,
    value: &str,
    verdict: &mut Verdict,
) {
    if !value.is_empty() && !policy.allows(rule, value) {
        verdict.deny(rule, field, format!("{noun} {value}"), "remove it");
    }
}

/// A capability's name as the kernel has it, whatever its spelling: the engine takes any.
pub(in crate::policy) fn capability(name: &str) -> String {
    let name = name.trim().to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}

/// A security option as `key=value`: the engine also takes a colon, its old form.
pub(in crate::policy) fn security_option(option: &str) -> String {
    if option.contains('=') { option.to_owned() } else { option.replacen(':', "=", 1) }
}

fn system_paths(policy: &Policy, host: &HostConfig, verdict: &mut Verdict) {
    let paths =
        [("HostConfig.MaskedPaths", &host.masked_paths), ("HostConfig.ReadonlyPaths", &host.readonly_paths)];
    for (field, _) in paths.into_iter().filter(|(_, paths)| paths.is_some()) {
        if !policy.setting(Rule::SystemPaths).is_any() {
            let what = "other masked and read-only paths of /proc and /sys than the engine's";
            verdict.deny(Rule::SystemPaths, field, what, "remove the security option systempaths");
        }
    }
}

fn precedence(policy: &Policy, host: &HostConfig, verdict: &mut Verdict) {
    if policy.setting(Rule::Precedence).is_any() {
        return;
    }
    let resources = &host.resources;
    if host.oom_score_adj.is_some_and(|score| score < 0) {
        let what = "being killed after others when memory runs out";
        verdict.deny(Rule::Precedence, "HostConfig.OomScoreAdj", what, "use a score of 0 or more");
    }
    if resources.oom_kill_disable == Some(true) {
        let what = "not being killed when memory runs out";
        verdict.deny(Rule::Precedence, "HostConfig.OomKillDisable", what, "remove oom-kill-disable");
    }
    let realtime = [
        ("HostConfig.CpuRealtimeRuntime", resources.cpu_realtime_runtime),
        ("HostConfig.CpuRealtimePeriod", resources.cpu_realtime_period),
    ];
    for (field, _) in realtime.into_iter().filter(|(_, value)| value.is_some_and(|value| value != 0)) {
        verdict.deny(Rule::Precedence, field, "real-time CPU", "remove cpu-rt-runtime and cpu-rt-period");
    }
    for (at, limit) in resources.ulimits.iter().enumerate() {
        // -1 is no limit; 20 is the nice value that every process has.
        let most = match limit.name.as_str() {
            "rtprio" => 0,
            "nice" => 20,
            _ => continue,
        };
        if [limit.soft, limit.hard].into_iter().any(|value| !(0..=most).contains(&value)) {
            let field = format!("HostConfig.Ulimits[{at}]");
            let what = format!("the limit {} of more than {most}, which raises its priority", limit.name);
            verdict.deny(Rule::Precedence, field, what, format!("use {most}, or remove the limit"));
        }
    }
}
