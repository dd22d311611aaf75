//! A policy, and judging a request by it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use docker_engine::create_body::{LogConfig, Resources};
use docker_engine::{CreateBody, HostConfig};
use mesos_types::TaskResources;

use super::paths::HostPlaces;
use super::prefixes::AllowedPath;
use super::rule::{Preset, Rule};
use super::rules;
use super::rules::sources::Sources;
use super::setting::Setting;
use super::verdict::Verdict;
use crate::request::{Connection, EngineLog};

/// What a container may ask of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    preset: Preset,
    settings: BTreeMap<Rule, Setting>,
    /// What `host_paths` holds, resolved when the policy was loaded.
    pub(super) host_paths: Vec<AllowedPath>,
    pub(super) places: HostPlaces,
    /// The runtime that the engine gives a container that names none.
    pub(super) default_runtime: String,
}

/// The runtime of an engine that was not told of another.
const DEFAULT_RUNTIME: &str = "runc";

/// The rules that each keep a task from being root on the host, so that closing some of them closes nothing.
const ROOT_EQUAL: [Rule; 7] = [
    Rule::Privileged,
    Rule::Capabilities,
    Rule::HostPaths,
    Rule::VolumeOptions,
    Rule::Devices,
    Rule::DeviceCgroupRules,
    Rule::SystemPaths,
];

/// What a policy must know besides the request.
#[derive(Debug, Clone, Default)]
pub struct Situation {
    /// What the task was given.
    pub resources: TaskResources,
    /// What the request said before the task's own options.
    pub booked: Booked,
    /// The work directory, as our labels have it.
    pub work_dir: PathBuf,
    /// The task's own sandbox on the host, and the places below it that are made without following links.
    pub own_places: Vec<PathBuf>,
    /// The engine's data directory.
    pub data_root: PathBuf,
    /// The log driver that the agent is told, with its caps.
    pub log: EngineLog,
    /// The log driver that the engine gives a container that names none.
    pub default_log_driver: String,
}

/// What a request says of the task's share of the host before its own options come.
#[derive(Debug, Clone, Default)]
pub struct Booked {
    /// CPU shares.
    pub cpu_shares: Option<i64>,
    /// Microseconds of CPU time in a period of 100 ms.
    pub cpu_quota: Option<i64>,
    /// Bytes.
    pub memory: Option<i64>,
    /// The log.
    pub log: Option<LogConfig>,
}

impl Booked {
    /// Reads it from a request that has no options of the task yet.
    pub(crate) fn of(host: &HostConfig) -> Self {
        let Resources { cpu_shares, cpu_quota, memory, .. } = host.resources;
        Self { cpu_shares, cpu_quota, memory, log: host.log_config.clone() }
    }
}

impl Policy {
    /// A preset on this host.
    pub fn preset(preset: Preset, places: HostPlaces) -> Self {
        let settings = Rule::ALL.iter().map(|&rule| (rule, rule.preset(preset))).collect();
        Self { preset, settings, host_paths: Vec::new(), places, default_runtime: DEFAULT_RUNTIME.to_owned() }
    }

    /// Tells it which runtime the engine gives a container that names none: asking for that one asks for nothing.
    pub fn set_default_runtime(&mut self, name: &str) {
        if !name.is_empty() {
            name.clone_into(&mut self.default_runtime);
        }
    }

    /// What an operator should know of a policy that closes something, and leaves a way to root on the host open.
    pub fn caution(&self) -> Option<String> {
        let is_open = |rule: &&Rule| self.setting(**rule).is_any();
        let open: Vec<_> = ROOT_EQUAL.iter().filter(is_open).map(|rule| rule.key()).collect();
        (!self.allows_all() && !open.is_empty()).then(|| {
            format!(
                "the policy is no boundary: it leaves {} open, each of which is enough to be root on the host (hint: \
                 begin the file with preset = \"strict\")",
                open.join(", ")
            )
        })
    }

    fn allows_all(&self) -> bool {
        self.settings.values().all(Setting::is_any)
    }

    /// The preset that it starts from.
    pub fn base(&self) -> Preset {
        self.preset
    }

    /// What it says of a rule.
    pub fn setting(&self, rule: Rule) -> &Setting {
        // Every rule is in the map from the start.
        self.settings.get(&rule).unwrap_or(&Setting::Resources)
    }

    pub(super) fn set(&mut self, rule: Rule, setting: Setting) {
        self.settings.insert(rule, setting);
    }

    /// Whether a rule allows a value.
    pub(super) fn allows(&self, rule: Rule, value: &str) -> bool {
        self.setting(rule).allows(value)
    }

    /// Judges a request, and puts the resolved paths into it where paths are constrained, and the agent's caps on its log
    /// where logs are. Looks at the file system then, and only then. Blocks on it. Judging the outcome again changes
    /// nothing, unless what its paths lead to has changed.
    pub fn judge(&self, body: &mut CreateBody, connections: &[Connection], situation: &Situation) -> Verdict {
        let mut verdict = Verdict::default();
        if self.allows_all() {
            return verdict;
        }
        rules::privileges::judge(self, body, &mut verdict);
        rules::shares::judge(self, body, &situation.booked, &mut verdict);
        rules::logs::judge(self, body, situation, &mut verdict);
        rules::namespaces::judge(self, body, &mut verdict);
        rules::network::judge(self, body, connections, situation, &mut verdict);
        let sources = Sources::new(self, situation);
        rules::mounts::judge(self, body, &sources, &mut verdict);
        rules::volumes::judge(self, body, &sources, &mut verdict);
        rules::devices::judge(self, body, situation, &mut verdict);
        verdict
    }
}

impl Default for Policy {
    /// The permissive preset.
    fn default() -> Self {
        Self::preset(Preset::Permissive, HostPlaces::default())
    }
}
