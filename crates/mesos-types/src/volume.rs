//! What a task mounts: host paths, paths of its sandbox, and volumes of the engine.
//!
//! The rules are those of `Docker::RunOptions::create` (`src/docker/docker.cpp`), and where stock skips a source in
//! silence (HOST_PATH, SANDBOX_PATH) the documented meaning of `docs/container-volume.md`.

use std::collections::BTreeMap;

use mesos_proto::v1;

use crate::fields::{FieldError, Notices};

/// Whether the task may write to a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `RW`.
    ReadWrite,
    /// `RO`.
    ReadOnly,
}

/// How mounts that are made on one side of a host path appear on the other (`MountPropagation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Those of the host appear in the container: `rslave`.
    HostToContainer,
    /// In both directions: `rshared`.
    Bidirectional,
}

/// Where a volume's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// An absolute path of the host; a missing directory is created, as `docker run -v` does.
    Host(String),
    /// A path below the task's sandbox; a missing directory is created.
    Sandbox(String),
    /// A volume of the engine.
    Docker {
        /// The volume's name.
        name: String,
        /// Its driver, if not the engine's default.
        driver: Option<String>,
        /// Options for the driver when it creates the volume.
        options: BTreeMap<String, String>,
    },
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// What is mounted.
    pub source: VolumeSource,
    /// Where: absolute, or relative to the sandbox inside the container.
    pub container_path: String,
    /// Read-only or not.
    pub access: Access,
    /// How later mounts below a host path are seen; `None` is not at all.
    pub propagation: Option<Propagation>,
}

/// Reads a container's volumes in their order.
///
/// # Errors
///
/// A volume without a source, with a source that cannot be honoured, with two relative paths, with an unknown mode, or
/// with a driver that differs from another's (stock takes one driver for a task).
pub(crate) fn volumes(
    list: &[v1::Volume],
    volume_driver: Option<&str>,
    notices: &mut Notices,
) -> Result<Vec<VolumeSpec>, FieldError> {
    if let Some(driver) = volume_driver {
        no_nul("container.docker.volume_driver", driver)?;
    }
    let mut driver: Option<String> = None;
    let mut specs = Vec::with_capacity(list.len());
    for (at, volume) in list.iter().enumerate() {
        let field = format!("container.volumes[{at}]");
        let spec = one(&field, volume, volume_driver, notices)?;
        if let VolumeSource::Docker { driver: Some(named), .. } = &spec.source {
            if driver.as_ref().is_some_and(|first| first != named) {
                return Err(FieldError::new(
                    format!("{field}.source.docker_volume.driver"),
                    "Only one volume driver is supported",
                )
                .hint("give all volumes of the task the same driver"));
            }
            driver = Some(named.clone());
        }
        specs.push(spec);
    }
    Ok(specs)
}

fn one(
    field: &str,
    volume: &v1::Volume,
    volume_driver: Option<&str>,
    notices: &mut Notices,
) -> Result<VolumeSpec, FieldError> {
    let access = access(&format!("{field}.mode"), volume.mode)?;
    let container_path = path(&format!("{field}.container_path"), &volume.container_path)?;
    let given = [volume.host_path.is_some(), volume.image.is_some(), volume.source.is_some()];
    if given.iter().filter(|&&is| is).count() > 1 {
        return Err(FieldError::new(field, "only one of host_path, image and source may be set"));
    }
    let source = if let Some(host_path) = &volume.host_path {
        host(&format!("{field}.host_path"), host_path, &container_path, volume_driver)?
    } else if let Some(source) = &volume.source {
        from_source(&format!("{field}.source"), source, &container_path, volume_driver)?
    } else {
        return Err(FieldError::new(field, "Host path or volume source is required"));
    };
    let host_path = volume.source.as_ref().and_then(|source| source.host_path.as_ref());
    let propagation = match host_path.and_then(|host_path| host_path.mount_propagation.as_ref()) {
        // A source of another type says nothing about a host path.
        Some(wanted) if matches!(source, VolumeSource::Host(_)) => {
            propagation(&format!("{field}.source.host_path.mount_propagation"), wanted)?
        }
        Some(_) => {
            notices.note(
                format!("{field}.source.host_path.mount_propagation"),
                "only mounts of an absolute host path are propagated",
            )?;
            None
        }
        None => None,
    };
    Ok(VolumeSpec { source, container_path, access, propagation })
}

