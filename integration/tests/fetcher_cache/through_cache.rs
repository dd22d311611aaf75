//! One task after the other, through the cache and past it.

use anyhow::Result;
use fetcher::agent::Told;
use integration::web::{Page, WebServer};
use mesos_types::UriSpec;

use crate::scene::{Scene, Wish, cached, is_measured, tar_of, uri};

/// Peer: FetcherCacheTest.LocalUncached.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_the_cache_stays_empty() -> Result<()> {
    let scene = Scene::new()?;
    let file = scene.file("command", 20)?;
    for _ in 0..3 {
        let run = scene.fetch(&[UriSpec { executable: true, ..uri(&file) }]).await?.ok()?;
        assert_eq!((run.mode("command")?, run.read("command")?.len()), (0o755, 20));
        assert_eq!(run.actions()?, ["BYPASS_CACHE"]);
    }
    assert_eq!((scene.usage()?, scene.counts()), ((0, 0), (3, 0)));
    Ok(())
}

/// Peer: FetcherCacheTest.LocalCached.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_uri_is_one_entry_and_one_file() -> Result<()> {
    let scene = Scene::new()?;
    let wanted = UriSpec { executable: true, ..cached(scene.file("command", 20)?) };
    for action in ["DOWNLOAD_AND_CACHE", "RETRIEVE_FROM_CACHE"] {
        let run = scene.fetch(std::slice::from_ref(&wanted)).await?.ok()?;
        assert_eq!((run.mode("command")?, run.read("command")?.len()), (0o755, 20));
        assert_eq!(run.actions()?, [action]);
        assert_eq!(scene.usage()?, (20, 1));
    }
    assert_eq!(scene.cache_files()?, ["c1-command"]);
    let metrics = scene.fetcher.metrics();
    assert_eq!(scene.counts(), (2, 0));
    assert_eq!(metrics.cache_size_total_bytes, 2 << 30);
    assert_eq!(metrics.named()[3], ("containerizer/fetcher/cache_size_used_bytes", 20));
    Ok(())
}

/// Peer: FetcherCacheTest.LocalCachedMissing.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_file_that_somebody_deleted_is_fetched_again() -> Result<()> {
    let scene = Scene::new()?;
    let wanted = [cached(scene.file("command", 20)?)];
    let account = fetcher::agent::Account::ours();
    for _ in 0..2 {
        let run = scene.fetch(&wanted).await?.ok()?;
        assert_eq!(run.actions()?, ["DOWNLOAD_AND_CACHE"]);
        assert_eq!(scene.usage()?, (20, 1));
        let name = scene.cache_files()?.remove(0);
        std::fs::remove_file(scene.path().join("cache").join(account.name()).join(name))?;
    }
    Ok(())
}

/// Peer: FetcherCacheTest.CachedCustomFilename.
/// Peer: FetcherCacheTest.CachedCustomOutputFileWithSubdirectory.
#[tokio::test(flavor = "multi_thread")]
async fn a_cached_file_may_have_another_name_in_the_sandbox() -> Result<()> {
    let scene = Scene::new()?;
    let file = scene.file("command", 20)?;
    for name in ["custom.txt", "subdir/deeper/custom.txt"] {
        for _ in 0..2 {
            let wanted = UriSpec { output_file: Some(name.into()), ..cached(&file) };
            let run = scene.fetch(&[wanted]).await?.ok()?;
            assert_eq!(run.read(name)?.len(), 20);
        }
    }
    assert_eq!(scene.usage()?, (20, 1));
    Ok(())
}

/// Peer: FetcherTest.DuplicateFileURI.
#[tokio::test(flavor = "multi_thread")]
async fn a_uri_that_is_wanted_three_times_is_fetched_once() -> Result<()> {
    let scene = Scene::new()?;
    let file = scene.file("data", 20)?;
    let wanted: Vec<_> = ["one", "two", "sub/three"]
        .map(|name| UriSpec { output_file: Some(name.into()), ..cached(&file) })
        .into();
    for _ in 0..2 {
        let run = scene.fetch(&wanted).await?.ok()?;
        for name in ["one", "two", "sub/three"] {
            assert_eq!(run.read(name)?.len(), 20);
        }
        assert_eq!(scene.usage()?, (20, 1));
    }
    assert_eq!(scene.counts(), (2, 0));
    Ok(())
}

