//! Detection of what `--resources` does not name (Mesos `src/slave/containerizer/containerizer.cpp`, `resources`).

use std::path::Path;

use mesos_types::resource::{RangeSet, ResourceError, ResourceFlagError, ResourceValue};
use mesos_types::{Amount, Resource, ResourceFlag, ResourceSet};
use nix::unistd::{SysconfVar, sysconf};

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// The ports that are offered where nothing is said.
const PORTS: (u64, u64) = (31_000, 32_000);

/// What the machine has, as far as it could be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Processors that are online.
    pub cpus: Option<u64>,
    /// Memory in bytes.
    pub mem: Option<u64>,
    /// Size of the file system of the work_dir in bytes.
    pub disk: Option<u64>,
}

/// Resources that the agent cannot have.
#[derive(Debug, thiserror::Error)]
pub enum ResourcesError {
    /// `--resources` cannot be used.
    #[error("flag --resources")]
    Flag(#[from] ResourceFlagError),
    /// A detected resource cannot be used, because of the default role.
    #[error("detected resources cannot be used")]
    Detected(#[from] ResourceError),
}

impl Machine {
    /// Looks at the machine; `work_dir` must exist for the size of its disk to be found.
    pub fn look(work_dir: &Path) -> Self {
        let cpus = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
        let info = rustix::system::sysinfo();
        let unit = u64::from(info.mem_unit.max(1));
        let mem = info.totalram.checked_mul(unit);
        let disk =
            rustix::fs::statvfs(work_dir).ok().and_then(|disk| disk.f_blocks.checked_mul(disk.f_frsize));
        Self {
            cpus: cpus.and_then(|cpus| u64::try_from(cpus).ok()).filter(|&cpus| cpus > 0),
            mem: mem.filter(|&mem| mem > 0),
            disk: disk.filter(|&disk| disk > 0),
        }
    }

    /// What is offered of cpus: all, or one where their number is unknown.
    fn offered_cpus(self) -> u64 {
        self.cpus.unwrap_or(1)
    }

    /// What is offered of memory, in megabytes: all but 1 GB, or half where there is little.
    fn offered_mem(self) -> u64 {
        match self.mem {
            None => GB / MB,
            Some(mem) if mem >= 2 * GB => (mem - GB) / MB,
            Some(mem) => mem / 2 / MB,
        }
    }

    /// What is offered of the disk, in megabytes: all but 5 GB, or half where there is little.
    fn offered_disk(self) -> u64 {
        match self.disk {
            None => 10 * GB / MB,
            Some(disk) if disk >= 10 * GB => (disk - 5 * GB) / MB,
            Some(disk) => disk / 2 / MB,
        }
    }
}

/// What the agent offers: what `--resources` says, and of cpus, mem, disk and ports what it does not name as the
/// machine has it.
///
/// # Errors
///
/// A flag that cannot be used.
pub fn agent_resources(
    flag: Option<&str>,
    default_role: &str,
    machine: Machine,
) -> Result<ResourceSet, ResourcesError> {
    let ResourceFlag { mut resources, named } = ResourceFlag::parse(flag.unwrap_or_default(), default_role)?;
    let whole = |number: u64| ResourceValue::Scalar(Amount::from_thousandths(number.saturating_mul(1000)));
    let ports = RangeSet::new([PORTS]).unwrap_or_default();
    for (name, value) in [
        ("cpus", whole(machine.offered_cpus())),
        ("mem", whole(machine.offered_mem())),
        ("disk", whole(machine.offered_disk())),
        ("ports", ResourceValue::Ranges(ports)),
    ] {
        if !named.contains(name) {
            resources.add(Resource::new(name, value)?.reserved_for(default_role)?);
        }
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Machine = Machine { cpus: Some(8), mem: Some(16 * GB), disk: Some(100 * GB) };

    fn offered(flag: &str, role: &str, machine: Machine) -> String {
        agent_resources(Some(flag), role, machine).unwrap().to_string()
    }

    #[rstest::rstest]
    #[case(LARGE, "cpus:8; mem:15360; disk:97280; ports:[31000-32000]")]
    #[case(Machine { cpus: Some(1), mem: Some(2 * GB), disk: Some(10 * GB) }, "cpus:1; mem:1024; disk:5120; ports:[31000-32000]")]
    #[case(Machine { cpus: Some(1), mem: Some(GB), disk: Some(8 * GB) }, "cpus:1; mem:512; disk:4096; ports:[31000-32000]")]
    #[case(Machine::default(), "cpus:1; mem:1024; disk:10240; ports:[31000-32000]")]
    fn what_is_not_named_is_detected(#[case] machine: Machine, #[case] expected: &str) {
        assert_eq!(offered("", "*", machine), expected);
        assert_eq!(agent_resources(None, "*", machine).unwrap().to_string(), expected);
    }

    #[test]
    fn what_is_named_is_not_detected() {
        assert_eq!(
            offered("cpus(r):2;foo:1", "*", LARGE),
            "cpus(r):2; foo:1; mem:15360; disk:97280; ports:[31000-32000]"
        );
        assert_eq!(offered("cpus:0;ports:[];disk:1;mem:1", "*", LARGE), "disk:1; mem:1");
        assert_eq!(
            offered("cpus:2;mem(*):1", "r", LARGE),
            "cpus(r):2; mem:1; disk(r):97280; ports(r):[31000-32000]"
        );
    }

    #[test]
    fn a_bad_flag_is_named() {
        let error = agent_resources(Some("cpus:x"), "*", LARGE).unwrap_err();
        assert_eq!(error.to_string(), "flag --resources");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("\"cpus\" cannot be used"), "{cause}");
    }

    #[test]
    fn this_machine_has_something() {
        let machine = Machine::look(Path::new("/"));
        assert!(machine.cpus.unwrap() >= 1);
        assert!(machine.mem.unwrap() > 64 * MB);
        assert!(machine.disk.unwrap() > 0);
        // The kernel says the same in another place, in kilobytes.
        let info = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let kilobytes: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
        assert_eq!(machine.mem, Some(kilobytes * 1024));
        assert_eq!(Machine::look(Path::new("/nowhere")).disk, None);
    }
}
