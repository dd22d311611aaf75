//! Connections into the container's network.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use super::is_ours;
use crate::runner::Shared;
use crate::target::{Place, Reach, family_of};

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The other end does not take it: the task's failure. A sentence for people.
    Refused(String),
    /// It could not be tried.
    NotDone(String),
}

/// Connects to the container's `address`. Waits as long as the network does.
pub(super) async fn connect(
    shared: &Shared,
    reach: &Reach,
    address: SocketAddr,
) -> Result<TcpStream, ConnectError> {
    let address = match reach.place(address) {
        Place::At(address) => address,
        Place::Outside => return Err(ConnectError::NotDone(not_followed(&address.ip().to_string()))),
        Place::Nowhere(family) => {
            return Err(ConnectError::NotDone(format!(
                "the container has no {family:?} address that can be reached from here (hint: run the agent with the \
                 host's processes in sight, --pid=host)"
            )));
        }
    };
    let made = match reach {
        Reach::Namespace(namespace) => {
            let opened = shared.opener.open(namespace, family_of(&address.ip())).await;
            opened.map(TcpSocket::from_std_stream).map_err(|error| chain(&error))
        }
        Reach::Own | Reach::Addresses { .. } => {
            let made = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            made.map_err(|error| format!("no socket can be opened: {error}"))
        }
    };
    let socket = made.map_err(ConnectError::NotDone)?;
    socket.connect(address).await.map_err(|error| {
        let sentence = format!("cannot connect to {address}: {error}");
        if is_ours(&error) { ConnectError::NotDone(sentence) } else { ConnectError::Refused(sentence) }
    })
}

/// Why a redirect to this host is not followed where the container's network cannot be entered.
pub(super) fn not_followed(host: &str) -> String {
    format!(
        "the server redirects to {host:?}, and from outside of the container's network no redirect out of it is followed \
         (hint: run the agent with the host's processes in sight, --pid=host)"
    )
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
