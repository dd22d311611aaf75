//! The few connections that are kept for the next call.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;

/// The idle connections, newest last.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
    most: usize,
    timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// Makes an empty pool of at most `most` idle connections, each kept for `timeout`.
    pub(super) fn new(most: usize, timeout: Duration) -> Self {
        Self { idle: Mutex::new(Vec::new()), most, timeout }
    }

    /// Takes the connection that was used last, if a live one is there.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.lock();
        while let Some(Idle { mut connection, since }) = idle.pop() {
            if since.elapsed() >= self.timeout {
                // The others have been there for longer.
                idle.clear();
            } else if connection.is_idle() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next call, unless it cannot take one at once.
    pub(super) fn put(&self, mut connection: Connection) {
        if !connection.is_idle() {
            return;
        }
        let mut idle = self.lock();
        idle.retain(|kept| kept.since.elapsed() < self.timeout);
        if idle.len() < self.most {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
