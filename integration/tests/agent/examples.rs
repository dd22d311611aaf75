//! The app definitions in `examples/`: each is turned into tasks as Marathon does it, and runs to its status.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use integration::agent::{Scene, ends, free_port};
use integration::images::TestImage;
use integration::reference::{self, Events};
use integration::supervised::Registry;
use integration::sweep::SCOPE_LABEL;
use integration::{TestScope, eventually, require_engine, require_reference};
use marathon_app::{BuildContext, PortPool};
use mesos_proto::json::{Names, to_json_set};
use mesos_proto::v1;
use serde_json::{Value, json};

use crate::told::{LONG, SHORT};

/// How an example ends.
struct End {
    name: &'static str,
    instances: usize,
    state: &'static str,
    /// Words of the last status, its message or its reason.
    told: &'static [&'static str],
    /// Words of the sandbox's `stdout` and `stderr`.
    written: &'static [&'static str],
}

const FAILED: &str = "TASK_FAILED";
const FINISHED: &str = "TASK_FINISHED";

/// Every example but those that need more than to be launched, which have tests of their own.
const ENDS: &[End] = &[
    End { name: "entrypoint-args", instances: 1, state: FINISHED, told: &[], written: &["hello"] },
    End {
        name: "exit-3",
        instances: 1,
        state: FAILED,
        told: &["Container exited with status 3; stderr: going wrong"],
        written: &["going wrong"],
    },
    End {
        name: "fetch-missing",
        instances: 1,
        state: FAILED,
        told: &[
            "Failed to fetch all URIs for container",
            "file:///no/such/file.tar.gz",
            "REASON_CONTAINER_LAUNCH_FAILED",
        ],
        written: &[],
    },
    End {
        name: "fetch",
        instances: 1,
        state: FINISHED,
        told: &[],
        written: &["hello from the archive, the reader of this file", "the archive is in the cache only"],
    },
    End {
        name: "host-volumes",
        instances: 1,
        state: FINISHED,
        told: &[],
        written: &["/reference is read-only", "kept on the host", "kept in the sandbox"],
    },
    End {
        name: "image-name-bad",
        instances: 1,
        state: FAILED,
        told: &["must be in lower case", "container.docker.image", "REASON_CONTAINER_LAUNCH_FAILED"],
        written: &[],
    },
    End {
        name: "named-args",
        instances: 1,
        state: FINISHED,
        told: &[],
        written: &["--name two words --verbose"],
    },
    End {
        name: "out-of-memory",
        instances: 1,
        state: FAILED,
        told: &["Memory limit exceeded: 32MB", "REASON_CONTAINER_LIMITATION_MEMORY"],
        written: &[],
    },
    End { name: "task-info", instances: 1, state: FINISHED, told: &[], written: &["hello from mesos-"] },
    End {
        name: "two-instances",
        instances: 2,
        state: FINISHED,
        told: &[],
        written: &["I am demo_two-instances."],
    },
    End {
        name: "forced-pull",
        instances: 1,
        state: FINISHED,
        told: &[],
        written: &["the registry was asked although the image was here"],
    },
    End {
        name: "image-absent",
        instances: 1,
        state: FAILED,
        told: &["manifest unknown", "REASON_CONTAINER_LAUNCH_FAILED"],
        written: &[],
    },
];

const BRIDGED: &str = "bridged-web";
/// Those without an image, with what each tells while it runs.
const PLAIN: [(&str, &[&str]); 2] =
    [("basic-0", &["Hello Marathon"]), ("plain-health", &["\"healthy\":true", "\"exit_code\":0"])];
const PRIVILEGED: &str = "privileged";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// What an example is run with: where it names things of the demonstration, it gets those of the test.
struct Places {
    registry: Option<String>,
    host: String,
    volumes_from: String,
    scope: String,
    /// The host ports of the agent, and what is left of them.
    ports: Vec<RangeInclusive<u16>>,
    pool: PortPool,
}

impl Places {
    fn of(scope: &TestScope, registry: Option<&Registry>, ports: Vec<RangeInclusive<u16>>) -> Result<Self> {
        Ok(Self {
            registry: registry.map(Registry::host),
            host: scope.subdir("host")?.display().to_string(),
            volumes_from: scope.name("volumes"),
            scope: scope.id().to_owned(),
            pool: PortPool::new(ports.clone()),
            ports,
        })
    }

