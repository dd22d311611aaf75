//! Health checks and checks of a task: what is asked, when, and what follows from the answers.
//!
//! The rules are those of `validation::healthCheck` and `validation::checkInfo` (`src/checks/health_checker.cpp`,
//! `src/checks/checker.cpp`). In a cluster the master applies them and refuses the task with
//! `Task uses invalid health check: …`; a master before 1.2 does not, and its stock executor logs the error and runs the
//! task unchecked. Here it is refused with the master's words in either case: a task that asks to be checked and is not
//! has another meaning.
//!
//! What stock accepts keeps working, with a notice where a part has no effect.

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::{check_info, health_check};

use crate::command::{self, EnvVar};
use crate::fields::{FieldError, Notices};

/// The longest path of an HTTP check, in bytes.
const LONGEST_PATH: usize = 8 * 1024;

/// Failures in a row after which a task is killed when its health check does not say.
const CONSECUTIVE_FAILURES: u32 = 3;

/// Seconds before the first check, between checks, for one, and of grace, when nothing is said.
const DELAY: f64 = 15.0;
const INTERVAL: f64 = 10.0;
const TIMEOUT: f64 = 20.0;
const GRACE: f64 = 10.0;

/// A health check (`TaskInfo.health_check`): its failures make a task unhealthy, and end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckSpec {
    /// What is asked.
    pub probe: ProbeSpec,
    /// When.
    pub times: CheckTimes,
    /// How long after the start failures do not count, until the first success.
    pub grace: Duration,
    /// The number of failures in a row at which the task is killed. Stock compares with `>=`, so 0 is as 1.
    pub consecutive_failures: u32,
}

/// A check (`TaskInfo.check`): its results are told to the framework, and nothing follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSpec {
    /// What is asked.
    pub probe: ProbeSpec,
    /// When.
    pub times: CheckTimes,
}

/// When a check is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckTimes {
    /// From the start of the task to the first check.
    pub delay: Duration,
    /// From the end of a check to the next.
    pub interval: Duration,
    /// How long one may take; `None` is for ever (0 on the wire).
    pub timeout: Option<Duration>,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeSpec {
    /// Whether a command in the container ends with 0.
    Command(CommandProbe),
    /// Whether a GET is answered with 200 to 399.
    Http(HttpProbe),
    /// Whether a connection is accepted.
    Tcp(TcpProbe),
}

/// A command that is run in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandProbe {
    /// The program.
    pub program: String,
    /// Its arguments, of which there is at least the first, its name: `program` itself, except without an image, where a
    /// task may give it another.
    pub argv: Vec<String>,
    /// Additions to the container's environment, each name once.
    pub environment: Vec<EnvVar>,
    /// Who it runs as; `None` is the container's user.
    pub user: Option<String>,
}

/// A request to a server in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Plain or over TLS.
    pub scheme: HttpScheme,
    /// The port in the container, not 0.
    pub port: u16,
    /// The path with its query, which begins with a slash and has no control characters.
    pub path: String,
    /// The address family.
    pub family: IpFamily,
}

/// A connection to a server in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProbe {
    /// The port in the container, not 0.
    pub port: u16,
    /// The address family.
    pub family: IpFamily,
}

/// How HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpScheme {
    /// Plain.
    Http,
    /// Over TLS, whose certificate is not verified.
    Https,
}

/// The address family of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpFamily {
    /// `127.0.0.1` in the container.
    V4,
    /// `::1` in the container.
    V6,
}

/// What the arguments of a health check's command are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// What follows the program, as the docker executor of stock hands them to `docker exec`.
    Following,
    /// All, with the program's name, as `mesos-executor` hands them to `execvp`.
    All,
}

/// What the message belongs to, for the paths of fields and for stock's words.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Health,
    General,
}

