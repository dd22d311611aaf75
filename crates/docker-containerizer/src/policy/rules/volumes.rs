//! Volumes of the engine: which names, drivers and options, and whose.
//!
//! A volume may be a directory of the host in disguise: the driver `local` takes `type`, `o=bind` and `device`, and one
//! that is there already may have been made so. So a named volume must be allowed by name, and options by theirs.

use docker_engine::CreateBody;

use crate::policy::judge::Policy;
use crate::policy::rule::Rule;
use crate::policy::verdict::Verdict;

/// The driver of volumes that name none.
const DEFAULT_DRIVER: &str = "local";

/// Judges all volumes.
pub(in crate::policy) fn judge(policy: &Policy, body: &CreateBody, verdict: &mut Verdict) {
    let host = &body.host_config;
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
    for (at, mount) in host.mounts.iter().enumerate() {
        let field = format!("HostConfig.Mounts[{at}]");
        // Whatever the type says: an engine reads the options of a volume for a volume only, and today's is not all.
        let config = mount.volume_options.as_ref().and_then(|options| options.driver_config.as_ref());
        if let Some(config) = config {
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
