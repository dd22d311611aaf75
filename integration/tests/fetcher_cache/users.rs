//! Whom a fetch runs as, and whose files it makes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::Result;
use fetcher::agent::{Account, FetchError};

use crate::scene::{Scene, Wish, cached, uri};

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
        let run = scene.run(Wish::of(&[wanted]).by(Account::named("nobody")?)).await?;
        let error = run.error()?;
        assert!(error.contains("exited with status 1") && error.contains("ermission denied"), "{error}");
        assert!(run.stderr.contains("Failed to fetch"), "{}", run.stderr);
        assert!(!run.names().contains(&"secret".to_owned()));
    }
    // Root's own entry is not found by others.
    scene.fetch(&[cached(&file)]).await?.ok()?;
    assert!(scene.run(Wish::of(&[cached(&file)]).by(Account::named("nobody")?)).await?.error().is_ok());
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
    let nobody = Account::named("nobody")?;
    let numbered = Account::named("4242")?;
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
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_fetches_nothing() -> Result<()> {
    let error = Account::named("no-such-user-here").expect_err("unknown");
    assert!(matches!(error, FetchError::Chown { .. }) && error.to_string().contains("chown"), "{error}");
    Ok(())
}
