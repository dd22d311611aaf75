//! Running a credential helper of the operator's config, by the protocol of docker's credential helpers.
//!
//! `docker-credential-<name> get` reads the registry's address from its standard input and answers with JSON. It runs
//! as we do, so it is found on a fixed path only, gets an environment of three variables, and is killed with all its
//! children when its time is over or nobody waits any more.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use docker_engine::Credentials;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::config::told;
use super::registry::Registry;
use super::shared::{Answer as Shared, Questions};

/// The most bytes that a helper may answer.
const MAX_ANSWER: u64 = 64 << 10;

/// How often a helper is started that is being written.
const BUSY_TRIES: usize = 20;

/// The pause between.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// What a helper says that knows nothing of a registry (`errCredentialsNotFoundMessage` of docker-credential-helpers).
const NOT_FOUND: &str = "credentials not found in native keychain";

/// How helpers are run.
#[derive(Debug, Clone)]
pub struct HelperSettings {
    path: String,
    timeout: Duration,
    turns: Arc<Semaphore>,
    questions: Questions,
}

/// Why a helper gave no credentials. Nothing that it printed is in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// No such program.
    #[error("no such program is in {path} (install it, or set --docker_credential_helper_path)")]
    Missing {
        /// Where it was looked for.
        path: String,
    },
    /// It cannot be run, or talked to.
    #[error("cannot run {program:?}")]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It went on for too long, and was killed.
    #[error("it did not answer within {0:?} and was killed (see --docker_credential_helper_timeout)")]
    Timeout(Duration),
    /// It answered too much, and was killed.
    #[error("it answered more than {MAX_ANSWER} bytes and was killed")]
    TooLong,
    /// It failed.
    #[error(
        "it failed with {0} (run it by hand to see why: its output is not shown, as it can hold secrets)"
    )]
    Failed(std::process::ExitStatus),
    /// Its answer is not that of a helper.
    #[error("its answer is not JSON with \"Username\" and \"Secret\"")]
    Answer,
}

/// The answer of `get`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl HelperSettings {
    /// Helpers on the directories of `path`, separated by colons, each with `timeout` for its answer, and `at_once` of
    /// them at the same time.
    pub fn new(path: impl Into<String>, timeout: Duration, at_once: usize) -> Self {
        Self {
            path: path.into(),
            timeout,
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            questions: Questions::default(),
        }
    }

    /// Asks the helper called `name` for the credentials of a registry; `None` when it knows none. Whoever asks the
    /// same at the same time gets the same answer.
    ///
    /// # Errors
    ///
    /// Everything else that a helper can do.
    ///
    /// # Cancel safety
    ///
    /// Dropping it kills the helper and its children.
    pub(super) async fn ask(&self, name: &str, registry: &Registry) -> Shared {
        let run = async { self.ask_alone(name, registry).await.map_err(Arc::new) };
        self.questions.ask(name, registry.address(), run).await
    }

    async fn ask_alone(&self, name: &str, registry: &Registry) -> Result<Option<Credentials>, HelperError> {
        let program = self.find(&program_name(name))?;
        // A semaphore that is never closed.
        let _turn = self.turns.acquire().await;
        match tokio::time::timeout(self.timeout, self.run(&program, registry.address())).await {
            Ok(result) => {
                let (status, answer) = result?;
                read_answer(status, &answer, registry.address())
            }
            Err(_) => Err(HelperError::Timeout(self.timeout)),
        }
    }

    /// Looks for a program in absolute directories.
    fn find(&self, program: &str) -> Result<PathBuf, HelperError> {
        let is_program = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        };
        self.path
            .split(':')
            .filter(|directory| directory.starts_with('/'))
            .map(|directory| PathBuf::from(directory).join(program))
            .find(is_program)
            .ok_or_else(|| HelperError::Missing { path: self.path.clone() })
    }

    async fn run(
        &self,
        program: &PathBuf,
        address: &str,
    ) -> Result<(std::process::ExitStatus, Vec<u8>), HelperError> {
        let failed = |source| HelperError::Run { program: program.clone(), source };
        let mut command = Command::new(program);
        command
            .arg("get")
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", std::env::var_os("HOME").unwrap_or_else(|| "/".into()))
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = spawn(&mut command).await.map_err(failed)?;
        // Declared after the child, so it goes first: its group has a name for as long as nobody reaped the leader.
        let group = Group::of(&child);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(failed(io::Error::other("its pipes are missing")));
        };
        let mut answer = Vec::new();
        let ask = async {
            // A helper that knows its registry may end without reading.
            let _ = stdin.write_all(address.as_bytes()).await;
            drop(stdin);
        };
        let mut bounded = stdout.take(MAX_ANSWER + 1);
        let ((), read) = tokio::join!(ask, bounded.read_to_end(&mut answer));
        read.map_err(failed)?;
        if answer.len() as u64 > MAX_ANSWER {
            return Err(HelperError::TooLong);
        }
        let status = exited(&mut child, group).await.map_err(failed)?;
        Ok((status, answer))
    }
}

