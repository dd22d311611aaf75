//! What the containerizers of a Mesos agent have in common.
//!
//! `docker-containerizer` and `mesos-containerizer` launch, watch and end containers of two kinds; whoever hands
//! containers to them (`task-supervisor`) hears the same of both. Here is what both say.
//!
//! | module | owns |
//! |---|---|
//! | `identity` | whose a container is |
//! | `run` | where a run lives, what is told of its launch |
//! | `pidfd` | a process that is held |
//! | `output` | where the output goes |
//! | `view` | what the owner of a container shows of it |
//! | `table` | the containers of one containerizer, by their ids |
//! | `termination` | how a container ended |
//! | `usage` | what a container uses |
//! | `volume` | the places of volumes on the host |
//! | [`cgroups`] | control groups: where they are, what they say, resources in their units |
//! | `recent` | the last lines of standard error |
//! | `blocking`, `error_chain` | small helps |

mod blocking;
mod error_chain;
mod identity;
mod output;
mod pidfd;
mod recent;
mod run;
mod table;
mod usage;
mod view;

pub mod cgroups;
pub mod termination;
pub mod volume;

pub use blocking::blocking;
pub use error_chain::chain;
pub use identity::{Checkpoint, Identity};
pub use output::{LogChunk, LogSettings, LogTap, OutputTarget, StreamName};
pub use pidfd::{Pidfd, register};
pub use recent::Recent;
pub use run::{Progress, RemovalDelay, RunPaths, StopSignal};
pub use table::{Amounts, Entry, InUse, Table};
pub use termination::{
    Cause, Ending, EngineSeen, Exit, Failure, Kill, Limitation, LogsEnd, Phase, Termination, Unknown,
};
pub use usage::Usage;
pub use view::{ContainerStatus, Handle, View};

pub use fetcher::progress::Event as FetchEvent;
