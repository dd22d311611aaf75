//! Owns the real `docker` client as the oracle for the translation of `docker run` options. Used by the differential
//! test `docker_run_oracle` and nowhere else: no program of ours runs a client.
//!
//! Stock Mesos turns a task into a command line of the client, and the client turns that into the Engine's create
//! request. So the request that is right for a task is what a real client sends for stock's command line:
//!
//! | module | owns |
//! |---|---|
//! | [`command_line`] | stock's command line for a TaskInfo, written from the specification, apart from the crates under test |
//! | [`client`] | the clients on this machine, and running one of them |
//! | [`recorder`] | a socket that takes a client's create request and makes nothing |
//! | [`golden`] | what a client sent on another machine, checked in |
//! | [`ours`] | the request of the code under test for the same TaskInfo |
//! | [`compare`] | the two requests, or two inspections, field by field |
//! | [`allowed`] | every difference that is meant, with its reason |

pub mod allowed;
pub mod client;
pub mod command_line;
pub mod compare;
pub mod golden;
pub mod ours;
pub mod recorder;

pub use client::DockerClient;
pub use command_line::Agent;
pub use recorder::Outcome;
