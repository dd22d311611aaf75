//! Why credentials for a pull could not be had.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sandbox::SandboxError;

use super::config::ConfigError;
use super::helper::HelperError;

/// Credentials that are configured and cannot be had. The pull fails: an anonymous one would only hide it.
///
/// Neither the message nor `Debug` has any value of a config, or anything that a helper printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The file of `--docker_config` cannot be read.
    #[error("cannot read the registry credentials of --docker_config from {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `--docker_config` was read and cannot be used.
    #[error("the registry credentials of --docker_config cannot be used")]
    Operator {
        /// Why.
        source: ConfigError,
    },
    /// A config in the sandbox is there and cannot be read.
    #[error("cannot read the registry credentials that the task brought into its sandbox")]
    Sandbox {
        /// Which file, and why.
        source: SandboxError,
    },
    /// A config in the sandbox was read and cannot be used.
    #[error("the registry credentials in {file} of the task's sandbox cannot be used")]
    Task {
        /// The file, relative to the sandbox.
        file: &'static str,
        /// Why.
        source: ConfigError,
    },
    /// A credential helper of `--docker_config` failed.
    #[error("the credential helper {helper} gave no credentials for the registry {registry}")]
    Helper {
        /// The program's name.
        helper: String,
        /// The registry's host.
        registry: String,
        /// Why.
        source: Arc<HelperError>,
    },
}
