//! The ids of Mesos as distinct types that hold the rules of `src/common/validation.cpp` (`validateID`).
//!
//! Ids become path components of the work directory and parts of container names, so a value that exists is safe there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest id: the longest file name of Linux' file systems, in bytes.
const NAME_MAX: usize = 255;

/// An id that breaks the rules, with the kind of id and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {kind} id {value:?}: {rule}")]
pub struct IdError {
    kind: &'static str,
    value: String,
    rule: &'static str,
}

fn check(kind: &'static str, value: &str) -> Result<(), IdError> {
    let rule = if value.is_empty() {
        "it is empty"
    } else if value.len() > NAME_MAX {
        "it is longer than 255 bytes"
    } else if value == "." || value == ".." {
        "it is a directory reference"
    } else if value.chars().any(char::is_control) {
        "it has a control character"
    } else if value.contains(['/', '\\']) {
        "it has a slash or backslash"
    } else {
        return Ok(());
    };
    let shown: String = value.chars().take(64).collect();
    Err(IdError { kind, value: shown, rule })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as it is on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(value: &str) -> Result<Self, IdError> {
                check($kind, value)?;
                Ok(Self(value.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(value: String) -> Result<Self, IdError> {
                check($kind, &value)?;
                Ok(Self(value))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// The id that the master gave the agent; `local` for `mesos-docker`.
    AgentId,
    "agent"
);
id!(
    /// The id of a framework.
    FrameworkId,
    "framework"
);
id!(
    /// The id of an executor; for a command task it is the task's id.
    ExecutorId,
    "executor"
);
id!(
    /// The id of a task, unique in its framework.
    TaskId,
    "task"
);

/// The id of a container: a random UUID made by the agent, in its hyphenated lower-case form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(uuid::Uuid);

impl ContainerId {
    /// A new id from the system's random source.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }
}

impl FromStr for ContainerId {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        check("container", value)?;
        let refused = || IdError {
            kind: "container",
            value: value.chars().take(64).collect(),
            rule: "it is not a hyphenated UUID",
        };
        if value.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(refused());
        }
        uuid::Uuid::try_parse(value).map(Self).map_err(|_| refused())
    }
}

impl TryFrom<String> for ContainerId {
    type Error = IdError;

    fn try_from(value: String) -> Result<Self, IdError> {
        value.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("", "empty")]
    #[case(".", "directory reference")]
    #[case("..", "directory reference")]
    #[case("a/b", "slash")]
    #[case("a\\b", "slash")]
    #[case("a\nb", "control")]
    #[case("a\0b", "control")]
    fn an_id_that_is_no_path_component_is_refused(#[case] value: &str, #[case] rule: &str) {
        let error = value.parse::<TaskId>().unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
        assert!(error.contains("task"), "{error}");
    }

    #[test]
    fn an_id_is_at_most_a_file_name_long() {
        assert!("x".repeat(255).parse::<ExecutorId>().is_ok());
        assert!("x".repeat(256).parse::<ExecutorId>().is_err());
    }

    #[test]
    fn a_colon_is_legal_in_a_task_id() {
        assert_eq!("test:colon".parse::<TaskId>().unwrap().as_str(), "test:colon");
    }

    #[test]
    fn a_container_id_is_a_hyphenated_uuid() {
        let id = ContainerId::random();
        assert_eq!(id.to_string().parse::<ContainerId>().unwrap(), id);
        for bad in ["malformedUUID", "executor", "c9b9bba0a5f94d3c8a0b1f9d6ee4a1b2", "{x}"] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }
}
