//! Owns a framework on pymesos, a library that nobody here wrote. `pymesos/` beside this crate makes it and holds the
//! framework; `scripts/test` builds it into the target directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::engine::{REQUIRE, skip};
use crate::reference::{Events, Master};

/// The environment variable that names the directory it is built in.
pub const DIRECTORY: &str = "PYMESOS_DIR";

/// Goes on where pymesos is built, or ends the test with a named skip.
#[macro_export]
macro_rules! require_pymesos {
    ($skipped:expr) => {
        if !$crate::pymesos::is_built_or_skip(&$crate::engine::current_test()) {
            return $skipped;
        }
    };
}

/// Tells whether pymesos is built; says the skip where it is not.
///
/// # Panics
///
/// It is not built and the environment says that nothing may be skipped.
pub fn is_built_or_skip(test: &str) -> bool {
    let directory = directory();
    if directory.join("built-from").is_file() {
        return true;
    }
    let why = format!("no pymesos in {}; integration/pymesos/build makes it", directory.display());
    assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{test} needs it ({REQUIRE}=1): {why}");
    skip(test, &why);
    false
}

/// Where it is built.
fn directory() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pymesos");
    std::env::var_os(DIRECTORY).map_or_else(built, PathBuf::from)
}

/// Its modules, for PYTHONPATH.
pub(crate) fn packages() -> PathBuf {
    directory().join("packages")
}

/// The file that changes with them.
pub(crate) fn built_from() -> PathBuf {
    directory().join("built-from")
}

/// Runs so many instances of a task (a v1 TaskInfo in JSON, without ids and resources) to their ends, and returns what
/// the framework was told.
///
/// # Errors
///
/// It does not start, or a task does not end in time.
pub async fn run(master: &Master, task: &Value, instances: usize, within: Duration) -> Result<Events> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("pymesos/framework.py");
    let mut process = tokio::process::Command::new("python3")
        .arg(program)
        .arg(format!("--master={}", master.address()))
        .arg("--task=-")
        .arg(format!("--instances={instances}"))
        .arg(format!("--timeout={}", within.as_secs()))
        .env("PYTHONPATH", packages())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start the pymesos framework")?;
    let mut stdin = process.stdin.take().context("its input")?;
    stdin.write_all(task.to_string().as_bytes()).await?;
    drop(stdin);
    let ended = tokio::time::timeout(within + Duration::from_secs(20), process.wait_with_output());
    let ended = ended.await.context("the pymesos framework does not end")??;
    let errors = String::from_utf8_lossy(&ended.stderr);
    // 1 is a task that ended otherwise than well, which is for the test to judge.
    ensure!(matches!(ended.status.code(), Some(0 | 1)), "it ended with {}: {errors}", ended.status);
    let told = String::from_utf8_lossy(&ended.stdout);
    let events = told.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    Ok(Events::of(events.with_context(|| format!("it told {told}"))?))
}
