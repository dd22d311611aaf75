//! Capabilities, namespaces and security options.

use super::draft::Draft;
use super::error::Bad;
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
    use super::super::tests::translated;

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
