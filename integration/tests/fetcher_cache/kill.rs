//! Fetches that end before their time: killed, failed, or on a full disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration::web::{Page, Reply, WebServer};
use mesos_types::UriSpec;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, Wish, cached, until, uri};

/// The processes whose environment names this directory: the children that fetch for it.
fn children_of(scene: &Scene) -> Result<usize> {
    let text = scene.path().to_str().context("a temporary path")?.as_bytes();
    let all =
        fs::read_dir("/proc")?.flatten().filter_map(|entry| fs::read(entry.path().join("environ")).ok());
    Ok(all.filter(|environment| environment.windows(text.len()).any(|window| window == text)).count())
}

/// Every name below a directory.
fn all_names(dir: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        names.push(entry.file_name().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            all_names(&entry.path(), names)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_ends_a_fetch_at_once_and_leaves_nothing() -> Result<()> {
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    for (path, output) in [("/plain", None), ("/deep", Some("sub/dir/file"))] {
        let url = server.serve(path, Page::new(vec![7; 1 << 20]).replies([Reply::Stall(1000)]));
        for wanted in [uri(&url), cached(&url)] {
            let before = server.count("GET", path);
            let wanted = UriSpec { output_file: output.map(str::to_owned), ..wanted };
            let killed = CancellationToken::new();
            let fetch = scene.run(Wish::of(&[wanted]).killed_by(&killed));
            let kill = async {
                until("the download stalls", || Ok(server.count("GET", path) > before)).await?;
                ensure!(children_of(&scene)? > 0, "no child is seen");
                killed.cancel();
                anyhow::Ok(Instant::now())
            };
            let (run, killed_at) = tokio::join!(fetch, kill);
            ensure!(killed_at?.elapsed() < Duration::from_secs(20), "the kill was slow");
            let run = run?;
            assert!(run.error()?.contains("killed"));
            until("no process is left", || Ok(children_of(&scene)? == 0)).await?;
            let mut names = Vec::new();
            all_names(&run.sandbox, &mut names)?;
            assert!(names.iter().all(|name| name == "sub" || name == "dir"), "{names:?}");
            assert_eq!(scene.usage()?, (0, 0));
        }
    }
    assert_eq!(scene.counts(), (0, 4));
    Ok(())
}

/// A fetch whose future is dropped, as when a runtime ends, leaves no process either.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_is_dropped_leaves_no_process() -> Result<()> {
    let (scene, server) = (Scene::new()?, WebServer::start().await?);
    let url = server.serve("/page", Page::new(vec![7; 1 << 20]).replies([Reply::Stall(1000)]));
    let wanted = [cached(&url)];
    tokio::select! {
        run = scene.fetch(&wanted) => anyhow::bail!("it ended: {:?}", run?),
        stalled = until("the download stalls", || Ok(server.count("GET", "/page") == 1)) => stalled?,
    };
    until("no process is left", || Ok(children_of(&scene)? == 0)).await?;
    assert_eq!(scene.fetcher.cache_usage(), (0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_fails_says_why_and_frees_its_room() -> Result<()> {
    let (scene, server) = (Scene::with(|settings| settings.retries = 0)?, WebServer::start().await?);
    let url = server.serve("/page", Page::new(vec![7; 1000]).replies([Reply::Status(404, Vec::new())]));
    let run = scene.fetch(&[cached(&url)]).await?;
    let error = run.error()?;
    assert!(
        error.starts_with("Failed to fetch all URIs for container 'container': exited with status 1"),
        "{error}"
    );
    assert!(error.contains("404") && error.contains(&url), "{error}");
    assert!(run.stderr.contains(&format!("Failed to fetch '{url}'")), "{}", run.stderr);
    assert_eq!((scene.usage()?, scene.counts()), ((0, 0), (0, 1)));
    Ok(())
}

/// A small file system of its own, unmounted at the end.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: &Path) -> Result<Option<Small>> {
        fs::create_dir_all(path)?;
        let options = c"size=1m,mode=0755";
        match mount("tmpfs", path, "tmpfs", MountFlags::empty(), options) {
            Ok(()) => Ok(Some(Small(path.to_owned()))),
            Err(errno) => {
                eprintln!("skipped: no file system can be mounted: {errno}");
                Ok(None)
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if let Err(errno) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("{} is left mounted: {errno}", self.0.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_the_fetch_and_the_books_stay_right() -> Result<()> {
    const SIZE: usize = 3 << 20;
    let scene = Scene::new()?;
    let server = WebServer::start().await?;
    let local = scene.file("local", SIZE)?;
    let remote = server.serve("/remote", Page::new(vec![7; SIZE]));
    let small = scene.file("small", 1000)?;
    // The cache's own disk is full.
    let Some(_cache) = Small::mount(&scene.path().join("cache"))? else { return Ok(()) };
    for source in [&local, &remote] {
        let run = scene.fetch(&[cached(source)]).await?;
        let error = run.error()?;
        assert!(error.contains("/cache/") && error.contains("o space left"), "{error}");
        assert!(error.contains("bytes were written") && error.contains("0 bytes are free"), "{error}");
        assert_eq!(scene.usage()?, (0, 0));
    }
    scene.fetch(&[cached(&small)]).await?.ok()?;
    assert_eq!(scene.usage()?, (1000, 1));
    // The sandbox's disk is full, be it by a download or by a copy from the cache.
    let Some(disk) = Small::mount(&scene.path().join("disk"))? else { return Ok(()) };
    for source in [&local, &remote] {
        let sandbox = disk.0.join(uuid::Uuid::new_v4().to_string());
        let run = scene.run_in(&sandbox, Wish::of(&[uri(source)])).await?;
        let error = run.error()?;
        let path = sandbox.to_str().context("a temporary path")?;
        assert!(error.contains(path) && error.contains("o space left"), "{error}");
        assert!(run.names().is_empty(), "{:?}", run.names());
    }
    Ok(())
}
