//! The labels on our containers: what recovery needs to know of a container without asking anything else.
//!
//! A task may not set a label under our prefix, in whatever way it names labels: [`check_foreign`] runs on the final
//! request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use containerizer::{Checkpoint, Identity};

/// The prefix of all our labels.
pub const PREFIX: &str = "org.apache.mesos.";

/// The version of the label set.
const SCHEMA: &str = "1";

/// What the labels of one of our containers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Who it belongs to.
    pub identity: Identity,
    /// The canonical work directory of the agent that launched it: whose container it is.
    pub work_dir: PathBuf,
    /// Whether it outlives the agent.
    pub checkpoint: Checkpoint,
}

/// Labels that carry our prefix and cannot be read: ours by the prefix, and not to be touched on a guess.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label {PREFIX}{name} {why}")]
pub struct LabelError {
    name: &'static str,
    why: String,
}

impl Labels {
    /// The labels as the engine takes them.
    ///
    /// # Errors
    ///
    /// A work directory that is not UTF-8, which no label can hold.
    pub fn to_map(&self) -> Result<BTreeMap<String, String>, LabelError> {
        let Some(work_dir) = self.work_dir.to_str() else {
            return Err(LabelError { name: "work_dir", why: "cannot hold a path that is not UTF-8".into() });
        };
        let identity = &self.identity;
        let checkpoint = match self.checkpoint {
            Checkpoint::Yes => "true",
            Checkpoint::No => "false",
        };
        let pairs = [
            ("agent_id", identity.agent_id.as_str()),
            ("framework_id", identity.framework_id.as_str()),
            ("executor_id", identity.executor_id.as_str()),
            ("task_id", identity.task_id.as_str()),
            ("container_id", &identity.container_id.to_string()),
            ("work_dir", work_dir),
            ("checkpoint", checkpoint),
            ("schema", SCHEMA),
        ];
        Ok(pairs.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned())).collect())
    }

    /// Reads the labels of a container; `None` if it has none of ours.
    ///
    /// # Errors
    ///
    /// A label that is missing or cannot be read, by its name.
    pub fn read(map: &BTreeMap<String, String>) -> Result<Option<Self>, LabelError> {
        if !map.keys().any(|key| key.starts_with(PREFIX)) {
            return Ok(None);
        }
        fn get<T: std::str::FromStr<Err: std::fmt::Display>>(
            map: &BTreeMap<String, String>,
            name: &'static str,
        ) -> Result<T, LabelError> {
            let value = map.get(&format!("{PREFIX}{name}"));
            let value = value.ok_or_else(|| LabelError { name, why: "is missing".into() })?;
            value.parse().map_err(|error| LabelError { name, why: format!("cannot be read: {error}") })
        }
        let schema: String = get(map, "schema")?;
        if schema != SCHEMA {
            return Err(LabelError {
                name: "schema",
                why: format!("has version {schema:?}, which a newer agent wrote"),
            });
        }
        let checkpoint = match get::<String>(map, "checkpoint")?.as_str() {
            "true" => Checkpoint::Yes,
            "false" => Checkpoint::No,
            other => {
                return Err(LabelError {
                    name: "checkpoint",
                    why: format!("is neither true nor false: {other:?}"),
                });
            }
        };
        Ok(Some(Self {
            identity: Identity {
                agent_id: get(map, "agent_id")?,
                framework_id: get(map, "framework_id")?,
                executor_id: get(map, "executor_id")?,
                task_id: get(map, "task_id")?,
                container_id: get(map, "container_id")?,
            },
            work_dir: PathBuf::from(get::<String>(map, "work_dir")?),
            checkpoint,
        }))
    }

    /// Whether the container belongs to the agent that uses this canonical work directory, whatever its agent id.
    pub fn belong_to(&self, work_dir: &Path) -> bool {
        self.work_dir == work_dir
    }
}

/// The name of the first label under our prefix among those that a task set.
pub fn check_foreign<'a>(mut labels: impl Iterator<Item = &'a str>) -> Result<(), &'a str> {
    match labels.find(|label| label.starts_with(PREFIX)) {
        Some(label) => Err(label),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use mesos_types::ContainerId;

    use super::*;

    fn labels() -> Labels {
        Labels {
            identity: Identity {
                agent_id: "local".parse().unwrap(),
                framework_id: "f".parse().unwrap(),
                executor_id: "test:colon".parse().unwrap(),
                task_id: "test:colon".parse().unwrap(),
                container_id: ContainerId::random(),
            },
            work_dir: "/var/lib/mesos".into(),
            checkpoint: Checkpoint::Yes,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let map = labels().to_map().unwrap();
        assert_eq!(map.len(), 8);
        let read = Labels::read(&map).unwrap().unwrap();
        assert_eq!(read.to_map().unwrap(), map);
    }

    #[test]
    fn a_container_without_our_labels_is_not_ours() {
        let map = BTreeMap::from([("maintainer".to_owned(), "x".to_owned())]);
        assert_eq!(Labels::read(&map), Ok(None));
    }

    #[rstest::rstest]
    #[case("container_id", Some("no uuid"))]
    #[case("task_id", None)]
    #[case("schema", Some("2"))]
    #[case("checkpoint", Some("maybe"))]
    fn labels_that_cannot_be_read_name_the_label(#[case] name: &str, #[case] value: Option<&str>) {
        let mut map = labels().to_map().unwrap();
        map.remove(&format!("{PREFIX}{name}"));
        if let Some(value) = value {
            map.insert(format!("{PREFIX}{name}"), value.into());
        }
        let error = Labels::read(&map).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }

    #[test]
    fn a_task_may_not_set_our_labels() {
        assert_eq!(check_foreign(["a", "org.apache.mesos"].into_iter()), Ok(()));
        assert_eq!(check_foreign(["a", "org.apache.mesos.x"].into_iter()), Err("org.apache.mesos.x"));
    }
}
