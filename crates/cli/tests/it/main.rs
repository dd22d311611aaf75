//! The program `mesos-docker`, run as a person runs it.

mod bad_input;
mod on_an_engine;
mod plain;
mod policy;
mod program;
