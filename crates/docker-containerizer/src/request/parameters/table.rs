//! All long options of `docker run`: those of 28.x, those of 20.10, and what older clients had.

use super::row::Combines::{Appends, ByKey, Replaces};
use super::row::Grammar::{Bool, Duration, Integer, Item, Own, Size, Text};
use super::row::Row;
use super::{devices, environment, logging, mount, network, ports, resources, security};

/// The longest key, in bytes, that is compared with the known ones: the time for it grows with its length.
const LONGEST_TYPO: usize = 64;

/// The one-letter forms, which stock would pass as `--v`, an option that no client knows.
const LETTERS: [(&str, &str); 15] = [
    ("a", "attach"),
    ("c", "cpu-shares"),
    ("d", "detach"),
    ("e", "env"),
    ("h", "hostname"),
    ("i", "interactive"),
    ("l", "label"),
    ("m", "memory"),
    ("p", "publish"),
    ("P", "publish-all"),
    ("q", "quiet"),
    ("t", "tty"),
    ("u", "user"),
    ("v", "volume"),
    ("w", "workdir"),
];

/// Why options of Windows are refused.
const WINDOWS: (&str, &str) = ("is for Windows containers", "remove it");

/// The options, by name.
#[rustfmt::skip]
pub(super) static ROWS: [Row; 106] = [
    Row::new("add-host", Own("`name:address` or `name=address`, where the address may be `host-gateway`", network::add_host), Appends, "HostConfig.ExtraHosts"),
    Row::new("annotation", Own("`key=value`", environment::annotation), ByKey, "HostConfig.Annotations").since(43).secret(),
    Row::refused("attach", "chooses streams of the client, and the agent needs both for the sandbox's files", "remove it"),
    Row::new("blkio-weight", Own("a weight of 10 to 1000, or 0", devices::weight), Replaces, "HostConfig.BlkioWeight"),
    Row::new("blkio-weight-device", Own("`/dev/name:weight` with a weight of 10 to 1000, or 0", devices::weight_device), Appends, "HostConfig.BlkioWeightDevice"),
    Row::new("cap-add", Own("a capability such as `NET_ADMIN`, or `ALL`", security::cap_add), Appends, "HostConfig.CapAdd").note("Adds to the capabilities of the task's `linux_info`, if it names some."),
    Row::new("cap-drop", Own("a capability such as `NET_RAW`, or `ALL`", security::cap_drop), Appends, "HostConfig.CapDrop").note("Takes away from the capabilities of the task's `linux_info`, if it names some."),
    Row::new("cgroup-parent", Text("a control group", |d| &mut d.body.host_config.resources.cgroup_parent), Replaces, "HostConfig.CgroupParent"),
    Row::new("cgroupns", Own("`host` or `private`", security::cgroupns), Replaces, "HostConfig.CgroupnsMode").since(41),
    Row::refused("cidfile", "writes a file on the agent's host", "remove it; the status of the task tells the container's id"),
    Row::refused("cpu-count", WINDOWS.0, WINDOWS.1),
    Row::refused("cpu-percent", WINDOWS.0, WINDOWS.1),
    Row::new("cpu-period", Integer(|d, v| d.cpu_period = Some(v)), Replaces, "HostConfig.CpuPeriod"),
    Row::new("cpu-quota", Integer(|d, v| d.cpu_quota = Some(v)), Replaces, "HostConfig.CpuQuota"),
    Row::new("cpu-rt-period", Integer(|d, v| d.body.host_config.resources.cpu_realtime_period = Some(v)), Replaces, "HostConfig.CpuRealtimePeriod"),
    Row::new("cpu-rt-runtime", Integer(|d, v| d.body.host_config.resources.cpu_realtime_runtime = Some(v)), Replaces, "HostConfig.CpuRealtimeRuntime"),
    Row::new("cpu-shares", Integer(|d, v| d.body.host_config.resources.cpu_shares = Some(v)), Replaces, "HostConfig.CpuShares"),
    Row::new("cpus", Own("a number of CPUs such as `1.5`, in whole billionths", resources::cpus), Replaces, "HostConfig.NanoCpus").note("Takes the place of the quota that Mesos sets; excludes `cpu-period` and `cpu-quota`, as in the engine."),
    Row::new("cpuset-cpus", Text("a set such as `0-2,5`", |d| &mut d.body.host_config.resources.cpuset_cpus), Replaces, "HostConfig.CpusetCpus"),
    Row::new("cpuset-mems", Text("a set such as `0,1`", |d| &mut d.body.host_config.resources.cpuset_mems), Replaces, "HostConfig.CpusetMems"),
    Row::inert("detach", &["false"], "ends the client at once, and the agent follows the container in its own way", "remove it"),
    Row::refused("detach-keys", "leaves a container that runs on", "remove it"),
    Row::new("device", Own("`host[:container][:rwm]`, or a CDI name `vendor/class=name`", devices::device), Appends, "HostConfig.Devices").note("A CDI name needs API 1.44 and goes into `HostConfig.DeviceRequests`."),
    Row::new("device-cgroup-rule", Own("a rule such as `c 42:* rwm`", devices::cgroup_rule), Appends, "HostConfig.DeviceCgroupRules"),
    Row::new("device-read-bps", Own("`/dev/name:size`", devices::read_bps), Appends, "HostConfig.BlkioDeviceReadBps"),
    Row::new("device-read-iops", Own("`/dev/name:number`", devices::read_iops), Appends, "HostConfig.BlkioDeviceReadIOps"),
    Row::new("device-write-bps", Own("`/dev/name:size`", devices::write_bps), Appends, "HostConfig.BlkioDeviceWriteBps"),
    Row::new("device-write-iops", Own("`/dev/name:number`", devices::write_iops), Appends, "HostConfig.BlkioDeviceWriteIOps"),
    Row::inert("disable-content-trust", &["true"], "would have the image's signature checked by Notary, which is not done here", "remove it; name the image by its digest"),
    Row::new("dns", Own("an IP address", network::dns), Appends, "HostConfig.Dns").note("Any of the three `dns` options keeps `--default_container_dns` away."),
    Row::new("dns-option", Item("an option of the resolver such as `ndots:2`", |d| &mut d.body.host_config.dns_options), Appends, "HostConfig.DnsOptions").alias(&["dns-opt"]),
    Row::new("dns-search", Own("a domain, or `.` for none", network::dns_search), Appends, "HostConfig.DnsSearch"),
    Row::new("domainname", Text("a domain", |d| &mut d.body.domainname), Replaces, "Domainname"),
    Row::new("entrypoint", Own("a program; empty takes the image's away", |d, v| { d.body.entrypoint = Some(vec![v.to_owned()]); Ok(()) }), Replaces, "Entrypoint"),
    Row::new("env", Own("`NAME=value`", environment::env), ByKey, "Env").secret().note("Not `MESOS_SANDBOX` and `MESOS_CONTAINER_NAME`. `NAME` alone is refused: the client would take the value from the agent's environment."),
    Row::new("env-file", Own("a path relative to the sandbox", environment::env_file), ByKey, "Env").note("Read when the URIs are fetched; what the task says by itself wins. Files elsewhere on the host are refused."),
    Row::new("expose", Own("a port or a range, `53/udp` or `8000-8010`", ports::expose), ByKey, "ExposedPorts"),
    Row::new("gpus", Own("`all`, a number, or a list such as `device=0,capabilities=utility`", devices::gpus), Appends, "HostConfig.DeviceRequests"),
    Row::new("group-add", Item("a group's name or number", |d| &mut d.body.host_config.group_add), Appends, "HostConfig.GroupAdd"),
    Row::new("health-cmd", Own("a command line", |d, v| { d.health.test = if v.is_empty() { Vec::new() } else { vec!["CMD-SHELL".into(), v.to_owned()] }; Ok(()) }), Replaces, "Healthcheck.Test").secret().note("The engine's check; its verdict becomes the `healthy` of the task's statuses, unless the task has a Mesos health check. An unhealthy task is told as such, and not killed for it."),
    Row::new("health-interval", Duration(|d, v| d.health.interval = Some(v)), Replaces, "Healthcheck.Interval"),
    Row::new("health-retries", Integer(|d, v| d.health.retries = Some(v)), Replaces, "Healthcheck.Retries"),
    Row::new("health-start-interval", Duration(|d, v| d.health.start_interval = Some(v)), Replaces, "Healthcheck.StartInterval").since(44),
    Row::new("health-start-period", Duration(|d, v| d.health.start_period = Some(v)), Replaces, "Healthcheck.StartPeriod"),
    Row::new("health-timeout", Duration(|d, v| d.health.timeout = Some(v)), Replaces, "Healthcheck.Timeout"),
    Row::inert("help", &["false"], "prints a text and runs nothing", "remove it"),
    Row::new("hostname", Text("a host name", |d| &mut d.body.hostname), Replaces, "Hostname"),
    Row::new("image-healthcheck", Bool(|d, v| d.image_healthcheck = v), Replaces, "Healthcheck").note("Ours; the client has no such option. Keeps the HEALTHCHECK of the image, which is switched off in tasks otherwise; also the `health-*` options keep what they do not say of it."),
    Row::new("init", Bool(|d, v| d.body.host_config.init = Some(v)), Replaces, "HostConfig.Init"),
    Row::new("interactive", Bool(|d, v| { d.body.open_stdin = v; d.body.attach_stdin = v; d.body.stdin_once = v; }), Replaces, "OpenStdin").note("Also `AttachStdin` and `StdinOnce`, as the client sends them. It is closed after the start, as by a client without a terminal; with a terminal it stays open."),
    Row::refused("io-maxbandwidth", WINDOWS.0, WINDOWS.1),
    Row::refused("io-maxiops", WINDOWS.0, WINDOWS.1),
    Row::new("ip", Own("an IPv4 address", network::ip), Replaces, "NetworkingConfig.EndpointsConfig.*.IPAMConfig.IPv4Address"),
    Row::new("ip6", Own("an IPv6 address", network::ip6), Replaces, "NetworkingConfig.EndpointsConfig.*.IPAMConfig.IPv6Address"),
    Row::new("ipc", Own("`none`, `private`, `shareable`, `host` or `container:name`", security::ipc), Replaces, "HostConfig.IpcMode"),
    Row::inert("isolation", &["default", ""], "is a technology of Windows; Linux has the default only", "remove it"),
    Row::new("kernel-memory", Own("a size such as `64m`", resources::kernel_memory), Replaces, "HostConfig.KernelMemory").note("Without effect from API 1.42 on, and the sandbox's stderr says so."),
    Row::new("label", Own("`key` or `key=value`", environment::label), ByKey, "Labels").secret().note("Not below `org.apache.mesos.`, which says whose a container is."),
    Row::new("label-file", Own("a path relative to the sandbox", environment::label_file), ByKey, "Labels").note("As `env-file`; not below `org.apache.mesos.` either."),
    Row::new("link", Own("`container` or `container:alias`", network::link), Appends, "HostConfig.Links").note("On a network that somebody made also `Links` of the endpoint."),
    Row::new("link-local-ip", Own("an IP address", network::link_local_ip), Appends, "NetworkingConfig.EndpointsConfig.*.IPAMConfig.LinkLocalIPs"),
    Row::new("log-driver", Own("a log driver", |d, v| { d.log_driver = Some(v.to_owned()); Ok(()) }), Replaces, "HostConfig.LogConfig.Type").note("Takes the place of `--docker_log_driver` with its options. Output of a driver that cannot be read is attached."),
    Row::new("log-opt", Own("`name=value`", logging::option), ByKey, "HostConfig.LogConfig.Config").secret().note("Without `log-driver` for the engine's own driver; `max-size`, `max-file` and `compress` also for `--docker_log_driver`."),
    Row::refused("lxc-conf", "was an option of the LXC driver, which Docker dropped with 1.10", "remove it"),
    Row::new("mac-address", Own("a MAC address such as `92:d0:c6:0a:29:33`", network::mac_address), Replaces, "NetworkingConfig.EndpointsConfig.*.MacAddress").note("`MacAddress` before API 1.44."),
    Row::new("memory", Size(|d, v| d.body.host_config.resources.memory = Some(v)), Replaces, "HostConfig.Memory"),
    Row::new("memory-reservation", Size(|d, v| d.body.host_config.resources.memory_reservation = Some(v)), Replaces, "HostConfig.MemoryReservation"),
    Row::new("memory-swap", Own("a size such as `1g`, or `-1`", resources::memory_swap), Replaces, "HostConfig.MemorySwap"),
    Row::new("memory-swappiness", Own("a number of 0 to 100, or -1", resources::swappiness), Replaces, "HostConfig.MemorySwappiness"),
    Row::new("mount", Own("a list such as `type=bind,src=/data,dst=/data,ro`", mount::mount), Appends, "HostConfig.Mounts").secret().note("Types bind, volume, tmpfs and image (API 1.48), with all keys of the client, and `bind-create-src` (API 1.42). A bind mount's source must exist; one that begins with a dot is in the sandbox, and made if it is missing."),
    Row::refused("name", "would take the container's name, by which the agent finds it", "remove it; the parameter hostname names the host inside"),
    Row::new("network", Own("a mode, a network's name, or a list such as `name=front,alias=web,ip=10.0.0.2`", network::network), Appends, "HostConfig.NetworkMode").alias(&["net"]).secret().note("A network that somebody made is one more beside the task's USER networks; else the first takes the place of the task's network. Several go into `NetworkingConfig`; to an engine before API 1.44 all but the first are connected before the start. The long form is read in lower case, as the client reads it."),
    Row::new("network-alias", Item("a name", |d| &mut d.first.aliases), Appends, "NetworkingConfig.EndpointsConfig.*.Aliases").alias(&["net-alias"]),
    Row::new("no-healthcheck", Bool(|d, v| d.no_healthcheck = v), Replaces, "Healthcheck.Test"),
    Row::new("oom-kill-disable", Bool(|d, v| d.body.host_config.resources.oom_kill_disable = Some(v)), Replaces, "HostConfig.OomKillDisable"),
    Row::new("oom-score-adj", Integer(|d, v| d.body.host_config.oom_score_adj = Some(v)), Replaces, "HostConfig.OomScoreAdj"),
    Row::new("pid", Own("`host` or `container:name`", security::pid), Replaces, "HostConfig.PidMode"),
    Row::new("pids-limit", Integer(|d, v| d.body.host_config.resources.pids_limit = Some(v)), Replaces, "HostConfig.PidsLimit"),
    Row::refused("platform", "chooses an image for another machine, and the agent gets the image before", "name the image of that platform by its digest"),
    Row::new("privileged", Bool(|d, v| d.body.host_config.privileged = v), Replaces, "HostConfig.Privileged").note("Not beside capabilities of the task's `linux_info`."),
    Row::new("publish", Own("`[[address:][host ports]:]container ports[/protocol]`", ports::publish), Appends, "HostConfig.PortBindings").note("Also `ExposedPorts`. The ports are not looked for in the task's resources; a host policy may do so."),
    Row::new("publish-all", Bool(|d, v| d.body.host_config.publish_all_ports = v), Replaces, "HostConfig.PublishAllPorts"),
    Row::inert("pull", &["missing"], "is for the client, and the agent gets the image before", "set force_pull_image of the task"),
    Row::inert("quiet", &["true", "false"], "takes true or false", "remove it"),
    Row::new("read-only", Bool(|d, v| d.body.host_config.readonly_rootfs = v), Replaces, "HostConfig.ReadonlyRootfs"),
    Row::inert("restart", &["no", ""], "would run a task again that has ended for Mesos", "remove it; the framework restarts tasks"),
    Row::inert("rm", &["false"], "would take away the container with its exit code", "remove it; the agent removes containers after --docker_remove_delay"),
    Row::new("runtime", Text("a runtime of the engine", |d| &mut d.body.host_config.runtime), Replaces, "HostConfig.Runtime"),
    Row::new("security-opt", Own("`no-new-privileges`, `name=value` or `name:value`", security::security_opt), Appends, "HostConfig.SecurityOpt").note("`seccomp=` takes a profile's path, relative to the sandbox or anywhere on the host; it must be a profile in every part. `systempaths=unconfined` empties `MaskedPaths` and `ReadonlyPaths`."),
    Row::new("shm-size", Size(|d, v| d.body.host_config.shm_size = Some(v)), Replaces, "HostConfig.ShmSize"),
    Row::inert("sig-proxy", &["true"], "is about signals to the client, and there is none", "remove it; the kill policy of the task says how it ends"),
    Row::new("stop-signal", Text("a signal", |d| &mut d.body.stop_signal), Replaces, "StopSignal"),
    Row::new("stop-timeout", Integer(|d, v| d.body.stop_timeout = Some(v)), Replaces, "StopTimeout").note("For stops by others; the agent's has the grace of the kill policy."),
    Row::new("storage-opt", Own("`name=value`", |d, v| { let (name, value) = v.split_once('=').ok_or(super::error::Bad::Form)?; d.body.host_config.storage_opt.insert(name.to_owned(), value.to_owned()); Ok(()) }), ByKey, "HostConfig.StorageOpt").secret(),
    Row::new("sysctl", Own("`name=value` of the container's own namespaces, such as `net.core.somaxconn=1024`", security::sysctl), ByKey, "HostConfig.Sysctls"),
    Row::new("tmpfs", Own("`/path` or `/path:options`", mount::tmpfs), ByKey, "HostConfig.Tmpfs"),
    Row::new("tty", Bool(|d, v| d.body.tty = v), Replaces, "Tty").note("Both streams become one, in stdout."),
    Row::new("ulimit", Own("`name=soft[:hard]`, where -1 is unlimited", resources::ulimit), ByKey, "HostConfig.Ulimits"),
    Row::inert("use-api-socket", &["false"], "hands the engine to the task", "remove it"),
    Row::new("user", Text("`name|uid[:group|gid]`", |d| &mut d.body.user), Replaces, "User"),
    Row::new("userns", Own("`host`", security::userns), Replaces, "HostConfig.UsernsMode"),
    Row::new("uts", Own("`host`", security::uts), Replaces, "HostConfig.UTSMode"),
    Row::new("volume", Own("`source:/target[:options]` or `/target`", mount::volume), Appends, "HostConfig.Binds").note("`/target` alone is an anonymous volume, in `Volumes`. The engine makes a host directory that is missing. A source that begins with a dot is in the sandbox and goes into `Mounts`, or with `z` or `Z` into `Binds`."),
    Row::new("volume-driver", Text("a volume driver", |d| &mut d.body.host_config.volume_driver), Replaces, "HostConfig.VolumeDriver"),
    Row::new("volumes-from", Item("`container[:ro|rw]`", |d| &mut d.body.host_config.volumes_from), Appends, "HostConfig.VolumesFrom"),
    Row::new("workdir", Text("a path", |d| &mut d.body.working_dir), Replaces, "WorkingDir"),
];

/// The row of an option, by any of its names.
pub(super) fn find(key: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.names().any(|name| name == key))
}

/// What a user who wrote this unknown key should write.
pub(super) fn advice(key: &str) -> Option<String> {
    let bare = key.trim_start_matches('-');
    if bare != key && find(bare).is_some() {
        return Some(format!("write {bare:?}, without dashes"));
    }
    if let Some((_, name)) = LETTERS.iter().find(|(letter, _)| *letter == bare) {
        return Some(format!("write {name:?}, its long name"));
    }
    if key.len() > LONGEST_TYPO {
        return None;
    }
    ROWS.iter()
        .flat_map(Row::names)
        .map(|known| (strsim::damerau_levenshtein(known, bare), known))
        .min()
        .filter(|(far, _)| *far <= 3.min(bare.len() / 2))
        .map(|(_, known)| format!("did you mean {known:?}?"))
}
