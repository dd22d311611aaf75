//! `--isolation`: by what tasks without an image are held to their resources.
//!
//! Names are those of Mesos 1.11 (`src/slave/containerizer/mesos/containerizer.cpp`, `MesosContainerizer::create`). What
//! is honoured becomes an [`Isolation`]; what only counts or does nothing in stock either is accepted with a line; every
//! other name is refused with the remedy, all of them in one message, as leaving one out would leave tasks less isolated
//! than their operator thinks.

use std::collections::BTreeSet;

/// Something that tasks without an image are isolated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolator {
    /// `posix/cpu`: CPU time is counted.
    PosixCpu,
    /// `posix/mem`: memory is counted.
    PosixMem,
    /// `posix/rlimits`: `ContainerInfo.rlimit_info` is set, which is always done here.
    PosixRlimits,
    /// `cgroups/cpu`: shares, and a quota.
    CgroupsCpu,
    /// `cgroups/mem`: a limit, and its end reported.
    CgroupsMem,
    /// `cgroups/pids`: processes and threads are counted and limited.
    CgroupsPids,
    /// `filesystem/posix`: the host's own file system, which is the only one here.
    FilesystemPosix,
    /// `volume/sandbox_path`: SANDBOX_PATH volumes, which always work here.
    VolumeSandboxPath,
    /// `disk/du`: what the sandbox takes of the disk.
    DiskDu,
}

/// How tasks without an image are started and killed (`--launcher`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// As trees of processes below their supervising parent.
    Posix,
    /// As these, and in a control group that nothing leaves by forking.
    Linux,
}

/// The isolators of tasks without an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Isolation {
    isolators: BTreeSet<Isolator>,
    without_effect: Vec<&'static str>,
}

