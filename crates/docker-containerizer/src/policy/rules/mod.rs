//! The rules, one room for each kind. Each looks at its part of the final request and says what is not allowed.

pub(super) mod devices;
pub(super) mod logs;
pub(super) mod mounts;
pub(super) mod namespaces;
pub(super) mod network;
pub(super) mod privileges;
pub(super) mod shares;
pub(super) mod sources;
pub(super) mod volumes;
