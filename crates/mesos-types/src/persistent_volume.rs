//! The persistent volumes that a task was given among its resources.
//!
//! Mesos' Docker containerizer skips a volume with a slash in its `container_path`, and the task runs without its data
//! (`DockerContainerizerProcess::mountPersistentVolumes`). Here such a path is honoured, an absolute one too, and what
//! cannot be mounted is refused.

use std::path::{Component, Path};

use mesos_proto::v1;

use crate::fields::FieldError;
use crate::resource::{LocalVolume, Resource};
use crate::resources::Megabytes;
use crate::roles;
use crate::volume::{self, Access};

/// Whether others may use a volume at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeSharing {
    /// It is one task's.
    Exclusive,
    /// Several tasks may have it (`Resource.shared`).
    Shared,
}

/// A persistent volume of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistentVolume {
    /// Which one.
    pub volume: LocalVolume,
    /// Where it shows: absolute, or relative to the sandbox inside the container. It has a name in it and no `..`.
    pub container_path: String,
    /// Read-only or not.
    pub access: Access,
    /// Whether others may have it too.
    pub sharing: VolumeSharing,
    /// How large it may become.
    pub size: Megabytes,
}

/// Reads the persistent volumes among a task's resources.
///
/// # Errors
///
/// A volume that is not reserved, is a resource provider's, or says not where it shows; two of which one would show
/// inside the other.
pub(crate) fn persistent_volumes(resources: &[v1::Resource]) -> Result<Vec<PersistentVolume>, FieldError> {
    let mut volumes: Vec<PersistentVolume> = Vec::new();
    for (at, resource) in resources.iter().enumerate() {
        let Some(disk) = resource.disk.as_ref().filter(|disk| disk.persistence.is_some()) else { continue };
        let field = format!("resources[{at}].disk");
        let volume = one(&field, resource, disk)?;
        // Tasks of one executor may share it.
        if volumes.contains(&volume) {
            continue;
        }
        let path = Path::new(&volume.container_path);
        let is_within = |other: &PersistentVolume| {
            path.starts_with(&other.container_path) || Path::new(&other.container_path).starts_with(path)
        };
        if let Some(other) = volumes.iter().find(|other| is_within(other)) {
            let why = format!(
                "the persistent volumes {} and {} would show one inside the other",
                other.volume.id(),
                volume.volume.id()
            );
            return Err(FieldError::new(format!("{field}.volume.container_path"), why)
                .hint("give each a directory of its own"));
        }
        volumes.push(volume);
    }
    Ok(volumes)
}

fn one(
    field: &str,
    message: &v1::Resource,
    disk: &v1::resource::DiskInfo,
) -> Result<PersistentVolume, FieldError> {
    let resource =
        Resource::from_proto(message).map_err(|error| FieldError::new(field, error.to_string()))?;
    let local = LocalVolume::of(&resource).filter(|_| resource.provider_id().is_none());
    let Some(local) = local else {
        return Err(FieldError::new(
            format!("{field}.source"),
            "the persistent volume is not on a disk of the agent",
        )
        .hint("use a volume in the work_dir, or on a PATH or MOUNT disk of flag --resources"));
    };
    if resource.role() == roles::ANY {
        return Err(FieldError::new(format!("{field}.persistence"), "the persistent volume is not reserved")
            .hint("reserve the disk for a role first"));
    }
    let Some(place) = &disk.volume else {
        return Err(FieldError::new(
            format!("{field}.volume"),
            "the persistent volume does not say where it shows in the container",
        )
        .hint("set volume.container_path and volume.mode"));
    };
    if place.host_path.is_some() || place.image.is_some() || place.source.is_some() {
        return Err(FieldError::new(
            format!("{field}.volume"),
            "a persistent volume has neither host_path nor image nor source",
        )
        .hint("remove it: the agent keeps the volume's content"));
    }
    Ok(PersistentVolume {
        volume: local,
        container_path: container_path(&format!("{field}.volume.container_path"), &place.container_path)?,
        access: volume::access(&format!("{field}.volume.mode"), place.mode)?,
        sharing: if resource.is_shared() { VolumeSharing::Shared } else { VolumeSharing::Exclusive },
        size: Megabytes(megabytes(message)),
    })
}

/// The whole megabytes of a disk resource, whose value [`Resource::from_proto`] has checked.
fn megabytes(message: &v1::Resource) -> u64 {
    let value = message.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a resource is zero or more, and one beyond any disk is as good as the largest number"
    )]
    let whole = value as u64;
    whole
}

