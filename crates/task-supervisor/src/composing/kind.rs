//! Which containers a containerizer takes.

use std::fmt;

use mesos_proto::v1;
use serde::{Deserialize, Serialize};

/// A containerizer, by the name that `--containerizers` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Containers of a Docker Engine.
    #[default]
    Docker,
    /// Processes of this machine.
    Mesos,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Mesos => "mesos",
        }
    }

    /// Whether it takes such a container; else what it wants. What is wrong with a container that it takes it says
    /// itself, and no other is asked then.
    pub(crate) fn takes(self, container: Option<&v1::ContainerInfo>) -> Result<(), &'static str> {
        use v1::container_info::Type;

        let kind = container.map(|container| Type::try_from(container.r#type));
        match (self, kind) {
            (Self::Docker, Some(Ok(Type::Docker))) | (Self::Mesos, None | Some(Ok(Type::Mesos))) => Ok(()),
            (Self::Docker, None) => Err("it has no container, and docker takes containers of type DOCKER"),
            (Self::Docker, Some(Ok(Type::Mesos))) => {
                Err("its container is of type MESOS, and docker takes type DOCKER")
            }
            (Self::Mesos, Some(Ok(Type::Docker))) => {
                Err("its container is of type DOCKER, and mesos takes type MESOS and what has no container")
            }
            (_, Some(Err(_))) => Err("the type of its container is not known"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::container_info::Type;

    fn container(kind: Option<i32>) -> Option<v1::ContainerInfo> {
        kind.map(|kind| v1::ContainerInfo { r#type: kind, ..Default::default() })
    }

    #[rstest::rstest]
    #[case::docker(Some(Type::Docker as i32), Some(Kind::Docker))]
    #[case::mesos(Some(Type::Mesos as i32), Some(Kind::Mesos))]
    #[case::none(None, Some(Kind::Mesos))]
    #[case::unknown(Some(99), None)]
    fn each_container_has_one_taker_at_most(#[case] given: Option<i32>, #[case] taker: Option<Kind>) {
        let given = container(given);
        let takers: Vec<_> = [Kind::Docker, Kind::Mesos]
            .into_iter()
            .filter(|kind| kind.takes(given.as_ref()).is_ok())
            .collect();
        assert_eq!(takers, Vec::from_iter(taker));
    }
}
