//! The flags of the stock agent that are accepted and change nothing here, each with the reason.

use super::class::AgentFlag;
use crate::definition::FlagKind::{Bool, Bytes, Count, Duration, Json, Path, Text};

const NO_ISOLATOR: &str = "it is about isolators that --isolation does not take";
const PRIVILEGES: &str =
    "it is about an isolator that --isolation does not take; for Docker tasks see --docker_policy";
const STORE: &str = "images are kept by the Docker Engine, not by the agent";
const PERF: &str = "this agent does not sample containers with perf";
const NETWORK: &str = "the networks of containers belong to the Docker Engine";
const OVERSUBSCRIPTION: &str = "there is no resource estimator and no QoS controller";
const SOCKETS: &str = "executors connect to the address of the agent";
const PROVIDERS: &str = "local resource providers are not supported, so nothing of theirs is offered";
const SYSTEMD: &str = "containers have control groups of their own, and systemd is not asked for a slice";

/// Names and defaults are those of Mesos 1.11's `src/slave/flags.cpp`.
pub(super) const NO_EFFECT: &[AgentFlag] = &[
    // Agent.
    AgentFlag::new("runtime_dir", Path, Some("/var/run/mesos"), "Directory for state that does not outlive a boot.").no_effect("all state of this agent is in --work_dir"),
    AgentFlag::new("agent_subsystems", Text, None, "Cgroup controllers for the agent itself.").alias(&["slave_subsystems"]).no_effect("limit the agent with its systemd unit instead"),
    AgentFlag::new("log_dir", Path, None, "Directory for log files.").no_effect("the log goes to standard error, which the journal of systemd keeps; --external_log_file is served as the log"),
    AgentFlag::new("logbufsecs", Count, Some("0"), "Seconds for which log lines may be held back.").no_effect("log lines are never held back"),
    AgentFlag::new("initialize_driver_logging", Bool, Some("true"), "Sets up the log of drivers.").no_effect("the agent contains no driver"),
    AgentFlag::new("memory_profiling", Bool, Some("false"), "Serves the endpoints of the memory profiler.").no_effect("there is no memory profiler"),
    AgentFlag::new("systemd_runtime_directory", Path, Some("/run/systemd/system"), "Where systemd looks for units.").no_effect(SYSTEMD),
    AgentFlag::new("http_heartbeat_interval", Duration, Some("30secs"), "How often streams of container output have a heartbeat.").no_effect("streams of container output are not served"),
    AgentFlag::new("oversubscribed_resources_interval", Duration, Some("15secs"), "How often the master is told what can be offered twice.").no_effect(OVERSUBSCRIPTION),
    AgentFlag::new("qos_correction_interval_min", Duration, Some("0ns"), "The shortest time between two corrections.").no_effect(OVERSUBSCRIPTION),
    AgentFlag::new("resource_provider_config_dir", Path, None, "Directory with descriptions of local resource providers.").no_effect(PROVIDERS),
    AgentFlag::new("csi_plugin_config_dir", Path, None, "Directory with descriptions of CSI plugins.").no_effect(PROVIDERS),
    AgentFlag::new("gc_non_executor_container_sandboxes", Bool, Some("false"), "Removes the sandboxes of nested containers too.").no_effect("there are no nested containers"),
    AgentFlag::new("docker", Text, Some("docker"), "The docker command.").no_effect("the Docker Engine is reached through its API, not through the docker command"),
    AgentFlag::new("volume_gid_range", Text, None, "Groups for volumes of tasks that do not run as root.").no_effect("volumes belong to the user of the task, or to the group that their owner gave them"),
    // Executors.
    AgentFlag::new("http_executor_domain_sockets", Bool, Some("false"), "Executors connect through a Unix socket.").no_effect(SOCKETS),
    AgentFlag::new("domain_socket_location", Path, None, "Path of the Unix socket for executors.").no_effect(SOCKETS),
    // Tasks without an image: isolators and their settings.
    AgentFlag::new("allowed_devices", Json, None, "Devices that containers may use.").no_effect(NO_ISOLATOR),
    AgentFlag::new("effective_capabilities", Json, None, "Capabilities that tasks have.").alias(&["allowed_capabilities"]).no_effect(PRIVILEGES),
    AgentFlag::new("bounding_capabilities", Json, None, "Capabilities that tasks can have.").no_effect(PRIVILEGES),
    AgentFlag::new("default_container_shm_size", Bytes, None, "Size of /dev/shm.").no_effect(NO_ISOLATOR),
    AgentFlag::new("disallow_sharing_agent_ipc_namespace", Bool, Some("false"), "Refuses containers that share the agent's IPC namespace.").no_effect(PRIVILEGES),
    AgentFlag::new("disallow_sharing_agent_pid_namespace", Bool, Some("false"), "Refuses containers that share the agent's PID namespace.").no_effect(PRIVILEGES),
    AgentFlag::new("host_path_volume_force_creation", Text, None, "Host paths that are created for volumes.").no_effect(NO_ISOLATOR),
    AgentFlag::new("seccomp_config_dir", Path, None, "Directory with seccomp profiles.").no_effect("it is about an isolator that --isolation does not take; the Docker Engine has its own profile"),
    AgentFlag::new("seccomp_profile_name", Text, None, "The seccomp profile of tasks.").no_effect("it is about an isolator that --isolation does not take; the Docker Engine has its own profile"),
    AgentFlag::new("nvidia_gpu_devices", Text, None, "GPUs that are offered.").no_effect("GPUs are not offered, and Docker tasks that ask for them are refused"),
    AgentFlag::new("revocable_cpu_low_priority", Bool, Some("true"), "Gives revocable tasks a low priority.").no_effect(NO_ISOLATOR),
    AgentFlag::new("docker_volume_checkpoint_dir", Path, Some("/var/run/mesos/isolators/docker/volume"), "State of the docker/volume isolator.").no_effect("volume drivers are asked by the Docker Engine"),
    AgentFlag::new("docker_volume_chown", Bool, Some("false"), "Gives volumes of drivers to the user of the task.").no_effect("volume drivers are asked by the Docker Engine"),
    // Cgroups.
    AgentFlag::new("cgroups_net_cls_primary_handle", Text, None, "Primary handle of net_cls.").no_effect(NO_ISOLATOR),
    AgentFlag::new("cgroups_net_cls_secondary_handles", Text, None, "Secondary handles of net_cls.").no_effect(NO_ISOLATOR),
    AgentFlag::new("perf_events", Text, None, "Events that perf samples.").no_effect(PERF),
    AgentFlag::new("perf_interval", Duration, Some("1mins"), "How often perf samples.").no_effect(PERF),
    AgentFlag::new("perf_duration", Duration, Some("10secs"), "How long perf samples.").no_effect(PERF),
    // Images of the Mesos containerizer.
    AgentFlag::new("image_providers", Text, None, "Kinds of images that the Mesos containerizer knows.").no_effect(STORE),
    AgentFlag::new("image_provisioner_backend", Text, None, "How the layers of images are put together.").no_effect(STORE),
    AgentFlag::new("image_gc_config", Json, None, "When images are removed.").no_effect(STORE),
    AgentFlag::new("appc_simple_discovery_uri_prefix", Text, Some("http://"), "Where appc images are.").no_effect(STORE),
    AgentFlag::new("appc_store_dir", Path, Some("/tmp/mesos/store/appc"), "Where appc images are kept.").no_effect(STORE),
    AgentFlag::new("docker_registry", Text, Some("https://registry-1.docker.io"), "The registry of the Mesos containerizer.").no_effect("the Docker Engine has its own; a mirror is set there"),
    AgentFlag::new("docker_store_dir", Path, Some("/tmp/mesos/store/docker"), "Where Docker images of the Mesos containerizer are kept.").no_effect(STORE),
    AgentFlag::new("docker_ignore_runtime", Bool, Some("false"), "Ignores what an image says about its process.").no_effect(NO_ISOLATOR),
    // Networks of the Mesos containerizer.
    AgentFlag::new("network_cni_config_dir", Text, None, "Directories with CNI networks.").no_effect(NETWORK),
    AgentFlag::new("network_cni_plugins_dir", Text, None, "Directories with CNI plugins.").no_effect(NETWORK),
    AgentFlag::new("network_cni_root_dir_persist", Bool, Some("false"), "Keeps the state of CNI over a boot.").no_effect(NETWORK),
    AgentFlag::new("network_cni_metrics", Bool, Some("true"), "Counts what CNI does.").no_effect(NETWORK),
];

