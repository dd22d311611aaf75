//! The operations on an agent's total: reservations and persistent volumes come and go
//! (Mesos `Resources::apply` and `getResourceConversions`).

use mesos_proto::v1;
use v1::offer::operation::{self, Type};

use super::amount::Amount;
use super::one::{Resource, ResourceError};
use super::set::ResourceSet;
use super::value::ResourceValue;

/// An operation that cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// A resource in it is none.
    #[error("operation {operation} has a bad resource")]
    BadResource {
        /// The name of the operation.
        operation: &'static str,
        /// The resource, and what is wrong.
        #[source]
        source: ResourceError,
    },
    /// The operation makes no sense.
    #[error("operation {operation} is refused: {reason}")]
    Refused {
        /// The name of the operation.
        operation: &'static str,
        /// Why.
        reason: String,
    },
    /// The agent does not have what the operation needs.
    #[error("operation {operation} needs {needed}, and the agent has {total}")]
    NotThere {
        /// The name of the operation.
        operation: &'static str,
        /// The resources that it would use up.
        needed: String,
        /// The agent's total.
        total: String,
    },
}

/// What an operation uses up and what it makes of it.
#[derive(Debug, Default)]
struct Conversion {
    consumed: ResourceSet,
    converted: ResourceSet,
}

/// The total of an agent after an operation. Allocations in the operation are left out of account, as totals have none.
///
/// # Errors
///
/// An operation that is none of RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME, that makes no
/// sense, or for which the total does not have enough. The total is as it was.
pub fn apply_operation(
    total: &ResourceSet,
    message: &v1::offer::Operation,
) -> Result<ResourceSet, OperationError> {
    let operation = Operation { name: message.r#type().as_str_name() };
    let conversions = match message.r#type() {
        Type::Reserve => operation.reserve(operation.part(message.reserve.as_ref())?)?,
        Type::Unreserve => operation.unreserve(operation.part(message.unreserve.as_ref())?)?,
        Type::Create => operation.create(operation.part(message.create.as_ref())?)?,
        Type::Destroy => operation.destroy(operation.part(message.destroy.as_ref())?, total)?,
        Type::GrowVolume => vec![operation.grow(operation.part(message.grow_volume.as_ref())?)?],
        Type::ShrinkVolume => vec![operation.shrink(operation.part(message.shrink_volume.as_ref())?)?],
        Type::Unknown | Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            return Err(operation.refused("it does not apply to the agent's own resources"));
        }
    };
    let mut result = total.clone();
    for Conversion { consumed, converted } in conversions {
        if !result.contains(&consumed) {
            return Err(OperationError::NotThere {
                operation: operation.name,
                needed: consumed.to_string(),
                total: result.to_string(),
            });
        }
        result.subtract_all(&consumed);
        result.add_all(&converted);
    }
    Ok(result)
}

/// One operation, for its errors.
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
}

impl Operation {
    fn refused(self, reason: impl Into<String>) -> OperationError {
        OperationError::Refused { operation: self.name, reason: reason.into() }
    }

    /// The part of the message that its type names.
    fn part<T>(self, part: Option<&T>) -> Result<&T, OperationError> {
        part.ok_or_else(|| self.refused("the message does not say what"))
    }

    /// One resource of the operation, allocated to nobody.
    fn resource(self, message: &v1::Resource) -> Result<Resource, OperationError> {
        let resource = Resource::from_proto(message)
            .map_err(|source| OperationError::BadResource { operation: self.name, source })?;
        Ok(Resource { allocation_role: None, ..resource })
    }

    fn resources(self, messages: &[v1::Resource]) -> Result<Vec<Resource>, OperationError> {
        messages.iter().map(|message| self.resource(message)).collect()
    }

    fn reserve(self, message: &operation::Reserve) -> Result<Vec<Conversion>, OperationError> {
        let reserved = self.resources(&message.resources)?;
        if let Some(other) = reserved.iter().find(|resource| !resource.is_dynamically_reserved()) {
            return Err(self.refused(format!("{other} has no dynamic reservation")));
        }
        if !message.source.is_empty() {
            let source: ResourceSet = self.resources(&message.source)?.into_iter().collect();
            let reserved: ResourceSet = reserved.into_iter().collect();
            let bare =
                |set: &ResourceSet| set.map(|one| Resource { reservations: Vec::new(), ..one.clone() });
            if bare(&source) != bare(&reserved) {
                return Err(self.refused(format!("{source} and {reserved} are not the same amounts")));
            }
            return Ok(vec![Conversion { consumed: source, converted: reserved }]);
        }
        let conversion = |resource: Resource| one_to_one(resource.without_last_reservation(), resource);
        Ok(reserved.into_iter().map(conversion).collect())
    }

