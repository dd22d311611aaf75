//! Which groups a container gets, and the groups above them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use containerizer::cgroups::Version;

use rustix::fs::{Access, access};

use super::dirs::{GroupDir, GroupDirs, write_file};
use super::error::CgroupsError;
use super::hierarchies::{Controller, Hierarchies};

/// The group beside those of containers, for the processes that supervise them.
const SUPERVISORS: &str = "supervisors";

/// What a container is to be put under.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Whether its processes are followed, to kill all of them.
    pub(crate) follow: bool,
    /// Controllers without which it must not run.
    pub(crate) required: BTreeSet<Controller>,
    /// Controllers that are used where they are there.
    pub(crate) optional: BTreeSet<Controller>,
}

/// The groups that containers get, one for each hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    root: PathBuf,
    follows: bool,
    places: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    version: Version,
    mount: PathBuf,
    controllers: BTreeSet<Controller>,
}

impl Layout {
    /// Chooses hierarchies; `root` is relative (`--cgroups_root`). The one that follows processes comes first.
    ///
    /// # Errors
    ///
    /// The controller that is required and in no hierarchy; [`Controller::Freezer`] if nothing can follow processes.
    pub(crate) fn choose(
        hierarchies: &Hierarchies,
        root: &Path,
        wanted: &Wanted,
    ) -> Result<Self, Controller> {
        let mut layout = Self { root: root.to_owned(), follows: wanted.follow, places: Vec::new() };
        if wanted.follow {
            let (version, mount) = match (hierarchies.unified(), hierarchies.of(Controller::Freezer)) {
                (Some(unified), _) => (Version::V2, unified),
                (None, Some(freezer)) => freezer,
                (None, None) => return Err(Controller::Freezer),
            };
            let place = layout.place(version, mount);
            if version == Version::V1 {
                place.controllers.insert(Controller::Freezer);
            }
        }
        for controller in &wanted.required {
            let (version, mount) = hierarchies.of(*controller).ok_or(*controller)?;
            layout.place(version, mount).controllers.insert(*controller);
        }
        for controller in &wanted.optional {
            if let Some((version, mount)) = hierarchies.of(*controller) {
                layout.place(version, mount).controllers.insert(*controller);
            }
        }
        Ok(layout)
    }

    fn place(&mut self, version: Version, mount: &Path) -> &mut Place {
        let at = self.places.iter().position(|place| place.mount == mount).unwrap_or_else(|| {
            self.places.push(Place { version, mount: mount.to_owned(), controllers: BTreeSet::new() });
            self.places.len() - 1
        });
        &mut self.places[at]
    }

    /// Whether the first group of a container follows its processes.
    pub(crate) fn follows(&self) -> bool {
        self.follows
    }

    /// Makes the groups above those of containers, and hands the controllers down to them.
    ///
    /// # Errors
    ///
    /// Control groups that cannot be changed.
    pub(crate) fn establish(&self) -> Result<(), CgroupsError> {
        for place in &self.places {
            let mut group = place.mount.clone();
            place.hand_down(&group)?;
            for part in &self.root {
                group.push(part);
                make(&group)?;
                place.hand_down(&group)?;
            }
        }
        Ok(())
    }

    /// Takes back an optional controller that could not be handed down.
    pub(crate) fn drop_controllers(&mut self, dropped: &BTreeSet<Controller>) {
        for place in &mut self.places {
            place.controllers.retain(|controller| !dropped.contains(controller));
        }
    }

    /// Makes the groups of a container.
    ///
    /// # Errors
    ///
    /// A group that cannot be made; those before it are left to the caller to remove.
    pub(crate) fn make(&self, name: &str) -> Result<GroupDirs, CgroupsError> {
        let dirs = self.dirs(name);
        dirs.iter().try_for_each(|dir| make(&dir.path))?;
        Ok(dirs)
    }

    /// The groups of a container, whether they are there or not.
    pub(crate) fn dirs(&self, name: &str) -> GroupDirs {
        let dir = |place: &Place| GroupDir {
            path: place.mount.join(&self.root).join(name),
            version: place.version,
            controllers: place.controllers.clone(),
        };
        GroupDirs::new(self.places.iter().map(dir).collect())
    }

    /// The groups of the processes that supervise containers, made where they are not there. They limit nothing: they
    /// keep these processes out of the unit or container of the agent, with which they would be killed.
    ///
    /// # Errors
    ///
    /// A group that cannot be made.
    pub(crate) fn supervisors(&self) -> Result<Vec<PathBuf>, CgroupsError> {
        let belongs =
            |place: &&Place| place.version == Version::V2 || place.controllers.contains(&Controller::Systemd);
        self.places
            .iter()
            .filter(belongs)
            .map(|place| {
                let group = place.mount.join(&self.root).join(SUPERVISORS);
                make(&group)?;
                Ok(group.join("cgroup.procs"))
            })
            .collect()
    }
}

