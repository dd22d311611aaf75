//! The table of rules: the name of each, what a file may say of it, and what the presets say.

use std::fmt;

use super::setting::Setting;

/// A set of rules that a file may start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// Everything that the engine takes, as with stock Mesos.
    #[default]
    Permissive,
    /// Nothing that reaches out of the container, except what the file allows.
    Strict,
}

/// What a file may say of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `true` or `false`.
    Flag,
    /// `"any"` or a list of texts; an entry that ends in `*` stands for all that begin as it does.
    List,
    /// `"any"` or a list out of these words.
    Words(&'static [&'static str]),
    /// `"any"`, `"resources"` for what the task's resources hold, or `"none"`.
    Grant,
    /// `"any"` or a list of absolute paths, each perhaps with `:ro`.
    Paths,
}

/// What a preset says of a rule.
#[derive(Debug, Clone, Copy)]
enum Says {
    Any,
    Resources,
    Only(&'static [&'static str]),
}

macro_rules! rules {
    ($(#[doc = $doc:literal] $name:ident = $key:literal, $form:expr, $strict:expr;)*) => {
        /// One rule of the policy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $doc] $name,)*
        }

        impl Rule {
            /// All rules, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The key of the rule in a file.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// What it is about, in one sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => $doc.trim_ascii(),)* }
            }

            /// What a file may say of it.
            pub fn form(self) -> Form {
                match self { $(Self::$name => $form,)* }
            }

            fn strict(self) -> Says {
                match self { $(Self::$name => $strict,)* }
            }
        }
    };
}

/// The namespaces that a container can share with its host.
const HOST_NAMESPACES: &[&str] = &["pid", "ipc", "uts", "user", "network", "cgroup"];

/// The namespaces that a container can join of another.
const JOINED: &[&str] = &["pid", "ipc", "network", "cgroup"];

/// The kinds of mounts.
const MOUNT_TYPES: &[&str] = &["bind", "volume", "tmpfs", "image", "cluster", "npipe"];

/// The ways of propagation.
const PROPAGATION: &[&str] = &["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// What a container has anyway (moby `oci/caps/defaults.go`), so asking for it asks for nothing.
const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What changes nothing but the form of a log, and its size, which has a rule of its own.
const LOG_OPTIONS: &[&str] = &[
    "max-size",
    "max-file",
    "compress",
    "mode",
    "max-buffer-size",
    "tag",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
];

rules! {
    /// Privileged containers.
    Privileged = "privileged", Form::Flag, Says::Only(&[]);
    /// Capabilities that may be added, without `CAP_`.
    Capabilities = "capabilities", Form::List, Says::Only(DEFAULT_CAPABILITIES);
    /// Namespaces of the host that a container may be in.
    HostNamespaces = "host_namespaces", Form::Words(HOST_NAMESPACES), Says::Only(&[]);
    /// Namespaces of other containers that a container may join.
    JoinContainers = "join_containers", Form::Words(JOINED), Says::Only(&[]);
    /// Engine networks that a container may be in, besides `bridge` and `none`.
    Networks = "networks", Form::List, Says::Any;
    /// Options for the drivers of networks, by name; labels of a network are such.
    NetworkOptions = "network_options", Form::List, Says::Only(&[]);
    /// Links to other containers.
    Links = "links", Form::Flag, Says::Only(&[]);
    /// Host ports that may be published.
    Ports = "ports", Form::Grant, Says::Resources;
    /// Host paths that may be mounted: alone, or with `:ro` with all below them.
    HostPaths = "host_paths", Form::Paths, Says::Only(&[]);
    /// Host paths that are the host's own, even where `host_paths` holds them.
    ProtectedPaths = "protected_paths", Form::Flag, Says::Only(&[]);
    /// Mounts over `/proc`, `/sys` and `/dev` of the container.
    SystemTargets = "system_targets", Form::Flag, Says::Only(&[]);
    /// The kinds of mounts, by whatever option; the sandbox is always mounted.
    MountTypes = "mount_types", Form::Words(MOUNT_TYPES), Says::Only(&["bind", "volume", "tmpfs"]);
    /// How mounts are propagated.
    MountPropagation = "mount_propagation", Form::Words(PROPAGATION),
        Says::Only(&["private", "rprivate", "slave", "rslave"]);
    /// Named volumes of the engine.
    Volumes = "volumes", Form::List, Says::Only(&[]);
    /// Drivers of volumes; `local` is the one of volumes that name none.
    VolumeDrivers = "volume_drivers", Form::List, Says::Only(&["local"]);
    /// Options for the drivers of volumes, by name.
    VolumeOptions = "volume_options", Form::List, Says::Only(&[]);
    /// Volumes of other containers.
    VolumesFrom = "volumes_from", Form::Flag, Says::Only(&[]);
    /// Host devices.
    Devices = "devices", Form::List, Says::Only(&[]);
    /// Rules of the device cgroup.
    DeviceCgroupRules = "device_cgroup_rules", Form::List, Says::Only(&[]);
    /// Devices asked of a driver, such as GPUs.
    DeviceRequests = "device_requests", Form::Grant, Says::Resources;
    /// Runtimes other than the engine's default.
    Runtimes = "runtimes", Form::List, Says::Only(&[]);
    /// Annotations for the runtime, by name.
    Annotations = "annotations", Form::List, Says::Only(&[]);
    /// Security options, as `key=value`.
    SecurityOptions = "security_options", Form::List,
        Says::Only(&["no-new-privileges", "no-new-privileges=true"]);
    /// Other masked and read-only paths of `/proc` and `/sys` than the engine's own.
    SystemPaths = "system_paths", Form::Flag, Says::Only(&[]);
    /// Kernel parameters, by name.
    Sysctls = "sysctls", Form::List,
        Says::Only(&["net.*", "kernel.shm*", "kernel.msg*", "kernel.sem", "fs.mqueue.*"]);
    /// Parents of the container's cgroup.
    CgroupParents = "cgroup_parents", Form::List, Says::Only(&[]);
    /// Log drivers other than the one that the agent is told, or the engine's default.
    LogDrivers = "log_drivers", Form::List, Says::Only(&["local", "json-file", "journald", "none"]);
    /// Options of the log driver, by name.
    LogOptions = "log_options", Form::List, Says::Only(LOG_OPTIONS);
    /// How much the engine's log files (`local`, `json-file`) may hold; `"resources"` is what the agent's flags say.
    LogSize = "log_size", Form::Grant, Says::Resources;
    /// Options of the storage driver, by name.
    StorageOptions = "storage_options", Form::List, Says::Only(&["size"]);
    /// Memory, swap and CPU of a task; `"resources"` is no more than it was given.
    Shares = "shares", Form::Grant, Says::Resources;
    /// Being spared by the kernel when memory runs out, and real-time or raised CPU priority.
    Precedence = "precedence", Form::Flag, Says::Only(&[]);
}

impl Rule {
    /// What a preset says of it.
    pub fn preset(self, preset: Preset) -> Setting {
        match (preset, self.strict()) {
            (Preset::Permissive, _) | (Preset::Strict, Says::Any) => Setting::Any,
            (Preset::Strict, Says::Resources) => Setting::Resources,
            (Preset::Strict, Says::Only(list)) => {
                Setting::Only(list.iter().map(|&one| one.to_owned()).collect())
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl Preset {
    /// Its name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permissive => "permissive",
            Self::Strict => "strict",
        }
    }

    /// The preset of a name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Permissive, Self::Strict].into_iter().find(|preset| preset.name() == name)
    }
}
