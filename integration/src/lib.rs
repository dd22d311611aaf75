//! What the tests and benchmarks on a real engine stand on.
//!
//! * [`engine`]: the engine that is there, or a named skip;
//! * [`private`]: a containerd and a dockerd of the test's own, to be killed and restarted;
//! * [`proxy`]: faults on the engine's socket, below every client library;
//! * [`raw`]: a bare client of the Engine API, outside the crates under test, over [`http1`];
//! * [`images`]: the test images, made from busybox on the spot;
//! * [`sweep`]: names and labels of one test, and the removal of all it made;
//! * `processes`: the end of the processes that a test left;
//! * [`ports`]: ports that nobody else takes;
//! * [`reference`](mod@reference): a stock master, or a stock master and agent, and frameworks;
//! * [`agent`](mod@agent): our mesos-agent as a process, to be killed and restarted;
//! * [`executors`]: custom executors, of both protocols, in processes and in containers;
//! * [`pymesos`](mod@pymesos): a framework that nobody here wrote;
//! * [`supervised`]: a supervisor of the test's own, and tasks in a line;
//! * [`programs`](mod@programs): where the programs of this build are;
//! * [`cli_run`]: a `mesos-docker run` in the background, to be killed;
//! * [`mounts`]: the removal of what a killed process left mounted;
//! * [`logs_check`]: a supervisor for tests of logs and adoption, and the check of numbered lines;
//! * [`oracle`]: the real docker client, as the oracle of what a task becomes;
//! * [`eventually`]: waiting on a predicate with a deadline;
//! * [`fetch`]: the fetcher of a test;
//! * [`web`]: an HTTP server that is told how to misbehave;
//! * [`zookeeper`]: a ZooKeeper of the test's own;
//! * [`bench`](mod@bench): what `scripts/bench` runs.

pub mod agent;
pub mod bench;
pub mod cli_run;
pub mod engine;
pub mod eventually;
pub mod executors;
pub mod fetch;
pub mod http1;
pub mod images;
pub mod logs_check;
pub mod mounts;
pub mod oracle;
pub mod ports;
pub mod private;
mod processes;
pub mod programs;
pub mod proxy;
pub mod pymesos;
pub mod raw;
pub mod reference;
pub mod supervised;
pub mod sweep;
pub mod web;
pub mod zookeeper;

pub use engine::TestEngine;
pub use eventually::eventually;
pub use private::PrivateEngine;
pub use proxy::{Fault, FaultProxy, Rule};
pub use raw::RawClient;
pub use sweep::TestScope;
pub use web::WebServer;
pub use zookeeper::ZooKeeper;
