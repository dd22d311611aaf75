//! Short blocking calls on local files from a task of the runtime.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs a call that normally takes microseconds and may hang with its file system, so that the other tasks of this
/// thread go on elsewhere meanwhile. Outside of a runtime it just runs.
pub fn blocking<T>(call: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(call),
        _ => call(),
    }
}
