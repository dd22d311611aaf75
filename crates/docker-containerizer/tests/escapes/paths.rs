//! Host paths that a policy file allows: which paths below them, and what others could change of them.

use std::os::unix::fs::symlink;
use std::path::Path;

use docker_containerizer::policy::{Policy, Rule, load};
use docker_containerizer::request::MountPoint;
use mesos_proto::v1;

use crate::host::{Host, container, with};

#[test]
fn what_a_file_allows_is_mounted_by_its_real_path() {
    let host = Host::new();
    let data = host.path("srv/data");
    symlink(&data, host.path("srv/link")).unwrap();
    let colon = host.path("srv/data/a:b");
    std::fs::create_dir(&colon).unwrap();
    // What tasks write to is mounted alone; what they read, with all below it.
    let policy = || {
        host.policy(&format!(
            "preset = \"strict\"\nhost_paths = [\"{data}:ro\", {colon:?}]\ndevices = [\"/dev/null\"]"
        ))
    };
    let link = host.path("srv/link");
    let mut info = with(&[
        ("volume", &format!("{link}:/a:ro,rslave")),
        ("volume", &format!("{link}/missing/dir:/b:ro")),
        ("mount", &format!("type=bind,source={link},target=/c,readonly")),
        ("device", "/dev/../dev/null:/dev/zero:r"),
    ]);
    let mut volume =
        v1::Volume { container_path: "/d".into(), host_path: Some(colon.clone()), ..Default::default() };
    volume.set_mode(v1::volume::Mode::Rw);
    volume.host_path = Some(format!("{link}/a:b"));
    container(&mut info).volumes.push(volume);
    let (request, verdict) = host.judged(policy(), &info);
    assert_eq!(verdict.violations(), []);
    let host_config = &request.body.host_config;
    assert_eq!(host_config.binds, [format!("{data}:/a:ro,rslave"), format!("{data}/missing/dir:/b:ro")]);
    let binds: Vec<_> = host_config.mounts.iter().map(|mount| mount.source.as_str()).collect();
    assert!(binds.contains(&data.as_str()) && binds.contains(&colon.as_str()), "{binds:?}");
    assert_eq!(host_config.resources.devices[0].path_on_host, "/dev/null");
    assert_eq!(host_config.resources.devices[0].path_in_container, "/dev/zero");
    // What is made for the mount is what was judged.
    assert!(request.mount_points.contains(&MountPoint::Host(colon.clone())), "{:?}", request.mount_points);
    // A link in what is allowed leads nowhere else.
    for out in ["srv/data/usr", "srv/data/everything/usr", "srv/datafile"] {
        let info = with(&[("volume", &format!("{}:/host", host.path(out)))]);
        let (_, verdict) = host.judged(policy(), &info);
        assert!(!verdict.violations().is_empty(), "{out}");
    }
    // A path that the engine cannot be told is not sent unresolved.
    use std::os::unix::ffi::OsStringExt;
    let strange = Path::new(&data).join(std::ffi::OsString::from_vec(b"\xff".to_vec()));
    std::fs::create_dir(&strange).unwrap();
    symlink(&strange, host.path("srv/data/strange")).unwrap();
    let info = with(&[("volume", &format!("{data}/strange:/host"))]);
    let (_, verdict) = host.judged(policy(), &info);
    assert_eq!(verdict.violations()[0].rule, Rule::HostPaths);
    // What is not constrained is sent as it was written.
    let (request, _) = host.judged(Policy::default(), &with(&[("volume", &format!("{link}:/a"))]));
    assert_eq!(request.body.host_config.binds, [format!("{link}:/a")]);
}

#[test]
fn what_is_allowed_for_reading_is_not_written() {
    let host = Host::new();
    let data = host.path("srv/data");
    let policy = || host.policy(&format!("preset = \"strict\"\nhost_paths = [\"{data}:ro\"]"));
    for (mode, allowed) in [
        (":ro", true),
        (":ro,rslave", true),
        ("", false),
        (":rw", false),
        (":rslave", false),
        (":ro,Z", false),
        (":z,ro", false),
    ] {
        let (_, verdict) = host.judged(policy(), &with(&[("volume", &format!("{data}:/a{mode}"))]));
        assert_eq!(verdict.violations().is_empty(), allowed, "{mode}: {verdict:?}");
    }
}

