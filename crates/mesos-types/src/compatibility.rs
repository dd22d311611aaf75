//! Whether an agent that starts with other flags is still the agent that it was (Mesos `src/slave/compatibility.cpp`).

use mesos_proto::v1::AgentInfo;

use crate::attributes::Kind;
use crate::resource::{Resource, ResourceError, ResourceSet, ResourceValue};

/// Why an agent cannot keep its id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// Something is not what it was.
    #[error("recorded {what} {was}, and now {is}")]
    Changed {
        /// What.
        what: &'static str,
        /// What was recorded.
        was: String,
        /// What the flags give.
        is: String,
    },
    /// A resource in one of the messages is none.
    #[error(transparent)]
    Resource(#[from] ResourceError),
}

/// Checks `--reconfiguration_policy=equal`: hostname, port, domain, resources and attributes are the same.
///
/// # Errors
///
/// The first difference.
pub fn check_equal(recorded: &AgentInfo, flags: &AgentInfo) -> Result<(), Incompatible> {
    check_place(recorded, flags)?;
    if recorded.domain != flags.domain {
        return Err(changed_domain(recorded, flags));
    }
    let (was, is) = (resources(recorded)?, resources(flags)?);
    if was != is {
        return Err(changed("resources", &was, &is));
    }
    let has = |info: &AgentInfo, other: &AgentInfo| {
        info.attributes.len() == other.attributes.len()
            && other.attributes.iter().all(|attribute| {
                info.attributes
                    .iter()
                    .any(|own| own.name == attribute.name && Kind::of(own).is_equal(&Kind::of(attribute)))
            })
    };
    if !has(recorded, flags) || !has(flags, recorded) {
        return Err(changed("attributes", &shown(recorded), &shown(flags)));
    }
    Ok(())
}

/// Checks `--reconfiguration_policy=additive`: hostname and port are the same, and nothing that was there is missing or
/// smaller.
///
/// # Errors
///
/// The first thing that is.
pub fn check_additive(recorded: &AgentInfo, flags: &AgentInfo) -> Result<(), Incompatible> {
    check_place(recorded, flags)?;
    if recorded.domain.is_some() && recorded.domain != flags.domain {
        return Err(changed_domain(recorded, flags));
    }
    let (was, is) = (resources(recorded)?, resources(flags)?);
    for resource in was.iter() {
        if !is.iter().any(|other| is_at_least(other, resource)) {
            return Err(changed("resources", &was, &is));
        }
    }
    for attribute in &recorded.attributes {
        let keeps = |other: &Kind<'_>| match (other, Kind::of(attribute)) {
            (Kind::Ranges(now), Kind::Ranges(then)) => now.contains(&then),
            (now, then) => now.is_equal(&then),
        };
        let is_kept =
            flags.attributes.iter().any(|other| other.name == attribute.name && keeps(&Kind::of(other)));
        if !is_kept {
            return Err(changed("attributes", &shown(recorded), &shown(flags)));
        }
    }
    Ok(())
}

/// Hostname and port must be the same under every policy.
fn check_place(recorded: &AgentInfo, flags: &AgentInfo) -> Result<(), Incompatible> {
    if recorded.hostname != flags.hostname {
        return Err(changed("hostname", &recorded.hostname, &flags.hostname));
    }
    match recorded.port() == flags.port() {
        true => Ok(()),
        false => Err(changed("port", &recorded.port(), &flags.port())),
    }
}

/// Whether `now` is `then` or more of it.
fn is_at_least(now: &Resource, then: &Resource) -> bool {
    let like = |value: &ResourceValue| value.is_like(then.value());
    like(now.value()) && now.is_same_kind(then) && now.value().contains(then.value())
}

fn resources(info: &AgentInfo) -> Result<ResourceSet, ResourceError> {
    ResourceSet::from_protos(&info.resources)
}

fn changed(what: &'static str, was: &dyn std::fmt::Display, is: &dyn std::fmt::Display) -> Incompatible {
    Incompatible::Changed { what, was: was.to_string(), is: is.to_string() }
}

fn changed_domain(recorded: &AgentInfo, flags: &AgentInfo) -> Incompatible {
    let shown = |info: &AgentInfo| match info.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref())
    {
        Some(domain) => format!("{}/{}", domain.region.name, domain.zone.name),
        None => "unset".to_owned(),
    };
    changed("domain", &shown(recorded), &shown(flags))
}

fn shown(info: &AgentInfo) -> String {
    use crate::resource::summary::SummaryValue;
    let text = |(name, value): (String, SummaryValue)| match value {
        SummaryValue::Number(number) => format!("{name}:{number}"),
        SummaryValue::Text(text) => format!("{name}:{text}"),
    };
    let list: Vec<String> = crate::attributes::summary(&info.attributes).into_iter().map(text).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(";") }
}
