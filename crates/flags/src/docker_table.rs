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
        "Registry credentials in the form of Docker's config.json or .dockercfg: file:///path of one, which is read again for each pull, or the JSON object itself, which every user of the machine can read on the command line.",
    ),
    flag(
        "docker_hide_credentials",
        FlagKind::Bool,
        Some("false"),
        "Removes the registry credentials that a task brought into its sandbox, and the archive they came from, before the task starts.",
    ),
    flag(
        "docker_credential_helper_path",
        FlagKind::Text,
        Some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        "Absolute directories in which the credential helpers of --docker_config are found; also the helpers' own PATH.",
    ),
    flag(
        "docker_credential_helper_timeout",
        FlagKind::Duration,
        Some("30secs"),
        "How long a credential helper may take to answer, before it and its children are killed.",
    ),
    flag(
        "docker_max_parallel_credential_helpers",
        FlagKind::Count,
        Some("4"),
        "The most credential helpers that run at the same time.",
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
        "Image that the agent itself runs from, when it runs in a container: the start is refused where the container lacks what the agent needs. No container is started from it. See docs/agent-in-a-container.md.",
    ),
    flag(
        "docker_no_host_pid",
        FlagKind::Bool,
        Some("false"),
        "Lets an agent run in a container without --pid=host and without the host's control groups: what containers use is asked of the engine.",
    ),
    flag(
        "executor_environment_variables",
        FlagKind::Json,
        None,
        "Variables that executors get besides those of the agent's protocol, as a JSON object of strings. They inherit nothing of the agent's own environment.",
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
        "Runs the container's command as the user of the task, with that user's numbers on this machine where --switch_user gives it the sandbox; otherwise the image decides, as in Mesos.",
    ),
    flag(
        "docker_policy",
        FlagKind::File,
        Some("permissive"),
        "What tasks may ask of the host: permissive (all, as in Mesos), strict, or a TOML or JSON file. See docs/policy.md.",
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
        "How long the end of a log may take to be read after the container ended. Of a task without an image: how long a reader of mesos-docker run that does not read may hold up its end.",
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
        "docker_mask_environment",
        FlagKind::Text,
        Some("secrets"),
        "Whose values are *** in the inspection that a task's TASK_RUNNING carries: secrets (of variables from secrets, and of those named like one), all, or none, as in Mesos.",
    ),
    flag(
        "docker_max_parallel_check_commands",
        FlagKind::Count,
        Some("8"),
        "The most commands of checks that run in containers at the same time. What waits counts against no timeout.",
    ),
    flag(
        "docker_max_parallel_check_connections",
        FlagKind::Count,
        Some("64"),
        "The most HTTP and TCP checks that are made at the same time.",
    ),
    flag(
        "docker_check_min_interval",
        FlagKind::Duration,
        Some("100ms"),
        "The least time between two checks of the same kind of a task, whatever its interval says.",
    ),
    flag(
        "docker_check_longest_turn",
        FlagKind::Duration,
        Some("5secs"),
        "How long a check that goes on may keep others waiting for their turn; after that it goes on without one.",
    ),
    flag(
        "docker_check_engine_timeout",
        FlagKind::Duration,
        Some("30secs"),
        "Deadline of a call to the engine for a check.",
    ),
    flag(
        "docker_pull_policy",
        FlagKind::Text,
        Some("if-not-present"),
        "When images are pulled: if-not-present, always, or prefer-cached, with which a forced pull falls back to the image on the host when the registry fails. A task's force_pull_image wins.",
    ),
    flag(
        "docker_max_parallel_pulls",
        FlagKind::Count,
        Some("4"),
        "The most images that are pulled at the same time. Tasks of one image share one pull.",
    ),
    flag(
        "docker_max_queued_pulls",
        FlagKind::Count,
        Some("1000"),
        "The most pulls that wait for their turn or for another attempt; more fail.",
    ),
    flag(
        "docker_pull_quick_time",
        FlagKind::Duration,
        Some("10secs"),
        "How long a pull runs before it counts as a big one. Big ones leave one place to the others, if there are two.",
    ),
    flag(
        "docker_pull_timeout",
        FlagKind::Duration,
        Some("0secs"),
        "How long a task waits for the pull of its image, without the time in the queue. 0: as long as the pull makes progress.",
    ),
    flag(
        "docker_pull_inactivity_timeout",
        FlagKind::Duration,
        Some("2mins"),
        "How long a pull may make no progress at all. Unpacking is progress.",
    ),
    flag(
        "docker_pull_max_retries",
        FlagKind::Count,
        Some("3"),
        "How often a pull is tried again when its registry cannot be reached, fails or wants fewer pulls.",
    ),
    flag(
        "docker_pull_backoff",
        FlagKind::Duration,
        Some("2secs"),
        "The pause before a pull is tried again; it doubles each time.",
    ),
    flag(
        "docker_pull_max_backoff",
        FlagKind::Duration,
        Some("30secs"),
        "The longest pause before a pull is tried again.",
    ),
    flag(
        "docker_pull_rate_limit_backoff",
        FlagKind::Duration,
        Some("1mins"),
        "The pause after a registry asked for fewer pulls; it doubles each time.",
    ),
    flag(
        "docker_pull_max_rate_limit_backoff",
        FlagKind::Duration,
        Some("10mins"),
        "The longest pause after a registry asked for fewer pulls.",
    ),
    flag(
        "docker_pull_negative_ttl",
        FlagKind::Duration,
        Some("30secs"),
        "How long an image that its registry does not have, or refuses, is not asked for again with the same credentials. 0: not at all.",
    ),
    flag(
        "docker_pull_negative_cache_size",
        FlagKind::Count,
        Some("256"),
        "The most refusals that are remembered.",
    ),
    flag("docker_remove_timeout", FlagKind::Duration, Some("5mins"), "Deadline of removing a container."),
    flag(
        "launcher_dir",
        FlagKind::Path,
        None,
        "Directory of the programs mesos-fetcher and mesos-containerizer. Unset: beside the program that starts them; mesos-containerizer is looked for there first.",
    ),
    flag(
        "fetcher_cache_dir",
        FlagKind::Path,
        Some("/tmp/mesos/fetch"),
        "Directory of the fetcher's cache, with one directory for each user in it. It is emptied before the first task that uses it. mesos-docker: fetch below the work directory.",
    ),
    flag("fetcher_cache_size", FlagKind::Bytes, Some("2GB"), "Size of the fetcher's cache. 0B: no cache."),
    flag(
        "fetcher_cache_revalidate",
        FlagKind::Bool,
        Some("false"),
        "Asks the source for a newer version before a cached file is used. Otherwise a URI stands for one content, as in Mesos.",
    ),
    flag(
        "fetcher_stall_timeout",
        FlagKind::Duration,
        Some("1mins"),
        "How long a download may go on without a byte.",
    ),
    flag(
        "fetcher_parallel",
        FlagKind::Count,
        Some("8"),
        "URIs of one task that are downloaded at the same time.",
    ),
    flag(
        "fetcher_max_concurrent",
        FlagKind::Count,
        Some("16"),
        "The most mesos-fetcher processes at the same time; further tasks wait.",
    ),
    flag(
        "fetcher_retries",
        FlagKind::Count,
        Some("4"),
        "How often a download goes on after a cut, or is tried again after an answer that may pass.",
    ),
    flag(
        "fetcher_extract_max_size",
        FlagKind::Bytes,
        Some("16GB"),
        "The most bytes that the archives of one task may unpack to.",
    ),
    flag(
        "fetcher_extract_max_entries",
        FlagKind::Count,
        Some("1000000"),
        "The most entries that the archives of one task may have.",
    ),
    flag("frameworks_home", FlagKind::Path, Some(""), "What relative paths in URIs are relative to."),
    flag(
        "hadoop_home",
        FlagKind::Path,
        None,
        "Where the Hadoop client is, for hdfs:// and what else only it can fetch. Unset: HADOOP_HOME, else the PATH.",
    ),
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
