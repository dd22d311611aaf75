//! Owns what every comparison needs: the clients and recordings, the fixture files, one sandbox, and the judgement of a
//! case.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use integration::oracle::allowed::{self, Context};
use integration::oracle::compare::{differences, drop_unsaid};
use integration::oracle::golden::Golden;
use integration::oracle::ours::{self, Owner};
use integration::oracle::recorder::record;
use integration::oracle::{Agent, DockerClient, Outcome, command_line};
use integration::supervised::Task;
use mesos_types::ContainerId;
use tempfile::TempDir;

/// The agent of all cases, so that names are the same in every run.
const AGENT_ID: &str = "oracle-S0";
/// The container of all cases.
const CONTAINER_ID: &str = "7b3f6f0e-5f0c-4f7e-9d1f-0d4a3a5c1e55";
/// The client whose recordings are checked in.
pub(crate) const RECORDED: &str = "28.2.2";
/// The newest API version that it speaks.
pub(crate) const NEWEST_API: &str = "1.50";
/// How many clients run at once.
pub(crate) const WIDTH: usize = 4;
/// What the volumes' names begin with where no engine makes them.
pub(crate) const VOLUME: &str = "oracle-vol";
/// Set to 1, it has the recordings written anew instead of compared.
const RECORD: &str = "RECORD_DOCKER_OPTIONS";

/// A task and the agent that it is given to.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// For the report.
    pub(crate) label: String,
    /// The task.
    pub(crate) task: Task,
    /// What stock's command line takes from elsewhere.
    pub(crate) agent: Agent,
    /// The engine's API version.
    pub(crate) api: &'static str,
}

/// Where the truth about a command line comes from.
#[derive(Clone, Debug)]
pub(crate) enum Oracle {
    /// A client that is here.
    Client(DockerClient),
    /// The client whose answers are checked in.
    Recorded(Box<Golden>),
}

/// How a case ended.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The requests are the same, but for these differences that are meant.
    Same(BTreeSet<&'static str>),
    /// Both refuse.
    BothRefuse,
    /// Only we refuse: our sentence.
    OnlyWeRefuse(String),
    /// Only the client refuses: its sentence.
    OnlyClientRefuses(String),
    /// The requests differ in these fields.
    Differ(String),
}

/// Shared by all cases of a test.
#[derive(Debug)]
pub(crate) struct Workshop {
    dir: TempDir,
    /// What the volumes' names begin with.
    pub(crate) volume: String,
    /// Each is asked about every case; newest first.
    pub(crate) oracles: Vec<Oracle>,
    /// The recorded client, where it is installed: what it says must be what was recorded.
    pub(crate) again: Option<DockerClient>,
}

/// A case's answers.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The clients' by version, newest first.
    pub(crate) outcomes: Vec<(String, Outcome)>,
    /// Ours.
    pub(crate) ours: Outcome,
}

impl Asked {
    /// Compares each client's answer with ours.
    pub(crate) fn verdicts(&self, case: &Case) -> Vec<(&str, Verdict)> {
        let outcomes = self.outcomes.iter();
        outcomes.map(|(version, outcome)| (version.as_str(), judge(case, outcome, &self.ours))).collect()
    }
}

impl Oracle {
    /// Returns the client's version.
    pub(crate) fn version(&self) -> &str {
        match self {
            Self::Client(client) => client.version(),
            Self::Recorded(_) => RECORDED,
        }
    }

    /// Tells whether the client speaks an API version.
    pub(crate) fn speaks(&self, api: &str) -> bool {
        match self {
            Self::Recorded(_) => true,
            // What is between is in the recordings; each live answer costs a run of the client.
            Self::Client(client) => api == "1.41" || (client.major() >= 28 && api == NEWEST_API),
        }
    }

    fn major(&self) -> u32 {
        self.version().split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
    }
}

/// Tells whether this run writes the recordings.
pub(crate) fn is_recording() -> bool {
    std::env::var(RECORD).as_deref() == Ok("1")
}

/// Returns the path of the recordings.
pub(crate) fn golden_path() -> PathBuf {
    here().join("golden").join(format!("docker-{RECORDED}.jsonl"))
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker_run_oracle")
}

