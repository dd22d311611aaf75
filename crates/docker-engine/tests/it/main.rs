//! The verbs against a real engine, and the transport against scripted and recording sockets.
//!
//! The engine is the one of `DOCKER_HOST`, else the default socket. Without one the tests that need it print
//! `SKIPPED`, and fail if `MESOS_TEST_REQUIRE_ENGINE=1`.

#[cfg(test)]
mod containers;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod on_the_wire;
#[cfg(test)]
mod pulls;
#[cfg(test)]
mod start_failures;
#[cfg(test)]
mod support;
#[cfg(test)]
mod volumes_and_networks;
