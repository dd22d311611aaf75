//! What a caller hands over for a launch or an adoption, and what it hears meanwhile.

use bytes::Bytes;
use containerizer::{LogTap, OutputTarget, RemovalDelay, RunPaths, StopSignal};
use docker_engine::{EngineTime, Inspection};
use mesos_types::TaskSpec;
use sandbox::Owner;
use tokio::sync::mpsc;

use crate::images::{ImageIdentity, PullNews};
use crate::labels::Labels;
use crate::request::Request;
use containerizer::cgroups::Cgroups;

/// A container to launch.
#[derive(Debug)]
pub struct LaunchOrder {
    /// Whose it is.
    pub labels: Labels,
    /// The task.
    pub task: TaskSpec,
    /// The request, as [`crate::Containerizer::plan`] made it from the task.
    pub request: Request,
    /// Where the run lives.
    pub paths: RunPaths,
    /// Who owns the files in the sandbox; `None` leaves them with us.
    pub owner: Option<Owner>,
    /// Where the output goes.
    pub output: OutputTarget,
    /// Where a copy of the output goes, or all of it.
    pub tap: Option<LogTap>,
    /// Where the launch's progress is told.
    pub progress: Option<mpsc::Sender<Progress>>,
    /// When the stopped container is removed.
    pub removal: RemovalDelay,
}

/// A container to take over: one that an earlier process launched.
#[derive(Debug)]
pub struct AdoptOrder {
    /// Whose it is.
    pub labels: Labels,
    /// The task.
    pub task: TaskSpec,
    /// The engine's id, or the name where the id was not recorded.
    pub engine_id: String,
    /// When the run started, where that was recorded.
    pub started_at: Option<EngineTime>,
    /// Whether it has had its stop signal.
    pub stop_signal: StopSignal,
    /// Where the run lives.
    pub paths: RunPaths,
    /// Who owns the files in the sandbox.
    pub owner: Option<Owner>,
    /// Where a copy of the output goes, from the cursor on.
    pub tap: Option<LogTap>,
    /// When the stopped container is removed.
    pub removal: RemovalDelay,
}

/// What is told of a launch while it goes on.
#[derive(Debug, Clone)]
pub enum Progress {
    /// How far the fetch of a URI is.
    Fetch(Box<fetcher::progress::Event>),
    /// How far the pull of the image is.
    Pull(PullNews),
    /// Image and files are there: TASK_STARTING.
    Prepared,
    /// The engine's warnings about the request.
    Warnings(Vec<String>),
}

/// A container that was seen started.
#[derive(Debug, Clone)]
pub struct Running {
    /// The engine's id.
    pub engine_id: String,
    /// When it started.
    pub started_at: EngineTime,
    /// The engine's inspection, as it sent it: what `TaskStatus.data` wraps into an array.
    pub raw: Bytes,
    /// Its addresses: the network's name, IPv4, IPv6.
    pub addresses: Addresses,
    /// The host ports that reach it.
    pub ports: Vec<docker_engine::PublishedPort>,
    /// The process, as the engine sees it.
    pub pid: Option<u32>,
    /// The image that it was made from.
    pub image: ImageIdentity,
    /// Its control groups, where they can be read.
    pub(crate) cgroups: Option<Cgroups>,
}

/// The image that a launch looked at.
#[derive(Debug, Clone)]
pub(crate) struct LaunchedImage {
    pub(crate) id: String,
    pub(crate) identity: ImageIdentity,
}

/// The addresses of a container in the network that it was started in; none with the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    /// The IPv4 address.
    pub ipv4: Option<std::net::Ipv4Addr>,
    /// The global IPv6 address.
    pub ipv6: Option<std::net::Ipv6Addr>,
}

impl Running {
    /// Reads what the engine says of a container that has started; `image` is what the launch looked at, and its
    /// identity. The engine resolves the name once more as it creates the container, so the tag may have moved since.
    pub(crate) fn of(
        inspection: &Inspection,
        image: Option<&LaunchedImage>,
        cgroups: Option<Cgroups>,
    ) -> Self {
        let image = image.filter(|image| image.id == inspection.image_id).map(|image| image.identity.clone());
        let network = inspection.networks.get(&inspection.network_mode);
        // The default bridge has mode `default` with some clients; a container in one network has one entry.
        let network = network.or_else(|| inspection.networks.values().next());
        Self {
            engine_id: inspection.id.clone(),
            started_at: inspection.state.started_at.clone(),
            raw: inspection.raw.clone(),
            addresses: Addresses {
                ipv4: network.and_then(|network| network.ipv4),
                ipv6: network.and_then(|network| network.ipv6),
            },
            ports: inspection.ports.clone(),
            pid: inspection.state.pid,
            image: image.unwrap_or_else(|| ImageIdentity::of_id(&inspection.image_id)),
            cgroups,
        }
    }
}
