//! Which hierarchies are mounted, and which of them has which controller.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use containerizer::cgroups::{Mounts, UNIFIED, Version};
use serde::{Deserialize, Serialize};

use super::error::CgroupsError;

/// A controller that plain containers are put under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// CPU time by weight, and a quota.
    Cpu,
    /// CPU time counted; part of `cpu` in v2.
    Cpuacct,
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
    /// Stops all processes at once; in v2 every group can.
    Freezer,
    /// The hierarchy by which systemd knows what belongs to a unit, beside v1 controllers.
    Systemd,
}

/// The hierarchies of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchies {
    v1: BTreeMap<Controller, PathBuf>,
    unified: Option<Unified>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Unified {
    at: PathBuf,
    controllers: BTreeSet<Controller>,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Cpu, Self::Cpuacct, Self::Memory, Self::Pids, Self::Freezer, Self::Systemd];

    /// The name in the options of a v1 mount.
    pub fn mount_option(self) -> &'static str {
        match self {
            Self::Systemd => "name=systemd",
            other => other.name(),
        }
    }

    /// The name in `cgroup.controllers`, and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Freezer => "freezer",
            Self::Systemd => "systemd",
        }
    }
}

impl Hierarchies {
    /// Looks at what is mounted at or below a directory (`--cgroups_hierarchy`).
    ///
    /// # Errors
    ///
    /// Mounts that cannot be listed.
    pub fn detect(base: &Path) -> Result<Self, CgroupsError> {
        let mountinfo = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(mountinfo).map_err(CgroupsError::of("read", mountinfo))?;
        let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
        Ok(Self::from_mounts(&Mounts::parse_below(&text, &base)))
    }

    /// The same from mounts that were listed already.
    pub fn from_mounts(mounts: &Mounts) -> Self {
        let at = |name| mounts.get(name).map(|mounted| mounted.at.clone());
        let v1 = Controller::ALL
            .into_iter()
            .filter_map(|controller| Some((controller, at(controller.mount_option())?)))
            .collect();
        let unified = at(UNIFIED).map(|at| {
            let offered = fs::read_to_string(at.join("cgroup.controllers")).unwrap_or_default();
            let offers = |controller: &Controller| match controller {
                Controller::Cpu | Controller::Memory | Controller::Pids => {
                    offered.split_whitespace().any(|name| name == controller.name())
                }
                // It counts CPU time in every group, and stops all of them.
                Controller::Cpuacct | Controller::Freezer => true,
                Controller::Systemd => false,
            };
            Unified { controllers: Controller::ALL.into_iter().filter(offers).collect(), at }
        });
        Self { v1, unified }
    }

    /// The hierarchy of a controller: of v1 where it is mounted so, since a controller is in one hierarchy alone.
    pub(crate) fn of(&self, controller: Controller) -> Option<(Version, &Path)> {
        let v1 = self.v1.get(&controller).map(|at| (Version::V1, at.as_path()));
        v1.or_else(|| {
            let unified =
                self.unified.as_ref().filter(|unified| unified.controllers.contains(&controller))?;
            Some((Version::V2, unified.at.as_path()))
        })
    }

    /// The unified hierarchy, with controllers or without.
    pub(crate) fn unified(&self) -> Option<&Path> {
        self.unified.as_ref().map(|unified| unified.at.as_path())
    }

    /// Every hierarchy once.
    pub(crate) fn all(&self) -> BTreeSet<&Path> {
        self.v1.values().map(PathBuf::as_path).chain(self.unified()).collect()
    }

    /// The same machine without its unified hierarchy, as it was before Linux 4.5.
    #[cfg(test)]
    pub(crate) fn without_unified(mut self) -> Self {
        self.unified = None;
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A machine with v1 alone, as Debian 10 and CentOS 7 mount it, below a directory of the test.
    pub(crate) fn v1_machine(root: &Path) -> Hierarchies {
        let text: String = ["cpu,cpuacct", "memory", "pids", "freezer", "systemd"]
            .iter()
            .map(|name| {
                let at = root.join(name);
                fs::create_dir_all(&at).unwrap();
                let option = if *name == "systemd" { "name=systemd" } else { name };
                format!("31 23 0:28 / {} rw - cgroup cgroup rw,{option}\n", at.display())
            })
            .collect();
        Hierarchies::from_mounts(&Mounts::parse_below(&text, root))
    }

    /// A machine with v2 alone, as Debian 12 and Fedora mount it.
    pub(crate) fn v2_machine(root: &Path) -> Hierarchies {
        fs::write(root.join("cgroup.controllers"), "cpuset cpu io memory hugetlb pids rdma misc\n").unwrap();
        fs::write(root.join("cgroup.subtree_control"), "").unwrap();
        let text = format!("31 23 0:28 / {} rw - cgroup2 cgroup2 rw,nsdelegate\n", root.display());
        Hierarchies::from_mounts(&Mounts::parse_below(&text, root))
    }

    #[test]
    fn v1_has_a_directory_for_each_controller_or_for_two() {
        let root = tempfile::tempdir().unwrap();
        let machine = v1_machine(root.path());
        let cpu = root.path().join("cpu,cpuacct");
        assert_eq!(machine.of(Controller::Cpu), Some((Version::V1, cpu.as_path())));
        assert_eq!(machine.of(Controller::Cpuacct), Some((Version::V1, cpu.as_path())));
        assert!(machine.of(Controller::Systemd).is_some() && machine.unified().is_none());
        assert_eq!(machine.all().len(), 5);
    }

    #[test]
    fn v2_has_one_directory_for_all() {
        let root = tempfile::tempdir().unwrap();
        let machine = v2_machine(root.path());
        for controller in [Controller::Cpu, Controller::Cpuacct, Controller::Memory, Controller::Pids] {
            assert_eq!(machine.of(controller), Some((Version::V2, root.path())), "{controller:?}");
        }
        assert_eq!(machine.of(Controller::Systemd), None);
        assert_eq!(machine.all().len(), 1);
    }

    /// As this machine and systemd's hybrid set-up are: v1 controllers, and a unified hierarchy without any of ours.
    #[test]
    fn a_unified_hierarchy_beside_v1_has_no_controllers() {
        let root = tempfile::tempdir().unwrap();
        let unified = root.path().join("unified");
        fs::create_dir_all(&unified).unwrap();
        fs::write(unified.join("cgroup.controllers"), "hugetlb\n").unwrap();
        let text = format!(
            "1 0 0:1 / {root}/memory rw - cgroup cgroup rw,memory\n2 0 0:2 / {root}/unified rw - cgroup2 cgroup2 rw\n",
            root = root.path().display()
        );
        let machine = Hierarchies::from_mounts(&Mounts::parse_below(&text, root.path()));
        assert_eq!(machine.of(Controller::Memory).unwrap().0, Version::V1);
        assert_eq!(machine.of(Controller::Cpu), None);
        assert_eq!(machine.unified(), Some(unified.as_path()));
    }
}
