//! Volumes of the engine: which names, drivers and options, and whose.
//!
//! A volume may be a directory of the host in disguise: the driver `local` takes `type`, `o=bind` and `device`, and one
//! that is there already may have been made so. So a named volume must be allowed by name, and options by theirs.

use docker_engine::CreateBody;
use docker_engine::create_body::MountDriver;
use mesos_types::Access;

use super::sources::Sources;
use crate::policy::judge::Policy;
use crate::policy::rule::Rule;
use crate::policy::verdict::Verdict;

/// The driver of volumes that name none.
const DEFAULT_DRIVER: &str = "local";

/// The file systems of a volume that show nothing of the host.
const ELSEWHERE: [&str; 5] = ["tmpfs", "nfs", "nfs4", "cifs", "smb3"];

/// Judges all volumes, and puts the resolved path of a host path into the request.
pub(in crate::policy) fn judge(
    policy: &Policy,
    body: &mut CreateBody,
    sources: &Sources<'_>,
    verdict: &mut Verdict,
) {
    let host = &mut body.host_config;
    for (at, bind) in host.binds.iter().enumerate() {
        if let Some((name, _)) = bind.split_once(':').filter(|(name, _)| !name.starts_with('/')) {
            let field = format!("HostConfig.Binds[{at}]");
            if host.volume_driver.is_empty() {
                driver(policy, &field, "", verdict);
            }
            named(policy, field, name, verdict);
        }
    }
    if !host.volume_driver.is_empty() {
        driver(policy, "HostConfig.VolumeDriver", &host.volume_driver, verdict);
    }
    for (at, mount) in host.mounts.iter_mut().enumerate() {
        let field = format!("HostConfig.Mounts[{at}]");
        let access = if mount.read_only { Access::ReadOnly } else { Access::ReadWrite };
        // Whatever the type says: an engine reads the options of a volume for a volume only, and today's is not all.
        let mut config = mount.volume_options.as_mut().and_then(|options| options.driver_config.as_mut());
        if let Some(config) = &mut config {
            device(
                policy,
                &format!("{field}.VolumeOptions.DriverConfig.Options"),
                config,
                access,
                sources,
                verdict,
            );
        }
        if let Some(config) = &config {
            driver(policy, &format!("{field}.VolumeOptions.DriverConfig.Name"), &config.name, verdict);
            for key in config.options.keys() {
                if !policy.allows(Rule::VolumeOptions, key) {
                    let field = format!("{field}.VolumeOptions.DriverConfig.Options[{key}]");
                    let what = format!("the option {key} for a volume's driver");
                    verdict.deny(
                        Rule::VolumeOptions,
                        field,
                        what,
                        "remove it, or have the volume made before",
                    );
                }
            }
        }
        if mount.kind == "volume" && config.is_none() && !mount.source.is_empty() {
            driver(policy, &format!("{field}.Source"), "", verdict);
        }
        if mount.kind == "volume" && !mount.source.is_empty() {
            named(policy, format!("{field}.Source"), &mount.source, verdict);
        }
    }
    if !policy.setting(Rule::VolumesFrom).is_any() {
        for at in 0..host.volumes_from.len() {
            let field = format!("HostConfig.VolumesFrom[{at}]");
            let what = "the volumes of another container, which is not the task's";
            verdict.deny(Rule::VolumesFrom, field, what, "remove the parameter volumes-from");
        }
    }
}

/// Judges what a volume of the driver `local` with options is: a directory of the host, or another file system.
fn device(
    policy: &Policy,
    field: &str,
    config: &mut MountDriver,
    access: Access,
    sources: &Sources<'_>,
    verdict: &mut Verdict,
) {
    let is_local = matches!(config.name.as_str(), "" | DEFAULT_DRIVER);
    if !is_local || config.options.is_empty() || sources.are_free() {
        return;
    }
    let option = |key: &str| config.options.get(key).map_or("", String::as_str);
    let is_bind = option("o").split(',').any(|flag| matches!(flag.trim(), "bind" | "rbind"));
    let kind = option("type");
    if is_bind || matches!(kind, "" | "none" | "bind") {
        let source = option("device").to_owned();
        // Other options, such as a quota, name no directory.
        let names_one =
            is_bind || config.options.keys().any(|key| matches!(key.as_str(), "type" | "o" | "device"));
        if names_one
            && let Some(resolved) = sources.judge(&format!("{field}[device]"), &source, access, verdict)
        {
            config.options.insert("device".to_owned(), resolved);
        }
    } else if !ELSEWHERE.contains(&kind) {
        let rule = if policy.setting(Rule::ProtectedPaths).is_any() {
            Rule::HostPaths
        } else {
            Rule::ProtectedPaths
        };
        let what = format!("a volume with the file system {kind}, which can show any path of the host");
        let remedy = format!("use a volume with {}, or have it made before", ELSEWHERE.join(", "));
        verdict.deny(rule, format!("{field}[type]"), what, remedy);
    }
}

fn named(policy: &Policy, field: String, name: &str, verdict: &mut Verdict) {
    if !policy.allows(Rule::Volumes, name) {
        let what = format!("the volume {name}");
        verdict.deny(Rule::Volumes, field, what, "use a path of the sandbox, or a volume that is allowed");
    }
}

fn driver(policy: &Policy, field: &str, name: &str, verdict: &mut Verdict) {
    let name = if name.is_empty() { DEFAULT_DRIVER } else { name };
    if !policy.allows(Rule::VolumeDrivers, name) {
        verdict.deny(Rule::VolumeDrivers, field, format!("the volume driver {name}"), "use another driver");
    }
}
