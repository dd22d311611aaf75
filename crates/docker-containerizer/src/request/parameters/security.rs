//! Capabilities, namespaces and security options.

use docker_engine::CreateBody;
use mesos_types::{FieldError, Notice};

use super::draft::Draft;
use super::error::{Bad, conflict, quote};
use super::files::{self, Use};

/// Prefixes of the kernel settings that a container has of its own, as the client lists them.
const OWN_SYSCTLS: [&str; 2] = ["net.", "fs.mqueue."];

/// Further kernel settings that a container has of its own.
const OWN_KERNEL_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// What the task's `linux_info` asked for, which parameters come after.
#[derive(Debug)]
pub(super) struct Asked {
    /// The only capabilities, without `CAP_`.
    capabilities: Option<Vec<String>>,
    /// Whether it has a word on the IPC namespace or on the size of `/dev/shm`.
    shares_memory: bool,
}

impl Asked {
    /// Takes the capabilities out of a request, so that `cap-add` and `cap-drop` begin with empty lists as the
    /// client's do.
    pub(super) fn take(body: &mut CreateBody) -> Self {
        let host = &mut body.host_config;
        let is_set = !std::mem::take(&mut host.cap_drop).is_empty();
        let capabilities = is_set.then(|| std::mem::take(&mut host.cap_add));
        Self { capabilities, shares_memory: host.shm_size.is_some() || !host.ipc_mode.is_empty() }
    }
}

/// Puts what `linux_info` asked for and what parameters say of it together.
///
/// Its capabilities are where `cap-add` adds and `cap-drop` takes away; a name in both parameters is added, as by the
/// engine.
///
/// # Errors
///
/// A privileged container, which has all capabilities, beside such ones.
pub(super) fn finish(draft: &mut Draft<'_>, asked: Asked) -> Result<(), FieldError> {
    let host = &mut draft.body.host_config;
    if let Some(mut capabilities) = asked.capabilities {
        if host.privileged {
            return Err(conflict(
                "privileged gives all capabilities, and container.linux_info allows only some",
            ));
        }
        let has = |list: &[String], name: &str| list.iter().any(|one| one.strip_prefix("CAP_") == Some(name));
        let drops_all = host.cap_drop.iter().any(|name| name == "ALL");
        capabilities.retain(|name| !drops_all && !has(&host.cap_drop, name) && !has(&host.cap_add, name));
        capabilities.append(&mut host.cap_add);
        host.cap_add = capabilities;
        if !drops_all {
            // The engine adds to what is left when all are dropped.
            host.cap_drop.insert(0, "ALL".into());
        }
    }
    let is_anothers = host.ipc_mode == "host" || host.ipc_mode.starts_with("container:");
    if asked.shares_memory && host.shm_size.is_some() && (is_anothers || host.ipc_mode == "none") {
        let what = format!(
            "with a parameter beside it, the size of /dev/shm has no effect: with the IPC mode {} it is not the \
             container's own",
            quote(&host.ipc_mode)
        );
        draft.outcome.notices.push(Notice::new("container.linux_info", what));
    }
    Ok(())
}

/// Reads `cap-add`.
pub(super) fn cap_add(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    add_capability(&mut draft.body.host_config.cap_add, value)
}

/// Reads `cap-drop`.
pub(super) fn cap_drop(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    add_capability(&mut draft.body.host_config.cap_drop, value)
}

/// Adds a capability once, in the one spelling that the client sends: `ALL`, or upper case with `CAP_`.
fn add_capability(list: &mut Vec<String>, value: &str) -> Result<(), Bad> {
    let upper = value.trim().to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if bare.is_empty() || !bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Bad::Form);
    }
    let name = if bare == "ALL" { "ALL".to_owned() } else { format!("CAP_{bare}") };
    if !list.contains(&name) {
        list.push(name);
        list.sort_unstable();
    }
    Ok(())
}

/// Reads `pid`.
pub(super) fn pid(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    check(value, &["", "host"], Container::Allowed)?;
    value.clone_into(&mut draft.body.host_config.pid_mode);
    Ok(())
}

/// Reads `ipc`.
pub(super) fn ipc(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    check(value, &["", "none", "private", "shareable", "host"], Container::Allowed)?;
    value.clone_into(&mut draft.body.host_config.ipc_mode);
    Ok(())
}

/// Reads `uts`.
pub(super) fn uts(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    check(value, &["", "host"], Container::No)?;
    value.clone_into(&mut draft.body.host_config.uts_mode);
    Ok(())
}

/// Reads `userns`.
pub(super) fn userns(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    check(value, &["", "host"], Container::No)?;
    value.clone_into(&mut draft.body.host_config.userns_mode);
    Ok(())
}