/// What becomes of a name.
enum Reading {
    Isolators(&'static [Isolator]),
    /// It is accepted and does nothing.
    WithoutEffect(&'static str),
    Refused(&'static str),
}

const IMAGES: &str =
    "tasks with an image run under the Docker containerizer; remove it and have docker in --containerizers";
const NAMESPACE: &str = "tasks without an image share the namespaces of the host here; remove it, or give such tasks a Docker image";
const NETWORKS: &str =
    "tasks without an image use the network of the host here; remove it, or give such tasks a Docker image";
const PRIVILEGES: &str = "tasks without an image keep the privileges of their user here; remove it, or give such tasks a Docker image";
const VOLUMES: &str = "only persistent and SANDBOX_PATH volumes exist without an image; remove it, and give such tasks a Docker image";
const CLASSES: &str = "the agent does not mark the packets of tasks; remove it, and mark them by the group of the task's processes";

/// Every name that stock knows.
const NAMES: &[(&str, Reading)] = &[
    ("process", Reading::Isolators(&[Isolator::PosixCpu, Isolator::PosixMem])),
    ("posix/cpu", Reading::Isolators(&[Isolator::PosixCpu])),
    ("posix/mem", Reading::Isolators(&[Isolator::PosixMem])),
    ("posix/disk", Reading::Isolators(&[Isolator::DiskDu])),
    ("posix/rlimits", Reading::Isolators(&[Isolator::PosixRlimits])),
    ("cgroups", Reading::Isolators(&[Isolator::CgroupsCpu, Isolator::CgroupsMem])),
    ("cgroups/cpu", Reading::Isolators(&[Isolator::CgroupsCpu])),
    ("cgroups/mem", Reading::Isolators(&[Isolator::CgroupsMem])),
    ("cgroups/pids", Reading::Isolators(&[Isolator::CgroupsPids])),
    ("filesystem/posix", Reading::Isolators(&[Isolator::FilesystemPosix])),
    ("volume/sandbox_path", Reading::Isolators(&[Isolator::VolumeSandboxPath])),
    ("disk/du", Reading::Isolators(&[Isolator::DiskDu])),
    ("cgroups/blkio", Reading::WithoutEffect("it only counts, and what it counts is not reported")),
    ("cgroups/cpuset", Reading::WithoutEffect("it pins nothing in Mesos either")),
    ("cgroups/hugetlb", Reading::WithoutEffect("it limits nothing in Mesos either")),
    ("cgroups/net_prio", Reading::WithoutEffect("it sets no priority in Mesos either")),
    ("cgroups/perf_event", Reading::WithoutEffect("it only counts, and what it counts is not reported")),
    (
        "cgroups/all",
        Reading::Refused(
            "it includes cgroups/devices, which is not done here; write cgroups/cpu,cgroups/mem,cgroups/pids",
        ),
    ),
    (
        "cgroups/devices",
        Reading::Refused(
            "tasks without an image may use the devices that their user may; remove it, or give such tasks a Docker image",
        ),
    ),
    ("cgroups/net_cls", Reading::Refused(CLASSES)),
    ("disk/xfs", Reading::Refused("quotas of XFS are not set here; write disk/du instead")),
    ("docker/runtime", Reading::Refused(IMAGES)),
    ("appc/runtime", Reading::Refused(IMAGES)),
    (
        "filesystem/linux",
        Reading::Refused(
            "tasks without an image see the file system of the host here, without mounts of their own; write filesystem/posix",
        ),
    ),
    ("filesystem/windows", Reading::Refused("this agent runs on Linux; write filesystem/posix")),
    ("filesystem/shared", Reading::Refused("Mesos itself has removed it; write filesystem/posix")),
    ("windows/cpu", Reading::Refused("this agent runs on Linux; write cgroups/cpu")),
    ("windows/mem", Reading::Refused("this agent runs on Linux; write cgroups/mem")),
    ("docker/volume", Reading::Refused(VOLUMES)),
    ("volume/host_path", Reading::Refused(VOLUMES)),
    ("volume/image", Reading::Refused(VOLUMES)),
    ("volume/secret", Reading::Refused(VOLUMES)),
    ("volume/csi", Reading::Refused(VOLUMES)),
    (
        "environment_secret",
        Reading::Refused("secrets cannot be resolved here; remove it: tasks with secrets are refused"),
    ),
    ("gpu/nvidia", Reading::Refused("GPUs are not offered to tasks without an image; remove it")),
    ("linux/capabilities", Reading::Refused(PRIVILEGES)),
    ("linux/seccomp", Reading::Refused(PRIVILEGES)),
    ("linux/nnp", Reading::Refused(PRIVILEGES)),
    ("linux/devices", Reading::Refused(PRIVILEGES)),
    ("namespaces/pid", Reading::Refused(NAMESPACE)),
    ("namespaces/ipc", Reading::Refused(NAMESPACE)),
    ("network/cni", Reading::Refused(NETWORKS)),
    ("network/ports", Reading::Refused("the ports that tasks listen on are not looked at here; remove it")),
    ("network/port_mapping", Reading::Refused(NETWORKS)),
];

impl Isolation {
    /// Reads the flag's value: names with commas between them, in any order, repeated or not. An empty one isolates by
    /// nothing but `filesystem/posix`, as in stock.
    ///
    /// # Errors
    ///
    /// The sentence that names each isolator that is not done here with its remedy, and each that nobody knows.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        let mut refused = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, Reading::Isolators(isolators))) => read.isolators.extend(*isolators),
                Some((known, Reading::WithoutEffect(_))) => {
                    if !read.without_effect.contains(known) {
                        read.without_effect.push(known);
                    }
                }
                Some((_, Reading::Refused(why))) => refused.push(format!("{name}: {why}")),
                None => refused.push(format!(
                    "{}: there is no such isolator, and C++ modules cannot be loaded; known are {}",
                    name.escape_default(),
                    honoured().collect::<Vec<_>>().join(", ")
                )),
            }
        }
        if refused.is_empty() { Ok(read) } else { Err(refused.join("; ")) }
    }

    /// Whether an isolator is among them.
    pub fn has(&self, isolator: Isolator) -> bool {
        self.isolators.contains(&isolator)
    }

