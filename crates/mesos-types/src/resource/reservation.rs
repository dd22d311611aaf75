//! For whom a resource is reserved.

use mesos_proto::v1;
use v1::resource::ReservationInfo;
use v1::resource::reservation_info::Type;

use crate::roles;

/// How a reservation came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationKind {
    /// By the flags of the agent.
    Static,
    /// At run time, by an operation.
    Dynamic,
}

/// One reservation of a resource.
#[derive(Debug, Clone)]
pub struct Reservation {
    kind: ReservationKind,
    role: String,
    principal: Option<String>,
    labels: Option<v1::Labels>,
}

impl Reservation {
    /// A reservation by the agent's flags; the role must be valid and not `*`.
    pub(super) fn fixed(role: &str) -> Self {
        Self { kind: ReservationKind::Static, role: role.to_owned(), principal: None, labels: None }
    }

    /// How it came to be.
    pub fn kind(&self) -> ReservationKind {
        self.kind
    }

    /// The role it is for.
    pub fn role(&self) -> &str {
        &self.role
    }

    pub(super) fn from_proto(info: &ReservationInfo) -> Result<Self, String> {
        let kind = match info.r#type() {
            Type::Static => ReservationKind::Static,
            Type::Dynamic => ReservationKind::Dynamic,
            Type::Unknown => return Err("a reservation is neither STATIC nor DYNAMIC".to_owned()),
        };
        let role = info.role.clone().ok_or("a reservation has no role")?;
        roles::validate(&role).map_err(|error| error.to_string())?;
        if role == roles::ANY {
            return Err("a reservation cannot be for the role *".to_owned());
        }
        if kind == ReservationKind::Static && (info.principal.is_some() || info.labels.is_some()) {
            return Err("a static reservation cannot have a principal or labels".to_owned());
        }
        Ok(Self { kind, role, principal: info.principal.clone(), labels: info.labels.clone() })
    }

    pub(super) fn to_proto(&self) -> ReservationInfo {
        let kind = match self.kind {
            ReservationKind::Static => Type::Static,
            ReservationKind::Dynamic => Type::Dynamic,
        };
        ReservationInfo {
            r#type: Some(kind.into()),
            role: Some(self.role.clone()),
            principal: self.principal.clone(),
            labels: self.labels.clone(),
        }
    }
}

/// Labels are a bag: their order says nothing.
fn bag(labels: Option<&v1::Labels>) -> Vec<(&str, Option<&str>)> {
    let mut bag: Vec<_> = labels
        .into_iter()
        .flat_map(|labels| &labels.labels)
        .map(|label| (label.key.as_str(), label.value.as_deref()))
        .collect();
    bag.sort_unstable();
    bag
}

impl PartialEq for Reservation {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.role == other.role
            && self.principal == other.principal
            && bag(self.labels.as_ref()) == bag(other.labels.as_ref())
    }
}

impl Eq for Reservation {}

/// Reads a stack of reservations: each is below the one before, and only the first may be static.
pub(super) fn stack(infos: &[ReservationInfo]) -> Result<Vec<Reservation>, String> {
    let mut stack: Vec<Reservation> = Vec::with_capacity(infos.len());
    for info in infos {
        let reservation = Reservation::from_proto(info)?;
        if let Some(outer) = stack.last() {
            if reservation.kind == ReservationKind::Static {
                return Err("a reservation within another one cannot be static".to_owned());
            }
            if !roles::is_strictly_within(&reservation.role, &outer.role) {
                return Err(format!("role {:?} is not below role {:?}", reservation.role, outer.role));
            }
        }
        stack.push(reservation);
    }
    Ok(stack)
}