/// Checks where a volume shows, and drops dots and doubled slashes.
fn container_path(field: &str, path: &str) -> Result<String, FieldError> {
    let path = volume::path(field, path)?;
    let components = Path::new(&path).components();
    if components.clone().any(|part| part == Component::ParentDir)
        || !components.clone().any(|part| matches!(part, Component::Normal(_)))
    {
        let why = format!("{path:?} is no place for a persistent volume");
        return Err(FieldError::new(field, why).hint("name a directory, without .. in it"));
    }
    let is_here = |part: &Component<'_>| *part != Component::CurDir;
    let cleaned: std::path::PathBuf = components.filter(is_here).collect();
    Ok(cleaned.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(id: &str, container_path: &str) -> v1::Resource {
        v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 64.0 }),
            reservations: vec![v1::resource::ReservationInfo {
                r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
                role: Some("r/s".into()),
                ..Default::default()
            }],
            disk: Some(v1::resource::DiskInfo {
                persistence: Some(v1::resource::disk_info::Persistence { id: id.into(), principal: None }),
                volume: Some(v1::Volume {
                    container_path: container_path.into(),
                    mode: v1::volume::Mode::Ro.into(),
                    ..Default::default()
                }),
                source: None,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_volume_knows_its_directory() {
        let read = persistent_volumes(&[volume("v", "./data//x/"), volume("w", "/abs")]).unwrap();
        assert_eq!(read[0].volume.directory(Path::new("/w")).path(), Path::new("/w/volumes/roles/r s/v"));
        assert_eq!((read[0].container_path.as_str(), read[0].access), ("data/x", Access::ReadOnly));
        assert_eq!((read[1].container_path.as_str(), read[1].sharing), ("/abs", VolumeSharing::Exclusive));
    }

    /// The tasks of one executor, read together.
    #[test]
    fn a_volume_that_two_share_is_one() {
        let (one, other) = (volume("v", "data"), volume("w", "data"));
        assert_eq!(persistent_volumes(&[one.clone(), one.clone()]).unwrap().len(), 1);
        persistent_volumes(&[one, other]).unwrap_err();
    }

    #[rstest::rstest]
    #[case("")]
    #[case(".")]
    #[case("/")]
    #[case("..")]
    #[case("a/../../b")]
    #[case("/a/../b")]
    #[case("a\0b")]
    fn a_place_that_is_none_is_refused(#[case] path: &str) {
        let error = persistent_volumes(&[volume("v", path)]).unwrap_err();
        assert_eq!(error.field(), "resources[0].disk.volume.container_path");
    }

    #[rstest::rstest]
    #[case("data", "data")]
    #[case("data", "data/below")]
    #[case("/data/below", "/data")]
    fn one_may_not_show_inside_the_other(#[case] one: &str, #[case] other: &str) {
        let error = persistent_volumes(&[volume("v", one), volume("w", other)]).unwrap_err();
        assert_eq!(error.field(), "resources[1].disk.volume.container_path");
        assert!(persistent_volumes(&[volume("v", one), volume("w", "database")]).is_ok());
    }

    #[rstest::rstest]
    #[case(|r: &mut v1::Resource| r.reservations.clear(), "resources[0].disk.persistence")]
    #[case(|r: &mut v1::Resource| r.disk.as_mut().unwrap().volume = None, "resources[0].disk.volume")]
    #[case(
        |r: &mut v1::Resource| r.provider_id = Some(v1::ResourceProviderId { value: "p".into() }),
        "resources[0].disk.source"
    )]
    #[case(
        |r: &mut v1::Resource| {
            r.disk.as_mut().unwrap().volume.as_mut().unwrap().host_path = Some("/etc".into());
        },
        "resources[0].disk.volume"
    )]
    #[case(
        |r: &mut v1::Resource| r.disk.as_mut().unwrap().volume.as_mut().unwrap().mode = 7,
        "resources[0].disk.volume.mode"
    )]
    #[case(
        |r: &mut v1::Resource| r.disk.as_mut().unwrap().persistence.as_mut().unwrap().id = "../x".into(),
        "resources[0].disk"
    )]
    fn what_cannot_be_mounted_is_named(#[case] spoil: fn(&mut v1::Resource), #[case] field: &str) {
        let mut given = volume("v", "data");
        spoil(&mut given);
        assert_eq!(persistent_volumes(&[given]).unwrap_err().field(), field);
    }
}
