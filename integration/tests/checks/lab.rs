//! Owns a container of the test's own with checks on it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use checks::{Check, CheckNews, CheckOrder, CheckRunner, CheckSettings, CheckState, Checker, Target};
use docker_engine::{Engine, EngineOptions, Inspection};
use integration::images::TestImage;
use integration::web::TestAuthority;
use integration::{TestEngine, TestScope, eventually};
use mesos_types::{
    CheckSpec, CheckTimes, CommandProbe, EnvVar, HealthCheckSpec, HttpProbe, HttpScheme, IpFamily, ProbeSpec,
    TcpProbe,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// How long a test waits for anything that the engine does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A timeout that no check of these tests reaches.
pub(crate) const LONG: Duration = Duration::from_secs(100);

/// An engine and what the test makes there.
pub(crate) struct Lab {
    pub(crate) scope: TestScope,
    pub(crate) engine: Engine,
    pub(crate) runner: CheckRunner,
}

/// A container that runs.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) inspection: Inspection,
    pub(crate) target: Target,
}

impl Lab {
    pub(crate) async fn new(engine: &TestEngine) -> Result<Self> {
        Self::through(engine, engine.socket(), settings()).await
    }

    /// With checks that talk to the engine through another socket.
    pub(crate) async fn through(engine: &TestEngine, socket: &Path, settings: CheckSettings) -> Result<Self> {
        let scope = TestScope::new(engine).await?;
        let engine = Engine::connect(EngineOptions::new(socket)).await?;
        Ok(Self { scope, engine, runner: CheckRunner::new(settings) })
    }

    /// Starts a container that waits, or runs a line of a shell.
    pub(crate) async fn container(&self, name: &str, network: &str, line: &str) -> Result<Container> {
        let config = json!({ "HostConfig": { "NetworkMode": network, "Init": false } });
        self.container_with(name, line, config).await
    }

    pub(crate) async fn container_with(
        &self,
        name: &str,
        line: &str,
        mut config: Value,
    ) -> Result<Container> {
        let mut client = self.scope.client().await?;
        config["Image"] = json!(TestImage::Busybox.reference());
        config["Cmd"] = json!(["sh", "-c", line]);
        config["Labels"] = self.scope.labels();
        let path = format!("/containers/create?name={}", self.scope.name(name));
        let created = client.post(&path, &config).await?.ok()?.json()?;
        let id = created["Id"].as_str().context("an id")?.to_owned();
        client.post_empty(&format!("/containers/{id}/start")).await?.ok()?;
        let raw = client.get(&format!("/containers/{id}/json")).await?.ok()?.body;
        let inspection = Inspection::from_json(&raw)?;
        let target = Target::of(&self.engine, &inspection);
        Ok(Container { id, inspection, target })
    }

    /// Starts a health check without delay and grace, with an interval of 200 ms.
    pub(crate) fn check(&self, target: &Target, probe: ProbeSpec, timeout: Duration) -> Checker {
        self.check_with(target, health(probe, timeout))
    }

    pub(crate) fn check_with(&self, target: &Target, spec: HealthCheckSpec) -> Checker {
        self.start(target, Check::Health(spec))
    }

    pub(crate) fn general(&self, target: &Target, probe: ProbeSpec, timeout: Duration) -> Checker {
        self.start(target, Check::General(CheckSpec { probe, times: times(timeout) }))
    }

    fn start(&self, target: &Target, check: Check) -> Checker {
        let (state, running_for) = (CheckState::default(), Duration::ZERO);
        self.runner.start(CheckOrder { check, target: target.clone(), state, running_for })
    }

    pub(crate) async fn user_network(&self) -> Result<String> {
        user_network(&self.scope).await
    }

    /// Waits until the container has only its own processes, which this many are.
    pub(crate) async fn has_processes(&self, container: &Container, expected: usize) -> Result<()> {
        let mut client = self.scope.client().await?;
        eventually("the end of the check's processes", PATIENCE, async || {
            let top = client.get(&format!("/containers/{}/top", container.id)).await?.ok()?.json()?;
            Ok((top["Processes"].as_array().map(Vec::len) == Some(expected)).then_some(()))
        })
        .await
    }

    /// Waits until a command of a check runs in the container.
    pub(crate) async fn runs(&self, container: &Container, command: &str) -> Result<()> {
        let mut client = self.scope.client().await?;
        eventually("a process of the check", PATIENCE, async || {
            let top = client.get(&format!("/containers/{}/top", container.id)).await?.ok()?.json()?;
            Ok(top["Processes"].to_string().contains(command).then_some(()))
        })
        .await
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.scope.sweep().await?;
        self.scope.assert_clean().await
    }
}

