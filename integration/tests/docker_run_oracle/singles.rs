//! Each option by itself: each value of the table through each client and through us.

use std::collections::BTreeSet;

use anyhow::Result;
use integration::oracle::{Outcome, recorder};
use integration::supervised::{Net, Task};

use crate::meant::{self, Why};
use crate::samples::{On, SAMPLES, Sample};
use crate::workshop::{Asked, Case, NEWEST_API, Oracle, Verdict, Workshop, is_recording};

/// The API versions at which every value is tried: that of Debian's engine and the newest that the newest client
/// speaks.
const VERSIONS: [&str; 2] = ["1.41", NEWEST_API];
/// Those at which the first value of each option is tried besides.
const BETWEEN: [&str; 9] = ["1.40", "1.42", "1.43", "1.44", "1.45", "1.46", "1.47", "1.48", "1.49"];

/// One value of the table at one API version.
pub(crate) struct Single {
    /// The row.
    pub(crate) sample: &'static Sample,
    /// The value.
    pub(crate) value: &'static str,
    /// Whether the table has it under `good`.
    pub(crate) is_good: bool,
    /// The task.
    pub(crate) case: Case,
}

/// Returns every value of the table at every API version at which it is tried.
pub(crate) fn cases(workshop: &Workshop) -> Vec<Single> {
    let mut cases = Vec::new();
    for sample in SAMPLES {
        let values = sample.good.iter().map(|value| (value, true));
        let values = values.chain(sample.bad.iter().map(|value| (value, false)));
        for (at, (value, is_good)) in values.enumerate() {
            let between = if at == 0 { &BETWEEN[..] } else { &[] };
            for api in VERSIONS.iter().chain(between) {
                let case = case(workshop, sample, value, api);
                cases.push(Single { sample, value, is_good, case });
            }
        }
    }
    cases
}

/// Returns the task that has one parameter.
pub(crate) fn case(workshop: &Workshop, sample: &Sample, value: &str, api: &'static str) -> Case {
    let net = match sample.on {
        On::Bridge => Net::Bridge,
        On::User => Net::User("first"),
    };
    let task = Task::arguments(&["true"]).id("task").network(net);
    let task = task.parameter(sample.option, &workshop.fill_in(value));
    Case { label: format!("{}={value:?} at {api}", sample.option), task, agent: workshop.agent(), api }
}

/// Every value becomes what the newest client makes of it that knows it, or is refused as there; what is meant to be
/// otherwise is listed in `meant`, and what the client leaves to the engine is looked at in `engine`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_value_becomes_what_the_client_makes_of_it() -> Result<()> {
    if is_recording() {
        return Ok(());
    }
    let workshop = Workshop::open().await?;
    let singles = cases(&workshop);
    let asked = workshop.ask_all(singles.iter().map(|single| &single.case)).await?;
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    let mut taken = BTreeSet::new();
    for (single, asked) in singles.iter().zip(&asked) {
        if asked.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Sent { .. })) {
            taken.insert((single.sample.option, single.value));
        }
        match settle(&workshop, single, asked)? {
            Ok(Settled::AsTheClient) => {}
            Ok(Settled::Meant(at)) => {
                used.insert(at);
            }
            Err(sentence) => wrong.push(format!("{}: {sentence}", single.case.label)),
        }
    }
    for single in &singles {
        let is_taken = taken.contains(&(single.sample.option, single.value));
        if single.is_good && !is_taken {
            wrong.push(format!("{}: listed as good, and no client takes it", single.case.label));
        }
    }
    for (at, meant) in meant::MEANT.iter().enumerate() {
        // Some are there for what only an older client takes.
        if !used.contains(&at) && workshop.oracles.len() > 1 {
            wrong.push(format!("nothing needs the entry of {}={:?} any more", meant.option, meant.value));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), singles.len(), wrong.join("\n"));
    Ok(())
}

/// How a value was found to be right.
enum Settled {
    /// As the client has it.
    AsTheClient,
    /// By this entry of the list.
    Meant(usize),
}

