//! Checks on a real engine: each kind, on each kind of network, with an engine that is slow, hangs or is gone. The
//! `health` tests are those of tasks through the supervisor; the others make checks of bare containers, and of bare processes.

mod command;
mod engine_health;
mod faults;
mod health;
mod hostile;
mod lab;
mod many;
mod network;
mod process;
