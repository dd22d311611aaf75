//! The Docker containerizer: Mesos tasks as containers of a Docker Engine.
//!
//! [`Containerizer`] has the verbs of Mesos' containerizer interface (launch, update, usage, status, wait, destroy,
//! containers, recover). The task supervisor calls it; it calls `docker-engine` and `sandbox`.
//!
//! | module | owns |
//! |---|---|
//! | `containerizer` | the table of containers and the verbs |
//! | `driver` | one container, from its launch to its removal |
//! | `attach` | taking over what a stock agent launched |
//! | `conclude` | what is known of its end |
//! | `lifecycle` | what is legal, as a pure function |
//! | `request` | a task as the Engine's create request |
//! | `policy` | what a request may ask of its host |
//! | `fetch` | the URIs in the sandbox before, or beside, the pull |
//! | `launch` | create, connect, start, with lost answers looked for |
//! | `images` | pulls, shared and bounded |
//! | `credentials` | which registry gets which credentials, from the sandbox or the operator |
//! | `exit`, `stop` | knowing that a container ended, making it end |
//! | `logs` | the output in the sandbox, once each and in order |
//! | `names`, `labels`, `recover` | whose a container is, and finding ours |

mod attach;
mod conclude;
mod containerizer;
mod credentials;
mod driver;
mod engine_usage;
mod exit;
mod fetch;
mod launch;
mod lifecycle;
mod mount;
mod order;
mod removal;
mod stop;

pub mod images;
pub mod labels;
pub mod logs;
pub mod names;
pub mod policy;
pub mod recover;
pub mod request;

pub use self::containerizer::{
    ContainerStatus, Containerizer, ContainerizerError, FetchedCredentials, Handle, Settings,
};
pub use ::containerizer::{
    Checkpoint, Ending, EngineSeen, Exit, Failure, FetchEvent, Identity, Kill, Limitation, LogsEnd, Phase,
    RemovalDelay, RunPaths, StopSignal, Termination, Unknown, Usage, chain, termination,
};
pub use attach::AttachOrder;
pub use credentials::{
    ConfigError, CredentialError, CredentialSource, CredentialSources, HelperError, HelperSettings, Login,
    OperatorConfig, ProxyVariables,
};
pub use images::{ImageIdentity, PullNews, PullPolicy, PullSettings, PullStage};
pub use labels::Labels;
pub use order::{Addresses, AdoptOrder, LaunchOrder, Progress, Running};
