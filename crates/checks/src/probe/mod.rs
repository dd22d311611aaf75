//! Asking once.
//!
//! | module | owns |
//! |---|---|
//! | `command` | a command in a container, and its end |
//! | `process` | a command beside a process of this machine, and its end |
//! | `connect` | connections into the container's network |
//! | `http` | requests, with redirects |
//! | `redirect` | where a redirect leads; pure |
//! | `resolve` | names that a redirect leads to |
//! | `tls` | TLS without verification |

mod command;
mod connect;
mod http;
mod process;
mod redirect;
mod resolve;
mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mesos_types::{IpFamily, ProbeSpec, TcpProbe};
use tokio_util::sync::CancellationToken;

use crate::counts::Counters;
use crate::judge::{Answer, Asked};
use crate::runner::{Kind, Shared, Turn};
use crate::target::{Container, Subject, Target, loopback};
use command::Commands;
use connect::{ConnectError, connect};
use process::Beside;

pub(crate) use resolve::{Lookup, Resolver};
pub(crate) use tls::TlsOfChecks;

/// Asks what a check asks, again and again.
#[derive(Debug)]
pub(crate) struct Prober {
    shared: Arc<Shared>,
    target: Target,
    timeout: Option<Duration>,
    what: What,
}

#[derive(Debug)]
enum What {
    Exec(Container, Box<Commands>),
    Process(Box<Beside>),
    Http(mesos_types::HttpProbe, Lookup),
    Tcp(TcpProbe),
}

impl Prober {
    /// Asks for the check of this name, which no other check of the container has; an adopted one may have been made by
    /// another process before.
    pub(crate) fn new(
        shared: Arc<Shared>,
        target: Target,
        probe: ProbeSpec,
        timeout: Option<Duration>,
        name: &str,
        is_adopted: bool,
    ) -> Self {
        let what = match probe {
            ProbeSpec::Command(probe) => match &target.subject {
                Subject::Container(container) => {
                    let commands = Commands::new(probe, name, is_adopted);
                    What::Exec(container.clone(), Box::new(commands))
                }
                Subject::Process(process) => What::Process(Box::new(Beside::new(process.clone(), probe))),
            },
            ProbeSpec::Http(probe) => What::Http(probe, Lookup::default()),
            ProbeSpec::Tcp(probe) => What::Tcp(probe),
        };
        Self { shared, target, timeout, what }
    }

    /// What it needs a turn for.
    pub(crate) fn kind(&self) -> Kind {
        match self.what {
            What::Exec(..) | What::Process(_) => Kind::Command,
            What::Http(..) | What::Tcp(_) => Kind::Connection,
        }
    }

    /// The words of stock for it.
    pub(crate) fn name(&self) -> &'static str {
        match self.what {
            What::Exec(..) | What::Process(_) => "COMMAND",
            What::Http(..) => "HTTP",
            What::Tcp(_) => "TCP",
        }
    }

    /// Whether the task is known to have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.target.has_ended()
    }

    /// Asks once. When `given_up` is cancelled, it clears away what it has begun and answers `Aborted`. Ends the turn
    /// early when it takes long.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a command running; cancel instead.
    pub(crate) async fn ask(&mut self, given_up: &CancellationToken, turn: &mut Turn<'_>) -> Asked {
        let (shared, target, timeout) = (&*self.shared, &self.target, self.timeout);
        match &mut self.what {
            What::Exec(container, commands) => commands.ask(shared, container, timeout, given_up, turn).await,
            What::Process(commands) => commands.ask(shared, timeout, given_up, turn).await,
            What::Http(probe, lookup) => {
                let asking = http::ask(shared, &target.reach, probe, lookup);
                in_time(shared, asking, timeout, given_up, turn).await
            }
            What::Tcp(probe) => {
                let asking = tcp(shared, target, probe);
                in_time(shared, asking, timeout, given_up, turn).await
            }
        }
    }

    /// Clears away what an asking could not. Takes as long as the engine does; may be dropped.
    pub(crate) async fn clear(&mut self) {
        match &mut self.what {
            What::Exec(container, commands) => commands.clear(&self.shared, container).await,
            What::Process(commands) => commands.clear().await,
            What::Http(..) | What::Tcp(_) => {}
        }
    }
}

async fn tcp(shared: &Shared, target: &Target, probe: &TcpProbe) -> Asked {
    let address = (loopback(probe.family), probe.port).into();
    match connect(shared, &target.reach, address).await {
        Ok(_) => Asked::Answered(Answer::Connected(true), String::new()),
        Err(ConnectError::Refused(why)) => Asked::Answered(Answer::Connected(false), why),
        Err(ConnectError::NotDone(why)) => Asked::NotDone(why),
    }
}

/// Puts the check's timeout on an asking that needs no clearing away.
async fn in_time(
    shared: &Shared,
    asking: impl Future<Output = Asked>,
    timeout: Option<Duration>,
    given_up: &CancellationToken,
    turn: &mut Turn<'_>,
) -> Asked {
    let mut asking = std::pin::pin!(asking);
    let out_of_time = async {
        match timeout {
            Some(timeout) => {
                tokio::time::sleep(timeout).await;
                timeout
            }
            None => std::future::pending().await,
        }
    };
    let mut out_of_time = std::pin::pin!(out_of_time);
    // The others need not wait for a server that is slow.
    let mut turn_is_over = std::pin::pin!(tokio::time::sleep(shared.settings.longest_turn));
    loop {
        tokio::select! {
            biased;
            () = given_up.cancelled() => return Asked::Aborted,
            asked = &mut asking => return asked,
            timeout = &mut out_of_time => {
                Counters::add(&shared.counters.timed_out);
                return Asked::Unanswered(no_answer_within(timeout));
            }
            () = &mut turn_is_over, if !turn.has_ended() => turn.end(),
        }
    }
}

fn no_answer_within(timeout: Duration) -> String {
    format!("no answer within {}", seconds(timeout))
}

/// A duration for people.
fn seconds(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{:.3}s", duration.as_secs_f64())
    }
}

/// Whether an error of the system is about this process and not about the one that is asked.
fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::PERM, Errno::ACCESS];
    ours.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The host of a URL for an address.
fn url_host(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "127.0.0.1",
        IpFamily::V6 => "[::1]",
    }
}
