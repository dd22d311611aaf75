//! From flags to a supervisor that can launch.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_containerizer::logs::LogSettings;
use docker_containerizer::request::{CpuQuota, DefaultDns, Dns, EngineFacts, EngineLog, RequestSettings};
use docker_containerizer::{Containerizer, RemovalDelay, Settings};
use docker_engine::{Engine, EngineOptions};
use flags::{DnsEntry, DnsNetwork, DockerSettings};
use mesos_types::Strictness;
use sandbox::RotationPolicy;
use task_supervisor::{Supervisor, SupervisorSettings};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::mesos_flags::MesosFlags;

/// What differs from an agent's defaults: a stopped container is removed at once, since we do not stay to do it later.
const OURS: [(&str, &str); 1] = [("docker_remove_delay", "0secs")];

/// The size caps of the engine-side log, which must outlast what our reader is behind.
const ENGINE_LOG_SIZE: u64 = 100 << 20;

/// How many files the engine keeps of a log.
const ENGINE_LOG_FILES: u32 = 3;

/// How long the end of a log may take to be read.
const DRAIN: Duration = Duration::from_secs(30);

/// How long the engine may take to tell an exit that was seen otherwise.
const MISSED_EXIT: Duration = Duration::from_secs(60);

/// The grace of a task that names none (`--executor_shutdown_grace_period`).
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Where we are and what we were told.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: DockerSettings,
    /// The canonical work directory.
    pub(crate) work_dir: PathBuf,
}

impl Setup {
    /// Reads the flags and makes the work directory.
    ///
    /// # Errors
    ///
    /// A flag's value, or a directory that cannot be made.
    pub(crate) fn new(flags: &MesosFlags) -> Result<Self, Failure> {
        let settings = flags.load(&OURS)?;
        let work_dir = settings.work_dir.clone().unwrap_or_else(default_work_dir);
        std::fs::create_dir_all(&work_dir)
            .and_then(|()| work_dir.canonicalize())
            .map(|work_dir| Self { settings, work_dir })
            .map_err(|error| {
                Failure::of(format!("cannot make the work directory {}", work_dir_shown(flags)), &error)
                    .hint("give another with --work_dir")
            })
    }

    /// Reads the flags only, for commands that leave the machine as it is.
    ///
    /// # Errors
    ///
    /// A flag's value.
    pub(crate) fn without_directory(flags: &MesosFlags) -> Result<Self, Failure> {
        let settings = flags.load(&OURS)?;
        let work_dir = settings.work_dir.clone().unwrap_or_else(default_work_dir);
        Ok(Self { work_dir: work_dir.canonicalize().unwrap_or(work_dir), settings })
    }

    /// What requests must know of the engine: from the engine if it answers, and otherwise what this host and Docker
    /// have by default.
    pub(crate) async fn facts(&self) -> EngineFacts {
        let Ok(engine) = self.engine().await else { return facts_without_engine() };
        match engine.info(engine.deadlines().info).await {
            Ok(info) => EngineFacts { memory: info.mem_total, default_log_driver: info.default_log_driver },
            Err(_) => facts_without_engine(),
        }
    }

    /// Connects to the engine.
    ///
    /// # Errors
    ///
    /// No engine answers, or none that we can talk to.
    pub(crate) async fn engine(&self) -> Result<Engine, Failure> {
        let mut options = EngineOptions::new(&self.settings.docker_socket);
        if self.settings.docker_socket == Path::new(docker_engine::DEFAULT_SOCKET) {
            let host = std::env::var("DOCKER_HOST").ok();
            options.socket = docker_engine::resolve_socket(None, host.as_deref())
                .map_err(|error| Failure::of("cannot find the Docker Engine", &error))?;
        }
        let deadlines = &self.settings.deadlines;
        options.deadlines.create = deadlines.create;
        options.deadlines.start = deadlines.start;
        options.deadlines.inspect = deadlines.inspect;
        options.deadlines.pull_inactivity = deadlines.pull_inactivity;
        options.deadlines.pull_total = deadlines.pull;
        options.deadlines.remove = deadlines.remove;
        options.max_creates_in_flight = self.settings.docker_max_parallel_launches.get();
        options.max_starts_in_flight = self.settings.docker_max_parallel_launches.get();
        Engine::connect(options).await.map_err(|error| Failure::ours(crate::failure::chain(&error)))
    }

    /// The supervisor for this work directory.
    ///
    /// # Errors
    ///
    /// As [`Setup::engine`].
    pub(crate) async fn supervisor(&self) -> Result<Supervisor, Failure> {
        let engine = self.engine().await?;
        let settings = Settings {
            request: self.request_settings(),
            logs: LogSettings { rotation: self.rotation() },
            drain_deadline: DRAIN,
            exit_deadline: MISSED_EXIT,
        };
        let containerizer = Containerizer::new(engine, settings)
            .await
            .map_err(|error| Failure::of("cannot use the Docker Engine", &error))?;
        Ok(Supervisor::new(
            containerizer,
            SupervisorSettings {
                work_dir: self.work_dir.clone(),
                default_grace: DEFAULT_GRACE.max(self.settings.docker_stop_timeout),
                strictness: self.strictness(),
                removal: RemovalDelay::After(self.settings.docker_remove_delay),
                host_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            },
        ))
    }

    /// What the flags say about requests.
    pub(crate) fn request_settings(&self) -> RequestSettings {
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
        RequestSettings {
            sandbox_directory: self.settings.sandbox_directory.display().to_string(),
            cfs: if self.settings.cgroups_enable_cfs { CpuQuota::FromRequest } else { CpuQuota::FromLimit },
            default_dns,
            engine_log: EngineLog {
                driver: self.settings.logs.driver.clone(),
                max_size: ENGINE_LOG_SIZE,
                max_files: ENGINE_LOG_FILES,
            },
        }
    }

    /// Whether fields without effect are refused.
    pub(crate) fn strictness(&self) -> Strictness {
        if self.settings.docker_strict_fields { Strictness::Strict } else { Strictness::Lenient }
    }

    fn rotation(&self) -> RotationPolicy {
        RotationPolicy {
            max_size: self.settings.logs.max_size.and_then(NonZeroU64::new),
            max_files: u32::try_from(self.settings.logs.max_files).unwrap_or(u32::MAX),
        }
    }
}

/// What is known of an engine that does not answer: this host's memory, and Docker's own log driver.
fn facts_without_engine() -> EngineFacts {
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    EngineFacts { memory: memory.unwrap_or(0) << 10, default_log_driver: "json-file".into() }
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
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(stderr).init();
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

fn work_dir_shown(flags: &MesosFlags) -> String {
    let chosen = flags.load(&OURS).ok().and_then(|settings| settings.work_dir);
    chosen.unwrap_or_else(default_work_dir).display().to_string()
}
