//! URIs: their parts, their name in the sandbox, and what is refused.
//!
//! The agent side validates every URI of a task with [`FetchUri::new`] and [`output_file`] before anything is started,
//! as stock does; the child side does it again, since a stock agent lets through what we do not (`..`).
//!
//! A URI is three things to us. Its *value* is the text as the framework gave it, and what the cache is keyed by. Its
//! *location* is the value without white space in front and without a checksum at its end. Its *name* is what the
//! file is called in the sandbox unless `output_file` says otherwise: everything after the last slash of the location,
//! a query included, as stock has it.

mod checksum;
mod names;
mod redact;
mod source;

pub use checksum::Checksum;
pub use names::{FetchUri, UriError, output_file};
pub use redact::{redacted, shown_path, shown_text};
pub use source::{Scheme, Source, SourceError};
