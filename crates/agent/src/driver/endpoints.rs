//! Connects the HTTP side with the parts of the agent that it shows, as these come to be.

use std::sync::Arc;

use docker_containerizer::chain;
use flags::AgentSettings;
use libprocess::{HttpHandler, Node};
use task_supervisor::Composing;
use tokio::time::Instant;

use crate::executors::Gateway;
use crate::files::{Files, RunDirectory};
use crate::gc::Collector;
use crate::http::{Http, HttpSettings, Sources, Usages, VersionInfo};
use crate::in_container::HostPids;
use crate::logging::LogControl;
use crate::metrics::{self, Metrics};
use crate::model::{Agent, AgentReader, Executor};

/// The name of the log that `--external_log_file` names.
const LOG: &str = "/slave/log";

/// The HTTP side, before and after the agent has an engine.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    http: Http,
    /// The way of executors' calls to the core, and of its words to them.
    pub(super) executors: Gateway,
    /// What is attached.
    pub(super) files: Files,
    reader: AgentReader,
    metrics: Metrics,
    usages: Usages,
}

impl Endpoints {
    /// Shows the model that `reader` reads, and what the flags say.
    pub(super) fn new(
        settings: &AgentSettings,
        reader: AgentReader,
        log: LogControl,
        executors: Gateway,
    ) -> Self {
        let bounds = bounds(settings);
        let (files, metrics) = (Files::default(), Metrics::default());
        let usages = Usages::new(bounds.statistics_parallel, bounds.statistics_age);
        if let Some(path) = &settings.log.external_log_file {
            files.attach_own_file(LOG, path);
        }
        let sources = Sources {
            agent: reader.clone(),
            executors: executors.clone(),
            files: files.clone(),
            metrics: metrics.clone(),
            usages: usages.clone(),
            log,
            flags: Arc::new(settings.shown_flags().clone()),
            version: VersionInfo::of_this_build(),
        };
        Self { http: Http::new(bounds, sources), executors, files, reader, metrics, usages }
    }

    /// What the node gives requests to.
    pub(super) fn handler(&self) -> HttpHandler {
        let http = self.http.clone();
        HttpHandler::new(move |request| {
            let http = http.clone();
            async move { http.answer(request).await }
        })
    }

    /// Counts messages and connections from now on.
    pub(super) fn count_wire(&self, node: &Node) {
        let counters = node.live_counters();
        self.metrics.add(metrics::Collector::new(move |samples| {
            metrics::libprocess_counters(counters.snapshot(), samples);
        }));
    }

    /// Tells what containers use, and counts pulls and fetches, from now on. Without the host's processes the engine is
    /// asked for what the control groups would have said.
    pub(super) fn connect(&self, containerizers: &Composing, host_pids: HostPids) {
        let of_usage = containerizers.clone();
        let runtime = tokio::runtime::Handle::current();
        self.usages.connect(Box::new(move |container_id| {
            let read = of_usage.usage(container_id).map_err(|error| chain(&error));
            match (host_pids, of_usage.docker()) {
                // This is called where blocking is allowed.
                (HostPids::NotNeeded, Some(docker)) => read.or_else(|_| {
                    let asked = runtime.block_on(docker.usage_from_engine(container_id));
                    asked.map_err(|error| chain(&error))
                }),
                (HostPids::NotNeeded | HostPids::Needed, _) => read,
            }
        }));
        let Some(counted) = containerizers.docker().cloned() else { return };
        self.metrics.add(metrics::Collector::new(move |samples| {
            metrics::fetches(counted.fetch_metrics().named(), samples);
            metrics::image_pulls(&counted.image_times(), counted.pull_counters(), Instant::now(), samples);
        }));
    }

    /// Counts removals from now on.
    pub(super) fn count_removals(&self, collector: Collector) {
        self.metrics.add(metrics::Collector::new(move |samples| {
            metrics::gc_removals(collector.counters(), samples);
        }));
    }

    /// Shows the sandboxes of all runs that the model knows after the recovery.
    pub(super) async fn show_sandboxes(&self) {
        let files = self.files.clone();
        // The core ends with the process.
        let _ = self.reader.read(move |agent| show_runs(agent, &files)).await;
    }
}

/// The bounds that the flags say; the others have no need to change.
fn bounds(settings: &AgentSettings) -> HttpSettings {
    let flags = &settings.http;
    HttpSettings {
        max_executor_call: usize::try_from(settings.executors.max_call_size).unwrap_or(usize::MAX),
        max_requests: flags.max_requests,
        patience: flags.request_timeout,
        max_body: usize::try_from(flags.max_body_size).unwrap_or(usize::MAX),
        max_downloads: flags.max_downloads,
        stall: flags.stall_timeout,
        max_listed_files: flags.max_listed_files.get(),
        metrics_rate: flags.metrics_rate,
        ..HttpSettings::default()
    }
}

fn show_runs(agent: &Agent, files: &Files) {
    let frameworks = agent.completed_frameworks.iter().chain(agent.frameworks.values());
    for framework in frameworks {
        // The older ones first, so that `latest` means the newest.
        let executors = framework.completed_executors.iter().chain(framework.executors.values());
        for Executor { id, directory, .. } in executors {
            files.attach_run(RunDirectory { framework_id: &framework.id, executor_id: id, directory });
        }
    }
}
