//! A host that a task might try to reach, and writing such a task in a line.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use docker_containerizer::policy::{HostPlaces, Policy, Preset, Rule, Verdict, load};
use docker_containerizer::request::{
    CpuQuota, DefaultDns, EngineFacts, EngineLog, Request, RequestInput, RequestSettings, draft,
};
use docker_containerizer::{Checkpoint, Identity, Labels};
use docker_engine::NEWEST_API;
use mesos_proto::v1;
use mesos_types::{ContainerId, Strictness, TaskSpec};
use tempfile::TempDir;
use v1::container_info::docker_info::Network;
use v1::volume::source;

/// A host with a work directory, links that lead out of harmless places, and directories of the engine.
pub(crate) struct Host {
    root: TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for directory in ["work/sandbox", "work/other", "srv/data", "engine/root", "engine/run"] {
            std::fs::create_dir_all(root.path().join(directory)).expect("made");
        }
        symlink("/", root.path().join("srv/data/everything")).expect("made");
        symlink("/usr", root.path().join("srv/data/usr")).expect("made");
        symlink("../engine/run", root.path().join("srv/run")).expect("made");
        symlink("/dev", root.path().join("srv/devices")).expect("made");
        Self { root }
    }

    pub(crate) fn path(&self, below: &str) -> String {
        self.root
            .path()
            .canonicalize()
            .expect("it is there")
            .join(below)
            .to_str()
            .expect("it is there")
            .to_owned()
    }

    pub(crate) fn places(&self) -> HostPlaces {
        HostPlaces {
            work_dir: self.path("work").into(),
            socket: self.path("engine/run/docker.sock").into(),
            policy_file: Some(self.path("etc/policy.toml").into()),
        }
    }

    pub(crate) fn policy(&self, text: &str) -> Policy {
        let file = self.path("policy");
        std::fs::write(&file, text).expect("made");
        load(&file, self.places()).expect("it is there")
    }

    pub(crate) fn judged(&self, policy: Policy, info: &v1::TaskInfo) -> (Request, Verdict) {
        let task = TaskSpec::from_task_info(info, Strictness::Lenient)
            .unwrap_or_else(|error| panic!("the task itself is wrong: {error}"));
        let labels = Labels {
            identity: Identity {
                agent_id: "local".parse().expect("it is there"),
                framework_id: "f".parse().expect("it is there"),
                executor_id: "e".parse().expect("it is there"),
                task_id: task.task_id.clone(),
                container_id: ContainerId::random(),
            },
            work_dir: self.path("work").into(),
            checkpoint: Checkpoint::Yes,
        };
        let settings = RequestSettings {
            sandbox_directory: "/mnt/mesos/sandbox".into(),
            cfs: CpuQuota::FromLimit,
            default_dns: DefaultDns::default(),
            engine_log: EngineLog { driver: "local".into(), max_size: 1 << 20, max_files: 3 },
            proxies: docker_containerizer::ProxyVariables::default(),
            policy: Arc::new(policy),
        };
        let engine = EngineFacts {
            memory: 1 << 34,
            default_log_driver: "json-file".into(),
            api_version: NEWEST_API,
            data_root: self.path("engine/root").into(),
        };
        let input = RequestInput {
            task: &task,
            labels: &labels,
            sandbox: &PathBuf::from(self.path("work/sandbox")),
            name: None,
            overlay: &[],
            settings: &settings,
            engine: &engine,
        };
        draft(&input).unwrap_or_else(|error| panic!("the translation stopped it, not the policy: {error}"))
    }

    pub(crate) fn strict(&self) -> Policy {
        Policy::preset(Preset::Strict, self.places())
    }

    /// The rules that stop a task, in the order of the verdict.
    pub(crate) fn stopped_by(&self, info: &v1::TaskInfo) -> Vec<Rule> {
        let (_, permissive) = self.judged(Policy::default(), info);
        assert_eq!(permissive.violations(), [], "permissive allows all");
        let (_, verdict) = self.judged(self.strict(), info);
        for violation in verdict.violations() {
            let text = violation.to_string();
            assert!(text.contains(violation.rule.key()) && text.contains(&violation.field), "{text}");
            assert!(!violation.remedy.is_empty() && !violation.field.is_empty(), "{text}");
        }
        verdict.violations().iter().map(|violation| violation.rule).collect()
    }
}

/// A harmless task on the bridge.
pub(crate) fn task() -> v1::TaskInfo {
    let docker = v1::container_info::DockerInfo {
        image: "busybox".into(),
        network: Some(Network::Bridge.into()),
        ..Default::default()
    };
    let mut container = v1::ContainerInfo { docker: Some(docker), ..Default::default() };
    container.set_type(v1::container_info::Type::Docker);
    v1::TaskInfo {
        name: "t".into(),
        task_id: v1::TaskId { value: "t".into() },
        agent_id: v1::AgentId { value: "local".into() },
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        container: Some(container),
        ..Default::default()
    }
}

pub(crate) fn container(info: &mut v1::TaskInfo) -> &mut v1::ContainerInfo {
    info.container.as_mut().expect("it is there")
}

pub(crate) fn docker(info: &mut v1::TaskInfo) -> &mut v1::container_info::DockerInfo {
    container(info).docker.as_mut().expect("it is there")
}

pub(crate) fn with(parameters: &[(&str, &str)]) -> v1::TaskInfo {
    let mut info = task();
    docker(&mut info).parameters = parameters
        .iter()
        .map(|(key, value)| v1::Parameter { key: (*key).into(), value: (*value).into() })
        .collect();
    info
}

pub(crate) fn with_volume(change: impl FnOnce(&mut v1::Volume)) -> v1::TaskInfo {
    let mut volume = v1::Volume { container_path: "/host".into(), ..Default::default() };
    volume.set_mode(v1::volume::Mode::Rw);
    change(&mut volume);
    let mut info = task();
    container(&mut info).volumes.push(volume);
    info
}

pub(crate) fn with_source(kind: source::Type, change: impl FnOnce(&mut v1::volume::Source)) -> v1::TaskInfo {
    let mut source = v1::volume::Source::default();
    source.set_type(kind);
    change(&mut source);
    with_volume(|volume| volume.source = Some(source))
}

pub(crate) fn with_linux(info: v1::LinuxInfo) -> v1::TaskInfo {
    let mut task = task();
    container(&mut task).linux_info = Some(info);
    task
}

pub(crate) fn resource(name: &str, value: f64) -> v1::Resource {
    let mut resource =
        v1::Resource { name: name.into(), scalar: Some(v1::value::Scalar { value }), ..Default::default() };
    resource.set_type(v1::value::Type::Scalar);
    resource
}
