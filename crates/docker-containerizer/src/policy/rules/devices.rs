//! Host devices: by path, by rules of the device cgroup, and those asked of a driver, such as GPUs.

use std::path::Path;

use docker_engine::{CreateBody, DeviceRequest};

use crate::policy::judge::{Policy, Situation};
use crate::policy::paths::resolve;
use crate::policy::rule::Rule;
use crate::policy::setting::Setting;
use crate::policy::verdict::Verdict;

/// The driver that gives GPUs, beside the engine's own choice.
const GPU_DRIVERS: [&str; 2] = ["", "nvidia"];

/// The capability that GPUs have.
const GPU: &str = "gpu";

/// Judges them, and puts the resolved path of a device into the request.
pub(in crate::policy) fn judge(
    policy: &Policy,
    body: &mut CreateBody,
    situation: &Situation,
    verdict: &mut Verdict,
) {
    let resources = &mut body.host_config.resources;
    let setting = policy.setting(Rule::Devices);
    for (at, device) in resources.devices.iter_mut().enumerate().filter(|_| !setting.is_any()) {
        let path = &device.path_on_host;
        match resolve(Path::new(path)).ok().and_then(|real| real.to_str().map(str::to_owned)) {
            Some(real) if is_allowed(setting, &real) => {
                if device.path_in_container.is_empty() {
                    device.path_in_container.clone_from(path);
                }
                device.path_on_host = real;
            }
            // A name that is no path is a device of a specification, and is allowed as it is written.
            None if !path.starts_with('/') && setting.allows(path) => {}
            _ => {
                let field = format!("HostConfig.Devices[{at}].PathOnHost");
                verdict.deny(
                    Rule::Devices,
                    field,
                    format!("the host's device {path}"),
                    "remove the parameter device",
                );
            }
        }
    }
    for (at, rule) in resources.device_cgroup_rules.iter().enumerate() {
        if !policy.allows(Rule::DeviceCgroupRules, rule) {
            let field = format!("HostConfig.DeviceCgroupRules[{at}]");
            let what = format!("the device cgroup rule {rule:?}");
            verdict.deny(Rule::DeviceCgroupRules, field, what, "remove it");
        }
    }
    requests(policy, &resources.device_requests, situation.resources.gpus.unwrap_or(0), verdict);
}

/// Whether a real path is in the list, or is where an entry of it leads.
fn is_allowed(setting: &Setting, real: &str) -> bool {
    let Setting::Only(list) = setting else { return setting.is_any() };
    setting.allows(real)
        || list.iter().any(|entry| resolve(Path::new(entry)).is_ok_and(|entry| entry == Path::new(real)))
}

fn requests(policy: &Policy, requests: &[DeviceRequest], gpus: u32, verdict: &mut Verdict) {
    let setting = policy.setting(Rule::DeviceRequests);
    if setting.is_any() {
        return;
    }
    let mut left = i64::from(gpus);
    for (at, request) in requests.iter().enumerate() {
        let count = request.count.unwrap_or(0);
        if *setting == Setting::Resources && asks_for_gpus(request) && (1..=left).contains(&count) {
            left -= count;
            continue;
        }
        let field = format!("HostConfig.DeviceRequests[{at}]");
        let what = "devices that are not in the task's resources";
        let remedy =
            format!("use the resource gpus, of which the task has {gpus}, and remove the parameter gpus");
        verdict.deny(Rule::DeviceRequests, field, what, remedy);
    }
}

/// Whether a request is for a number of GPUs, and for no more than that.
fn asks_for_gpus(request: &DeviceRequest) -> bool {
    let capabilities = request.capabilities.as_slice();
    GPU_DRIVERS.contains(&request.driver.as_str())
        && request.device_ids.is_empty()
        && request.options.is_empty()
        && !capabilities.is_empty()
        && capabilities.iter().all(|all| all.iter().any(|one| one == GPU))
}
