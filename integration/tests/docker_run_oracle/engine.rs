//! The same on a real engine: what the client creates and what we create, inspected, field by field; and that the engine
//! refuses what the client leaves to it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use docker_containerizer::request::MountPoint;
use docker_engine::{Engine, EngineOptions};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use integration::oracle::allowed::{self, Context};
use integration::oracle::client::Ran;
use integration::oracle::compare::{differences, drop_unsaid};
use integration::oracle::ours::{self, Owner};
use integration::oracle::{Agent, DockerClient, Outcome, command_line};
use integration::{RawClient, TestScope, require_engine};
use mesos_types::ContainerId;
use serde_json::{Value, json};

use crate::meant::{self, Why};
use crate::samples::{SAMPLES, Sample};
use crate::workshop::{Case, Oracle, Verdict, WIDTH, Workshop, context, is_recording, judge};
use crate::{combinations, singles};

/// How many of the combinations are created; what they become is compared on the wire already.
const COMBINATIONS: usize = 40;
/// How long a create may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// What an engine made of a request.
#[derive(Debug)]
enum Made {
    /// A container, which was inspected and removed.
    Container(Box<Value>),
    /// Nothing; the sentence of the refusal.
    Nothing(String),
}

/// Both ways to a container on one engine.
struct Bench {
    scope: TestScope,
    workshop: Workshop,
    client: DockerClient,
    engine: Engine,
    api: &'static str,
    default_log_driver: Option<&'static str>,
}

impl Bench {
    /// Opens a bench with the newest client that is here; `None` after it said that the test is skipped.
    async fn open(engine: &integration::TestEngine) -> Result<Option<Self>> {
        let clients = DockerClient::all().await?;
        let Some(client) = clients.into_iter().max_by_key(DockerClient::major) else {
            integration::engine::skip(&integration::engine::current_test(), "no docker client is installed");
            return Ok(None);
        };
        let scope = TestScope::new(engine).await?;
        let mut workshop = Workshop::open().await?;
        workshop.volume = scope.name("vol");
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let api = leak(engine.api_version());
        let default_log_driver = engine.info().await?["LoggingDriver"].as_str().map(leak);
        let engine = Engine::connect(EngineOptions::new(engine.socket().to_owned())).await?;
        Ok(Some(Self { scope, workshop, client, engine, api, default_log_driver }))
    }

    /// Gives a case a container name of this test.
    fn renamed(&self, mut case: Case) -> Result<(Case, Owner)> {
        let owner = Owner {
            agent_id: self.scope.agent_id().parse()?,
            container_id: ContainerId::random(),
            work_dir: "/agent".into(),
        };
        case.agent = Agent { name: format!("mesos-{}-{}", owner.agent_id, owner.container_id), ..case.agent };
        case.api = self.api;
        Ok((case, owner))
    }

    /// Has the client run stock's command line with `create` in the place of `run`.
    async fn client_creates(&self, case: &Case) -> Result<Ran> {
        let mut line = command_line::stock(case.task.info(), &case.agent)?;
        "create".clone_into(&mut line[0]);
        let mut arguments = vec!["-H".to_owned(), self.scope.engine().url()];
        arguments.append(&mut line);
        self.client.run(&self.workshop.sandbox(), &arguments).await
    }

    async fn by_client(&self, case: &Case) -> Result<Made> {
        let ran = self.client_creates(case).await?;
        if ran.code != Some(0) {
            // A create that the engine refused half-way may have left the name behind.
            self.remove(&case.agent.name).await?;
            return Ok(Made::Nothing(ran.sentence()));
        }
        self.inspect_and_remove(&case.agent.name).await
    }

    async fn by_us(&self, case: &Case, owner: &Owner) -> Result<Made> {
        let request = match ours::request(case.task.info(), &case.agent, owner, case.api) {
            Ok(request) => request,
            Err(error) => return Ok(Made::Nothing(error.to_string())),
        };
        for point in &request.mount_points {
            if let MountPoint::Sandbox(path) = point {
                std::fs::create_dir_all(self.workshop.sandbox().join(path.as_path()))?;
            }
        }
        match self.engine.create(&request.name, &request.body, DEADLINE).await {
            Ok(_) => self.inspect_and_remove(&request.name).await,
            Err(error) => {
                self.remove(&request.name).await?;
                Ok(Made::Nothing(error.to_string()))
            }
        }
    }

    async fn raw(&self) -> Result<RawClient> {
        self.scope.client().await
    }

    async fn inspect_and_remove(&self, name: &str) -> Result<Made> {
        let inspection = self.raw().await?.get(&format!("/containers/{name}/json")).await?.json()?;
        self.remove(name).await?;
        Ok(Made::Container(Box::new(inspection)))
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let answer = self.raw().await?.delete(&format!("/containers/{name}?force=1&v=1")).await?;
        ensure!(matches!(answer.status(), 200..300 | 404), "remove {name}: {}", answer.text());
        Ok(())
    }