/// Peer: FetcherCacheTest.CachedFallback.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_size_cannot_be_had_goes_past_the_cache() -> Result<()> {
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    let wish = Wish::of(&[cached(server.url("/late"))]);
    // The page is there only once its size was asked for in vain.
    let run = scene.run(wish.when_told(|told| {
        if let Told::Note(line) = told {
            assert!(line.starts_with("Reverting to fetching directly into the sandbox"), "{line}");
            server.serve("/late", Page::new("here"));
        }
    }));
    let run = run.await?.ok()?;
    assert_eq!((run.read("late")?, run.actions()?), ("here".into(), vec!["BYPASS_CACHE".to_owned()]));
    assert!(run.stderr.contains("Reverting to fetching directly"), "{}", run.stderr);
    assert_eq!(scene.usage()?, (0, 0));
    Ok(())
}

/// Peer: FetcherCacheTest.LocalUncachedExtract.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_past_the_cache_stays_beside_what_was_in_it() -> Result<()> {
    let scene = Scene::new()?;
    let archive = scene.archive("archive.tar", "inside", "text")?;
    let run = scene.fetch(&[uri(archive)]).await?.ok()?;
    assert_eq!(
        (run.names(), run.read("inside")?.as_str()),
        (vec!["archive.tar".into(), "inside".into()], "text")
    );
    assert_eq!(run.mode("archive.tar")? & 0o111, 0);
    assert!(run.result?.registry_archives.is_empty());
    assert_eq!(scene.usage()?, (0, 0));
    Ok(())
}

/// What hides credentials from a task must know the archive that they came out of, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_with_registry_credentials_is_told_apart() -> Result<()> {
    let scene = Scene::new()?;
    let wanted = [
        uri(scene.archive("app.tar", "config.json", "{}")?),
        uri(scene.archive("docker.tar", ".docker/config.json", "{}")?),
        uri(scene.archive("old.tar", ".dockercfg", "{}")?),
        cached(scene.archive("cached.tar", ".dockercfg", "{}")?),
    ];
    let run = scene.fetch(&wanted).await?.ok()?;
    let archives: Vec<_> = run.result?.registry_archives.iter().map(ToString::to_string).collect();
    assert_eq!(archives, ["docker.tar", "old.tar"]);
    Ok(())
}

/// Peer: FetcherCacheTest.LocalCachedExtract.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_from_the_cache_leaves_only_what_was_in_it() -> Result<()> {
    let scene = Scene::new()?;
    let wanted = [cached(scene.archive("archive.tar", "inside", "text")?)];
    for _ in 0..2 {
        let run = scene.fetch(&wanted).await?.ok()?;
        assert_eq!(run.names(), ["inside"]);
        assert!(run.result?.registry_archives.is_empty());
        assert_eq!(scene.usage()?.1, 1);
    }
    Ok(())
}

/// Peer: FetcherCacheHttpTest.HttpMixed.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_cache_and_tasks_that_do_not_share_a_server() -> Result<()> {
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    let command = server.serve("/command", Page::new("run me"));
    let archive = server.serve("/archive.tar", Page::new(tar_of("inside", "text")?));

    let first =
        [UriSpec { executable: true, ..uri(&command) }, UriSpec { extract: false, ..cached(&archive) }];
    let run = scene.fetch(&first).await?.ok()?;
    assert_eq!((run.mode("command")?, run.mode("archive.tar")? & 0o111), (0o755, 0));
    assert_eq!(run.names(), ["archive.tar", "command"]);

    let second = [cached(&command), uri(&archive)];
    let run = scene.fetch(&second).await?.ok()?;
    assert_eq!(
        (run.mode("command")? & 0o111, run.names()),
        (0, ["archive.tar", "command", "inside"].map(Into::into).into())
    );

    let third = [UriSpec { executable: true, ..cached(&command) }, cached(&archive)];
    let run = scene.fetch(&third).await?.ok()?;
    assert_eq!((run.mode("command")?, run.names()), (0o755, ["command", "inside"].map(Into::into).into()));

    for path in ["/command", "/archive.tar"] {
        assert_eq!((server.count("HEAD", path), server.count("GET", path)), (1, 2), "{path}");
    }
    Ok(())
}