    /// The agent's flags.
    fn flags(&self) -> Result<Vec<String>> {
        let ports: Vec<_> =
            self.ports.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
        Ok(vec![
            format!("--launcher_dir={}", integration::fetch::launcher_dir()?.display()),
            format!("--frameworks_home={}", directory().canonicalize()?.display()),
            format!("--resources=cpus:16;mem:8192;disk:8192;ports:[{}]", ports.join(",")),
        ])
    }

    /// The tasks of an example in JSON.
    fn tasks(&mut self, name: &str) -> Result<Vec<Value>> {
        let path = directory().join(format!("{name}.json"));
        let mut text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let registry = self.registry.as_deref().unwrap_or("127.0.0.1:1");
        for (theirs, ours) in [
            ("127.0.0.1:5000/mesos-demo", format!("{registry}/mesos-demo")),
            ("\"mesos-demo/busybox\"", format!("\"{}\"", TestImage::Busybox.reference())),
            ("\"mesos-demo/entrypoint\"", format!("\"{}\"", TestImage::Inky.reference())),
            ("/run/mesos-demo", self.host.clone()),
            ("demo-volumes", self.volumes_from.clone()),
        ] {
            text = text.replace(theirs, &ours);
        }
        let mut definition: Value = serde_json::from_str(&text)?;
        let label = json!({ "key": "label", "value": format!("{SCOPE_LABEL}={}", self.scope) });
        if let Some(container) = definition.get_mut("container") {
            let docker = &mut container["docker"];
            match docker["parameters"].as_array_mut() {
                Some(parameters) => parameters.push(label),
                None => docker["parameters"] = json!([label]),
            }
        }
        if definition.get("task_id").is_some() {
            return Ok(vec![definition]);
        }
        let mut numbers = 0;
        let mut task_ids = |id: &marathon_app::AppId| {
            numbers += 1;
            id.task_id(&format!("run-{numbers}"))
        };
        let mut service_ports = PortPool::new([PortPool::DEFAULT_SERVICE_PORTS]);
        let mut tasks = Vec::new();
        for app in &marathon_app::parse_value(&definition)? {
            let mut context = BuildContext {
                host: "127.0.0.1".into(),
                agent_id: "filled in by the framework".into(),
                version: "2015-02-03T12:30:00.000Z".into(),
                task_ids: &mut task_ids,
                host_ports: &mut self.pool,
                service_ports: &mut service_ports,
            };
            let infos: Vec<v1::TaskInfo> = marathon_app::build_tasks(app, app.instances, &mut context)?;
            tasks.extend(infos.iter().map(|info| to_json_set(info, Names::V1)));
        }
        Ok(tasks)
    }
}

/// What a task wrote to both files of its sandbox.
fn written(scene: &Scene, events: &Events, task_id: &str) -> Result<String> {
    Ok(scene.output(events, task_id, "stdout")? + &scene.output(events, task_id, "stderr")?)
}

/// That the tasks of an example ended as they should.
fn judge(scene: &Scene, end: &End, events: &Events) -> Result<()> {
    let told = ends(events);
    ensure!(told.len() == end.instances, "{told:?}");
    for (task_id, ends) in &told {
        ensure!(*ends == [end.state], "{ends:?}");
        let last = events.statuses(end.state);
        let last = last.iter().find(|status| status["task_id"]["value"] == task_id.as_str());
        let last = last.context("no last status")?.to_string();
        if let Some(lacking) = end.told.iter().find(|words| !last.contains(**words)) {
            bail!("{lacking:?} is not told in {last}");
        }
        // One that fails before it is launched has no such files.
        let written = if end.written.is_empty() { String::new() } else { written(scene, events, task_id)? };
        if let Some(lacking) = end.written.iter().find(|words| !written.contains(**words)) {
            bail!("{lacking:?} is not in {written:?}");
        }
    }
    Ok(())
}

#[test]
fn every_example_is_run_here() -> Result<()> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.insert(path.file_stem().and_then(|stem| stem.to_str()).context("a name")?.to_owned());
        }
    }
    let known = ENDS.iter().map(|end| end.name).chain(PLAIN.map(|(name, _)| name));
    let known: BTreeSet<String> = known.chain([BRIDGED, PRIVILEGED]).map(str::to_owned).collect();
    assert_eq!(found, known);
    Ok(())
}

