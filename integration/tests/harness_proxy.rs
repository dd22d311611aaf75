//! The fault proxy against the real engine: what no rule names passes unchanged, and each fault is what it says.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use integration::images::TestImage;
use integration::{Fault, FaultProxy, RawClient, Rule, TestScope, eventually, require_engine};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// A scope, a proxy in front of its engine, and a client through the proxy.
async fn arrange(engine: &integration::TestEngine) -> Result<(TestScope, FaultProxy, RawClient)> {
    let scope = TestScope::new(engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let mut client = RawClient::new(proxy.socket());
    client.negotiate().await?;
    Ok((scope, proxy, client))
}

async fn create(client: &mut RawClient, scope: &TestScope, suffix: &str, command: &[&str]) -> Result<String> {
    let body = json!({
        "Image": TestImage::Busybox.reference(), "Cmd": command, "Labels": scope.labels(), "OpenStdin": true,
        "StdinOnce": true, "AttachStdin": true, "HostConfig": { "NetworkMode": "none" },
    });
    let path = format!("/containers/create?name={}", scope.name(suffix));
    let created = client.post(&path, &body).await?.json()?;
    Ok(created["Id"].as_str().context("an id")?.to_owned())
}

#[tokio::test]
async fn without_rules_everything_passes() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, proxy, mut client) = arrange(&engine).await?;

    // Keep-alive, lengths and chunks: the same answers as without the proxy.
    let mut direct = engine.client().await?;
    for path in ["/version", "/images/mesos-test/busybox:latest/json"] {
        assert_eq!(client.get(path).await?.json()?, direct.get(path).await?.json()?, "{path}");
    }
    // A request body.
    let id = create(&mut client, &scope, "whole", &["sh", "-c", "head -c 300000 /dev/zero; cat"]).await?;
    // An upgraded connection, both directions, with a half-close.
    let attach = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1");
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "tcp")];
    let mut attached = client.stream("POST", &attach, &upgrade, None).await?;
    assert_eq!(attached.head.status, 101);
    client.post_empty(&format!("/containers/{id}/start")).await?.ok()?;
    attached.send(b"over the wire\n").await?;
    let seen = attached.read_until(|seen| seen.ends_with(b"over the wire\n")).await?;
    assert!(seen.len() > 300_000);
    drop(attached);
    // A long poll, and a big chunked answer.
    client.post_empty(&format!("/containers/{id}/wait")).await?.ok()?;
    let path = format!("/containers/{id}/logs?stdout=1");
    assert_eq!(client.get(&path).await?.ok()?.body, direct.get(&path).await?.ok()?.body);

    let asked: Vec<_> = proxy.requests().into_iter().map(|head| head.method).collect();
    assert_eq!(asked, ["GET", "GET", "GET", "POST", "POST", "POST", "POST", "GET"]);
    client.delete(&format!("/containers/{id}?v=1")).await?.ok()?;
    scope.assert_clean().await
}

#[tokio::test]
async fn a_replaced_or_cut_request_never_reaches_the_engine() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, proxy, mut client) = arrange(&engine).await?;
    let replaced =
        proxy.add(Rule::new("POST", "/containers/create", Fault::error(507, "no space left")).times(1));
    let error = create(&mut client, &scope, "never", &["true"]).await.expect_err("created all the same");
    assert!(format!("{error:#}").contains("507: {\"message\":\"no space left\"}"), "{error:#}");
    let cut = proxy.add(Rule::new("POST", "/containers/create", Fault::Cut));
    create(&mut client, &scope, "never", &["true"]).await.expect_err("created through a cut connection");
    assert_eq!((proxy.hits(replaced), proxy.hits(cut)), (1, 1));
    scope.assert_clean().await?;
    proxy.remove(cut);
    create(&mut client, &scope, "now", &["true"]).await?;
    assert_eq!(scope.sweep().await?.containers, [format!("/{}", scope.name("now"))]);
    Ok(())
}

