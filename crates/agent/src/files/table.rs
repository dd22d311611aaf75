//! What is attached: virtual paths and what they stand for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use mesos_types::{ExecutorId, FrameworkId};
use sandbox::{RelPath, Sandbox, Viewed, view_own_file};

use super::error::FilesError;
use super::virtual_path::VirtualPath;

/// The attached paths. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Files {
    attached: Arc<RwLock<BTreeMap<String, Attached>>>,
}

/// What a virtual path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attached {
    /// A directory with everything below it, which a task may write.
    Directory(Arc<Path>),
    /// One file of the agent's own.
    File(Arc<Path>),
}

/// The sandbox of one run of an executor.
#[derive(Debug, Clone, Copy)]
pub struct RunDirectory<'a> {
    /// The framework.
    pub framework_id: &'a FrameworkId,
    /// The executor.
    pub executor_id: &'a ExecutorId,
    /// Where it is on the host.
    pub directory: &'a Path,
}

/// A file or directory that was reached, with the directory that it lies below.
pub(super) enum Reached {
    /// What lies below an attached directory.
    Below(Sandbox, Viewed),
    /// A file of the agent's own.
    Own(std::fs::File),
}

impl Attached {
    fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::File(path) => path,
        }
    }
}

impl Files {
    /// Shows the sandbox of a run under the paths that stock attaches (`Framework::addExecutor` in
    /// `src/slave/slave.cpp`): its own, and `latest` of the executor, by the host's path and by ids.
    pub fn attach_run(&self, run: RunDirectory<'_>) {
        let directory: Arc<Path> = run.directory.into();
        let latest_on_host = run.directory.parent().map(|runs| runs.join("latest"));
        let by_id = format!(
            "/frameworks/{}/executors/{}/runs/latest",
            run.framework_id.as_str(),
            run.executor_id.as_str()
        );
        let names = [Some(run.directory.to_owned()), latest_on_host, Some(PathBuf::from(by_id))];
        for name in names.iter().flatten().filter_map(|name| name.to_str()) {
            self.attach(name, Attached::Directory(directory.clone()));
        }
    }

    /// Shows one file of the agent's own, such as its log under `/slave/log`.
    pub fn attach_own_file(&self, name: &str, path: &Path) {
        self.attach(name, Attached::File(path.into()));
    }

    /// Shows nothing any more of a directory of the host and what is below it: it is about to be removed.
    pub fn detach_below(&self, directory: &Path) {
        let mut attached = self.attached.write().unwrap_or_else(PoisonError::into_inner);
        attached.retain(|_, shown| !shown.path().starts_with(directory));
    }

    /// What is attached, by virtual path, with the paths on the host (`/files/debug`).
    pub fn attached(&self) -> Vec<(String, String)> {
        let attached = self.attached.read().unwrap_or_else(PoisonError::into_inner);
        attached.iter().map(|(name, shown)| (name.clone(), shown.path().display().to_string())).collect()
    }

    fn attach(&self, name: &str, shown: Attached) {
        // A name that no client could ask for is not worth an error: ids have no `..`.
        if let Ok(name) = VirtualPath::parse(name) {
            let mut attached = self.attached.write().unwrap_or_else(PoisonError::into_inner);
            attached.insert(name.as_str().to_owned(), shown);
        }
    }

    /// Reaches what a virtual path stands for: the longest attached prefix wins.
    pub(super) fn reach(&self, path: &str) -> Result<Reached, FilesError> {
        let named = VirtualPath::parse(path)?;
        let (shown, rest) = self.find(&named).ok_or(FilesError::NotFound)?;
        let failed = |error| FilesError::of(path, error);
        match shown {
            Attached::File(own) if rest.is_empty() => view_own_file(&own).map(Reached::Own).map_err(failed),
            Attached::File(_) => Err(FilesError::NotFound),
            Attached::Directory(directory) => {
                let rest = match rest.as_str() {
                    "" => None,
                    rest => Some(RelPath::new(rest).map_err(|error| FilesError::Invalid(error.to_string()))?),
                };
                let sandbox = Sandbox::open(&directory).map_err(failed)?;
                let viewed = sandbox.view(rest.as_ref()).map_err(failed)?;
                Ok(Reached::Below(sandbox, viewed))
            }
        }
    }

    fn find(&self, named: &VirtualPath) -> Option<(Attached, String)> {
        let attached = self.attached.read().unwrap_or_else(PoisonError::into_inner);
        named.prefixes().find_map(|(prefix, rest)| Some((attached.get(prefix)?.clone(), rest.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn run<'a>(directory: &'a Path, ids: &'a (FrameworkId, ExecutorId)) -> RunDirectory<'a> {
        RunDirectory { framework_id: &ids.0, executor_id: &ids.1, directory }
    }

    fn ids() -> (FrameworkId, ExecutorId) {
        ("F".parse().unwrap(), "E".parse().unwrap())
    }

    #[test]
    fn a_run_has_three_names_until_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("runs/1"), root.path().join("runs/2"));
        for directory in [&first, &second] {
            fs::create_dir_all(directory).unwrap();
            fs::write(directory.join("stdout"), directory.to_str().unwrap()).unwrap();
        }
        let (files, ids) = (Files::default(), ids());
        files.attach_run(run(&first, &ids));
        files.attach_run(run(&second, &ids));

        let names: Vec<_> = files.attached().into_iter().map(|(name, _)| name).collect();
        let latest = root.path().join("runs/latest").display().to_string();
        let mut expected = vec![
            "/frameworks/F/executors/E/runs/latest".to_owned(),
            first.display().to_string(),
            second.display().to_string(),
            latest.clone(),
        ];
        expected.sort();
        assert_eq!(names, expected);

        // The older run goes, and `latest` still means the newer one.
        files.detach_below(&first);
        assert!(matches!(files.reach(first.to_str().unwrap()), Err(FilesError::NotFound)));
        assert!(files.reach(&format!("{latest}/stdout")).is_ok());
        files.detach_below(&root.path().join("runs"));
        assert_eq!(files.attached(), []);
    }

    #[test]
    fn the_longest_attached_prefix_wins() {
        let root = tempfile::tempdir().unwrap();
        let log = root.path().join("log");
        fs::write(&log, "l").unwrap();
        let files = Files::default();
        files.attach("/a", Attached::Directory(root.path().into()));
        files.attach("/a/b", Attached::File(log.as_path().into()));
        assert!(matches!(files.reach("/a/b"), Ok(Reached::Own(_))));
        assert!(matches!(files.reach("/a/b/c"), Err(FilesError::NotFound)));
        assert!(matches!(files.reach("/a/log"), Ok(Reached::Below(_, Viewed::File(_)))));
        assert!(matches!(files.reach("/a"), Ok(Reached::Below(_, Viewed::Directory(_)))));
        assert!(matches!(files.reach("/ab"), Err(FilesError::NotFound)));
    }
}
