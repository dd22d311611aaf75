//! What the agent says of its version.

use mesos_proto::v1;
use serde_json::{Map, Value, json};

/// The version of Mesos whose protocol and endpoints the agent speaks; what masters, frameworks and tools compare.
pub const MESOS_VERSION: &str = "1.11.0";

/// What `/version` and `/state` say of this program (`VersionInfo`).
#[derive(Debug, Clone, PartialEq)]
pub struct VersionInfo {
    /// The version of Mesos.
    pub version: String,
    /// When it was built, in seconds since 1970.
    pub build_time: f64,
    /// Who built it.
    pub build_user: String,
    /// From which commit, if that is known.
    pub git_sha: Option<String>,
    /// From which tag, if that is known.
    pub git_tag: Option<String>,
}

impl VersionInfo {
    /// Of this program.
    pub fn of_this_build() -> Self {
        Self {
            version: MESOS_VERSION.to_owned(),
            build_time: env!("MESOS_AGENT_BUILD_TIME").parse().unwrap_or_default(),
            build_user: env!("MESOS_AGENT_BUILD_USER").to_owned(),
            git_sha: option_env!("MESOS_AGENT_GIT_SHA").map(str::to_owned),
            git_tag: option_env!("MESOS_AGENT_GIT_TAG").map(str::to_owned),
        }
    }

    /// When it was built, as a date in UTC: `2020-11-24 15:38:37`.
    pub fn build_date(&self) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "the conversion of a double saturates")]
        let second = jiff::Timestamp::from_second(self.build_time as i64).unwrap_or_default();
        second.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The members of `/version`.
    pub(super) fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("build_date".to_owned(), json!(self.build_date()));
        members.insert("build_time".to_owned(), json!(self.build_time));
        members.insert("build_user".to_owned(), json!(self.build_user));
        for (name, value) in [("git_sha", &self.git_sha), ("git_tag", &self.git_tag)] {
            if let Some(value) = value {
                members.insert(name.to_owned(), json!(value));
            }
        }
        members.insert("version".to_owned(), json!(self.version));
        members
    }

    /// The wire form.
    pub(super) fn message(&self) -> v1::VersionInfo {
        v1::VersionInfo {
            version: self.version.clone(),
            build_date: Some(self.build_date()),
            build_time: Some(self.build_time),
            build_user: Some(self.build_user.clone()),
            git_sha: self.git_sha.clone(),
            git_branch: None,
            git_tag: self.git_tag.clone(),
        }
    }
}
