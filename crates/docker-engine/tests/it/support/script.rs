//! A Unix socket with an engine that does what a test says, connection by connection and request by request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// What the engine does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    /// Answers with these bytes and keeps the connection.
    Answer(Vec<u8>),
    /// Answers with these bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Closes without a word.
    Close,
    /// Never answers.
    Hang,
}

/// Makes an answer with a length.
pub(crate) fn answer(status: &str, body: &str) -> Script {
    Script::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// The engine. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct ScriptedEngine {
    pub(crate) socket: PathBuf,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
    dir: Option<tempfile::TempDir>,
}

impl ScriptedEngine {
    /// Starts an engine in a directory of its own. `script` gets the number of the connection, from 0, and the request
    /// line. `GET /version` is answered by itself.
    pub(crate) fn start(script: impl Fn(usize, &str) -> Script + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = Self::start_at(&dir.path().join("engine.sock"), script);
        engine.dir = Some(dir);
        engine
    }

    /// Starts an engine on a socket, in the place of one that was there.
    pub(crate) fn start_at(
        socket: &Path,
        script: impl Fn(usize, &str) -> Script + Send + Sync + 'static,
    ) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, record) = (Arc::new(script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let (script, record) = (Arc::clone(&script), Arc::clone(&record));
                connections.spawn(async move { serve(stream, number, &*script, &record).await });
                number += 1;
            }
        });
        Self { socket: socket.to_owned(), seen, task, dir: None }
    }

    /// Returns the request lines, each with the number of its connection.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Takes the engine down: no listener, no connection.
    pub(crate) async fn stop(mut self) -> Option<tempfile::TempDir> {
        self.task.abort();
        // Waiting for the task drops the listener and the connections before anything else happens.
        let _ = (&mut self.task).await;
        self.dir.take()
    }
}

impl Drop for ScriptedEngine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: UnixStream,
    number: usize,
    script: &(impl Fn(usize, &str) -> Script + Send + Sync),
    record: &Mutex<Vec<String>>,
) {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(line) = read_request(&mut stream).await else { return };
        record.lock().unwrap().push(format!("{number} {line}"));
        let does = if line.starts_with("GET /version ") {
            answer("200 OK", r#"{"Version":"20.10.0","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#)
        } else {
            script(number, &line)
        };
        match does {
            Script::Answer(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
            Script::AnswerAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Script::Close => return,
            Script::Hang => std::future::pending().await,
        }
    }
}

/// Reads a request with its body; returns its first line.
async fn read_request(stream: &mut BufReader<UnixStream>) -> Option<String> {
    let mut first = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if first.is_empty() {
            first = line.to_owned();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(first)
}
