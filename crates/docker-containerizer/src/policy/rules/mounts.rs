//! What a container mounts of its host, and where in itself.

use std::path::{Component, Path, PathBuf};

use docker_engine::CreateBody;
use mesos_types::Access;

use super::sources::Sources;
use crate::policy::judge::Policy;
use crate::policy::rule::Rule;
use crate::policy::verdict::Verdict;

/// The container's own views of the kernel.
const SYSTEM_TARGETS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What may be mounted over all the same: it holds memory of the container only.
const SHARED_MEMORY: &str = "/dev/shm";

/// The modes of a bind that change the labels of what is mounted, so that they write to it.
const RELABEL: [&str; 2] = ["z", "Z"];

/// Judges all mounts, and puts the resolved path of a host path into the request.
pub(in crate::policy) fn judge(
    policy: &Policy,
    body: &mut CreateBody,
    sources: &Sources<'_>,
    verdict: &mut Verdict,
) {
    for at in 0..body.host_config.binds.len() {
        let field = format!("HostConfig.Binds[{at}]");
        if let Some(changed) = bind(policy, &field, &body.host_config.binds[at], sources, verdict) {
            body.host_config.binds[at] = changed;
        }
    }
    for (at, mount) in body.host_config.mounts.iter_mut().enumerate() {
        let field = format!("HostConfig.Mounts[{at}]");
        // Every task has its sandbox.
        if mount.kind != "bind" || !sources.is_own(&mount.source) {
            kind(policy, &format!("{field}.Type"), &mount.kind, verdict);
        }
        target(policy, &format!("{field}.Target"), &mount.target, verdict);
        let mode = mount.bind_options.as_ref().map_or("", |options| options.propagation.as_str());
        propagation(policy, &format!("{field}.BindOptions.Propagation"), mode, verdict);
        if mount.kind == "bind" {
            let access = if mount.read_only { Access::ReadOnly } else { Access::ReadWrite };
            let field = format!("{field}.Source");
            if let Some(resolved) = sources.judge(&field, &mount.source, access, verdict) {
                mount.source = resolved;
            }
        }
    }
    for path in body.host_config.tmpfs.keys() {
        let field = format!("HostConfig.Tmpfs[{path}]");
        kind(policy, &field, "tmpfs", verdict);
        target(policy, &field, path, verdict);
    }
    for path in body.volumes.keys() {
        let field = format!("Volumes[{path}]");
        kind(policy, &field, "volume", verdict);
        target(policy, &field, path, verdict);
    }
}

/// Judges the type of a mount, by which every option is one.
fn kind(policy: &Policy, field: &str, kind: &str, verdict: &mut Verdict) {
    if !policy.allows(Rule::MountTypes, kind) {
        let what = format!("a mount of type {kind:?}");
        verdict.deny(Rule::MountTypes, field, what, "use another type of mount");
    }
}

/// Judges a bind, `source:target[:mode]`; answers what stands for it where its source was resolved.
fn bind(
    policy: &Policy,
    field: &str,
    bind: &str,
    sources: &Sources<'_>,
    verdict: &mut Verdict,
) -> Option<String> {
    let parts: Vec<&str> = bind.split(':').collect();
    let (from, to, mode) = match parts[..] {
        [to] => {
            kind(policy, field, "volume", verdict);
            target(policy, field, to, verdict);
            return None;
        }
        [from, to] => (from, to, ""),
        [from, to, mode] => (from, to, mode),
        _ => {
            if !policy.setting(Rule::HostPaths).is_any() {
                let what = "a bind with more than two colons";
                verdict.deny(Rule::HostPaths, field, what, "use the parameter mount, which takes any path");
            }
            return None;
        }
    };
    if !sources.is_own(from) {
        kind(policy, field, if from.starts_with('/') { "bind" } else { "volume" }, verdict);
    }
    target(policy, field, to, verdict);
    let modes = || mode.split(',');
    for name in modes().filter(|name| name.ends_with("shared") || name.ends_with("slave")) {
        propagation(policy, field, name, verdict);
    }
    if !from.starts_with('/') {
        // A volume's name, or nothing that an engine takes.
        return None;
    }
    let writes = modes().any(|name| name == "rw" || RELABEL.contains(&name));
    let access =
        if modes().any(|name| name == "ro") && !writes { Access::ReadOnly } else { Access::ReadWrite };
    let resolved = sources.judge(field, from, access, verdict)?;
    if resolved.contains(':') {
        let what = format!("a bind of {from}, which leads to a path with a colon");
        verdict.deny(Rule::HostPaths, field, what, "use the parameter mount, which takes any path");
        return None;
    }
    let mode = if mode.is_empty() { String::new() } else { format!(":{mode}") };
    Some(format!("{resolved}:{to}{mode}"))
}

/// Denies mounts over the container's own views of the kernel.
fn target(policy: &Policy, field: &str, target: &str, verdict: &mut Verdict) {
    if policy.setting(Rule::SystemTargets).is_any() {
        return;
    }
    let cleaned = clean(target);
    let over = SYSTEM_TARGETS.iter().find(|system| cleaned.starts_with(system));
    if let Some(system) = over.filter(|_| !cleaned.starts_with(SHARED_MEMORY)) {
        let what = format!("a mount over {system} of the container");
        verdict.deny(Rule::SystemTargets, field, what, "mount it elsewhere in the container");
    }
}

/// A path inside the container without dots, as the engine cleans it.
fn clean(path: &str) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => drop(cleaned.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

fn propagation(policy: &Policy, field: &str, mode: &str, verdict: &mut Verdict) {
    if !mode.is_empty() && !policy.allows(Rule::MountPropagation, mode) {
        let what = format!("the mount propagation {mode}");
        verdict.deny(Rule::MountPropagation, field, what, "use rslave, or none");
    }
}
