//! Whom a fetch runs as, and whose files it makes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::Result;
use fetcher::agent::Account;
use integration::images::TestImage;
use integration::logs_check::runs_below;
use integration::supervised::PATIENCE;
use integration::{TestScope, cli_run, require_engine};
use serde_json::json;

use crate::scene::{Scene, Wish, cached, uri, user};

/// Only root can become somebody else.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: not root");
    }
    is_root
}

/// Peer: FetcherTest.ROOT_UNPRIVILEGED_USER_RootProtectedFileURI.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_user_gets_no_file_of_root() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let scene = Scene::new()?;
    let file = scene.file("secret", 20)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    for wanted in [uri(&file), cached(&file)] {
        let run = scene.run(Wish::of(&[wanted]).by(user("nobody")?)).await?;
        let error = run.error()?;
        assert!(error.contains("exited with status 1") && error.contains("ermission denied"), "{error}");
        assert!(run.stderr.contains("Failed to fetch"), "{}", run.stderr);
        assert!(!run.names().contains(&"secret".to_owned()));
    }
    // Root's own entry is not found by others.
    scene.fetch(&[cached(&file)]).await?.ok()?;
    assert!(scene.run(Wish::of(&[cached(&file)]).by(user("nobody")?)).await?.error().is_ok());
    assert_eq!((scene.usage()?, scene.counts()), ((20, 1), (1, 3)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_has_a_cache_and_owns_what_was_fetched() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let scene = Scene::new()?;
    let file = scene.file("data", 20)?;
    let nobody = user("nobody")?;
    let numbered = user("4242")?;
    for account in [Account::ours(), nobody.clone(), numbered.clone()] {
        let run = scene.run(Wish::of(&[cached(&file)]).by(account.clone())).await?.ok()?;
        assert_eq!(run.actions()?, ["DOWNLOAD_AND_CACHE"]);
        let uid = account.switched().map_or(0, sandbox::Owner::uid);
        assert_eq!(fs::metadata(run.sandbox.join("data"))?.uid(), uid);
        let directory = fs::metadata(scene.path().join("cache").join(account.name()))?;
        assert_eq!((directory.uid(), directory.mode() & 0o777), (uid, 0o700));
    }
    assert_eq!(scene.usage()?, (60, 3));
    Ok(())
}

/// Peer: FetcherTest.InvalidUser.
///
/// Through the program, with a user that is not there and with numbers that would be root's.
#[tokio::test]
async fn an_unknown_user_fails_the_task_as_the_chown_of_stock_does() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let work_dir = scope.subdir("work")?;
    let definition = work_dir.join("app.json");
    for user in ["no-such-user-here", "0", "00", "+0"] {
        let app = json!({
            "id": "/app", "cmd": "true", "cpus": 0.1, "mem": 64, "user": user, "fetch": [{ "uri": "/etc/shadow" }],
            "container": { "type": "DOCKER", "docker": {
                "image": TestImage::Busybox.reference(), "network": "HOST",
            } },
        });
        fs::write(&definition, app.to_string())?;
        let output = tokio::process::Command::new(cli_run::program()?)
            .arg("run")
            .arg(format!("--agent-id={}", scope.agent_id()))
            .arg(format!("--work_dir={}", work_dir.display()))
            .arg(format!("--docker_socket={}", engine.socket().display()))
            .arg(&definition)
            .env_remove("DOCKER_HOST")
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, output).await??;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{user}: {stderr}");
        assert!(stderr.contains("Failed to chown") && stderr.contains(user), "{stderr}");
        assert!(runs_below(&work_dir)?.is_empty(), "something was made for {user}");
    }
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_the_task_hold_for_its_fetch() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let scene = Scene::new()?;
    let file = scene.file("data", 2000)?;
    let wish = |soft| {
        let limit = mesos_types::Rlimit { name: "fsize", soft, hard: soft };
        Wish::of(&[uri(&file)]).limited(limit)
    };
    let run = scene.run(wish(1000).by(user("nobody")?)).await?;
    assert!(run.error()?.contains("SIGXFSZ") || run.error()?.contains("File too large"), "{}", run.error()?);
    scene.run(wish(-1).by(user("nobody")?)).await?.ok()?;
    // Where nobody is switched to, the fetch is ours.
    scene.run(wish(1000)).await?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_user_in_her_directory_leaves_the_others_their_cache() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let scene = Scene::new()?;
    let file = scene.file("data", 20)?;
    let directory = scene.path().join("cache/nobody");
    fs::create_dir_all(&directory)?;
    fs::set_permissions(scene.path().join("cache"), fs::Permissions::from_mode(0o711))?;
    fs::write(directory.join("x"), "hers")?;
    let run = scene.run(Wish::of(&[cached(&file)]).by(user("nobody")?)).await?.ok()?;
    assert_eq!(run.actions()?, ["BYPASS_CACHE"]);
    assert!(run.stderr.contains("Reverting to fetching directly") && run.stderr.contains("nobody/x"));
    for action in ["DOWNLOAD_AND_CACHE", "RETRIEVE_FROM_CACHE"] {
        assert_eq!(scene.fetch(&[cached(&file)]).await?.ok()?.actions()?, [action]);
    }
    assert_eq!(fs::read_to_string(directory.join("x"))?, "hers");
    Ok(())
}
