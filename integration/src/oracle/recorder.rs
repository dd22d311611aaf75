//! Owns a socket that answers a ping as an engine of a chosen API version does, takes one create request and refuses it.
//! A client behaves towards it as towards that engine, up to the request; nothing is made anywhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::client::DockerClient;
use crate::http1::{Body, Reader, RequestHead};

/// What the recorder answers to a create request.
const REFUSAL: &str = "the request was recorded";

/// What a client made of a command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It sent a create request.
    Sent {
        /// The query, without its version: `name`, `platform`.
        query: BTreeMap<String, String>,
        /// The body.
        body: Value,
    },
    /// It refused the command line, with this sentence.
    Refused(String),
}

/// What was asked besides pings, with the bodies.
type Requests = Vec<(RequestHead, Vec<u8>)>;

/// A listening recorder; ends when dropped.
#[derive(Debug)]
struct Recorder {
    requests: Arc<Mutex<Requests>>,
    accepting: JoinHandle<()>,
}

/// Has a client run a command line (`run`, options, image, arguments) in `directory`, towards an engine that speaks
/// `api` at most, and returns what it would have had the engine make.
///
/// # Errors
///
/// The client cannot be run, asks for anything else than a ping and a create, or ends in a way that is neither.
pub async fn record(client: &DockerClient, api: &str, directory: &Path, line: &[String]) -> Result<Outcome> {
    let socket_dir = tempfile::Builder::new().prefix("mor-").tempdir().context("make a directory")?;
    let socket = socket_dir.path().join("r.sock");
    let recorder = Recorder::start(&socket, api)?;
    let host = format!("unix://{}", socket.display());
    let arguments: Vec<&str> = ["-H", &host].into_iter().chain(line.iter().map(String::as_str)).collect();
    let ran = client.run(directory, &arguments).await?;
    let requests = std::mem::take(&mut *recorder.requests.lock().unwrap_or_else(PoisonError::into_inner));
    let sentence = ran.sentence();
    let Some((head, body)) = requests.first() else {
        // 1 is an option that the engine is too old for.
        let is_refusal = matches!(ran.code, Some(1 | 125));
        ensure!(is_refusal, "docker {}: neither a request nor a refusal: {ran:?}", client.version());
        return Ok(Outcome::Refused(sentence));
    };
    ensure!(requests.len() == 1, "docker {} sent {requests:?}", client.version());
    ensure!(sentence.contains(REFUSAL), "docker {}: {ran:?}", client.version());
    let (_, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let body = serde_json::from_slice(body).with_context(|| format!("the body of {}", head.target))?;
    Ok(Outcome::Sent { query: parse_query(query)?, body })
}

/// Starts a recorder and reads a client's options from it, as towards an engine that speaks `api`.
///
/// # Errors
///
/// The client prints no help.
pub async fn run_options(client: &DockerClient, api: &str) -> Result<std::collections::BTreeSet<String>> {
    let socket_dir = tempfile::Builder::new().prefix("mor-").tempdir().context("make a directory")?;
    let socket = socket_dir.path().join("r.sock");
    let _recorder = Recorder::start(&socket, api)?;
    client.run_options(&format!("unix://{}", socket.display())).await
}

impl Recorder {
    fn start(socket: &Path, api: &str) -> Result<Self> {
        let listener =
            UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (api, kept) = (api.to_owned(), Arc::clone(&requests));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (api, kept) = (api.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    // A connection that breaks leaves its request unrecorded, which the test sees.
                    let _ = serve(stream, &api, &kept).await;
                });
            }
        });
        Ok(Self { requests, accepting })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: UnixStream, api: &str, kept: &Mutex<Requests>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = Reader::new(read);
    while let Some(head) = reader.request_head().await? {
        let body = reader.body_to_end(&mut Body::new(head.framing()?)).await?;
        let path = head.target.split('?').next().unwrap_or_default();
        let is_head = head.method == "HEAD";
        let (status, kind, content) = if path.ends_with("/_ping") {
            ("200 OK", "text/plain", "OK".to_owned())
        } else {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((head.clone(), body.to_vec()));
            ("500 Recorded", "application/json", format!("{{\"message\":\"{REFUSAL}\"}}"))
        };
        let content = if is_head { String::new() } else { content };
        let answer = format!(
            "HTTP/1.1 {status}\r\nApi-Version: {api}\r\nOstype: linux\r\nDocker-Experimental: false\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        );
        write.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Reads a query; the client percent-encodes what is not plain.
fn parse_query(query: &str) -> Result<BTreeMap<String, String>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((name.to_owned(), percent_decode(value)?))
        })
        .collect()
}

fn percent_decode(text: &str) -> Result<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next(), bytes.next()];
                let [Some(high), Some(low)] = digits.map(|d| d.and_then(|d| char::from(d).to_digit(16)))
                else {
                    bail!("a broken escape in {text:?}")
                };
                u8::try_from(high * 16 + low)?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).context("a query that is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let query = parse_query("name=a&platform=linux%2Farm64&x").expect("a query");
        assert_eq!(query["platform"], "linux/arm64");
        assert!(parse_query("a=%2").is_err());
    }
}
