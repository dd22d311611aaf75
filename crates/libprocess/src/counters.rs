//! Owns the numbers that a node counts. The owner reads them for its metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// What a node has counted since it was bound.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub(crate) $name: Counter,)+
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counters {
            /// Reads all of them.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.0.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }
}

counters! {
    /// Inbound connections taken.
    connections_accepted,
    /// Inbound connections refused because there were too many.
    connections_refused,
    /// Connections of strangers closed because there were too many, or because a request's head took too long.
    strangers_closed,
    /// Messages put into the mailbox of a process.
    messages_received,
    /// Messages for a process that is not there.
    messages_unknown,
    /// Messages refused as malformed, as too large, or for the address of their sender.
    messages_refused,
    /// Messages written to a connection.
    messages_sent,
    /// Messages dropped because the queue to their receiver was full, or there were too many receivers.
    messages_dropped_full,
    /// Messages dropped because their receiver could not be reached or its connection broke.
    messages_dropped_unreachable,
    /// Links that broke.
    links_broken,
}
