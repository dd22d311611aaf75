//! What an executor finds in its environment (`executorEnvironment` in `src/slave/slave.cpp`).
//!
//! Nothing of the agent's own environment is inherited. MESOS_SANDBOX, and the variables of the executor's command, which
//! win over all of these, are added by the containerizers.
//!
//! Departure: in a container with a network of its own LIBPROCESS_IP is left out unless the operator gives it with
//! `--executor_environment_variables`. Stock sets the agent's address there, which no program in the container can bind.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flags::{Secret, format_duration};
use mesos_proto::v1;
use mesos_types::{AgentId, EnvVar, FieldError, FrameworkId};

/// The path where programs are looked for when nobody says another (`os::host_default_path` in stout).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where stock's packages install libmesos.
const LIBRARY_DIRS: [&str; 3] = ["/usr/local/lib", "/usr/lib", "/usr/lib64"];

/// Its file, with the version and without.
const LIBRARY_NAMES: [&str; 2] = ["libmesos-1.11.0.so", "libmesos.so"];

/// What is the same for all executors of an agent. Prints the names of what the operator gives, not the values.
#[derive(Clone)]
pub struct AgentFacts {
    /// The address that the agent was told to listen on, if it was (`--ip`, LIBPROCESS_IP).
    pub ip: Option<Ipv4Addr>,
    /// `--executor_environment_variables`.
    pub given: BTreeMap<String, String>,
    /// Where libmesos is installed on this machine, if it is; see [`native_library`].
    pub native_library: Option<PathBuf>,
    /// The agent's process, `slave(1)@ip:port`.
    pub pid: String,
    /// `--http_command_executor`.
    pub http_command_executor: bool,
    /// `--executor_shutdown_grace_period`.
    pub shutdown_grace_period: Duration,
    /// `--recovery_timeout`.
    pub recovery_timeout: Duration,
    /// `--executor_reregistration_timeout`.
    pub reregistration_timeout: Duration,
}

impl fmt::Debug for AgentFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, given, pid, .. } = self;
        let given: Vec<&String> = given.keys().collect();
        let mut shown = f.debug_struct("AgentFacts");
        shown.field("ip", ip).field("given", &given).field("pid", pid).finish_non_exhaustive()
    }
}

/// What is said to one executor.
#[derive(Debug, Clone, Copy)]
pub struct ExecutorFacts<'a> {
    /// The agent's id.
    pub agent_id: &'a AgentId,
    /// The framework.
    pub framework_id: &'a FrameworkId,
    /// Whether the framework's tasks outlive the agent's process.
    pub checkpoint: bool,
    /// The executor, with the container that it is launched in.
    pub info: &'a v1::ExecutorInfo,
    /// The sandbox on the host.
    pub directory: &'a Path,
    /// Its token, where there is a key.
    pub token: Option<&'a Secret>,
}

/// Where an executor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// It is a process of this machine.
    Process,
    /// It is in a Docker container on the host's network.
    HostNetwork,
    /// It is in a Docker container with a network of its own, or with none.
    OwnNetwork,
}

impl Container {
    /// Where an executor with this container runs.
    pub fn of(container: Option<&v1::ContainerInfo>) -> Self {
        use v1::container_info::{Type, docker_info::Network};

        let Some(container) = container.filter(|container| container.r#type() == Type::Docker) else {
            return Self::Process;
        };
        let docker = container.docker.as_ref();
        match docker.map_or(Network::Host, |docker| docker.network()) {
            Network::Host => Self::HostNetwork,
            Network::Bridge | Network::None | Network::User => Self::OwnNetwork,
        }
    }
}

