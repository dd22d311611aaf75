//! Finds the programs of this build that tests hand to what they test.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Finds `mesos-containerizer`, as `cargo build -p mesos-containerizer` puts it.
///
/// # Errors
///
/// There is no such program.
pub fn mesos_containerizer() -> Result<PathBuf> {
    find("mesos-containerizer")
}

/// Finds a program, whose package has its name, beside the test or the directory that the test is in.
fn find(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("the test's own path")?;
    let mut found = test.ancestors().skip(1).take(2).map(|dir: &Path| dir.join(name));
    found.find(|path| path.is_file()).with_context(|| {
        format!("{name} is not beside {}: build it with 'cargo build -p {name}'", test.display())
    })
}
