//! The Docker Engine: waited for at the start, since tasks can neither be launched nor recovered without it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use docker_containerizer::policy::{self, HostPlaces, Policy};
use docker_containerizer::{Containerizer, OperatorConfig, RemovalDelay, chain};
use docker_engine::{Engine, EngineError};
use docker_setup::FetchPlaces;
use flags::AgentSettings;
use task_supervisor::{Supervisor, SupervisorSettings};
use tokio::time::sleep;

use super::error::AgentError;

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
        let places = HostPlaces {
            work_dir: work_dir.to_owned(),
            socket: docker.docker_socket.clone(),
            policy_file: None,
        };
        let policy = policy::load(&docker.docker_policy, places)?;
        if let Some(caution) = policy.caution() {
            tracing::warn!("{caution}");
        }
        Ok(Self { settings, work_dir, operator, policy: Arc::new(policy) })
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
        let mut pause = FIRST_PAUSE;
        let containerizer = loop {
            match self.containerizer().await? {
                Ok(containerizer) => break containerizer,
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
        };
        let docker = &self.settings.docker;
        Ok(Supervisor::new(
            containerizer,
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

    /// One try.
    async fn containerizer(&self) -> Result<Result<Containerizer, EngineError>, AgentError> {
        let docker = &self.settings.docker;
        let operator = self.operator.as_ref();
        let options = docker_setup::engine_options(docker, &docker.docker_socket, operator)?;
        let request =
            docker_setup::request_settings(docker, &docker.docker_socket, operator, self.policy.clone())?;
        let places = FetchPlaces { cache: docker.fetch.cache_dir.clone() };
        let settings = docker_setup::containerizer_settings(docker, request, self.operator.clone(), places);
        let engine = match Engine::connect(options).await {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        Ok(Containerizer::new(engine, settings).await)
    }
}
