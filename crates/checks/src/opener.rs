//! The one thread that enters network namespaces: it opens a socket there, goes back, and hands the socket over.
//!
//! A socket belongs to the namespace in which it was opened, for good; connecting it and talking through it is done by
//! the runtime, which never leaves its own namespace. Nothing that the thread does can block. If it cannot go back, it
//! ends with the socket untold, and the next request starts another: no socket is ever opened by a thread that is in
//! the wrong place. A thread is started by the runtime, so it begins in the runtime's namespace.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mesos_types::IpFamily;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use crate::counts::Counters;
use crate::namespace::NetNamespace;

/// How many requests may wait; there are never more than connections at once.
const WAITING: usize = 4096;

/// How often a request is made: once more after a thread was lost.
const ATTEMPTS: usize = 2;

/// The namespace to come back to, as the thread opens it when it begins.
type Home = fn() -> rustix::io::Result<OwnedFd>;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The thread cannot be started, or is overwhelmed.
    #[error("the namespace thread cannot be used")]
    Thread(#[source] io::Error),
    /// The namespace cannot be entered.
    #[error("the network namespace of the container cannot be entered")]
    Enter(#[source] io::Error),
    /// It was entered and no socket could be made there.
    #[error("no socket can be opened in the network namespace of the container")]
    Socket(#[source] io::Error),
    /// The thread did not come back, and is gone.
    #[error("the namespace thread did not come back and is replaced")]
    Lost,
}

/// Opens sockets in namespaces.
#[derive(Debug)]
pub(crate) struct Opener {
    thread: Mutex<Option<SyncSender<Request>>>,
    home: Home,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Request {
    namespace: Arc<NetNamespace>,
    family: IpFamily,
    answer: oneshot::Sender<Result<OwnedFd, OpenError>>,
}

impl Opener {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { thread: Mutex::new(None), home: own_namespace, counters }
    }

    /// Opens a stream socket in the namespace, not blocking.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: a socket that nobody takes is closed.
    pub(crate) async fn open(
        &self,
        namespace: &Arc<NetNamespace>,
        family: IpFamily,
    ) -> Result<TcpStream, OpenError> {
        for _ in 0..ATTEMPTS {
            let (answer, answered) = oneshot::channel();
            self.ask(Request { namespace: namespace.clone(), family, answer })?;
            // Without an answer the thread was lost, with this request or with one before it.
            if let Ok(answer) = answered.await {
                return answer.map(TcpStream::from);
            }
        }
        Err(OpenError::Lost)
    }

    fn ask(&self, mut request: Request) -> Result<(), OpenError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            let requests = match thread.as_ref() {
                Some(requests) => requests,
                None => thread.insert(self.start()?),
            };
            request = match requests.try_send(request) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => {
                    return Err(OpenError::Thread(io::Error::other("too many requests wait")));
                }
                Err(TrySendError::Disconnected(request)) => request,
            };
            *thread = None;
        }
        Err(OpenError::Lost)
    }

    fn start(&self) -> Result<SyncSender<Request>, OpenError> {
        let (requests, wanted) = sync_channel(WAITING);
        let (home, counters) = (self.home, self.counters.clone());
        thread::Builder::new()
            .name("net-namespaces".to_owned())
            .spawn(move || serve(wanted, home, &counters))
            .map_err(OpenError::Thread)?;
        Ok(requests)
    }
}

/// Serves requests until nobody can ask any more, or until it cannot come back.
fn serve(wanted: Receiver<Request>, home: Home, counters: &Counters) {
    let home = match home() {
        Ok(home) => home,
        Err(error) => {
            tracing::error!(%error, "the namespace thread cannot hold its own namespace and ends");
            return;
        }
    };
    while let Ok(Request { namespace, family, answer }) = wanted.recv() {
        let opened = enter(&namespace).map_err(|error| OpenError::Enter(error.into()));
        let has_left = opened.is_ok();
        let opened =
            opened.and_then(|()| stream_socket(family).map_err(|error| OpenError::Socket(error.into())));
        if has_left
            && let Err(error) = move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))
        {
            Counters::add(&counters.replaced_threads);
            tracing::error!(%error, "the namespace thread cannot come back and is replaced");
            // Who hears of the loss asks again at once, and must find that nobody serves here any more.
            drop(wanted);
            drop(answer);
            return;
        }
        // Nobody waits any more for a check that was given up.
        let _ = answer.send(opened);
    }
}

/// Moves this thread into a namespace. A thread that has called it must come back or end.
pub(crate) fn enter(namespace: &NetNamespace) -> rustix::io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}

fn stream_socket(family: IpFamily) -> rustix::io::Result<OwnedFd> {
    let family = match family {
        IpFamily::V4 => AddressFamily::INET,
        IpFamily::V6 => AddressFamily::INET6,
    };
    socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// The namespace of the calling thread.
fn own_namespace() -> rustix::io::Result<OwnedFd> {
    open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Every process is of the container without a name; ours is in our own namespace, which may be entered.
    fn own() -> Arc<NetNamespace> {
        Arc::new(NetNamespace::open(std::process::id(), "").unwrap())
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[tokio::test]
    async fn a_socket_is_handed_over_not_blocking() {
        let opener = Opener::new(Arc::default());
        match opener.open(&own(), IpFamily::V4).await {
            Ok(socket) => {
                let flags = rustix::fs::fcntl_getfl(&socket).unwrap();
                assert!(flags.contains(OFlags::NONBLOCK));
            }
            Err(error) => assert!(!is_root() && matches!(error, OpenError::Enter(_)), "{error}"),
        }
    }

    #[tokio::test]
    async fn a_thread_that_cannot_come_back_is_replaced() {
        static IS_SPOILT: AtomicBool = AtomicBool::new(true);
        fn home() -> rustix::io::Result<OwnedFd> {
            if IS_SPOILT.swap(false, Ordering::Relaxed) {
                // No namespace: the first thread cannot come back.
                return open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            }
            own_namespace()
        }
        let counters: Arc<Counters> = Arc::default();
        let opener = Opener { home, ..Opener::new(counters.clone()) };
        let opened = opener.open(&own(), IpFamily::V6).await;
        if is_root() {
            opened.expect("the second thread serves");
            assert_eq!(counters.read().replaced_threads, 1);
        } else {
            assert!(matches!(opened, Err(OpenError::Enter(_))), "entering needs root");
        }
    }

    #[tokio::test]
    async fn a_thread_that_is_lost_again_is_told() {
        let counters: Arc<Counters> = Arc::default();
        let home: Home = || Err(rustix::io::Errno::MFILE);
        let opener = Opener { home, ..Opener::new(counters) };
        assert!(matches!(opener.open(&own(), IpFamily::V4).await, Err(OpenError::Lost)));
    }
}
