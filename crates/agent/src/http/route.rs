//! Which endpoint a path means (the routing of libprocess' `process.cpp` and `http.cpp`).
//!
//! The first segment names a process; what names none belongs to the agent, `slave(1)`. Inside the agent the longest
//! known beginning of the rest counts (`/state/x` is `/state`), at the others the first segment of it.

use percent_encoding::percent_decode_str;

use super::query::is_well_encoded;

/// The agent's own process.
const AGENT: &str = "slave(1)";

/// The routes of the agent, below `/` and below `/slave(1)/`.
const AGENT_ROUTES: [(&str, Endpoint); 11] = [
    ("api/v1", Endpoint::OperatorApi),
    ("api/v1/executor", Endpoint::ExecutorApi),
    ("api/v1/resource_provider", Endpoint::ResourceProviderApi),
    ("containerizer/debug", Endpoint::ContainerizerDebug),
    ("containers", Endpoint::Containers),
    ("flags", Endpoint::Flags),
    ("health", Endpoint::Health),
    ("monitor/statistics", Endpoint::Statistics),
    ("monitor/statistics.json", Endpoint::Statistics),
    ("state", Endpoint::State),
    ("state.json", Endpoint::State),
];

/// The routes of the other processes: the process, its route, and what it is.
const OTHER_ROUTES: [(&str, &str, Endpoint); 16] = [
    ("files", "browse", Endpoint::FilesBrowse),
    ("files", "browse.json", Endpoint::FilesBrowse),
    ("files", "debug", Endpoint::FilesDebug),
    ("files", "debug.json", Endpoint::FilesDebug),
    ("files", "download", Endpoint::FilesDownload),
    ("files", "download.json", Endpoint::FilesDownload),
    ("files", "read", Endpoint::FilesRead),
    ("files", "read.json", Endpoint::FilesRead),
    ("help", "", Endpoint::Help),
    ("logging", "toggle", Endpoint::LoggingToggle),
    ("metrics", "", Endpoint::Prometheus),
    ("metrics", "snapshot", Endpoint::MetricsSnapshot),
    ("memory-profiler", "", Endpoint::Profiler),
    ("profiler", "", Endpoint::Profiler),
    ("system", "stats.json", Endpoint::SystemStats),
    ("version", "", Endpoint::Version),
];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    /// The agent and all its tasks.
    State,
    /// Containers with what they use.
    Containers,
    /// What executors use.
    Statistics,
    /// Operations of containerizers that wait.
    ContainerizerDebug,
    /// The flags.
    Flags,
    /// Whether it answers at all.
    Health,
    /// The v1 operator API.
    OperatorApi,
    /// The v1 API of executors.
    ExecutorApi,
    /// The v1 API of resource providers.
    ResourceProviderApi,
    /// A directory's list.
    FilesBrowse,
    /// A piece of a file.
    FilesRead,
    /// A whole file.
    FilesDownload,
    /// The attached paths.
    FilesDebug,
    /// The metrics, as flat JSON.
    MetricsSnapshot,
    /// The metrics, as Prometheus text.
    Prometheus,
    /// The version.
    Version,
    /// The level of the log.
    LoggingToggle,
    /// The host's load and memory.
    SystemStats,
    /// What there is.
    Help,
    /// The profilers of stock, which this agent has not.
    Profiler,
    /// Nothing.
    Missing,
}

/// The endpoint that a path means, as it stands in the request, encoded.
pub(super) fn route(path: &str) -> Endpoint {
    let Some(path) = decoded(path) else { return Endpoint::Missing };
    let (process, rest) = path.split_once('/').unwrap_or((&path, ""));
    if process == AGENT {
        return agent(rest);
    }
    let processes = || OTHER_ROUTES.iter().filter(|(name, _, _)| *name == process);
    if processes().next().is_none() {
        return agent(&path);
    }
    let whole = |(_, route, _): &&(&str, &str, Endpoint)| *route == rest;
    // The help has a page for each endpoint.
    let begun = |(_, route, endpoint): &&(&str, &str, Endpoint)| match endpoint {
        Endpoint::Help | Endpoint::Profiler => true,
        _ => !route.is_empty() && rest.strip_prefix(*route).is_some_and(|more| more.starts_with('/')),
    };
    let found = processes().find(whole).or_else(|| processes().find(begun));
    found.map_or(Endpoint::Missing, |(_, _, endpoint)| *endpoint)
}

/// The path without its first and last slash, each segment decoded.
fn decoded(path: &str) -> Option<String> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if !is_well_encoded(path) {
        return None;
    }
    let path = percent_decode_str(path).decode_utf8().ok()?;
    // Stock's rule is against `/..`; no endpoint has `..` in its name, so none loses by this one.
    let is_climbing = path.split('/').any(|segment| segment == "..");
    (!is_climbing).then(|| path.into_owned())
}

fn agent(rest: &str) -> Endpoint {
    let begins = |(route, _): &&(&str, Endpoint)| {
        rest.strip_prefix(*route).is_some_and(|more| more.is_empty() || more.starts_with('/'))
    };
    let longest = AGENT_ROUTES.iter().filter(begins).max_by_key(|(route, _)| route.len());
    longest.map_or(Endpoint::Missing, |(_, endpoint)| *endpoint)
}

