//! Finding our containers after a restart, as far as labels and one list of the engine carry it.
//!
//! The engine is the truth and the checkpoint the intent; the caller reconciles the two. Whose a container is, its
//! `work_dir` label says, whatever agent id it carries. One without labels is ours only if our checkpoint names it: a
//! stock agent of the same work directory made it, or our executor under one, which labels it with a directory of its
//! own. All others are never touched (departs from stock, which takes every `mesos-<uuid>` on the host for its own).

use std::collections::BTreeSet;
use std::path::Path;

use docker_engine::{EngineError, ListFilter, Listed};
use mesos_types::ContainerId;

use crate::containerizer::Containerizer;
use crate::labels::Labels;
use crate::names::{self, Role};
use crate::removal::remove;

/// One of our containers on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The engine's id.
    pub engine_id: String,
    /// Its name, without the slash.
    pub name: String,
    /// Our id.
    pub container_id: ContainerId,
    /// What runs in it.
    pub role: Role,
    /// Our labels; `None` for one that a stock agent, or an executor under one, made.
    pub labels: Option<Labels>,
    /// The engine's word for its state.
    pub state: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// What a container of the list is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whose {
    Ours(Box<Found>),
    /// Another agent's, or a person's; holds why, for the log.
    NotOurs(&'static str),
}

/// Decides whose a container of the list is. `known` are the ids of our checkpoint.
fn whose(listed: &Listed, work_dir: &Path, known: &BTreeSet<ContainerId>) -> Whose {
    let Some((name, parsed)) = listed.names.iter().find_map(|name| Some((name, names::parse(name)?))) else {
        return Whose::NotOurs("its name has no container id");
    };
    let labels = match Labels::read(&listed.labels) {
        Ok(labels) => labels,
        Err(_) => return Whose::NotOurs("its labels cannot be read"),
    };
    match &labels {
        Some(labels) if labels.identity.container_id != parsed.container_id => {
            return Whose::NotOurs("its name and its labels differ");
        }
        // Our own executor under a stock agent labels what it runs with a directory of its own, and names it as stock does.
        Some(labels)
            if !labels.belong_to(work_dir)
                && (parsed.agent_id.is_some() || !known.contains(&parsed.container_id)) =>
        {
            return Whose::NotOurs("it has another work directory");
        }
        None if !known.contains(&parsed.container_id) => {
            return Whose::NotOurs("it has no labels and our checkpoint does not name it");
        }
        Some(_) | None => {}
    }
    Whose::Ours(Box::new(Found {
        engine_id: listed.id.clone(),
        name: name.clone(),
        container_id: parsed.container_id,
        role: parsed.role,
        labels: labels.filter(|labels| labels.belong_to(work_dir)),
        state: listed.state.clone(),
        created: listed.created,
    }))
}

impl Containerizer {
    /// Lists our containers, running or not, with one call. Adopts and removes nothing: the caller has the checkpoint.
    ///
    /// # Errors
    ///
    /// The engine does not answer.
    pub async fn recover(
        &self,
        work_dir: &Path,
        known: &BTreeSet<ContainerId>,
    ) -> Result<Vec<Found>, EngineError> {
        let filter =
            ListFilter { name_pattern: Some(names::NAME_PATTERN.to_owned()), ..ListFilter::default() };
        let engine = self.engine();
        let listed = engine.list(&filter, engine.deadlines().list).await?;
        let mut ours = Vec::new();
        for container in &listed {
            match whose(container, work_dir, known) {
                Whose::Ours(found) => ours.push(*found),
                Whose::NotOurs(why) => tracing::debug!(container = container.id, why, "left alone"),
            }
        }
        Ok(ours)
    }

    /// Removes a container that nobody carries: kills it if it runs, and takes its anonymous volumes with it.
    ///
    /// # Errors
    ///
    /// The engine's last word, after retries within a deadline.
    pub async fn remove_orphan(&self, engine_id: &str) -> Result<(), String> {
        remove(&self.shared(), engine_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerizer::{Checkpoint, Identity};

    const ID: &str = "c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2";

    fn labels(work_dir: &str) -> Labels {
        Labels {
            identity: Identity {
                agent_id: "old".parse().unwrap(),
                framework_id: "f".parse().unwrap(),
                executor_id: "e".parse().unwrap(),
                task_id: "t".parse().unwrap(),
                container_id: ID.parse().unwrap(),
            },
            work_dir: work_dir.into(),
            checkpoint: Checkpoint::Yes,
        }
    }

    fn listed(name: &str, labels: Option<&Labels>) -> Listed {
        let labels = labels.map(|labels| labels.to_map().unwrap()).unwrap_or_default();
        serde_json::from_value(serde_json::json!({
            "Id": "abc", "Names": [name], "Labels": labels, "State": "running", "Created": 1, "Image": "i",
        }))
        .unwrap()
    }

    fn is_ours(name: &str, labels: Option<&Labels>, known: &[&str]) -> bool {
        let known = known.iter().map(|id| id.parse().unwrap()).collect();
        matches!(whose(&listed(name, labels), Path::new("/w"), &known), Whose::Ours(_))
    }

    #[test]
    fn the_work_directory_decides_whatever_the_agent_id() {
        let name = format!("mesos-other-{ID}");
        assert!(is_ours(&name, Some(&labels("/w")), &[]));
        assert!(!is_ours(&name, Some(&labels("/w2")), &[]));
        assert!(!is_ours(&name, Some(&labels("/w2")), &[ID]));
    }

    #[test]
    fn a_container_without_labels_is_ours_only_if_the_checkpoint_names_it() {
        let name = format!("mesos-{ID}");
        assert!(!is_ours(&name, None, &[]));
        assert!(is_ours(&name, None, &[ID]));
        assert!(!is_ours("mesos-malformedUUID", None, &[ID]));
    }

    /// What our `mesos-docker-executor` launched under a stock agent of this work directory.
    #[test]
    fn a_container_of_our_executor_is_ours_only_if_the_checkpoint_names_it() {
        let name = format!("mesos-{ID}");
        let labels = labels("/run/mesos-docker-executor");
        assert!(is_ours(&name, Some(&labels), &[ID]));
        assert!(!is_ours(&name, Some(&labels), &[]));
    }

    #[test]
    fn a_name_that_disagrees_with_its_labels_is_left_alone() {
        let name = "mesos-other-00000000-0000-4000-8000-000000000000";
        assert!(!is_ours(name, Some(&labels("/w")), &[]));
    }
}
