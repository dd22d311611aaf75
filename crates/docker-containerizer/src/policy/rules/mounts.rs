//! What a container mounts of its host, and where in itself.

use std::path::{Component, Path, PathBuf};

use docker_engine::CreateBody;
use mesos_types::Access;

use crate::policy::judge::{Policy, Situation};
use crate::policy::paths::{protected, resolve};
use crate::policy::prefixes::replaceable;
use crate::policy::rule::Rule;
use crate::policy::verdict::Verdict;
use crate::request::MountPoint;

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
    situation: &Situation<'_>,
    verdict: &mut Verdict,
) {
    for at in 0..body.host_config.binds.len() {
        let field = format!("HostConfig.Binds[{at}]");
        if let Some(changed) = bind(policy, &field, &body.host_config.binds[at], situation, verdict) {
            body.host_config.binds[at] = changed;
        }
    }
    for (at, mount) in body.host_config.mounts.iter_mut().enumerate() {
        let field = format!("HostConfig.Mounts[{at}]");
        if !policy.allows(Rule::MountTypes, &mount.kind) {
            let what = format!("a mount of type {:?}", mount.kind);
            verdict.deny(Rule::MountTypes, format!("{field}.Type"), what, "use another type of mount");
        }
        target(policy, &format!("{field}.Target"), &mount.target, verdict);
        let mode = mount.bind_options.as_ref().map_or("", |options| options.propagation.as_str());
        propagation(policy, &format!("{field}.BindOptions.Propagation"), mode, verdict);
        if mount.kind == "bind" {
            let access = if mount.read_only { Access::ReadOnly } else { Access::ReadWrite };
            let field = format!("{field}.Source");
            if let Some(resolved) = source(policy, &field, &mount.source, access, situation, verdict) {
                mount.source = resolved;
            }
        }
    }
    for path in body.host_config.tmpfs.keys() {
        target(policy, &format!("HostConfig.Tmpfs[{path}]"), path, verdict);
    }
    for path in body.volumes.keys() {
        target(policy, &format!("Volumes[{path}]"), path, verdict);
    }
}

/// Judges a bind, `source:target[:mode]`; answers what stands for it where its source was resolved.
fn bind(
    policy: &Policy,
    field: &str,
    bind: &str,
    situation: &Situation<'_>,
    verdict: &mut Verdict,
) -> Option<String> {
    let parts: Vec<&str> = bind.split(':').collect();
    let (from, to, mode) = match parts[..] {
        [to] => {
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
    let resolved = source(policy, field, from, access, situation, verdict)?;
    if resolved.contains(':') {
        let what = format!("a bind of {from}, which leads to a path with a colon");
        verdict.deny(Rule::HostPaths, field, what, "use the parameter mount, which takes any path");
        return None;
    }
    let mode = if mode.is_empty() { String::new() } else { format!(":{mode}") };
    Some(format!("{resolved}:{to}{mode}"))
}

/// Judges a host path; answers where it leads.
fn source(
    policy: &Policy,
    field: &str,
    source: &str,
    access: Access,
    situation: &Situation<'_>,
    verdict: &mut Verdict,
) -> Option<String> {
    let is_free = policy.setting(Rule::HostPaths).is_any();
    if is_free && policy.setting(Rule::ProtectedPaths).is_any() {
        return None;
    }
    let path = Path::new(source);
    if is_own(path, situation) {
        return None;
    }
    let resolved = match resolve(path) {
        Ok(resolved) => resolved,
        Err(error) => {
            let what = format!("the host path {source}, which nobody can follow: {}", crate::chain(&error));
            verdict.deny(Rule::HostPaths, field, what, "give an absolute path that is there, without links");
            return None;
        }
    };
    let shown = if resolved == path {
        source.to_owned()
    } else {
        format!("{source}, which is {}", resolved.display())
    };
    if !policy.setting(Rule::ProtectedPaths).is_any()
        && let Some(place) = protected(&resolved, &policy.places, situation)
    {
        let what = format!("the host path {shown}: {} is the host's own", place.display());
        verdict.deny(Rule::ProtectedPaths, field, what, "mount a directory of the task's own");
        return None;
    }
    if !is_free {
        let entries = policy.host_paths.iter().filter(|entry| resolved.starts_with(&entry.path));
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            let what = format!("the host path {shown}");
            verdict.deny(
                Rule::HostPaths,
                field,
                what,
                "use a path of the sandbox, or a directory that is allowed",
            );
            return None;
        }
        if access == Access::ReadWrite && !entries.any(|entry| entry.access == Access::ReadWrite) {
            let what = format!("writing to the host path {shown}");
            verdict.deny(Rule::HostPaths, field, what, "mount it read-only, without relabelling");
            return None;
        }
        if let Some((at, why)) = replaceable(&resolved) {
            let what =
                format!("the host path {shown}: {} {why}, who could put another in its place", at.display());
            verdict.deny(Rule::HostPaths, field, what, "use a directory that only root can replace");
            return None;
        }
    }
    let text = resolved.to_str().map(str::to_owned);
    if text.is_none() {
        let what = format!("the host path {shown}, which the engine cannot be told, as it is not UTF-8");
        verdict.deny(Rule::HostPaths, field, what, "use a path in UTF-8");
    }
    text
}

/// Whether a source is the task's own sandbox, or a place below it that is made without following links.
fn is_own(path: &Path, situation: &Situation<'_>) -> bool {
    let made = situation.mount_points.iter().any(|point| match point {
        MountPoint::Sandbox(below) => path == situation.sandbox.join(below.to_string()),
        MountPoint::Host(_) => false,
    });
    path == situation.sandbox || made
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