/// Reads `cgroupns`.
pub(super) fn cgroupns(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    check(value, &["", "host", "private"], Container::No)?;
    value.clone_into(&mut draft.body.host_config.cgroupns_mode);
    Ok(())
}

/// Whether a namespace may be another container's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Allowed,
    No,
}

fn check(value: &str, modes: &[&str], container: Container) -> Result<(), Bad> {
    let other = value.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    if modes.contains(&value) || container == Container::Allowed && other { Ok(()) } else { Err(Bad::Form) }
}

/// Reads `security-opt`. `systempaths=unconfined` is the client's own word for two empty lists; a seccomp profile is a
/// file, whose content takes the place of the entry once it is read.
pub(super) fn security_opt(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    if value == "systempaths=unconfined" {
        draft.body.host_config.masked_paths = Some(Vec::new());
        draft.body.host_config.readonly_paths = Some(Vec::new());
        return Ok(());
    }
    let parts = value.split_once('=').or_else(|| value.split_once(':'));
    match parts {
        None if value != "no-new-privileges" => return Err(Bad::Form),
        Some(("seccomp", "unconfined")) | None => {}
        Some(("seccomp", "builtin")) => draft.needs("seccomp=builtin", 42)?,
        Some(("seccomp", path)) => files::anywhere(draft, path, Use::Seccomp(value.to_owned()))?,
        Some(_) => {}
    }
    draft.body.host_config.security_opt.push(value.to_owned());
    Ok(())
}