impl Workshop {
    /// Finds the clients and the recordings.
    ///
    /// # Errors
    ///
    /// A client or the recordings can't be used.
    pub(crate) async fn open() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("mow-").tempdir().context("make a directory")?;
        let sandbox = dir.path().join("sandbox");
        std::fs::create_dir(&sandbox).context("make the sandbox")?;
        for file in std::fs::read_dir(here().join("files")).context("read the fixture files")? {
            let file = file?;
            std::fs::copy(file.path(), sandbox.join(file.file_name())).context("copy a fixture file")?;
        }
        let (mut again, mut oracles) = (None, Vec::new());
        for client in DockerClient::all().await? {
            if client.version() == RECORDED {
                again = Some(client);
            } else {
                oracles.push(Oracle::Client(client));
            }
        }
        if !is_recording() {
            oracles.push(Oracle::Recorded(Box::new(Golden::load(&golden_path())?)));
        }
        oracles.sort_by_key(|oracle| std::cmp::Reverse(oracle.major()));
        Ok(Self { dir, volume: VOLUME.into(), oracles, again })
    }

    /// Returns an agent for cases.
    pub(crate) fn agent(&self) -> Agent {
        Agent {
            name: format!("mesos-{AGENT_ID}-{CONTAINER_ID}"),
            sandbox: self.sandbox().display().to_string(),
            mapped_directory: "/mnt/mesos/sandbox".into(),
            cfs: false,
            host_memory: 16 << 30,
            bridge_dns: None,
        }
    }

    /// Returns the sandbox of all cases.
    pub(crate) fn sandbox(&self) -> PathBuf {
        self.dir.path().join("sandbox")
    }

    /// Puts the real directory in the place of `{sandbox}`, and gives volumes their names.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        text.replace("{sandbox}", &self.sandbox().display().to_string()).replace(VOLUME, &self.volume)
    }

    /// Puts `{sandbox}` in the place of the real directory.
    pub(crate) fn abstracted(&self, text: &str) -> String {
        text.replace(&self.sandbox().display().to_string(), "{sandbox}")
            .replace(&self.dir.path().display().to_string(), "{above}")
    }

    fn abstracted_outcome(&self, outcome: &Outcome) -> Result<Outcome> {
        let mut outcome: Outcome = serde_json::from_str(&self.abstracted(&serde_json::to_string(outcome)?))?;
        if let Outcome::Sent { body, .. } = &mut outcome {
            drop_unsaid(body);
        }
        Ok(outcome)
    }

    /// Returns the command line of a case with `{sandbox}` in it.
    ///
    /// # Errors
    ///
    /// Stock refuses the task.
    pub(crate) fn line(&self, case: &Case) -> Result<Vec<String>> {
        let line = command_line::stock(case.task.info(), &case.agent)?;
        Ok(line.iter().map(|word| self.abstracted(word)).collect())
    }

    /// Asks an oracle what a client makes of a case.
    ///
    /// # Errors
    ///
    /// The client can't be run, or the case was not recorded.
    pub(crate) async fn ask(&self, oracle: &Oracle, case: &Case) -> Result<Outcome> {
        let outcome = match oracle {
            Oracle::Client(client) => {
                let line = command_line::stock(case.task.info(), &case.agent)?;
                record(client, case.api, &self.sandbox(), &line).await?
            }
            Oracle::Recorded(golden) => {
                let line = self.line(case)?;
                let found = golden.get(case.api, &line);
                found
                    .with_context(|| format!("{line:?} was not recorded: run scripts/record-docker-options"))?
                    .clone()
            }
        };
        self.abstracted_outcome(&outcome)
    }

    /// Asks the newest client that speaks a case's API version, and us; older ones only where the newest does not make of
    /// it what we do.
    ///
    /// # Errors
    ///
    /// As [`Workshop::ask`].
    pub(crate) async fn ask_all<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> Result<Vec<Asked>> {
        stream::iter(cases)
            .map(async |case| {
                let mut asked = Asked { outcomes: Vec::new(), ours: self.ask_us(case)? };
                for oracle in self.oracles.iter().filter(|oracle| oracle.speaks(case.api)) {
                    let outcome = self.ask(oracle, case).await?;
                    let is_same = matches!(judge(case, &outcome, &asked.ours), Verdict::Same(_));
                    asked.outcomes.push((oracle.version().to_owned(), outcome));
                    if is_same {
                        break;
                    }
                }
                Ok(asked)
            })
            .buffered(WIDTH)
            .try_collect()
            .await
    }

    /// Asks the recorded client itself; the answer is what belongs into the recordings.
    ///
    /// # Errors
    ///
    /// The client can't be run.
    pub(crate) async fn ask_again(&self, client: &DockerClient, case: &Case) -> Result<Outcome> {
        let mut outcome = self.ask(&Oracle::Client(client.clone()), case).await?;
        if let Outcome::Sent { body, .. } = &mut outcome {
            allowed::settle(body);
        }
        Ok(outcome)
    }

    /// Asks the code under test.
    ///
    /// # Errors
    ///
    /// The request can't be written.
    pub(crate) fn ask_us(&self, case: &Case) -> Result<Outcome> {
        let owner = Owner {
            agent_id: AGENT_ID.parse()?,
            container_id: CONTAINER_ID.parse::<ContainerId>()?,
            work_dir: "/agent".into(),
        };
        let request = ours::request(case.task.info(), &case.agent, &owner, case.api);
        self.abstracted_outcome(&ours::outcome(request)?)
    }
}

/// Compares what a client made of a case with what we made of it.
pub(crate) fn judge(case: &Case, client: &Outcome, ours: &Outcome) -> Verdict {
    let context = context(case);
    match (client, ours) {
        (Outcome::Refused(_), Outcome::Refused(_)) => Verdict::BothRefuse,
        (Outcome::Refused(sentence), Outcome::Sent { .. }) => Verdict::OnlyClientRefuses(sentence.clone()),
        (Outcome::Sent { .. }, Outcome::Refused(sentence)) => Verdict::OnlyWeRefuse(sentence.clone()),
        (Outcome::Sent { query, body }, Outcome::Sent { query: our_query, body: our_body }) => {
            let (mut client, mut ours) = (body.clone(), our_body.clone());
            let used = allowed::take_out(&mut client, &mut ours, &context);
            client["query"] = serde_json::json!(query);
            ours["query"] = serde_json::json!(our_query);
            let found = differences(&client, &ours);
            if found.is_empty() {
                return Verdict::Same(used);
            }
            Verdict::Differ(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        }
    }
}

/// Returns what the differences of a case depend on.
pub(crate) fn context(case: &Case) -> Context {
    let container = case.task.info().container.as_ref();
    let volumes = container.into_iter().flat_map(|container| &container.volumes);
    let mapped_directory = case.agent.mapped_directory.clone();
    let targets = volumes.map(|volume| match volume.container_path.as_str() {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{mapped_directory}/{path}"),
    });
    let api_minor = case.api.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default();
    Context {
        volume_targets: targets.collect(),
        mapped_directory: mapped_directory.clone(),
        sandbox: "{sandbox}".into(),
        api_minor,
        default_log_driver: None,
    }
}
