//! The flags about how tasks without an image are isolated.

use std::num::NonZeroU64;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use mesos_types::{Isolation, Launcher};

use super::settings::Containerizer;
use super::texts::Texts;
use crate::error::FlagError;
use crate::values::{parse_bool, quote};

/// How tasks without an image are isolated. [`crate::agent::agent_flags`] says what each means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainmentFlags {
    /// `--isolation`; where `--containerizers` has no `mesos`, the default whatever the flag says.
    pub isolation: Isolation,
    /// `--launcher`; `None` is linux where it works, else posix.
    pub launcher: Option<Launcher>,
    /// `--cgroups_hierarchy`; absolute.
    pub cgroups_hierarchy: PathBuf,
    /// `--cgroups_root`; relative, with a name in it and no `..`.
    pub cgroups_root: PathBuf,
    /// `--cgroups_limit_swap`.
    pub cgroups_limit_swap: bool,
    /// `--cgroups_cpu_enable_pids_and_tids_count`.
    pub cgroups_count_threads: bool,
    /// `--cgroups_destroy_timeout`.
    pub cgroups_destroy_timeout: Duration,
    /// `--cgroups_pids_limit`; `None` is half of what the kernel has for all.
    pub cgroups_pids_limit: Option<NonZeroU64>,
    /// `--systemd_enable_support`.
    pub systemd_enable_support: bool,
    /// `--container_disk_watch_interval`, longer than 0.
    pub container_disk_watch_interval: Duration,
    /// `--enforce_container_disk_quota`.
    pub enforce_container_disk_quota: bool,
}

/// Flags that close what tasks without an image leave open here, and why the start is refused with them.
const CLOSED: [(&str, &str); 2] =
    [("disallow_sharing_agent_pid_namespace", SHARED), ("disallow_sharing_agent_ipc_namespace", SHARED)];

const SHARED: &str = "tasks without an image share the namespaces of the agent here; write --containerizers=docker to run none, or remove the flag";

impl Default for ContainmentFlags {
    /// What the flags say where none is given, for programs that have none of them.
    fn default() -> Self {
        Self {
            isolation: Isolation::default(),
            launcher: None,
            cgroups_hierarchy: "/sys/fs/cgroup".into(),
            cgroups_root: "mesos".into(),
            cgroups_limit_swap: false,
            cgroups_count_threads: false,
            cgroups_destroy_timeout: Duration::from_secs(60),
            cgroups_pids_limit: None,
            systemd_enable_support: true,
            container_disk_watch_interval: Duration::from_secs(15),
            enforce_container_disk_quota: false,
        }
    }
}

impl ContainmentFlags {
    pub(super) fn from_texts(texts: &Texts, containerizers: &[Containerizer]) -> Result<Self, FlagError> {
        let runs_plain = containerizers.contains(&Containerizer::Mesos);
        for (name, reason) in CLOSED {
            if runs_plain && texts.required(name, parse_bool)? {
                return Err(FlagError::Refused { name, reason });
            }
        }
        // Without these tasks the flag means nothing, and names that are not done here are no reason to stop.
        let isolation = match runs_plain {
            true => texts.required("isolation", Isolation::parse)?,
            false => Isolation::default(),
        };
        Ok(Self {
            isolation,
            launcher: texts.optional("launcher", launcher)?,
            cgroups_hierarchy: texts.required("cgroups_hierarchy", hierarchy)?,
            cgroups_root: texts.required("cgroups_root", root)?,
            cgroups_limit_swap: texts.required("cgroups_limit_swap", parse_bool)?,
            cgroups_count_threads: texts.required("cgroups_cpu_enable_pids_and_tids_count", parse_bool)?,
            cgroups_destroy_timeout: texts.required("cgroups_destroy_timeout", crate::docker::deadline)?,
            cgroups_pids_limit: texts.optional("cgroups_pids_limit", pids)?,
            systemd_enable_support: texts.required("systemd_enable_support", parse_bool)?,
            container_disk_watch_interval: texts
                .required("container_disk_watch_interval", crate::docker::deadline)?,
            enforce_container_disk_quota: texts.required("enforce_container_disk_quota", parse_bool)?,
        })
    }
}

