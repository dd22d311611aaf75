//! Owns how the agent shows the master who it is: CRAM-MD5 with the credential of `--credential`.
//!
//! - `credential` reads the file.
//! - `authenticatee` is one exchange as a pure state machine; `cram_md5` computes its answer.
//! - `patience` says how long each try may take. Pure.
//! - `exchange` tries until the master has accepted or refused us. The driver calls it.
//!
//! As stock (`src/authentication/cram_md5/authenticatee.cpp`, `src/slave/slave.cpp`, `authenticate`). Where we are better:
//! only the master that was asked can make us answer a challenge or believe that we were refused, and a master without
//! authentication is asked again when the try's time is over and not at once.

mod authenticatee;
mod cram_md5;
mod credential;
mod exchange;
mod patience;

pub use authenticatee::{Authenticatee, Heard, Reply, Step};
pub use credential::{Credential, CredentialError};
pub use exchange::{AuthenticateError, Authenticator};
pub use patience::Patience;
