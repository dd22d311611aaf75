//! Networks: looking one up through bollard, and connecting a container.

use std::time::Duration;

use bollard::query_parameters::InspectNetworkOptions;
use serde::Serialize;

use crate::create_body::EndpointSettings;
use crate::engine::{Engine, unreadable, within};
use crate::error::{EngineError, Op};
use crate::path;
use crate::transport::{Call, Repeat, from_bollard};

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

    /// Connects a container, which need not run yet, to one more network.
    ///
    /// Engines before API 1.44 take one network in a create; the others are connected by this, before the start.
    ///
    /// # Errors
    ///
    /// `NotFound` for a container that is not there; a network that is not there is told now or, for a container that
    /// does not run, by its start; `BadRequest`, `Unauthorized` (403) or `ServerError`
    /// with the engine's sentence. After an error whose outcome is unknown, an inspection of the container tells.
    pub async fn network_connect(
        &self,
        network: &str,
        container: &str,
        settings: &EndpointSettings,
        deadline: Duration,
    ) -> Result<(), EngineError> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body<'a> {
            container: &'a str,
            endpoint_config: &'a EndpointSettings,
        }
        let json = serde_json::to_vec(&Body { container, endpoint_config: settings })
            .map_err(|error| unreadable(Op::ConnectNetwork, network, &error))?;
        let call =
            Call::post(format!("/networks/{}/connect", path::segment(network)), Repeat::Never).json(json);
        self.call(Op::ConnectNetwork, network, deadline, &call).await.map(drop)
    }
}
