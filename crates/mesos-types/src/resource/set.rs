//! Sums of resources.

use std::collections::BTreeMap;
use std::fmt;

use mesos_proto::v1;

use super::amount::Amount;
use super::one::{Resource, ResourceError};
use super::range_set::RangeSet;
use super::value::ResourceValue;

/// A sum of resources: each kind stands in it once, and nothing of it is empty.
///
/// A shared volume that is added several times counts that often; [`ResourceSet::iter`] shows it once.
#[derive(Debug, Clone, Default)]
pub struct ResourceSet(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    resource: Resource,
    /// How often a shared resource is in the sum; 1 for all others.
    copies: u32,
}

impl ResourceSet {
    /// Nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The sum of messages in either form.
    ///
    /// # Errors
    ///
    /// The first message that is no resource.
    pub fn from_protos<'m>(
        messages: impl IntoIterator<Item = &'m v1::Resource>,
    ) -> Result<Self, ResourceError> {
        messages.into_iter().map(Resource::from_proto).collect()
    }

    /// The sum as messages, in the form after reservation refinement.
    pub fn to_protos(&self) -> Vec<v1::Resource> {
        self.iter().map(Resource::to_proto).collect()
    }

    /// The resources in the order in which they were first added.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.0.iter().map(|entry| &entry.resource)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often a shared volume is in the sum; 1 for others that are, 0 for what is not.
    pub fn copies(&self, resource: &Resource) -> u32 {
        self.0.iter().find(|entry| entry.resource == *resource).map_or(0, |entry| entry.copies)
    }

    /// Adds a resource (Mesos `Resources::add`).
    pub fn add(&mut self, resource: Resource) {
        if resource.value.is_empty() {
            return;
        }
        let one_piece = resource.is_one_piece();
        for entry in &mut self.0 {
            if resource.is_shared && entry.resource == resource {
                entry.copies = entry.copies.saturating_add(1);
                return;
            }
            if !one_piece && entry.resource.is_same_kind(&resource) {
                entry.resource.value.add(&resource.value);
                return;
            }
        }
        self.0.push(Entry { resource, copies: 1 });
    }

    /// Adds every resource of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for entry in &other.0 {
            for _ in 0..entry.copies {
                self.add(entry.resource.clone());
            }
        }
    }

    /// Takes away what is there of `resource`; of one piece, all or nothing (Mesos `Resources::subtract`).
    pub fn subtract(&mut self, resource: &Resource) {
        let Some(at) = self.0.iter().position(|entry| entry.can_lose(resource)) else { return };
        let entry = &mut self.0[at];
        if resource.is_shared && entry.copies > 1 {
            entry.copies -= 1;
            return;
        }
        entry.resource.value.subtract(&resource.value);
        if entry.resource.value.is_empty() {
            self.0.remove(at);
        }
    }

    /// Takes away what is there of every resource of `other`.
    pub fn subtract_all(&mut self, other: &Self) {
        for entry in &other.0 {
            for _ in 0..entry.copies {
                self.subtract(&entry.resource);
            }
        }
    }

    /// Whether `other` is a part of this sum.
    pub fn contains(&self, other: &Self) -> bool {
        let mut rest = self.clone();
        other.0.iter().all(|part| (0..part.copies).all(|_| rest.take(&part.resource)))
    }

    /// Whether one resource is a part of this sum.
    pub fn contains_one(&self, resource: &Resource) -> bool {
        self.contains(&Self::from_iter([resource.clone()]))
    }

    /// Takes a resource away if all of it is there.
    fn take(&mut self, resource: &Resource) -> bool {
        let fits = |entry: &Entry| entry.can_lose(resource) && entry.resource.value.contains(&resource.value);
        let is_there = self.0.iter().any(fits);
        if is_there {
            self.subtract(resource);
        }
        is_there
    }

    /// The resources for which `keep` is true.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Resource) -> bool) -> Self {
        Self(self.0.iter().filter(|entry| keep(&entry.resource)).cloned().collect())
    }

    /// The resources that nobody reserved.
    #[must_use]
    pub fn unreserved(&self) -> Self {
        self.filter(|resource| resource.reservations.is_empty())
    }

    /// The reserved resources by the role of their innermost reservation.
    pub fn reserved_by_role(&self) -> BTreeMap<String, Self> {
        let mut roles: BTreeMap<String, Self> = BTreeMap::new();
        for entry in self.0.iter().filter(|entry| !entry.resource.reservations.is_empty()) {
            roles.entry(entry.resource.role().to_owned()).or_default().0.push(entry.clone());
        }
        roles
    }

    /// The same resources, each as `change` makes it.
    #[must_use]
    pub(super) fn map(&self, change: impl Fn(&Resource) -> Resource) -> Self {
        let copies = self.0.iter().flat_map(|entry| {
            std::iter::repeat_n(change(&entry.resource), usize::try_from(entry.copies).unwrap_or(usize::MAX))
        });
        copies.collect()
    }

    /// The same resources, allocated to nobody (Mesos `Resources::unallocate`).
    #[must_use]
    pub fn unallocated(&self) -> Self {
        self.map(|resource| Resource { allocation_role: None, ..resource.clone() })
    }

    /// The same resources, allocated to `role` (Mesos `Resources::allocate`).
    #[must_use]
    pub fn allocated_to(&self, role: &str) -> Self {
        self.map(|resource| Resource { allocation_role: Some(role.to_owned()), ..resource.clone() })
    }

    /// The sum of all scalars called `name`, whatever else they are.
    pub fn amount(&self, name: &str) -> Option<Amount> {
        self.named(name).filter_map(Resource::amount).reduce(Amount::plus)
    }

    /// All numbers of the ranges called `name`.
    pub fn ranges(&self, name: &str) -> RangeSet {
        self.named(name).fold(RangeSet::default(), |sum, resource| match &resource.value {
            ResourceValue::Ranges(ranges) => sum.plus(ranges),
            ResourceValue::Scalar(_) | ResourceValue::Set(_) => sum,
        })
    }

    fn named<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s Resource> {
        self.iter().filter(move |resource| resource.name == name)
    }
}

impl Entry {
    /// Whether a part of this entry can be `resource` (Mesos `subtractable`).
    fn can_lose(&self, resource: &Resource) -> bool {
        match self.resource.is_one_piece() {
            true => self.resource == *resource,
            false => self.resource.is_same_kind(resource),
        }
    }
}

impl FromIterator<Resource> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut sum = Self::new();
        for resource in resources {
            sum.add(resource);
        }
        sum
    }
}

impl PartialEq for ResourceSet {
    fn eq(&self, other: &Self) -> bool {
        self.contains(other) && other.contains(self)
    }
}

impl Eq for ResourceSet {}

impl fmt::Display for ResourceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("{}");
        }
        for (at, resource) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{resource}")?;
        }
        Ok(())
    }
}
