//! Owns the question which master leads.
//!
//! - `address` reads what `--master` names.
//! - `members` chooses the leader among the nodes in ZooKeeper, `leader` reads what it says of itself. Pure.
//! - `zookeeper` watches ZooKeeper for ever, one session after the other; `absence` says when its absence is told.
//! - `detection` is what the driver holds: the leader of the moment, and the failure that ends the agent.
//!
//! As stock (`src/master/detector/`, `src/zookeeper/`). Secrets of the address never reach a log or an error.

mod absence;
mod address;
mod detection;
mod leader;
mod members;
mod zookeeper;

pub use address::{AddressError, Credentials, MasterAddress, ZooKeeperAddress};
pub use detection::{Detection, DetectorError, DetectorSettings};
pub use leader::{Leader, LeaderError};
pub use members::{Label, Member, leading};
