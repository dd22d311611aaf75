//! From flags to a supervisor that can launch.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use docker_containerizer::policy::{self, HostPlaces, Policy, Preset};
use docker_containerizer::request::{EngineFacts, RequestSettings};
use docker_containerizer::{Containerizer as Docker, OperatorConfig, RemovalDelay};
use docker_engine::Engine;
use docker_setup::FetchPlaces;
use fetcher::agent::Fetcher;
use flags::DockerSettings;
use flags::agent::ContainmentFlags;
use mesos_containerizer::Containerizer as Plain;
use mesos_types::Reading;
use task_supervisor::{Composing, Kind, Supervisor, SupervisorSettings};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::mesos_flags::MesosFlags;

/// What differs from an agent's defaults: a stopped container is removed at once, since we do not stay to do it later.
const OURS: [(&str, &str); 1] = [("docker_remove_delay", "0secs")];

/// The grace of a task that names none (`--executor_shutdown_grace_period`).
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Where we are and what we were told.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: DockerSettings,
    /// The work directory: canonical once it exists.
    pub(crate) work_dir: PathBuf,
    /// What tasks may ask of this host.
    pub(crate) policy: Arc<Policy>,
    socket: Socket,
    /// `--docker_config`.
    operator: Option<OperatorConfig>,
    /// Whether somebody said where the fetcher's cache is.
    cache_dir_given: bool,
    fetcher: OnceLock<Fetcher>,
}

/// Who says where the engine listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    /// A flag, which wins over `DOCKER_HOST`.
    Flag,
    /// `DOCKER_HOST`, or nobody.
    Environment,
}

impl Setup {
    /// Reads the flags, and leaves the machine as it is.
    ///
    /// # Errors
    ///
    /// A flag's value.
    pub(crate) fn new(flags: &MesosFlags) -> Result<Self, Failure> {
        let settings = flags.load(&OURS)?;
        let work_dir = settings.work_dir.clone().unwrap_or_else(default_work_dir);
        let socket = if flags.is_given("docker_socket") { Socket::Flag } else { Socket::Environment };
        // Labels hold an absolute path, also of a directory that is still to be made.
        let absolute = std::path::absolute(&work_dir).unwrap_or(work_dir);
        let operator = docker_setup::operator_config(&settings).map_err(|error| unusable(&error))?;
        let work_dir = absolute.canonicalize().unwrap_or(absolute);
        // Who launches nothing allows nothing.
        let policy = Arc::new(Policy::preset(Preset::Strict, HostPlaces::default()));
        let cache_dir_given = flags.is_given("fetcher_cache_dir");
        Ok(Self { work_dir, settings, policy, socket, operator, cache_dir_given, fetcher: OnceLock::new() })
    }

    /// Reads the flags and the policy, for a command that launches tasks or says what would be launched. The others go on
    /// with a policy file that is broken: a task can be killed then too.
    ///
    /// # Errors
    ///
    /// A flag's value, or the policy that one names.
    pub(crate) fn to_launch(flags: &MesosFlags) -> Result<Self, Failure> {
        let mut setup = Self::new(flags)?;
        // A socket that cannot be named is told by what needs it.
        let socket = setup.engine_socket().unwrap_or_else(|_| setup.settings.docker_socket.clone());
        let places = HostPlaces { work_dir: setup.work_dir.clone(), socket, policy_file: None };
        let policy = policy::load(&setup.settings.docker_policy, places)
            .map_err(|error| Failure::of("the flag --docker_policy cannot be used", &error))?;
        if let Some(caution) = policy.caution() {
            crate::out::note(&format!("warning {caution}"));
        }
        setup.policy = Arc::new(policy);
        Ok(setup)
    }

    /// Makes the work directory. Called once the definition was checked and the engine answers, so that what fails
    /// before leaves nothing behind.
    ///
    /// # Errors
    ///
    /// A directory that cannot be made.
    pub(crate) fn make_work_dir(&mut self) -> Result<(), Failure> {
        let made = std::fs::create_dir_all(&self.work_dir).and_then(|()| self.work_dir.canonicalize());
        self.work_dir = made.map_err(|error| {
            Failure::of(format!("cannot make the work directory {}", self.work_dir.display()), &error)
                .hint("give another with --work_dir")
        })?;
        Ok(())
    }

    /// What requests must know of the engine, if it answers; the policy is told, too.
    pub(crate) async fn engine_facts(&mut self) -> Option<EngineFacts> {
        let engine = self.engine().await.ok()?;
        let info = engine.info(engine.deadlines().info).await.ok()?;
        Arc::make_mut(&mut self.policy).set_default_runtime(&info.default_runtime);
        Some(EngineFacts::from(&info))
    }

    /// Where the engine listens.
    fn engine_socket(&self) -> Result<PathBuf, Failure> {
        if self.socket == Socket::Flag {
            return Ok(self.settings.docker_socket.clone());
        }
        let host = std::env::var("DOCKER_HOST").ok();
        docker_engine::resolve_socket(None, host.as_deref())
            .map_err(|error| Failure::of("cannot find the Docker Engine", &error))
    }

    /// Connects to the engine.
    ///
    /// # Errors
    ///
    /// No engine answers, or none that we can talk to.
    pub(crate) async fn engine(&self) -> Result<Engine, Failure> {
        let options =
            docker_setup::engine_options(&self.settings, &self.engine_socket()?, self.operator.as_ref())
                .map_err(|error| unusable(&error))?;
        Engine::connect(options).await.map_err(|error| unreachable_engine(&error))
    }

