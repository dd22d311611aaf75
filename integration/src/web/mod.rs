//! A web server for tests of the fetcher: it serves pages from memory as a good server does, or as it is told to
//! misbehave, and remembers what it was asked.
//!
//! It stands on [`http1`](crate::http1), apart from the HTTP stack of the crates under test, and listens on loopback.

mod authority;
mod page;
mod server;

pub use authority::TestAuthority;
pub use page::{Page, Reply};
pub use server::{Asked, WebServer};
