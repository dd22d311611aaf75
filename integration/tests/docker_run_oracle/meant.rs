//! Owns the list of values that we treat otherwise than the newest client, each with its reason. The differences in
//! what is sent for a value that both take stand in `integration::oracle::allowed`.

use anyhow::Result;
use integration::oracle::Outcome;
use integration::oracle::compare::differences;
use integration::supervised::{Net, Task};
use mesos_proto::v1::{Parameter, container_info::DockerInfo};
use serde_json::json;

use crate::workshop::{Case, Workshop};

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
    /// The client refuses it for engines below this minor API version, which take it.
    Below(u32),
    /// Another reason.
    Because(&'static str),
}

/// A value that we treat otherwise. What we send for one that the client refuses is compared too: with what the same task
/// becomes that says it in another way ([`twin`]).
#[derive(Debug)]
pub(crate) struct Meant {
    /// The option.
    pub(crate) option: &'static str,
    /// The value.
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
    take("mac-address", "92:d0:c6:0a:29:33", Why::Below(44)),
    take("mac-address", "92-d0-c6-0a-29-33", Why::Below(44)),
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
    refuse("volume", "./x:/b:nocopy", Why::EngineRefuses),
    refuse("volume", "./x:/b:ro,rw", Why::EngineRefuses),
    refuse("volume", "./x:/b:z,Z", Why::EngineRefuses),
    refuse("volume", "./x:/b:rslave,rshared", Why::EngineRefuses),
    refuse("volume", "./x:/b:foo", Why::EngineRefuses),
    refuse("volume", "./x:/b:ro,", Why::EngineRefuses),
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
            Why::Since(since) | Why::Below(since) => minor < since,
            Why::EngineRefuses | Why::Because(_) => true,
        };
        holds && meant.option == option && meant.kind == kind && meant.value == value
    })
}

/// Tells whether an option is refused by name.
pub(crate) fn is_refused(option: &str) -> bool {
    REFUSED.iter().any(|(refused, ..)| *refused == option)
}

/// The parameters of a case, in their order.
fn parameters(case: &Case) -> Vec<&Parameter> {
    let docker = case.task.info().container.iter().flat_map(|container| &container.docker);
    docker.flat_map(|docker| &docker.parameters).collect()
}

/// Tells whether our refusal is about a parameter of the list, or about two that exclude each other. Another parameter
/// beside such a one is no reason.
pub(crate) fn is_why_we_refuse(case: &Case, sentence: &str) -> bool {
    let parameters = parameters(case);
    let mut places = parameters.iter().enumerate();
    let is_of_one = places.any(|(at, parameter)| {
        find(&parameter.key, &parameter.value, case.api, Kind::WeRefuse).is_some()
            && sentence.contains(&format!("container.docker.parameters[{at}]"))
    });
    let is_there = |option: &str| parameters.iter().any(|parameter| parameter.key == option);
    let is_of_two =
        |both: &[&str; 2]| both.iter().all(|option| is_there(option) && sentence.contains(option));
    is_of_one || CONFLICTS.iter().any(is_of_two)
}

/// Tells why what we send for a case is wrong that the client refuses with this sentence; `None` if it refuses what is on
/// the list, and we send what the list says.
///
/// # Errors
///
/// The request of the twin can't be written.
pub(crate) fn objection(
    workshop: &Workshop,
    case: &Case,
    sentence: &str,
    ours: &Outcome,
) -> Result<Option<String>> {
    let Some(Twin { case: twin, mac_address }) = twin(case, sentence) else {
        return Ok(Some(format!("the client's refusal is not on the list: {sentence}")));
    };
    let mut expected = workshop.ask_us(&twin)?;
    if let (Outcome::Sent { body, .. }, Some(address)) = (&mut expected, mac_address) {
        body["MacAddress"] = json!(address);
    }
    Ok(match (&expected, ours) {
        (Outcome::Sent { body: expected, .. }, Outcome::Sent { body, .. }) => {
            let found = differences(expected, body);
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            (!found.is_empty()).then(|| format!("it is not what its twin becomes: {}", found.join("; ")))
        }
        _ => Some(format!("its twin becomes {expected:?}")),
    })
}

/// The task that says without parameters of the list what a case says with them.
struct Twin {
    case: Case,
    /// What is not said otherwise below API 1.44.
    mac_address: Option<String>,
}

