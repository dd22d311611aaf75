//! Owns the two kinds of sockets that a proxy listens on and connects to. Called by [`super::server`] and
//! [`super::connection`].

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// What is read from.
pub(super) type ReadSide = Box<dyn AsyncRead + Send + Unpin>;
/// What is written to.
pub(super) type WriteSide = Box<dyn AsyncWrite + Send + Unpin>;

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
