//! Container names: what we call a container, and what a name on the engine says.
//!
//! We write `mesos-<agentid>-<containerid>`. Stock agents wrote `mesos-<containerid>` (up to 0.22 and from 1.4) and
//! `mesos-<agentid>.<containerid>` (0.23 to 1.3), either with `.executor` behind it for an executor's container
//! (`DOCKER_NAME_PREFIX` and `parse` in `src/slave/containerizer/docker.cpp`). A container id is a UUID, so every
//! form is read from its end; a name whose id is none is not ours and never touched.

use mesos_types::{AgentId, ContainerId};

/// How every name begins.
const PREFIX: &str = "mesos-";

/// How the name of an executor's container ends (`--docker_mesos_image`).
const EXECUTOR: &str = ".executor";

/// The length of a container id in text: a hyphenated UUID.
const UUID_LENGTH: usize = 36;

/// The pattern for the engine's `name` filter that all forms match.
pub const NAME_PATTERN: &str = "^/mesos-";

/// What runs in a container, as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The task itself, or a custom executor.
    Task,
    /// A stock executor of an agent that runs in a container.
    Executor,
}

/// What a container's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedName {
    /// The container's id.
    pub container_id: ContainerId,
    /// The agent's id, where the form has one.
    pub agent_id: Option<AgentId>,
    /// What runs in it.
    pub role: Role,
}

/// The name of a container that we create.
pub fn container_name(agent_id: &AgentId, container_id: ContainerId) -> String {
    format!("{PREFIX}{agent_id}-{container_id}")
}

/// Reads a name in any of the forms, with or without the engine's leading slash; `None` if it is not ours.
pub fn parse(name: &str) -> Option<ParsedName> {
    let name = name.strip_prefix('/').unwrap_or(name).strip_prefix(PREFIX)?;
    let (name, role) = match name.strip_suffix(EXECUTOR) {
        Some(rest) => (rest, Role::Executor),
        None => (name, Role::Task),
    };
    let start = name.len().checked_sub(UUID_LENGTH)?;
    let container_id = name.get(start..)?.parse().ok()?;
    let agent_id = match name.get(..start)? {
        "" => None,
        front => Some(front.strip_suffix(['-', '.'])?.parse().ok()?),
    };
    Some(ParsedName { container_id, agent_id, role })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2";
    const AGENT: &str = "20150813-043313-16777343-5050-1234-S0";

    #[rstest::rstest]
    #[case("mesos-{id}", None, Role::Task)]
    #[case("mesos-{id}.executor", None, Role::Executor)]
    #[case("mesos-{agent}.{id}", Some(AGENT), Role::Task)]
    #[case("mesos-{agent}.{id}.executor", Some(AGENT), Role::Executor)]
    #[case("mesos-{agent}-{id}", Some(AGENT), Role::Task)]
    #[case("/mesos-local-{id}", Some("local"), Role::Task)]
    #[case("mesos-a.b-{id}", Some("a.b"), Role::Task)]
    fn every_generation_is_read(#[case] form: &str, #[case] agent: Option<&str>, #[case] role: Role) {
        let parsed = parse(&form.replace("{id}", ID).replace("{agent}", AGENT)).unwrap();
        assert_eq!(parsed.container_id.to_string(), ID);
        assert_eq!(parsed.agent_id.as_ref().map(AgentId::as_str), agent);
        assert_eq!(parsed.role, role);
    }

    /// Peer: DockerContainerizerTest.ROOT_DOCKER_SkipRecoverMalformedUUID.
    #[rstest::rstest]
    #[case("mesos-malformedUUID")]
    #[case("mesos-")]
    #[case("mesos")]
    #[case("/web")]
    #[case("mesos-xc9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2")]
    #[case("mesos--c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2")]
    #[case("mesos-a/b-c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2")]
    #[case("xmesos-c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2")]
    #[case("mesos-c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2.other")]
    #[case("mesos-ééééééééééééééééééé")]
    fn another_name_is_not_ours(#[case] name: &str) {
        assert_eq!(parse(name), None);
    }

    proptest::proptest! {
        #[test]
        fn a_name_that_we_write_is_read_back(agent in "[a-zA-Z0-9._-]{1,80}") {
            proptest::prop_assume!(agent != "." && agent != "..");
            let agent: AgentId = agent.parse().unwrap();
            let id = ContainerId::random();
            let parsed = parse(&container_name(&agent, id)).unwrap();
            proptest::prop_assert_eq!(parsed.container_id, id);
            proptest::prop_assert_eq!(parsed.agent_id, Some(agent));
        }

        #[test]
        fn no_text_makes_the_parser_panic(name in ".{0,120}") {
            let _ = parse(&name);
            let _ = parse(&format!("mesos-{name}"));
        }
    }
}
