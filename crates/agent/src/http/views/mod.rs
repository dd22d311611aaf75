//! The model as clients see it: pure functions from the model to JSON and messages.
//!
//! | module | prints |
//! |---|---|
//! | `state` | `/state`: the agent, v0 names |
//! | `framework`, `executor`, `task` | its parts |
//! | `resources`, `attributes` | amounts as flat JSON |
//! | `operator` | the answers of the v1 operator API |
//! | `statistics` | what containers use |
//!
//! The same state gives the same members, types and texts as stock's agent (`src/slave/http.cpp`, `src/common/http.cpp`);
//! only the order of members and of unordered lists differs. Secrets are left out.

mod attributes;
mod executor;
mod framework;
mod operator;
mod resources;
mod state;
mod statistics;
mod task;

pub(super) use operator::{agent, executors, frameworks, state_json, state_message, tasks};
pub(super) use state::{StateFacts, state};
#[cfg(test)]
pub(super) use statistics::entry;
pub(super) use statistics::{
    ContainerEntry, containers, containers_response, entries, resource_statistics, statistics,
};

#[cfg(test)]
mod tests;
