//! A policy, and judging a request by it.

use std::collections::BTreeMap;
use std::path::Path;

use docker_engine::CreateBody;
use mesos_types::TaskResources;

use super::paths::HostPlaces;
use super::prefixes::AllowedPath;
use super::rule::{Preset, Rule};
use super::rules;
use super::setting::Setting;
use super::verdict::Verdict;
use crate::request::{Connection, MountPoint};

/// What a container may ask of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    preset: Preset,
    settings: BTreeMap<Rule, Setting>,
    /// What `host_paths` holds, resolved when the policy was loaded.
    pub(super) host_paths: Vec<AllowedPath>,
    pub(super) places: HostPlaces,
}

/// What a policy must know besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What the task was given.
    pub resources: &'a TaskResources,
    /// The work directory, as our labels have it.
    pub work_dir: &'a Path,
    /// The task's own sandbox on the host.
    pub sandbox: &'a Path,
    /// The engine's data directory.
    pub data_root: &'a Path,
    /// The places that are made for the request's mounts.
    pub mount_points: &'a [MountPoint],
    /// The log driver that the agent is told.
    pub log_driver: &'a str,
}

impl Policy {
    /// A preset on this host.
    pub fn preset(preset: Preset, places: HostPlaces) -> Self {
        let settings = Rule::ALL.iter().map(|&rule| (rule, rule.preset(preset))).collect();
        Self { preset, settings, host_paths: Vec::new(), places }
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

    /// Judges a request, and puts the resolved paths into it where paths are constrained. Looks at the file system
    /// then, and only then.
    pub fn judge(
        &self,
        body: &mut CreateBody,
        connections: &[Connection],
        situation: &Situation<'_>,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        if self.settings.values().all(Setting::is_any) {
            return verdict;
        }
        rules::privileges::judge(self, body, situation, &mut verdict);
        rules::namespaces::judge(self, body, &mut verdict);
        rules::network::judge(self, body, connections, situation, &mut verdict);
        rules::mounts::judge(self, body, situation, &mut verdict);
        rules::volumes::judge(self, body, &mut verdict);
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
