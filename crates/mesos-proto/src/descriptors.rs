//! The descriptors of all messages, which the JSON form walks and the generated types point to.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// Describes every message and enum of this crate; built on first use.
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(&include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"))[..])
        .expect("build.rs has decoded these very bytes")
});
