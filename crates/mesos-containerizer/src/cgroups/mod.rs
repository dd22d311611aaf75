//! The control groups of plain containers, v1, v2 and both side by side.
//!
//! Each container has one group, named after it, in each hierarchy that is used: `<mount>/<--cgroups_root>/<container>`.
//! One of them follows its processes wherever they fork or daemonize to, so that a kill reaches all of them: the unified
//! hierarchy where there is one (also beside v1), else the freezer. The others limit and count.
//!
//! | module | owns |
//! |---|---|
//! | `hierarchies` | what is mounted, and which hierarchy has which controller |
//! | `layout` | which groups a container gets |
//! | `limits` | resources and limits as writes to files, as a pure function |
//! | `dirs` | the groups of one container: enter, kill, remove |
//! | `kill` | killing until nothing is left |
//! | `memory` | whether the kernel killed for memory |
//! | `mark` | whose a group is |
//! | `error` | what went wrong with which file |
//!
//! Everything here is short blocking calls on files, but for `memory`, which needs a runtime.

mod dirs;
mod error;
mod hierarchies;
mod kill;
mod layout;
mod limits;
mod mark;
mod memory;

pub use dirs::{GroupDir, GroupDirs};
pub use error::CgroupsError;
pub use hierarchies::{Controller, Hierarchies};
pub use kill::KillError;
pub(crate) use kill::{Pauses, Round};
pub(crate) use layout::{Layout, Wanted};
pub use limits::Swap;
pub(crate) use limits::{LimitSettings, MemoryNow, writes};
pub(crate) use mark::{Mark, mark_of, set_mark};
pub(crate) use memory::{OomWatch, oom_kills};