    fn unreserve(self, message: &operation::Unreserve) -> Result<Vec<Conversion>, OperationError> {
        let mut conversions = Vec::new();
        for resource in self.resources(&message.resources)? {
            if !resource.is_dynamically_reserved() {
                return Err(self.refused(format!("{resource} has no dynamic reservation")));
            }
            if resource.is_persistent_volume() {
                return Err(self.refused(format!("{resource} is a persistent volume, destroy it first")));
            }
            conversions.push(one_to_one(resource.clone(), resource.without_last_reservation()));
        }
        Ok(conversions)
    }

    fn create(self, message: &operation::Create) -> Result<Vec<Conversion>, OperationError> {
        let mut conversions = Vec::new();
        for volume in self.resources(&message.volumes)? {
            self.check_volume(&volume)?;
            conversions.push(one_to_one(volume.without_volume(), volume));
        }
        Ok(conversions)
    }

    fn destroy(
        self,
        message: &operation::Destroy,
        total: &ResourceSet,
    ) -> Result<Vec<Conversion>, OperationError> {
        let mut conversions = Vec::new();
        for volume in self.resources(&message.volumes)? {
            self.check_volume(&volume)?;
            if total.copies(&volume) > 1 {
                return Err(self.refused(format!("{volume} is shared and has other copies")));
            }
            conversions.push(one_to_one(volume.clone(), volume.without_volume()));
        }
        Ok(conversions)
    }

    fn grow(self, message: &operation::GrowVolume) -> Result<Conversion, OperationError> {
        let volume = self.resource(&message.volume)?;
        let addition = self.resource(&message.addition)?;
        let size = self.resizable(&volume)?;
        let Some(more) = addition.amount().filter(|_| addition.is_same_kind(&volume.without_volume())) else {
            return Err(self.refused(format!("{addition} is not of the disk that {volume} is on")));
        };
        let grown = volume.with_value(ResourceValue::Scalar(size.plus(more)));
        Ok(Conversion {
            consumed: ResourceSet::from_iter([volume, addition]),
            converted: ResourceSet::from_iter([grown]),
        })
    }

    fn shrink(self, message: &operation::ShrinkVolume) -> Result<Conversion, OperationError> {
        let volume = self.resource(&message.volume)?;
        let size = self.resizable(&volume)?;
        let less = Amount::from_f64(message.subtract.value).map_err(|reason| self.refused(reason))?;
        if less >= size {
            return Err(self.refused(format!("{volume} is not larger than {less}")));
        }
        let shrunk = volume.with_value(ResourceValue::Scalar(size.minus(less)));
        let freed = volume.without_volume().with_value(ResourceValue::Scalar(less));
        Ok(Conversion {
            consumed: ResourceSet::from_iter([volume]),
            converted: ResourceSet::from_iter([shrunk, freed]),
        })
    }

    /// Checks that a resource is a persistent volume of somebody's.
    fn check_volume(self, volume: &Resource) -> Result<(), OperationError> {
        if !volume.is_persistent_volume() {
            return Err(self.refused(format!("{volume} is not a persistent volume")));
        }
        if volume.reservations().is_empty() {
            return Err(self.refused(format!("{volume} is not reserved")));
        }
        Ok(())
    }

    /// The size of a volume that can have another one.
    fn resizable(self, volume: &Resource) -> Result<Amount, OperationError> {
        self.check_volume(volume)?;
        if volume.is_shared() {
            return Err(self.refused(format!("{volume} is shared")));
        }
        if volume.without_volume().is_one_piece() {
            return Err(self.refused(format!("{volume} is a whole disk")));
        }
        volume.amount().ok_or_else(|| self.refused(format!("{volume} has no size")))
    }
}

fn one_to_one(consumed: Resource, converted: Resource) -> Conversion {
    Conversion {
        consumed: ResourceSet::from_iter([consumed]),
        converted: ResourceSet::from_iter([converted]),
    }
}
