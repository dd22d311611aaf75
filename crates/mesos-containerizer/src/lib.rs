//! The Mesos containerizer: tasks and executors without an image, as processes of this machine.
//!
//! [`Containerizer`] has the verbs of Mesos' containerizer interface, as `docker-containerizer` has them for containers of
//! an engine. Each container has one small process of ours beside its command, which outlives the agent ([`parent`]).
//!
//! | module | owns |
//! |---|---|
//! | `containerizer` | the table of containers and the verbs |
//! | `driver` | one container, from its launch to its end |
//! | `lifecycle` | what is legal, as a pure function |
//! | `prepare`, `volumes`, `begin` | a launch up to its command |
//! | `subject`, `stop` | the processes of a container, and making them end |
//! | `record`, `adopt`, `conclude` | what the next agent finds, and how a container ended |
//! | `unstarted` | whether anything ran of a launch that an earlier agent began |
//! | `seen` | what others may see of a container |
//! | `tap`, `log` | its output, for who looks on, and in the sandbox |
//! | `parent` | the program `mesos-containerizer`: the supervising parent of one container |
//! | `isolation` | what containers are isolated by, and how much of it this machine can do |
//! | `cgroups` | the control groups of containers |
//! | `disk` | what containers take of the disk |
//! | `aside` | commands beside a container's own, for its checks |
//! | `processes` | processes by number and start time, and the trees they make |

mod adopt;
mod begin;
mod conclude;
mod containerizer;
mod disk;
mod driver;
mod error;
mod lifecycle;
mod log;
mod order;
mod prepare;
mod record;
mod seen;
mod settings;
mod stop;
mod subject;
mod tap;
mod unstarted;
mod volumes;

pub mod aside;
pub mod cgroups;
pub mod isolation;
pub mod parent;
pub mod processes;

pub use self::containerizer::{ContainerStatus, Containerizer, Handle};
pub use error::ContainerizerError;
pub use order::{AdoptOrder, ForeignOrder, LaunchOrder, Running};
pub use seen::{Seen, seen};
pub use settings::Settings;
pub use subject::is_of_container;
pub use unstarted::{Ran, kill_left, ran};
