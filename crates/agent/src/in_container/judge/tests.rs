//! A right set-up, and each way to get it wrong.

use rstest::rstest;

use super::*;

const ID: &str = "4f9bd1a8a1a0c6e6a8e0c9d4b0aa1c2a0c4c0ff0d6c7c5f1b2a39482716050ff";

const V1_GROUPS: &str = "5:memory:/docker/ID\n4:cpu,cpuacct:/docker/ID\n1:name=systemd:/docker/ID\n0::/\n";
const V1_MOUNTS: &str = "\
31 30 0:27 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
";
/// What an engine mounts where nobody asks for it.
const V1_ENGINES: &str = "\
31 30 0:27 /docker/ID /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
32 30 0:28 /docker/ID /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
";
const V2_GROUPS: &str = "0::/system.slice/docker-ID.scope\n";
const V2_MOUNTS: &str = "31 30 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
/// With `--cgroupns=host` alone.
const V2_ENGINES: &str = "31 30 0:27 /system.slice/docker-ID.scope /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";

fn bind(source: &str, at: &str) -> OwnMount {
    OwnMount { source: source.into(), at: at.into(), is_bind: true, is_writable: true }
}

fn right() -> Facts {
    Facts {
        id: ID.into(),
        pid_mode: "host".into(),
        network_mode: "host".into(),
        mounts: vec![
            bind("/var/lib/mesos", "/var/lib/mesos"),
            bind("/var/run", "/run"),
            bind("/sys/fs/cgroup", "/sys/fs/cgroup"),
        ],
        work_dir: "/var/lib/mesos".into(),
        socket: "/run/docker.sock".into(),
        membership: V1_GROUPS.replace("ID", ID),
        mountinfo: V1_MOUNTS.into(),
        capabilities: u64::MAX,
    }
}

fn of(change: impl FnOnce(&mut Facts)) -> Vec<Missing> {
    let mut facts = right();
    change(&mut facts);
    missing(&facts, HostPids::Needed)
}

#[test]
fn nothing_is_missing_of_a_right_one() {
    assert_eq!(of(|_| ()), []);
    assert_eq!(of(|facts| facts.mounts[0] = bind("/var/lib", "/var/lib")), [], "a directory above it");
    let v2 = of(|facts| {
        facts.membership = V2_GROUPS.replace("ID", ID);
        facts.mountinfo = V2_MOUNTS.into();
    });
    assert_eq!(v2, []);
}

#[rstest]
#[case::bridge("bridge")]
#[case::default("default")]
#[case::anothers("container:abc")]
fn another_network_is_told(#[case] mode: &str) {
    let missing = of(|facts| facts.network_mode = mode.into());
    assert_eq!(missing, [Missing::HostNetwork]);
    assert_eq!(missing[0].option(), "--network=host");
}

#[rstest]
#[case("")]
#[case("private")]
#[case("container:abc")]
fn other_process_numbers_are_told(#[case] mode: &str) {
    let missing = of(|facts| facts.pid_mode = mode.into());
    assert_eq!(missing, [Missing::HostPids]);
    assert_eq!(missing[0].option(), "--pid=host");
}

#[rstest]
#[case::not_there(vec![], Instead::Nothing)]
#[case::renamed(vec![bind("/srv/mesos", "/var/lib/mesos")], Instead::Another("/srv/mesos".into()))]
#[case::above_renamed(vec![bind("/srv", "/var/lib")], Instead::Another("/srv/mesos".into()))]
#[case::hidden(vec![bind("/var/lib", "/var/lib"), bind("/srv", "/var/lib/mesos")], Instead::Another("/srv".into()))]
#[case::beside(vec![bind("/var/lib/mesosphere", "/var/lib/mesosphere")], Instead::Nothing)]
#[case::volume(vec![OwnMount { is_bind: false, ..bind("/var/lib/docker/volumes/v/_data", "/var/lib/mesos") }], Instead::Volume)]
#[case::read_only(vec![OwnMount { is_writable: false, ..bind("/var/lib/mesos", "/var/lib/mesos") }], Instead::ReadOnly)]
fn another_work_directory_is_told(#[case] mounts: Vec<OwnMount>, #[case] instead: Instead) {
    let missing = of(|facts| {
        facts.mounts.remove(0);
        facts.mounts.extend(mounts);
    });
    assert_eq!(missing, [Missing::WorkDir("/var/lib/mesos".into(), instead)]);
    assert_eq!(missing[0].option(), "-v /var/lib/mesos:/var/lib/mesos");
    assert!(missing[0].is_always_fatal());
}

#[rstest]
#[case::the_file(Some(bind("/var/run/docker.sock", "/run/docker.sock")), "-v /var/run:/run")]
#[case::not_there(None, "-v /run:/run")]
fn a_socket_without_its_directory_is_told(#[case] mount: Option<OwnMount>, #[case] option: &str) {
    let missing = of(|facts| {
        facts.mounts.remove(1);
        facts.mounts.extend(mount);
    });
    assert_eq!(missing.iter().map(Missing::option).collect::<Vec<_>>(), [option]);
}

#[rstest]
#[case::v1_engines_own(V1_GROUPS, V1_ENGINES, Missing::Cgroups)]
#[case::v1_none(V1_GROUPS, "", Missing::Cgroups)]
#[case::v1_own_namespace("5:memory:/\n4:cpu,cpuacct:/\n", V1_MOUNTS, Missing::CgroupNamespace)]
#[case::v2_engines_own(V2_GROUPS, V2_ENGINES, Missing::Cgroups)]
#[case::v2_own_namespace("0::/\n", V2_MOUNTS, Missing::CgroupNamespace)]
fn other_control_groups_are_told(#[case] groups: &str, #[case] mounts: &str, #[case] expected: Missing) {
    let change = |facts: &mut Facts| {
        facts.membership = groups.replace("ID", ID);
        facts.mountinfo = mounts.replace("ID", ID);
    };
    assert_eq!(of(change), [expected]);
    let mut facts = right();
    change(&mut facts);
    assert_eq!(missing(&facts, HostPids::NotNeeded), [], "the engine is asked instead");
}

#[test]
fn without_the_hosts_processes_neither_numbers_nor_groups_nor_capabilities_are_needed() {
    let mut facts = right();
    facts.pid_mode = String::new();
    facts.capabilities = 0;
    assert_eq!(missing(&facts, HostPids::NotNeeded), []);
}

#[test]
fn capabilities_are_minor() {
    let missing = of(|facts| facts.capabilities = 0);
    assert_eq!(missing, [Missing::Capability("SYS_ADMIN"), Missing::Capability("SYS_PTRACE")]);
    assert!(missing.iter().all(Missing::is_minor));
}

#[test]
fn the_sockets_place_on_the_host_is_known() {
    assert_eq!(socket_on_host(&right()), Some("/var/run/docker.sock".into()));
    let mut facts = right();
    facts.mounts[1] = bind("/var/run/docker.sock", "/run/docker.sock");
    assert_eq!(socket_on_host(&facts), Some("/var/run/docker.sock".into()));
    facts.mounts.remove(1);
    assert_eq!(socket_on_host(&facts), None);
}
