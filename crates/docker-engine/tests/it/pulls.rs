//! Pulling, from a registry of our own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_engine::{Credentials, ErrorKind, ImageRef, PullOptions, PullProgress};
use rstest::rstest;

use crate::support::{FakeRegistry, Lab, Login, Manners, SOON, Stalled, with_engine};

const DEADLINES: PullOptions<'static> = PullOptions { total: Some(SOON), inactivity: SOON, platform: None };

fn image(lab: &Lab, registry: &FakeRegistry, suffix: &str) -> ImageRef {
    format!("127.0.0.1:{}/{}{suffix}", registry.port, lab.id).parse().unwrap()
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    with_engine("an_image_is_pulled_by_tag_and_by_digest", |lab| async move {
        let registry = FakeRegistry::start(Login::No, Manners::Good, &lab.id).await;
        let by_digest = format!("@{}", registry.manifest_digest);
        let mut layers = Vec::new();
        for suffix in [":1", &by_digest] {
            let image = image(&lab, &registry, suffix);
            let mut seen: Vec<PullProgress> = Vec::new();
            lab.engine.pull(&image, None, DEADLINES, |progress| seen.push(progress)).await.unwrap();
            let details = lab.engine.image_inspect(&image, SOON).await.unwrap().expect("it was pulled");
            assert_eq!(details.labels["marker"], lab.id);
            assert_eq!(details.stop_signal.as_deref(), Some("SIGINT"));
            assert!(details.repo_digests[0].ends_with(&registry.manifest_digest));
            assert!(seen.iter().any(|progress| progress.status.starts_with("Digest: sha256:")), "{seen:?}");
            layers.extend(seen.into_iter().filter(|progress| progress.total.is_some()));
            lab.forget(&image).await;
        }
        for status in ["Downloading", "Extracting"] {
            assert!(
                layers.iter().any(|progress| progress.status == status && progress.current > Some(0)),
                "{layers:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_pulled_says_why() {
    with_engine("what_cannot_be_pulled_says_why", |lab| async move {
        let registry = FakeRegistry::start(Login::No, Manners::Good, &lab.id).await;
        let absent = image(&lab, &registry, ":absent");
        let error = lab.engine.pull(&absent, None, DEADLINES, |_| ()).await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
        assert!(
            error.engine_message().is_some_and(|message| message.contains("manifest unknown")),
            "{error}"
        );

        let wants_login = FakeRegistry::start(Login::Basic, Manners::Good, &lab.id).await;
        let image = image(&lab, &wants_login, ":1");
        let error = lab.engine.pull(&image, None, DEADLINES, |_| ()).await.unwrap_err();
        assert!(error.engine_message().is_some_and(|message| message.contains("no basic auth")), "{error}");

        let nobody: ImageRef = "127.0.0.1:1/nobody:1".parse().unwrap();
        let error = lab.engine.pull(&nobody, None, DEADLINES, |_| ()).await.unwrap_err();
        assert!(
            error.engine_message().is_some_and(|message| message.contains("connection refused")),
            "{error}"
        );

        let id = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let error = lab.engine.pull(&id, None, DEADLINES, |_| ()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    })
    .await;
}

/// What the registry gets is what the user typed: the engine ignores a header it cannot decode, without a word.
#[rstest]
#[case("?????")]
#[case("x>>>>>")]
#[case("xx~~~~~")]
#[case("üüüü?>~")]
#[tokio::test]
async fn a_password_arrives_at_the_registry(#[case] password: &str) {
    let password = password.to_owned();
    with_engine("a_password_arrives_at_the_registry", |lab| async move {
        let registry = FakeRegistry::start(Login::Basic, Manners::Good, &lab.id).await;
        let credentials =
            Credentials { username: "user".into(), password: password.clone(), ..Credentials::default() };
        let image = image(&lab, &registry, ":1");
        lab.engine.pull(&image, Some(&credentials), DEADLINES, |_| ()).await.unwrap();
        lab.forget(&image).await;
        let expected = format!("Basic {}", STANDARD.encode(format!("user:{password}")));
        let got = registry.authorizations();
        assert!(!got.is_empty() && got.iter().all(|header| *header == expected), "{got:?}");
    })
    .await;
}

#[tokio::test]
async fn a_pull_without_progress_is_given_up() {
    with_engine("a_pull_without_progress_is_given_up", |lab| async move {
        let registry = FakeRegistry::start(Login::No, Manners::Stall, &lab.id).await;
        let image = image(&lab, &registry, ":1");
        let inactivity = Duration::from_millis(700);
        let deadlines = PullOptions { total: None, inactivity, platform: None };
        let error = lab.engine.pull(&image, None, deadlines, |_| ()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Timeout { after: inactivity });
        let total = Duration::from_millis(500);
        let deadlines = PullOptions { total: Some(total), inactivity: SOON, platform: None };
        let error = lab.engine.pull(&image, None, deadlines, |_| ()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Timeout { after: total });
        assert_eq!(lab.engine.image_inspect(&image, SOON).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn dropping_a_pull_cancels_it_in_the_engine() {
    with_engine("dropping_a_pull_cancels_it_in_the_engine", |lab| async move {
        let registry = FakeRegistry::start(Login::No, Manners::Drip, &lab.id).await;
        let image = image(&lab, &registry, ":1");
        let engine = lab.engine.clone();
        let pull = tokio::spawn(async move { engine.pull(&image, None, DEADLINES, |_| ()).await });
        registry.stalled(Stalled::Waiting).await;
        pull.abort();
        registry.stalled(Stalled::HungUp).await;
    })
    .await;
}
