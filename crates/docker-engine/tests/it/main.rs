//! The verbs against a real engine, and the transport against scripted and recording sockets.
//!
//! The engine is the one of `DOCKER_HOST`, else the default socket. Without one the tests that need it print
//! `SKIPPED`, and fail if `MESOS_TEST_REQUIRE_ENGINE=1`.

mod containers;
mod faults;
mod logs;
mod on_the_wire;
mod pulls;
mod start_failures;
mod support;
mod volumes_and_networks;
