//! Why the agent cannot start, or cannot go on.

use std::path::PathBuf;

use checkpoint::{CheckpointError, CommitError, OpenError, RecoverError};

use crate::resources::VolumeError;

/// Why the process ends with a failure. The program prints it with its causes on one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The work directory.
    #[error(transparent)]
    WorkDir(#[from] OpenError),
    /// What an earlier process left in it.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// It cannot be written.
    #[error("cannot write the agent's state")]
    Checkpoint(#[from] CheckpointError),
    /// Reservations and volumes cannot be put on the disk.
    #[error(transparent)]
    Resources(#[from] CommitError<VolumeError>),
    /// The address.
    #[error("cannot listen (name another address with --ip or --port, or stop who uses this one)")]
    Listen(#[from] libprocess::BindError),
    /// The process id is taken, which cannot be in a new node.
    #[error("cannot take messages")]
    Register(#[from] libprocess::RegisterError),
    /// `--docker_policy`.
    #[error("the flag --docker_policy cannot be used")]
    Policy(#[from] docker_containerizer::policy::LoadError),
    /// How tasks without an image are isolated.
    #[error("tasks without an image cannot be isolated as the flags say")]
    Containment(#[from] mesos_containerizer::isolation::ContainmentError),
    /// `--docker_config`.
    #[error("the flag --docker_config cannot be used")]
    DockerConfig(#[from] docker_containerizer::CredentialError),
    /// `--master`.
    #[error(transparent)]
    Master(#[from] crate::detector::AddressError),
    /// `--credential`.
    #[error("the flag --credential cannot be used")]
    Credential(#[from] crate::authentication::CredentialError),
    /// The record of a run that is to be launched.
    #[error("cannot record a launch: {0}")]
    Record(String),
    /// `--jwt_secret_key`.
    #[error(transparent)]
    TokenKey(#[from] crate::executors::TokenKeyError),
    /// The container that the agent runs in.
    #[error(transparent)]
    Container(#[from] crate::in_container::SetupError),
    /// A flag whose value only the start can judge.
    #[error("the flag --{flag} cannot be used: {why}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// Why, and what to do.
        why: String,
    },
    /// The agent is not what it was.
    #[error(
        "the agent is configured differently than when it registered: {difference} (restore the flags; or widen \
         --reconfiguration_policy; or start as a new agent: stop this machine's tasks and remove {})",
        latest.display()
    )]
    Incompatible {
        /// What differs.
        difference: String,
        /// The link whose removal makes a new agent.
        latest: PathBuf,
    },
    /// Runs of an earlier process cannot be followed.
    #[error(
        "{runs} tasks or executors of this agent, such as {example}, may run in containers of {containerizer}, which is \
         not among --containerizers: they could be neither followed nor stopped (add {containerizer} to \
         --containerizers; or start as a new agent: stop them and remove {})",
        latest.display()
    )]
    Unattended {
        /// How many.
        runs: usize,
        /// One of them, by its executor.
        example: String,
        /// The containerizer that is missing.
        containerizer: &'static str,
        /// The link whose removal makes a new agent.
        latest: PathBuf,
    },
    /// The system.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The core gave up; says why.
    #[error("{0}")]
    Failed(String),
}
