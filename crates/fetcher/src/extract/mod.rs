//! Unpacking of archives below a sandbox.
//!
//! The program `mesos-fetcher` calls [`extract`] for each URI with `extract` whose file [`kind_of`] knows. It runs as
//! the task's user, and both sides of it are hostile: the archive was written by anybody, and the sandbox may be
//! changed by the task's other processes while it is filled.
//!
//! ```text
//! archive ─▶ source ─▶ (stream: gzip, bzip2, xz, zstd) ─▶ tar ─▶ names ─▶ tree ─▶ sandbox::Place
//!                └───────────────▶ zip ──────────────────────────┘          (meter: bytes, entries, cancel)
//! ```
//!
//! * Everything streams: memory does not grow with the archive, but for bounded tables in [`tree`].
//! * Decisions about names are pure, in [`names`]. Only [`tree`] writes, through [`sandbox::Place`], which follows no
//!   link and shows no half file.
//! * The libraries read formats only. Their own unpacking works on paths and is never called.
//!
//! A failed extraction leaves the entries before the failure in the sandbox, as Mesos does; the fetch fails and with it
//! the task.

mod error;
mod kind;
mod meter;
mod names;
mod notes;
mod run;
mod source;
mod sparse;
mod stream;
mod tar;
mod tree;
mod zip;

pub use error::{ExtractError, Refusal};
pub use kind::{Compression, Kind, kind_of};
pub use meter::ExtractLimits;
pub use notes::Note;
pub use run::{Extracted, Extraction, extract};
