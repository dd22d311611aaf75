//! `mesos-docker cleanup`: removes what runs without an owner left in a work directory.
//!
//! | module | owns |
//! |---|---|
//! | `plan` | what of a run is to go, and why |
//! | `perform` | doing it under the run's lock, a line for each thing |

mod perform;
mod plan;

pub(crate) use perform::cleanup;
