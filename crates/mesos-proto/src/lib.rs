//! The messages of Mesos 1.11 as Rust types, and their JSON form.
//!
//! The types are generated from the files in `proto/`, whose numbers, types and defaults a test compares with the table
//! of stock's descriptors. There is one set of types, with the v1 names: the v0 messages have the same encoding. Other
//! crates turn these types into their own at the edge; nothing here judges what a message says.
//!
//! - [`v1`] has the messages that frameworks know, [`executor`], [`agent`] and [`scheduler`] those of the HTTP APIs.
//! - [`internal`] has the libprocess messages, [`slave`] the containerizer's files, [`fetcher`] what the fetcher is told.
//! - [`json`] reads and prints any of them as Mesos does, with v0 and v1 names.
//!
//! prost drops fields that it does not know, so whoever forwards or stores what it did not write keeps the bytes as
//! they came. `Debug` of secrets and credentials prints no content; their JSON form does. [`without_secrets`] makes a copy
//! that may be shown.

mod descriptors;
mod generated;
pub mod json;
mod redact;
mod secrets;

pub use crate::{
    descriptors::DESCRIPTORS,
    generated::{
        appc, docker,
        mesos::{
            fetcher, internal, resource_provider, seccomp, slave, v1,
            v1::{agent, executor, scheduler},
        },
    },
};
pub use prost::Message;
pub use secrets::without_secrets;
