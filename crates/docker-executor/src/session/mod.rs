//! What to do on each event in each state: the conversation with the agent, and the end of this process. Pure.
//!
//! ```text
//!           Connected            Welcome
//! Starting ──────────► Joining ─────────► Joined ──Lost──► Away ──Connected──► Joining
//!                                           │                │
//!                     Shutdown, Terminate ──┤                └─ the recovery timeout is over, or there is none
//!                                           ▼
//!                          Ending: the task is killed, then the process exits
//! ```
//!
//! Follows the executor driver (`src/exec/exec.cpp`) and stock's Docker executor (`src/docker/executor.cpp`). Departs
//! where stock aborts (a kill before the launch), computes a negative grace (a shutdown within two seconds), or ends
//! with a status that nobody got (a task that ended while the agent was away for more than a minute).
//!
//! `host` waits for the events and performs the actions.

mod event;
mod grace;
mod state;
#[cfg(test)]
mod tests;
mod unacknowledged;

pub use event::{Action, AgentEvent, Call, Event, Exit, Join, Tell, Timer};
pub use grace::shutdown_grace;
pub use state::{FirstContact, Session, SessionSettings, is_terminal};
