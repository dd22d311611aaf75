//! What this machine can do of the isolation that the flags ask for; new and adopted containers.
//!
//! Found once, at the start of the agent. What an isolator needs and is not there stops the start; without one, and with no
//! `--launcher`, the agent goes on with trees of processes alone, as stock does, and says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use containerizer::cgroups::{Host, Membership};
use mesos_types::{ContainerId, Isolator, Launcher, TaskLimits, TaskResources};

use super::contained::Contained;
use super::error::ContainmentError;
use super::processes::Listing;
use super::settings::{ContainmentSettings, SystemdGroups};
use crate::cgroups::{
    CgroupsError, Controller, GroupDir, GroupDirs, Hierarchies, Layout, LimitSettings, MemoryNow, Wanted,
    set_mark, writes,
};
use crate::disk::DiskWatch;

/// Processes and threads that a container may have where the kernel does not say how many it has.
const SOME_PIDS: u64 = 16_384;

/// How plain containers are isolated on this machine.
#[derive(Debug, Clone)]
pub struct Containment {
    pub(super) shared: Arc<Shared>,
}

/// What all containers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: ContainmentSettings,
    pub(super) layout: Option<Layout>,
    pub(super) hierarchies: Hierarchies,
    pub(super) limits: LimitSettings,
    pub(super) host: Host,
    pub(super) disk: DiskWatch,
    pub(super) listing: Listing,
    remarks: Vec<String>,
}

impl Containment {
    /// Finds what this machine can do, and makes the groups above those of containers.
    ///
    /// # Errors
    ///
    /// An isolator or launcher that was asked for and cannot be had, with the remedy.
    pub fn new(settings: ContainmentSettings) -> Result<Self, ContainmentError> {
        let hierarchies = Hierarchies::detect(&settings.hierarchy).map_err(ContainmentError::Detect)?;
        Self::on(settings, hierarchies)
    }

