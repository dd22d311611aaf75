//! The server: its listener, its connections, its answers.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::authority::TestAuthority;
use super::page::{Page, Reply};
use crate::http1::{Headers, Reader, RequestHead, ResponseHead};

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query, or the whole URL where the server is taken for a proxy.
    pub target: String,
    /// The header lines.
    pub headers: Headers,
}

#[derive(Debug, Default)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    asked: Mutex<Vec<Asked>>,
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    scheme: &'static str,
    authority: Option<TestAuthority>,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

impl WebServer {
    /// Starts a server of plain HTTP.
    ///
    /// # Errors
    ///
    /// There is no port.
    pub async fn start() -> Result<WebServer> {
        WebServer::listen(None).await
    }

    /// Starts a server of HTTPS, whose certificate is for `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// There is no port, or no certificate can be made.
    pub async fn start_tls() -> Result<WebServer> {
        WebServer::listen(Some(TestAuthority::new()?)).await
    }

    async fn listen(authority: Option<TestAuthority>) -> Result<WebServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let acceptor = authority.as_ref().map(|authority| authority.acceptor.clone());
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        let scheme = if authority.is_some() { "https" } else { "http" };
        Ok(WebServer { address, scheme, authority, shared, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with the certificate of the authority to trust, of an HTTPS server.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_ref().map(TestAuthority::file)
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Serves a page under a path from now on, and returns its URL.
    pub fn serve(&self, path: &str, page: Page) -> String {
        lock(&self.shared.pages).insert(path.to_owned(), page);
        self.url(path)
    }

    /// Takes a page away.
    pub fn remove(&self, path: &str) {
        lock(&self.shared.pages).remove(path);
    }

    /// Everything it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// How often a path was asked for with a method.
    #[must_use]
    pub fn count(&self, method: &str, path: &str) -> usize {
        lock(&self.shared.asked).iter().filter(|asked| asked.method == method && asked.target == path).count()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts connections until it is aborted, which ends them all.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    // A client that goes away, or does not like the certificate, is the test's affair.
                    match tls {
                        Some(tls) => if let Ok(stream) = tls.accept(stream).await {
                            let _ = connection(stream, &shared).await;
                        },
                        None => { let _ = connection(stream, &shared).await; }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let mut reader = Reader::new(read);
    while let Some(head) = reader.request_head().await? {
        let path = path_of(&head.target).to_owned();
        let asked =
            Asked { method: head.method.clone(), target: head.target.clone(), headers: head.headers.clone() };
        lock(&shared.asked).push(asked);
        let found = {
            let mut pages = lock(&shared.pages);
            pages.get_mut(&path).map(|page| {
                let reply = if head.method == "GET" { page.next_reply() } else { Reply::Well };
                (page.clone(), reply)
            })
        };
        let (page, reply) =
            found.unwrap_or_else(|| (Page::new("").etag(None), Reply::Status(404, Vec::new())));
        let authorized =
            page.user.as_deref().is_none_or(|user| head.headers.get("authorization") == Some(user));
        let reply = if authorized { reply } else { Reply::Status(401, Vec::new()) };
        if !answer(&head, &page, reply, &mut write, reader.by_io()).await? {
            write.shutdown().await?;
            return Ok(());
        }
    }
    Ok(())
}

/// The path of a target, which a client of a proxy sends as a whole URL.
fn path_of(target: &str) -> &str {
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    }
}

/// Answers one request; says whether the connection goes on.
async fn answer(
    head: &RequestHead,
    page: &Page,
    reply: Reply,
    write: &mut (impl AsyncWrite + Unpin),
    read: &mut (impl AsyncRead + Unpin),
) -> Result<bool> {
    let mut headers = Headers::default();
    for (name, value) in &page.headers {
        headers.push(*name, value.as_str());
    }
    if let Some(etag) = &page.etag {
        headers.push("ETag", etag.as_str());
    }
    if let Some(time) = &page.last_modified {
        headers.push("Last-Modified", time.as_str());
    }
    let from = range_start(head, page);
    let body = page.body.slice(from.unwrap_or(0)..);
    let (status, length, sent, goes_on) = match reply {
        Reply::Nothing => return Ok(false),
        Reply::Status(status, more) => {
            for (name, value) in more {
                headers.push(name, value);
            }
            let text = format!("this is {status}\n");
            headers.push("Content-Length", text.len().to_string());
            let whole = ResponseHead { status, reason: "Scripted".to_owned(), headers };
            write.write_all(&whole.encode()).await?;
            if head.method != "HEAD" {
                write.write_all(text.as_bytes()).await?;
            }
            return Ok(true);
        }
        Reply::Well => (from.map_or(200, |_| 206), Some(body.len() as u64), body.len(), true),
        Reply::Cut(at) | Reply::Stall(at) => {
            (from.map_or(200, |_| 206), Some(body.len() as u64), at.min(body.len()), false)
        }
        Reply::Announce(length) => (200, Some(length), body.len(), false),
        Reply::UntilClose => (200, None, body.len(), false),
        Reply::Chunked => {
            headers.push("Transfer-Encoding", "chunked");
            (200, None, body.len(), true)
        }
    };
    if let Some(length) = length {
        headers.push("Content-Length", length.to_string());
    }
    if let Some(from) = from.filter(|_| status == 206) {
        let size = page.body.len();
        headers.push("Content-Range", format!("bytes {from}-{}/{size}", size - 1));
    }
    let whole = ResponseHead { status, reason: "Scripted".to_owned(), headers };
    write.write_all(&whole.encode()).await?;
    if head.method == "HEAD" {
        return Ok(true);
    }
    if reply == Reply::Chunked {
        for piece in body.chunks(10_000) {
            write.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            write.write_all(piece).await?;
            write.write_all(b"\r\n").await?;
        }
        write.write_all(b"0\r\n\r\n").await?;
    } else {
        write.write_all(&body[..sent]).await?;
    }
    write.flush().await?;
    if matches!(reply, Reply::Stall(_)) {
        // Until the client goes away.
        let mut rest = [0; 64];
        while read.read(&mut rest).await? > 0 {}
    }
    Ok(goes_on)
}

/// The first byte that a request asks for, where the page gives ranges and is still the version that is meant.
fn range_start(head: &RequestHead, page: &Page) -> Option<usize> {
    let from = head.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
    let meant = match head.headers.get("if-range") {
        None => true,
        Some(_) if !page.if_range => true,
        Some(version) => [&page.etag, &page.last_modified].into_iter().flatten().any(|own| own == version),
    };
    (page.ranges && meant && from < page.body.len()).then_some(from)
}
