//! Which containers this process may run in, as the kernel's texts tell. Pure.

use std::path::Path;

use serde_json::Value;

use super::mounts::{self, Mount};

/// The files that an engine mounts into each container from a directory named after it, on any network.
const ENGINES_FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The length of an engine's id.
const ID_LENGTH: usize = 64;

/// The engine ids that may be of our own container, the surest first: `cgroup` is the text of `/proc/self/cgroup`, `mounts`
/// are those of `/proc/self/mountinfo`. The engine knows which of them it has, and [`has_our_root`] whether it is us: the
/// files are another container's where that one lends its network (`--network=container:…`), as in each pod of Kubernetes.
pub(super) fn candidates(cgroup: &str, mounts: &[Mount]) -> Vec<String> {
    let of_files = mounts
        .iter()
        .filter(|mount| ENGINES_FILES.iter().any(|file| mount.at.as_os_str() == *file))
        .filter_map(|mount| last_id(&mount.root));
    // The last one is the innermost container's.
    let of_groups = cgroup.lines().filter_map(|line| last_id(line.splitn(3, ':').nth(2)?));
    let mut found: Vec<String> = Vec::new();
    for id in of_groups.chain(of_files) {
        if !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

/// Whether the file system that we see is that of a container, as the engine tells it (`GET /containers/{id}/json`): not so
/// for another container, and for a process of this one that has left its file system (`chroot`, `nsenter`), as the
/// container's mounts say nothing of what that one sees. Where the engine's storage tells nothing, it is taken for so.
pub(super) fn has_our_root(inspection: &Value, mounts: &[Mount]) -> bool {
    let storage = &inspection["GraphDriver"];
    // Others mount by a program, which does not say what.
    if storage["Name"] != "overlay2" {
        return true;
    }
    let Some(theirs) = storage["Data"]["UpperDir"].as_str() else { return true };
    let ours = mounts::of_path(mounts, Path::new("/")).and_then(|root| root.upper.as_deref());
    // The engine names it from its own directory where there are many layers.
    ours.is_some_and(|ours| ends(ours).eq(ends(Path::new(theirs))))
}

/// The last two parts of a path: `overlay2/<layer>/diff` has the layer's name there.
fn ends(path: &Path) -> impl Iterator<Item = std::path::Component<'_>> {
    path.components().rev().take(2)
}

/// The last part of a path that has an engine's id in it, as `docker-<id>.scope` has.
fn last_id(path: &str) -> Option<String> {
    path.rsplit('/').find_map(|part| {
        let mut words = part.split(|char: char| !char.is_ascii_hexdigit());
        let is_id =
            |word: &&str| word.len() == ID_LENGTH && !word.bytes().any(|byte| byte.is_ascii_uppercase());
        words.find(is_id).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OURS: &str = "4f9bd1a8a1a0c6e6a8e0c9d4b0aa1c2a0c4c0ff0d6c7c5f1b2a39482716050ff";
    const OTHER: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

    fn replaced(text: &str) -> String {
        text.replace("OURS", OURS).replace("OTHER", OTHER)
    }

    #[rstest]
    #[case::v1("12:memory:/docker/OURS\n1:name=systemd:/docker/OURS\n", "", &[OURS])]
    #[case::systemd("0::/system.slice/docker-OURS.scope\n", "", &[OURS])]
    #[case::inner("4:memory:/docker/OTHER/docker/OURS\n", "", &[OURS])]
    #[case::own_cgroup_namespace("0::/\n", "9 8 8:1 /var/lib/docker/containers/OURS/hostname /etc/hostname rw - ext4 /dev/sda rw\n", &[OURS])]
    #[case::network_of_another("3:cpu:/docker/OURS\n", "9 8 8:1 /lib/docker/containers/OTHER/hosts /etc/hosts rw - ext4 /dev/sda rw\n", &[OURS, OTHER])]
    #[case::libpod("0::/machine.slice/libpod-OURS.scope/container\n", "", &[OURS])]
    #[case::slice_of_a_service("0::/system.slice/docker-agent.slice/mesos-agent-docker.service\n", "", &[])]
    #[case::lxc("0::/lxc.payload.docker/.lxc\n", "9 8 8:1 /lxc/docker/hostname /etc/hostname rw - ext4 /dev/sda rw\n", &[])]
    #[case::another_place("0::/\n", "9 8 8:1 /var/lib/docker/containers/OTHER/hostname /host/hostname rw - ext4 /dev/sda rw\n", &[])]
    #[case::a_machine("9:name=systemd:/\n4:memory:/process_api/d3c2f61dde736dfff850b06dd2bd2af0\n0::/init.scope\n", "", &[])]
    #[case::kubernetes("1:cpu:/kubepods/burstable/pod2c48d2a3-b2c4/OURS\n", "", &[OURS])]
    fn the_engines_ids_are_found(#[case] cgroup: &str, #[case] mounts: &str, #[case] expected: &[&str]) {
        let mounts = mounts::parse(&replaced(mounts));
        assert_eq!(candidates(&replaced(cgroup), &mounts), expected);
    }

    const ROOT: &str = "9 8 0:7 / / rw - overlay overlay rw,lowerdir=l/A:l/B,upperdir=UPPER,workdir=w\n";

    #[rstest]
    #[case::ours("overlay2", "/d/overlay2/a/diff", &ROOT.replace("UPPER", "/d/overlay2/a/diff"), true)]
    #[case::many_layers("overlay2", "/d/overlay2/a/diff", &ROOT.replace("UPPER", "a/diff"), true)]
    #[case::the_network_of_another("overlay2", "/d/overlay2/b/diff", &ROOT.replace("UPPER", "/d/overlay2/a/diff"), false)]
    #[case::the_hosts_root("overlay2", "/d/overlay2/a/diff", "9 8 8:1 / / rw - ext4 /dev/sda rw\n", false)]
    #[case::a_directory_as_root("overlay2", "/d/overlay2/a/diff", "", false)]
    #[case::other_storage("vfs", "", "9 8 8:1 / / rw - ext4 /dev/sda rw\n", true)]
    #[case::by_a_program("fuse-overlayfs", "/d/a/diff", "9 8 0:7 / / rw - fuse.fuse-overlayfs f rw\n", true)]
    fn a_containers_root_is_compared(
        #[case] storage: &str,
        #[case] upper: &str,
        #[case] mounts: &str,
        #[case] is_ours: bool,
    ) {
        let inspection =
            serde_json::json!({ "GraphDriver": { "Name": storage, "Data": { "UpperDir": upper } } });
        assert_eq!(has_our_root(&inspection, &mounts::parse(mounts)), is_ours);
        assert!(has_our_root(&Value::Null, &mounts::parse(mounts)));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(cgroup in "\\PC{0,200}", mounts in "\\PC{0,200}") {
            let _ = candidates(&cgroup, &mounts::parse(&mounts));
        }
    }
}
