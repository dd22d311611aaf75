//! Registries that fail: which class each failure is of, what is tried again, and what is answered from memory.

use std::time::Instant;

use anyhow::{Context as _, Result};
use docker_containerizer::images::{PullClass, RetrySettings};
use docker_containerizer::{PullSettings, PullStage};
use integration::engine::current_test;
use integration::supervised::{Layer, ProxiedRegistry, Registry, Supervised};
use integration::{Fault, Rule, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use crate::{SECOND, SOME, pulls, task, with};

/// The registry's own form of an error: with the standard message of its code and no more, which the engine passes on
/// as the bare code, or with what it says besides.
fn refusal(status: u16, code: &str, message: &str) -> Fault {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    Fault::Replace(status, body.to_string())
}

/// Settings that try nothing again and remember nothing.
fn once() -> PullSettings {
    let mut settings = pulls();
    settings.retry = RetrySettings { max_retries: 0, ..settings.retry };
    settings.negative.ttl = std::time::Duration::ZERO;
    settings
}

/// One attempt with a rule in force, and the class that it was counted under.
async fn class_of(
    agent: &Supervised,
    registry: &ProxiedRegistry<'_>,
    id: &str,
    image: &str,
    rule: Option<Rule>,
) -> Result<(PullClass, String)> {
    let before = agent.containerizer().pull_counters();
    let rule = rule.map(|rule| registry.proxy().add(rule));
    let end = agent.launch(&task(id, image))?.terminal().await?;
    if let Some(rule) = rule {
        assert!(registry.proxy().hits(rule) > 0, "{id}: the registry was not asked");
        registry.proxy().remove(rule);
    }
    let after = agent.containerizer().pull_counters();
    let mut changed =
        PullClass::ALL.into_iter().filter(|class| after.failed_of(*class) > before.failed_of(*class));
    let message = end.status.message().to_owned();
    let class = changed.next().with_context(|| format!("{id}: no failure was counted: {message}"))?;
    Ok((class, message))
}

/// Each row of the table of sentences (`SEEN` in `images/sentences.rs`) that an answer of a registry produces at once.
#[tokio::test]
async fn each_failure_of_a_registry_has_its_class() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(once())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let mut registry = registry.behind_proxy().await?;
    let name = agent.scope().id().to_owned();
    let manifests = |fault| Rule::new("*", "*/manifests/*", fault);
    let blobs = |fault| Rule::new("GET", "*/blobs/*", fault);
    let cases = [
        (
            "m429",
            "toomanyrequests",
            PullClass::RateLimited,
            manifests(refusal(429, "TOOMANYREQUESTS", "too many requests")),
        ),
        (
            "m429-plain",
            "error parsing HTTP 429",
            PullClass::RateLimited,
            manifests(Fault::Replace(429, "slow down".into())),
        ),
        (
            "m404",
            "manifest unknown",
            PullClass::NotFound,
            manifests(refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")),
        ),
        (
            "m404-name",
            "name unknown",
            PullClass::NotFound,
            manifests(refusal(404, "NAME_UNKNOWN", "repository name not known to registry")),
        ),
        (
            "m401",
            "unauthorized",
            PullClass::Denied,
            manifests(refusal(401, "UNAUTHORIZED", "authentication required")),
        ),
        (
            "m403",
            "denied",
            PullClass::Denied,
            manifests(refusal(403, "DENIED", "requested access to the resource is denied")),
        ),
        (
            "m403-said",
            "pull access denied",
            PullClass::NotFound,
            manifests(refusal(403, "DENIED", "not for you")),
        ),
        (
            "m404-said",
            "manifest unknown",
            PullClass::NotFound,
            manifests(refusal(404, "MANIFEST_UNKNOWN", "gone")),
        ),
        ("m500", "HTTP status: 500", PullClass::Network, manifests(refusal(500, "UNKNOWN", "unknown error"))),
        ("m503", "HTTP status: 503", PullClass::Network, manifests(Fault::Replace(503, "x".into()))),
        (
            "m401-said",
            "unauthorized: ",
            PullClass::Denied,
            manifests(refusal(401, "UNAUTHORIZED", "who are you")),
        ),
        (
            "m404-name-said",
            "name unknown: ",
            PullClass::NotFound,
            manifests(refusal(404, "NAME_UNKNOWN", "no such team")),
        ),
        ("cut", "EOF", PullClass::Network, manifests(Fault::Cut)),
        ("reset", "connection reset by peer", PullClass::Network, manifests(Fault::Reset)),
        (
            "b404",
            "unknown blob",
            PullClass::NotFound,
            blobs(refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")),
        ),
        (
            "b429",
            "toomanyrequests",
            PullClass::RateLimited,
            blobs(refusal(429, "TOOMANYREQUESTS", "too many requests")),
        ),
        (
            "b403",
            "denied",
            PullClass::Denied,
            blobs(refusal(403, "DENIED", "requested access to the resource is denied")),
        ),
    ];
    for (id, sentence, expected, rule) in cases {
        // A layer of its own: the engine shares what is under way by digest.
        let repository = format!("{name}/{id}");
        let image = registry.publish(&repository, "1", &[Layer::random(&repository, 4096)?]).await?;
        let (class, message) = class_of(&agent, &registry, id, &image, Some(rule)).await?;
        assert!(message.contains(sentence), "{id}: {message}");
        assert_eq!(class, expected, "{id}: {message}");
        assert!(message.starts_with("Failed to launch container: "), "{message}");
    }
    let absent = registry.reference(&name, "absent");
    let (class, message) = class_of(&agent, &registry, "absent", &absent, None).await?;
    assert_eq!(class, PullClass::NotFound, "{message}");
    assert!(message.contains("hint: check the name"), "{message}");
    let elsewhere = registry.publish_index(&format!("{name}/elsewhere"), "1", "s390x").await?;
    let (class, message) = class_of(&agent, &registry, "elsewhere", &elsewhere, None).await?;
    assert!(message.contains("no matching manifest for"), "{message}");
    assert_eq!(class, PullClass::NotFound, "{message}");
    registry.proxy_mut().go_down().await?;
    let (class, message) = class_of(&agent, &registry, "down", &absent, None).await?;
    assert_eq!(class, PullClass::Network, "{message}");
    assert!(message.contains("connection refused"), "{message}");
    // No name server is asked for a label that is too long to be one.
    let nowhere = format!("{}.invalid/x:1", "n".repeat(64));
    let (class, message) = class_of(&agent, &registry, "nowhere", &nowhere, None).await?;
    assert!(message.contains("no such host"), "{message}");
    assert_eq!(class, PullClass::Network, "{message}");
    agent.end().await
}

/// The content is not what its digest says. The engine itself asks five times more, with growing pauses, before it
/// tells; the row of the table is met at the end of that.
#[tokio::test]
async fn a_layer_with_another_content_is_of_the_network() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(once())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, 4096)?]).await?;
    let config =
        registry.proxy().add(Rule::new("GET", "*/blobs/*", Fault::Drip(1 << 20, SECOND / 100)).times(1));
    let (class, message) =
        class_of(&agent, &registry, "corrupt", &image, Some(Rule::new("GET", "*/blobs/*", Fault::Corrupt)))
            .await?;
    registry.proxy().remove(config);
    assert_eq!(class, PullClass::Network, "{message}");
    agent.end().await
}

