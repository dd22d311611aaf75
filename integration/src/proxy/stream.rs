//! Owns the two kinds of sockets that a proxy listens on and connects to. Called by [`super::server`] and
//! [`super::connection`].

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncWrite, Sink};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, tcp, unix};

/// What is read from.
pub(super) type ReadSide = Box<dyn AsyncRead + Send + Unpin>;
/// What is written to.
pub(super) type WriteSide = Box<dyn Write>;

/// What is written to, and can be broken off.
pub(super) trait Write: AsyncWrite + Send + Unpin {
    /// Has the connection reset, not closed, when its other side is dropped too. Only TCP knows the difference.
    fn reset(self: Box<Self>) -> Result<()>;
}

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A connection.
pub(super) struct Stream {
    pub(super) read: ReadSide,
    pub(super) write: WriteSide,
}

impl Listener {
    /// Listens; the answer's place has the port that was free where the one asked for is 0.
    pub(super) async fn bind(place: &Place) -> Result<(Self, Place)> {
        match place {
            Place::Unix(path) => {
                let listener =
                    UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
                Ok((Self::Unix(listener), place.clone()))
            }
            Place::Tcp(address) => {
                let listener =
                    TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
                let place = Place::Tcp(listener.local_addr().context("find the port")?);
                Ok((Self::Tcp(listener), place))
            }
        }
    }

    /// Takes the next connection. Cancel safe.
    pub(super) async fn accept(&self) -> Result<Stream> {
        match self {
            Self::Unix(listener) => Ok(listener.accept().await?.0.into()),
            Self::Tcp(listener) => Ok(listener.accept().await?.0.into()),
        }
    }
}

impl Stream {
    pub(super) async fn connect(place: &Place) -> Result<Self> {
        match place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                Ok(stream.with_context(|| format!("connect to {}", path.display()))?.into())
            }
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await;
                Ok(stream.with_context(|| format!("connect to {address}"))?.into())
            }
        }
    }
}

impl Write for tcp::OwnedWriteHalf {
    fn reset(self: Box<Self>) -> Result<()> {
        self.as_ref().as_ref().set_zero_linger().context("have a connection reset")?;
        // Dropping it would say that nothing more is written.
        self.forget();
        Ok(())
    }
}

impl Write for unix::OwnedWriteHalf {
    fn reset(self: Box<Self>) -> Result<()> {
        bail!("a Unix socket's connection cannot be reset")
    }
}

impl Write for Sink {
    fn reset(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        Self { read: Box::new(read), write: Box::new(write) }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self { read: Box::new(read), write: Box::new(write) }
    }
}
