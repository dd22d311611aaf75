//! Named volumes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::{Engine, decode};
use crate::error::{EngineError, Op};
use crate::path;
use crate::serde_null::nullable;
use crate::transport::Call;

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver.
    #[serde(default, deserialize_with = "nullable")]
    pub driver: String,
    /// Its labels.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// Where it is on the host.
    #[serde(default, deserialize_with = "nullable")]
    pub mountpoint: String,
}

/// How the removal of a volume went. Neither is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeRemoval {
    /// It was there and is gone.
    Removed,
    /// It was not there.
    AlreadyGone,
}

impl Engine {
    /// Lists the volumes that have a label, `name` or `name=value`.
    ///
    /// # Errors
    ///
    /// As every read: `Unreachable`, `Timeout`, `StreamBroken`, `Protocol`, or what the engine says.
    pub async fn volume_list(&self, label: &str, deadline: Duration) -> Result<Vec<Volume>, EngineError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "Volumes", default, deserialize_with = "nullable")]
            volumes: Vec<Volume>,
        }
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let call = Call::get(format!("/volumes?filters={}", path::value(&filters)));
        let wire: Wire = self.call_json(Op::ListVolumes, self.name(), deadline, &call).await?;
        Ok(wire.volumes)
    }

    /// Looks a volume up by name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Engine::volume_list`].
    pub async fn volume_inspect(
        &self,
        name: &str,
        deadline: Duration,
    ) -> Result<Option<Volume>, EngineError> {
        let call = Call::get(format!("/volumes/{}", path::segment(name)));
        match self.call(Op::InspectVolume, name, deadline, &call).await {
            Ok(answer) => decode(&answer, Op::InspectVolume, name).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a volume by name. May be repeated.
    ///
    /// # Errors
    ///
    /// `Conflict` for one that a container uses.
    pub async fn volume_remove(&self, name: &str, deadline: Duration) -> Result<VolumeRemoval, EngineError> {
        let call = Call::delete(format!("/volumes/{}", path::segment(name)));
        match self.call(Op::RemoveVolume, name, deadline, &call).await {
            Ok(_) => Ok(VolumeRemoval::Removed),
            Err(error) if error.is_not_found() => Ok(VolumeRemoval::AlreadyGone),
            Err(error) => Err(error),
        }
    }
}
