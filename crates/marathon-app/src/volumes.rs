//! `container.volumes`: host path volumes. Persistent, external and secret ones are refused by name.

use serde_json::Value;

use crate::error::{AppError, JsonPath, Problem, quote};
use crate::known_fields::VOLUME;
use crate::notes::Notes;
use crate::reader::Object;

/// Sources of volumes that are not supported, with what to do instead.
const REFUSED: [(&str, &str, &str); 3] = [
    ("persistent", "persistent volumes are not supported yet", "use hostPath"),
    (
        "external",
        "external volumes are not supported yet",
        "use container.docker.parameters: volume, with a volume of the engine by its name, or hostPath",
    ),
    ("secret", "secrets are not supported yet", "use fetch or hostPath"),
];

/// A path of the host, or of the sandbox when it is relative, seen in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Path in the container; relative to the sandbox's mount point unless it begins with a slash.
    pub container_path: String,
    /// Path on the host; relative to the sandbox unless it begins with a slash.
    pub host_path: String,
    /// Access.
    pub mode: VolumeMode,
}

/// How a volume is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeMode {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// Reads `container.volumes`.
pub(crate) fn read_volumes(container: &Object<'_>, notes: &mut Notes) -> Result<Vec<Volume>, AppError> {
    let items = container.array("volumes")?.unwrap_or_default();
    items.into_iter().map(|(path, item)| volume(item, path, notes)).collect()
}

fn volume(item: &Value, path: JsonPath, notes: &mut Notes) -> Result<Volume, AppError> {
    let volume = Object::open(item, path, &VOLUME, notes)?;
    for (name, what, remedy) in REFUSED {
        if volume.value(name).is_some() {
            return Err(volume.at(name).error(Problem::Refused { what, remedy }));
        }
    }
    let Some(container_path) = volume.filled_string("containerPath")? else {
        return Err(volume
            .at("containerPath")
            .error(Problem::Missing { needed: "the path in the container" }));
    };
    let Some(host_path) = volume.filled_string("hostPath")? else {
        return Err(volume
            .at("hostPath")
            .error(Problem::Missing { needed: "the path on the host or in the sandbox" }));
    };
    if !container_path.starts_with('/') && !host_path.starts_with('/') {
        return Err(volume.path.invalid(format!(
            "hostPath {} and containerPath {} are both relative, one must begin with a slash",
            quote(host_path),
            quote(container_path)
        )));
    }
    let mode = volume.choice("mode", &[("RO", VolumeMode::ReadOnly), ("RW", VolumeMode::ReadWrite)])?;
    Ok(Volume {
        container_path: container_path.to_owned(),
        host_path: host_path.to_owned(),
        mode: mode.unwrap_or(VolumeMode::ReadWrite),
    })
}
