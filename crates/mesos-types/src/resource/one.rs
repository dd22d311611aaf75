//! One resource, valid by construction.

use std::fmt;

use mesos_proto::v1;
use v1::resource::DiskInfo;

use super::amount::Amount;
use super::disk::{self, DiskSource, PersistenceId};
use super::format;
use super::reservation::{self, Reservation, ReservationKind};
use super::value::ResourceValue;
use crate::roles;

/// A resource that cannot be taken for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("resource {name:?}: {reason}")]
pub struct ResourceError {
    name: String,
    reason: String,
}

impl ResourceError {
    pub(super) fn new(name: &str, reason: impl Into<String>) -> Self {
        let reason: String = reason.into();
        Self { name: name.chars().take(64).collect(), reason: reason.chars().take(512).collect() }
    }
}

/// An amount of one kind of resource, with all that sets it apart from others of its name.
#[derive(Debug, Clone)]
pub struct Resource {
    pub(super) name: String,
    pub(super) value: ResourceValue,
    pub(super) reservations: Vec<Reservation>,
    pub(super) allocation_role: Option<String>,
    pub(super) provider_id: Option<String>,
    pub(super) disk: Option<DiskInfo>,
    pub(super) is_revocable: bool,
    pub(super) is_shared: bool,
}

impl Resource {
    /// An unreserved resource.
    ///
    /// # Errors
    ///
    /// A name that is none, or a value of the wrong shape for a name that Mesos knows.
    pub fn new(name: &str, value: ResourceValue) -> Result<Self, ResourceError> {
        check_shape(name, &value)?;
        Ok(Self {
            name: name.to_owned(),
            value,
            reservations: Vec::new(),
            allocation_role: None,
            provider_id: None,
            disk: None,
            is_revocable: false,
            is_shared: false,
        })
    }

    /// The same resource, reserved for `role` by the agent's flags; `*` reserves nothing.
    ///
    /// # Errors
    ///
    /// A role that cannot be one.
    pub fn reserved_for(mut self, role: &str) -> Result<Self, ResourceError> {
        roles::validate(role).map_err(|error| ResourceError::new(&self.name, error.to_string()))?;
        if role != roles::ANY {
            self.reservations = vec![Reservation::fixed(role)];
        }
        Ok(self)
    }

    /// Reads a message in the form before or after reservation refinement.
    ///
    /// # Errors
    ///
    /// What no agent can have: a value that does not fit the type, an amount below zero, an id that is no file name,
    /// reservations that do not lie within each other, a shared resource that is no volume.
    pub fn from_proto(message: &v1::Resource) -> Result<Self, ResourceError> {
        let refuse = |reason: String| ResourceError::new(&message.name, reason);
        let value = ResourceValue::from_proto(message).map_err(refuse)?;
        check_shape(&message.name, &value)?;
        let mut newer = message.clone();
        format::upgrade_one(&mut newer)?;
        let resource = Self {
            name: newer.name,
            value,
            reservations: reservation::stack(&newer.reservations).map_err(refuse)?,
            allocation_role: newer.allocation_info.and_then(|info| info.role),
            provider_id: newer.provider_id.map(|id| id.value),
            disk: newer.disk.filter(|disk| *disk != DiskInfo::default()),
            is_revocable: newer.revocable.is_some(),
            is_shared: newer.shared.is_some(),
        };
        resource.check().map_err(refuse)?;
        Ok(resource)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(disk) = &self.disk {
            if self.name != "disk" {
                return Err("only the resource disk can have a disk".to_owned());
            }
            if let Some(persistence) = &disk.persistence {
                PersistenceId::new(&persistence.id)?;
            }
            if self.is_revocable && disk.persistence.is_some() {
                return Err("a persistent volume cannot be revocable".to_owned());
            }
        }
        if self.is_shared && !self.is_persistent_volume() {
            return Err("only a persistent volume can be shared".to_owned());
        }
        match self.allocation_role.as_deref().map(roles::validate) {
            Some(Err(error)) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// The message in the form after reservation refinement.
    pub fn to_proto(&self) -> v1::Resource {
        let mut message = v1::Resource {
            provider_id: self.provider_id.clone().map(|value| v1::ResourceProviderId { value }),
            name: self.name.clone(),
            allocation_info: self
                .allocation_role
                .clone()
                .map(|role| v1::resource::AllocationInfo { role: Some(role) }),
            reservations: self.reservations.iter().map(Reservation::to_proto).collect(),
            disk: self.disk.clone(),
            revocable: self.is_revocable.then(v1::resource::RevocableInfo::default),
            shared: self.is_shared.then(v1::resource::SharedInfo::default),
            ..Default::default()
        };
        self.value.write(&mut message);
        message
    }

    /// Its name: `cpus`, `mem`, `disk`, `gpus`, `ports`, or one of the operator's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much of it.
    pub fn value(&self) -> &ResourceValue {
        &self.value
    }

    /// The amount, if it is a scalar.
    pub fn amount(&self) -> Option<Amount> {
        match &self.value {
            ResourceValue::Scalar(amount) => Some(*amount),
            ResourceValue::Ranges(_) | ResourceValue::Set(_) => None,
        }
    }

    /// Its reservations, the outermost first.
    pub fn reservations(&self) -> &[Reservation] {
        &self.reservations
    }

    /// The role of the innermost reservation, `*` if there is none.
    pub fn role(&self) -> &str {
        self.reservations.last().map_or(roles::ANY, Reservation::role)
    }

    /// The role it is allocated to.
    pub fn allocation_role(&self) -> Option<&str> {
        self.allocation_role.as_deref()
    }

    /// The resource provider it comes from; none if it is the agent's own.
    pub fn provider_id(&self) -> Option<&str> {
        self.provider_id.as_deref()
    }

    /// Whether the innermost reservation was made at run time.
    pub fn is_dynamically_reserved(&self) -> bool {
        self.reservations.last().is_some_and(|reservation| reservation.kind() == ReservationKind::Dynamic)
    }

    /// Whether it is a persistent volume.
    pub fn is_persistent_volume(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.persistence.is_some())
    }

    /// The id of the persistent volume that it is.
    pub fn persistence_id(&self) -> Option<PersistenceId> {
        let persistence = self.disk.as_ref()?.persistence.as_ref()?;
        // The id was checked when the message was read.
        PersistenceId::new(&persistence.id).ok()
    }

    /// Where a persistent volume shows in a container, and how.
    pub fn volume(&self) -> Option<&v1::Volume> {
        self.disk.as_ref()?.volume.as_ref()
    }

    /// Where the space of a disk is.
    pub fn disk_source(&self) -> DiskSource<'_> {
        disk::source(self.disk.as_ref())
    }