    /// The same on hierarchies that are known.
    pub(crate) fn on(
        settings: ContainmentSettings,
        hierarchies: Hierarchies,
    ) -> Result<Self, ContainmentError> {
        let mut remarks: Vec<String> = settings.isolation.remarks().collect();
        let layout = choose(&settings, &hierarchies, &mut remarks)?;
        let limits = LimitSettings {
            quota: settings.quota,
            swap: settings.swap,
            pids: settings.pids_limit.map_or_else(half_of_all_pids, |limit| limit.get()),
        };
        let disk = DiskWatch::new(settings.disk);
        let listing = Listing::default();
        let shared = Shared { settings, layout, hierarchies, limits, host: host(), disk, listing, remarks };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What was accepted and does nothing here, for the log.
    pub fn remarks(&self) -> &[String] {
        &self.shared.remarks
    }

    /// How containers are followed and killed.
    pub fn launcher(&self) -> Launcher {
        match &self.shared.layout {
            Some(layout) if layout.follows() => Launcher::Linux,
            _ => Launcher::Posix,
        }
    }

    /// How long the processes of a container may take to be gone (`--cgroups_destroy_timeout`).
    pub fn destroy_timeout(&self) -> std::time::Duration {
        self.shared.settings.destroy_timeout
    }

    /// Makes the groups of a new container, with its limits. Nothing is in them before [`Contained::enter`].
    ///
    /// # Errors
    ///
    /// A group that cannot be made or a limit that the kernel refuses; nothing is left then.
    pub fn contain(
        &self,
        id: ContainerId,
        requests: &TaskResources,
        limits: &TaskLimits,
    ) -> Result<Contained, ContainmentError> {
        let Some(layout) = &self.shared.layout else {
            return Ok(Contained::new(self.shared.clone(), id, GroupDirs::default()));
        };
        let name = id.to_string();
        let dirs = layout.dirs(&name);
        let made = layout.make(&name).and_then(|_| {
            let version_of = |controller| dirs.of(controller).map(|dir| dir.version);
            dirs.iter().for_each(|dir| self.mark(&dir.path));
            dirs.apply(&writes(version_of, requests, limits, self.shared.limits, MemoryNow::Fresh))
        });
        if let Err(source) = made {
            if let Err(error) = dirs.remove() {
                tracing::warn!(container_id = %id, error = containerizer::chain(&error), "a control group is left behind");
            }
            return Err(ContainmentError::Contain { id, source });
        }
        Ok(Contained::new(self.shared.clone(), id, dirs))
    }

    /// Says on a group whose it is. Without the mark the agent still knows its own by the run's checkpoint.
    fn mark(&self, group: &std::path::Path) {
        if let Err(error) = set_mark(group, &self.shared.settings.work_dir) {
            tracing::debug!(group = %group.display(), %error, "a control group cannot be marked");
        }
    }

    /// The container of an earlier run of the agent. `recorded` are the groups that it was given then; flags may have
    /// changed since.
    pub fn adopt(&self, id: ContainerId, recorded: Option<GroupDirs>) -> Contained {
        let recorded = recorded.filter(|dirs| !dirs.is_none());
        let dirs = recorded.unwrap_or_else(|| self.every_group(&id.to_string())).existing();
        if let Err(error) = dirs.thaw() {
            tracing::warn!(container_id = %id, error = containerizer::chain(&error), "a container may be frozen");
        }
        Contained::new(self.shared.clone(), id, dirs)
    }

    /// The container of a stock agent: the groups of its process that are named after it, as its linux launcher and
    /// isolators make them.
    pub fn adopt_foreign(&self, id: ContainerId, pid: u32) -> Contained {
        let name = id.to_string();
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let membership = Membership::parse(&text);
        let is_in = |dir: &GroupDir| {
            membership.iter().any(|(_, group)| {
                group.rsplit('/').next() == Some(&name) && dir.path.ends_with(group.trim_start_matches('/'))
            })
        };
        let dirs = self.every_group(&name).iter().filter(|dir| is_in(dir)).cloned().collect();
        Contained::new(self.shared.clone(), id, GroupDirs::new(dirs))
    }

    /// The groups of this name below `--cgroups_root` in every hierarchy, also those that are not used now. The one that
    /// follows processes comes first.
    pub(super) fn every_group(&self, name: &str) -> GroupDirs {
        let hierarchies = &self.shared.hierarchies;
        let everything = Wanted {
            follow: hierarchies.unified().is_some(),
            required: BTreeSet::new(),
            optional: Controller::ALL.into_iter().collect(),
        };
        let root = &self.shared.settings.root;
        let layout = Layout::choose(hierarchies, root, &everything);
        let dirs = layout.map(|layout| layout.dirs(name)).unwrap_or_default().existing();
        dirs.freezer_first()
    }

    /// The files into which the id of a supervising parent is written, so that it is no part of the agent's unit or
    /// container and is not killed with it.
    ///
    /// # Errors
    ///
    /// A group that cannot be made.
    pub fn supervisor_procs(&self) -> Result<Vec<PathBuf>, CgroupsError> {
        match (&self.shared.layout, self.shared.settings.systemd) {
            (Some(layout), SystemdGroups::Own) if layout.follows() => layout.supervisors(),
            _ => Ok(Vec::new()),
        }
    }
}

/// The groups that containers get; `None` where they get none.
fn choose(
    settings: &ContainmentSettings,
    hierarchies: &Hierarchies,
    remarks: &mut Vec<String>,
) -> Result<Option<Layout>, ContainmentError> {
    let required = required(settings);
    let follow = settings.launcher != Some(Launcher::Posix);
    let mut wanted = Wanted { follow, required: required.clone(), optional: BTreeSet::new() };
    if follow {
        wanted.optional.insert(Controller::Pids);
        if settings.systemd == SystemdGroups::Own {
            wanted.optional.insert(Controller::Systemd);
        }
    }
    if wanted == Wanted::default() {
        return Ok(None);
    }
    // The flag that insists, and how to do without it.
    let insists = match (required.is_empty(), settings.launcher) {
        (false, _) => Some(("--isolation", "write --isolation=posix/cpu,posix/mem")),
        (true, Some(Launcher::Linux)) => Some(("--launcher=linux", "write --launcher=posix")),
        (true, _) => None,
    };
    let without = |why: String, remarks: &mut Vec<String>| {
        remarks.push(format!(
            "tasks without an image are followed as trees of processes, as with --launcher=posix: {why}"
        ));
        Ok(None)
    };
    let layout = match Layout::choose(hierarchies, &settings.root, &wanted) {
        Ok(layout) => Ok(layout),
        // Isolators work without the group that follows processes, unless it was asked for.
        Err(Controller::Freezer) if settings.launcher.is_none() && !required.is_empty() => {
            Layout::choose(hierarchies, &settings.root, &Wanted { follow: false, ..wanted.clone() })
        }
        Err(controller) => Err(controller),
    };
    let mut layout = match (layout, insists) {
        (Ok(layout), _) => layout,
        (Err(controller), Some((flag, without))) => {
            let flag = if controller == Controller::Freezer { "--launcher=linux" } else { flag };
            let hierarchy = settings.hierarchy.clone();
            return Err(ContainmentError::NotMounted {
                flag,
                controller: controller.name(),
                hierarchy,
                without,
            });
        }
        (Err(_), None) => {
            let why = format!("no control groups are mounted below {}", settings.hierarchy.display());
            return without(why, remarks);
        }
    };
    let optional: BTreeSet<_> = wanted.optional.difference(&required).copied().collect();
    let established = layout.establish().or_else(|error| {
        // Where controllers are not handed down, as below a unit of systemd, processes can be followed still.
        layout.drop_controllers(&optional);
        layout.establish().map(|()| {
            let why = containerizer::chain(&error);
            remarks.push(format!("the number of processes of tasks without an image is not limited: {why}"));
        })
    });
    match (established, insists) {
        (Ok(()), _) => Ok(Some(layout)),
        (Err(source), Some((flag, without))) => Err(ContainmentError::Forbidden { flag, without, source }),
        (Err(error), None) => without(containerizer::chain(&error), remarks),
    }
}

/// The controllers that the isolators need.
fn required(settings: &ContainmentSettings) -> BTreeSet<Controller> {
    let needs: [(Isolator, &[Controller]); 3] = [
        (Isolator::CgroupsCpu, &[Controller::Cpu, Controller::Cpuacct]),
        (Isolator::CgroupsMem, &[Controller::Memory]),
        (Isolator::CgroupsPids, &[Controller::Pids]),
    ];
    let named = needs.iter().filter(|(isolator, _)| settings.isolation.has(*isolator));
    named.flat_map(|(_, controllers)| controllers.iter().copied()).collect()
}

/// Half of the processes and threads that the kernel has for all.
fn half_of_all_pids() -> u64 {
    let limits = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    let least = limits.iter().filter_map(|path| containerizer::cgroups::count(path.as_ref())).min();
    least.map_or(SOME_PIDS, |most| (most / 2).max(1))
}

/// The machine's own amounts.
#[expect(
    clippy::cast_precision_loss,
    reason = "no machine has so many CPUs that a double could not count them"
)]
fn host() -> Host {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let kilobytes: u64 = total.and_then(|number| number.parse().ok()).unwrap_or(0);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Host { cpus: cpus as f64, memory: kilobytes * 1024 }
}