    /// Whether tasks may have a CPU limit: something holds them to it (`Slave::run`, 1.10 and later).
    pub fn limits_cpu(&self) -> bool {
        self.has(Isolator::CgroupsCpu)
    }

    /// Whether tasks may have a memory limit.
    pub fn limits_mem(&self) -> bool {
        self.has(Isolator::CgroupsMem)
    }

    /// A line for each isolator that was accepted and does nothing.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.without_effect.iter().filter_map(|name| match NAMES.iter().find(|(known, _)| known == name) {
            Some((_, Reading::WithoutEffect(why))) => {
                Some(format!("the isolator {name} is accepted without effect: {why}"))
            }
            _ => None,
        })
    }
}

/// The names that do something, aliases left out.
fn honoured() -> impl Iterator<Item = &'static str> {
    NAMES.iter().filter_map(|(name, reading)| match reading {
        Reading::Isolators([_]) if *name != "posix/disk" => Some(*name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("", &[])]
    #[case("posix/cpu,posix/mem", &[Isolator::PosixCpu, Isolator::PosixMem])]
    #[case("process", &[Isolator::PosixCpu, Isolator::PosixMem])]
    #[case("cgroups", &[Isolator::CgroupsCpu, Isolator::CgroupsMem])]
    #[case(" cgroups/mem, cgroups/mem ,disk/du", &[Isolator::CgroupsMem, Isolator::DiskDu])]
    #[case("posix/disk", &[Isolator::DiskDu])]
    #[case("filesystem/posix,posix/rlimits,cgroups/pids,volume/sandbox_path",
        &[Isolator::PosixRlimits, Isolator::CgroupsPids, Isolator::FilesystemPosix, Isolator::VolumeSandboxPath])]
    fn names_and_old_aliases_are_read(#[case] text: &str, #[case] expected: &[Isolator]) {
        let read = Isolation::parse(text).unwrap();
        assert_eq!(read.isolators, expected.iter().copied().collect());
        assert_eq!(read.remarks().count(), 0);
    }

    #[test]
    fn only_cgroups_hold_a_task_to_its_limits() {
        let posix = Isolation::parse("posix/cpu,posix/mem").unwrap();
        assert!(!posix.limits_cpu() && !posix.limits_mem());
        let cpu = Isolation::parse("cgroups/cpu").unwrap();
        assert!(cpu.limits_cpu() && !cpu.limits_mem());
        assert!(Isolation::parse("cgroups").unwrap().limits_mem());
    }

    #[test]
    fn every_refused_name_is_told_with_its_remedy() {
        let error =
            Isolation::parse("cgroups/cpu,filesystem/linux,docker/runtime,com_example_Mine").unwrap_err();
        assert!(error.contains("filesystem/linux: ") && error.contains("write filesystem/posix"), "{error}");
        assert!(
            error.contains("docker/runtime: ") && error.contains("docker in --containerizers"),
            "{error}"
        );
        assert!(error.contains("com_example_Mine: there is no such isolator"), "{error}");
        assert!(error.contains("cgroups/pids") && !error.contains("cgroups/cpu: "), "{error}");
    }

    #[test]
    fn what_only_counts_is_accepted_and_said_once() {
        let read = Isolation::parse("cgroups/blkio,cgroups/cpu,cgroups/blkio").unwrap();
        let remarks: Vec<_> = read.remarks().collect();
        assert_eq!(remarks.len(), 1);
        assert!(
            remarks[0].starts_with("the isolator cgroups/blkio is accepted without effect"),
            "{remarks:?}"
        );
    }

    /// The isolators of stock's own table of names, each read or refused with a reason.
    #[test]
    fn no_name_of_stock_is_unknown() {
        for (name, _) in NAMES {
            let unknown =
                Isolation::parse(name).err().is_some_and(|error| error.contains("no such isolator"));
            assert!(!unknown, "{name}");
        }
        assert_eq!(NAMES.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len(), NAMES.len());
    }
}