impl HealthCheckSpec {
    pub(crate) fn from_proto(
        check: &v1::HealthCheck,
        arguments: Arguments,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        let whose = Whose::Health;
        let kind = check.r#type.map(health_check::Type::try_from);
        let probe = match kind {
            None => return Err(whose.refuse("type", "HealthCheck must specify 'type'")),
            Some(Err(_)) => return Err(whose.refuse("type", "the type is not one that this agent knows")),
            Some(Ok(health_check::Type::Unknown)) => {
                return Err(whose.refuse("type", "'UNKNOWN' is not a valid health check type"));
            }
            Some(Ok(health_check::Type::Command)) => {
                let command = check.command.as_ref().ok_or_else(|| {
                    whose.refuse("command", "Expecting 'command' to be set for COMMAND health check")
                })?;
                ProbeSpec::Command(command_probe(whose, command, arguments, notices)?)
            }
            Some(Ok(health_check::Type::Http)) => {
                let http = check.http.as_ref().ok_or_else(|| {
                    whose.refuse("http", "Expecting 'http' to be set for HTTP health check")
                })?;
                if !http.statuses.is_empty() {
                    notices.note(
                        "health_check.http.statuses",
                        "every status from 200 to 399 is healthy, as in stock",
                    )?;
                }
                ProbeSpec::Http(HttpProbe {
                    scheme: whose.scheme(http.scheme.as_deref())?,
                    port: whose.port("http.port", http.port)?,
                    path: whose.path(http.path.as_deref())?,
                    family: family(http.protocol()),
                })
            }
            Some(Ok(health_check::Type::Tcp)) => {
                let tcp = check
                    .tcp
                    .as_ref()
                    .ok_or_else(|| whose.refuse("tcp", "Expecting 'tcp' to be set for TCP health check"))?;
                let port = whose.port("tcp.port", tcp.port)?;
                ProbeSpec::Tcp(TcpProbe { port, family: family(tcp.protocol()) })
            }
        };
        Ok(Self {
            probe,
            times: whose.times(check.delay_seconds, check.interval_seconds, check.timeout_seconds)?,
            grace: whose.seconds("grace_period_seconds", check.grace_period_seconds, GRACE)?,
            consecutive_failures: check.consecutive_failures.unwrap_or(CONSECUTIVE_FAILURES),
        })
    }
}

impl CheckSpec {
    pub(crate) fn from_proto(
        check: &v1::CheckInfo,
        arguments: Arguments,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        let whose = Whose::General;
        let probe = match check.r#type.map(check_info::Type::try_from) {
            None => return Err(whose.refuse("type", "CheckInfo must specify 'type'")),
            Some(Err(_)) => return Err(whose.refuse("type", "the type is not one that this agent knows")),
            Some(Ok(check_info::Type::Unknown)) => {
                return Err(whose.refuse("type", "'UNKNOWN' is not a valid check's type"));
            }
            Some(Ok(check_info::Type::Command)) => {
                let command = check.command.as_ref().ok_or_else(|| {
                    whose.refuse("command", "Expecting 'command' to be set for COMMAND check")
                })?;
                ProbeSpec::Command(command_probe(whose, &command.command, arguments, notices)?)
            }
            Some(Ok(check_info::Type::Http)) => {
                let http = check
                    .http
                    .as_ref()
                    .ok_or_else(|| whose.refuse("http", "Expecting 'http' to be set for HTTP check"))?;
                ProbeSpec::Http(HttpProbe {
                    scheme: HttpScheme::Http,
                    port: whose.port("http.port", http.port)?,
                    path: whose.path(http.path.as_deref())?,
                    family: IpFamily::V4,
                })
            }
            Some(Ok(check_info::Type::Tcp)) => {
                let tcp = check
                    .tcp
                    .as_ref()
                    .ok_or_else(|| whose.refuse("tcp", "Expecting 'tcp' to be set for TCP check"))?;
                ProbeSpec::Tcp(TcpProbe { port: whose.port("tcp.port", tcp.port)?, family: IpFamily::V4 })
            }
        };
        let times = whose.times(check.delay_seconds, check.interval_seconds, check.timeout_seconds)?;
        Ok(Self { probe, times })
    }

    /// What is asked, as it stands in the results.
    pub fn kind(&self) -> check_info::Type {
        match self.probe {
            ProbeSpec::Command(_) => check_info::Type::Command,
            ProbeSpec::Http(_) => check_info::Type::Http,
            ProbeSpec::Tcp(_) => check_info::Type::Tcp,
        }
    }
}

impl Whose {
    /// The field of the task.
    fn field(self, below: &str) -> String {
        match self {
            Self::Health => format!("health_check.{below}"),
            Self::General => format!("check.{below}"),
        }
    }

    /// A refusal in the words of the master (`validateHealthCheck`, `validateCheck` in `src/master/validation.cpp`).
    fn refuse(self, below: &str, why: impl std::fmt::Display) -> FieldError {
        let what = match self {
            Self::Health => "health check",
            Self::General => "check",
        };
        FieldError::new(self.field(below), format!("Task uses invalid {what}: {why}"))
    }

