//! CPU and memory as the kernel got them: shares, quota, limits, out of memory, and their change while a task runs.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use docker_containerizer::request::CpuQuota;
use docker_containerizer::{Ending, Exit, Limitation};
use integration::supervised::{Options, Started, Supervised, Task};
use integration::{TestEngine, require_engine};
use mesos_proto::v1::task_status::Reason;
use mesos_proto::v1::{self, TaskState};
use mesos_types::{ContainerId, Limit, Megabytes, Millicpus, TaskLimits, TaskResources};

const MB: u64 = 1 << 20;
/// More than any machine has: the kernel's word for no limit is rounded down to pages.
const UNLIMITED: u64 = 1 << 60;

/// What the kernel was told of one container.
#[derive(Debug, PartialEq, Eq)]
struct Kernel {
    shares: u64,
    /// Microseconds of CPU time in 100 ms; `None` for no quota.
    quota: Option<u64>,
    /// Bytes; `None` for no limit.
    memory: Option<u64>,
    /// Bytes; `None` for no reservation.
    reservation: Option<u64>,
}

impl Kernel {
    /// Reads the control groups of a running task, v1 or v2.
    fn of(started: &Started) -> Result<Self> {
        let pid = started.running.pid.context("the engine tells no pid")?;
        let bounded = |text: &str| match text.trim().parse::<u64>() {
            Ok(0) | Err(_) => None,
            Ok(amount) => (amount < UNLIMITED).then_some(amount),
        };
        if let Ok(memory) = group(pid, "memory") {
            let cpu = group(pid, "cpu")?;
            let read =
                |path: PathBuf| std::fs::read_to_string(&path).with_context(|| path.display().to_string());
            return Ok(Self {
                shares: read(cpu.join("cpu.shares"))?.trim().parse()?,
                quota: bounded(&read(cpu.join("cpu.cfs_quota_us"))?),
                memory: bounded(&read(memory.join("memory.limit_in_bytes"))?),
                reservation: bounded(&read(memory.join("memory.soft_limit_in_bytes"))?),
            });
        }
        let unified = group(pid, "")?;
        let read = |file: &str| std::fs::read_to_string(unified.join(file)).context(file.to_owned());
        let weight: u64 = read("cpu.weight")?.trim().parse()?;
        Ok(Self {
            // The engine's own conversion the other way; the weights of the shares used here round back to them.
            shares: 2 + (weight.max(1) - 1) * 262_142 / 9_999,
            quota: read("cpu.max")?.split(' ').next().and_then(|quota| quota.parse().ok()),
            memory: bounded(&read("memory.max")?),
            reservation: bounded(&read("memory.low")?),
        })
    }
}

/// Finds the control group of a process for a v1 controller, or the unified one by the empty name.
fn group(pid: u32, controller: &str) -> Result<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .find_map(|(names, path)| names.split(',').any(|name| name == controller).then_some(path))
        .with_context(|| format!("no control group for {controller:?}"))?;
    let mount = PathBuf::from("/sys/fs/cgroup").join(controller);
    Ok(mount.join(path.trim_start_matches('/')))
}

async fn start(agent: &Supervised, task: Task) -> Result<(integration::supervised::Watched, Started)> {
    let mut task = agent.launch(&task)?;
    let started = task.running().await?;
    Ok((task, started))
}

async fn host_memory_mb(engine: &TestEngine) -> Result<u64> {
    Ok(engine.info().await?["MemTotal"].as_u64().context("no MemTotal")? / MB)
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_CGROUPS_CFS_CgroupsEnableCFS.
#[tokio::test]
async fn a_cpu_request_is_a_quota_where_the_flag_says_so() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent =
        Supervised::with(&engine, Options { cfs: CpuQuota::FromRequest, ..Options::default() }).await?;
    let (mut task, started) = start(&agent, Task::shell("sleep 1000").scalar("cpus", 1.0)).await?;
    let kernel = Kernel::of(&started)?;
    assert_eq!((kernel.shares, kernel.quota), (1024, Some(100_000)));
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

#[tokio::test]
async fn a_cpu_request_alone_is_no_quota() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let (mut task, started) =
        start(&agent, Task::shell("sleep 1000").scalar("cpus", 1.0).scalar("mem", 1.0)).await?;
    let kernel = Kernel::of(&started)?;
    // 32 MB is the least that a container gets.
    let expected = Kernel { shares: 1024, quota: None, memory: Some(32 * MB), reservation: None };
    assert_eq!(kernel, expected);
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_CGROUPS_CFS_CommandTaskLimits.
#[tokio::test]
async fn limits_are_hard_and_requests_soft() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent =
        Supervised::with(&engine, Options { cfs: CpuQuota::FromRequest, ..Options::default() }).await?;
    let host = host_memory_mb(&engine).await?;
    let half = host / 2;
    let task = Task::shell("sleep 1000")
        .scalar("cpus", 1.0)
        .scalar("mem", f64::from(u32::try_from(half)?))
        .limit("cpus", 2.0)
        .limit("mem", f64::from(u32::try_from(host)?));
    let (mut task, started) = start(&agent, task).await?;
    let expected =
        Kernel { shares: 1024, quota: Some(200_000), memory: Some(host * MB), reservation: Some(half * MB) };
    assert_eq!(Kernel::of(&started)?, expected);
    let pid = started.running.pid.context("the engine tells no pid")?;
    let score: i32 = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?.trim().parse()?;
    assert!((499..=501).contains(&score), "{score}");
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_CGROUPS_CFS_CommandTaskInfiniteLimits.
#[tokio::test]
async fn infinite_limits_are_no_limits() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent =
        Supervised::with(&engine, Options { cfs: CpuQuota::FromRequest, ..Options::default() }).await?;
    let task = Task::shell("sleep 1000")
        .scalar("cpus", 1.0)
        .limit("cpus", f64::INFINITY)
        .limit("mem", f64::INFINITY);
    let (mut task, started) = start(&agent, task).await?;
    let expected = Kernel { shares: 1024, quota: None, memory: None, reservation: Some(64 * MB) };
    assert_eq!(Kernel::of(&started)?, expected);
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

#[tokio::test]
async fn a_task_that_runs_out_of_memory_is_told_so() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let greedy = Task::shell("exec dd if=/dev/zero of=/dev/null bs=256M count=1").scalar("mem", 32.0);
    let mut task = agent.launch(&greedy)?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.status.reason(), Reason::ContainerLimitationMemory);
    assert_eq!(
        end.termination.limitation,
        Some(Limitation::Memory { limit: Some(Megabytes(32)), peak: None })
    );
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(137)));
    let limitation = end.status.limitation.as_ref().context("no limitation")?;
    assert_eq!(limitation.resources[0].name, "mem");
    assert_eq!(limitation.resources[0].scalar.map(|scalar| scalar.value), Some(32.0));
    assert!(end.status.message().starts_with("Memory limit exceeded: 32MB"), "{}", end.status.message());
    agent.end().await
}