/// Starts a program, again where somebody has it open for writing: it is being replaced at this moment.
async fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 1..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result,
        }
    }
    command.spawn()
}

/// The process group of a helper, killed when it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Waits for a helper that has closed its output. Its group is given up once the leader was reaped, as its number is
/// free then.
async fn exited(child: &mut Child, mut group: Group) -> io::Result<std::process::ExitStatus> {
    let status = child.wait().await?;
    group.0 = None;
    Ok(status)
}

/// The name of a helper's program.
pub(super) fn program_name(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

fn read_answer(
    status: std::process::ExitStatus,
    answer: &[u8],
    address: &str,
) -> Result<Option<Credentials>, HelperError> {
    if !status.success() {
        return match answer.trim_ascii() == NOT_FOUND.as_bytes() {
            true => Ok(None),
            false => Err(HelperError::Failed(status)),
        };
    }
    let Answer { username, secret } = serde_json::from_slice(answer).map_err(|_| HelperError::Answer)?;
    let credentials = Credentials {
        username,
        password: secret,
        server_address: address.to_owned(),
        ..Credentials::default()
    };
    told(credentials).map(Some).ok_or(HelperError::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_engine::ImageRef;
    use rstest::rstest;
    use std::path::Path;
    use tempfile::TempDir;

    /// A helper called `test`, as a script.
    fn helper(script: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker-credential-test");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    async fn ask_for(image: &str, dir: &Path, timeout: Duration) -> Shared {
        let settings = HelperSettings::new(format!("{}:/bin:/usr/bin", dir.display()), timeout, 2);
        let registry = Registry::of(&ImageRef::parse(image).unwrap()).unwrap();
        settings.ask("test", &registry).await
    }

    async fn ask(dir: &Path) -> Shared {
        ask_for("reg.test:5000/a", dir, Duration::from_secs(30)).await
    }

    #[tokio::test]
    async fn a_helper_is_asked_by_the_protocol_in_an_environment_of_its_own() {
        let dir = helper(
            r#"address=$(cat); env >"${0%/*}/env"; printf '%s' "$*" >"${0%/*}/arguments"
               printf '{"ServerURL": "%s", "Username": "u for %s", "Secret": "s"}' "$address" "$address""#,
        );
        let found = ask(dir.path()).await.unwrap().unwrap();
        assert_eq!((&*found.username, &*found.password), ("u for reg.test:5000", "s"));
        assert_eq!(found.server_address, "reg.test:5000");
        assert_eq!(std::fs::read_to_string(dir.path().join("arguments")).unwrap(), "get");
        let environment = std::fs::read_to_string(dir.path().join("env")).unwrap();
        let mut names: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).collect();
        // The shell sets the last two itself.
        names.retain(|(name, _)| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name));
        names.sort_unstable();
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH"]);

        let hub = ask_for("busybox", dir.path(), Duration::from_secs(30)).await.unwrap().unwrap();
        assert_eq!(hub.username, "u for https://index.docker.io/v1/");
    }

    #[tokio::test]
    async fn a_token_is_an_identity_token() {
        let dir = helper(r#"echo '{"Username": "<token>", "Secret": "it"}'"#);
        let found = ask(dir.path()).await.unwrap().unwrap();
        assert_eq!((&*found.identity_token, &*found.username, &*found.password), ("it", "", ""));
    }

    #[rstest]
    #[case::exact("echo 'credentials not found in native keychain'; exit 1", true)]
    #[case::successful("echo 'credentials not found in native keychain'; exit 0", false)]
    #[case::another_failure("echo 'hunter2 is wrong'; exit 1", false)]
    #[tokio::test]
    async fn only_not_found_is_none(#[case] script: &str, #[case] is_none: bool) {
        match ask(helper(script).path()).await {
            Ok(None) => assert!(is_none),
            Err(_) => assert!(!is_none),
            Ok(Some(found)) => panic!("{found:?}"),
        }
    }

    #[rstest]
    #[case::fails("echo hunter2; echo hunter2 >&2; exit 3", "exit status: 3")]
    #[case::killed("echo hunter2; kill -9 $$", "signal: 9")]
    #[case::no_json("echo hunter2", "not JSON")]
    #[case::no_secret(r#"echo '{"Username": "hunter2"}'"#, "not JSON")]
    #[case::nothing(r#"echo '{"Username": "", "Secret": ""}'"#, "not JSON")]
    #[case::endless("while :; do echo hunter2 hunter2 hunter2 hunter2; done", "more than 65536 bytes")]
    #[tokio::test]
    async fn a_helper_that_misbehaves_is_an_error_without_its_output(
        #[case] script: &str,
        #[case] why: &str,
    ) {
        let error = ask(helper(script).path()).await.unwrap_err();
        let said = crate::chain(&error);
        assert!(said.contains(why), "{said}");
        assert!(!format!("{said} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_says_where_it_was_looked_for() {
        let dir = helper("true");
        std::fs::set_permissions(
            dir.path().join("docker-credential-test"),
            std::fs::Permissions::from_mode(0o600),
        )
        .unwrap();
        let error = ask(dir.path()).await.unwrap_err().to_string();
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        let relative = HelperSettings::new("bin:.:", Duration::from_secs(1), 1);
        assert!(matches!(relative.find("sh"), Err(HelperError::Missing { .. })));
    }

    /// Whether the process whose id a script wrote is gone, or only waits to be reaped by who inherited it.
    fn is_gone(pid_file: &Path) -> bool {
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_err() || stat.is_ok_and(|stat| stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
    }

    async fn until(mut met: impl FnMut() -> bool) {
        let waiting = async {
            while !met() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("in time");
    }

    const HANGS: &str =
        r#"sleep 600 & printf '%s' $! >"${0%/*}/child.new"; mv "${0%/*}/child.new" "${0%/*}/child"; wait"#;

    #[tokio::test]
    async fn a_helper_that_hangs_is_killed_with_its_children() {
        let dir = helper(HANGS);
        let error = ask_for("reg.test/a", dir.path(), Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(*error, HelperError::Timeout(_)), "{error}");
        until(|| is_gone(&dir.path().join("child"))).await;
    }

    #[tokio::test]
    async fn a_helper_is_killed_with_its_children_when_nobody_waits_any_more() {
        let dir = helper(HANGS);
        let child = dir.path().join("child");
        tokio::select! {
            result = ask(dir.path()) => panic!("{result:?}"),
            () = until(|| child.exists()) => {}
        }
        until(|| is_gone(&child)).await;
    }

    /// The output stays open, so its end is not seen before the deadline.
    #[tokio::test]
    async fn a_helper_whose_child_keeps_the_output_open_is_given_up() {
        let dir =
            helper(r#"sleep 600 & printf '%s' $! >"${0%/*}/child"; echo '{"Username": "u", "Secret": "s"}'"#);
        let error = ask_for("reg.test/a", dir.path(), Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(*error, HelperError::Timeout(_)), "{error}");
        until(|| is_gone(&dir.path().join("child"))).await;
    }

    #[tokio::test]
    async fn a_script_that_cannot_be_run_says_so() {
        let dir = helper("");
        std::fs::write(dir.path().join("docker-credential-test"), "#!/no/such/shell\n").unwrap();
        let error = ask(dir.path()).await.unwrap_err();
        assert!(matches!(*error, HelperError::Run { .. }), "{error}");
    }
}
