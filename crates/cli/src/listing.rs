//! The containers of a work directory as the engine lists them, by our labels, with one call.

use std::collections::BTreeMap;
use std::path::Path;

use docker_containerizer::labels::PREFIX;
use docker_containerizer::{Identity, Labels};
use docker_engine::{Engine, ListFilter};
use mesos_types::ContainerId;

use crate::failure::{Failure, chain};
use crate::runs;

/// A container of a run.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) engine_id: String,
    pub(crate) identity: Identity,
    /// The engine's word for its state, such as `running`.
    pub(crate) state: String,
    /// When it was made, in seconds since 1970.
    pub(crate) created: i64,
}

/// Lists the containers of all runs of a work directory, by container id.
///
/// # Errors
///
/// The engine does not answer.
pub(crate) async fn containers(
    engine: &Engine,
    work_dir: &Path,
) -> Result<BTreeMap<ContainerId, Container>, Failure> {
    let filter = ListFilter {
        labels: vec![format!("{PREFIX}work_dir={}", work_dir.display())],
        ..ListFilter::default()
    };
    let listed =
        engine.list(&filter, engine.deadlines().list).await.map_err(|error| Failure::ours(chain(&error)))?;
    let mut containers = BTreeMap::new();
    for container in listed {
        // The engine's filter compares texts; the labels are read again for what they must be.
        let Ok(Some(labels)) = Labels::read(&container.labels) else { continue };
        // An image made from one of our containers carries its labels; a container of ours has its id in the name too.
        let named = |name: &String| {
            docker_containerizer::names::parse(name)
                .is_some_and(|parsed| parsed.container_id == labels.identity.container_id)
        };
        if !container.names.iter().any(named)
            || !labels.belong_to(work_dir)
            || runs::parse_id(labels.identity.framework_id.as_str()).is_none()
        {
            continue;
        }
        let (id, identity) = (labels.identity.container_id, labels.identity);
        let container = Container {
            engine_id: container.id,
            identity,
            state: container.state,
            created: container.created,
        };
        containers.insert(id, container);
    }
    Ok(containers)
}