    /// The containerizers of tasks of these kinds. Without a task that has an image no engine is needed. The work
    /// directory must exist.
    ///
    /// # Errors
    ///
    /// As [`Setup::engine`], and isolation that this machine cannot do.
    pub(crate) async fn containerizers(
        &self,
        kinds: impl IntoIterator<Item = Kind>,
    ) -> Result<Composing, Failure> {
        let kinds: BTreeSet<Kind> = kinds.into_iter().collect();
        let mut composing = Composing::default();
        if kinds.contains(&Kind::Docker) {
            composing = composing.docker_next(self.docker().await?);
        }
        if kinds.contains(&Kind::Mesos) {
            composing = composing.mesos_next(self.plain()?);
        }
        Ok(composing)
    }

    /// The containerizer on the engine.
    ///
    /// # Errors
    ///
    /// As [`Setup::engine`].
    pub(crate) async fn docker(&self) -> Result<Docker, Failure> {
        let engine = self.engine().await?;
        let settings = docker_setup::containerizer_settings(
            &self.settings,
            self.request_settings()?,
            self.operator.clone(),
            self.fetcher(),
        );
        Docker::new(engine, settings)
            .await
            .map_err(|error| Failure::of("cannot use the Docker Engine", &error))
    }

    /// The containerizer of processes of this machine.
    fn plain(&self) -> Result<Plain, Failure> {
        let flags = ContainmentFlags::default();
        let containment = docker_setup::containment(&flags, &self.settings, &self.work_dir)
            .map_err(|error| Failure::of("cannot isolate tasks without an image", &error))?;
        let settings =
            docker_setup::plain_settings(&self.settings, containment, self.fetcher(), &self.work_dir);
        Ok(Plain::new(settings))
    }

    /// The supervisor for this work directory, which must exist.
    pub(crate) fn supervisor(&self, containerizers: Composing) -> Supervisor {
        Supervisor::new(
            containerizers,
            SupervisorSettings {
                work_dir: self.work_dir.clone(),
                default_grace: DEFAULT_GRACE.max(self.settings.docker_stop_timeout),
                reading: self.reading(),
                removal: self.removal(),
                host_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                masked: docker_setup::masked(&self.settings),
                checks: docker_setup::check_settings(&self.settings),
            },
        )
    }

    /// When stopped containers are removed: at once, or by a later `cleanup`, since we do not stay for a delay.
    fn removal(&self) -> RemovalDelay {
        if self.settings.docker_remove_delay.is_zero() {
            return RemovalDelay::After(Duration::ZERO);
        }
        tracing::warn!("--docker_remove_delay: stopped containers stay until mesos-docker cleanup");
        RemovalDelay::Never
    }

    /// What fetches for both containerizers: its cache has one owner.
    fn fetcher(&self) -> Fetcher {
        self.fetcher.get_or_init(|| docker_setup::fetcher(&self.settings, self.fetch_places())).clone()
    }

    /// Where the fetcher has its cache: of this work directory unless a flag says otherwise, since the agent's own is not
    /// ours to empty.
    fn fetch_places(&self) -> FetchPlaces {
        let given = &self.settings.fetch.cache_dir;
        FetchPlaces { cache: if self.cache_dir_given { given.clone() } else { self.work_dir.join("fetch") } }
    }

    /// What the flags say about requests.
    ///
    /// # Errors
    ///
    /// A `--docker_config` that has become unusable, or an engine on no socket.
    pub(crate) fn request_settings(&self) -> Result<RequestSettings, Failure> {
        // Only what the operator's proxies are chosen by needs the socket.
        let socket = match &self.operator {
            Some(_) => self.engine_socket()?,
            None => PathBuf::new(),
        };
        docker_setup::request_settings(&self.settings, &socket, self.operator.as_ref(), self.policy.clone())
            .map_err(|error| unusable(&error))
    }

    /// How tasks are read.
    pub(crate) fn reading(&self) -> Reading {
        docker_setup::reading(&self.settings)
    }
}

/// What a person reads when `--docker_config` cannot be used.
fn unusable(error: &docker_containerizer::CredentialError) -> Failure {
    Failure::of("the flag --docker_config cannot be used", error)
}

/// What a person reads when no engine answers.
fn unreachable_engine(error: &docker_engine::EngineError) -> Failure {
    let failure = Failure::ours(crate::failure::chain(error));
    match error.kind() {
        docker_engine::ErrorKind::Unreachable { hint } => {
            Failure::ours(format!("cannot {} {}: no engine answers there", error.op(), error.subject()))
                .hint(hint)
        }
        _ => failure,
    }
}

/// What is known of an engine that does not answer: this host's memory, and Docker's own log driver.
pub(crate) fn facts_without_engine() -> EngineFacts {
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    EngineFacts {
        memory: memory.unwrap_or(0) << 10,
        default_log_driver: "json-file".into(),
        api_version: docker_engine::NEWEST_API,
        data_root: "/var/lib/docker".into(),
    }
}

/// Sets up what is logged to standard error.
pub(crate) fn tracing(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("MESOS_DOCKER_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let stderr = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A standard error that nobody reads must not end the program.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(stderr)
        .log_internal_errors(false)
        .init();
}

/// Where runs live when nobody says: the system's place for root, the user's own otherwise.
fn default_work_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/mesos-docker");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_else(std::env::temp_dir).join("mesos-docker")
}
