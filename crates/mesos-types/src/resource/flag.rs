//! The value of `--resources`, as text or JSON (Mesos `Resources::fromSimpleString` and `fromJSON`).

use std::collections::BTreeSet;

use mesos_proto::json::from_json_str;
use mesos_proto::{internal, v1};

use super::one::{Resource, ResourceError};
use super::set::ResourceSet;
use super::text::parse_value;
use crate::roles;

/// What `--resources` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFlag {
    /// The sum of all that is named.
    pub resources: ResourceSet,
    /// Every name in it, also those that stand for nothing: `cpus:0` keeps cpus from being detected.
    pub named: BTreeSet<String>,
}

/// A value of `--resources` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResourceFlagError {
    /// A part of the text is not `name:value` or `name(role):value`.
    #[error("{part:?} is not name:value or name(role):value")]
    Form {
        /// The part.
        part: String,
    },
    /// The value of a resource is none.
    #[error("the value of {name:?} cannot be used: {reason}")]
    Value {
        /// The name of the resource.
        name: String,
        /// Why.
        reason: String,
    },
    /// The JSON is not a list of resources.
    #[error("the JSON is not a list of resources: {0}")]
    Json(String),
    /// What is named cannot be a resource of an agent.
    #[error(transparent)]
    Resource(#[from] ResourceError),
}

impl ResourceFlag {
    /// Reads the text; what names no role is for `default_role`.
    ///
    /// # Errors
    ///
    /// The first part that cannot be used.
    pub fn parse(text: &str, default_role: &str) -> Result<Self, ResourceFlagError> {
        let list = match text.trim_start().starts_with('[') {
            true => from_json(text, default_role)?,
            false => from_text(text, default_role)?,
        };
        Ok(Self {
            named: list.iter().map(|resource| resource.name().to_owned()).collect(),
            resources: list.into_iter().collect(),
        })
    }
}

fn from_text(text: &str, default_role: &str) -> Result<Vec<Resource>, ResourceFlagError> {
    let parts = text.split([';', '\n']).filter(|part| !part.trim().is_empty());
    parts.map(|part| from_part(part, default_role)).collect()
}

/// Reads `name:value` or `name(role):value`.
fn from_part(part: &str, default_role: &str) -> Result<Resource, ResourceFlagError> {
    let form = || ResourceFlagError::Form { part: part.trim().chars().take(64).collect() };
    let (key, value) = part.split_once(':').ok_or_else(form)?;
    let (name, role) = match key.split_once('(') {
        None if key.contains(')') => return Err(form()),
        None => (key.trim(), default_role),
        Some((name, rest)) => {
            let role = rest.trim_end().strip_suffix(')').filter(|role| !role.contains(['(', ')']));
            (name.trim(), role.map(str::trim).ok_or_else(form)?)
        }
    };
    let value = parse_value(value)
        .and_then(super::text::TextValue::into_resource)
        .map_err(|reason| ResourceFlagError::Value { name: name.to_owned(), reason })?;
    Ok(Resource::new(name, value)?.reserved_for(role)?)
}

fn from_json(text: &str, default_role: &str) -> Result<Vec<Resource>, ResourceFlagError> {
    // The JSON reader takes messages, so the list is read as the field of one.
    let message: internal::CheckpointResourcesMessage =
        from_json_str(&format!("{{\"resources\":{text}}}"))
            .map_err(|error| ResourceFlagError::Json(error.to_string()))?;
    message.resources.into_iter().map(|resource| from_message(resource, default_role)).collect()
}

fn from_message(mut message: v1::Resource, default_role: &str) -> Result<Resource, ResourceFlagError> {
    if message.role.is_none() && message.reservations.is_empty() && default_role != roles::ANY {
        message.role = Some(default_role.to_owned());
    }
    let resource = Resource::from_proto(&message)?;
    let refusal = if resource.reservations().iter().any(|one| one.kind() == super::ReservationKind::Dynamic) {
        Some("a dynamic reservation is made by an operation, not by a flag")
    } else if resource.is_persistent_volume() {
        Some("a persistent volume is made by an operation, not by a flag")
    } else if resource.is_revocable() {
        Some("a revocable resource cannot be in a flag")
    } else if resource.allocation_role().is_some() || resource.provider_id().is_some() {
        Some("an allocation or a provider cannot be in a flag")
    } else {
        None
    };
    match refusal {
        Some(reason) => Err(ResourceError::new(resource.name(), reason).into()),
        None => Ok(resource),
    }
}
