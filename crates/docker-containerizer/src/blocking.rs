//! Short blocking calls on local files from a task of the runtime.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs a call that normally takes microseconds and may hang with its file system, so that the other tasks of this
/// thread go on elsewhere meanwhile.
pub(crate) fn blocking<T>(call: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(call),
        _ => call(),
    }
}
