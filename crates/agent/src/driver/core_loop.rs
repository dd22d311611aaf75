//! The one task that owns the core: takes events in turn and hands their actions on.

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::clock::Clock;
use crate::core::{Action, Event, State};
use crate::model::Query;

/// The owner of the core.
#[derive(Debug)]
pub(super) struct CoreLoop {
    pub(super) state: State,
    pub(super) clock: Clock,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) queries: mpsc::Receiver<Query>,
    pub(super) actions: mpsc::Sender<Vec<Action>>,
}

/// What the loop waits for.
enum Next {
    Event(Event),
    Query(Query),
    End,
}

impl CoreLoop {
    /// Runs until nobody sends events, or nobody performs actions.
    pub(super) async fn run(mut self) {
        loop {
            let event = match self.next().await {
                Next::Event(event) => event,
                Next::Query(query) => {
                    query.run(self.state.agent());
                    continue;
                }
                Next::End => return,
            };
            let actions = self.state.step(event, self.clock.now());
            if actions.is_empty() {
                continue;
            }
            // Who performs them waits for disks; meanwhile the model is still read.
            let mut handing = std::pin::pin!(self.actions.send(actions));
            loop {
                tokio::select! {
                    handed = &mut handing => match handed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    Some(query) = self.queries.recv() => query.run(self.state.agent()),
                }
            }
        }
    }

    /// Waits for the next thing. Events come before queries, so that readers cannot hold up the work.
    async fn next(&mut self) -> Next {
        let deadline = self.state.deadline().map(|elapsed| self.clock.at(elapsed));
        tokio::select! {
            biased;
            event = self.events.recv() => event.map_or(Next::End, Next::Event),
            () = async { match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            } } => Next::Event(Event::Tick),
            Some(query) = self.queries.recv() => Next::Query(query),
        }
    }
}
