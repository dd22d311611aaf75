//! What the tests stand on: a fetch in a directory of its own, and servers.

mod fetch;
mod ftp_script;
mod s3;
mod unftp;

pub(crate) use fetch::{Fetch, Running, mode};
pub(crate) use ftp_script::{FtpReply, FtpScript};
pub(crate) use s3::S3Server;
pub(crate) use unftp::FtpServer;