#[tokio::test]
async fn a_cut_or_replaced_answer_hides_what_the_engine_did() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, proxy, mut client) = arrange(&engine).await?;
    proxy.add(Rule::new("POST", "/containers/create", Fault::CutAnswer).times(1));
    create(&mut client, &scope, "cut", &["true"]).await.expect_err("answered through a cut connection");
    proxy.add(Rule::new("POST", "/containers/create", Fault::ReplaceAnswer(500, "{}".to_owned())).times(1));
    let error =
        create(&mut client, &scope, "replaced", &["true"]).await.expect_err("the engine's own answer");
    assert!(format!("{error:#}").contains("the engine answered 500"), "{error:#}");
    // Both exist, though the client was told otherwise; the connection is still good.
    let mut left = scope.leftovers().await?.containers;
    left.sort();
    assert_eq!(left, [format!("/{}", scope.name("cut")), format!("/{}", scope.name("replaced"))]);
    client.get("/version").await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn what_hangs_goes_on_when_its_rule_is_removed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, proxy, mut client) = arrange(&engine).await?;
    for fault in [Fault::Hang, Fault::HangAnswer] {
        let acts = fault == Fault::HangAnswer;
        let rule = proxy.add(Rule::new("POST", "/containers/create", fault));
        let suffix = if acts { "acts" } else { "waits" };
        let hanging = create(&mut client, &scope, suffix, &["true"]);
        tokio::pin!(hanging);
        assert!(tokio::time::timeout(SHORT, &mut hanging).await.is_err(), "a hanging request was answered");
        if acts {
            let made = eventually("what the engine made", SOON, async || {
                Ok((scope.leftovers().await?.containers.len() == 1).then_some(()))
            });
            tokio::select! {
                answered = &mut hanging => panic!("a hanging request was answered: {answered:?}"),
                made = made => made?,
            }
        } else {
            assert_eq!(scope.leftovers().await?.containers.len(), 0);
        }
        proxy.remove(rule);
        hanging.await?;
        scope.sweep().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_gives_up_on_a_hanging_request_never_reaches_the_engine() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, proxy, mut client) = arrange(&engine).await?;
    let mut hasty = RawClient::new(proxy.socket()).with_deadline(SHORT);
    let rule = proxy.add(Rule::new("POST", "/containers/create", Fault::Hang));
    create(&mut hasty, &scope, "given-up", &["true"]).await.expect_err("answered while it hung");
    drop(hasty);
    // Two round trips through the proxy: it had the time to see the closed connection before the rule goes.
    client.get("/version").await?.ok()?;
    client.get("/version").await?.ok()?;
    proxy.remove(rule);
    client.get("/version").await?.ok()?;
    scope.assert_clean().await
}

#[tokio::test]
async fn a_delay_before_the_engine_and_one_behind_it_are_told_apart() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, proxy, mut client) = arrange(&engine).await?;
    proxy.add(Rule::new("POST", "/containers/create", Fault::Delay(SHORT)).times(1));
    proxy.add(Rule::new("POST", "/containers/create", Fault::DelayAnswer(SOON)));
    let began = Instant::now();
    create(&mut client, &scope, "late", &["true"]).await?;
    assert!(began.elapsed() >= SHORT, "answered after {:?}", began.elapsed());
    let delayed = create(&mut client, &scope, "told-late", &["true"]);
    tokio::pin!(delayed);
    let exists = eventually("the second container", SOON, async || {
        Ok((scope.leftovers().await?.containers.len() == 2).then_some(()))
    });
    tokio::select! {
        answered = &mut delayed => panic!("answered at once: {answered:?}"),
        found = exists => found?,
    }
    Ok(())
}

#[tokio::test]
async fn a_log_stream_is_cut_or_stalled_after_the_bytes_its_rule_says() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, proxy, mut client) = arrange(&engine).await?;
    let id = scope.run("talker", TestImage::Busybox, &["sh", "-c", "yes 0123456789 | head -n 5000"]).await?;
    client.post_empty(&format!("/containers/{id}/wait")).await?.ok()?;
    let path = format!("/containers/{id}/logs?stdout=1&follow=1");
    let whole = client.get(&path).await?.ok()?.body;
    assert_eq!(whole.len(), 5000 * (11 + 8), "lines of 11 bytes, each with a frame head of 8");

    proxy.add(Rule::new("GET", "/containers/*/logs", Fault::CutBody(1000)).with_query("follow=1").times(1));
    let mut cut = client.stream("GET", &path, &[], None).await?;
    let mut seen = Vec::new();
    let error = loop {
        match cut.next().await {
            Ok(Some(piece)) => seen.extend_from_slice(&piece),
            Ok(None) => panic!("a cut stream looked complete"),
            Err(error) => break error,
        }
    };
    assert_eq!(seen, whole[..1000], "{error:#}");

    let rule = proxy.add(Rule::new("GET", "/containers/*/logs", Fault::StallBody(500)).times(1));
    let mut stalled = client.stream("GET", &path, &[], None).await?;
    let mut seen = stalled.read_until(|seen| seen.len() >= 500).await?;
    assert_eq!(seen.len(), 500);
    assert!(tokio::time::timeout(SHORT, stalled.next()).await.is_err(), "a stalled stream went on");
    proxy.remove(rule);
    while let Some(piece) = stalled.next().await? {
        seen.extend_from_slice(&piece);
    }
    assert_eq!(seen, whole);
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_goes_down_looks_like_a_dead_daemon() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (scope, mut proxy, mut client) = arrange(&engine).await?;
    let id = scope.run("long", TestImage::Busybox, &["sleep", "1000"]).await?;
    let mut events =
        client.stream("GET", &format!("/containers/{id}/logs?stdout=1&follow=1"), &[], None).await?;
    proxy.go_down().await?;
    events.next().await.expect_err("a stream of a dead daemon ended well");
    client.get("/version").await.expect_err("a dead daemon answered");
    client.get("/version").await.expect_err("a dead daemon answered");
    proxy.come_back().await?;
    client.get("/version").await?.ok()?;
    proxy.cut_all();
    client.get("/version").await.expect_err("the old connection still worked");
    client.get("/version").await?.ok()?;
    Ok(())
}
