//! Mounts in their long form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hidden::{Hidden, hidden_map_is_empty, is_false};
use crate::serde_null::nullable;

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// The path inside the container.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub target: String,
    /// A host path, a volume's name or an image.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub source: String,
    /// `bind`, `volume`, `tmpfs`, `image`, `cluster` or `npipe`.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub kind: String,
    /// Whether the container may not write.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub read_only: bool,
    /// How strictly both sides agree (Docker Desktop).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub consistency: String,
    /// Options of a bind mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// Options of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// Options of an image mount (API 1.48).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    /// Options of a tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
    /// Options of a cluster volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_options: Option<ClusterOptions>,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub propagation: String,
    /// Whether submounts are left out.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub non_recursive: bool,
    /// Whether a missing host path is made (API 1.42).
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub create_mountpoint: bool,
    /// Whether submounts stay writable (API 1.44).
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub read_only_non_recursive: bool,
    /// Whether it fails where submounts cannot be read-only (API 1.44).
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub read_only_force_recursive: bool,
}

/// Options of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// Whether the image's content at the target is not copied in.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub no_copy: bool,
    /// Labels of a volume that is made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// The driver of a volume that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<MountDriver>,
    /// A path inside the volume (API 1.45).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub subpath: String,
}

/// The driver of a volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountDriver {
    /// The driver's name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub name: String,
    /// The driver's options; their values are not shown, as some are passwords.
    #[serde(skip_serializing_if = "hidden_map_is_empty", deserialize_with = "nullable")]
    pub options: Hidden<BTreeMap<String, String>>,
}

/// Options of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// The most it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// The permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Mount options, each a name with or without a value (API 1.46).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub options: Vec<Vec<String>>,
}

/// Options of an image mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageOptions {
    /// A path inside the image (API 1.49).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub subpath: String,
}

/// Options of a cluster volume: there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterOptions {}