impl Endpoint {
    /// The path under which the operator knows it, for `--firewall_rules` and the help.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::State => "/state",
            Self::Containers => "/containers",
            Self::Statistics => "/monitor/statistics",
            Self::ContainerizerDebug => "/containerizer/debug",
            Self::Flags => "/flags",
            Self::Health => "/health",
            Self::OperatorApi => "/api/v1",
            Self::ExecutorApi => "/api/v1/executor",
            Self::ResourceProviderApi => "/api/v1/resource_provider",
            Self::FilesBrowse => "/files/browse",
            Self::FilesRead => "/files/read",
            Self::FilesDownload => "/files/download",
            Self::FilesDebug => "/files/debug",
            Self::MetricsSnapshot => "/metrics/snapshot",
            Self::Prometheus => "/metrics",
            Self::Version => "/version",
            Self::LoggingToggle => "/logging/toggle",
            Self::SystemStats => "/system/stats.json",
            Self::Help => "/help",
            Self::Profiler => "/profiler",
            Self::Missing => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Most rows were tried on a stock 1.11.0 agent.
    #[rstest]
    #[case("/state", Endpoint::State)]
    #[case("/state/", Endpoint::State)]
    #[case("/state.json", Endpoint::State)]
    #[case("/slave(1)/state", Endpoint::State)]
    #[case("/slave%281%29/state", Endpoint::State)]
    #[case("/slave(1)/state/foo", Endpoint::State)]
    #[case("/slave(1)/state.json", Endpoint::State)]
    #[case("/slave(2)/state", Endpoint::Missing)]
    #[case("/statex", Endpoint::Missing)]
    #[case("//state", Endpoint::Missing)]
    #[case("/", Endpoint::Missing)]
    #[case("", Endpoint::Missing)]
    #[case("*", Endpoint::Missing)]
    #[case("state", Endpoint::Missing)]
    #[case("/slave(1)", Endpoint::Missing)]
    #[case("/slave(1)/", Endpoint::Missing)]
    #[case("/slave(1)/../state", Endpoint::Missing)]
    #[case("/slave(1)/x/../state", Endpoint::Missing)]
    #[case("/%2e%2e/state", Endpoint::Missing)]
    #[case("/state/..", Endpoint::Missing)]
    #[case("/state/%2e%2e/x", Endpoint::Missing)]
    #[case("/health", Endpoint::Health)]
    #[case("/slave(1)/health/", Endpoint::Health)]
    #[case("/slave(1)/containers/x", Endpoint::Containers)]
    #[case("/monitor", Endpoint::Missing)]
    #[case("/monitor/statistics", Endpoint::Statistics)]
    #[case("/slave(1)/monitor/statistics.json", Endpoint::Statistics)]
    #[case("/api", Endpoint::Missing)]
    #[case("/api/v1", Endpoint::OperatorApi)]
    #[case("/slave(1)/api/v1/", Endpoint::OperatorApi)]
    #[case("/slave(1)/api/v1/executor", Endpoint::ExecutorApi)]
    #[case("/api/v1/resource_provider", Endpoint::ResourceProviderApi)]
    #[case("/api/v1/other", Endpoint::OperatorApi)]
    #[case("/files", Endpoint::Missing)]
    #[case("/files/", Endpoint::Missing)]
    #[case("/files/nosuch", Endpoint::Missing)]
    #[case("/files/read", Endpoint::FilesRead)]
    #[case("/files/read/x", Endpoint::FilesRead)]
    #[case("/files/read.json", Endpoint::FilesRead)]
    #[case("/slave(1)/files/read", Endpoint::Missing)]
    #[case("/metrics/snapshot/", Endpoint::MetricsSnapshot)]
    #[case("/metrics", Endpoint::Prometheus)]
    #[case("/metrics/", Endpoint::Prometheus)]
    #[case("/metrics/x", Endpoint::Missing)]
    #[case("/slave(1)/metrics/snapshot", Endpoint::Missing)]
    #[case("/version", Endpoint::Version)]
    #[case("/version/x", Endpoint::Missing)]
    #[case("/slave(1)/version", Endpoint::Missing)]
    #[case("/logging", Endpoint::Missing)]
    #[case("/logging/toggle", Endpoint::LoggingToggle)]
    #[case("/system", Endpoint::Missing)]
    #[case("/system/stats.json", Endpoint::SystemStats)]
    #[case("/help", Endpoint::Help)]
    #[case("/help/slave(1)/state", Endpoint::Help)]
    #[case("/roles", Endpoint::Missing)]
    #[case("/tasks", Endpoint::Missing)]
    #[case("/state/%zz", Endpoint::Missing)]
    #[case("/%ff", Endpoint::Missing)]
    fn paths_mean_what_they_mean_to_stock(#[case] path: &str, #[case] expected: Endpoint) {
        assert_eq!(route(path), expected);
    }

    #[test]
    fn every_endpoint_is_reached_by_its_own_path() {
        let agent = AGENT_ROUTES.iter().map(|(_, endpoint)| *endpoint);
        let others = OTHER_ROUTES.iter().map(|(_, _, endpoint)| *endpoint);
        for endpoint in agent.chain(others).filter(|endpoint| *endpoint != Endpoint::Missing) {
            assert_eq!(route(endpoint.path()), endpoint);
        }
    }

    proptest! {
        #[test]
        fn no_path_panics_or_climbs(path in "[/.%a-z0-9()]{0,40}") {
            let endpoint = route(&path);
            if path.contains("/..") && !path.contains("/...") && path.split('/').any(|segment| segment == "..") {
                prop_assert_eq!(endpoint, Endpoint::Missing);
            }
        }
    }
}