impl Place {
    /// Lets the children of a v2 group have the controllers.
    fn hand_down(&self, group: &Path) -> Result<(), CgroupsError> {
        if self.version == Version::V1 {
            return Ok(());
        }
        let file = group.join("cgroup.subtree_control");
        let has = fs::read_to_string(&file).map_err(CgroupsError::of("read", &file))?;
        // CPU time is counted and processes are stopped without a controller.
        let named = |controller: &&Controller| {
            matches!(controller, Controller::Cpu | Controller::Memory | Controller::Pids)
        };
        for controller in self.controllers.iter().filter(named) {
            if has.split_whitespace().all(|name| name != controller.name()) {
                write_file(&file, &format!("+{}", controller.name()))?;
            }
        }
        Ok(())
    }
}

fn make(group: &Path) -> Result<(), CgroupsError> {
    match fs::create_dir(group) {
        // One that is there from an earlier start says nothing about what this process may do.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let may = access(group, Access::WRITE_OK | Access::EXEC_OK).map_err(Into::into);
            may.map_err(CgroupsError::of("change the control group", group))
        }
        result => result.map_err(CgroupsError::of("create the control group", group)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hierarchies::tests::{v1_machine, v2_machine};
    use super::*;

    fn wanted(required: &[Controller]) -> Wanted {
        Wanted {
            follow: true,
            required: required.iter().copied().collect(),
            optional: [Controller::Pids, Controller::Systemd].into(),
        }
    }

    #[test]
    fn v1_gets_a_group_for_each_hierarchy_and_the_freezer_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let machine = v1_machine(root.path());
        let wanted = wanted(&[Controller::Cpu, Controller::Cpuacct, Controller::Memory]);
        let layout = Layout::choose(&machine, Path::new("mesos"), &wanted).unwrap();
        layout.establish().unwrap();
        let dirs = layout.make("c").unwrap();
        let below: Vec<_> =
            dirs.iter().map(|dir| dir.path.strip_prefix(root.path()).unwrap().to_owned()).collect();
        let expected = ["freezer", "cpu,cpuacct", "memory", "pids", "systemd"];
        assert_eq!(below, expected.map(|name| Path::new(name).join("mesos/c")));
        assert!(dirs.iter().all(|dir| dir.path.is_dir()));
        assert_eq!(layout.make("c").unwrap(), dirs, "a second time changes nothing");
        let supervisors = layout.supervisors().unwrap();
        assert_eq!(supervisors, [root.path().join("systemd/mesos/supervisors/cgroup.procs")]);
    }

    #[test]
    fn v2_gets_one_group_and_the_controllers_are_handed_down() {
        let root = tempfile::tempdir().unwrap();
        let machine = v2_machine(root.path());
        // The kernel makes this file with its directory.
        let above = root.path().join("cloud/mesos");
        fs::create_dir_all(&above).unwrap();
        for group in [root.path().join("cloud"), above.clone()] {
            fs::write(group.join("cgroup.subtree_control"), "pids\n").unwrap();
        }
        let wanted = wanted(&[Controller::Memory]);
        let layout = Layout::choose(&machine, Path::new("cloud/mesos"), &wanted).unwrap();
        layout.establish().unwrap();
        for group in [root.path().to_owned(), root.path().join("cloud"), above.clone()] {
            let text = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap();
            assert!(text.starts_with('+') || text.contains("+memory"), "{}: {text}", group.display());
        }
        let dirs = layout.make("c").unwrap();
        assert_eq!(dirs.iter().map(|dir| &dir.path).collect::<Vec<_>>(), [&above.join("c")]);
        assert_eq!(layout.supervisors().unwrap(), [above.join("supervisors/cgroup.procs")]);
    }

    #[test]
    fn what_is_required_and_not_there_is_named() {
        let none = Hierarchies::default();
        let choose = |wanted: &Wanted| Layout::choose(&none, Path::new("mesos"), wanted).unwrap_err();
        assert_eq!(choose(&wanted(&[])), Controller::Freezer);
        let required = [Controller::Memory].into();
        assert_eq!(choose(&Wanted { required, ..Wanted::default() }), Controller::Memory);
    }

    #[test]
    fn control_groups_that_cannot_be_made_are_told_with_their_path() {
        let root = tempfile::tempdir().unwrap();
        let machine = v1_machine(root.path());
        fs::remove_dir(root.path().join("pids")).unwrap();
        let layout = Layout::choose(&machine, Path::new("mesos"), &wanted(&[])).unwrap();
        let error = layout.establish().unwrap_err();
        assert!(error.to_string().contains("pids/mesos"), "{error}");
    }
}