/// The kernel kills a child, the task itself goes on and ends well: nothing to complain about.
#[tokio::test]
async fn a_task_that_survives_the_death_of_a_child_finishes() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("dd if=/dev/zero of=/dev/null bs=256M count=1; echo child ended with $?; exit 0");
    let mut task = agent.launch(&task.scalar("mem", 32.0))?;
    let end = task.finished().await?;
    assert_eq!(end.termination.limitation, None);
    assert_eq!(task.stdout()?, "child ended with 137\n");
    agent.end().await
}

#[tokio::test]
async fn an_update_changes_a_running_container_up_and_down() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let (mut task, started) =
        start(&agent, Task::shell("sleep 1000").scalar("cpus", 1.0).scalar("mem", 64.0)).await?;
    let before = Kernel { shares: 1024, quota: None, memory: Some(64 * MB), reservation: None };
    assert_eq!(Kernel::of(&started)?, before);

    let containerizer = agent.containerizer();
    let resources = |cpus, mem| TaskResources {
        cpus: Some(Millicpus(cpus)),
        mem: Some(Megabytes(mem)),
        ..TaskResources::default()
    };
    containerizer.update(task.container_id(), resources(2000, 256), TaskLimits::default()).await?;
    let up = Kernel { shares: 2048, quota: None, memory: Some(256 * MB), reservation: None };
    assert_eq!(Kernel::of(&started)?, up);

    let limits =
        TaskLimits { cpus: Some(Limit::Finite(Millicpus(1500))), mem: Some(Limit::Finite(Megabytes(128))) };
    containerizer.update(task.container_id(), resources(500, 48), limits).await?;
    let down =
        Kernel { shares: 512, quota: Some(150_000), memory: Some(128 * MB), reservation: Some(48 * MB) };
    assert_eq!(Kernel::of(&started)?, down);

    // What is absent now and was there before is taken back.
    containerizer.update(task.container_id(), resources(500, 64), TaskLimits::default()).await?;
    let absent = Kernel { shares: 512, quota: None, memory: Some(64 * MB), reservation: Some(48 * MB) };
    assert_eq!(Kernel::of(&started)?, absent);

    let limits = TaskLimits { cpus: Some(Limit::Infinite), mem: Some(Limit::Infinite) };
    containerizer.update(task.container_id(), resources(500, 48), limits).await?;
    let free = Kernel { shares: 512, quota: None, memory: None, reservation: Some(48 * MB) };
    assert_eq!(Kernel::of(&started)?, free);

    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

/// The container of an executor whose task ended gives back what that held. Its persistent volume stays mounted, which is
/// no reason to refuse the update: that would be the end of the other tasks. One that comes anew cannot be mounted.
#[tokio::test]
async fn an_update_may_give_a_persistent_volume_back_and_bring_none() -> Result<()> {
    use v1::resource::{DiskInfo, ReservationInfo, disk_info::Persistence, reservation_info::Type};

    let volume = |id: &str| v1::Resource {
        name: "disk".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 32.0 }),
        reservations: vec![ReservationInfo {
            r#type: Some(Type::Dynamic.into()),
            role: Some("r".into()),
            ..Default::default()
        }],
        disk: Some(DiskInfo {
            persistence: Some(Persistence { id: id.into(), principal: None }),
            volume: Some(v1::Volume {
                container_path: id.into(),
                mode: v1::volume::Mode::Rw.into(),
                ..Default::default()
            }),
            source: None,
        }),
        ..Default::default()
    };
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    std::fs::create_dir_all(agent.work_dir().join("volumes/roles/r/mine"))?;
    let task = Task::shell("sleep 1000").change(|info| info.resources.push(volume("mine")));
    let (mut task, _) = start(&agent, task).await?;
    let containerizer = agent.containerizer();
    let with = |ids: &[&str]| {
        let volumes: Vec<_> = ids.iter().map(|id| volume(id)).collect();
        TaskResources::from_proto(&volumes)
    };
    for ids in [&["mine"][..], &[], &["mine"]] {
        containerizer.update(task.container_id(), with(ids)?, TaskLimits::default()).await?;
    }
    let refused =
        containerizer.update(task.container_id(), with(&["mine", "new"])?, TaskLimits::default()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("persistent volume")));
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

#[tokio::test]
async fn an_update_of_an_unknown_container_is_no_error() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let update =
        agent.containerizer().update(ContainerId::random(), TaskResources::default(), TaskLimits::default());
    update.await?;
    agent.end().await
}