/// As above, of a registry that changes its mind after the manifest.
#[tokio::test]
async fn a_blob_that_is_refused_is_denied() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(once())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, 4096)?]).await?;
    let refused = refusal(401, "UNAUTHORIZED", "authentication required");
    let rule = Rule::new("GET", "*/blobs/*", refused);
    let (class, message) = class_of(&agent, &registry, "refused", &image, Some(rule)).await?;
    assert!(message.contains(": unauthorized"), "{message}");
    assert_eq!(class, PullClass::Denied, "{message}");
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_DockerPullFailure.
#[tokio::test]
async fn what_a_registry_does_not_have_is_not_asked_for_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    registry.publish(name, "there", &[]).await?;
    let absent = registry.reference(name, "absent");
    let mut asked = None;
    for at in 0..5 {
        let end = agent.launch(&task(&format!("t{at}"), &absent))?.terminal().await?;
        assert_eq!(end.status.reason(), Reason::ContainerLaunchFailed);
        assert!(end.status.message().contains("manifest unknown"), "{}", end.status.message());
        let now = registry.asked(name, "manifests");
        assert_eq!(*asked.get_or_insert(now), now, "the registry was asked again");
    }
    let counters = agent.containerizer().pull_counters();
    assert_eq!((counters.begun, counters.remembered, counters.retried), (1, 4, 0));
    // Another tag is another question.
    agent.launch(&task("there", &registry.reference(name, "there")))?.finished().await?;
    agent.end().await
}

