//! Bytes from a source to a new file: local, HTTP, FTP, object stores, and the Hadoop client for the rest.
//!
//! The child side calls it, as the task's user. A [`Downloader`] serves all items of one fetch. A download goes into a
//! file without a name ([`sandbox::Staged`]), as a stream, so memory does not grow with the file and a kill leaves
//! nothing behind; the caller commits it.
//!
//! ```text
//! FetchUri ─► Source ─► local      reflink, copy_file_range
//!                       http       redirects, proxies, resume by Range      ┐
//!                       ftp        passive, resume by REST                  ├─► Sink ─► Downloaded
//!                       objects    S3, Google Cloud Storage, Azure          ┘
//!                       hadoop     the program writes the file itself
//! ```
//!
//! What is decided is in functions without effects: [`retry`](self) says whether to begin again, `answer` what an
//! HTTP answer means for a file that is partly there, `stall` when a silent server is given up.

mod answer;
mod downloader;
mod error;
mod ftp;
mod hadoop;
mod http;
mod local;
mod meter;
mod objects;
mod retry;
mod sink;
mod stall;
mod tls;

pub use downloader::{Downloaded, Downloader, Measured, Settings};
pub use error::DownloadError;
pub(crate) use hadoop::{CANNOT_RUN, GUARD};
pub use meter::{Meter, Reading};
