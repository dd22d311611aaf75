//! `container.volumes`: host paths and external volumes. Persistent and secret ones are refused by name.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::container::Opened;
use crate::error::{AppError, JsonPath, Problem, quote};
use crate::known_fields::{EXTERNAL, VOLUME};
use crate::notes::Notes;
use crate::reader::Object;

/// Sources of volumes that are not supported, with what to do instead.
const REFUSED: [(&str, &str, &str); 2] = [
    ("persistent", "persistent volumes are not supported yet", "use hostPath"),
    ("secret", "secrets are not supported yet", "use fetch or hostPath"),
];

/// The only provider of external volumes that Docker has: its volume drivers.
const PROVIDER: &str = "dvdi";

/// The prefix of options for the provider.
const PREFIX: &str = "dvdi/";

/// The option that names the driver.
const DRIVER: &str = "driver";

/// The most gigabytes of an external volume.
const MOST_GIGABYTES: u32 = 1 << 30;

/// What is said of the volumes of an app without an image.
const NOT_WITHOUT_IMAGE: Problem = Problem::Refused {
    what: "apps without an image have no volumes here",
    remedy: "use the path on the host in the command, or container.docker",
};

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// A path on the host; relative to the sandbox unless it begins with a slash.
    Host(String),
    /// A volume of a volume driver.
    External {
        /// The volume's name.
        name: String,
        /// The driver's name.
        driver: String,
        /// Options for the driver, without the provider's prefix.
        options: BTreeMap<String, String>,
    },
}

/// A path of the host, or of the sandbox when it is relative, or a volume of a driver, seen in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Path in the container; relative to the sandbox's mount point unless it begins with a slash.
    pub container_path: String,
    /// What is mounted.
    pub source: VolumeSource,
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

/// Reads `container.volumes`. A process without an image sees the host's files as they are, so nothing is mounted for it.
pub(crate) fn read_volumes(opened: &Opened<'_>, notes: &mut Notes) -> Result<Vec<Volume>, AppError> {
    let Some(container) = &opened.container else { return Ok(Vec::new()) };
    let items = container.array("volumes")?.unwrap_or_default();
    let volumes = items.into_iter().map(|(path, item)| {
        let read = volume(item, path.clone(), notes)?;
        if opened.docker.is_some() { Ok(read) } else { Err(path.error(NOT_WITHOUT_IMAGE)) }
    });
    volumes.collect()
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
    let external = volume.object("external", &EXTERNAL, notes)?;
    let source = match (volume.filled_string("hostPath")?, external) {
        (Some(_), Some(_)) => {
            return Err(volume
                .at("external")
                .error(Problem::Conflict { other: "hostPath".to_owned(), remedy: "use one of the two" }));
        }
        (None, Some(external)) => read_external(&external)?,
        (Some(host_path), None) => VolumeSource::Host(host_path.to_owned()),
        (None, None) => {
            return Err(volume
                .at("hostPath")
                .error(Problem::Missing { needed: "the path on the host or in the sandbox" }));
        }
    };
    if let VolumeSource::Host(host_path) = &source
        && !container_path.starts_with('/')
        && !host_path.starts_with('/')
    {
        return Err(volume.path.invalid(format!(
            "hostPath {} and containerPath {} are both relative, one must begin with a slash",
            quote(host_path),
            quote(container_path)
        )));
    }
    let mode = volume.choice("mode", &[("RO", VolumeMode::ReadOnly), ("RW", VolumeMode::ReadWrite)])?;
    Ok(Volume {
        container_path: container_path.to_owned(),
        source,
        mode: mode.unwrap_or(VolumeMode::ReadWrite),
    })
}

/// `external`: the name of a volume, its driver, and options for it (Marathon `DVDIProvider`).
fn read_external(external: &Object<'_>) -> Result<VolumeSource, AppError> {
    let missing = |name: &str, needed: &'static str| external.at(name).error(Problem::Missing { needed });
    let provider = external.filled_string("provider")?.unwrap_or(PROVIDER);
    if provider != PROVIDER {
        return Err(external
            .at("provider")
            .not_allowed(quote(provider), "dvdi, the volume drivers of Docker"));
    }
    let name = external.filled_string("name")?.ok_or_else(|| missing("name", "the name of the volume"))?;
    let mut options: BTreeMap<String, String> = external
        .string_map("options")?
        .into_iter()
        .map(|(key, value)| (key.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(key), value))
        .collect();
    let driver = options
        .remove(DRIVER)
        .filter(|driver| !driver.is_empty())
        .ok_or_else(|| missing("options", "dvdi/driver, the name of the volume driver"))?;
    if let Some(size) = external.integer("size", 1..=MOST_GIGABYTES)? {
        options.insert("size".to_owned(), size.to_string());
    }
    Ok(VolumeSource::External { name: name.to_owned(), driver, options })
}