/// Makes a network of the test's own, with IPv6.
pub(crate) async fn user_network(scope: &TestScope) -> Result<String> {
    let name = scope.name("net");
    // A prefix of the test's own: networks of tests that run beside it must not overlap.
    let part = u32::from_str_radix(&scope.id()[2..10], 16)?;
    let subnet = format!("fd{:02x}:{:04x}:{:04x}::/64", part >> 24, (part >> 8) & 0xffff, part & 0xff);
    let body = json!({
        "Name": name, "CheckDuplicate": true, "EnableIPv6": true, "Labels": scope.labels(),
        "IPAM": { "Config": [{ "Subnet": subnet }] },
    });
    scope.client().await?.post("/networks/create", &body).await?.ok()?;
    Ok(name)
}

pub(crate) fn settings() -> CheckSettings {
    CheckSettings::default()
}

pub(crate) fn times(timeout: Duration) -> CheckTimes {
    CheckTimes { delay: Duration::ZERO, interval: Duration::from_millis(200), timeout: Some(timeout) }
}

pub(crate) fn health(probe: ProbeSpec, timeout: Duration) -> HealthCheckSpec {
    HealthCheckSpec { probe, times: times(timeout), grace: Duration::ZERO, consecutive_failures: 3 }
}

pub(crate) fn shell(line: &str) -> ProbeSpec {
    argv(&["sh", "-c", line])
}

pub(crate) fn argv(argv: &[&str]) -> ProbeSpec {
    let argv: Vec<String> = argv.iter().map(|&part| part.to_owned()).collect();
    let program = argv[0].clone();
    ProbeSpec::Command(CommandProbe { program, argv, environment: Vec::new(), user: None })
}

pub(crate) fn shell_as(line: &str, user: Option<&str>, environment: &[(&str, &str)]) -> ProbeSpec {
    let ProbeSpec::Command(mut probe) = shell(line) else { unreachable!("a command") };
    probe.user = user.map(str::to_owned);
    probe.environment =
        environment.iter().map(|(name, value)| EnvVar::new("", name, value).expect("a variable")).collect();
    ProbeSpec::Command(probe)
}

pub(crate) fn http(scheme: HttpScheme, port: u16, path: &str, family: IpFamily) -> ProbeSpec {
    ProbeSpec::Http(HttpProbe { scheme, port, path: path.to_owned(), family })
}

pub(crate) fn tcp(port: u16, family: IpFamily) -> ProbeSpec {
    ProbeSpec::Tcp(TcpProbe { port, family })
}

/// The next news of a check.
pub(crate) async fn next(checker: &mut Checker) -> Result<CheckNews> {
    let update = timeout(PATIENCE, checker.next()).await.context("a check told nothing")?;
    Ok(update.context("the check has ended")?.news)
}

/// The next news must be that the task is healthy.
pub(crate) async fn is_healthy(checker: &mut Checker) -> Result<()> {
    let news = next(checker).await?;
    ensure!(news == CheckNews::Healthy, "{news:?}");
    Ok(())
}

/// The next news must be that the task is not healthy; returns why.
pub(crate) async fn is_unhealthy(checker: &mut Checker) -> Result<String> {
    match next(checker).await? {
        CheckNews::Unhealthy { why, .. } => Ok(why),
        other => bail!("{other:?}"),
    }
}

/// Waits for a command that was out of time and has said something: on a busy machine the time may be over before the
/// command has begun, and the next one is asked then.
pub(crate) async fn out_of_time(checker: &mut Checker, time: &str) -> Result<String> {
    let silent = format!("COMMAND health check failed: the command did not end within {time}");
    for _ in 0..20 {
        let why = is_unhealthy(checker).await?;
        let words = why.strip_prefix(&silent).with_context(|| why.clone())?;
        if let Some(words) = words.strip_prefix(": ") {
            return Ok(words.to_owned());
        }
    }
    bail!("no command has said anything")
}

/// Waits for the success of a server that comes up in the container meanwhile.
pub(crate) async fn becomes_healthy(checker: &mut Checker) -> Result<()> {
    loop {
        match next(checker).await? {
            CheckNews::Healthy => return Ok(()),
            CheckNews::Unhealthy { .. } => {}
            other => bail!("{other:?}"),
        }
    }
}

/// A server of the test in the container's network namespace, over TLS, with a certificate that nobody knows. Answers
/// every request with 200 and ends with the test's runtime.
pub(crate) async fn tls_server(pid: Option<u32>, address: SocketAddr) -> Result<u16> {
    let pid = pid.context("a process")?;
    let bound = std::thread::spawn(move || -> Result<std::net::TcpListener> {
        // The thread is of the container's network for the rest of its short life.
        let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))?;
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))?;
        Ok(std::net::TcpListener::bind(address)?)
    });
    let listener = bound.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let listener = TcpListener::from_std(listener)?;
    let authority = Arc::new(TestAuthority::new()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let authority = authority.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = authority.acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                    let _ = stream.shutdown().await;
                }
            });
        }
    });
    Ok(port)
}