fn launcher(text: &str) -> Result<Launcher, String> {
    match text {
        "posix" => Ok(Launcher::Posix),
        "linux" => Ok(Launcher::Linux),
        _ => Err(format!("{} is neither posix nor linux", quote(text))),
    }
}

fn hierarchy(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() { Ok(path.to_owned()) } else { Err(format!("{} is no absolute path", quote(text))) }
}

/// A slash before it is left out, as stock's join of paths does.
fn root(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text.trim_matches('/'));
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain && path.components().next().is_some() {
        Ok(path.to_owned())
    } else {
        Err(format!("{} is no name of a control group: write a name such as mesos", quote(text)))
    }
}

fn pids(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| format!("{} is no number of processes from 1", quote(text)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesos_types::Isolator;

    use super::*;

    const BOTH: &[Containerizer] = &[Containerizer::Docker, Containerizer::Mesos];

    fn load(pairs: &[(&'static str, &str)]) -> Result<ContainmentFlags, FlagError> {
        let texts: BTreeMap<_, _> = pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        ContainmentFlags::from_texts(&Texts::new(texts), BOTH)
    }

    #[test]
    fn the_defaults_are_those_of_mesos() {
        let isolation = Isolation::parse("posix/cpu,posix/mem").unwrap();
        assert_eq!(load(&[]).unwrap(), ContainmentFlags { isolation, ..ContainmentFlags::default() });
    }

    #[test]
    fn every_flag_is_read() {
        let found = load(&[
            ("isolation", "cgroups/mem,disk/du"),
            ("launcher", "linux"),
            ("cgroups_hierarchy", "/host/cgroup"),
            ("cgroups_root", "/cloud/mesos/"),
            ("cgroups_limit_swap", "true"),
            ("cgroups_cpu_enable_pids_and_tids_count", "true"),
            ("cgroups_destroy_timeout", "5secs"),
            ("cgroups_pids_limit", "4096"),
            ("systemd_enable_support", "false"),
            ("container_disk_watch_interval", "1mins"),
            ("enforce_container_disk_quota", "true"),
        ])
        .unwrap();
        assert!(found.isolation.has(Isolator::CgroupsMem) && found.isolation.has(Isolator::DiskDu));
        let expected = ContainmentFlags {
            isolation: found.isolation.clone(),
            launcher: Some(Launcher::Linux),
            cgroups_hierarchy: "/host/cgroup".into(),
            cgroups_root: "cloud/mesos".into(),
            cgroups_limit_swap: true,
            cgroups_count_threads: true,
            cgroups_destroy_timeout: Duration::from_secs(5),
            cgroups_pids_limit: NonZeroU64::new(4096),
            systemd_enable_support: false,
            container_disk_watch_interval: Duration::from_secs(60),
            enforce_container_disk_quota: true,
        };
        assert_eq!(found, expected);
    }

    #[rstest::rstest]
    #[case("isolation", "filesystem/linux", "write filesystem/posix")]
    #[case("isolation", "cgroups/memory", "there is no such isolator")]
    #[case("launcher", "windows", "neither posix nor linux")]
    #[case("cgroups_hierarchy", "cgroup", "no absolute path")]
    #[case("cgroups_root", "../mesos", "no name of a control group")]
    #[case("cgroups_root", "/", "no name of a control group")]
    #[case("cgroups_pids_limit", "0", "no number of processes")]
    #[case("container_disk_watch_interval", "0secs", "")]
    #[case("disallow_sharing_agent_pid_namespace", "true", "write --containerizers=docker")]
    fn a_value_that_cannot_be_is_refused_by_the_flags_name(
        #[case] name: &'static str,
        #[case] value: &str,
        #[case] why: &str,
    ) {
        let error = load(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(why), "{error}");
    }

    #[test]
    fn isolators_are_not_asked_for_by_an_agent_that_runs_docker_tasks_alone() {
        let texts = BTreeMap::from([("isolation", "filesystem/linux,docker/runtime".to_owned())]);
        let found = ContainmentFlags::from_texts(&Texts::new(texts), &[Containerizer::Docker]).unwrap();
        assert_eq!(found, ContainmentFlags::default());
    }
}