    fn times(
        self,
        delay: Option<f64>,
        interval: Option<f64>,
        timeout: Option<f64>,
    ) -> Result<CheckTimes, FieldError> {
        let timeout = self.seconds("timeout_seconds", timeout, TIMEOUT)?;
        Ok(CheckTimes {
            delay: self.seconds("delay_seconds", delay, DELAY)?,
            interval: self.seconds("interval_seconds", interval, INTERVAL)?,
            timeout: (!timeout.is_zero()).then_some(timeout),
        })
    }

    /// A number of seconds that is no less than nothing, and no more than Mesos' durations have (292 years).
    fn seconds(self, below: &str, given: Option<f64>, default: f64) -> Result<Duration, FieldError> {
        let seconds = given.unwrap_or(default);
        if seconds < 0.0 {
            return Err(self.refuse(below, format!("Expecting '{below}' to be non-negative")));
        }
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|duration| i64::try_from(duration.as_nanos()).is_ok())
            .ok_or_else(|| self.refuse(below, format!("{seconds} is no number of seconds that can pass")))
    }

    fn port(self, below: &str, port: u32) -> Result<u16, FieldError> {
        u16::try_from(port).ok().filter(|port| *port != 0).ok_or_else(|| {
            self.refuse(below, format!("{port} is not a port from 1 to 65535"))
                .hint("a check asks inside the container: name the port that the server listens on there")
        })
    }

    fn scheme(self, scheme: Option<&str>) -> Result<HttpScheme, FieldError> {
        match scheme {
            None | Some("http") => Ok(HttpScheme::Http),
            Some("https") => Ok(HttpScheme::Https),
            Some(other) => {
                Err(self.refuse("http.scheme", format!("Unsupported HTTP health check scheme: '{other}'")))
            }
        }
    }

    fn path(self, path: Option<&str>) -> Result<String, FieldError> {
        let Some(path) = path else { return Ok("/".to_owned()) };
        if !path.starts_with('/') {
            let what = match self {
                Self::Health => "HTTP health check",
                Self::General => "HTTP check",
            };
            return Err(self.refuse("http.path", format!("The path '{path}' of {what} must start with '/'")));
        }
        if path.contains(char::is_control) {
            return Err(self.refuse("http.path", "the path has a control character"));
        }
        if path.len() > LONGEST_PATH {
            return Err(self.refuse(
                "http.path",
                format!("the path is {} bytes, and at most {LONGEST_PATH} are sent", path.len()),
            ));
        }
        Ok(path.to_owned())
    }
}

fn family(protocol: v1::network_info::Protocol) -> IpFamily {
    match protocol {
        v1::network_info::Protocol::IPv4 => IpFamily::V4,
        v1::network_info::Protocol::IPv6 => IpFamily::V6,
    }
}

