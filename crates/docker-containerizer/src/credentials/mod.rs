//! Which registry gets which credentials, and everything that a docker config file says.
//!
//! For each pull the launch asks [`CredentialSources::resolve`], which looks in this order and takes the first answer:
//!
//! 1. `.docker/config.json`, or else `.dockercfg`, in the task's sandbox: its entries only. A config that names programs,
//!    proxies or headers is refused, since a task must not make a root process run or send anything;
//! 2. the operator's `--docker_config`, read again for every pull: `credHelpers` of the very host, then `credsStore`,
//!    then the entries;
//! 3. nothing: an anonymous pull.
//!
//! What is there and cannot be used is an error of the pull. It never turns into an anonymous pull without a word.
//!
//! | room | owns |
//! |---|---|
//! | `registry` | the spellings of a registry's address |
//! | `config` | both forms of a config file, and its entries |
//! | `operator` | `--docker_config`: inline or a file |
//! | `task` | the config in a sandbox: reading it, hiding it |
//! | `helper`, `shared` | running `docker-credential-*` programs, once for all who ask |
//! | `proxies` | the environment that `proxies` gives to containers |
//! | `sources` | the order of all of them |
//!
//! No value of a config is in a message or in `Debug` output of any type here.

mod config;
mod error;
mod helper;
mod operator;
mod proxies;
mod registry;
mod shared;
mod sources;
mod task;

pub use config::ConfigError;
pub use error::CredentialError;
pub use helper::{HelperError, HelperSettings};
pub use operator::OperatorConfig;
pub use proxies::ProxyVariables;
pub use sources::{CredentialSource, CredentialSources, Login};

pub(crate) use sources::{when_not_found, when_refused};
pub(crate) use task::hide;
