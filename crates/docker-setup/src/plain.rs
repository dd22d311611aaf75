//! The Mesos containerizer's settings: how tasks without an image are isolated.

use std::path::Path;

use containerizer::LogSettings;
use containerizer::cgroups::CpuQuota;
use fetcher::agent::Fetcher;
use flags::DockerSettings;
use flags::agent::ContainmentFlags;
use mesos_containerizer::Settings;
use mesos_containerizer::isolation::{
    Containment, ContainmentError, ContainmentSettings, DiskSettings, Enforcement, Swap, SystemdGroups,
};

use crate::containerizer::{absolute, rotation};

/// How tasks without an image are isolated on this machine, below a canonical `work_dir`. Makes the control groups above
/// those of containers; blocks on the file system.
///
/// # Errors
///
/// An isolator or launcher that was asked for and cannot be had.
pub fn containment(
    flags: &ContainmentFlags,
    docker: &DockerSettings,
    work_dir: &Path,
) -> Result<Containment, ContainmentError> {
    let containment = Containment::new(containment_settings(flags, docker, work_dir))?;
    for remark in containment.remarks() {
        tracing::info!("{remark}");
    }
    Ok(containment)
}

/// The settings of a Mesos containerizer that isolates like this. `fetcher` is the one that the other containerizer has,
/// if there is one: a cache has one owner.
pub fn plain_settings(
    docker: &DockerSettings,
    containment: Containment,
    fetcher: Fetcher,
    work_dir: &Path,
) -> Settings {
    Settings {
        containment,
        logs: LogSettings { rotation: rotation(docker) },
        drain_deadline: docker.logs.drain,
        fetcher,
        launcher_dir: docker.fetch.launcher_dir.as_deref().map(absolute),
        work_dir: work_dir.to_owned(),
    }
}

fn containment_settings(
    flags: &ContainmentFlags,
    docker: &DockerSettings,
    work_dir: &Path,
) -> ContainmentSettings {
    ContainmentSettings {
        isolation: flags.isolation.clone(),
        launcher: flags.launcher,
        hierarchy: flags.cgroups_hierarchy.clone(),
        root: flags.cgroups_root.clone(),
        quota: if docker.cgroups_enable_cfs { CpuQuota::FromRequest } else { CpuQuota::FromLimit },
        swap: if flags.cgroups_limit_swap { Swap::Limited } else { Swap::Free },
        pids_limit: flags.cgroups_pids_limit,
        count_threads: flags.cgroups_count_threads,
        systemd: if flags.systemd_enable_support { SystemdGroups::Own } else { SystemdGroups::Agents },
        destroy_timeout: flags.cgroups_destroy_timeout,
        work_dir: work_dir.to_owned(),
        disk: DiskSettings {
            interval: flags.container_disk_watch_interval,
            enforcement: match flags.enforce_container_disk_quota {
                true => Enforcement::Destroy,
                false => Enforcement::Report,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_reach_the_isolation() {
        let flags = ContainmentFlags {
            cgroups_root: "mine".into(),
            cgroups_limit_swap: true,
            enforce_container_disk_quota: true,
            systemd_enable_support: false,
            ..ContainmentFlags::default()
        };
        let docker = DockerSettings::from_pairs([("cgroups_enable_cfs", "true")]).unwrap().settings;
        let made = containment_settings(&flags, &docker, Path::new("/work"));
        assert_eq!((made.root.as_path(), made.work_dir.as_path()), (Path::new("mine"), Path::new("/work")));
        assert_eq!((made.swap, made.quota), (Swap::Limited, CpuQuota::FromRequest));
        assert_eq!(made.disk.enforcement, Enforcement::Destroy);
        assert_eq!(made.systemd, SystemdGroups::Agents);
    }
}
