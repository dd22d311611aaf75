//! What `linux_info`, `rlimit_info` and `tty_info` ask for, as far as an engine can give it.
//!
//! Stock ignores all of it for Docker. The meaning is that of the Mesos containerizer (`docs/linux_capabilities.md`,
//! `src/slave/containerizer/mesos/isolators/{linux/capabilities,namespaces/ipc,posix/rlimits}.cpp`).

use mesos_proto::v1;
use v1::capability_info::Capability;

use crate::fields::{FieldError, Notices};

/// One resource limit of the container's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// The limit's name as the engine has it: `nofile`.
    pub name: &'static str,
    /// The soft limit; -1 is none.
    pub soft: i64,
    /// The hard limit; -1 is none.
    pub hard: i64,
}

/// Whose namespace a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// One of its own.
    Private,
    /// The host's, which is that of the parent of a container at the top.
    Host,
}

/// What a container asks of Linux.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinuxSpec {
    /// The only capabilities of its processes, if it says so: kernel names without `CAP_`, each once.
    pub capabilities: Option<Vec<String>>,
    /// Whose PID namespace it has; `None` is the engine's choice.
    pub pid: Option<Sharing>,
    /// Whose IPC namespace it has; `None` is the engine's choice.
    pub ipc: Option<Sharing>,
    /// The size of its `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Whether it runs without a seccomp filter.
    pub seccomp_unconfined: bool,
}

impl LinuxSpec {
    /// Reads `linux_info` of a container.
    ///
    /// # Errors
    ///
    /// Capabilities that are none, an effective one out of bounds, capabilities of a privileged container, and a
    /// `/dev/shm` with a size that is the host's.
    pub(crate) fn from_proto(
        info: &v1::LinuxInfo,
        privileged: bool,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        use v1::linux_info::IpcMode;

        let capabilities = capabilities(info, notices)?;
        if privileged && capabilities.is_some() {
            return Err(FieldError::new(
                "container.linux_info",
                "a privileged container has all capabilities, whatever linux_info says",
            )
            .hint("remove container.docker.privileged or the capabilities"));
        }
        let ipc = match info.ipc_mode() {
            IpcMode::Unknown => None,
            IpcMode::Private => Some(Sharing::Private),
            IpcMode::ShareParent => Some(Sharing::Host),
        };
        let shm_size = info.shm_size.map(|megabytes| u64::from(megabytes) << 20);
        if shm_size.is_some() && ipc == Some(Sharing::Host) {
            return Err(FieldError::new(
                "container.linux_info.shm_size",
                "/dev/shm is the host's with the ipc_mode SHARE_PARENT, and its size is not the task's to set",
            )
            .hint("remove shm_size, or set ipc_mode to PRIVATE"));
        }
        if shm_size == Some(0) {
            return Err(FieldError::new("container.linux_info.shm_size", "a /dev/shm of 0 MB holds nothing")
                .hint("remove shm_size, or set at least 1"));
        }
        if info.share_cgroups.is_some() {
            notices
                .note("container.linux_info.share_cgroups", "a container of the engine has its own cgroup")?;
        }
        let seccomp = info.seccomp.as_ref();
        let seccomp_unconfined = seccomp.is_some_and(v1::SeccompInfo::unconfined);
        if seccomp.is_some_and(|seccomp| seccomp.profile_name.is_some()) {
            if seccomp_unconfined {
                return Err(FieldError::new(
                    "container.linux_info.seccomp",
                    "profile_name and unconfined cannot both be set",
                )
                .hint("remove one of the two"));
            }
            notices.note(
                "container.linux_info.seccomp.profile_name",
                "the engine's own profile is used; name a file with the parameter security-opt",
            )?;
        }
        Ok(Self {
            capabilities,
            pid: info.share_pid_namespace().then_some(Sharing::Host),
            ipc,
            shm_size,
            seccomp_unconfined,
        })
    }
}

