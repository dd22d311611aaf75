//! The containerizer and the supervisor in-process, on a real engine. Where a test asserts what a test of the C++
//! project asserts, its doc names that; `docs/peer-tests.md` lists all of them.

mod command;
mod faults;
mod fetch;
mod images;
mod isolation;
mod kill;
mod launch;
mod limits;
mod network;
mod options;
mod outside;
mod policy;
mod recovery;
mod usage;
mod volumes;
