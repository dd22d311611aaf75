//! From flags to a supervisor that can launch.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use docker_containerizer::images::{Backoff, NegativeSettings, PullPolicy, PullSettings, RetrySettings};
use docker_containerizer::logs::LogSettings;
use docker_containerizer::policy::{self, HostPlaces, Policy, Preset};
use docker_containerizer::request::{CpuQuota, DefaultDns, Dns, EngineFacts, EngineLog, RequestSettings};
use docker_containerizer::{
    Containerizer, CredentialSources, FetchedCredentials, HelperSettings, OperatorConfig, ProxyVariables,
    RemovalDelay, Settings,
};
use docker_engine::{Engine, EngineOptions};
use fetcher::agent::{CacheSettings, Fetcher, FetcherSettings, Revalidation};
use flags::{DnsEntry, DnsNetwork, DockerConfig, DockerPullPolicy, DockerSettings};
use mesos_types::{ProcessUser, Reading, Strictness};
use sandbox::RotationPolicy;
use task_supervisor::{Supervisor, SupervisorSettings};
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
        let operator = settings.credentials.config.as_ref().map(operator).transpose()?;
        let work_dir = absolute.canonicalize().unwrap_or(absolute);
        // Who launches nothing allows nothing.
        let policy = Arc::new(Policy::preset(Preset::Strict, HostPlaces::default()));
        let cache_dir_given = flags.is_given("fetcher_cache_dir");
        Ok(Self { work_dir, settings, policy, socket, operator, cache_dir_given })
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
        let mut options = EngineOptions::new(self.engine_socket()?);
        if let Some(operator) = &self.operator {
            options.headers = operator.headers().map_err(|error| unusable(&error))?;
        }
        let deadlines = &self.settings.deadlines;
        options.deadlines.create = deadlines.create;
        options.deadlines.start = deadlines.start;
        options.deadlines.inspect = deadlines.inspect;
        options.deadlines.remove = deadlines.remove;
        options.max_creates_in_flight = self.settings.docker_max_parallel_launches.get();
        options.max_starts_in_flight = self.settings.docker_max_parallel_launches.get();
        Engine::connect(options).await.map_err(|error| unreachable_engine(&error))
    }

    /// The containerizer on the engine.
    ///
    /// # Errors
    ///
    /// As [`Setup::engine`].
    pub(crate) async fn containerizer(&self) -> Result<Containerizer, Failure> {
        let engine = self.engine().await?;
        let settings = Settings {
            request: self.request_settings()?,
            logs: LogSettings { rotation: self.rotation() },
            drain_deadline: self.settings.logs.drain,
            exit_deadline: self.settings.deadlines.missed_exit,
            pulls: self.pull_settings(),
            credentials: self.credentials(),
            fetched_credentials: match self.settings.credentials.hide {
                true => FetchedCredentials::Hidden,
                false => FetchedCredentials::Stay,
            },
            fetcher: self.fetcher(),
        };
        Containerizer::new(engine, settings)
            .await
            .map_err(|error| Failure::of("cannot use the Docker Engine", &error))
    }

    /// The supervisor for this work directory, which must exist.
    pub(crate) fn supervisor(&self, containerizer: Containerizer) -> Supervisor {
        Supervisor::new(
            containerizer,
            SupervisorSettings {
                work_dir: self.work_dir.clone(),
                default_grace: DEFAULT_GRACE.max(self.settings.docker_stop_timeout),
                reading: self.reading(),
                removal: self.removal(),
                host_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
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

    /// Where credentials for pulls come from.
    fn credentials(&self) -> CredentialSources {
        let settings = &self.settings.credentials;
        let helpers = HelperSettings::new(
            &settings.helper_path,
            settings.helper_timeout,
            settings.max_parallel_helpers.get(),
        );
        match self.operator.clone() {
            Some(config) => CredentialSources::with_operator(config, helpers),
            None => CredentialSources::sandbox_only(),
        }
    }

    /// What fetches the tasks' URIs. The cache is of this work directory unless a flag says otherwise: the agent's own
    /// is not ours to empty.
    fn fetcher(&self) -> Fetcher {
        let fetch = &self.settings.fetch;
        let directory =
            if self.cache_dir_given { fetch.cache_dir.clone() } else { self.work_dir.join("fetch") };
        let revalidation = if fetch.cache_revalidate { Revalidation::Always } else { Revalidation::Never };
        Fetcher::new(FetcherSettings {
            launcher_dir: fetch.launcher_dir.as_deref().map(absolute),
            cache: CacheSettings { directory, size: fetch.cache_size, revalidation },
            stall_timeout: fetch.stall_timeout,
            parallel: fetch.parallel,
            concurrent: fetch.max_concurrent,
            retries: fetch.retries,
            frameworks_home: fetch.frameworks_home.as_deref().map(absolute),
            hadoop_home: fetch.hadoop_home.as_deref().map(absolute),
            extract_max_bytes: fetch.extract_max_size,
            extract_max_entries: fetch.extract_max_entries,
        })
    }

    /// What the flags say about requests.
    ///
    /// # Errors
    ///
    /// A `--docker_config` that has become unusable, or an engine on no socket.
    pub(crate) fn request_settings(&self) -> Result<RequestSettings, Failure> {
        let entry = |entry: &DnsEntry| Dns {
            nameservers: entry.nameservers.clone(),
            search: entry.search.clone(),
            options: entry.options.clone(),
        };
        let mut default_dns = DefaultDns::default();
        for dns in self.settings.default_container_dns.iter().flat_map(|dns| &dns.docker) {
            match &dns.network {
                DnsNetwork::Bridge => default_dns.bridge = Some(entry(dns)),
                DnsNetwork::User(name) => drop(default_dns.user.insert(name.clone(), entry(dns))),
                DnsNetwork::AnyUser => default_dns.any_user = Some(entry(dns)),
            }
        }
        let proxies = match &self.operator {
            Some(operator) => operator.proxies(&self.engine_socket()?).map_err(|error| unusable(&error))?,
            None => ProxyVariables::default(),
        };
        Ok(RequestSettings {
            sandbox_directory: self.settings.sandbox_directory.display().to_string(),
            cfs: if self.settings.cgroups_enable_cfs { CpuQuota::FromRequest } else { CpuQuota::FromLimit },
            default_dns,
            engine_log: EngineLog {
                driver: self.settings.logs.driver.clone(),
                max_size: self.settings.logs.driver_max_size,
                max_files: u32::try_from(self.settings.logs.driver_max_files).unwrap_or(u32::MAX),
            },
            proxies,
            policy: self.policy.clone(),
        })
    }

    /// What the flags say about pulls.
    fn pull_settings(&self) -> PullSettings {
        let pulls = &self.settings.pulls;
        let backoff = |(from, to): (Duration, Duration)| Backoff { from, to };
        PullSettings {
            policy: match pulls.policy {
                DockerPullPolicy::IfNotPresent => PullPolicy::IfNotPresent,
                DockerPullPolicy::Always => PullPolicy::Always,
                DockerPullPolicy::PreferCached => PullPolicy::PreferCached,
            },
            max_parallel: pulls.max_parallel.get(),
            max_queued: pulls.max_queued.get(),
            quick: pulls.quick,
            timeout: pulls.timeout,
            inactivity: pulls.inactivity,
            retry: RetrySettings {
                max_retries: pulls.max_retries,
                network: backoff(pulls.backoff),
                rate_limit: backoff(pulls.rate_limit_backoff),
            },
            negative: NegativeSettings { ttl: pulls.negative_ttl, size: pulls.negative_size.get() },
        }
    }

    /// How tasks are read.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            strictness: if self.settings.docker_strict_fields {
                Strictness::Strict
            } else {
                Strictness::Lenient
            },
            user: if self.settings.docker_honor_user { ProcessUser::Task } else { ProcessUser::Image },
        }
    }

    fn rotation(&self) -> RotationPolicy {
        RotationPolicy {
            max_size: self.settings.logs.max_size.and_then(NonZeroU64::new),
            max_files: u32::try_from(self.settings.logs.max_files).unwrap_or(u32::MAX),
        }
    }
}

/// Reads `--docker_config`.
fn operator(config: &DockerConfig) -> Result<OperatorConfig, Failure> {
    match config {
        DockerConfig::Inline(text) => OperatorConfig::inline(text.expose()),
        DockerConfig::File(path) => OperatorConfig::file(path),
    }
    .map_err(|error| unusable(&error))
}

/// What a person reads when `--docker_config` cannot be used.
fn unusable(error: &docker_containerizer::CredentialError) -> Failure {
    Failure::of("the flag --docker_config cannot be used", error)
}

/// A path of a flag as seen from here: the fetcher runs elsewhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
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
