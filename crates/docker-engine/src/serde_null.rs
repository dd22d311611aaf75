//! Reading what the engine leaves out or writes as `null`.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default: the engine writes it for empty lists and maps.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
