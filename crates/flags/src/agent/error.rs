//! Why the agent's flags cannot be used, with the place where the flag was set.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::error::FlagError;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An argument of the program.
    CommandLine,
    /// An environment variable.
    Environment(String),
    /// A file of the directory of `--config_dir`.
    File(PathBuf),
}

/// The flags cannot be used. [`AgentFlagsError::one_line`] is what a person sees.
#[derive(Debug, thiserror::Error)]
pub enum AgentFlagsError {
    /// A flag on the command line, or one that is missing.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// A flag that was set elsewhere.
    #[error("in {origin}")]
    Elsewhere {
        /// Where.
        origin: Origin,
        /// What is wrong.
        #[source]
        source: FlagError,
    },
    /// The directory of `--config_dir`, or a file in it, cannot be read.
    #[error("cannot read {} of flag --config_dir", path.display())]
    ConfigDir {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An environment variable that is no flag has a value that cannot be used.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A variable of libprocess cannot be followed.
    #[error(transparent)]
    Libprocess(#[from] libprocess::EnvironmentError),
    /// An argument is not text.
    #[error("argument {0} is not UTF-8")]
    NotText(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("the command line"),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl AgentFlagsError {
    /// Adds where the flag was set.
    pub(super) fn at(origin: Option<&Origin>, source: FlagError) -> Self {
        match origin {
            None | Some(Origin::CommandLine) => Self::Flag(source),
            Some(origin) => Self::Elsewhere { origin: origin.clone(), source },
        }
    }

    /// The error and its causes on one line.
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line.replace(['\n', '\r'], " ")
    }
}
