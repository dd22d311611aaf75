//! A Unix socket that passes everything on to the engine and writes down the heads of the requests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct RecordingProxy {
    pub(crate) socket: PathBuf,
    seen: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl RecordingProxy {
    /// Starts a proxy before the engine's socket.
    pub(crate) fn start(engine: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (engine, record) = (engine.to_owned(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass_on(client, engine.clone(), Arc::clone(&record)));
            }
        });
        Self { socket, seen, task, _dir: dir }
    }

    /// Returns all request lines and headers that were sent, as text.
    pub(crate) fn heads(&self) -> Vec<String> {
        let seen = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        let methods = ["GET /", "POST /", "DELETE /", "PUT /", "HEAD /"];
        let mut heads: Vec<String> = Vec::new();
        for line in seen.split("\r\n") {
            // A JSON body ends without a line break, so the next request's line may follow it directly.
            let start = methods.iter().filter_map(|method| line.find(method)).min();
            match start.filter(|_| line.ends_with("HTTP/1.1")) {
                Some(start) => heads.push(line[start..].to_owned()),
                None => {
                    if let Some(head) = heads.last_mut() {
                        head.push('\n');
                        head.push_str(line);
                    }
                }
            }
        }
        heads
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(client: UnixStream, engine: PathBuf, record: Arc<Mutex<Vec<u8>>>) {
    let engine = UnixStream::connect(engine).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_engine, &mut to_client).await });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
        record.lock().unwrap().extend_from_slice(&buffer[..count]);
        if to_engine.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to_engine.shutdown().await;
    let _ = back.await;
}