/// All at once on one agent, each as a framework of its own.
#[tokio::test(flavor = "multi_thread")]
async fn examples_run_to_their_statuses() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let Some(registry) = Registry::start(&scope, &integration::engine::current_test()).await? else {
        return Ok(());
    };
    registry.offer(TestImage::Busybox, "mesos-demo/busybox").await?;
    // None of these listens.
    let mut places = Places::of(&scope, Some(&registry), vec![31000..=31999])?;
    let flags = places.flags()?;
    let scene = Scene::in_scope(scope, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let mut frameworks = BTreeMap::new();
    for end in ENDS {
        let tasks: Value = places.tasks(end.name).with_context(|| end.name)?.into();
        let expect = format!("--expect={}", end.state);
        let options = ["--timeout=140", &expect, "--checkpoint"];
        frameworks.insert(end.name, scene.framework(&tasks, &options).await?);
    }
    for end in ENDS {
        let framework = frameworks.remove(end.name).context("a framework")?;
        let events = framework.end(LONG).await.with_context(|| end.name)?;
        judge(&scene, end, &events).with_context(|| format!("{}: {:?}", end.name, events.summary()))?;
    }
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridged_example_serves_until_it_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    // The engine listens at them, so the kernel is asked for two that are free.
    let (one, two) = (free_port()?, free_port()?);
    let mut places = Places::of(&scope, None, vec![one..=one, two..=two])?;
    let flags = places.flags()?;
    let scene = Scene::in_scope(scope, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let tasks = places.tasks(BRIDGED)?;
    let mappings = tasks[0]["container"]["docker"]["port_mappings"].as_array().context("no mappings")?;
    let web = mappings.iter().find(|mapping| mapping["container_port"] == 8080).context("no web port")?;
    let port = web["host_port"].as_u64().context("no host port")?.try_into()?;
    let mut framework = scene.framework(&tasks.into(), &["--expect=TASK_KILLED", "--timeout=140"]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    eventually("the page", SHORT, async || {
        // The task runs before its server listens.
        let Ok(page) = reference::read(port, "/").await else { return Ok(None) };
        Ok((page == b"hello from a container\n").then_some(()))
    })
    .await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.last_status()?["state"], "TASK_KILLED");
    assert!(written(&scene, &events, events.task_id()?)?.contains("serving on host port"));
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_without_an_image_run_until_they_are_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    // Marathon gives each of them a port.
    let (one, two) = (free_port()?, free_port()?);
    let mut places = Places::of(&scope, None, vec![one..=one, two..=two])?;
    let mut flags = places.flags()?;
    flags.push("--containerizers=docker,mesos".into());
    let scene = Scene::in_scope(scope, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for (name, words) in PLAIN {
        let tasks = places.tasks(name)?;
        let mut framework =
            scene.framework(&tasks.into(), &["--expect=TASK_KILLED", "--timeout=140"]).await?;
        framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
        for words in words {
            let told = eventually(words, SHORT, async || {
                let events = framework.events();
                let statuses: Value = events.statuses("TASK_RUNNING").into_iter().cloned().collect();
                let told = statuses.to_string() + &written(&scene, &events, events.task_id()?)?;
                Ok(told.contains(words).then_some(()))
            });
            told.await.with_context(|| format!("{name}: {:?}", framework.events().summary()))?;
        }
        framework.kill_tasks()?;
        let events = framework.end(LONG).await?;
        assert_eq!(events.last_status()?["state"], "TASK_KILLED");
    }
    scene.nothing_left().await
}

/// A host without the rights to start privileged containers shows the engine's sentence, as `docker run` does there.
#[tokio::test(flavor = "multi_thread")]
async fn the_privileged_example_shares_volumes_or_shows_the_engines_refusal() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut places = Places::of(&scope, None, vec![31000..=31999])?;
    let flags = places.flags()?;
    let mut client = scope.client().await?;
    let body = json!({ "Image": TestImage::Busybox.reference(), "Labels": scope.labels(), "Volumes": { "/shared": {} } });
    let path = format!("/containers/create?name={}", places.volumes_from);
    client.post(&path, &body).await?.ok()?;
    let scene = Scene::in_scope(scope, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let events = scene.run(&places.tasks(PRIVILEGED)?.into(), &["--timeout=140"]).await?;
    let status = events.last_status()?;
    let output = written(&scene, &events, events.task_id()?)?;
    if status["state"] == FINISHED {
        assert!(output.contains("demo.example.com\nshared"), "{output}");
    } else {
        let message = status["message"].as_str().context("no message")?;
        assert!(message.contains("cannot start container"), "{status}");
    }
    client.delete(&format!("/containers/{}?v=1&force=1", places.volumes_from)).await?.ok()?;
    scene.nothing_left().await
}
