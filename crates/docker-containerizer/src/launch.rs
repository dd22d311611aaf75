//! The steps of a launch that talk to the engine: create, connect and start here, the image in `images::acquire`. Each may
//! be told of a kill in between.
//!
//! After a timeout the outcome is unknown, so each step looks before it does anything again: a container has a name
//! that only this launch uses, so what is there under that name is what an earlier attempt made. An engine that is
//! away makes a launch wait, not fail; the driver's kill interrupts the wait.

use std::path::Path;
use std::time::Duration;

use docker_engine::{Engine, EngineError, ErrorKind, ImageDetails, Inspection};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::containerizer::Shared;
use crate::credentials::CredentialSources;
use crate::images::{PullListener, PullManager};
use crate::labels::Labels;
use crate::policy::Policy;
use crate::request::{Connection, Request};
use containerizer::Failure;
use containerizer::blocking;

/// How often a step is tried against an engine that answers nothing useful.
const TRIES: usize = 5;

/// How long a launch waits for an engine that is away.
const ENGINE_AWAY: Duration = Duration::from_secs(600);

/// The pause between attempts against an engine that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// The engine as one launch uses it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launcher<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) request: &'a Request,
    /// The request as it was planned, without what files say, which the policy judges again.
    pub(crate) planned: &'a Request,
    pub(crate) policy: &'a Policy,
    pub(crate) labels: &'a Labels,
    pub(crate) pulls: &'a PullManager,
    pub(crate) credentials: &'a CredentialSources,
    /// The sandbox's path on the host, where the task may have brought credentials.
    pub(crate) sandbox: &'a Path,
    /// A kill came: what is in flight goes through, and nothing is tried or waited for any more.
    pub(crate) killed: &'a CancellationToken,
}

/// A container that was created.
#[derive(Debug)]
pub(crate) struct NewContainer {
    /// The engine's id.
    pub(crate) id: String,
    /// The engine's warnings.
    pub(crate) warnings: Vec<String>,
    /// The image, if it had to be pulled again.
    pub(crate) image: Option<ImageDetails>,
}

/// How a create or start that may have been lost stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Nothing was sent, or nothing came of it: try again.
    Retry,
    /// The engine refused: final.
    Refused,
    /// It may have happened: look.
    Look,
}

