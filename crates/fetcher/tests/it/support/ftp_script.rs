//! An FTP server of our own that is told how to misbehave, and that speaks TLS from the first byte (`ftps`).
//!
//! It knows one file, whatever path is asked for.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How it answers one `RETR`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FtpReply {
    /// As it should.
    Well,
    /// The data connection ends after so many bytes, and the transfer is said to have failed.
    Cut(usize),
    /// The data connection ends after so many bytes, and the transfer is said to have succeeded.
    Lie(usize),
    /// All bytes, and then this instead of 226.
    Then(&'static str),
    /// This instead of a transfer.
    Refuse(&'static str),
}

struct Shared {
    content: Vec<u8>,
    replies: Mutex<Vec<FtpReply>>,
    commands: Mutex<Vec<String>>,
    tls: Option<TlsAcceptor>,
}

/// A running server. It ends when it is dropped.
pub(crate) struct FtpScript {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl FtpScript {
    pub(crate) async fn start(
        content: Vec<u8>,
        replies: impl IntoIterator<Item = FtpReply>,
        tls: Option<TlsAcceptor>,
    ) -> FtpScript {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut replies: Vec<_> = replies.into_iter().collect();
        replies.reverse();
        let shared = Arc::new(Shared { content, replies: replies.into(), commands: Mutex::default(), tls });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // A client that goes away is the test's affair.
                tokio::spawn(async move { serve(stream, &shared).await.ok() });
            }
        });
        FtpScript { port, shared, accepting }
    }

    pub(crate) fn url(&self, user: &str, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "ftps" } else { "ftp" };
        format!("{scheme}://{user}127.0.0.1:{}/{path}", self.port)
    }

    /// The commands that it was sent, in order.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().expect("unpoisoned").clone()
    }
}

impl Drop for FtpScript {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn secured(stream: TcpStream, shared: &Shared) -> std::io::Result<Box<dyn Stream>> {
    match &shared.tls {
        Some(tls) => Ok(Box::new(tls.accept(stream).await?)),
        None => Ok(Box::new(stream)),
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut control = BufReader::new(secured(stream, shared).await?);
    let mut data = None;
    let mut from = 0;
    control.write_all(b"220 here\r\n").await?;
    loop {
        let mut line = String::new();
        if control.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        shared.commands.lock().expect("unpoisoned").push(line.clone());
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "USER" => "331 and the password?".to_owned(),
            "PASS" => "230 in".to_owned(),
            "TYPE" | "PBSZ" | "PROT" => "200 yes".to_owned(),
            "SIZE" => format!("213 {}", shared.content.len()),
            "MDTM" => "213 20260102030405".to_owned(),
            "REST" => {
                from = argument.parse().unwrap_or(0);
                "350 from there".to_owned()
            }
            "PASV" => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let port = listener.local_addr()?.port();
                data = Some(listener);
                // An address that leads elsewhere, which must not be believed.
                format!("227 Entering Passive Mode (192,0,2,1,{},{})", port >> 8, port & 255)
            }
            "RETR" => {
                let reply = shared.replies.lock().expect("unpoisoned").pop().unwrap_or(FtpReply::Well);
                let answer =
                    transfer(&mut control, data.take(), &shared.content[from..], reply, shared).await?;
                from = 0;
                answer
            }
            "QUIT" => {
                control.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "502 what?".to_owned(),
        };
        control.write_all(answer.as_bytes()).await?;
        control.write_all(b"\r\n").await?;
        control.flush().await?;
    }
}

async fn transfer(
    control: &mut BufReader<Box<dyn Stream>>,
    data: Option<TcpListener>,
    content: &[u8],
    reply: FtpReply,
    shared: &Shared,
) -> std::io::Result<String> {
    let (sent, then) = match reply {
        FtpReply::Well => (content.len(), "226 done"),
        FtpReply::Cut(at) => (at, "426 lost"),
        FtpReply::Lie(at) => (at, "226 done"),
        FtpReply::Then(then) => (content.len(), then),
        FtpReply::Refuse(answer) => return Ok(answer.to_owned()),
    };
    let Some(listener) = data else { return Ok("425 no data connection".to_owned()) };
    control.write_all(b"150 here it comes\r\n").await?;
    control.flush().await?;
    let (stream, _) = listener.accept().await?;
    let mut data = secured(stream, shared).await?;
    data.write_all(&content[..sent]).await?;
    data.shutdown().await?;
    Ok(then.to_owned())
}
