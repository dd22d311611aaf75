//! What the agent decides: a state, and one step that takes an event and answers what is to be done.
//!
//! Nothing in here waits, reads a clock or touches a file. The driver calls [`State::step`] from its one task and performs
//! the actions in their order.
//!
//! | module | owns |
//! |---|---|
//! | `state` | the step |
//! | `event`, `action` | what goes in and what comes out |
//! | `registration`, `reregister` | the way to the master and what it is told |
//! | `recovery` | what an earlier process left |
//! | `run`, `executor_info` | a task that arrives, and the executor that is made up for it |
//! | `tasks` | what running tasks tell |
//! | `kill`, `drain` | tasks that are to stop |
//! | `updates`, `status` | statuses on their way to the master |
//! | `frameworks`, `teardown` | frameworks that change, and the end of frameworks, executors and the agent |
//! | `wire_resources` | resources as masters of all ages send and take them |
//! | `timers` | deadlines |

mod action;
mod drain;
mod event;
mod executor_info;
mod frameworks;
mod kill;
mod recovery;
mod registration;
mod reregister;
mod run;
mod settings;
mod state;
mod status;
mod tasks;
mod teardown;
mod timers;
mod updates;
mod wire_resources;

#[cfg(test)]
mod tests;

pub use action::{Action, Exit, Garbage, Launch, ToMaster, Write};
pub use event::{Event, Message, Now, Run, StopWish, TaskEvent};
pub use recovery::{Intent, Recovered};
pub use settings::{Authentication, CoreSettings, Docker, SwitchUser};
pub use state::State;
pub(crate) use wire_resources::outward;