/// Reads the mode of a volume.
pub(crate) fn access(field: &str, mode: i32) -> Result<Access, FieldError> {
    match v1::volume::Mode::try_from(mode) {
        Ok(v1::volume::Mode::Rw) => Ok(Access::ReadWrite),
        Ok(v1::volume::Mode::Ro) => Ok(Access::ReadOnly),
        Err(_) => Err(FieldError::new(field, "Unsupported volume mode").hint("use RW or RO")),
    }
}

fn propagation(field: &str, wanted: &v1::MountPropagation) -> Result<Option<Propagation>, FieldError> {
    use v1::mount_propagation::Mode;

    match Mode::try_from(wanted.mode.unwrap_or_default()) {
        Ok(Mode::Unknown) => Ok(None),
        Ok(Mode::HostToContainer) => Ok(Some(Propagation::HostToContainer)),
        Ok(Mode::Bidirectional) => Ok(Some(Propagation::Bidirectional)),
        Err(_) => Err(FieldError::new(format!("{field}.mode"), "the mode of mount propagation is not known")
            .hint("use HOST_TO_CONTAINER or BIDIRECTIONAL")),
    }
}

fn host(
    field: &str,
    host_path: &str,
    container_path: &str,
    volume_driver: Option<&str>,
) -> Result<VolumeSource, FieldError> {
    let host_path = path(field, host_path)?;
    if host_path.starts_with('/') {
        return Ok(VolumeSource::Host(host_path));
    }
    if !container_path.starts_with('/') {
        return Err(FieldError::new(
            field,
            format!(
                "Both host_path '{host_path}' and container_path '{container_path}' of a volume are relative"
            ),
        )
        .hint("make one of the two paths absolute"));
    }
    match volume_driver {
        Some(driver) => Ok(VolumeSource::Docker {
            name: host_path,
            driver: Some(driver.to_owned()),
            options: BTreeMap::new(),
        }),
        None => Ok(VolumeSource::Sandbox(below(field, host_path)?)),
    }
}

fn from_source(
    field: &str,
    source: &v1::volume::Source,
    container_path: &str,
    volume_driver: Option<&str>,
) -> Result<VolumeSource, FieldError> {
    use v1::volume::source::{Type, sandbox_path};

    let missing =
        |what: &str| FieldError::new(format!("{field}.{what}"), "the source that type names is missing");
    let refused = |what: &str, hint: &str| {
        Err(FieldError::new(format!("{field}.type"), format!("volume source {what} is not supported"))
            .hint(hint.to_owned()))
    };
    match source.r#type() {
        Type::DockerVolume => {
            let volume = source.docker_volume.as_ref().ok_or_else(|| missing("docker_volume"))?;
            if let (Some(task), Some(own)) = (volume_driver, &volume.driver)
                && task != own
            {
                return Err(FieldError::new(
                    format!("{field}.docker_volume.driver"),
                    "Only one volume driver per task is supported",
                )
                .hint("give container.docker.volume_driver the same driver, or remove it"));
            }
            if let Some(driver) = &volume.driver {
                no_nul(&format!("{field}.docker_volume.driver"), driver)?;
            }
            let options = volume.driver_options.iter().flat_map(|o| &o.parameter);
            for (at, option) in options.clone().enumerate() {
                let option_field = format!("{field}.docker_volume.driver_options.parameter[{at}]");
                no_nul(&option_field, &option.key)?;
                no_nul(&option_field, &option.value)?;
            }
            Ok(VolumeSource::Docker {
                name: path(&format!("{field}.docker_volume.name"), &volume.name)?,
                driver: volume.driver.clone().or_else(|| volume_driver.map(Into::into)),
                options: options.map(|p| (p.key.clone(), p.value.clone())).collect(),
            })
        }
        Type::HostPath => {
            let given = source.host_path.as_ref().ok_or_else(|| missing("host_path"))?;
            host(&format!("{field}.host_path.path"), &given.path, container_path, None)
        }
        Type::SandboxPath => {
            let given = source.sandbox_path.as_ref().ok_or_else(|| missing("sandbox_path"))?;
            if given.r#type() != sandbox_path::Type::Self_ {
                return refused(
                    "SANDBOX_PATH of a parent",
                    "a Docker task has no parent container; use type SELF",
                );
            }
            Ok(VolumeSource::Sandbox(below(&format!("{field}.sandbox_path.path"), given.path.clone())?))
        }
        Type::Secret => refused("SECRET", "nothing resolves secrets here; mount a host_path"),
        Type::CsiVolume => refused("CSI_VOLUME", "use a host_path or docker_volume"),
        Type::Unknown => refused("UNKNOWN", "set the type of the source"),
    }
}

