//! A test with an engine: an image and a label of its own, and everything swept when it ends, also by a panic.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use docker_engine::{
    AnonymousVolumes, CreateBody, Engine, EngineOptions, Force, ImageRef, Inspection, ListFilter,
    resolve_socket,
};

use super::image;

/// The label of everything that the tests make.
const LABEL: &str = "org.apache.mesos.test";

/// A deadline for what takes a moment, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(60);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What a test works with.
#[derive(Debug, Clone)]
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) image: ImageRef,
    /// This test's own value of the label, and the front of the names of its containers.
    pub(crate) id: String,
}

impl Lab {
    /// Starts a request for a container of this test.
    pub(crate) fn body(&self, cmd: &[&str]) -> CreateBody {
        let mut body = body(self.image.as_given(), cmd);
        body.labels.insert(LABEL.into(), self.id.clone());
        body.host_config.network_mode = "none".into();
        body
    }

    pub(crate) fn label(&self) -> String {
        format!("{LABEL}={}", self.id)
    }

    /// Makes a container; returns its id.
    pub(crate) async fn create(&self, name: &str, body: &CreateBody) -> String {
        self.engine.create(&format!("{}-{name}", self.id), body, SOON).await.unwrap().id
    }

    /// Makes and starts a container; returns its id.
    pub(crate) async fn run(&self, name: &str, cmd: &[&str]) -> String {
        let id = self.create(name, &self.body(cmd)).await;
        self.engine.start(&id, SOON).await.unwrap();
        id
    }

    pub(crate) async fn inspect(&self, id: &str) -> Inspection {
        self.engine.inspect(id, SOON).await.unwrap().expect("the container is there")
    }

    /// Connects to the same engine with other options.
    pub(crate) async fn connect(&self, socket: &std::path::Path) -> Engine {
        Engine::connect(EngineOptions::new(socket)).await.unwrap()
    }

    /// Removes an image that this test pulled.
    pub(crate) async fn forget(&self, image: &ImageRef) {
        image::remove(self.engine.socket(), image.as_given()).await;
    }

    async fn sweep(&self) {
        let filter = ListFilter { labels: vec![self.label()], ..ListFilter::default() };
        for container in self.engine.list(&filter, SOON).await.unwrap() {
            self.engine.remove(&container.id, Force::Yes, AnonymousVolumes::Remove, SOON).await.unwrap();
        }
        for volume in self.engine.volume_list(&self.label(), SOON).await.unwrap() {
            self.engine.volume_remove(&volume.name, SOON).await.unwrap();
        }
        image::remove(self.engine.socket(), self.image.as_given()).await;
    }
}

/// Starts a request for a container.
fn body(image: &str, cmd: &[&str]) -> CreateBody {
    let cmd = cmd.iter().map(|part| (*part).to_owned()).collect();
    CreateBody { image: image.to_owned(), cmd: Some(cmd), ..CreateBody::default() }
}

/// Runs a test if an engine answers.
pub(crate) async fn with_engine<F, T>(name: &str, test: F)
where
    F: FnOnce(Lab) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let docker_host = std::env::var("DOCKER_HOST").ok();
    let socket = resolve_socket(None, docker_host.as_deref()).unwrap();
    let engine = match Engine::connect(EngineOptions::new(socket)).await {
        Ok(engine) => engine,
        Err(error) => {
            println!("SKIPPED {name}: no Docker Engine answers: {error}");
            let required = std::env::var("MESOS_TEST_REQUIRE_ENGINE").is_ok_and(|value| value == "1");
            assert!(!required, "MESOS_TEST_REQUIRE_ENGINE=1 and {error}");
            return;
        }
    };
    let id = format!("mesos-engine-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    image::import(engine.socket(), &id).await;
    let lab = Lab { engine, image: format!("{id}:1").parse().unwrap(), id };
    let ended = tokio::spawn(test(lab.clone())).await;
    lab.sweep().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic.into_panic());
    }
}