    /// Compares two inspections.
    fn compare(&self, case: &Case, client: &Value, ours: &Value) -> String {
        let mut sides = [client, ours].map(|inspection| {
            let text = self.workshop.abstracted(&inspection.to_string());
            // The text was JSON, and paths were put in the place of paths.
            let mut side = as_request(&serde_json::from_str(&text).unwrap_or_default());
            drop_unsaid(&mut side);
            side
        });
        let [client, ours] = &mut sides;
        allowed::settle(client);
        allowed::settle(ours);
        let context = Context { default_log_driver: self.default_log_driver, ..context(case) };
        allowed::take_out(client, ours, &context);
        let found = differences(client, ours);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// Brings what an inspection tells into the form of a request, so that the same list of differences holds for it, and
/// takes out what is the container's own: its id, and what is named after that.
fn as_request(inspection: &Value) -> Value {
    let mut body = inspection["Config"].clone();
    let id = inspection["Id"].as_str().unwrap_or_default();
    if body["Hostname"].as_str().is_some_and(|name| name.len() == 12 && id.starts_with(name)) {
        body["Hostname"] = json!("");
    }
    body["HostConfig"] = inspection["HostConfig"].clone();
    body["NetworkingConfig"] = json!({ "EndpointsConfig": inspection["NetworkSettings"]["Networks"] });
    for name in ["Name", "Path", "Args", "Image", "Platform", "Driver", "AppArmorProfile", "RestartCount"] {
        body[format!("inspected {name}")] = inspection[name].clone();
    }
    // Newer clients write a capability as the engine understands the older ones' spelling.
    for name in ["CapAdd", "CapDrop"] {
        for capability in body["HostConfig"][name].as_array_mut().into_iter().flatten() {
            let upper = capability.as_str().unwrap_or_default().to_uppercase();
            let is_whole = upper == "ALL" || upper.starts_with("CAP_");
            *capability = json!(if is_whole { upper } else { format!("CAP_{upper}") });
        }
    }
    let mut mounts: Vec<Value> = inspection["Mounts"].as_array().cloned().unwrap_or_default();
    for mount in &mut mounts {
        // A volume without a name is named by chance.
        let is_anonymous = mount["Name"].as_str().is_some_and(|name| name.len() == 64);
        if is_anonymous {
            mount["Name"] = Value::Null;
            mount["Source"] = Value::Null;
        }
        // `rw` and nothing are the same mode; RW beside it says which it is.
        if let Some(mode) = mount["Mode"].as_str() {
            let words = mode.split(',').filter(|word| !["rw", "ro", "z"].contains(word));
            mount["Mode"] = json!(words.collect::<Vec<_>>().join(","));
        }
    }
    mounts.sort_by_key(|mount| mount["Destination"].to_string());
    body["inspected Mounts"] = json!(mounts);
    body
}

/// The first value of each option, and some combinations, become containers that do not differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_create_the_same_container() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if is_recording() {
        return Ok(());
    }
    let Some(bench) = Bench::open(&engine).await? else { return Ok(()) };
    let firsts = SAMPLES.iter().filter(|sample| !meant::is_refused(sample.option));
    let firsts = firsts.filter_map(|sample| Some((sample, *sample.good.first()?)));
    let mut cases: Vec<Case> =
        firsts.map(|(sample, value)| singles::case(&bench.workshop, sample, value, bench.api)).collect();
    cases.extend(combinations::cases(&bench.workshop).into_iter().take(COMBINATIONS));
    let (bench, same) = (&bench, &AtomicUsize::new(0));
    let count = cases.len();
    let wrong: Vec<String> = stream::iter(cases)
        .map(async |case| {
            let plain = Case { api: bench.api, ..case.clone() };
            let (case, owner) = bench.renamed(case)?;
            let client = bench.by_client(&case).await?;
            let ours = bench.by_us(&case, &owner).await?;
            let wrong = match (&client, &ours) {
                (Made::Container(client), Made::Container(ours)) => bench.compare(&case, client, ours),
                (Made::Nothing(_), Made::Nothing(_)) => return Ok(None),
                (Made::Nothing(sentence), Made::Container(_)) => {
                    match bench.objection(&plain, sentence).await? {
                        None => return Ok(None),
                        Some(objection) => format!("only the client's is refused: {sentence}: {objection}"),
                    }
                }
                (Made::Container(_), Made::Nothing(sentence))
                    if meant::is_why_we_refuse(&plain, sentence) =>
                {
                    return Ok(None);
                }
                (Made::Container(_), Made::Nothing(sentence)) => format!("only ours is refused: {sentence}"),
            };
            same.fetch_add(usize::from(wrong.is_empty()), Ordering::Relaxed);
            Ok((!wrong.is_empty()).then(|| format!("{}: {wrong}", case.label)))
        })
        .buffer_unordered(WIDTH)
        .try_filter_map(async |wrong: Option<String>| anyhow::Ok(wrong))
        .try_collect()
        .await?;
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    let same = same.load(Ordering::Relaxed);
    assert!(same > count / 2, "only {same} of {count} were created by both");
    Ok(())
}

