//! Owns the list of values that we treat otherwise than the newest client, each with its reason. The differences in
//! what is sent for a value that both take stand in `integration::oracle::allowed`.

/// How we treat a value otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The client sends it, and we refuse it.
    WeRefuse,
    /// The client refuses it, and we take it.
    WeTake,
}

/// Why we treat a value otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The client leaves the check to the engine, which refuses it at the create or the start; we say it before anything
    /// is pulled. The test on the engine makes sure that it does.
    EngineRefuses,
    /// Engines below this minor API version do not know it and would drop or refuse it.
    Since(u32),
    /// Another reason.
    Because(&'static str),
}

/// A value that we treat otherwise.
#[derive(Debug)]
pub(crate) struct Meant {
    /// The option.
    pub(crate) option: &'static str,
    /// The value; a star stands for all of them.
    pub(crate) value: &'static str,
    /// How.
    pub(crate) kind: Kind,
    /// Why.
    pub(crate) why: Why,
}

const fn refuse(option: &'static str, value: &'static str, why: Why) -> Meant {
    Meant { option, value, kind: Kind::WeRefuse, why }
}

const fn take(option: &'static str, value: &'static str, why: Why) -> Meant {
    Meant { option, value, kind: Kind::WeTake, why }
}

const NOT_A_PAIR: Why = Why::Because("the engine takes a pair without a name, which says nothing");
const OWN_VARIABLES: Why =
    Why::Because("the client would take the value from its own environment, which here is the agent's");
const RELATIVE: Why =
    Why::Because("the path is outside the sandbox, where the client's working directory is no reason to go");
const WINDOWS: Why = Why::Because("named pipes are of Windows");
const SWARM: Why = Why::Because("cluster volumes are of swarm services");
const REPLACED: Why = Why::Because(
    "no engine takes a mode such as host together with a network, so the parameter's takes the place of Mesos'",
);

/// The list.
pub(crate) const MEANT: &[Meant] = &[
    refuse("annotation", "", NOT_A_PAIR),
    refuse("annotation", "=b", NOT_A_PAIR),
    refuse("device", "vendor.test/class=name", Why::Since(44)),
    refuse("env", "NOT_THERE", OWN_VARIABLES),
    refuse("ip", "x", Why::EngineRefuses),
    refuse("ip", "172.30.0", Why::EngineRefuses),
    refuse("ip", "172.30.0.256", Why::EngineRefuses),
    refuse("ip6", "x", Why::EngineRefuses),
    refuse("ip6", "2001:db8::g", Why::EngineRefuses),
    refuse("ipc", "x", Why::EngineRefuses),
    refuse("ipc", "container:", Why::EngineRefuses),
    refuse("link-local-ip", "x", Why::Because("it is no address, and no network driver can give it")),
    refuse("log-opt", "", Why::EngineRefuses),
    refuse("log-opt", "=x", Why::EngineRefuses),
    take(
        "mac-address",
        "*",
        Why::Because("this client refuses it for engines below API 1.44, which take it"),
    ),
    refuse("mount", "type=bind,target=/x", Why::EngineRefuses),
    refuse("mount", "type=foo,target=/x", Why::EngineRefuses),
    refuse("mount", "type=cluster,source=oracle-vol,target=/mnt/x", SWARM),
    refuse("mount", "type=npipe,source=/a,target=/mnt/x", WINDOWS),
    refuse("mount", "type=image,source=busybox,target=/mnt/x", Why::Since(48)),
    refuse("mount", "type=image,source=busybox,target=/mnt/x,image-subpath=a", Why::Since(49)),
    refuse("mount", "type=volume,source=oracle-vol,target=/mnt/x,volume-subpath=a/b", Why::Since(45)),
    refuse("network", "name=other,ip=x", Why::EngineRefuses),
    refuse("network", "name=other,gw-priority=5", Why::Since(48)),
    take("network", "other", REPLACED),
    take("network", "bridge", REPLACED),
    take("network", "host", REPLACED),
    take("network", "none", REPLACED),
    refuse("security-opt", "seccomp=builtin", Why::Since(42)),
    refuse("volume", "../x:/b:ro", RELATIVE),
    refuse("volume", "~/x:/b", Why::EngineRefuses),
    refuse("volume", "/a:/b:c:d", Why::EngineRefuses),
    refuse("volume", "", Why::EngineRefuses),
    refuse("volume", ":/b", Why::EngineRefuses),
    refuse("volume", "/a:", Why::EngineRefuses),
];

/// Options that are refused by name, with a value and a part of the reason. A value of theirs that changes nothing is
/// taken.
pub(crate) const REFUSED: &[(&str, &str, &str)] = &[
    ("attach", "stdout", "streams"),
    ("cidfile", "/tmp/cid", "writes a file"),
    ("cpu-count", "2", "Windows"),
    ("cpu-percent", "50", "Windows"),
    ("detach", "true", "ends the client"),
    ("detach-keys", "ctrl-a", "leaves a container"),
    ("help", "true", "help"),
    ("io-maxbandwidth", "1m", "Windows"),
    ("io-maxiops", "100", "Windows"),
    ("name", "x", "name"),
    ("platform", "linux/arm64", "another machine"),
    ("pull", "always", "pull"),
    ("restart", "always", "run a task again"),
    ("restart", "on-failure:3", "run a task again"),
    ("rm", "true", "exit code"),
    ("sig-proxy", "false", "signals"),
    ("use-api-socket", "true", "hands the engine"),
];

/// Options that the engine takes one by one, and not together; the client leaves that to it. The test on the engine makes
/// sure of it.
pub(crate) const CONFLICTS: &[[&str; 2]] = &[["cpus", "cpu-period"], ["cpus", "cpu-quota"]];

/// Finds the entry for a value.
pub(crate) fn find(option: &str, value: &str, api: &str, kind: Kind) -> Option<usize> {
    let minor: u32 = api.split('.').nth(1)?.parse().ok()?;
    MEANT.iter().position(|meant| {
        let holds = match meant.why {
            Why::Since(since) => minor < since,
            Why::EngineRefuses | Why::Because(_) => true,
        };
        holds && meant.option == option && meant.kind == kind && [value, "*"].contains(&meant.value)
    })
}

/// Tells whether an option is refused by name.
pub(crate) fn is_refused(option: &str) -> bool {
    REFUSED.iter().any(|(refused, ..)| *refused == option)
}