    /// Whether it may be taken back at any time.
    pub fn is_revocable(&self) -> bool {
        self.is_revocable
    }

    /// Whether several tasks may use it at once.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The same resource with another amount or set, of the same shape.
    pub(super) fn with_value(&self, value: ResourceValue) -> Self {
        Self { value, ..self.clone() }
    }

    /// The same resource without its innermost reservation.
    pub(super) fn without_last_reservation(&self) -> Self {
        let mut resource = self.clone();
        resource.reservations.pop();
        resource
    }

    /// The space that a persistent volume was made of.
    pub(super) fn without_volume(&self) -> Self {
        let disk = self.disk.as_ref().and_then(disk::without_volume);
        Self { disk, is_shared: false, ..self.clone() }
    }

    /// Whether both are of one kind, whatever the amount.
    pub(crate) fn is_same_kind(&self, other: &Self) -> bool {
        self.name == other.name
            && self.value.is_like(&other.value)
            && self.is_shared == other.is_shared
            && self.is_revocable == other.is_revocable
            && self.allocation_role == other.allocation_role
            && self.provider_id == other.provider_id
            && self.reservations == other.reservations
            && disk::is_same(self.disk.as_ref(), other.disk.as_ref())
    }

    /// Whether it is one piece, of which neither a part can be taken nor another added.
    pub(super) fn is_one_piece(&self) -> bool {
        self.is_shared || self.is_persistent_volume() || self.disk.as_ref().is_some_and(disk::is_one_piece)
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.is_same_kind(other) && self.value == other.value
    }
}

impl Eq for Resource {}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.reservations.is_empty() {
            write!(f, "({})", self.role())?;
        }
        if let Some(id) = self.persistence_id() {
            write!(f, "[{id}]")?;
        }
        write!(f, ":{}", self.value)
    }
}

/// Checks the name, and the shape of values whose meaning Mesos knows.
fn check_shape(name: &str, value: &ResourceValue) -> Result<(), ResourceError> {
    if name.is_empty() {
        return Err(ResourceError::new(name, "it has no name"));
    }
    match (name, value) {
        ("cpus" | "mem" | "disk", ResourceValue::Scalar(_)) | ("ports", ResourceValue::Ranges(_)) => Ok(()),
        ("gpus", ResourceValue::Scalar(amount)) if amount.thousandths().is_multiple_of(1000) => Ok(()),
        ("gpus", _) => Err(ResourceError::new(name, "it must be a whole number")),
        ("cpus" | "mem" | "disk", _) => Err(ResourceError::new(name, "it must be a number")),
        ("ports", _) => Err(ResourceError::new(name, "it must be ranges such as [31000-32000]")),
        _ => Ok(()),
    }
}
