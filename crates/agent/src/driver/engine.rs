//! The containerizers of `--containerizers`. The Docker Engine is waited for at the start, since its tasks can neither be
//! launched nor recovered without it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use docker_containerizer::policy::{self, HostPlaces, Policy};
use docker_containerizer::{Containerizer as Docker, OperatorConfig, RemovalDelay, chain};
use docker_engine::{Engine, EngineError};
use docker_setup::FetchPlaces;
use fetcher::agent::Fetcher;
use flags::AgentSettings;
use flags::agent::Containerizer as Name;
use mesos_containerizer::Containerizer as Mesos;
use task_supervisor::{Composing, Supervisor, SupervisorSettings};
use tokio::time::sleep;

use super::error::AgentError;
use super::surroundings;
use crate::in_container::Lookout;

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is needed to launch tasks, the engine aside.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    settings: &'a AgentSettings,
    work_dir: &'a Path,
    operator: Option<OperatorConfig>,
    policy: Arc<Policy>,
    lookout: Lookout,
    /// Of both containerizers: a cache has one owner.
    fetcher: Fetcher,
}

impl<'a> Workshop<'a> {
    /// Reads what the flags name. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// The flag that cannot be used.
    pub(super) fn new(settings: &'a AgentSettings, work_dir: &'a Path) -> Result<Self, AgentError> {
        let docker = &settings.docker;
        let operator = docker_setup::operator_config(docker)?;
        let policy = policy_with(settings, work_dir, &docker.docker_socket)?;
        if let Some(caution) = policy.caution() {
            tracing::warn!("{caution}");
        }
        let lookout = surroundings::lookout(settings, work_dir);
        if settings.containerizers.contains(&Name::Docker) {
            lookout.before_the_engine()?;
        }
        let places = FetchPlaces { cache: docker.fetch.cache_dir.clone() };
        let fetcher = docker_setup::fetcher(docker, places);
        Ok(Self { settings, work_dir, operator, policy: Arc::new(policy), lookout, fetcher })
    }

    /// Waits for the engine and answers what supervises tasks on it.
    ///
    /// # Errors
    ///
    /// A flag that cannot be used. An engine that does not answer is waited for, with a line in the log.
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub(super) async fn supervisor(&self) -> Result<Supervisor, AgentError> {
        let docker = &self.settings.docker;
        let mut containerizers = Composing::default();
        for name in &self.settings.containerizers {
            containerizers = match name {
                Name::Docker => containerizers.docker_next(self.docker().await?),
                Name::Mesos => containerizers.mesos_next(self.mesos()?),
            };
        }
        Ok(Supervisor::new(
            containerizers,
            SupervisorSettings {
                work_dir: self.work_dir.to_owned(),
                default_grace: self.settings.executors.shutdown_grace_period.max(docker.docker_stop_timeout),
                reading: docker_setup::reading(docker),
                removal: RemovalDelay::After(docker.docker_remove_delay),
                // The core tells the addresses of tasks without their own, `--ip6` among them.
                host_address: None,
                masked: docker_setup::masked(docker),
                checks: docker_setup::check_settings(docker),
            },
        ))
    }

    /// The Mesos containerizer. Blocks on the file system.
    fn mesos(&self) -> Result<Mesos, AgentError> {
        let docker = &self.settings.docker;
        let containment = docker_setup::containment(&self.settings.containment, docker, self.work_dir)?;
        let fetcher = self.fetcher.clone();
        Ok(Mesos::new(docker_setup::plain_settings(docker, containment, fetcher, self.work_dir)))
    }

    /// The Docker containerizer, once an engine answers.
    async fn docker(&self) -> Result<Docker, AgentError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_docker().await? {
                Ok(docker) => return Ok(docker),
                Err(error) => {
                    tracing::warn!(
                        socket = %self.settings.docker.docker_socket.display(),
                        error = chain(&error),
                        "no Docker Engine answers; waiting for one"
                    );
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// One try.
    async fn try_docker(&self) -> Result<Result<Docker, EngineError>, AgentError> {
        let docker = &self.settings.docker;
        let operator = self.operator.as_ref();
        let options = docker_setup::engine_options(docker, &docker.docker_socket, operator)?;
        let engine = match Engine::connect(options).await {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        let socket_on_host = match surroundings::look(&engine, &self.lookout, &docker.docker_policy).await {
            Ok(looked) => looked?,
            Err(error) => return Ok(Err(error)),
        };
        let policy = match socket_on_host {
            Some(socket) => Arc::new(policy_with(self.settings, self.work_dir, &socket)?),
            None => self.policy.clone(),
        };
        let request = docker_setup::request_settings(docker, &docker.docker_socket, operator, policy)?;
        let (operator, fetcher) = (self.operator.clone(), self.fetcher.clone());
        let settings = docker_setup::containerizer_settings(docker, request, operator, fetcher);
        Ok(Docker::new(engine, settings).await)
    }
}

/// What tasks may ask of a host that has the engine's socket there.
fn policy_with(settings: &AgentSettings, work_dir: &Path, socket: &Path) -> Result<Policy, AgentError> {
    let places = HostPlaces { work_dir: work_dir.to_owned(), socket: socket.to_owned(), policy_file: None };
    Ok(policy::load(&settings.docker.docker_policy, places)?)
}
