//! Owns the tries: each is one exchange over the wire, until the master has accepted or refused us.

use std::time::Duration;

use libprocess::{Event, Incoming, Node, Process, Upid};
use mesos_proto::internal;
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::authenticatee::{Authenticatee, Heard, Reply, Step};
use super::credential::Credential;
use super::patience::Patience;

/// What our processes are called; stock's are.
const PREFIX: &str = "crammd5-authenticatee";

/// Authenticates the agent.
#[derive(Clone, Debug)]
pub struct Authenticator {
    node: Node,
    credential: Credential,
    patience: Patience,
}

/// Why authentication ended without success. Everything else is tried again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuthenticateError {
    /// The master does not accept the credential. Stock's agent exits.
    #[error(
        "the master {master} refused to authenticate principal {principal:?}: compare the secret in the file of --credential \
         with the one in the master's --credentials (a master without any knows nobody)"
    )]
    Refused {
        /// The master.
        master: Upid,
        /// Who we said we are.
        principal: String,
    },
    /// No process could be registered for the exchange.
    #[error("cannot register a process to authenticate with")]
    Register(#[from] libprocess::RegisterError),
}

impl Authenticator {
    /// Makes one that exchanges over `node`, giving its tries the times of `patience`.
    pub fn new(node: Node, credential: Credential, patience: Patience) -> Self {
        Self { node, credential, patience }
    }

    /// Has `master` know the process `client`, whose registration follows. It is tried for ever, as long as the master
    /// does not refuse the credential.
    ///
    /// # Errors
    ///
    /// The master refused.
    ///
    /// # Cancel safety
    ///
    /// May be dropped, as when another master leads; the exchange under way is given up.
    pub async fn authenticate(&self, master: &Upid, client: &Upid) -> Result<(), AuthenticateError> {
        let mut patience = self.patience.clone();
        loop {
            let time = patience.next(fastrand::f64());
            let until = Instant::now() + time;
            let why = match timeout_at(until, self.exchange(master, client)).await {
                Ok(Ok(Step::Completed)) => {
                    tracing::info!(%master, principal = self.credential.principal(), "authenticated");
                    return Ok(());
                }
                Ok(Ok(Step::Refused)) => {
                    return Err(AuthenticateError::Refused {
                        master: master.clone(),
                        principal: self.credential.principal().to_owned(),
                    });
                }
                Ok(Ok(Step::Failed(why))) => why,
                Ok(Ok(Step::Send(..) | Step::Ignored(_))) => "the exchange did not end".to_owned(),
                Ok(Err(error)) => return Err(error),
                Err(_) => told_time(time),
            };
            tracing::warn!(%master, why, "cannot authenticate with the master; trying again");
            // Asking at once would be a loop without a pause where the master answers with an error.
            sleep_until(until).await;
        }
    }

    /// One exchange; the last step of it.
    async fn exchange(&self, master: &Upid, client: &Upid) -> Result<Step, AuthenticateError> {
        let mut process = self.node.register_numbered(PREFIX)?;
        process.link(master);
        process.post(master, &internal::AuthenticateMessage { pid: client.to_string() });
        let mut authenticatee = Authenticatee::new(self.credential.clone(), master.clone());
        while let Some(event) = process.next().await {
            let incoming = match event {
                Event::Message(incoming) => incoming,
                Event::Exited(upid) => {
                    return Ok(Step::Failed(format!("the connection to {upid} broke")));
                }
            };
            let heard = match heard(&incoming) {
                Ok(Some(heard)) => heard,
                Ok(None) => continue,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "a message of the authentication is passed over");
                    continue;
                }
            };
            match authenticatee.step(&incoming.from, heard) {
                Step::Send(to, reply) => send(&process, &to, reply),
                Step::Ignored(why) => {
                    tracing::warn!(from = %incoming.from, name = incoming.name, why, "a message of the authentication is passed over");
                }
                end @ (Step::Completed | Step::Refused | Step::Failed(_)) => return Ok(end),
            }
        }
        Ok(Step::Failed("the agent is ending".to_owned()))
    }
}

