//! Health checks and checks of tasks: COMMAND by exec in the container, or beside the process of a task without an image;
//! HTTP and TCP inside the container's network namespace, or this machine's.
//!
//! Who calls it: `task-supervisor`, once for each check of a task whose container runs. It knows nothing of statuses: it
//! tells what changed, and what must be kept so that the next process goes on with it.
//!
//! ```text
//! HealthCheckSpec / CheckSpec ─┐
//! Target (task, its network) ──┼─ CheckRunner::start ─► Checker ─► CheckUpdate { news, state }
//! CheckState (of a record) ────┘    shared by all tasks:  ▲
//!                                   turns, namespace      └ pause, resume, stop
//!                                   thread, counters
//! ```
//!
//! # What counts, and what does not
//!
//! A check fails when the *task* fails it: its command ends with another code than 0 or not in time, its server does not
//! answer, or answers with another status than 200 to 399. What the engine or this process fails to do is
//! [`CheckNews::NotDone`]: told, counted, tried again, and no verdict on the task. Waiting for a turn among the other
//! checks counts against no timeout, and neither does an engine that is slow to start a command: the time of a command
//! is the age of its process. A check that began late is a number in [`CheckCounts`].
//!
//! # Use
//!
//! ```no_run
//! use std::time::Duration;
//! use checks::{Check, CheckNews, CheckOrder, CheckRunner, CheckSettings, CheckState, Target, Verdict};
//! # async fn example(engine: docker_engine::Engine, inspection: docker_engine::Inspection, spec: mesos_types::HealthCheckSpec) {
//! // Once for the process.
//! let runner = CheckRunner::new(CheckSettings::default());
//! // Once for a task, when its container runs. After an adoption: the record's state, and how long it has run.
//! let mut checker = runner.start(CheckOrder {
//!     check: Check::Health(spec),
//!     target: Target::of(&engine, &inspection),
//!     state: CheckState::default(),
//!     running_for: Duration::ZERO,
//! });
//! while let Some(update) = checker.next().await {
//!     // Written to the record before the status is sent.
//!     let _ = update.state;
//!     match update.news {
//!         CheckNews::Healthy => { /* TASK_RUNNING, healthy = true */ }
//!         CheckNews::Unhealthy { verdict, why, .. } => {
//!             // TASK_RUNNING, healthy = false, message = why
//!             if verdict == Verdict::Kill { checker.pause(); /* and kill the task */ }
//!             # let _ = why;
//!         }
//!         CheckNews::Status(status) => {
//!             // TASK_RUNNING, check_status = status
//!             # let _ = status;
//!         }
//!         CheckNews::NotDone { why } => {
//!             // One line for the sandbox's stderr.
//!             # let _ = why;
//!         }
//!     }
//! }
//! # }
//! ```
//!
//! A task that asks for Docker's own HEALTHCHECK has an [`EngineHealthWatch`] in place of a [`Checker`], with the same
//! updates: `if EngineHealthWatcher::applies_to(&inspection) { watcher.watch(&inspection.id, state) }`. A Mesos health
//! check goes before it.
//!
//! | module | owns |
//! |---|---|
//! | `checker` | one check of one task, from its start to its stop |
//! | `schedule` | when it asks: a pure state machine |
//! | `judge` | what answers mean: grace, failures in a row, changes; pure |
//! | `runner` | what all checks share: turns, the namespace thread, settings |
//! | `counts` | the numbers of a process's checks |
//! | `target` | what is asked: the container or process, and the way to its network |
//! | `namespace`, `opener` | what is held of a task: a network namespace and the one thread that enters it, or a process |
//! | `probe` | asking once, by command, HTTP or TCP |
//! | `processes` | finding and killing what a command has started |
//! | `engine_health` | the verdicts of Docker's own HEALTHCHECK, from one subscription for all tasks |

mod checker;
mod counts;
mod engine_health;
mod judge;
mod namespace;
mod opener;
mod output;
mod probe;
mod processes;
mod runner;
mod schedule;
mod target;

pub use checker::{Check, CheckNews, CheckOrder, CheckUpdate, Checker};
pub use counts::CheckCounts;
pub use engine_health::{EngineHealthWatch, EngineHealthWatcher};
pub use judge::{Answer, CheckState, Verdict, empty_status};
pub use namespace::NetNamespace;
pub use runner::{CheckRunner, CheckSettings};
pub use target::{Reach, Target};
