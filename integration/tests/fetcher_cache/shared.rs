//! Tasks that want the same at the same time.

use anyhow::Result;
use futures_util::future::try_join_all;
use integration::web::{Page, Reply, WebServer};
use mesos_types::UriSpec;
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, Wish, cached, tar_of, until, uri};

/// Peer: FetcherCacheHttpTest.HttpCachedSerialized.
#[tokio::test(flavor = "multi_thread")]
async fn three_tasks_in_turn_make_two_requests() -> Result<()> {
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    let url = server.serve("/command", Page::new("run me"));
    for _ in 0..3 {
        let run = scene.fetch(&[UriSpec { executable: true, ..cached(&url) }]).await?.ok()?;
        assert_eq!((run.mode("command")?, run.read("command")?.as_str()), (0o755, "run me"));
    }
    assert_eq!((server.count("HEAD", "/command"), server.count("GET", "/command")), (1, 1));
    assert_eq!((scene.usage()?, scene.counts()), ((6, 1), (3, 0)));
    Ok(())
}

/// Peer: FetcherCacheHttpTest.HttpCachedConcurrent.
#[tokio::test(flavor = "multi_thread")]
async fn five_tasks_at_once_download_a_cached_file_once() -> Result<()> {
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    let command = server.serve("/command", Page::new("run me"));
    let archive = server.serve("/archive.tar", Page::new(tar_of("inside", "text")?));
    let runs = (0..5).map(|number| {
        let mut wanted = vec![cached(&command)];
        if number % 2 == 1 {
            wanted.push(uri(&archive));
        }
        let scene = &scene;
        async move { scene.fetch(&wanted).await?.ok() }
    });
    for (number, run) in try_join_all(runs).await?.into_iter().enumerate() {
        assert_eq!(run.read("command")?, "run me");
        assert_eq!(run.read("inside").is_ok(), number % 2 == 1);
    }
    assert_eq!((server.count("HEAD", "/command"), server.count("GET", "/command")), (1, 1));
    assert_eq!((server.count("HEAD", "/archive.tar"), server.count("GET", "/archive.tar")), (0, 2));
    assert_eq!((scene.usage()?, scene.counts()), ((6, 1), (5, 0)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_tasks_download_fifty_megabytes_once() -> Result<()> {
    const SIZE: usize = 50 << 20;
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    let url = server.serve("/model", Page::new(vec![7; SIZE]));
    let runs = (0..100).map(|_| {
        let (scene, wanted) = (&scene, [cached(&url)]);
        async move {
            let run = scene.fetch(&wanted).await?.ok()?;
            let size = std::fs::metadata(run.sandbox.join("model"))?.len();
            std::fs::remove_dir_all(&run.sandbox)?;
            anyhow::Ok(size)
        }
    });
    let sizes = try_join_all(runs).await?;
    assert!(sizes.iter().all(|size| *size == SIZE as u64));
    assert_eq!((server.count("HEAD", "/model"), server.count("GET", "/model")), (1, 1));
    assert_eq!((scene.usage()?, scene.counts()), ((SIZE as u64, 1), (100, 0)));
    Ok(())
}

/// The one that fills an entry is killed; one of those who wait takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_download_is_taken_over_by_one_who_waits() -> Result<()> {
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    let page = Page::new(vec![7; 1000]).replies([Reply::Stall(10), Reply::Well]);
    let url = server.serve("/page", page);
    let killed = CancellationToken::new();
    let wanted = [cached(&url)];
    let first = scene.run(Wish::of(&wanted).killed_by(&killed));
    let others = async {
        until("the first download stalls", || Ok(server.count("GET", "/page") == 1)).await?;
        let mut others: Vec<_> = (0..4).map(|_| Box::pin(scene.fetch(&wanted))).collect();
        // They take their places at their first poll.
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending());
        }
        killed.cancel();
        try_join_all(others).await
    };
    let (first, others) = tokio::join!(first, others);
    assert!(first?.error()?.contains("killed"));
    for run in others? {
        assert_eq!(run.ok()?.read("page")?.len(), 1000);
    }
    assert_eq!((server.count("GET", "/page"), scene.usage()?), (2, (1000, 1)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_have_the_cache_fetches_past_it() -> Result<()> {
    let scene = Scene::new()?;
    let file = scene.file("data", 20)?;
    scene.fetch(&[cached(&file)]).await?.ok()?;
    let other = Scene::with(|settings| settings.cache.directory = scene.path().join("cache"))?;
    let run = other.fetch(&[cached(&file)]).await?.ok()?;
    assert_eq!(run.read("data")?.len(), 20);
    assert!(run.stderr.contains("in use by another process"), "{}", run.stderr);
    assert_eq!(scene.usage()?, (20, 1));
    Ok(())
}
