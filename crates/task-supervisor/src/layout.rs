//! Where a run lives below the work directory (`src/slave/paths.cpp`).

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use docker_containerizer::{Identity, RunPaths};

/// The directories of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLayout {
    sandbox: PathBuf,
    state: PathBuf,
}

impl RunLayout {
    /// The directories of the run of `identity` below a canonical `work_dir`. Makes nothing.
    pub fn of(work_dir: &Path, identity: &Identity) -> Self {
        let below = |base: PathBuf| {
            base.join("slaves")
                .join(identity.agent_id.as_str())
                .join("frameworks")
                .join(identity.framework_id.as_str())
                .join("executors")
                .join(identity.executor_id.as_str())
        };
        let run = |executor: &Path| executor.join("runs").join(identity.container_id.to_string());
        let executor = below(work_dir.to_owned());
        let sandbox = run(&executor);
        let state = run(&below(work_dir.join("meta")));
        Self { sandbox, state }
    }

    /// The directories of a run that an agent which is not ours has placed: its sandbox, and a directory for our records
    /// that no container sees.
    pub fn at(sandbox: PathBuf, state: PathBuf) -> Self {
        Self { sandbox, state }
    }

    /// The sandbox, which the container sees.
    pub fn sandbox(&self) -> &Path {
        &self.sandbox
    }

    /// The directory of our records, which no container sees.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Both directories as the containerizer takes them.
    pub fn paths(&self) -> RunPaths {
        RunPaths { sandbox: self.sandbox.clone(), state: self.state.clone() }
    }

    /// Makes the directory of our records, for us alone. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn create_state(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lives_where_stock_puts_it() {
        let identity = Identity {
            agent_id: "S0".parse().unwrap(),
            framework_id: "F".parse().unwrap(),
            executor_id: "test:colon".parse().unwrap(),
            task_id: "test:colon".parse().unwrap(),
            container_id: "c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2".parse().unwrap(),
        };
        let layout = RunLayout::of(Path::new("/w"), &identity);
        let run = "slaves/S0/frameworks/F/executors/test:colon/runs/c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2";
        assert_eq!(layout.sandbox(), Path::new("/w").join(run));
        assert_eq!(layout.state(), Path::new("/w/meta").join(run));
    }
}
