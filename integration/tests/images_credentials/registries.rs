//! What registries are told, and what they answer.

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::CredentialSources;
use docker_engine::{Credentials, Engine, EngineOptions, ImageRef, PullOptions};
use integration::engine::current_test;
use integration::images::TestImage;
use integration::supervised::{Options, PATIENCE, Registry, RegistryOptions, Supervised, Task, Transport};
use integration::{Fault, Rule, TestScope, require_engine};
use serde_json::json;

use crate::rig::{NEEDLE, PASSWORD, USER, config, inline, refusal};

/// Most registries say of an image that credentials do not reach to that it is not there; whose credentials they were
/// is told all the same.
#[tokio::test]
async fn credentials_that_do_not_reach_to_an_image_are_named() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    // One that asks nobody who they are, so that it is the refusal that comes to an anonymous pull as well.
    let Some(registry) = Registry::start(&scope, &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let image = registry.publish(scope.id(), "1", &[]).await?;
    let host = image.split('/').next().context("a host")?;
    let denied = json!({ "errors": [{ "code": "DENIED", "message": "not for you" }] }).to_string();
    registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Replace(403, denied)));
    let anonymous = CredentialSources::sandbox_only();
    for (credentials, hint) in [
        (inline(&config(host, PASSWORD))?, "the credentials of --docker_config do not reach to it"),
        (anonymous, "give credentials for the registry"),
    ] {
        let agent = Supervised::with(&engine, Options { credentials, ..Options::default() }).await?;
        let end = agent.launch(&Task::shell("true").image_named(&image))?.terminal().await?;
        let message = refusal(&end)?;
        assert!(message.contains(hint) && message.contains(host), "{message}");
        assert!(!message.contains(NEEDLE), "{message}");
        agent.end().await?;
    }
    scope.assert_clean().await
}

/// `X-Registry-Auth` is right for every password, at each of the three places that a letter can have in base64.
#[tokio::test]
async fn every_password_reaches_the_registry() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut passwords = Vec::new();
    for secret in ["?", ">", "~", "ü", "???", "~~~", ">?>", "ÿ/+", "日本", "\"\\", " ", "a:b"] {
        passwords.extend(["", "x", "xx"].map(|before| format!("{before}{secret}!")));
    }
    let users: Vec<_> =
        passwords.into_iter().enumerate().map(|(at, password)| (format!("u{at:02}"), password)).collect();
    let options = RegistryOptions { users: users.clone(), transport: Transport::Plain };
    let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else { return Ok(()) };
    let image = ImageRef::parse(&registry.publish(scope.id(), "v1", &[]).await?)?;
    let client = Engine::connect(EngineOptions::new(engine.socket())).await?;
    let options = PullOptions { total: Some(PATIENCE), inactivity: PATIENCE, platform: None };
    for (username, password) in users {
        let mut credentials =
            Credentials { username, password, server_address: registry.host(), ..Credentials::default() };
        client
            .pull(&image, Some(&credentials), options, |_| {})
            .await
            .with_context(|| format!("{:?}", credentials.password))?;
        credentials.password.push('.');
        let refused = client.pull(&image, Some(&credentials), options, |_| {}).await;
        ensure!(refused.is_err(), "{:?} was taken", credentials.password);
    }
    let anonymous = client.pull(&image, None, options, |_| {}).await;
    ensure!(anonymous.is_err(), "the registry asks nobody");
    Ok(())
}

/// The engine takes any certificate from the loopback addresses, so nothing on this machine has to be changed for it.
#[tokio::test]
async fn a_registry_with_tls_is_pulled_from() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let options = RegistryOptions { transport: Transport::Tls, ..RegistryOptions::user(USER, PASSWORD) };
    let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else { return Ok(()) };
    let image = registry.offer(TestImage::Busybox, scope.id()).await?;
    let credentials = inline(&config(&format!("https://{}", registry.host()), PASSWORD))?;
    let agent = Supervised::with(&engine, Options { credentials, ..Options::default() }).await?;
    agent.launch(&Task::shell("true").image_named(&image))?.finished().await?;
    agent.end().await
}
