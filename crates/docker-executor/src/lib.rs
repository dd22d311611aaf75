//! The program `mesos-docker-executor`: our supervision of one Docker task, for a stock agent.
//!
//! A stock C++ agent starts the program of this name from its `--launcher_dir`, one process for each Docker task, after
//! it has fetched the task's URIs, pulled its image and mounted its persistent volumes. Ours takes the same flags and
//! environment, speaks the same protocols with the agent, and runs the task with [`task_supervisor`].
//!
//! ```text
//! flags, environment ──► Place (sandbox, state) ──► Host: one loop
//!                                                    │  events: agent, task, signals, timers
//!              agent (v0 messages or v1 HTTP) ◄──────┤  Session::on(event) -> actions
//!              task (task_supervisor)         ◄──────┘
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `flags_table` | the flags of stock's program, and ours beside them |
//! | `environment` | what the agent says in the environment |
//! | `scrub` | what of the environment stays in this process |
//! | `session` | what to do on each event in each state; pure |
//! | `agent` | the connection to the agent, v0 or v1 |
//! | `place` | the sandbox that the agent made, and the directory of our own records |
//! | `prepared` | what a task looks like once the agent has done its part; pure |
//! | `output` | the task's output, and our own log lines |
//! | `task` | the task's launch and its statuses |
//! | `guard` | a process that stops the container when this one is killed |
//! | `host` | the loop that waits for events and performs actions |

pub mod agent;
pub mod environment;
pub mod flags_table;
pub mod guard;
pub mod host;
pub mod output;
pub mod place;
pub mod prepared;
pub mod scrub;
pub mod session;
pub mod task;
