//! The verbs of several containerizers as one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docker_containerizer::{Containerizer as Docker, Kill, Usage};
use mesos_containerizer::Containerizer as Mesos;
use mesos_proto::v1;
use mesos_types::{ContainerId, TaskLimits, TaskResources};

use super::claims::{Claims, Launching, lock};
use super::error::{ComposingError, Refusal};
use super::handle::{Handle, Running};
use super::kind::Kind;

/// The containerizers of an agent in the order of `--containerizers`. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Composing {
    /// In the order in which they are asked; each once.
    order: Arc<[Kind]>,
    docker: Option<Docker>,
    mesos: Option<Mesos>,
    claims: Arc<Mutex<Claims>>,
}

/// The member that has a container.
enum Owner<'a> {
    Docker(&'a Docker),
    Mesos(&'a Mesos),
}

impl From<Docker> for Composing {
    fn from(docker: Docker) -> Self {
        Self::default().docker_next(docker)
    }
}

impl From<Mesos> for Composing {
    fn from(mesos: Mesos) -> Self {
        Self::default().mesos_next(mesos)
    }
}

impl Composing {
    /// Adds the Docker containerizer behind those that are there.
    #[must_use]
    pub fn docker_next(mut self, docker: Docker) -> Self {
        self.follow(Kind::Docker);
        self.docker = Some(docker);
        self
    }

    /// Adds the Mesos containerizer behind those that are there.
    #[must_use]
    pub fn mesos_next(mut self, mesos: Mesos) -> Self {
        self.follow(Kind::Mesos);
        self.mesos = Some(mesos);
        self
    }

    /// The Mesos containerizer, if it is among them.
    pub fn mesos(&self) -> Option<&Mesos> {
        self.mesos.as_ref()
    }

    fn follow(&mut self, kind: Kind) {
        let others = self.order.iter().copied().filter(|other| *other != kind);
        self.order = others.chain([kind]).collect();
    }

    /// Whether this one is among them.
    pub fn has(&self, kind: Kind) -> bool {
        self.order.contains(&kind)
    }

    /// The Docker containerizer, if it is among them.
    pub fn docker(&self) -> Option<&Docker> {
        self.docker.as_ref()
    }

    /// Takes an id for a launch. Until a member has it, a destroy of the id ends the launch.
    ///
    /// # Errors
    ///
    /// An id that is in use.
    pub fn claim(&self, id: ContainerId) -> Result<Launching, ComposingError> {
        let mut claims = lock(&self.claims);
        if self.wait(id).is_some() || !claims.claim(id) {
            return Err(ComposingError::AlreadyStarted(id));
        }
        Ok(Launching::new(id, self.claims.clone()))
    }

    /// Asks the members, in their order, which takes this container.
    ///
    /// # Errors
    ///
    /// What each of them said where none takes it, and a launch that was destroyed before all were asked.
    pub fn choose(
        &self,
        launching: &Launching,
        container: Option<&v1::ContainerInfo>,
    ) -> Result<Kind, ComposingError> {
        let mut said = Vec::new();
        for kind in self.order.iter().copied() {
            if launching.is_destroyed() {
                return Err(ComposingError::Destroyed(launching.id()));
            }
            match kind.takes(container) {
                Ok(()) => return Ok(kind),
                Err(why) => said.push((kind, why)),
            }
        }
        Err(ComposingError::Unsupported(Refusal { said }))
    }

    /// Hands a launch to its member with `launch`, unless it was destroyed meanwhile.
    ///
    /// # Errors
    ///
    /// That it was destroyed, or what the member says.
    pub(crate) fn commit(
        &self,
        launching: &Launching,
        launch: impl FnOnce() -> Result<Handle, ComposingError>,
    ) -> Result<Handle, ComposingError> {
        let id = launching.id();
        if launching.is_destroyed() {
            return Err(ComposingError::Destroyed(id));
        }
        let handle = launch()?;
        // A destroy that came in between has found nobody.
        if launching.is_destroyed() {
            drop(self.destroy(id, Kill { grace: Duration::ZERO }));
        }
        Ok(handle)
    }

    /// Stops a container, whatever it is doing; `None` for one that no member has. A launch that no member has yet ends
    /// without a container.
    pub fn destroy(&self, id: ContainerId, kill: Kill) -> Option<Handle> {
        let mut claims = lock(&self.claims);
        let handle = match self.owner(id) {
            Some(Owner::Docker(docker)) => docker.destroy(id, kill).map(Handle::Docker),
            Some(Owner::Mesos(mesos)) => mesos.destroy(id, kill).map(Handle::Mesos),
            None => None,
        };
        if handle.is_none() {
            claims.destroy(id);
        }
        handle
    }

    /// The end of a container; `None` for one that no member has.
    pub fn wait(&self, id: ContainerId) -> Option<Handle> {
        match self.owner(id)? {
            Owner::Docker(docker) => docker.wait(id).map(Handle::Docker),
            Owner::Mesos(mesos) => mesos.wait(id).map(Handle::Mesos),
        }
    }

    /// Changes what a container may use. One that is not known, or does not run, is no error, as with each member.
    ///
    /// # Errors
    ///
    /// What the member says.
    pub async fn update(
        &self,
        id: ContainerId,
        resources: TaskResources,
        limits: TaskLimits,
    ) -> Result<(), ComposingError> {
        match self.owner(id) {
            Some(Owner::Docker(docker)) => Ok(docker.update(id, resources, limits).await?),
            Some(Owner::Mesos(mesos)) => Ok(mesos.update(id, resources, limits).await?),
            None => {
                tracing::warn!(container_id = %id, "an unknown container is not updated");
                Ok(())
            }
        }
    }

    /// What a container uses.
    ///
    /// # Errors
    ///
    /// An unknown id, or what the member says.
    pub fn usage(&self, id: ContainerId) -> Result<Usage, ComposingError> {
        match self.owner(id).ok_or(ComposingError::Unknown(id))? {
            Owner::Docker(docker) => Ok(docker.usage(id)?),
            Owner::Mesos(mesos) => Ok(mesos.usage(id)?),
        }
    }

    /// What was seen of a container when it started; `None` before.
    ///
    /// # Errors
    ///
    /// An unknown id, or what the member says.
    pub fn status(&self, id: ContainerId) -> Result<Option<Running>, ComposingError> {
        match self.owner(id).ok_or(ComposingError::Unknown(id))? {
            Owner::Docker(docker) => Ok(docker.status(id)?.running.map(Box::new).map(Running::Docker)),
            Owner::Mesos(mesos) => Ok(mesos.status(id)?.running.map(Running::Plain)),
        }
    }

    /// Appends a line of ours to the standard error of a container that runs. Never waits.
    pub fn note(&self, id: ContainerId, line: &str) {
        match self.owner(id) {
            Some(Owner::Docker(docker)) => docker.note(id, line),
            Some(Owner::Mesos(mesos)) => mesos.note(id, line),
            None => tracing::debug!(container_id = %id, line, "no container for a note"),
        }
    }

    /// The ids of all containers whose end was not told.
    pub fn containers(&self) -> BTreeSet<ContainerId> {
        let docker = self.docker.iter().flat_map(Docker::containers);
        docker.chain(self.mesos.iter().flat_map(Mesos::containers)).collect()
    }

    /// Waits until every container has ended and every due removal is done.
    pub async fn settled(&self) {
        if let Some(docker) = &self.docker {
            docker.settled().await;
        }
        if let Some(mesos) = &self.mesos {
            mesos.settled().await;
        }
    }

    /// Who has a container.
    fn owner(&self, id: ContainerId) -> Option<Owner<'_>> {
        let docker = self.docker.as_ref().filter(|docker| docker.wait(id).is_some());
        let mesos = || self.mesos.as_ref().filter(|mesos| mesos.wait(id).is_some());
        docker.map(Owner::Docker).or_else(|| mesos().map(Owner::Mesos))
    }
}
