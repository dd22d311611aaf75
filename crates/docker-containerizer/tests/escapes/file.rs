//! The policy file itself.

use std::os::unix::fs::symlink;

use docker_containerizer::policy::load;

use crate::host::Host;

#[test]
fn only_who_is_root_or_starts_us_can_change_the_policy() {
    use std::os::unix::fs::{PermissionsExt, chown};

    let host = Host::new();
    let directory = host.path("etc");
    std::fs::create_dir(&directory).unwrap();
    let file = format!("{directory}/policy.toml");
    std::fs::write(&file, "preset = \"strict\"").unwrap();
    let link = host.path("link.toml");
    symlink(&file, &link).unwrap();
    let refusal = |file: &str| load(file, host.places()).err().map(|error| error.to_string());
    assert_eq!((refusal(&file), refusal(&link)), (None, None));
    let mode =
        |path: &str, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    chown(&file, Some(1000), None).unwrap();
    assert!(refusal(&file).unwrap().contains("belongs to the user 1000"));
    chown(&file, Some(0), Some(1000)).unwrap();
    mode(&file, 0o664);
    assert!(refusal(&link).unwrap().contains("the group 1000"));
    mode(&file, 0o644);
    chown(&directory, Some(1000), None).unwrap();
    assert!(refusal(&file).unwrap().contains("belongs to the user 1000"));
    chown(&directory, Some(0), None).unwrap();
    mode(&directory, 0o777);
    assert!(refusal(&link).unwrap().contains("everybody"));
    mode(&directory, 0o755);
    assert_eq!(refusal(&link), None);
    // A link that somebody else can point elsewhere.
    let open = host.path("open");
    std::fs::create_dir(&open).unwrap();
    symlink(&file, format!("{open}/policy.toml")).unwrap();
    chown(&open, Some(1000), None).unwrap();
    assert!(refusal(&format!("{open}/policy.toml")).unwrap().contains("belongs to the user 1000"));
}

#[test]
fn a_policy_that_closes_nothing_says_so() {
    let host = Host::new();
    let caution = |text: &str| host.policy(text).caution();
    let open = caution("privileged = false\nhost_paths = []").unwrap();
    assert!(open.contains("capabilities") && open.contains("devices"), "{open}");
    assert!(!open.contains("privileged,") && !open.contains("host_paths"), "{open}");
    assert!(caution("preset = \"strict\"\nhost_paths = \"any\"").unwrap().contains("leaves host_paths open"));
    for silent in ["", "preset = \"strict\"", "preset = \"strict\"\nports = \"any\""] {
        assert_eq!(caution(silent), None, "{silent}");
    }
}
