//! Verbs that change a container: create, start, kill, update, remove.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;

use crate::create_body::{CreateBody, Resources};
use crate::engine::{Engine, Turn, unreadable};
use crate::error::{EngineError, ErrorKind, Op};
use crate::path;
use crate::serde_null::nullable;
use crate::transport::{Call, Repeat};

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Created {
    /// The engine's id.
    #[serde(rename = "Id")]
    pub id: String,
    /// What the engine did not take as it was asked.
    #[serde(rename = "Warnings", default, deserialize_with = "nullable")]
    pub warnings: Vec<String>,
}

/// How a start went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// The container was started by this call.
    Now,
    /// It was running already (304).
    Already,
}

/// Whether a running container is killed to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Kill it first.
    Yes,
    /// Leave it running.
    No,
}

/// What becomes of a container's anonymous volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousVolumes {
    /// They go with it.
    Remove,
    /// They stay.
    Keep,
}

/// How a removal went. None of these is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The container was there and is gone.
    Removed,
    /// It was not there.
    AlreadyGone,
    /// Somebody else is removing it.
    InProgress,
    /// It runs, and [`Force::No`] left it so.
    Running,
}

impl Engine {
    /// Makes a container under `name`, in its turn among the creates in flight.
    ///
    /// # Errors
    ///
    /// `NotFound` for a missing image, `Conflict` for a name that is taken, `BadRequest` with the engine's sentence,
    /// `Queued` if its turn did not come within the deadline, after which nothing was sent. After any error whose
    /// outcome is unknown the container may exist: look it up by name.
    pub async fn create(
        &self,
        name: &str,
        body: &CreateBody,
        deadline: Duration,
    ) -> Result<Created, EngineError> {
        let json = serde_json::to_vec(body).map_err(|error| unreadable(Op::Create, name, &error))?;
        self.create_raw(name, json.into(), deadline).await
    }

    /// Makes a container from a request body that is JSON already. Otherwise as [`Engine::create`].
    ///
    /// # Errors
    ///
    /// As [`Engine::create`].
    pub async fn create_raw(
        &self,
        name: &str,
        json: bytes::Bytes,
        deadline: Duration,
    ) -> Result<Created, EngineError> {
        let call =
            Call::post(format!("/containers/create?name={}", path::value(name)), Repeat::Never).json(json);
        let _turn = self.turn(Turn::Create, name, deadline).await?;
        let since = Instant::now();
        let created = self.call_json(Op::Create, name, deadline, &call).await;
        tracing::debug!(name, took_ms = since.elapsed().as_millis(), ok = created.is_ok(), "create answered");
        created
    }

    /// Starts a container, in its turn among the starts in flight.
    ///
    /// # Errors
    ///
    /// `NotFound`; `BadRequest` or `ServerError` with the engine's sentence, for which
    /// [`crate::start_failure_exit_code`] has the exit code; `Queued` as for [`Engine::create`]. After any error whose
    /// outcome is unknown the container may have run and ended: inspect, and never start again blindly.
    pub async fn start(&self, id: &str, deadline: Duration) -> Result<Started, EngineError> {
        let call = Call::post(path::container(id, "/start"), Repeat::Never);
        let _turn = self.turn(Turn::Start, id, deadline).await?;
        let since = Instant::now();
        let answer = self.call(Op::Start, id, deadline, &call).await;
        tracing::debug!(id, took_ms = since.elapsed().as_millis(), ok = answer.is_ok(), "start answered");
        Ok(if answer?.status == StatusCode::NOT_MODIFIED { Started::Already } else { Started::Now })
    }

    /// Sends a signal, by name (`SIGTERM`, `TERM`) or number, to a container's first process.
    ///
    /// # Errors
    ///
    /// `NotRunning` and `NotFound` say that there is nothing left to signal; `BadRequest` for a signal that is none.
    pub async fn kill(&self, id: &str, signal: &str, deadline: Duration) -> Result<(), EngineError> {
        let call_path = path::container(id, &format!("/kill?signal={}", path::value(signal)));
        self.call(Op::Kill, id, deadline, &Call::post(call_path, Repeat::Never)).await.map(drop)
    }

    /// Removes a container.
    ///
    /// # Errors
    ///
    /// `ServerError` when the engine could not (a busy file system); a container that is not there, or on its way out,
    /// is a [`Removal`]. A removal may be repeated.
    pub async fn remove(
        &self,
        id: &str,
        force: Force,
        volumes: AnonymousVolumes,
        deadline: Duration,
    ) -> Result<Removal, EngineError> {
        let force_value = u8::from(force == Force::Yes);
        let volumes_value = u8::from(volumes == AnonymousVolumes::Remove);
        let call = Call::delete(path::container(id, &format!("?force={force_value}&v={volumes_value}")));
        match self.call(Op::Remove, id, deadline, &call).await {
            Ok(_) => Ok(Removal::Removed),
            Err(error) if error.is_not_found() => Ok(Removal::AlreadyGone),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict { .. }) => {
                self.conflicting_removal(id, error, deadline).await
            }
            Err(error) => Err(error),
        }
    }

    /// Finds out what a removal's 409 means: the number stands for a running container and for one that is being
    /// removed, and the state tells them apart.
    async fn conflicting_removal(
        &self,
        id: &str,
        conflict: EngineError,
        deadline: Duration,
    ) -> Result<Removal, EngineError> {
        let Some(inspection) = self.inspect(id, deadline).await? else { return Ok(Removal::AlreadyGone) };
        match inspection.state.status.as_str() {
            "removing" | "dead" => Ok(Removal::InProgress),
            _ if inspection.state.running => Ok(Removal::Running),
            _ => Err(conflict),
        }
    }

    /// Changes the resources of a container; absent fields stay as they are. Returns the engine's warnings.
    ///
    /// # Errors
    ///
    /// `NotFound`; `BadRequest`, `Conflict` or `ServerError` with the engine's sentence, such as for a memory limit
    /// above the swap limit.
    pub async fn update(
        &self,
        id: &str,
        resources: &Resources,
        deadline: Duration,
    ) -> Result<Vec<String>, EngineError> {
        #[derive(Deserialize)]
        struct Updated {
            #[serde(rename = "Warnings", default, deserialize_with = "nullable")]
            warnings: Vec<String>,
        }
        let json = serde_json::to_vec(resources).map_err(|error| unreadable(Op::Update, id, &error))?;
        let call = Call::post(path::container(id, "/update"), Repeat::Safe).json(json);
        let updated: Updated = self.call_json(Op::Update, id, deadline, &call).await?;
        Ok(updated.warnings)
    }
}
