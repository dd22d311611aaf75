//! What the programs of executors find in their environment: the same for all of an agent, and what is of one.

use std::path::PathBuf;

use checkpoint::WorkDir;
use docker_containerizer::chain;
use flags::{AgentSettings, Secret};
use mesos_proto::v1;
use mesos_types::{AgentId, EnvVar};

use super::open_runs::is_docker;
use crate::core::Run;
use crate::executors::{AgentFacts, Claims, ExecutorFacts, TokenKey, environment, executor_environment};

/// What every executor of the agent is told.
#[derive(Debug)]
pub(super) struct ExecutorSetup {
    pub(super) facts: AgentFacts,
    /// What tokens are signed with, where executors get some.
    pub(super) key: Option<TokenKey>,
    pub(super) work_dir: PathBuf,
}

impl ExecutorSetup {
    /// As the flags have it, for an agent whose process is `pid`. Looks for libraries; blocks on the disk.
    pub(super) fn new(
        settings: &AgentSettings,
        pid: String,
        key: Option<TokenKey>,
        work_dir: PathBuf,
    ) -> Self {
        let executors = &settings.executors;
        let facts = AgentFacts {
            ip: settings.network.ip,
            given: settings.docker.executor_environment_variables.clone().into_iter().flatten().collect(),
            native_library: environment::native_library(),
            pid,
            http_command_executor: executors.http_command_executor,
            shutdown_grace_period: executors.shutdown_grace_period,
            recovery_timeout: executors.recovery_timeout,
            reregistration_timeout: executors.reregistration_timeout,
        };
        Self { facts, key, work_dir }
    }

    /// What a task without an image finds: what stock's executor, which would be between it and us, passes on. That takes
    /// the token of executors out of the environment (`src/executor/executor.cpp`): it lets its bearer speak as one. A
    /// Docker task finds nothing of all this.
    ///
    /// # Errors
    ///
    /// As [`ExecutorSetup::environment`].
    pub(super) fn of_task(
        &self,
        agent_id: &AgentId,
        run: &Run,
        info: &v1::TaskInfo,
        checkpoint: bool,
    ) -> Result<Vec<EnvVar>, String> {
        if is_docker(info) {
            return Ok(Vec::new());
        }
        let executor = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: run.executor_id.as_str().to_owned() },
            ..Default::default()
        };
        self.with_token(agent_id, run, &executor, checkpoint, None)
    }

    /// What one executor finds.
    ///
    /// # Errors
    ///
    /// A variable that no process can be given, as a chain of causes.
    pub(super) fn environment(
        &self,
        agent_id: &AgentId,
        run: &Run,
        info: &v1::ExecutorInfo,
        checkpoint: bool,
    ) -> Result<Vec<EnvVar>, String> {
        let claims = Claims {
            framework_id: run.framework_id.clone(),
            executor_id: run.executor_id.clone(),
            container_id: run.container_id,
        };
        let token = self.key.as_ref().map(|key| key.token(&claims));
        self.with_token(agent_id, run, info, checkpoint, token.as_ref())
    }

    fn with_token(
        &self,
        agent_id: &AgentId,
        run: &Run,
        info: &v1::ExecutorInfo,
        checkpoint: bool,
        token: Option<&Secret>,
    ) -> Result<Vec<EnvVar>, String> {
        let paths = WorkDir::new(&self.work_dir).agent(agent_id);
        let paths = paths.framework(&run.framework_id).executor(&run.executor_id).run(run.container_id);
        let facts = ExecutorFacts {
            agent_id,
            framework_id: &run.framework_id,
            checkpoint,
            info,
            directory: paths.sandbox(),
            token,
        };
        executor_environment(&self.facts, facts).map_err(|error| chain(&error))
    }
}