/// The one set that the engine gives: the effective one, which may not be larger than the bounding one.
fn capabilities(info: &v1::LinuxInfo, notices: &mut Notices) -> Result<Option<Vec<String>>, FieldError> {
    let old = info.capability_info.as_ref();
    let (effective_field, effective) = match (&info.effective_capabilities, old) {
        (Some(_), Some(_)) => {
            return Err(FieldError::new(
                "container.linux_info.capability_info",
                "capability_info and effective_capabilities cannot both be set",
            )
            .hint("remove capability_info, the old form"));
        }
        (Some(effective), None) => ("effective_capabilities", Some(effective)),
        (None, old) => ("capability_info", old),
    };
    let effective = effective.map(|set| names(effective_field, set)).transpose()?;
    let bounding = info.bounding_capabilities.as_ref().map(|set| names("bounding_capabilities", set));
    match (effective, bounding.transpose()?) {
        (effective, None) => Ok(effective),
        (None, bounding) => Ok(bounding),
        (Some(effective), Some(bounding)) => {
            if let Some(beyond) = effective.iter().find(|name| !bounding.contains(name)) {
                return Err(FieldError::new(
                    format!("container.linux_info.{effective_field}"),
                    format!("{beyond} is effective and not in bounding_capabilities"),
                )
                .hint("add it to bounding_capabilities, or remove it"));
            }
            if effective.len() < bounding.len() {
                notices.note(
                    "container.linux_info.bounding_capabilities",
                    "the engine has one set of capabilities, and the effective one is it",
                )?;
            }
            Ok(Some(effective))
        }
    }
}