/// What an engine says of a request that we put otherwise, with the difference that is allowed for it.
const PUT_OTHERWISE: [(&str, &[&str]); 2] = [
    ("Container cannot be connected to network endpoints", &["networks", "replaced network"]),
    ("Nano CPUs and CPU Quota cannot both be set", &["quota"]),
];

impl Bench {
    /// Tells why it is wrong that a case with which stock's task fails becomes a container of ours. It is right where the
    /// client's request and ours differ by what is on the list of `allowed` for the engine's sentence, and nothing else;
    /// or where the client refuses it itself, by what is on the list of `meant`.
    async fn objection(&self, case: &Case, sentence: &str) -> Result<Option<String>> {
        let client = self.workshop.ask(&Oracle::Client(self.client.clone()), case).await?;
        let ours = self.workshop.ask_us(case)?;
        let allowed = PUT_OTHERWISE.iter().find(|(known, _)| sentence.contains(known));
        Ok(match (judge(case, &client, &ours), allowed) {
            (Verdict::Same(used), Some((_, names))) if names.iter().any(|name| used.contains(name)) => None,
            (Verdict::OnlyClientRefuses(sentence), _) => {
                meant::objection(&self.workshop, case, &sentence, &ours)?
            }
            (verdict, _) => Some(format!("{verdict:?}")),
        })
    }
}

/// What is listed as bad and is not refused by the client or by us is refused by the engine, and so is what we refuse in
/// the engine's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_refuses_what_is_left_to_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    if is_recording() {
        return Ok(());
    }
    let Some(bench) = Bench::open(&engine).await? else { return Ok(()) };
    let bad = SAMPLES.iter().flat_map(|sample| sample.bad.iter().map(move |value| (sample, *value)));
    let in_its_place =
        meant::MEANT.iter().filter(|meant| meant.why == Why::EngineRefuses).flat_map(|meant| {
            let of_option = SAMPLES.iter().filter(|sample| sample.option == meant.option);
            of_option.map(|sample| (sample, meant.value))
        });
    let values: BTreeSet<(usize, &str)> = bad
        .chain(in_its_place)
        .filter_map(|(sample, value)| {
            Some((SAMPLES.iter().position(|other| std::ptr::eq(other, sample))?, value))
        })
        .collect();
    let bench = &bench;
    let wrong: Vec<String> = stream::iter(values)
        .map(async |(at, value)| -> Result<Vec<String>> { bench.refused(&SAMPLES[at], value).await })
        .buffer_unordered(WIDTH)
        .try_collect::<Vec<_>>()
        .await?
        .into_iter()
        .flatten()
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And two options that exclude each other.
    for [one, other] in meant::CONFLICTS {
        let value = |option: &str| if option == "cpus" { "0.5" } else { "50000" };
        let task = integration::supervised::Task::arguments(&["true"]);
        let task = task.id("task").parameter(one, value(one)).parameter(other, value(other));
        let case =
            Case { label: format!("{one} and {other}"), task, agent: bench.workshop.agent(), api: bench.api };
        let (case, owner) = bench.renamed(case)?;
        let made = [bench.by_client(&case).await?, bench.by_us(&case, &owner).await?];
        assert!(made.iter().all(|made| matches!(made, Made::Nothing(_))), "{one} and {other}: {made:?}");
    }
    Ok(())
}

impl Bench {
    /// Tells by whom a bad value is taken that ought to refuse it.
    async fn refused(&self, sample: &Sample, value: &str) -> Result<Vec<String>> {
        let (case, owner) = self.renamed(singles::case(&self.workshop, sample, value, self.api))?;
        let mut wrong = Vec::new();
        if self.may_send(&case).await? && self.client_starts(&case).await? {
            wrong.push(format!("{}: client and engine take it", case.label));
        }
        if let Made::Container(_) = self.by_us(&case, &owner).await? {
            let is_meant = meant::find(sample.option, value, self.api, meant::Kind::WeTake).is_some();
            if !is_meant {
                wrong.push(format!("{}: we and the engine take it", case.label));
            }
        }
        Ok(wrong)
    }

    /// Tells whether the newest client would send a case to the engine, where that was recorded; without a recording it
    /// may.
    async fn may_send(&self, case: &Case) -> Result<bool> {
        let recorded = self.workshop.oracles.iter().find(|oracle| matches!(oracle, Oracle::Recorded(_)));
        let Some(recorded) = recorded else { return Ok(true) };
        // The recording has the name of all cases.
        let case = Case { agent: self.workshop.agent(), ..case.clone() };
        Ok(!matches!(self.workshop.ask(recorded, &case).await, Ok(Outcome::Refused(_))))
    }

    /// Tells whether what the client creates starts.
    async fn client_starts(&self, case: &Case) -> Result<bool> {
        let name = &case.agent.name;
        let created = self.client_creates(case).await?.code == Some(0);
        let starts = created && {
            let answer = self.raw().await?.post_empty(&format!("/containers/{name}/start")).await?;
            matches!(answer.status(), 204 | 304)
        };
        self.remove(name).await?;
        Ok(starts)
    }
}