/// Makes the twin of a case that the client refuses for a parameter of the list; its sentence must be about that.
fn twin(case: &Case, sentence: &str) -> Option<Twin> {
    let meant = |option: &str| {
        let all = parameters(case).into_iter();
        let values: Vec<_> = all.filter(|parameter| parameter.key == option).collect();
        let is_meant =
            |parameter: &&&Parameter| find(option, &parameter.value, case.api, Kind::WeTake).is_some();
        values
            .iter()
            .all(|parameter| is_meant(&parameter))
            .then(|| values.last().map(|last| last.value.clone()))
    };
    let (network, mac_address) = (meant("network")?, meant("mac-address")?);
    let is_about = |option: &Option<String>, words: &str| option.is_some() && sentence.contains(words);
    if !is_about(&network, "network") && !is_about(&mac_address, "mac-address") {
        return None;
    }
    let without = |task: Task| {
        task.docker(|docker| {
            docker.parameters.retain(|one| !["network", "mac-address"].contains(&one.key.as_str()));
        })
    };
    let mut task = without(case.task.clone());
    if let Some(name) = &network {
        task = by_parameters(task).container(|container| container.network_infos.clear()).network(match name
            .as_str()
        {
            "bridge" => Net::Bridge,
            "host" => Net::Host,
            "none" => Net::None,
            name => Net::User(name),
        });
    }
    Some(Twin { case: Case { task, ..case.clone() }, mac_address })
}

/// Says the host name and the ports of a task by parameters, as Mesos takes neither on every network.
fn by_parameters(task: Task) -> Task {
    task.container(|container| {
        let hostname = container.hostname.take();
        let docker: &mut DockerInfo = container.docker.get_or_insert_default();
        let said = hostname.map(|name| ("hostname", name));
        let ports = docker.port_mappings.drain(..).map(|port| {
            let protocol = port.protocol.unwrap_or_default().to_lowercase();
            ("publish", format!("{}:{}/{protocol}", port.host_port, port.container_port))
        });
        let first: Vec<_> =
            said.into_iter().chain(ports).map(|(key, value)| Parameter { key: key.into(), value }).collect();
        docker.parameters.splice(0..0, first);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_OLD: &str = "\"specify mac-address per network\" requires API version 1.44";

    fn case(workshop: &Workshop, given: &[(&str, &str)]) -> Case {
        let task = Task::arguments(&["true"]).id("task").network(Net::User("first"));
        let task = given.iter().fold(task, |task, (key, value)| task.parameter(key, value));
        Case { label: String::new(), task, agent: workshop.agent(), api: "1.41" }
    }

    #[tokio::test]
    async fn a_refusal_beside_a_meant_one_is_not_meant() -> Result<()> {
        let workshop = Workshop::open().await?;
        let case =
            case(&workshop, &[("hostname", "h"), ("env", "NOT_THERE"), ("cpus", "1"), ("cpu-quota", "5")]);
        assert!(is_why_we_refuse(&case, "it is (field container.docker.parameters[1].value)"));
        assert!(is_why_we_refuse(&case, "cpus and cpu-quota exclude each other"));
        assert!(!is_why_we_refuse(&case, "it is (field container.docker.parameters[0].value)"));
        assert!(!is_why_we_refuse(&case, "it is (field container.docker.parameters[11].value)"));
        assert!(!is_why_we_refuse(&case, "cpus are too many"));
        Ok(())
    }

    /// Of each entry that the client refuses: what we send is right, and a change of it is seen.
    #[tokio::test]
    async fn what_is_sent_for_a_meant_value_is_compared() -> Result<()> {
        let workshop = Workshop::open().await?;
        for meant in MEANT.iter().filter(|meant| meant.kind == Kind::WeTake) {
            let case = case(&workshop, &[(meant.option, meant.value)]);
            let sentence = if meant.option == "network" { "conflicting options: network" } else { TOO_OLD };
            let ours = workshop.ask_us(&case)?;
            let found = objection(&workshop, &case, sentence, &ours)?;
            // On a network of the user's `other` is one more network, which the client takes.
            assert_eq!(found.is_some(), meant.value == "other", "{meant:?}: {found:?}");
            let Outcome::Sent { query, mut body } = ours else { panic!("{meant:?}: {ours:?}") };
            body["MacAddress"] = json!("92:d0:c6:0a:29:34");
            let changed = Outcome::Sent { query, body };
            let found = objection(&workshop, &case, sentence, &changed)?.unwrap_or_default();
            assert!(found.contains("/MacAddress"), "{found}");
            let found = objection(&workshop, &case, "unknown flag: --x", &changed)?.unwrap_or_default();
            assert!(found.contains("is not on the list"), "{found}");
        }
        Ok(())
    }

    #[test]
    fn an_entry_holds_for_its_value_and_version_only() {
        let holds = |value: &str, api: &str| find("mac-address", value, api, Kind::WeTake).is_some();
        assert!(holds("92:d0:c6:0a:29:33", "1.43") && !holds("92:d0:c6:0a:29:33", "1.44"));
        assert!(!holds("x", "1.43") && !holds("92:d0:c6:0a:29", "1.43"));
    }
}
