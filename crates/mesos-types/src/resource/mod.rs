//! The arithmetic of resources: what an agent has, what is reserved, allocated and made into volumes of it.
//!
//! A [`Resource`] is one amount with all that sets it apart from others of its name; a [`ResourceSet`] is a sum of them,
//! in which equal kinds are merged. Both are read from any of Mesos' two forms of reservations and work in the newer
//! one; [`format`] changes whole messages between them. [`apply_operation`] and [`apply_checkpointed`] compute an
//! agent's total, [`ResourceFlag`] reads `--resources`, [`executor_limits`] sums what an executor may burst to, and
//! [`summary`] is what `/state` shows. Nothing here does I/O.
//!
//! Facts followed: Mesos `src/common/resources.cpp`, `resources_utils.cpp` and `values.cpp`.

mod amount;
mod checkpointed;
mod disk;
mod flag;
pub mod format;
mod limits;
mod messages;
mod one;
mod operations;
mod range_set;
mod reservation;
mod set;
pub mod summary;
mod text;
mod value;
mod volume;

pub use amount::Amount;
pub use checkpointed::{apply_checkpointed, needs_checkpoint};
pub use disk::{DiskSource, PersistenceId};
pub use flag::{ResourceFlag, ResourceFlagError};
pub use limits::{ResourceLimits, executor_limits, limits_from_proto, limits_to_proto};
pub use messages::HoldsResources;
pub use one::{Resource, ResourceError};
pub use operations::{OperationError, apply_operation};
pub use range_set::RangeSet;
pub use reservation::{Reservation, ReservationKind};
pub use set::ResourceSet;
pub(crate) use text::{TextValue, parse_value};
pub use value::ResourceValue;
pub use volume::{LocalVolume, VolumeDirectory, path_root};
