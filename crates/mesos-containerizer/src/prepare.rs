//! What comes before the start of a command: log files, the task's URIs, its volumes, its order.

use std::collections::BTreeMap;
use std::ffi::CString;

use containerizer::{Failure, LogSettings, Progress, RunPaths, StreamName, blocking, chain};
use fetcher::agent::{Account, FetchOrder, Fetcher, Told};
use mesos_types::{EnvVar, PlainCommand, PlainTaskSpec};
use nix::unistd::{Gid, Uid, User, getgrouplist};
use sandbox::{LogFile, Owner, Sandbox, SandboxError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::log::{own_line, put};
use crate::parent::messages::{Identity, Order, ResourceLimit, VERSION};

/// Where a command is looked for that says nothing of it (`spec` of the executor environment).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The log files of a run until its parent takes them over.
#[derive(Debug)]
pub(crate) struct EarlyLogs {
    stdout: LogFile,
    stderr: LogFile,
}

impl EarlyLogs {
    /// Makes both files, with a line for each field of the task that has no effect.
    ///
    /// Stock's fetcher makes them, also for a task without URIs (`FetcherProcess::run`).
    pub(crate) fn create(
        task: &PlainTaskSpec,
        paths: &RunPaths,
        owner: Option<Owner>,
        settings: LogSettings,
    ) -> Result<Self, Failure> {
        let make = || -> Result<Self, SandboxError> {
            let sandbox = Sandbox::open(&paths.sandbox)?;
            let make = |name| LogFile::create(&sandbox, name, owner, settings.rotation);
            let mut logs = Self { stdout: make("stdout")?, stderr: make("stderr")? };
            task.notices.iter().try_for_each(|notice| logs.note(&notice.to_string()))?;
            Ok(logs)
        };
        make().map_err(|error| Failure::new("fetch", chain(&error)))
    }

    /// Appends a line of ours to standard error, where the task's owner looks.
    pub(crate) fn note(&mut self, line: &str) -> Result<(), SandboxError> {
        let line = own_line(&self.stderr, line);
        put(&mut self.stderr, line.as_bytes())
    }

    /// Appends what the fetcher printed. A line that is not in the sandbox is no reason to fail a fetch; a full disk fails
    /// it by itself.
    fn print(&mut self, stream: StreamName, bytes: &[u8]) {
        let file = match stream {
            StreamName::Stdout => &mut self.stdout,
            StreamName::Stderr => &mut self.stderr,
        };
        if let Err(error) = put(file, bytes) {
            tracing::warn!(error = chain(&error), "what the fetcher printed was not written");
        }
    }
}

/// Fetches the task's URIs. A kill ends it, and is answered when nothing of the fetch is left.
pub(crate) async fn fetch(
    fetcher: &Fetcher,
    order: &FetchOrder,
    logs: &mut EarlyLogs,
    progress: Option<&mpsc::Sender<Progress>>,
    killed: &CancellationToken,
) -> Result<(), Failure> {
    let mut tell = |told: Told<'_>| match told {
        Told::Stdout(bytes) => blocking(|| logs.print(StreamName::Stdout, bytes)),
        Told::Stderr(bytes) => blocking(|| logs.print(StreamName::Stderr, bytes)),
        Told::Note(line) => drop(blocking(|| logs.note(&line))),
        // A courtesy: a listener that is slow misses lines, never the launch its time.
        Told::Progress(event) => {
            drop(progress.map(|to| to.try_send(Progress::Fetch(Box::new(event.clone())))))
        }
    };
    fetcher
        .fetch(order, killed, &mut tell)
        .await
        .map(drop)
        .map_err(|error| Failure::new("fetch", chain(&error)))
}

/// Whom a fetch runs as: the owner of the sandbox, if it is not left with us. Blocks on the system's user database.
pub(crate) fn account(owner: Option<Owner>, user: Option<&str>) -> Result<Account, Failure> {
    let fail = |error| Failure::new("fetch", chain(&error));
    owner.map_or_else(|| Ok(Account::ours()), |owner| Account::of(owner, user).map_err(fail))
}

/// Who the command runs as: the owner of the sandbox with all its groups, as `os::su` of Mesos has it. Blocks on the
/// system's user database.
///
/// # Errors
///
/// The database does not answer.
pub(crate) fn identity(owner: Option<Owner>, user: Option<&str>) -> Result<Option<Identity>, Failure> {
    let Some(owner) = owner else { return Ok(None) };
    let failed = |errno: nix::Error| {
        Failure::new("start", format!("cannot look up the groups of the user {}: {errno}", owner.uid()))
    };
    let is_it = |found: &User| found.uid.as_raw() == owner.uid();
    let by_name = user.map(User::from_name).transpose().map_err(failed)?.flatten().filter(is_it);
    let found = match by_name {
        Some(found) => Some(found),
        None => User::from_uid(Uid::from_raw(owner.uid())).map_err(failed)?,
    };
    // A number without a name has no groups but its own.
    let groups = match found.and_then(|user| CString::new(user.name).ok()) {
        Some(name) => getgrouplist(&name, Gid::from_raw(owner.gid())).map_err(failed)?,
        None => Vec::new(),
    };
    let groups = groups.into_iter().map(Gid::as_raw).collect();
    Ok(Some(Identity { uid: owner.uid(), gid: owner.gid(), groups }))
}

