//! The files that the agent shows: sandboxes and its own log, under virtual paths (`src/files/files.cpp`).
//!
//! The driver attaches a run's directory when it makes it and the garbage collector detaches it; the HTTP side browses,
//! reads and downloads. Sandboxes are hostile, so everything below one is reached through the `sandbox` crate.
//!
//! ```text
//! virtual path ──longest attached prefix──► directory + rest ──Sandbox::view──► file or directory
//! ```
//!
//! All calls but those of [`Files`]' table block on the file system; the HTTP side makes them on blocking threads.

mod browse;
mod download;
mod error;
mod mime;
mod owners;
mod read;
mod table;
mod virtual_path;

pub use browse::{FileInfo, browse};
pub use download::{Download, open_download};
pub use error::FilesError;
pub use read::{Content, MAX_READ, read};
pub use table::{Files, RunDirectory};