/// Reads a message of an authenticator; `None` for one of another name.
fn heard(incoming: &Incoming) -> Result<Option<Heard>, libprocess::UnreadableMessage> {
    Ok(Some(if incoming.is::<internal::AuthenticationMechanismsMessage>() {
        Heard::Mechanisms(incoming.decode::<internal::AuthenticationMechanismsMessage>()?.mechanisms)
    } else if incoming.is::<internal::AuthenticationStepMessage>() {
        Heard::Challenge(incoming.decode::<internal::AuthenticationStepMessage>()?.data)
    } else if incoming.is::<internal::AuthenticationCompletedMessage>() {
        Heard::Completed
    } else if incoming.is::<internal::AuthenticationFailedMessage>() {
        Heard::Failed
    } else if incoming.is::<internal::AuthenticationErrorMessage>() {
        let message: internal::AuthenticationErrorMessage = incoming.decode()?;
        Heard::Error(message.error.unwrap_or_else(|| "the master gave no reason".to_owned()))
    } else {
        return Ok(None);
    }))
}

fn send(process: &Process, to: &Upid, reply: Reply) {
    match reply {
        Reply::Start { mechanism } => {
            let mechanism = mechanism.to_owned();
            // Stock sends data that is there and empty.
            process.post(to, &internal::AuthenticationStartMessage { mechanism, data: Some(Vec::new()) });
        }
        Reply::Step(data) => process.post(to, &internal::AuthenticationStepMessage { data }),
    }
}

fn told_time(time: Duration) -> String {
    format!("it did not answer within {:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use libprocess::{HttpHandler, Settings};

    use super::*;

    async fn node() -> Node {
        let settings = Settings { ip: [127, 0, 0, 1].into(), ..Settings::default() };
        Node::bind(settings, HttpHandler::none()).await.expect("a free port")
    }

    async fn asked(master: &mut Process) -> Upid {
        loop {
            match master.next().await.expect("an event") {
                Event::Message(incoming) if incoming.is::<internal::AuthenticateMessage>() => {
                    return incoming.from;
                }
                Event::Message(_) | Event::Exited(_) => {}
            }
        }
    }

    /// A master may answer with an error, or not at all; it is asked again when the try's time is over, and not before.
    #[tokio::test(start_paused = true)]
    async fn a_failed_try_is_followed_by_another_when_its_time_is_over() {
        let (here, there) = (node().await, node().await);
        let mut master = there.register("master").unwrap();
        let time = Duration::from_secs(5);
        let patience = Patience::new(time, time, Duration::from_secs(1));
        let authenticator = Authenticator::new(here.clone(), Credential::new("agent1", "s3cret"), patience);
        let client = here.register("slave(1)").unwrap();
        let upid = master.upid().clone();
        let answers = async {
            let begin = Instant::now();
            let first = asked(&mut master).await;
            let error = Some("no authenticator is loaded".to_owned());
            master.post(&first, &internal::AuthenticationErrorMessage { error });
            let second = asked(&mut master).await;
            assert!(begin.elapsed() >= time, "{:?}", begin.elapsed());
            assert_ne!(first, second, "each try has a process of its own");
            // No answer to this one.
            let third = asked(&mut master).await;
            assert!(begin.elapsed() >= 2 * time, "{:?}", begin.elapsed());
            // An answer to an earlier try has no receiver any more.
            master.post(&second, &internal::AuthenticationFailedMessage {});
            let session = there.register("crammd5-authenticator-session(1)").unwrap();
            let mechanisms = vec![super::super::cram_md5::MECHANISM.to_owned()];
            session.post(&third, &internal::AuthenticationMechanismsMessage { mechanisms });
            session.post(&third, &internal::AuthenticationStepMessage { data: b"<1@x>".to_vec() });
            session.post(&third, &internal::AuthenticationCompletedMessage {});
        };
        let (authenticated, ()) = tokio::join!(authenticator.authenticate(&upid, client.upid()), answers);
        authenticated.unwrap();
    }
}