#[tokio::test]
async fn a_registry_that_fails_for_a_while_is_asked_until_it_answers() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let mut registry = registry.behind_proxy().await?;
    let name = agent.scope().id().to_owned();
    for (id, status, code) in [("limited", 429, "TOOMANYREQUESTS"), ("failing", 500, "UNKNOWN")] {
        let repository = format!("{name}/{id}");
        // A layer of its own: the engine does not ask again for a manifest that it has seen under any name.
        let image = registry.publish(&repository, "1", &[Layer::random(&repository, 4096)?]).await?;
        // The engine asks by HEAD first, and by GET whatever comes of that.
        let rule = Rule::new("GET", "*/manifests/*", refusal(status, code, "come back later")).times(1);
        let rule = registry.proxy().add(rule);
        let mut task = agent.launch(&task(id, &image))?;
        let since = Instant::now();
        task.finished().await?;
        assert_eq!(registry.proxy().hits(rule), 1);
        assert!(
            status != 429 || since.elapsed() >= SECOND,
            "a registry that asked for fewer pulls was asked at once"
        );
        let stderr = task.stderr()?;
        assert!(stderr.contains("the pull is tried again in"), "{stderr}");
        assert!(stderr.contains("was pulled in"), "{stderr}");
    }
    let counters = agent.containerizer().pull_counters();
    assert_eq!(counters.retried, 2);
    assert_eq!((counters.failed_of(PullClass::RateLimited), counters.failed_of(PullClass::Network)), (1, 1));

    // Nobody listens at first; the pause is told to whoever follows the launch.
    let image = registry.publish(&format!("{name}/down"), "1", &[]).await?;
    registry.proxy_mut().go_down().await?;
    let prepared = agent.supervisor().prepare(agent.order(&task("down", &image))?)?;
    let mut down = agent.supervisor().launch(prepared)?;
    let mut is_back = false;
    while let Some(update) = down.updates.recv().await {
        match update {
            task_supervisor::Update::Pull(news) => {
                if let (PullStage::Paused { error, .. }, false) = (&news.stage, is_back) {
                    assert_eq!(error.class(), Some(PullClass::Network));
                    registry.proxy_mut().come_back().await?;
                    is_back = true;
                }
            }
            task_supervisor::Update::Terminal(_, outcome, _) => {
                assert_eq!(outcome.state, TaskState::TaskFinished, "{outcome:?}");
            }
            _ => {}
        }
    }
    assert!(is_back, "no pause was told");
    agent.end().await
}

/// The engine asks for the rest of a layer by itself; what it cannot get is asked for by another pull.
#[tokio::test]
async fn a_layer_that_is_cut_in_the_middle_is_pulled_in_the_end() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, SOME)?]).await?;
    let cut = registry.proxy().add(Rule::new("GET", "*/blobs/*", Fault::CutBody(1 << 10)).times(3));
    agent.launch(&task("cut", &image))?.finished().await?;
    assert_eq!(registry.proxy().hits(cut), 3);
    agent.end().await
}
