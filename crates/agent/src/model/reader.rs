//! Reading the model from outside the core.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use super::agent::Agent;

/// A look at the model; runs in the core's task, between two events, and must not take long.
pub struct Query(Box<dyn FnOnce(&Agent) + Send>);

/// Reads the model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AgentReader {
    queries: mpsc::Sender<Query>,
}

/// The agent is ending and answers no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent is ending")]
pub struct AgentGone;

impl Query {
    /// Runs the query.
    pub fn run(self, agent: &Agent) {
        (self.0)(agent);
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query")
    }
}

impl AgentReader {
    /// A reader, and the queue of its queries for who owns the model. At most `bound` queries wait.
    pub fn new(bound: usize) -> (Self, mpsc::Receiver<Query>) {
        let (queries, asked) = mpsc::channel(bound);
        (Self { queries }, asked)
    }

    /// Reads something of the model. What `look` answers should be small, or cheap to make: the core waits for it.
    ///
    /// # Errors
    ///
    /// The core has ended.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; the query may still run then.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Agent) -> T + Send + 'static,
    ) -> Result<T, AgentGone> {
        let (answer, answered) = oneshot::channel();
        let query = Query(Box::new(move |agent| {
            // Who asked may have gone.
            let _ = answer.send(look(agent));
        }));
        self.queries.send(query).await.map_err(|_| AgentGone)?;
        answered.await.map_err(|_| AgentGone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_query_sees_the_model_and_the_end_of_the_core() {
        let (reader, mut asked) = AgentReader::new(1);
        let core = tokio::spawn(async move {
            let info = mesos_proto::v1::AgentInfo::default();
            let agent =
                Agent::new(info, "slave(1)@127.0.0.1:5051".into(), "/w".into(), 1.0, uuid::Uuid::nil());
            if let Some(query) = asked.recv().await {
                query.run(&agent);
            }
        });
        assert_eq!(reader.read(|agent| agent.pid.clone()).await.unwrap(), "slave(1)@127.0.0.1:5051");
        core.await.unwrap();
        assert_eq!(reader.read(|agent| agent.start_time).await, Err(AgentGone));
    }
}
