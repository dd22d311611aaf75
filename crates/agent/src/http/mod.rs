//! Everything on the agent's port but libprocess messages.
//!
//! ```text
//! request ─► route ─► bounds (rate, requests at once) ─► endpoint ─► answer ─► JSONP, gzip ─► response
//!                                                          │
//!                       model (a copy, between two events) ┤
//!                       files, metrics, usages, log level ─┘
//! ```
//!
//! [`Http`] is the handler that the driver gives to the libprocess node. Endpoints, their answers and the texts of their
//! refusals are those of stock 1.11 (`src/slave/http.cpp`, `src/files/files.cpp`, libprocess' `http.cpp`), as recorded
//! and as tried on it. Nothing here changes the agent but the level of its log, and what executors say.
//!
//! Departures: paths with `..` are refused also where they would stay inside; `?jsonp=` takes names of functions only;
//! what waits or is sent has bounds ([`HttpSettings`]), and past them a client gets a 503.
//!
//! | module | owns |
//! |---|---|
//! | `route`, `query`, `accept` | what a request asks for |
//! | `service` | the bounds, and which endpoint answers |
//! | `pages` | the endpoints |
//! | `operator` | the v1 operator API |
//! | `executor_api` | the v1 API of executors |
//! | `views` | the model as JSON and as messages |
//! | `usages` | what containers use, read once for many |
//! | `answer`, `body` | what is sent |

mod accept;
mod answer;
mod body;
mod context;
mod executor_api;
mod limiter;
mod operator;
mod pages;
mod query;
mod route;
mod service;
mod settings;
mod usages;
mod version;
mod views;

pub use body::Body;
pub use context::Sources;
pub use service::Http;
pub use settings::HttpSettings;
pub use usages::{ReadUsage, Usages};
pub use version::{MESOS_VERSION, VersionInfo};

#[cfg(test)]
mod executor_tests;
#[cfg(test)]
mod tests;
