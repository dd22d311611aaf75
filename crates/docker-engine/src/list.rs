//! Finding containers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::Engine;
use crate::error::{EngineError, Op};
use crate::path;
use crate::serde_null::nullable;
use crate::transport::Call;

/// Which containers to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListScope {
    /// All of them, also stopped ones.
    #[default]
    All,
    /// The running ones.
    Running,
}

/// What a list is narrowed to. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// A regular expression on the name, which begins with a slash: `^/mesos-`.
    pub name_pattern: Option<String>,
    /// Labels that must be there, `name` or `name=value`.
    pub labels: Vec<String>,
    /// Stopped ones too, or not.
    pub scope: ListScope,
}

/// A container of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Listed {
    /// The engine's id.
    pub id: String,
    /// The names, without the slash before them. A container has one of its own; the others come from links.
    #[serde(default, deserialize_with = "nullable")]
    pub names: Vec<String>,
    /// The labels.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    #[serde(default, deserialize_with = "nullable")]
    pub state: String,
    /// When it was made, in seconds since 1970.
    #[serde(default, deserialize_with = "nullable")]
    pub created: i64,
    /// The image it was made from.
    #[serde(default, deserialize_with = "nullable")]
    pub image: String,
}

impl Engine {
    /// Lists containers with one call.
    ///
    /// # Errors
    ///
    /// As every read: `Unreachable`, `Timeout`, `StreamBroken`, `Protocol`, or what the engine says.
    pub async fn list(&self, filter: &ListFilter, deadline: Duration) -> Result<Vec<Listed>, EngineError> {
        let call = Call::get(list_path(filter));
        let mut listed: Vec<Listed> = self.call_json(Op::List, self.name(), deadline, &call).await?;
        for container in &mut listed {
            for name in &mut container.names {
                if let Some(plain) = name.strip_prefix('/') {
                    *name = plain.to_owned();
                }
            }
        }
        Ok(listed)
    }
}

fn list_path(filter: &ListFilter) -> String {
    let mut filters = BTreeMap::new();
    if let Some(pattern) = &filter.name_pattern {
        filters.insert("name", vec![pattern.clone()]);
    }
    if !filter.labels.is_empty() {
        filters.insert("label", filter.labels.clone());
    }
    let all = u8::from(filter.scope == ListScope::All);
    // A map of texts is always JSON.
    let filters = serde_json::to_string(&filters).unwrap_or_default();
    format!("/containers/json?all={all}&filters={}", path::value(&filters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_escaped_json() {
        let filter = ListFilter {
            name_pattern: Some("^/mesos-".into()),
            labels: vec!["a=b&c".into()],
            scope: ListScope::All,
        };
        assert_eq!(
            list_path(&filter),
            "/containers/json?all=1&filters=\
             %7B%22label%22%3A%5B%22a%3Db%26c%22%5D%2C%22name%22%3A%5B%22%5E%2Fmesos-%22%5D%7D"
        );
        assert_eq!(
            list_path(&ListFilter { scope: ListScope::Running, ..Default::default() }),
            "/containers/json?all=0&filters=%7B%7D"
        );
    }
}