/// A text that no C program cuts short.
fn no_nul(field: &str, value: &str) -> Result<(), FieldError> {
    if value.contains('\0') {
        return Err(FieldError::new(field, "the text has a NUL character"));
    }
    Ok(())
}

/// A path that a system call takes.
pub(crate) fn path(field: &str, value: &str) -> Result<String, FieldError> {
    if value.is_empty() {
        return Err(FieldError::new(field, "the path is empty"));
    }
    if value.contains('\0') {
        return Err(FieldError::new(field, "the path has a NUL character"));
    }
    if value.len() >= 4096 {
        return Err(FieldError::new(field, "the path is longer than 4095 bytes"));
    }
    Ok(value.to_owned())
}

/// A path that stays below the sandbox.
pub(crate) fn below(field: &str, value: String) -> Result<String, FieldError> {
    if value.starts_with('/') || value.split('/').any(|part| part == "..") {
        return Err(FieldError::new(field, format!("the path {value:?} leaves the sandbox"))
            .hint("use a path without .. below the sandbox, or an absolute host path"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Strictness;

    fn read(list: &[v1::Volume], driver: Option<&str>) -> Result<Vec<VolumeSpec>, FieldError> {
        volumes(list, driver, &mut Notices::new(Strictness::Lenient))
    }

    fn host_volume(container_path: &str, host_path: &str) -> v1::Volume {
        v1::Volume {
            mode: v1::volume::Mode::Ro.into(),
            container_path: container_path.into(),
            host_path: Some(host_path.into()),
            ..Default::default()
        }
    }

    fn docker_volume(name: &str, driver: Option<&str>) -> v1::Volume {
        let mut source = v1::volume::Source {
            docker_volume: Some(v1::volume::source::DockerVolume {
                name: name.into(),
                driver: driver.map(Into::into),
                driver_options: None,
            }),
            ..Default::default()
        };
        source.set_type(v1::volume::source::Type::DockerVolume);
        v1::Volume {
            mode: v1::volume::Mode::Rw.into(),
            container_path: format!("/{name}"),
            source: Some(source),
            ..Default::default()
        }
    }

    #[rstest::rstest]
    #[case("/c", "/h", None, VolumeSource::Host("/h".into()))]
    #[case("c", "/h", None, VolumeSource::Host("/h".into()))]
    #[case("/c", "h/i", None, VolumeSource::Sandbox("h/i".into()))]
    #[case("/c", "h", Some("d"), VolumeSource::Docker { name: "h".into(), driver: Some("d".into()), options: BTreeMap::new() })]
    fn a_host_path_is_read_by_its_form(
        #[case] container_path: &str,
        #[case] host_path: &str,
        #[case] driver: Option<&str>,
        #[case] expected: VolumeSource,
    ) {
        let specs = read(&[host_volume(container_path, host_path)], driver).unwrap();
        assert_eq!(specs[0].source, expected);
        assert_eq!(specs[0].access, Access::ReadOnly);
    }

    /// Peer: DockerTest.ROOT_DOCKER_MountRelativeHostPathRelativeContainerPath.
    #[test]
    fn two_relative_paths_are_refused() {
        let error = read(&[host_volume("c", "h")], None).unwrap_err().to_string();
        assert!(
            error.starts_with("Both host_path 'h' and container_path 'c' of a volume are relative"),
            "{error}"
        );
    }

    #[rstest::rstest]
    #[case("../x")]
    #[case("a/../../x")]
    fn a_path_out_of_the_sandbox_is_refused(#[case] host_path: &str) {
        assert!(read(&[host_volume("/c", host_path)], None).is_err());
    }

    /// Peer: DockerTest.ROOT_DOCKER_ConflictingVolumeDriversInMultipleVolumes.
    #[test]
    fn two_drivers_are_refused() {
        let list = [docker_volume("a", Some("x")), docker_volume("b", Some("y"))];
        let error = read(&list, None).unwrap_err().to_string();
        assert!(error.starts_with("Only one volume driver is supported"), "{error}");
    }

    /// Peer: DockerTest.ROOT_DOCKER_ConflictingVolumeDrivers.
    #[test]
    fn a_driver_that_differs_from_the_tasks_is_refused() {
        let error = read(&[docker_volume("a", Some("x"))], Some("y")).unwrap_err().to_string();
        assert!(error.starts_with("Only one volume driver per task is supported"), "{error}");
    }

    #[test]
    fn a_volume_takes_the_tasks_driver() {
        let specs = read(&[docker_volume("a", None)], Some("y")).unwrap();
        assert!(matches!(&specs[0].source, VolumeSource::Docker { driver: Some(d), .. } if d == "y"));
    }

    #[test]
    fn a_volume_without_a_source_is_refused() {
        let volume = v1::Volume { host_path: None, ..host_volume("/c", "") };
        assert!(
            read(&[volume], None)
                .unwrap_err()
                .to_string()
                .starts_with("Host path or volume source is required")
        );
    }

    #[rstest::rstest]
    #[case(v1::mount_propagation::Mode::Unknown as i32, Some(None))]
    #[case(v1::mount_propagation::Mode::HostToContainer as i32, Some(Some(Propagation::HostToContainer)))]
    #[case(v1::mount_propagation::Mode::Bidirectional as i32, Some(Some(Propagation::Bidirectional)))]
    #[case(7, None)]
    fn mounts_of_a_host_path_are_propagated_as_asked(
        #[case] mode: i32,
        #[case] expected: Option<Option<Propagation>>,
    ) {
        let mut source = v1::volume::Source {
            host_path: Some(v1::volume::source::HostPath {
                path: "/h".into(),
                mount_propagation: Some(v1::MountPropagation { mode: Some(mode) }),
            }),
            ..Default::default()
        };
        source.set_type(v1::volume::source::Type::HostPath);
        let volume = v1::Volume { host_path: None, source: Some(source), ..host_volume("/c", "") };
        assert_eq!(read(&[volume], None).ok().map(|specs| specs[0].propagation), expected);
    }

    #[test]
    fn a_secret_is_refused_by_name() {
        let mut source = v1::volume::Source::default();
        source.set_type(v1::volume::source::Type::Secret);
        let volume = v1::Volume { host_path: None, source: Some(source), ..host_volume("/c", "") };
        let error = read(&[volume], None).unwrap_err();
        assert_eq!(error.field(), "container.volumes[0].source.type");
        assert!(error.to_string().contains("SECRET"));
    }
}
