//! What `linux_info`, `rlimit_info`, `tty_info`, the resource `gpus` and the task's user become in the request.

use docker_engine::CreateBody;
use docker_engine::create_body::{DeviceRequest, Ulimit};
use mesos_types::{Sharing, TaskSpec};

/// The capability of a device request that asks for GPUs.
const GPU: &str = "gpu";

/// Sets all of it; parameters come after and may replace a single value.
pub(super) fn apply(body: &mut CreateBody, task: &TaskSpec) {
    let container = &task.container;
    if let Some(user) = &task.run_as {
        body.user.clone_from(user);
    }
    let host = &mut body.host_config;
    host.console_size = container.window_size.map(|(rows, columns)| [rows, columns]);
    let ulimits = container.rlimits.iter();
    host.resources.ulimits =
        ulimits.map(|limit| Ulimit { name: limit.name.into(), soft: limit.soft, hard: limit.hard }).collect();
    let linux = &container.linux;
    if let Some(capabilities) = &linux.capabilities {
        // The engine adds to what is left when all are dropped, so this is the whole set.
        host.cap_drop = vec!["ALL".into()];
        host.cap_add.clone_from(capabilities);
    }
    let mode = |sharing: Option<Sharing>| match sharing {
        None => String::new(),
        Some(Sharing::Private) => "private".to_owned(),
        Some(Sharing::Host) => "host".to_owned(),
    };
    host.ipc_mode = mode(linux.ipc);
    host.pid_mode = mode(linux.pid.filter(|&sharing| sharing == Sharing::Host));
    host.shm_size = linux.shm_size.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    if linux.seccomp_unconfined {
        host.security_opt.push("seccomp=unconfined".into());
    }
    if let Some(gpus) = task.resources.gpus {
        // As `docker run --gpus N`.
        host.resources.device_requests.push(DeviceRequest {
            count: Some(i64::from(gpus)),
            capabilities: vec![vec![GPU.into()]],
            ..DeviceRequest::default()
        });
    }
}
