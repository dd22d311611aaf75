//! Why a pull failed: the class that decides what follows, and the error that a person reads.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use docker_engine::{EngineError, ErrorKind};

use super::sentences;
use containerizer::Failure;

/// What kind of failure a pull met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PullClass {
    /// The registry has no such image, or no such platform of it.
    NotFound,
    /// The registry wants other credentials.
    Denied,
    /// The registry wants fewer pulls.
    RateLimited,
    /// The registry could not be reached, broke off, went silent or failed.
    Network,
    /// The host has no room left.
    DiskFull,
    /// Anything else that the engine says.
    Engine,
    /// The engine itself was away.
    EngineAway,
}

/// A pull that failed. Cheap to clone, since all who waited get it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The engine or the registry failed it.
    #[error("the pull failed at attempt {attempts}")]
    Failed {
        /// The image.
        image: String,
        /// How often it was tried.
        attempts: u32,
        /// What kind of failure it was.
        class: PullClass,
        /// The last error.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The waiter's deadline passed (`--docker_pull_timeout`).
    #[error("the pull of image {image} was not done within {}s", after.as_secs_f64())]
    TimedOut {
        /// The image.
        image: String,
        /// The deadline.
        after: Duration,
        /// The last failure until then, if there was one.
        #[source]
        last: Option<Box<PullError>>,
    },
    /// Too many pulls wait already (`--docker_max_queued_pulls`).
    #[error("{waiting} pulls wait already, and image {image} was not queued")]
    QueueFull {
        /// The image.
        image: String,
        /// How many wait.
        waiting: usize,
    },
    /// The runtime shuts down.
    #[error("the pull of image {image} was abandoned")]
    Abandoned {
        /// The image.
        image: String,
    },
}

impl PullClass {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 7] = [
        Self::NotFound,
        Self::Denied,
        Self::RateLimited,
        Self::Network,
        Self::DiskFull,
        Self::Engine,
        Self::EngineAway,
    ];

    /// Classifies an error of a pull: by kind, which is the HTTP status, and where that says nothing by the engine's
    /// sentence. The engine answers 500 for nearly everything that a registry tells it.
    pub fn of(error: &EngineError) -> Self {
        match error.kind() {
            ErrorKind::NotFound { .. } => Self::NotFound,
            ErrorKind::Unauthorized { .. } => Self::Denied,
            ErrorKind::RateLimited { .. } => Self::RateLimited,
            // No progress: it is the registry that keeps the engine waiting.
            ErrorKind::Timeout { .. } => Self::Network,
            ErrorKind::Unreachable { .. } | ErrorKind::StreamBroken { .. } => Self::EngineAway,
            ErrorKind::ServerError { message } | ErrorKind::InStream { message } => {
                sentences::class_of(message).unwrap_or(Self::Engine)
            }
            _ => Self::Engine,
        }
    }

    /// The name that counters and messages show.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Denied => "denied",
            Self::RateLimited => "rate limited",
            Self::Network => "network",
            Self::DiskFull => "disk full",
            Self::Engine => "engine",
            Self::EngineAway => "engine away",
        }
    }

    /// Whether asking again soon gets the same answer, so that it may be given without asking.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::NotFound | Self::Denied => true,
            Self::RateLimited | Self::Network | Self::DiskFull | Self::Engine | Self::EngineAway => false,
        }
    }

    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::RateLimited => {
                "the registry wants fewer pulls; give credentials with --docker_config, or use a mirror"
            }
            Self::Network => "check whether the engine reaches the registry",
            Self::DiskFull => "make room where the engine keeps its images",
            Self::Engine => "check the name of the image, and the engine's log",
            // Of these the launch says whose credentials were shown.
            Self::NotFound | Self::Denied => return None,
            Self::EngineAway => return None,
        })
    }
}

impl PullError {
    /// The class, where a class decides something.
    pub fn class(&self) -> Option<PullClass> {
        match self {
            Self::Failed { class, .. } => Some(*class),
            // A registry that is too slow is as good as one that is down.
            Self::TimedOut { .. } => Some(PullClass::Network),
            Self::QueueFull { .. } | Self::Abandoned { .. } => None,
        }
    }

    /// The failure of a launch, with a hint for the person who reads it.
    pub(crate) fn into_failure(self) -> Failure {
        let message = match &self {
            // The engine's error names the image itself.
            Self::Failed { attempts: 1, source, .. } => crate::chain(source.as_ref()),
            _ => crate::chain(&self),
        };
        let hint = match &self {
            Self::Failed { class, .. } => class.hint(),
            Self::TimedOut { .. } => Some("raise --docker_pull_timeout, or leave it out"),
            Self::QueueFull { .. } => Some("raise --docker_max_queued_pulls"),
            Self::Abandoned { .. } => None,
        };
        let message = match hint {
            Some(hint) => format!("{message} (hint: {hint})"),
            None => message,
        };
        Failure::new("pull", message).exit_code(125)
    }
}

impl fmt::Display for PullClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
