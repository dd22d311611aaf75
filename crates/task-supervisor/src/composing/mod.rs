//! Several containerizers as one: which of them takes a container, and to which a later verb goes.
//!
//! Source: `src/slave/containerizer/composing.cpp`. Members are asked in the order of `--containerizers`; stock sorts
//! them. Who accepted a container is the one that knows it, so nothing is kept here of a container that was launched.
//!
//! ```text
//! claim ──► Launching ──choose, commit──► the member's ──► gone
//!               │ destroy
//!               ▼
//!           Destroyed: no other member is asked, nothing is launched
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `kind` | which containers a member takes |
//! | `claims` | the ids of launches that no member has yet |
//! | `composed` | the verbs |
//! | `handle` | a container of either kind, as its owner shows it |
//! | `progress` | how far a launch is |

mod claims;
mod composed;
mod error;
mod handle;
mod kind;
mod progress;

pub use claims::Launching;
pub use composed::Composing;
pub use error::{ComposingError, Refusal};
pub use handle::{Handle, Running};
pub use kind::Kind;

pub(crate) use progress::Progress;
