//! Names that a redirect leads to. They are looked up as the stock executor's curl does it: with the resolver of this
//! process's file system, from within the container's network.
//!
//! The system's resolver cannot be waited for otherwise than by a thread, so each lookup has one of its own. It enters
//! the namespace and ends there; it never serves again. There is none for `localhost`.
//!
//! What the resolver asks, it asks in the container's network, where the container may be the one that answers, and may
//! keep it waiting for ever: it reads answers over TCP without a deadline. So a check has one lookup at once, and begins
//! no other before that one has ended; and no check waits for the lookups of others.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use crate::opener::enter;
use crate::target::Reach;

/// How many names are looked up at once, by all checks.
const AT_ONCE: usize = 64;

/// The most addresses of a name that are tried.
const MOST: usize = 16;

/// Looks up names, so many at once.
#[derive(Debug, Clone)]
pub(crate) struct Resolver(Arc<Semaphore>);

/// The one lookup that a check may have under way.
#[derive(Debug, Clone)]
pub(crate) struct Lookup(Arc<Semaphore>);

/// Why there are no addresses.
#[derive(Debug)]
pub(super) enum NoAddress {
    /// The resolver says so, or does not answer.
    Its(io::Error),
    /// It could not be asked. A sentence.
    NotDone(String),
}

impl Default for Lookup {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Resolver {
    /// The addresses of `host`. Takes as long as the system's resolver.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the lookup goes on, and nobody hears of it.
    pub(super) async fn addresses(
        &self,
        reach: &Reach,
        lookup: &Lookup,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, NoAddress> {
        let its = |error: io::Error| NoAddress::Its(error);
        let Ok(own_turn) = lookup.0.clone().try_acquire_owned() else {
            return Err(its(io::Error::other("the lookup of an earlier check still waits for an answer")));
        };
        let Ok(turn) = self.0.clone().try_acquire_owned() else {
            return Err(NoAddress::NotDone(format!(
                "the lookups of {AT_ONCE} names wait for their answers, and no more are begun"
            )));
        };
        let (answer, answered) = oneshot::channel();
        let (reach, host) = (reach.clone(), host.to_owned());
        let started = thread::Builder::new().name("check-resolver".to_owned()).spawn(move || {
            let found = look_up(&reach, &host, port);
            drop((turn, own_turn));
            let _ = answer.send(found);
        });
        if let Err(error) = started {
            return Err(NoAddress::NotDone(format!("no thread can be started for a lookup: {error}")));
        }
        answered.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(its)
    }
}

fn look_up(reach: &Reach, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Reach::Namespace(namespace) = reach {
        enter(namespace)?;
    }
    Ok((host, port).to_socket_addrs()?.take(MOST).collect())
}

/// The addresses of a host that need no lookup.
pub(super) fn known(host: &url::Host<&str>, port: u16) -> Option<Vec<SocketAddr>> {
    let at = |address: IpAddr| SocketAddr::new(address, port);
    match host {
        url::Host::Ipv4(address) => Some(vec![at((*address).into())]),
        url::Host::Ipv6(address) => Some(vec![at((*address).into())]),
        url::Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let is_local = name == "localhost" || name.ends_with(".localhost");
            is_local.then(|| {
                vec![at(std::net::Ipv4Addr::LOCALHOST.into()), at(std::net::Ipv6Addr::LOCALHOST.into())]
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Host;

    #[test]
    fn localhost_and_addresses_need_no_lookup() {
        assert_eq!(known(&Host::Domain("localhost"), 80).unwrap().len(), 2);
        assert_eq!(known(&Host::Domain("app.localhost."), 80).unwrap().len(), 2);
        let address = known(&Host::Ipv6("fd00::1".parse().unwrap()), 81).unwrap();
        assert_eq!(address, ["[fd00::1]:81".parse::<SocketAddr>().unwrap()]);
        assert_eq!(known(&Host::Domain("notlocalhost"), 80), None);
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_an_error() {
        let resolver = Resolver::default();
        // The top-level domain is reserved to have no names.
        let found = resolver.addresses(&Reach::Own, &Lookup::default(), "no-such-host.invalid", 80).await;
        assert!(
            found.map_or_else(|error| matches!(error, NoAddress::Its(_)), |addresses| addresses.is_empty())
        );
    }

    #[tokio::test]
    async fn lookups_that_hang_keep_only_their_own_check_waiting() {
        let resolver = Resolver::default();
        let hung: Vec<Lookup> = (0..4).map(|_| Lookup::default()).collect();
        let _hanging: Vec<_> = hung
            .iter()
            .map(|lookup| (lookup.0.try_acquire().unwrap(), resolver.0.try_acquire().unwrap()))
            .collect();
        let own = resolver.addresses(&Reach::Own, &hung[0], "localhost", 80).await;
        assert!(
            matches!(own, Err(NoAddress::Its(ref error)) if error.to_string().contains("earlier")),
            "{own:?}"
        );
        let other = Lookup::default();
        // Numbers are names that the resolver answers by itself.
        assert_eq!(resolver.addresses(&Reach::Own, &other, "127.0.0.1", 80).await.unwrap().len(), 1);
        // And the turn is given back.
        assert_eq!(resolver.addresses(&Reach::Own, &other, "127.0.0.1", 80).await.unwrap().len(), 1);
        let _all = resolver.0.try_acquire_many(60).unwrap();
        let none = resolver.addresses(&Reach::Own, &other, "127.0.0.1", 80).await;
        assert!(matches!(none, Err(NoAddress::NotDone(_))), "{none:?}");
    }
}
