//! Owns the table of inbound connections, and the choice of the one to close when there are too many.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::connection::{Connection, Standing};
use crate::counters::Counters;
use crate::settings::Limits;
use crate::throttle::Throttle;

/// All inbound connections.
pub(crate) struct Connections {
    limits: Limits,
    counters: Arc<Counters>,
    table: Mutex<Table>,
    told: Throttle,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Arc<Connection>>,
}

impl Connections {
    pub(crate) fn new(limits: &Limits, counters: Arc<Counters>) -> Self {
        Self { limits: limits.clone(), counters, table: Mutex::default(), told: Throttle::default() }
    }

    /// Takes a new connection in, at the cost of the stalest stranger where there are too many; `None` when there is no
    /// room even so.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Option<(u64, Arc<Connection>)> {
        let mut table = self.table();
        let strangers = table.strangers().count();
        let full = table.open.len() >= self.limits.connections;
        if full || strangers >= self.limits.strangers {
            let closed = self.close_stalest(&mut table);
            if full && !closed {
                self.counters.connections_refused.one();
                if let Some(more) = self.told.due() {
                    tracing::error!(
                        %peer, limit = self.limits.connections, more,
                        "an inbound connection is refused: there are too many, all of them of other Mesos processes"
                    );
                }
                return None;
            }
        }
        table.last += 1;
        let id = table.last;
        let connection = Arc::new(Connection::new(peer));
        table.open.insert(id, connection.clone());
        self.counters.connections_accepted.one();
        Some((id, connection))
    }

    /// Forgets a connection that has ended.
    pub(crate) fn remove(&self, id: u64) {
        self.table().open.remove(&id);
    }

    /// Closes the stranger that is idle longest, or else the one that is open longest. Tells whether there was one.
    pub(crate) fn make_room(&self) -> bool {
        let mut table = self.table();
        self.close_stalest(&mut table)
    }

    /// Closes the strangers whose request's head has taken too long.
    pub(crate) fn close_slow_heads(&self) {
        let now = Instant::now();
        let late = |since: Instant| now.duration_since(since) >= self.limits.head_deadline;
        let table = self.table();
        for (_, stranger) in table.strangers().filter(|(_, stranger)| stranger.head_since().is_some_and(late))
        {
            self.counters.strangers_closed.one();
            tracing::debug!(peer = %stranger.peer, "a connection is closed: its request did not come to its end");
            stranger.close();
        }
    }

    fn close_stalest(&self, table: &mut Table) -> bool {
        // Idle ones first: `false` sorts before `true`.
        let stalest = table.strangers().min_by_key(|(_, stranger)| match stranger.idle_since() {
            Some(since) => (false, since),
            None => (true, stranger.opened()),
        });
        let Some((id, stranger)) = stalest.map(|(id, stranger)| (*id, stranger.clone())) else {
            return false;
        };
        self.counters.strangers_closed.one();
        if let Some(more) = self.told.due() {
            tracing::warn!(
                peer = %stranger.peer, limit = self.limits.strangers, more,
                "a connection that has sent no message is closed to make room: there are too many"
            );
        }
        stranger.close();
        table.open.remove(&id);
        true
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn strangers(&self) -> impl Iterator<Item = (&u64, &Arc<Connection>)> {
        self.open.iter().filter(|(_, connection)| connection.standing() == Standing::Stranger)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::connection::Phase;
    use super::*;

    fn connections(total: usize, strangers: usize) -> Connections {
        let limits = Limits { connections: total, strangers, ..Limits::default() };
        Connections::new(&limits, Arc::default())
    }

    fn admit(connections: &Connections) -> Option<Arc<Connection>> {
        connections.admit("127.0.0.1:1".parse().unwrap()).map(|(_, connection)| connection)
    }

    async fn is_closed(connection: &Connection) -> bool {
        tokio::time::timeout(Duration::ZERO, connection.closed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_stranger_that_is_idle_longest_makes_room_and_no_process_does() {
        let connections = connections(100, 2);
        let process = admit(&connections).unwrap();
        process.has_delivered();
        tokio::time::advance(Duration::from_secs(1)).await;
        let busy = admit(&connections).unwrap();
        let in_work = busy.begin(Phase::Http);
        tokio::time::advance(Duration::from_secs(1)).await;
        let idle = admit(&connections).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;

        let third = admit(&connections).unwrap();
        assert!(is_closed(&idle).await, "it is the only idle one");
        assert!(!is_closed(&busy).await);
        let second_in_work = third.begin(Phase::Http);
        let _fourth = admit(&connections).unwrap();
        assert!(is_closed(&busy).await, "none is idle, and it is the oldest");
        assert!(!is_closed(&third).await);
        assert!(!is_closed(&process).await);
        assert_eq!(connections.counters.snapshot().strangers_closed, 2);
        drop((in_work, second_in_work));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_full_of_processes_refuses_and_closes_none() {
        let connections = connections(2, 10);
        let processes = [admit(&connections).unwrap(), admit(&connections).unwrap()];
        for process in &processes {
            process.has_delivered();
        }
        assert!(admit(&connections).is_none());
        assert!(!is_closed(&processes[0]).await && !is_closed(&processes[1]).await);
        assert_eq!(connections.counters.snapshot().connections_refused, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_stranger_with_a_slow_head_is_closed_for_time() {
        let connections = connections(100, 100);
        let [silent, slow, process, quick] = std::array::from_fn(|_| admit(&connections).unwrap());
        process.has_delivered();
        slow.has_read();
        process.has_read();
        quick.has_read();
        drop(quick.begin(Phase::Message));
        tokio::time::advance(Limits::default().head_deadline).await;
        connections.close_slow_heads();
        assert!(is_closed(&slow).await);
        for other in [&silent, &process, &quick] {
            assert!(!is_closed(other).await);
        }
    }
}
