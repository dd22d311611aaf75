//! The variables of libprocess in the environment: `libprocess` reads them, and TLS is refused there by name.

use libprocess::Overrides;

use super::error::AgentFlagsError;
use super::http::Rate;
use crate::source::Notice;

/// The variable that limits how often the metrics are asked for.
const METRICS_RATE: &str = "LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT";

/// What libprocess is told by its environment; flags win over it (Mesos `src/slave/main.cpp`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LibprocessVariables {
    /// Addresses, among others.
    pub(super) overrides: Overrides,
    /// `LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT`; `None` where it is unset, and in it where there is no limit.
    pub(super) metrics_rate: Option<Option<Rate>>,
}

impl LibprocessVariables {
    /// Reads and checks the variables. The port's is passed over: `--port` always has a value, and wins.
    ///
    /// # Errors
    ///
    /// A bad value, and TLS.
    pub(super) fn read(
        environment: &[(String, String)],
        notices: &mut Vec<Notice>,
    ) -> Result<Self, AgentFlagsError> {
        let variables = environment.iter().filter(|(name, _)| name != "LIBPROCESS_PORT").cloned();
        let overrides = Overrides::read(variables)?;
        notices.extend(overrides.without_effect.iter().map(|name| Notice {
            flag: "(none)",
            text: format!("environment variable {name} has no effect: this agent is not built on libprocess"),
        }));
        let metrics_rate = match &overrides.metrics_rate_limit {
            None => None,
            Some(value) => Some(
                Rate::parse(value)
                    .map_err(|reason| AgentFlagsError::Variable { name: METRICS_RATE.to_owned(), reason })?,
            ),
        };
        Ok(Self { overrides, metrics_rate })
    }
}