/// The environment of an executor, in the order of names, each name once.
///
/// # Errors
///
/// A value that no process can be given; names the variable.
pub fn executor_environment(
    agent: &AgentFacts,
    executor: ExecutorFacts<'_>,
) -> Result<Vec<EnvVar>, FieldError> {
    let container = Container::of(executor.info.container.as_ref());
    let mut variables = BTreeMap::new();
    if let Some(ip) = agent.ip.filter(|_| container != Container::OwnNetwork) {
        variables.insert("LIBPROCESS_IP", ip.to_string());
    }
    variables.extend(agent.given.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if let Some(library) = &agent.native_library {
        for name in ["MESOS_NATIVE_JAVA_LIBRARY", "MESOS_NATIVE_LIBRARY"] {
            variables.entry(name).or_insert_with(|| library.display().to_string());
        }
    }
    if container == Container::Process {
        variables.entry("PATH").or_insert_with(|| PATH.to_owned());
    }
    variables.extend(said(agent, executor));
    variables.into_iter().map(|(name, value)| EnvVar::new("executor environment", name, &value)).collect()
}

/// What the protocol says, whatever the operator gives.
fn said<'a>(agent: &'a AgentFacts, executor: ExecutorFacts<'a>) -> impl Iterator<Item = (&'a str, String)> {
    let flag = |is: bool| Some(if is { "1" } else { "0" }.to_owned());
    let grace = grace(executor.info).unwrap_or(agent.shutdown_grace_period);
    let endpoint = agent.pid.rsplit_once('@').map_or(agent.pid.as_str(), |(_, address)| address);
    let if_checkpointed = |duration| executor.checkpoint.then(|| format_duration(duration));
    [
        ("LIBPROCESS_PORT", Some("0".to_owned())),
        ("MESOS_FRAMEWORK_ID", Some(executor.framework_id.to_string())),
        ("MESOS_EXECUTOR_ID", Some(executor.info.executor_id.value.clone())),
        ("MESOS_DIRECTORY", Some(executor.directory.display().to_string())),
        ("MESOS_SLAVE_ID", Some(executor.agent_id.to_string())),
        ("MESOS_SLAVE_PID", Some(agent.pid.clone())),
        ("MESOS_AGENT_ENDPOINT", Some(endpoint.to_owned())),
        ("MESOS_CHECKPOINT", flag(executor.checkpoint)),
        ("MESOS_HTTP_COMMAND_EXECUTOR", flag(agent.http_command_executor)),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", Some(format_duration(grace))),
        ("MESOS_RECOVERY_TIMEOUT", if_checkpointed(agent.recovery_timeout)),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", if_checkpointed(agent.reregistration_timeout)),
        ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", executor.token.map(|token| token.expose().to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// The grace that an executor names for itself; a negative one is none.
fn grace(info: &v1::ExecutorInfo) -> Option<Duration> {
    let nanoseconds = info.shutdown_grace_period.as_ref()?.nanoseconds;
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// Looks for libmesos where stock's packages install it. Touches the disk.
pub fn native_library() -> Option<PathBuf> {
    let candidates =
        LIBRARY_DIRS.iter().flat_map(|dir| LIBRARY_NAMES.iter().map(|name| Path::new(dir).join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The environments that a stock 1.11.0 agent gave: of its `mesos-docker-executor`, a process, and of a custom
    /// executor in a Docker container on the host's network.
    const PROCESS: &str = include_str!("data/environment-process.txt");
    const DOCKER: &str = include_str!("data/environment-docker.txt");

    fn agent() -> AgentFacts {
        AgentFacts {
            ip: Some(Ipv4Addr::LOCALHOST),
            given: BTreeMap::new(),
            native_library: None,
            pid: "slave(1)@127.0.0.1:5051".into(),
            http_command_executor: false,
            shutdown_grace_period: Duration::from_secs(5),
            recovery_timeout: Duration::from_mins(15),
            reregistration_timeout: Duration::from_secs(2),
        }
    }

    fn info(container: Option<v1::container_info::docker_info::Network>) -> v1::ExecutorInfo {
        let container = container.map(|network| v1::ContainerInfo {
            r#type: v1::container_info::Type::Docker.into(),
            docker: Some(v1::container_info::DockerInfo {
                image: "busybox".into(),
                network: Some(network.into()),
                ..Default::default()
            }),
            ..Default::default()
        });
        v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "e".into() },
            container,
            ..Default::default()
        }
    }

    fn made(agent: &AgentFacts, info: &v1::ExecutorInfo, checkpoint: bool) -> BTreeMap<String, String> {
        let facts = ExecutorFacts {
            agent_id: &"A-S0".parse().unwrap(),
            framework_id: &"F-0001".parse().unwrap(),
            checkpoint,
            info,
            directory: Path::new("/w/slaves/A-S0/runs/c"),
            token: None,
        };
        let variables = executor_environment(agent, facts).unwrap();
        let list: BTreeMap<_, _> = variables
            .iter()
            .map(|variable| (variable.name().to_owned(), variable.value().to_owned()))
            .collect();
        assert_eq!(list.len(), variables.len(), "a name is there twice");
        list
    }

    fn recorded(text: &str) -> BTreeMap<String, String> {
        let pairs =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// What was recorded, with our ids.
    fn with_our_ids(mut recorded: BTreeMap<String, String>) -> BTreeMap<String, String> {
        for (name, value) in [
            ("MESOS_DIRECTORY", "/w/slaves/A-S0/runs/c"),
            ("MESOS_EXECUTOR_ID", "e"),
            ("MESOS_FRAMEWORK_ID", "F-0001"),
            ("MESOS_SLAVE_ID", "A-S0"),
        ] {
            assert!(recorded.insert(name.to_owned(), value.to_owned()).is_some(), "{name} was recorded");
        }
        recorded
    }

    #[test]
    fn a_process_gets_what_stock_gave_one() {
        let mut agent = agent();
        // The stock agent ran with these of its own.
        agent.given.insert("GLOG_v".into(), "1".into());
        assert_eq!(made(&agent, &info(None), true), with_our_ids(recorded(PROCESS)));
    }

    #[test]
    fn a_container_gets_what_stock_gave_one() {
        let network = v1::container_info::docker_info::Network::Host;
        let mut expected = with_our_ids(recorded(DOCKER));
        // Those of the containerizer, and of the executor's own command.
        for other in ["MESOS_SANDBOX", "MESOS_CONTAINER_NAME", "MESOS_ALLOCATION_ROLE", "XX"] {
            assert!(expected.remove(other).is_some(), "{other} was recorded");
        }
        assert_eq!(made(&agent(), &info(Some(network)), true), expected);
    }

    #[rstest]
    #[case(v1::container_info::docker_info::Network::Bridge)]
    #[case(v1::container_info::docker_info::Network::None)]
    #[case(v1::container_info::docker_info::Network::User)]
    fn the_agents_address_is_not_to_be_bound_in_a_network_of_ones_own(
        #[case] network: v1::container_info::docker_info::Network,
    ) {
        let info = info(Some(network));
        assert_eq!(made(&agent(), &info, true).get("LIBPROCESS_IP"), None);
        let mut told = agent();
        told.given.insert("LIBPROCESS_IP".into(), "0.0.0.0".into());
        assert_eq!(made(&told, &info, true)["LIBPROCESS_IP"], "0.0.0.0");
    }

    #[test]
    fn the_operator_wins_over_the_address_and_loses_against_the_protocol() {
        let mut agent = agent();
        agent.native_library = Some("/usr/lib/libmesos.so".into());
        for (name, value) in [
            ("LIBPROCESS_IP", "10.0.0.7"),
            ("LIBPROCESS_PORT", "77"),
            ("MESOS_SLAVE_PID", "slave(1)@6.6.6.6:6"),
            ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "x"),
            ("MESOS_NATIVE_LIBRARY", "/mine.so"),
            ("PATH", "/bin"),
            ("MORE", "y"),
        ] {
            agent.given.insert(name.into(), value.into());
        }
        let made = made(&agent, &info(None), false);
        assert_eq!(made["LIBPROCESS_IP"], "10.0.0.7");
        assert_eq!(made["LIBPROCESS_PORT"], "0");
        assert_eq!(made["MESOS_SLAVE_PID"], "slave(1)@127.0.0.1:5051");
        assert_eq!(made["MESOS_NATIVE_LIBRARY"], "/mine.so");
        assert_eq!(made["MESOS_NATIVE_JAVA_LIBRARY"], "/usr/lib/libmesos.so");
        assert_eq!((made["PATH"].as_str(), made["MORE"].as_str()), ("/bin", "y"));
        // The operator gave it; we have no token of our own to say.
        assert_eq!(made["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"], "x");
    }

    #[test]
    fn without_checkpoints_nobody_waits_for_the_agent() {
        let made = made(&agent(), &info(None), false);
        assert_eq!(made["MESOS_CHECKPOINT"], "0");
        for name in ["MESOS_RECOVERY_TIMEOUT", "MESOS_SUBSCRIPTION_BACKOFF_MAX"] {
            assert_eq!(made.get(name), None);
        }
    }

    #[rstest]
    #[case(Some(0), "0ns")]
    #[case(Some(1_500_000_000), "1500ms")]
    #[case(Some(90_000_000_000), "90secs")]
    #[case(Some(120_000_000_000), "2mins")]
    #[case(Some(-1), "5secs")]
    #[case(None, "5secs")]
    fn the_grace_is_the_executors_own_or_the_flags(#[case] own: Option<i64>, #[case] text: &str) {
        let mut info = info(None);
        info.shutdown_grace_period = own.map(|nanoseconds| v1::DurationInfo { nanoseconds });
        assert_eq!(made(&agent(), &info, true)["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"], text);
    }

    #[test]
    fn the_token_is_passed_and_not_printed() {
        let token = Secret::new("aaa.bbb.ccc");
        let info = info(None);
        let facts = ExecutorFacts {
            agent_id: &"A".parse().unwrap(),
            framework_id: &"F".parse().unwrap(),
            checkpoint: true,
            info: &info,
            directory: Path::new("/w"),
            token: Some(&token),
        };
        assert!(!format!("{facts:?}").contains("bbb"));
        let mut given = agent();
        given.given.insert("PASSWORD".into(), "bbb".into());
        let printed = format!("{given:?}");
        assert!(printed.contains("PASSWORD") && !printed.contains("bbb"), "{printed}");
        let variables = executor_environment(&agent(), facts).unwrap();
        let found =
            variables.iter().find(|variable| variable.name() == "MESOS_EXECUTOR_AUTHENTICATION_TOKEN");
        assert_eq!(found.unwrap().value(), "aaa.bbb.ccc");
        assert!(!format!("{variables:?}").contains("bbb"));
    }
}