/// The command line of a check.
///
/// A shell command is run by the container's `sh -c`. The arguments of a health check follow its value, as the stock
/// docker executor hands them to `docker exec` (`runHealthCheck` in `src/docker/executor.cpp`). A general check, which
/// that executor does not have, may also be written as for the other executors: there `arguments` holds the whole argv,
/// and its first is the name of the program once more. Without an image that is so for both.
fn command_probe(
    whose: Whose,
    command: &v1::CommandInfo,
    arguments: Arguments,
    notices: &mut Notices,
) -> Result<CommandProbe, FieldError> {
    // Where the command is in the message.
    let at = match whose {
        Whose::Health => "command",
        Whose::General => "command.command",
    };
    let shell = command.shell.unwrap_or(true);
    let Some(value) = command.value.as_deref() else {
        let what = if shell { "'shell command'" } else { "'executable path'" };
        let which = match whose {
            Whose::Health => "Command health check",
            Whose::General => "Command check",
        };
        return Err(whose.refuse(&format!("{at}.value"), format!("{which} must contain {what}")));
    };
    let argv = if shell {
        if !command.arguments.is_empty() {
            notices.note(whose.field(&format!("{at}.arguments")), "a shell command takes no arguments")?;
        }
        vec!["sh".to_owned(), "-c".to_owned(), value.to_owned()]
    } else if arguments == Arguments::All && !command.arguments.is_empty() {
        command.arguments.clone()
    } else {
        let program = value.rsplit_once('/').map_or(value, |(_, name)| name);
        let names_itself = |first: &String| first == value || first == program;
        let first = match whose {
            Whose::General if command.arguments.first().is_some_and(names_itself) => 1,
            Whose::General | Whose::Health => 0,
        };
        [value.to_owned()].into_iter().chain(command.arguments[first..].iter().cloned()).collect()
    };
    let program = if shell { "sh".to_owned() } else { value.to_owned() };
    if argv.iter().chain([&program]).any(|part| part.contains('\0')) {
        return Err(whose.refuse(at, "the command line has a NUL character"));
    }
    if program.is_empty() {
        return Err(whose.refuse(&format!("{at}.value"), "the program has no name"));
    }
    if !command.uris.is_empty() {
        notices.note(
            whose.field(&format!("{at}.uris")),
            "nothing is fetched for a check; the URIs of the task's own command are",
        )?;
    }
    let environment = command::environment(command).map_err(|error| {
        let below = error.field().strip_prefix("command.").unwrap_or(error.field()).to_owned();
        whose.refuse(&format!("{at}.{below}"), error.reason())
    })?;
    let mut user = command.user.clone().filter(|user| !user.is_empty());
    if arguments == Arguments::All && user.is_some() {
        // As in stock. Whether the framework may run anything as that user is asked of nobody.
        notices
            .note(whose.field(&format!("{at}.user")), "without an image a check runs as the task's user")?;
        user = None;
    }
    if user.as_deref().is_some_and(|user| user.contains(char::is_control)) {
        return Err(whose.refuse(&format!("{at}.user"), "the user's name has a control character"));
    }
    Ok(CommandProbe { program, argv, environment, user })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Strictness;

    fn health(change: impl FnOnce(&mut v1::HealthCheck)) -> v1::HealthCheck {
        let mut check = v1::HealthCheck {
            http: Some(health_check::HttpCheckInfo { port: 8080, ..Default::default() }),
            ..Default::default()
        };
        check.set_type(health_check::Type::Http);
        change(&mut check);
        check
    }

    fn command(value: Option<&str>, shell: bool, arguments: &[&str]) -> v1::CommandInfo {
        v1::CommandInfo {
            value: value.map(Into::into),
            shell: Some(shell),
            arguments: arguments.iter().map(|&a| a.into()).collect(),
            ..Default::default()
        }
    }

    fn by_command(command: v1::CommandInfo) -> v1::HealthCheck {
        health(|check| {
            check.set_type(health_check::Type::Command);
            check.command = Some(command);
        })
    }

    fn read(check: &v1::HealthCheck) -> Result<HealthCheckSpec, FieldError> {
        HealthCheckSpec::from_proto(check, Arguments::Following, &mut Notices::new(Strictness::Strict))
    }

    fn general(change: impl FnOnce(&mut v1::CheckInfo)) -> Result<CheckSpec, FieldError> {
        let mut check = v1::CheckInfo {
            tcp: Some(check_info::Tcp { port: 80 }),
            http: Some(check_info::Http { port: 80, path: None }),
            ..Default::default()
        };
        check.set_type(check_info::Type::Tcp);
        change(&mut check);
        CheckSpec::from_proto(&check, Arguments::Following, &mut Notices::new(Strictness::Strict))
    }

    /// Nobody authorizes the user of a check.
    #[test]
    fn without_an_image_a_check_runs_as_the_tasks_user() {
        let given = v1::CommandInfo { user: Some("root".into()), ..command(Some("true"), true, &[]) };
        let health = by_command(given);
        let mut notices = Notices::new(Strictness::Lenient);
        let read = HealthCheckSpec::from_proto(&health, Arguments::All, &mut notices).unwrap();
        let ProbeSpec::Command(probe) = read.probe else { panic!("{read:?}") };
        assert_eq!(probe.user, None);
        let [notice] = &notices.into_list()[..] else { panic!("one notice") };
        assert!(notice.to_string().contains("health_check.command.user"), "{notice}");
    }

    /// Without an image `arguments` is the whole argv, for health checks and checks alike.
    #[rstest::rstest]
    #[case::shell(command(Some("exit 0"), true, &[]), "sh", &["sh", "-c", "exit 0"])]
    #[case::own_name(command(Some("/bin/busybox"), false, &["test", "-e", "x"]), "/bin/busybox", &["test", "-e", "x"])]
    #[case::no_arguments(command(Some("true"), false, &[]), "true", &["true"])]
    fn without_an_image_the_arguments_begin_with_a_name(
        #[case] given: v1::CommandInfo,
        #[case] program: &str,
        #[case] argv: &[&str],
    ) {
        let mut notices = Notices::new(Strictness::Strict);
        let health = by_command(given.clone());
        let health = HealthCheckSpec::from_proto(&health, Arguments::All, &mut notices).unwrap();
        let mut check =
            v1::CheckInfo { command: Some(check_info::Command { command: given }), ..Default::default() };
        check.set_type(check_info::Type::Command);
        let check = CheckSpec::from_proto(&check, Arguments::All, &mut notices).unwrap();
        for probe in [health.probe, check.probe] {
            let ProbeSpec::Command(probe) = probe else { panic!("{probe:?}") };
            assert_eq!(
                (probe.program.as_str(), probe.argv),
                (program, argv.iter().map(|&a| a.to_owned()).collect())
            );
        }
    }

    #[test]
    fn what_is_not_said_is_the_protocols_default() {
        let read = read(&health(|_| {})).unwrap();
        let secs = Duration::from_secs;
        assert_eq!(read.times, CheckTimes { delay: secs(15), interval: secs(10), timeout: Some(secs(20)) });
        assert_eq!((read.grace, read.consecutive_failures), (secs(10), 3));
        let path = "/".to_owned();
        let scheme = HttpScheme::Http;
        assert_eq!(read.probe, ProbeSpec::Http(HttpProbe { scheme, port: 8080, path, family: IpFamily::V4 }));
    }

    #[test]
    fn no_timeout_is_for_ever_and_times_are_exact() {
        let read = read(&health(|check| {
            check.timeout_seconds = Some(0.0);
            check.interval_seconds = Some(0.25);
            check.delay_seconds = Some(0.0);
            check.consecutive_failures = Some(0);
        }))
        .unwrap();
        assert_eq!(read.times.timeout, None);
        assert_eq!((read.times.delay, read.times.interval), (Duration::ZERO, Duration::from_millis(250)));
        assert_eq!(read.consecutive_failures, 0);
    }

    #[rstest::rstest]
    #[case(|c: &mut v1::HealthCheck| c.r#type = None, "health_check.type", "must specify 'type'")]
    #[case(|c: &mut v1::HealthCheck| c.r#type = Some(0), "health_check.type", "'UNKNOWN' is not")]
    #[case(|c: &mut v1::HealthCheck| c.r#type = Some(9), "health_check.type", "not one that this agent knows")]
    #[case(|c: &mut v1::HealthCheck| c.http = None, "health_check.http", "Expecting 'http' to be set")]
    #[case(|c: &mut v1::HealthCheck| c.set_type(health_check::Type::Tcp), "health_check.tcp", "Expecting 'tcp'")]
    #[case(|c: &mut v1::HealthCheck| c.set_type(health_check::Type::Command), "health_check.command", "Expecting 'command'")]
    #[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().port = 0, "health_check.http.port", "1 to 65535")]
    #[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().port = 65536, "health_check.http.port", "1 to 65535")]
    #[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().path = Some("x".into()), "health_check.http.path", "must start with '/'")]
    #[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().path = Some("/a\r\nb".into()), "health_check.http.path", "control")]
    #[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().path = Some("/".repeat(9000)), "health_check.http.path", "9000 bytes")]
    #[case(|c: &mut v1::HealthCheck| c.http.as_mut().unwrap().scheme = Some("ftp".into()), "health_check.http.scheme", "Unsupported HTTP health check scheme: 'ftp'")]
    #[case(|c: &mut v1::HealthCheck| c.delay_seconds = Some(-1.0), "health_check.delay_seconds", "non-negative")]
    #[case(|c: &mut v1::HealthCheck| c.interval_seconds = Some(f64::NAN), "health_check.interval_seconds", "no number")]
    #[case(|c: &mut v1::HealthCheck| c.timeout_seconds = Some(f64::INFINITY), "health_check.timeout_seconds", "no number")]
    #[case(|c: &mut v1::HealthCheck| c.grace_period_seconds = Some(1e300), "health_check.grace_period_seconds", "no number")]
    fn nonsense_is_refused_by_name(
        #[case] spoil: fn(&mut v1::HealthCheck),
        #[case] field: &str,
        #[case] why: &str,
    ) {
        let error = read(&health(spoil)).unwrap_err();
        assert_eq!(error.field(), field);
        let text = error.to_string();
        assert!(text.starts_with("Task uses invalid health check: ") && text.contains(why), "{text}");
    }

    #[rstest::rstest]
    #[case(command(Some("a b"), true, &[]), &["sh", "-c", "a b"])]
    #[case(command(Some("echo '\"'"), true, &[]), &["sh", "-c", "echo '\"'"])]
    #[case(command(Some("a"), false, &["b", "c d"]), &["a", "b", "c d"])]
    #[case(command(Some("a"), false, &["a", "b"]), &["a", "a", "b"])]
    fn the_arguments_of_a_health_check_follow_its_value(
        #[case] given: v1::CommandInfo,
        #[case] argv: &[&str],
    ) {
        let ProbeSpec::Command(probe) = read(&by_command(given)).unwrap().probe else { panic!("a command") };
        assert_eq!(probe.argv, argv);
    }

    #[rstest::rstest]
    #[case(command(Some("/bin/a"), false, &["a", "b"]), &["/bin/a", "b"])]
    #[case(command(Some("/bin/a"), false, &["/bin/a", "b"]), &["/bin/a", "b"])]
    #[case(command(Some("/bin/a"), false, &["b"]), &["/bin/a", "b"])]
    fn a_general_check_may_name_its_program_twice(#[case] given: v1::CommandInfo, #[case] argv: &[&str]) {
        let read = general(|check| {
            check.set_type(check_info::Type::Command);
            check.command = Some(check_info::Command { command: given });
        })
        .unwrap();
        let ProbeSpec::Command(probe) = &read.probe else { panic!("a command") };
        assert_eq!(probe.argv, argv);
        assert_eq!(read.kind(), check_info::Type::Command);
    }

    #[rstest::rstest]
    #[case(command(None, true, &[]), "health_check.command.value", "'shell command'")]
    #[case(command(None, false, &["a"]), "health_check.command.value", "'executable path'")]
    #[case(command(Some(""), false, &[]), "health_check.command.value", "no name")]
    #[case(command(Some("a\0"), true, &[]), "health_check.command", "NUL")]
    #[case(v1::CommandInfo { user: Some("a\nb".into()), ..command(Some("a"), true, &[]) }, "health_check.command.user", "control")]
    #[case(command(Some("a"), true, &["b"]), "health_check.command.arguments", "takes no arguments")]
    #[case(v1::CommandInfo { uris: vec![Default::default()], ..command(Some("a"), true, &[]) }, "health_check.command.uris", "nothing is fetched")]
    fn a_command_that_cannot_be_run_is_refused(
        #[case] given: v1::CommandInfo,
        #[case] field: &str,
        #[case] why: &str,
    ) {
        let error = read(&by_command(given)).unwrap_err();
        assert_eq!(error.field(), field);
        assert!(error.to_string().contains(why), "{error}");
    }

    #[test]
    fn a_variable_of_a_check_is_named_by_its_place() {
        let variable = v1::environment::Variable { name: "A=B".into(), ..Default::default() };
        let environment = Some(v1::Environment { variables: vec![variable] });
        let given = v1::CommandInfo { environment, ..command(Some("a"), true, &[]) };
        let error = read(&by_command(given)).unwrap_err();
        assert_eq!(error.field(), "health_check.command.environment.variables[0].value");
        assert!(error.to_string().starts_with("Task uses invalid health check"), "{error}");
    }

    #[test]
    fn statuses_are_accepted_without_effect_as_in_stock() {
        let given = health(|check| check.http.as_mut().unwrap().statuses = vec![204]);
        let mut notices = Notices::new(Strictness::Lenient);
        HealthCheckSpec::from_proto(&given, Arguments::Following, &mut notices).unwrap();
        assert_eq!(notices.into_list()[0].field, "health_check.http.statuses");
        assert!(read(&given).is_err());
    }

    #[rstest::rstest]
    #[case(|c: &mut v1::CheckInfo| c.r#type = None, "check.type")]
    #[case(|c: &mut v1::CheckInfo| c.r#type = Some(0), "check.type")]
    #[case(|c: &mut v1::CheckInfo| c.tcp.as_mut().unwrap().port = 70000, "check.tcp.port")]
    #[case(|c: &mut v1::CheckInfo| c.tcp = None, "check.tcp")]
    #[case(|c: &mut v1::CheckInfo| c.set_type(check_info::Type::Command), "check.command")]
    #[case(|c: &mut v1::CheckInfo| { c.set_type(check_info::Type::Http); c.http.as_mut().unwrap().path = Some("x".into()); }, "check.http.path")]
    #[case(|c: &mut v1::CheckInfo| c.interval_seconds = Some(-0.5), "check.interval_seconds")]
    fn nonsense_in_a_check_is_refused_by_name(#[case] spoil: fn(&mut v1::CheckInfo), #[case] field: &str) {
        let error = general(spoil).unwrap_err();
        assert_eq!(error.field(), field);
        assert!(error.to_string().starts_with("Task uses invalid check: "), "{error}");
    }
}