#[test]
fn what_others_could_replace_is_not_mounted() {
    use std::os::unix::fs::PermissionsExt;

    let host = Host::new();
    let data = host.path("srv/data");
    let policy = host.policy(&format!("preset = \"strict\"\nhost_paths = [\"{data}:ro\"]"));
    let open = format!("{data}/open");
    std::fs::create_dir_all(format!("{open}/inner")).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let judge = |path: &str| {
        let info = with(&[("volume", &format!("{path}:/a:ro"))]);
        host.judged(policy.clone(), &info).1.violations().iter().map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(judge(&open), [], "nobody but root can put another in its place");
    assert_eq!(judge(&format!("{open}/inner")), [Rule::HostPaths]);
    // With the sticky bit, only what is there and root's is safe.
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(judge(&format!("{open}/inner")), []);
    assert_eq!(judge(&format!("{open}/missing")), [Rule::HostPaths]);
    assert_eq!(judge(&format!("{open}/missing/below")), [Rule::HostPaths]);
    let own = format!("{open}/own");
    std::fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(1000), Some(1000)).unwrap();
    assert_eq!(judge(&own), [Rule::HostPaths]);
    // And it cannot be allowed by itself, with or without the sticky bit.
    let file = host.path("policy");
    for mode in [0o777, 0o1777] {
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(mode)).unwrap();
        for entry in [open.clone(), format!("{open}:ro")] {
            std::fs::write(&file, format!("host_paths = [{entry:?}]")).unwrap();
            assert!(load(&file, host.places()).unwrap_err().to_string().contains("host_paths"), "{mode:o}");
        }
    }
}

#[test]
fn below_what_tasks_write_to_nothing_is_mounted() {
    let host = Host::new();
    let data = host.path("srv/data");
    std::fs::create_dir_all(format!("{data}/own")).unwrap();
    let policy = host.policy(&format!("preset = \"strict\"\nhost_paths = [{data:?}]"));
    for (below, allowed) in [("", true), ("/own", false), ("/missing", false), ("/missing/below", false)] {
        for mode in ["", ":ro"] {
            let info = with(&[("volume", &format!("{data}{below}:/a{mode}"))]);
            let (_, verdict) = host.judged(policy.clone(), &info);
            assert_eq!(verdict.violations().is_empty(), allowed, "{below}{mode}: {verdict:?}");
        }
    }
    // An entry there is refused when the policy is loaded, as a task can make it another.
    let file = host.path("policy");
    for (entries, allowed) in [
        (format!("[{data:?}, \"{data}/own:ro\"]"), false),
        (format!("[{data:?}, \"{data}/own\"]"), false),
        (format!("[\"{data}:ro\", \"{data}/own\"]"), true),
    ] {
        std::fs::write(&file, format!("host_paths = {entries}")).unwrap();
        assert_eq!(load(&file, host.places()).is_ok(), allowed, "{entries}");
    }
    // The narrower entry decides: what is there for reading only stays so, and what is not, can be written.
    let policy = host.policy(&format!("preset = \"strict\"\nhost_paths = [\"{data}:ro\", \"{data}/own\"]"));
    for (path, allowed) in [("", false), ("/own", true), ("/own/x", false), ("/other", false)] {
        let (_, verdict) = host.judged(policy.clone(), &with(&[("volume", &format!("{data}{path}:/a:rw"))]));
        assert_eq!(verdict.violations().is_empty(), allowed, "{path}: {verdict:?}");
    }
}

/// As the driver does before each create and start: whoever changed what a path leads to meanwhile is seen.
#[test]
fn a_path_that_leads_elsewhere_since_it_was_judged_is_refused() {
    let host = Host::new();
    let secret = host.path("etc/secret");
    std::fs::create_dir_all(&secret).unwrap();
    let data = host.path("srv/data");
    let strict = host.policy(&format!("preset = \"strict\"\nhost_paths = [\"{data}:ro\"]"));
    let protects = host.policy("protected_paths = false");
    for (policy, target) in [
        (&strict, &secret),
        (&strict, &data),
        (&protects, &host.path("work")),
        // Nothing forbids the new one by itself.
        (&protects, &host.path("srv")),
    ] {
        for path in ["there", "missing"] {
            let path = format!("{data}/{path}");
            for parameter in [
                ("volume", format!("{path}:/a:ro")),
                ("mount", format!("type=bind,source={path},target=/a,readonly")),
            ] {
                if path.ends_with("there") {
                    std::fs::create_dir(&path).unwrap();
                }
                let (request, verdict) =
                    host.judged(policy.clone(), &with(&[(parameter.0, parameter.1.as_str())]));
                assert_eq!(verdict.violations(), []);
                request.judge_again(policy).unwrap();
                let _ = std::fs::remove_dir(&path);
                symlink(target, &path).unwrap();
                let error = request.judge_again(policy).unwrap_err();
                assert!(error.field().starts_with("HostConfig"), "{error}");
                request.judge_again(&Policy::default()).unwrap();
                std::fs::remove_file(&path).unwrap();
            }
        }
    }
}