impl Launcher<'_> {
    /// Creates the container. An image that was removed since it was looked at is pulled again, once.
    ///
    /// # Errors
    ///
    /// The engine's refusal. The caller looks for a leftover by name after any error.
    ///
    /// # Cancel safety
    ///
    /// Must run to its end: a create in flight makes a container all the same.
    pub(crate) async fn create(&self, listener: &mut PullListener<'_>) -> Result<NewContainer, Failure> {
        let mut image = None;
        let since = Instant::now();
        for attempt in 1.. {
            self.judge_again("create")?;
            let deadline = self.engine.deadlines().create;
            let error = match self.engine.create(&self.request.name, &self.request.body, deadline).await {
                Ok(created) => {
                    return Ok(NewContainer { id: created.id, warnings: created.warnings, image });
                }
                Err(error) => error,
            };
            // Somebody removed the image between our look and the create.
            if error.is_not_found() && image.is_none() && is_missing_image(&error) {
                listener.vanished(&self.request.image);
                tokio::select! {
                    pulled = self.image_again(listener) => image = Some(pulled?),
                    () = self.killed.cancelled() => return Err(create_failure(&error)),
                }
                continue;
            }
            let is_conflict = matches!(error.kind(), ErrorKind::Conflict { .. });
            let lost = if is_conflict { Lost::Look } else { lost(&error) };
            match lost {
                Lost::Refused => return Err(create_failure(&error)),
                Lost::Retry => {}
                Lost::Look => {
                    if let Some(found) =
                        self.patiently(|| self.find()).await.map_err(|e| create_failure(&e))?
                    {
                        if self.is_ours(&found) && !found.state.started_at.is_set() {
                            return Ok(NewContainer { id: found.id, warnings: Vec::new(), image });
                        }
                        return Err(create_failure(&error));
                    }
                    if is_conflict && attempt >= TRIES {
                        return Err(create_failure(&error));
                    }
                }
            }
            if self.is_over(since) || (lost == Lost::Look && attempt >= TRIES) {
                return Err(create_failure(&error));
            }
            self.pause().await;
        }
        Err(Failure::new("create", "gave up"))
    }

    /// Asks the host policy once more, as late as can be: what a host path leads to may have changed.
    pub(crate) fn judge_again(&self, step: &'static str) -> Result<(), Failure> {
        blocking(|| self.planned.judge_again(self.policy))
            .map_err(|error| Failure::new(step, crate::chain(&error)).exit_code(125))
    }

    /// Connects the created container to the networks that its create could not name.
    ///
    /// # Errors
    ///
    /// The engine's refusal, with the network.
    ///
    /// # Cancel safety
    ///
    /// As [`Launcher::create`]: what it did goes with the container.
    pub(crate) async fn connect(&self, id: &str) -> Result<(), Failure> {
        for connection in &self.request.connections {
            self.connect_one(id, connection).await?;
        }
        Ok(())
    }

    async fn connect_one(&self, id: &str, connection: &Connection) -> Result<(), Failure> {
        let Connection { network, settings } = connection;
        let since = Instant::now();
        for attempt in 1.. {
            let deadline = self.engine.deadlines().create;
            let error = match self.engine.network_connect(network, id, settings, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let lost = lost(&error);
            if lost == Lost::Refused {
                return Err(connect_failure(&error));
            }
            if lost == Lost::Look {
                let found = self.patiently(|| self.inspect(id)).await.map_err(|e| connect_failure(&e))?;
                match found {
                    Some(found) if found.networks.contains_key(network) => return Ok(()),
                    Some(_) => {}
                    None => return Err(connect_failure(&error)),
                }
            }
            if self.is_over(since) || (lost == Lost::Look && attempt >= TRIES) {
                return Err(connect_failure(&error));
            }
            self.pause().await;
        }
        Err(Failure::new("connect", "gave up"))
    }

    /// Starts the container once; a lost answer is looked for.
    ///
    /// # Errors
    ///
    /// The engine's refusal, with the exit code that `docker run` would give.
    ///
    /// # Cancel safety
    ///
    /// Must run to its end: a start in flight starts the container all the same.
    pub(crate) async fn start(&self, id: &str) -> Result<(), Failure> {
        let since = Instant::now();
        for attempt in 1.. {
            // The engine follows the paths of mounts once more as it starts the container.
            self.judge_again("start")?;
            let error = match self.engine.start(id, self.engine.deadlines().start).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let lost = lost(&error);
            if lost == Lost::Refused {
                return Err(start_failure(&error));
            }
            if lost == Lost::Look {
                let found = self.patiently(|| self.inspect(id)).await.map_err(|e| start_failure(&e))?;
                match found {
                    Some(found) if found.state.started_at.is_set() => return Ok(()),
                    Some(_) => {}
                    None => return Err(start_failure(&error)),
                }
            }
            if self.is_over(since) || (lost == Lost::Look && attempt >= TRIES) {
                return Err(start_failure(&error));
            }
            self.pause().await;
        }
        Err(Failure::new("start", "gave up"))
    }

    /// Inspects the container, waiting for an engine that is away.
    pub(crate) async fn inspect_patiently(&self, id: &str) -> Result<Option<Inspection>, EngineError> {
        for _ in 1..TRIES {
            match self.patiently(|| self.inspect(id)).await {
                // One bad answer about a container that was started is no reason to kill it.
                Err(error) if matches!(error.kind(), ErrorKind::ServerError { .. }) => self.pause().await,
                result => return result,
            }
        }
        self.patiently(|| self.inspect(id)).await
    }

    async fn inspect(&self, id: &str) -> Result<Option<Inspection>, EngineError> {
        self.engine.inspect(id, self.engine.deadlines().inspect).await
    }

    /// Looks for the container under its name.
    pub(crate) async fn find(&self) -> Result<Option<Inspection>, EngineError> {
        self.inspect(&self.request.name).await
    }

    /// Whether a container carries the labels of this launch: its name alone can be anybody's.
    fn is_ours(&self, found: &Inspection) -> bool {
        Labels::read(&found.labels).ok().flatten().as_ref() == Some(self.labels)
    }

    /// Removes what this launch made, if it made anything. A container of somebody else that took its name stays.
    pub(crate) async fn remove(&self, shared: &Shared) -> Result<(), String> {
        match self.find().await {
            Ok(None) => Ok(()),
            Ok(Some(found)) if !self.is_ours(&found) => {
                tracing::warn!(
                    container = self.request.name,
                    "the name is taken by a container that is not ours"
                );
                Ok(())
            }
            Ok(Some(found)) => crate::removal::remove(shared, &found.id).await,
            // The engine does not answer now; the removal waits for it.
            Err(_) => crate::removal::remove(shared, &self.request.name).await,
        }
    }

    /// Whether a wait for the engine that began at `since` is to end.
    fn is_over(&self, since: Instant) -> bool {
        self.killed.is_cancelled() || since.elapsed() > ENGINE_AWAY
    }

    /// Pauses between attempts, up to a kill.
    async fn pause(&self) {
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = self.killed.cancelled() => {}
        }
    }

    /// Repeats a question while the engine is away or does not answer, for as long as a launch waits for it.
    pub(crate) async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, EngineError>>,
    {
        let since = Instant::now();
        loop {
            match ask().await {
                Err(error) if lost(&error) != Lost::Refused && !self.is_over(since) => {
                    tracing::warn!(
                        container = self.request.name,
                        error = crate::chain(&error),
                        "waiting for the engine"
                    );
                    self.pause().await;
                }
                result => return result,
            }
        }
    }
}

/// What to do after an error of a create or start.
fn lost(error: &EngineError) -> Lost {
    match error.kind() {
        ErrorKind::Unreachable { .. } => Lost::Retry,
        ErrorKind::Timeout { .. } | ErrorKind::StreamBroken { .. } => Lost::Look,
        _ => Lost::Refused,
    }
}

/// Whether a 404 of a create is about the image: any other subject of a create (a network, a volume's container) has
/// its own sentence, and a pull of an image that is there costs one look.
fn is_missing_image(error: &EngineError) -> bool {
    error.engine_message().is_some_and(|message| message.to_ascii_lowercase().contains("no such image"))
}

fn create_failure(error: &EngineError) -> Failure {
    Failure::new("create", crate::chain(error)).exit_code(125)
}

fn connect_failure(error: &EngineError) -> Failure {
    Failure::new("connect", crate::chain(error)).exit_code(125)
}

fn start_failure(error: &EngineError) -> Failure {
    let code = docker_engine::start_failure_exit_code(error);
    let message = match code {
        126 => format!(
            "{} (hint: the command of the task cannot be run; is it executable?)",
            crate::chain(error)
        ),
        127 => format!("{} (hint: the image has no such command or file)", crate::chain(error)),
        _ => crate::chain(error),
    };
    Failure::new("start", message).exit_code(i64::from(code))
}
