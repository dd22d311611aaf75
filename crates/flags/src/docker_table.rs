//! The table of flags that concern the Docker containerizer: the names and defaults of Mesos 1.11's
//! `src/slave/flags.cpp`, and ours after them.

use crate::definition::{FlagDef, FlagKind, Sensitivity};

/// Every flag that [`crate::DockerSettings`] is made of.
pub const DOCKER_FLAGS: &[FlagDef] = &[
    flag("work_dir", FlagKind::Path, None, "Directory for sandboxes and state. The agent requires it."),
    flag(
        "docker_socket",
        FlagKind::Path,
        Some("/var/run/docker.sock"),
        "Absolute path of the Unix socket of the Docker Engine.",
    ),
    secret(
        "docker_config",
        FlagKind::Json,
        None,
        "Registry credentials in the form of Docker's config.json: a JSON object, or file:///path of one. Read once at start.",
    ),
    flag(
        "docker",
        FlagKind::Text,
        None,
        "Accepted for compatibility. The docker command is never run; the Engine API is used instead.",
    ),
    flag(
        "docker_remove_delay",
        FlagKind::Duration,
        Some("6hrs"),
        "How long a container is kept after it ended, before it is removed with its anonymous volumes.",
    ),
    flag(
        "docker_stop_timeout",
        FlagKind::Duration,
        Some("0secs"),
        "Deprecated, use the kill policy of the task. Grace between stop signal and SIGKILL when none is given.",
    ),
    flag(
        "sandbox_directory",
        FlagKind::Path,
        Some("/mnt/mesos/sandbox"),
        "Absolute path at which the sandbox is mounted inside containers.",
    ),
    flag(
        "default_container_dns",
        FlagKind::Json,
        None,
        "DNS settings for containers on bridge and user networks whose task names none: {\"docker\": [{\"network_mode\": \"BRIDGE\", \"dns\": {\"nameservers\": [\"8.8.8.8\"]}}]}.",
    ),
    flag(
        "cgroups_enable_cfs",
        FlagKind::Bool,
        Some("false"),
        "Caps a container at its cpus with a CFS quota, where its limits say nothing else.",
    ),
    flag(
        "docker_kill_orphans",
        FlagKind::Bool,
        Some("true"),
        "Removes containers of this work_dir that no known task owns.",
    ),
    flag(
        "docker_mesos_image",
        FlagKind::Text,
        None,
        "Image that the agent itself runs from, when it runs in a container.",
    ),
    flag(
        "executor_environment_variables",
        FlagKind::Json,
        None,
        "JSON object of strings that becomes the environment of executors, instead of the agent's own.",
    ),
    flag(
        "switch_user",
        FlagKind::Bool,
        Some("true"),
        "Gives the sandbox to the user of the task and fetches as that user.",
    ),
    flag(
        "docker_strict_fields",
        FlagKind::Bool,
        Some("false"),
        "Refuses tasks with fields that would be accepted with a line in the sandbox's stderr.",
    ),
    flag(
        "docker_honor_user",
        FlagKind::Bool,
        Some("false"),
        "Runs the container's command as the user of the task; otherwise the image decides, as in Mesos.",
    ),
    flag(
        "docker_log_driver",
        FlagKind::Text,
        Some("local"),
        "Log driver of containers whose task names none. local keeps bytes as they are.",
    ),
    flag(
        "docker_log_max_size",
        FlagKind::Bytes,
        None,
        "Size at which stdout and stderr in the sandbox are rotated. Unset: never, as in Mesos.",
    ),
    flag(
        "docker_log_max_files",
        FlagKind::Count,
        Some("5"),
        "Rotated files kept beside each of stdout and stderr.",
    ),
    flag(
        "docker_log_driver_max_size",
        FlagKind::Bytes,
        Some("100MB"),
        "Size at which the engine begins a new file of its own log (drivers local and json-file).",
    ),
    flag(
        "docker_log_driver_max_files",
        FlagKind::Count,
        Some("3"),
        "Files that the engine keeps of its own log. What it drops before it was read is one marked gap.",
    ),
    flag(
        "docker_log_drain_timeout",
        FlagKind::Duration,
        Some("30secs"),
        "How long the end of a log may take to be read after the container ended.",
    ),
    flag(
        "docker_missed_exit_timeout",
        FlagKind::Duration,
        Some("60secs"),
        "How long the engine may take to tell the exit of a process that is known to be gone.",
    ),
    flag(
        "docker_max_parallel_launches",
        FlagKind::Count,
        Some("16"),
        "The most containers that are created and started at the same time.",
    ),
    flag("docker_create_timeout", FlagKind::Duration, Some("4mins"), "Deadline of creating a container."),
    flag("docker_start_timeout", FlagKind::Duration, Some("3mins"), "Deadline of starting a container."),
    flag(
        "docker_inspect_timeout",
        FlagKind::Duration,
        Some("30secs"),
        "Deadline of an inspection or a list.",
    ),
    flag(
        "docker_pull_inactivity_timeout",
        FlagKind::Duration,
        Some("2mins"),
        "How long a pull may make no progress at all.",
    ),
    flag(
        "docker_pull_timeout",
        FlagKind::Duration,
        None,
        "Deadline of a whole pull. Unset: none while it makes progress.",
    ),
    flag("docker_remove_timeout", FlagKind::Duration, Some("5mins"), "Deadline of removing a container."),
];

/// A flag that may be shown.
const fn flag(
    name: &'static str,
    kind: FlagKind,
    default: Option<&'static str>,
    help: &'static str,
) -> FlagDef {
    FlagDef { name, kind, default, help, sensitivity: Sensitivity::Public }
}

/// A flag that prints as `***`.
const fn secret(
    name: &'static str,
    kind: FlagKind,
    default: Option<&'static str>,
    help: &'static str,
) -> FlagDef {
    FlagDef { name, kind, default, help, sensitivity: Sensitivity::Secret }
}
