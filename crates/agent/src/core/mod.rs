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
//! | `recovery`, `reconnect` | what an earlier process left, and the executors that come back |
//! | `run`, `support` | a task that arrives, and what cannot run here |
//! | `launch`, `executor_info` | its executor: made up for it, or its framework's |
//! | `tasks` | what tasks tell that are supervised in this process |
//! | `executors`, `executor_updates`, `delivery` | what executors' programs say, and the tasks that they get |
//! | `containers`, `exits` | what becomes of the containers of those programs, and what the master hears of it |
//! | `kill`, `drain` | tasks that are to stop |
//! | `updates`, `status` | statuses on their way to the master |
//! | `frameworks`, `teardown` | frameworks that change, and the end of frameworks, executors and the agent |
//! | `wire_resources` | resources as masters of all ages send and take them |
//! | `timers` | deadlines |

mod action;
mod containers;
mod delivery;
mod drain;
mod event;
mod executor_info;
mod executor_updates;
mod executors;
mod exits;
mod frameworks;
mod kill;
mod launch;
mod reconnect;
mod recovery;
mod registration;
mod reregister;
mod run;
mod settings;
mod state;
mod status;
mod support;
mod tasks;
mod teardown;
mod timers;
mod updates;
mod wire_resources;

#[cfg(test)]
mod tests;

pub use action::{Action, ExecutorLaunch, Exit, Garbage, Launch, Launched, ToExecutor, ToMaster, Write};
pub use event::{Call, ContainerEvent, Event, ExecutorCall, Gone, Message, Now, Run, StopWish, TaskEvent};
pub use recovery::{Intent, Recovered};
pub use settings::{Authentication, CoreSettings, Plain, PlainLimits, SwitchUser};
pub use state::State;
pub(crate) use wire_resources::outward;