/// Flags that some builds of the stock agent have, and the recorded one does not (`src/slave/flags.cpp`, XFS, port
/// mapping and network ports isolators).
pub(super) const BUILD_OPTIONS: &[AgentFlag] = &[
    AgentFlag::new("xfs_project_range", Text, Some("[5000-10000]"), "Project ids for quotas of XFS.")
        .no_effect(NO_ISOLATOR),
    AgentFlag::new("xfs_kill_containers", Bool, Some("false"), "Stops containers over their quota of XFS.")
        .no_effect(NO_ISOLATOR),
    AgentFlag::new(
        "ephemeral_ports_per_container",
        Count,
        Some("1024"),
        "Ephemeral ports of each container.",
    )
    .no_effect(NETWORK),
    AgentFlag::new("eth0_name", Text, None, "The public network interface.").no_effect(NETWORK),
    AgentFlag::new("lo_name", Text, None, "The loopback interface.").no_effect(NETWORK),
    AgentFlag::new("egress_rate_limit_per_container", Bytes, None, "Limit of what a container sends.")
        .no_effect(NETWORK),
    AgentFlag::new(
        "egress_unique_flow_per_container",
        Bool,
        Some("false"),
        "Gives each container a flow of its own.",
    )
    .no_effect(NETWORK),
    AgentFlag::new("egress_flow_classifier_parent", Text, Some("root"), "Parent of the flow classifier.")
        .no_effect(NETWORK),
    AgentFlag::new(
        "network_enable_socket_statistics_summary",
        Bool,
        Some("false"),
        "Sums up sockets in statistics.",
    )
    .no_effect(NETWORK),
    AgentFlag::new(
        "network_enable_socket_statistics_details",
        Bool,
        Some("false"),
        "Lists sockets in statistics.",
    )
    .no_effect(NETWORK),
    AgentFlag::new("network_enable_snmp_statistics", Bool, Some("false"), "Has SNMP counters in statistics.")
        .no_effect(NETWORK),
    AgentFlag::new(
        "container_ports_watch_interval",
        Duration,
        Some("30secs"),
        "How often ports of containers are looked at.",
    )
    .no_effect(NETWORK),
    AgentFlag::new(
        "check_agent_port_range_only",
        Bool,
        Some("false"),
        "Looks at ports that the agent offers only.",
    )
    .no_effect(NETWORK),
    AgentFlag::new(
        "enforce_container_ports",
        Bool,
        Some("false"),
        "Stops containers that listen on ports they do not have.",
    )
    .no_effect(
        "it is about an isolator that --isolation does not take; ports of the host network are not checked",
    ),
    AgentFlag::new("container_ports_isolated_range", Text, None, "Ports that are looked at.")
        .no_effect(NETWORK),
];
