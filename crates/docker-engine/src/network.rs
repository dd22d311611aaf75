//! Networks, through bollard.

use std::time::Duration;

use bollard::query_parameters::InspectNetworkOptions;

use crate::engine::{Engine, within};
use crate::error::{EngineError, Op};
use crate::path;
use crate::transport::from_bollard;

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
}

impl Engine {
    /// Looks a network up, by name or id; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As every read: `Unreachable`, `Timeout`, `StreamBroken`, `Protocol`, or what the engine says.
    pub async fn network_inspect(
        &self,
        name: &str,
        deadline: Duration,
    ) -> Result<Option<Network>, EngineError> {
        let escaped = path::segment(name);
        let found = within(Op::InspectNetwork, name, deadline, async {
            let inspected = self.bollard().inspect_network(&escaped, None::<InspectNetworkOptions>).await;
            inspected.map_err(|error| from_bollard(error, Op::InspectNetwork, name, self.name()))
        })
        .await;
        match found {
            Ok(network) => Ok(Some(Network {
                id: network.id.unwrap_or_default(),
                name: network.name.unwrap_or_default(),
                driver: network.driver.unwrap_or_default(),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