/// The whole environment of a command: what every container has, what its owner gives it, what it gives itself; the
/// later ones win.
pub(crate) fn environment(
    task: &PlainTaskSpec,
    overlay: &[EnvVar],
    sandbox: &str,
    container: &str,
) -> Vec<(String, String)> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    set("PATH", DEFAULT_PATH);
    set("MESOS_SANDBOX", sandbox);
    set("MESOS_CONTAINER_NAME", container);
    if let Some(role) = &task.resources.allocation_role {
        set("MESOS_ALLOCATION_ROLE", role);
    }
    for variable in overlay.iter().chain(&task.environment) {
        set(variable.name(), variable.value());
    }
    variables.into_iter().collect()
}

/// The resource limits as the parent sets them.
pub(crate) fn limits(task: &PlainTaskSpec) -> Vec<ResourceLimit> {
    let limit = |limit: &mesos_types::Rlimit| ResourceLimit {
        name: limit.name.to_owned(),
        soft: limit.soft,
        hard: limit.hard,
    };
    task.rlimits.iter().map(limit).collect()
}

/// What a parent is told to start.
pub(crate) struct Ordered<'a> {
    pub(crate) task: &'a PlainTaskSpec,
    pub(crate) paths: &'a RunPaths,
    pub(crate) owner: Option<Owner>,
    pub(crate) identity: Option<Identity>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) logs: LogSettings,
    pub(crate) has_tap: bool,
}

impl Ordered<'_> {
    /// The order.
    pub(crate) fn order(self) -> Order {
        let (executable, arguments) = match &self.task.command {
            PlainCommand::Shell(value) => {
                ("/bin/sh".to_owned(), vec!["sh".to_owned(), "-c".to_owned(), value.clone()])
            }
            PlainCommand::Program { program, arguments } => (program.clone(), arguments.clone()),
        };
        Order {
            version: VERSION,
            sandbox: self.paths.sandbox.clone(),
            state: self.paths.state.clone(),
            executable,
            arguments,
            environment: self.environment,
            identity: self.identity,
            owner: self.owner.map(|owner| (owner.uid(), owner.gid())),
            limits: limits(self.task),
            log_max_size: self.logs.rotation.max_size,
            log_max_files: self.logs.rotation.max_files,
            tap: self.has_tap,
        }
    }
}

#[cfg(test)]
mod tests {
    use mesos_proto::v1;
    use mesos_types::Strictness;

    use super::*;

    fn task(command: v1::CommandInfo) -> PlainTaskSpec {
        let info = v1::TaskInfo {
            name: "t".into(),
            task_id: v1::TaskId { value: "t".into() },
            command: Some(command),
            ..Default::default()
        };
        PlainTaskSpec::from_task_info(&info, Strictness::Lenient).unwrap()
    }

    fn variable(name: &str, value: &str) -> EnvVar {
        EnvVar::new("x", name, value).unwrap()
    }

    #[test]
    fn a_task_wins_over_its_owner_and_that_over_what_all_have() {
        let environment_info = v1::Environment {
            variables: vec![v1::environment::Variable {
                name: "A".into(),
                value: Some("task".into()),
                ..Default::default()
            }],
        };
        let task = task(v1::CommandInfo {
            value: Some("true".into()),
            environment: Some(environment_info),
            ..Default::default()
        });
        let overlay = [variable("A", "owner"), variable("B", "owner"), variable("PATH", "/opt/bin")];
        let found = environment(&task, &overlay, "/s", "c");
        let expected = [
            ("A", "task"),
            ("B", "owner"),
            ("MESOS_CONTAINER_NAME", "c"),
            ("MESOS_SANDBOX", "/s"),
            ("PATH", "/opt/bin"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(environment(&task, &[], "/s", "c").contains(&("PATH".into(), DEFAULT_PATH.into())));
    }

    #[test]
    fn nobody_is_switched_to_without_an_owner_and_groups_are_the_users() {
        assert_eq!(identity(None, Some("root")).unwrap(), None);
        let root = identity(Some(Owner::new(0, 0).unwrap()), None).unwrap().unwrap();
        assert!(root.groups.contains(&0), "{root:?}");
        let nameless = identity(Some(Owner::new(54321, 54321).unwrap()), Some("54321")).unwrap().unwrap();
        assert_eq!(nameless, Identity { uid: 54321, gid: 54321, groups: Vec::new() });
    }
}
