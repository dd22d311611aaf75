//! The numbers of statuses, by which they are acknowledged.

/// Whether these bytes are a UUID as stock reads one (`UUID::fromBytes` in stout): 16 of them, of a known version.
pub(crate) fn is_uuid(bytes: &[u8]) -> bool {
    uuid::Uuid::from_slice(bytes).is_ok_and(|uuid| (1..=5).contains(&uuid.get_version_num()))
}