/// Reads `sysctl`: a setting that is the container's own.
pub(super) fn sysctl(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (key, setting) = value.split_once('=').ok_or(Bad::Form)?;
    let own = OWN_SYSCTLS.iter().any(|prefix| key.starts_with(prefix)) || OWN_KERNEL_SYSCTLS.contains(&key);
    if !own {
        return Err(Bad::because("it is no setting of a container's own namespaces"));
    }
    draft.body.host_config.sysctls.insert(key.to_owned(), setting.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use docker_engine::NEWEST_API;
    use mesos_types::Parameter;

    use super::super::draft::{Context, Outcome, apply};
    use super::super::tests::translated;
    use super::*;

    /// What parameters make of a request in which `linux_info` set what `set` does.
    fn beside(set: fn(&mut CreateBody), given: &[(&str, &str)]) -> Result<(CreateBody, Outcome), FieldError> {
        let parameter =
            |(key, value): &(&str, &str)| Parameter { key: (*key).into(), value: (*value).into() };
        let given: Vec<_> = given.iter().map(parameter).collect();
        let mut body = CreateBody::default();
        set(&mut body);
        let context = Context { api: NEWEST_API, sandbox: std::path::Path::new("/w/sandbox") };
        let outcome = apply(&mut body, &given, context)?;
        Ok((body, outcome))
    }

    fn two_capabilities(body: &mut CreateBody) {
        body.host_config.cap_drop = vec!["ALL".into()];
        body.host_config.cap_add = vec!["NET_RAW".into(), "CHOWN".into()];
    }

    #[rstest::rstest]
    #[case::none(&[], "NET_RAW CHOWN", "ALL")]
    #[case::one_is_dropped(&[("cap-drop", "net_raw")], "CHOWN", "ALL CAP_NET_RAW")]
    #[case::all_are_dropped(&[("cap-drop", "ALL")], "", "ALL")]
    #[case::one_is_added(&[("cap-add", "KILL")], "NET_RAW CHOWN CAP_KILL", "ALL")]
    #[case::one_is_named_again(&[("cap-add", "CHOWN")], "NET_RAW CAP_CHOWN", "ALL")]
    #[case::added_and_dropped_is_added(
        &[("cap-add", "CHOWN"), ("cap-drop", "CHOWN")], "NET_RAW CAP_CHOWN", "ALL CAP_CHOWN"
    )]
    #[case::all_but_one(
        &[("cap-add", "ALL"), ("cap-drop", "NET_RAW")], "CHOWN ALL", "ALL CAP_NET_RAW"
    )]
    #[case::not_privileged(&[("privileged", "false")], "NET_RAW CHOWN", "ALL")]
    fn a_parameter_changes_the_capabilities_of_linux_info(
        #[case] given: &[(&str, &str)],
        #[case] added: &str,
        #[case] dropped: &str,
    ) {
        let host = beside(two_capabilities, given).unwrap().0.host_config;
        assert_eq!((host.cap_add.join(" ").as_str(), host.cap_drop.join(" ").as_str()), (added, dropped));
    }

    #[test]
    fn a_privileged_container_has_no_capabilities_of_its_own() {
        let error = beside(two_capabilities, &[("privileged", "true")]).unwrap_err();
        assert_eq!(error.field(), "container.docker.parameters");
        let error = error.to_string();
        assert!(error.contains("privileged gives all") && error.contains("linux_info"), "{error}");
        assert!(beside(|_| {}, &[("privileged", "true")]).unwrap().0.host_config.privileged);
    }

    #[rstest::rstest]
    #[case::a_size_of_the_hosts(|body: &mut CreateBody| body.host_config.ipc_mode = "host".into(), ("shm-size", "1m"), true)]
    #[case::a_size_and_the_hosts(|body: &mut CreateBody| body.host_config.shm_size = Some(1), ("ipc", "host"), true)]
    #[case::a_size_and_anothers(|body: &mut CreateBody| body.host_config.shm_size = Some(1), ("ipc", "container:a"), true)]
    #[case::a_size_and_its_own(|body: &mut CreateBody| body.host_config.shm_size = Some(1), ("ipc", "private"), false)]
    #[case::a_size_of_its_own(|body: &mut CreateBody| body.host_config.ipc_mode = "private".into(), ("shm-size", "1m"), false)]
    #[case::no_size(|body: &mut CreateBody| body.host_config.ipc_mode = "private".into(), ("ipc", "host"), false)]
    #[case::nothing_of_linux_info(|_: &mut CreateBody| {}, ("shm-size", "1m"), false)]
    fn a_size_without_effect_is_said(
        #[case] set: fn(&mut CreateBody),
        #[case] given: (&str, &str),
        #[case] is_said: bool,
    ) {
        let notices = beside(set, &[given]).unwrap().1.notices;
        assert_eq!(!notices.is_empty(), is_said, "{notices:?}");
    }

    #[test]
    fn capabilities_have_one_spelling() {
        let given = [
            ("cap-add", "net_admin"),
            ("cap-add", "CAP_SYS_ADMIN"),
            ("cap-add", "all"),
            ("cap-add", "NET_ADMIN"),
        ];
        let host = translated(&given).unwrap().host_config;
        assert_eq!(host.cap_add, ["ALL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
        let host = translated(&[("cap-drop", "net_raw"), ("cap-add", "NET_RAW")]).unwrap().host_config;
        assert_eq!(
            (host.cap_add.concat(), host.cap_drop.concat()),
            ("CAP_NET_RAW".into(), "CAP_NET_RAW".into())
        );
    }

    #[test]
    fn systempaths_are_the_clients_own_word() {
        let host = translated(&[("security-opt", "systempaths=unconfined")]).unwrap().host_config;
        assert_eq!((host.masked_paths, host.readonly_paths), (Some(vec![]), Some(vec![])));
        assert!(host.security_opt.is_empty());
    }

    #[rstest::rstest]
    #[case("no-new-privileges")]
    #[case("no-new-privileges:true")]
    #[case("apparmor=unconfined")]
    #[case("label:disable")]
    #[case("seccomp=unconfined")]
    #[case("seccomp:unconfined")]
    #[case("seccomp=builtin")]
    #[case("systempaths:unconfined")]
    #[case("writable-cgroups=true")]
    fn a_security_option_is_passed_on(#[case] value: &str) {
        assert_eq!(translated(&[("security-opt", value)]).unwrap().host_config.security_opt, [value]);
    }

    #[rstest::rstest]
    #[case("security-opt", "foo")]
    #[case("security-opt", "")]
    #[case("cap-add", "")]
    #[case("cap-add", "a b")]
    #[case("cap-add", "CAP_")]
    #[case("pid", "private")]
    #[case("pid", "container:")]
    #[case("uts", "container:a")]
    #[case("userns", "private")]
    #[case("cgroupns", "container:a")]
    #[case("ipc", "foo")]
    #[case("sysctl", "kernel.domainname=x")]
    #[case("sysctl", "net.x")]
    #[case("sysctl", "=1")]
    fn what_is_no_option_of_security_is_refused(#[case] key: &str, #[case] value: &str) {
        assert!(translated(&[(key, value)]).is_err());
    }

    #[test]
    fn namespaces_are_passed_on() {
        let given = [
            ("pid", "container:a"),
            ("ipc", "container:b"),
            ("uts", "host"),
            ("userns", "host"),
            ("cgroupns", "private"),
            ("sysctl", "kernel.msgmax=5"),
            ("sysctl", "kernel.msgmax=6"),
        ];
        let host = translated(&given).unwrap().host_config;
        let modes = [host.pid_mode, host.ipc_mode, host.uts_mode, host.userns_mode, host.cgroupns_mode];
        assert_eq!(modes, ["container:a", "container:b", "host", "host", "private"]);
        assert_eq!(host.sysctls["kernel.msgmax"], "6");
    }
}
