//! A cache that is too small.

use anyhow::Result;

use crate::scene::{Scene, cached};

/// The ends of the names in the cache.
fn kept(scene: &Scene) -> Result<Vec<String>> {
    let names = scene.cache_files()?.into_iter();
    Ok(names.map(|name| name.rsplit_once('-').map_or(name.clone(), |(_, end)| end.to_owned())).collect())
}

/// Peer: FetcherCacheTest.SimpleEviction.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_with_room_for_two_keeps_two() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.size = 20)?;
    for (number, entries) in [1, 2, 2, 2].into_iter().enumerate() {
        let file = scene.file(&format!("file{number}"), 10)?;
        let run = scene.fetch(&[cached(file)]).await?.ok()?;
        assert_eq!(run.actions()?, ["DOWNLOAD_AND_CACHE"]);
        assert_eq!(scene.usage()?, (entries * 10, usize::try_from(entries)?));
    }
    assert_eq!(kept(&scene)?, ["file2", "file3"]);
    Ok(())
}

/// Peer: FetcherCacheTest.FallbackFromEviction.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_larger_than_the_cache_goes_past_it() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.size = 30)?;
    for (name, size, action, available) in [
        ("first", 20, "DOWNLOAD_AND_CACHE", 10),
        ("second", 30, "DOWNLOAD_AND_CACHE", 0),
        ("third", 31, "BYPASS_CACHE", 0),
    ] {
        let run = scene.fetch(&[cached(scene.file(name, size)?)]).await?.ok()?;
        assert_eq!((run.actions()?, run.read(name)?.len()), (vec![action.to_owned()], size));
        let metrics = scene.fetcher.metrics();
        assert_eq!(metrics.cache_size_total_bytes - metrics.cache_size_used_bytes, available, "{name}");
    }
    assert_eq!((kept(&scene)?, scene.counts()), (vec!["second".to_owned()], (3, 0)));
    Ok(())
}

/// Peer: FetcherCacheTest.RemoveLRUCacheEntries.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_longest_ago_is_evicted() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.size = 20)?;
    for name in ["file0", "file1", "file1", "file2"] {
        scene.fetch(&[cached(scene.file(name, 10)?)]).await?.ok()?;
    }
    assert_eq!(kept(&scene)?, ["file1", "file2"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_no_bytes_is_none() -> Result<()> {
    let scene = Scene::with(|settings| settings.cache.size = 0)?;
    let run = scene.fetch(&[cached(scene.file("file", 10)?)]).await?.ok()?;
    assert_eq!(run.actions()?, ["BYPASS_CACHE"]);
    assert!(!scene.path().join("cache").exists());
    Ok(())
}
