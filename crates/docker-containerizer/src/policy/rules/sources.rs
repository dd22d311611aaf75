//! Host paths that a container mounts, by whatever option: where each leads, and whether that is allowed.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use mesos_types::Access;

use crate::policy::judge::{Policy, Situation};
use crate::policy::paths::{protected_places, resolve, shows};
use crate::policy::prefixes::{AllowedPath, replaceable};
use crate::policy::rule::Rule;
use crate::policy::verdict::Verdict;

/// The host's paths, as one request sees them.
pub(in crate::policy) struct Sources<'a> {
    policy: &'a Policy,
    situation: &'a Situation,
    /// Looked for once, and only if a path is.
    protected: OnceCell<Vec<PathBuf>>,
}

/// Why a path is not allowed.
struct Refusal {
    rule: Rule,
    what: String,
    remedy: String,
}

impl<'a> Sources<'a> {
    pub(in crate::policy) fn new(policy: &'a Policy, situation: &'a Situation) -> Self {
        Self { policy, situation, protected: OnceCell::new() }
    }

    /// Whether a source is the task's own sandbox, or a place below it that is made without following links.
    pub(super) fn is_own(&self, source: &str) -> bool {
        self.situation.own_places.iter().any(|place| place == Path::new(source))
    }

    /// Whether host paths are not looked at.
    pub(super) fn are_free(&self) -> bool {
        self.policy.setting(Rule::HostPaths).is_any() && self.policy.setting(Rule::ProtectedPaths).is_any()
    }

    /// Judges a host path; answers where it leads, if that is to stand in its place.
    pub(super) fn judge(
        &self,
        field: &str,
        source: &str,
        access: Access,
        verdict: &mut Verdict,
    ) -> Option<String> {
        if self.are_free() || self.is_own(source) {
            return None;
        }
        if verdict.is_full() {
            // It is refused as it is, and looking takes time.
            return None;
        }
        match self.look(source, access) {
            Ok(resolved) => Some(resolved),
            Err(Refusal { rule, what, remedy }) => {
                verdict.deny(rule, field, what, remedy);
                None
            }
        }
    }

    fn look(&self, source: &str, access: Access) -> Result<String, Refusal> {
        let refuse =
            |rule, what: String, remedy: &str| Err(Refusal { rule, what, remedy: remedy.to_owned() });
        let path = Path::new(source);
        let resolved = match resolve(path) {
            Ok(resolved) => resolved,
            Err(error) => {
                let shown: String = source.chars().take(256).collect();
                let what =
                    format!("the host path {shown}, which nobody can follow: {}", crate::chain(&error));
                let is_free = self.policy.setting(Rule::HostPaths).is_any();
                let rule = if is_free { Rule::ProtectedPaths } else { Rule::HostPaths };
                return refuse(rule, what, "give an absolute path that is there, without links");
            }
        };
        let shown = if resolved == path {
            source.to_owned()
        } else {
            format!("{source}, which is {}", resolved.display())
        };
        if !self.policy.setting(Rule::ProtectedPaths).is_any() {
            let places = self.protected.get_or_init(|| protected_places(&self.policy.places, self.situation));
            if let Some(place) = shows(&resolved, places) {
                let what = format!("the host path {shown}: {} is the host's own", place.display());
                return refuse(Rule::ProtectedPaths, what, "mount a directory of the task's own");
            }
        }
        if !self.policy.setting(Rule::HostPaths).is_any() {
            let Some(entry) = entry_of(&self.policy.host_paths, &resolved) else {
                let remedy = "use a path of the sandbox, or a directory that is allowed";
                return refuse(Rule::HostPaths, format!("the host path {shown}"), remedy);
            };
            match (entry.access, access) {
                (Access::ReadOnly, Access::ReadWrite) => {
                    let what = format!("writing to the host path {shown}");
                    return refuse(Rule::HostPaths, what, "mount it read-only, without relabelling");
                }
                (Access::ReadWrite, _) if resolved != entry.path => {
                    let entry = entry.path.display();
                    let what = format!(
                        "the host path {shown}: it is below {entry}, where a task may put another in its place"
                    );
                    let remedy =
                        format!("mount {entry} itself, or have the path below it allowed instead of {entry}");
                    return refuse(Rule::HostPaths, what, &remedy);
                }
                (Access::ReadOnly | Access::ReadWrite, _) => {}
            }
            if let Some((at, why)) = replaceable(&resolved) {
                let at = at.display();
                let what = format!("the host path {shown}: {at} {why}, who could put another in its place");
                return refuse(Rule::HostPaths, what, "use a directory that only root can replace");
            }
        }
        resolved.to_str().map(str::to_owned).ok_or_else(|| Refusal {
            rule: Rule::HostPaths,
            what: format!("the host path {shown}, which the engine cannot be told, as it is not UTF-8"),
            remedy: "use a path in UTF-8".to_owned(),
        })
    }
}

/// The entry that decides about a path: the longest that holds it.
fn entry_of<'a>(entries: &'a [AllowedPath], resolved: &Path) -> Option<&'a AllowedPath> {
    let holding = entries.iter().filter(|entry| resolved.starts_with(&entry.path));
    holding.max_by_key(|entry| entry.path.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("/srv", Some(Access::ReadOnly))]
    #[case("/srv/other", Some(Access::ReadOnly))]
    #[case("/srv/data", Some(Access::ReadWrite))]
    #[case("/srv/data/below", Some(Access::ReadWrite))]
    #[case("/srv/database", Some(Access::ReadOnly))]
    #[case("/usr", None)]
    fn the_longest_entry_decides(#[case] path: &str, #[case] expected: Option<Access>) {
        let entry = |path: &str, access| AllowedPath { path: path.into(), access };
        let mut entries = vec![entry("/srv", Access::ReadOnly), entry("/srv/data", Access::ReadWrite)];
        for _ in 0..2 {
            let access = entry_of(&entries, Path::new(path)).map(|entry| entry.access);
            assert_eq!(access, expected);
            entries.reverse();
        }
    }
}
