//! Executors that a stock agent launched, found when ours takes its work directory over: carried to their end.
//!
//! ```text
//! forked.pid ──► process, if it is the one that was meant ─┐
//! mesos-<id>, mesos-<id>.executor ──► containers           ├─► parts ──► run: waits for the lead's end, stops the rest
//! executor.info ──► whose the task's container is         ─┘
//! ```
//!
//! Its program speaks to the core as those do that we launch; here is only what contains it. Its exit status is known
//! where it is the engine's to tell, since a process that is not our child keeps its own to itself.
//!
//! | what the stock agent ran | lead: its end is the executor's | beside |
//! |---|---|---|
//! | a Docker task: `mesos-docker-executor`, stock's or ours | the process of forked.pid | `mesos-<id>` |
//! | the same, by an agent in a container | `mesos-<id>.executor` | `mesos-<id>` |
//! | a custom executor with a Docker image | `mesos-<id>` | |
//! | a task or custom executor without an image | the process of forked.pid | |
//!
//! | module | owns |
//! |---|---|
//! | `parts` | what leads and what is beside, pure |
//! | `process` | the process of forked.pid |
//! | `run` | one such run until its end |

mod parts;
mod process;
mod run;

pub(super) use run::StockRun;