/// The inner error is a sentence on what is wrong.
fn settle(workshop: &Workshop, single: &Single, asked: &Asked) -> Result<Result<Settled, String>> {
    let mut verdicts = asked.verdicts(&single.case).into_iter();
    let Some((version, first)) = verdicts.next() else { return Ok(Ok(Settled::AsTheClient)) };
    let older: Vec<_> = verdicts.collect();
    let meant =
        |kind| meant::find(single.sample.option, single.value, single.case.api, kind).map(Settled::Meant);
    Ok(match first {
        Verdict::Same(_) => Ok(Settled::AsTheClient),
        Verdict::BothRefuse => {
            // An older client that took it would be a reason to take it.
            match older.iter().find(|(_, verdict)| matches!(verdict, Verdict::OnlyWeRefuse(_))) {
                None => Ok(Settled::AsTheClient),
                Some(_) if meant::is_refused(single.sample.option) => Ok(Settled::AsTheClient),
                Some((version, _)) => {
                    meant(meant::Kind::WeRefuse).ok_or_else(|| format!("docker {version} takes it"))
                }
            }
        }
        Verdict::OnlyWeRefuse(_) if meant::is_refused(single.sample.option) => Ok(Settled::AsTheClient),
        Verdict::OnlyWeRefuse(sentence) => meant(meant::Kind::WeRefuse)
            .ok_or_else(|| format!("docker {version} takes it, and we refuse it: {sentence}")),
        Verdict::OnlyClientRefuses(sentence) => {
            let is_as_older = older.iter().any(|(_, verdict)| matches!(verdict, Verdict::Same(_)));
            match meant(meant::Kind::WeTake) {
                None if is_as_older => Ok(Settled::AsTheClient),
                None => Err(format!("docker {version} refuses it, and we take it: {sentence}")),
                // Whether an older client is here or not, what we send is looked at.
                Some(settled) => {
                    let objection = meant::objection(workshop, &single.case, &sentence, &asked.ours)?;
                    objection.map_or(Ok(settled), Err)
                }
            }
        }
        Verdict::Differ(fields) => Err(format!("docker {version}: {fields}")),
    })
}

/// A new option of a new client fails here until it has a row in the table of samples, and with it one in ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_option_of_the_help_has_a_sample() -> Result<()> {
    if is_recording() {
        return Ok(());
    }
    let workshop = Workshop::open().await?;
    let mut options = BTreeSet::new();
    for oracle in &workshop.oracles {
        match oracle {
            Oracle::Client(client) => options.extend(recorder::run_options(client, NEWEST_API).await?),
            Oracle::Recorded(golden) => options.extend(golden.options.iter().cloned()),
        }
    }
    if let Some(client) = &workshop.again {
        options.extend(recorder::run_options(client, NEWEST_API).await?);
    }
    let tried: BTreeSet<_> = SAMPLES.iter().map(|sample| sample.option.to_owned()).collect();
    let missing: Vec<_> = options.difference(&tried).collect();
    assert!(missing.is_empty(), "options of docker run without a sample: {missing:?}");
    // Each is taken with some value, or refused by its name.
    let untaken = options.iter().filter(|option| {
        let of_option = SAMPLES.iter().filter(|sample| sample.option == option.as_str());
        !meant::is_refused(option)
            && !of_option.into_iter().any(|sample| {
                sample.good.iter().any(|value| {
                    let ours = workshop.ask_us(&case(&workshop, sample, value, NEWEST_API));
                    ours.is_ok_and(|ours| matches!(ours, Outcome::Sent { .. }))
                })
            })
    });
    assert_eq!(untaken.collect::<Vec<_>>(), Vec::<&String>::new());
    Ok(())
}

/// What would take the container away from the agent, and what is of another system, is refused by name with a reason.
#[tokio::test]
async fn what_is_refused_by_name_says_why() -> Result<()> {
    if is_recording() {
        return Ok(());
    }
    let workshop = Workshop::open().await?;
    for (option, value, reason) in meant::REFUSED {
        let sample = Sample { option, on: On::Bridge, good: &[], bad: &[] };
        let Outcome::Refused(sentence) = workshop.ask_us(&case(&workshop, &sample, value, NEWEST_API))?
        else {
            panic!("{option}={value} is taken");
        };
        assert!(sentence.contains(option) && sentence.contains(reason), "{option}={value}: {sentence}");
        assert!(sentence.contains("container.docker.parameters[0]"), "{sentence}");
    }
    Ok(())
}

/// What an engine is too old for is refused with the version that it needs, also where the client sends it and an engine
/// would drop it; the client refuses the first two itself, by the version too.
#[tokio::test]
async fn what_an_engine_is_too_old_for_names_the_version() -> Result<()> {
    if is_recording() {
        return Ok(());
    }
    let workshop = Workshop::open().await?;
    let sent = meant::MEANT.iter().filter_map(|meant| match meant.why {
        Why::Since(minor) => Some((meant.option, meant.value, minor)),
        Why::EngineRefuses | Why::Below(_) | Why::Because(_) => None,
    });
    let refused = [("annotation", "a=b", 43), ("health-start-interval", "1s", 44)];
    for (option, value, minor) in refused.into_iter().chain(sent) {
        let of_option = |sample: &&Sample| sample.option == option && sample.good.contains(&value);
        let sample = SAMPLES.iter().find(of_option).unwrap_or_else(|| panic!("no sample {option}={value}"));
        let Outcome::Refused(sentence) = workshop.ask_us(&case(&workshop, sample, value, "1.41"))? else {
            panic!("{option}={value} is taken at 1.41");
        };
        assert!(sentence.contains(&format!("needs an engine with API 1.{minor}")), "{sentence}");
        let newest = workshop.ask_us(&case(&workshop, sample, value, NEWEST_API))?;
        assert!(matches!(newest, Outcome::Sent { .. }), "{option}={value}: {newest:?}");
    }
    Ok(())
}