fn names(field: &str, set: &v1::CapabilityInfo) -> Result<Vec<String>, FieldError> {
    let mut names = Vec::with_capacity(set.capabilities.len());
    for &number in &set.capabilities {
        let name = match Capability::try_from(number) {
            Ok(Capability::Unknown) | Err(_) => {
                return Err(FieldError::new(
                    format!("container.linux_info.{field}.capabilities"),
                    format!("{number} is not a capability"),
                )
                .hint("use the names of the kernel, such as NET_ADMIN"));
            }
            Ok(capability) => capability.as_str_name().to_owned(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Reads `rlimit_info` of a container.
///
/// # Errors
///
/// A limit without a type, with one bound only, with a soft bound above the hard one, or given twice
/// (`src/slave/containerizer/mesos/isolators/posix/rlimits.cpp`).
pub(crate) fn rlimits(info: &v1::RLimitInfo) -> Result<Vec<Rlimit>, FieldError> {
    let mut limits: Vec<Rlimit> = Vec::with_capacity(info.rlimits.len());
    for (at, limit) in info.rlimits.iter().enumerate() {
        let field = format!("container.rlimit_info.rlimits[{at}]");
        let Some(name) = rlimit_name(limit.r#type()) else {
            return Err(FieldError::new(format!("{field}.type"), "the type of the limit is not known")
                .hint("use a name of setrlimit(2), such as RLMT_NOFILE"));
        };
        if limits.iter().any(|earlier| earlier.name == name) {
            return Err(FieldError::new(field, format!("the limit {name} is given twice"))
                .hint("remove one of the two"));
        }
        let (soft, hard) = match (limit.soft, limit.hard) {
            (None, None) => (-1, -1),
            (Some(soft), Some(hard)) if soft > hard => {
                return Err(FieldError::new(
                    format!("{field}.soft"),
                    format!("the soft limit {soft} is above the hard limit {hard}"),
                )
                .hint("lower soft, or raise hard"));
            }
            (Some(soft), Some(hard)) => (bound(soft), bound(hard)),
            (Some(_), None) | (None, Some(_)) => {
                return Err(FieldError::new(field, "a limit needs both soft and hard, or neither for none")
                    .hint("set the other bound"));
            }
        };
        limits.push(Rlimit { name, soft, hard });
    }
    Ok(limits)
}

/// A bound as the engine takes it; what is larger than it can say is no bound, as RLIM_INFINITY is.
fn bound(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(-1)
}

fn rlimit_name(kind: v1::r_limit_info::r_limit::Type) -> Option<&'static str> {
    use v1::r_limit_info::r_limit::Type;

    match kind {
        Type::Unknown => None,
        Type::RlmtAs => Some("as"),
        Type::RlmtCore => Some("core"),
        Type::RlmtCpu => Some("cpu"),
        Type::RlmtData => Some("data"),
        Type::RlmtFsize => Some("fsize"),
        Type::RlmtLocks => Some("locks"),
        Type::RlmtMemlock => Some("memlock"),
        Type::RlmtMsgqueue => Some("msgqueue"),
        Type::RlmtNice => Some("nice"),
        Type::RlmtNofile => Some("nofile"),
        Type::RlmtNproc => Some("nproc"),
        Type::RlmtRss => Some("rss"),
        Type::RlmtRtprio => Some("rtprio"),
        Type::RlmtRttime => Some("rttime"),
        Type::RlmtSigpending => Some("sigpending"),
        Type::RlmtStack => Some("stack"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Strictness;
    use v1::linux_info::IpcMode;
    use v1::r_limit_info::RLimit;
    use v1::r_limit_info::r_limit::Type;

    fn read(info: &v1::LinuxInfo, privileged: bool) -> Result<(LinuxSpec, usize), FieldError> {
        let mut notices = Notices::new(Strictness::Lenient);
        let spec = LinuxSpec::from_proto(info, privileged, &mut notices)?;
        Ok((spec, notices.into_list().len()))
    }

    fn set(list: &[Capability]) -> Option<v1::CapabilityInfo> {
        Some(v1::CapabilityInfo { capabilities: list.iter().map(|&one| one.into()).collect() })
    }

    #[rstest::rstest]
    #[case::effective(set(&[Capability::Kill, Capability::Kill]), None, Some((&["KILL"][..], 0)))]
    #[case::bounding(None, set(&[Capability::NetAdmin]), Some((&["NET_ADMIN"][..], 0)))]
    #[case::none_at_all(set(&[]), None, Some((&[][..], 0)))]
    #[case::the_same(set(&[Capability::Kill]), set(&[Capability::Kill]), Some((&["KILL"][..], 0)))]
    #[case::the_smaller_is_noted(set(&[Capability::Kill]), set(&[Capability::Kill, Capability::Chown]), Some((&["KILL"][..], 1)))]
    #[case::out_of_bounds(set(&[Capability::Kill]), set(&[Capability::Chown]), None)]
    #[case::unknown(set(&[Capability::Unknown]), None, None)]
    #[case::no_number(Some(v1::CapabilityInfo { capabilities: vec![7] }), None, None)]
    fn the_engine_gets_one_set_of_capabilities(
        #[case] effective: Option<v1::CapabilityInfo>,
        #[case] bounding: Option<v1::CapabilityInfo>,
        #[case] expected: Option<(&[&str], usize)>,
    ) {
        let info = v1::LinuxInfo {
            effective_capabilities: effective,
            bounding_capabilities: bounding,
            ..Default::default()
        };
        let read = read(&info, false).ok().map(|(spec, notices)| (spec.capabilities.unwrap(), notices));
        let expected =
            expected.map(|(names, notices)| (names.iter().map(|&n| n.to_owned()).collect(), notices));
        assert_eq!(read, expected);
    }

    #[test]
    fn capabilities_of_a_privileged_container_are_refused() {
        let info = v1::LinuxInfo { effective_capabilities: set(&[Capability::Kill]), ..Default::default() };
        assert_eq!(read(&info, true).unwrap_err().field(), "container.linux_info");
    }

    #[rstest::rstest]
    #[case(Some(IpcMode::Private), Some(8), Some((Some(Sharing::Private), Some(8 << 20))))]
    #[case(None, Some(8), Some((None, Some(8 << 20))))]
    #[case(Some(IpcMode::ShareParent), None, Some((Some(Sharing::Host), None)))]
    #[case(Some(IpcMode::ShareParent), Some(8), None)]
    #[case(None, Some(0), None)]
    fn shared_memory_has_a_size_where_it_is_the_tasks(
        #[case] mode: Option<IpcMode>,
        #[case] shm_size: Option<u32>,
        #[case] expected: Option<(Option<Sharing>, Option<u64>)>,
    ) {
        let info = v1::LinuxInfo { ipc_mode: mode.map(Into::into), shm_size, ..Default::default() };
        assert_eq!(read(&info, false).ok().map(|(spec, _)| (spec.ipc, spec.shm_size)), expected);
    }

    #[rstest::rstest]
    #[case(None, None, Some((-1, -1)))]
    #[case(Some(1), Some(2), Some((1, 2)))]
    #[case(Some(1), Some(u64::MAX), Some((1, -1)))]
    #[case(Some(3), Some(2), None)]
    #[case(Some(3), None, None)]
    #[case(None, Some(3), None)]
    fn a_limit_has_both_bounds_or_none(
        #[case] soft: Option<u64>,
        #[case] hard: Option<u64>,
        #[case] expected: Option<(i64, i64)>,
    ) {
        let limit = RLimit { r#type: Some(Type::RlmtNofile.into()), soft, hard };
        let read = rlimits(&v1::RLimitInfo { rlimits: vec![limit] });
        assert_eq!(read.ok().map(|list| (list[0].soft, list[0].hard)), expected);
    }

    #[test]
    fn a_limit_needs_a_type_and_is_given_once() {
        let limit = |kind: Option<Type>| RLimit { r#type: kind.map(Into::into), ..Default::default() };
        assert!(rlimits(&v1::RLimitInfo { rlimits: vec![limit(None)] }).is_err());
        let twice = vec![limit(Some(Type::RlmtCpu)), limit(Some(Type::RlmtCpu))];
        assert!(rlimits(&v1::RLimitInfo { rlimits: twice }).is_err());
    }
}