/// Peer: Own.FetcherCachedDownloadShorterThanAnnounced.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_smaller_than_announced_gives_room_back() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.size = 100)?;
    let server = WebServer::start().await?;
    let url = server.serve("/page", Page::new(vec![b'x'; 90]));
    let wish = Wish::of(&[cached(&url)]).when_told(|told| {
        if is_measured(told) {
            server.serve("/page", Page::new(vec![b'x'; 40]));
        }
    });
    let run = scene.run(wish).await?.ok()?;
    assert_eq!((run.read("page")?.len(), scene.usage()?), (40, (40, 1)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_larger_than_announced_and_than_the_cache_is_not_kept() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.size = 100)?;
    let server = WebServer::start().await?;
    let url = server.serve("/page", Page::new(vec![b'x'; 50]));
    let wish = Wish::of(&[cached(&url)]).when_told(|told| {
        if is_measured(told) {
            server.serve("/page", Page::new(vec![b'x'; 200]));
        }
    });
    let run = scene.run(wish).await?.ok()?;
    assert_eq!((run.read("page")?.len(), scene.usage()?), (200, (0, 0)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_asked_for_a_newer_version_only_with_the_flag() -> Result<()> {
    for (revalidation, expected, gets) in
        [(fetcher::agent::Revalidation::Never, "one", 1), (fetcher::agent::Revalidation::Always, "two", 2)]
    {
        let scene = Scene::with(|settings| settings.cache.revalidation = revalidation)?;
        let server = WebServer::start().await?;
        let url = server.serve("/page", Page::new("one"));
        for _ in 0..2 {
            assert_eq!(scene.fetch(&[cached(&url)]).await?.ok()?.read("page")?, "one");
        }
        assert_eq!(server.count("GET", "/page"), 1);
        server.serve("/page", Page::new("two").etag(Some("\"two\"")));
        assert_eq!(scene.fetch(&[cached(&url)]).await?.ok()?.read("page")?, expected);
        assert_eq!((server.count("GET", "/page"), scene.usage()?), (gets, (3, 1)));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_of_the_same_size_that_changed_is_seen_with_the_flag() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.revalidation = fetcher::agent::Revalidation::Always)?;
    let file = scene.file("file", 3)?;
    let wanted = [cached(&file)];
    for (content, action) in [
        ("one", "DOWNLOAD_AND_CACHE"),
        ("one", "RETRIEVE_FROM_CACHE"),
        ("two", "DOWNLOAD_AND_CACHE"),
        ("two", "RETRIEVE_FROM_CACHE"),
    ] {
        if std::fs::read_to_string(&file)? != content {
            std::fs::write(&file, content)?;
            // Two writes may have one time on a coarse clock.
            let time =
                std::time::SystemTime::now() + std::time::Duration::from_secs(u64::from(content == "two"));
            std::fs::File::options().write(true).open(&file)?.set_modified(time)?;
        }
        let run = scene.fetch(&wanted).await?.ok()?;
        assert_eq!((run.read("file")?.as_str(), run.actions()?), (content, vec![action.to_owned()]));
    }
    assert_eq!(scene.usage()?, (3, 1));
    Ok(())
}

/// One that another task's fetch still holds is no less outdated.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_fetched_while_another_task_still_uses_the_old_one() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.revalidation = fetcher::agent::Revalidation::Always)?;
    let server = WebServer::start().await?;
    let url = server.serve("/page", Page::new("one"));
    scene.fetch(&[cached(&url)]).await?.ok()?;
    let slow = server.serve("/slow", Page::new("slow").replies([integration::web::Reply::Stall(1)]));
    let killed = tokio_util::sync::CancellationToken::new();
    let holds = [cached(&url), crate::scene::uri(&slow)];
    let holding = scene.run(Wish::of(&holds).killed_by(&killed));
    let newer = async {
        crate::scene::until("the slow download", || Ok(server.count("GET", "/slow") > 0)).await?;
        server.serve("/page", Page::new("two").etag(Some("\"two\"")));
        let read = scene.fetch(&[cached(&url)]).await?.ok()?.read("page")?;
        // Both are there until the first has ended.
        let both = scene.usage()?;
        killed.cancel();
        anyhow::Ok((read, both))
    };
    let (held, newer) = tokio::join!(holding, newer);
    assert!(held?.result.is_err());
    assert_eq!(newer?, ("two".to_owned(), (6, 2)));
    assert_eq!(scene.usage()?, (3, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_may_link_to_where_the_sandbox_is_mounted() -> Result<()> {
    let scene = Scene::new()?;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    archive.append_link(&mut header, "link", "/box/target")?;
    let path = scene.path().join("a.tar");
    std::fs::write(&path, archive.into_inner()?)?;
    let wanted = [crate::scene::uri(path.display().to_string())];
    let run = scene.run(Wish::of(&wanted).mounted_at("/box")).await?.ok()?;
    assert_eq!(std::fs::read_link(run.sandbox.join("link"))?, std::path::Path::new("/box/target"));
    assert!(scene.fetch(&wanted).await?.result.is_err(), "the sandbox is mounted elsewhere");
    Ok(())
}
