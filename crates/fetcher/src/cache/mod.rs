//! The cache: its books, its directory, and who waits for whose download. Kept by the agent side only.
//!
//! Follows `FetcherProcess::Cache` of Mesos (src/slave/containerizer/fetcher.cpp): entries are per account and URI, the
//! size is asked for before a download and room is reserved for it, what was used longest ago goes first, and whatever
//! cannot be cached is fetched directly.
//!
//! | module | owns |
//! |---|---|
//! | `books` | entries, references, reservations, eviction; pure |
//! | `directory` | the files, and whose they are |
//! | `shelf` | both together, and the waiting |
//! | `sweep` | what a killed child left half done |

mod books;
mod directory;
mod shelf;
mod sweep;

pub use books::{Books, CacheFile, Completed, EntryId, Key, NoRoom, Taken};
pub use directory::{CacheDirectory, CacheError};
pub use shelf::{Cache, Filled, Ticket};

pub(crate) use sweep::{sweep, sweep_tree};
