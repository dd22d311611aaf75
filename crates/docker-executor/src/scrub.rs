//! What of the environment stays in this process: what is read, and nothing of the task's.
//!
//! A stock agent lays the task's environment over the executor's (`executorEnvironment` in `src/slave/slave.cpp`), and
//! this process is root. So the program starts itself once more in place, without what it does not read: no library,
//! helper or proxy is then led by a variable of the task, and none of the task's secrets stay in `/proc/<pid>/environ`.
//! What the dynamic linker reads (`LD_PRELOAD`) has had its effect before, as with stock's program.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The variables that are read: those of [`crate::environment`], those of libprocess, and where programs are.
const READ: [&str; 17] = [
    "PATH",
    "MESOS_SLAVE_PID",
    "MESOS_SLAVE_ID",
    "MESOS_FRAMEWORK_ID",
    "MESOS_EXECUTOR_ID",
    "MESOS_DIRECTORY",
    "MESOS_CHECKPOINT",
    "MESOS_RECOVERY_TIMEOUT",
    "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
    "MESOS_HTTP_COMMAND_EXECUTOR",
    "MESOS_AGENT_ENDPOINT",
    "MESOS_DOMAIN_SOCKET",
    "MESOS_SUBSCRIPTION_BACKOFF_MAX",
    "MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
    // What the agent adds to every executor, and nothing here reads: not worth another start.
    "GLOG_v",
    "MESOS_NATIVE_JAVA_LIBRARY",
    "MESOS_NATIVE_LIBRARY",
];

/// The prefix of the variables of libprocess. Those without it (`SSL_ENABLED`), which a libprocess with TLS reads too, are
/// names that tasks use for themselves.
const LIBPROCESS: &str = "LIBPROCESS_";

/// The variables that stay, if others are there that do not.
pub fn kept(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Option<Vec<(OsString, OsString)>> {
    let (kept, dropped): (Vec<_>, Vec<_>) =
        environment.into_iter().partition(|(name, _)| name.to_str().is_some_and(is_read));
    (!dropped.is_empty()).then_some(kept)
}

/// Starts this program once more in this process, with these variables alone. Returns only where that fails.
pub fn start_again<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    environment: Vec<(OsString, OsString)>,
) -> std::io::Error {
    Command::new("/proc/self/exe")
        .arg0("mesos-docker-executor")
        .args(arguments)
        .env_clear()
        .envs(environment)
        .exec()
}

fn is_read(name: &str) -> bool {
    name.starts_with(LIBPROCESS) || READ.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(names: &[&str]) -> Vec<(OsString, OsString)> {
        names.iter().map(|name| (name.into(), "1".into())).collect()
    }

    #[rstest::rstest]
    #[case::as_an_agent_sets_them(&["PATH", "GLOG_v", "MESOS_SLAVE_PID", "LIBPROCESS_IP"], None)]
    #[case::of_a_task(&["MESOS_SLAVE_PID", "HOME", "SSL_ENABLED", "LD_PRELOAD"], Some(vec!["MESOS_SLAVE_PID"]))]
    #[case::of_a_task_alone(&["DB_PASSWORD"], Some(vec![]))]
    fn a_tasks_variables_do_not_stay(#[case] names: &[&str], #[case] expected: Option<Vec<&str>>) {
        assert_eq!(kept(variables(names)), expected.as_deref().map(variables));
    }
}
