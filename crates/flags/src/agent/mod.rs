//! The flags of `mesos-agent`: every one of the stock agent 1.11, and ours.
//!
//! [`AgentSettings::load`] is the way in: it takes the command line and the environment, adds the directory of
//! `--config_dir`, and gives settings that are valid, or one error that names the flag and the remedy. The command line
//! wins over the environment, which wins over the directory. Each flag has a [`FlagClass`]: it is honoured, or
//! accepted with a line that says why it changes nothing, or it stops the start when it is set.
//!
//! Facts followed: Mesos `src/slave/flags.cpp`, `src/slave/main.cpp`, stout `flags/flags.hpp`, and the flags of a real
//! 1.11.0 as recorded in `data/agent-flags-1.11.txt`.

mod bounds;
mod class;
mod config_dir;
mod containment;
mod environment;
mod error;
mod executors;
mod http;
mod layers;
mod load;
mod master;
mod permissions;
mod settings;
mod shown;
mod table;
mod table_containment;
mod table_honoured;
mod table_no_effect;
mod table_refused;
mod texts;
mod usage;
mod wire;

pub use bounds::BoundSettings;
pub use class::{AgentFlag, FlagClass};
pub use containment::ContainmentFlags;
pub use error::{AgentFlagsError, Origin};
pub use executors::{ExecutorAuthentication, ExecutorSettings};
pub use http::{HttpSettings, Rate};
pub use load::{Invocation, LoadedAgentSettings};
pub use master::MasterFlag;
pub use settings::{
    AgentSettings, Containerizer, GcSettings, LogLevel, LogSettings, NetworkSettings, ReconfigurationPolicy,
    Recover, RecoverySettings, RegistrationSettings,
};
pub(crate) use table::is_stock;
pub use table::{agent_flags, recorded_stock_flags};
