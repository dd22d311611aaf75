//! An image registry that serves one image of one layer, and writes down who asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::image::layer;
use super::lab::SOON;

/// Whether the registry wants a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// It asks for one, and takes any.
    Basic,
    /// It does not.
    No,
}

/// What the registry does with the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Sends it.
    Good,
    /// Sends the first bytes, and then nothing.
    Stall,
    /// Sends the first bytes, and then one now and then: the engine notices only on a byte that it is not wanted.
    Drip,
}

/// The registry. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct FakeRegistry {
    pub(crate) port: u16,
    pub(crate) manifest_digest: String,
    authorizations: Arc<Mutex<Vec<String>>>,
    /// How a layer that was not sent to its end goes on.
    stalled: watch::Receiver<Stalled>,
    task: JoinHandle<()>,
}

/// What became of the layer that stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// Nobody asked for it.
    NotYet,
    /// The engine waits for the rest.
    Waiting,
    /// The engine has hung up.
    HungUp,
}

#[derive(Debug)]
struct Content {
    stalled: watch::Sender<Stalled>,
    login: Login,
    manners: Manners,
    manifest: Vec<u8>,
    manifest_digest: String,
    blobs: Vec<(String, Vec<u8>)>,
}

impl FakeRegistry {
    /// Starts a registry on a free port of this machine. `marker` makes its image one of its own.
    pub(crate) async fn start(login: Login, manners: Manners, marker: &str) -> Self {
        let (sender, stalled) = watch::channel(Stalled::NotYet);
        let content = Arc::new(content(login, manners, marker, sender));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let authorizations = Arc::new(Mutex::new(Vec::new()));
        let manifest_digest = content.manifest_digest.clone();
        let record = Arc::clone(&authorizations);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&content), Arc::clone(&record)));
            }
        });
        Self { port, manifest_digest, authorizations, stalled, task }
    }

    /// Waits until the stalling layer is that far.
    pub(crate) async fn stalled(&self, expected: Stalled) {
        let mut stalled = self.stalled.clone();
        let seen =
            tokio::time::timeout(SOON, stalled.wait_for(|stalled| *stalled == expected)).await.map(drop);
        assert!(seen.is_ok(), "the layer is {:?}, not {expected:?}", *self.stalled.borrow());
    }

    /// Returns the `Authorization` headers that came, in order.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.authorizations.lock().unwrap().clone()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn content(login: Login, manners: Manners, marker: &str, stalled: watch::Sender<Stalled>) -> Content {
    let layer = layer(&format!("registry of {marker}"));
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["/bin/true"], "StopSignal": "SIGINT", "Labels": { "marker": marker } },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    })
    .to_string()
    .into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(), "digest": digest(&config),
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "size": layer.len(), "digest": digest(&layer),
        }],
    })
    .to_string()
    .into_bytes();
    let manifest_digest = digest(&manifest);
    let blobs = vec![(digest(&config), config), (digest(&layer), layer)];
    Content { stalled, login, manners, manifest, manifest_digest, blobs }
}

async fn serve(mut stream: TcpStream, content: Arc<Content>, record: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
            Ok(0) | Err(_) => return,
        }
        // The engine tries TLS first, and speaks plain HTTP at once when that is refused.
        if request[0] == 0x16 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request);
    let authorization =
        request.lines().find_map(|line| line.strip_prefix("Authorization: ")).map(str::to_owned);
    if let Some(authorization) = &authorization {
        record.lock().unwrap().push(authorization.clone());
    }
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    if content.login == Login::Basic && authorization.is_none() {
        let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"\r\nConnection: close\r\n\
                    Content-Length: 0\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        return;
    }
    let (kind, body): (&str, &[u8]) = if path == "/v2/" {
        ("application/json", b"{}")
    } else if path.ends_with("/manifests/1")
        || path.ends_with(&format!("/manifests/{}", content.manifest_digest))
    {
        ("application/vnd.docker.distribution.manifest.v2+json", &content.manifest)
    } else if let Some((_, blob)) =
        content.blobs.iter().find(|(digest, _)| path.ends_with(&format!("/blobs/{digest}")))
    {
        ("application/octet-stream", blob)
    } else {
        // Without a detail the engine does not recognise the code.
        let body =
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        let head = format!(
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        return;
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nDocker-Content-Digest: {}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        content.manifest_digest,
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    if request.starts_with("HEAD") {
        return;
    }
    if content.manners != Manners::Good && body.len() > 100_000 {
        let _ = stream.write_all(&body[..50_000]).await;
        content.stalled.send_replace(Stalled::Waiting);
        let (mut read, mut write) = stream.split();
        match content.manners {
            Manners::Drip => {
                let mut every = tokio::time::interval(Duration::from_millis(50));
                while write.write_all(&[0]).await.is_ok() {
                    every.tick().await;
                }
            }
            Manners::Stall | Manners::Good => drop(read.read(&mut buffer).await),
        }
        content.stalled.send_replace(Stalled::HungUp);
        return;
    }
    let _ = stream.write_all(body).await;
}
