//! Follows one container of ours: its news go to the core, the core's kills and updates to it.

use std::time::Duration;

use docker_containerizer::{ContainerizerError, PullStage, chain};
use task_supervisor::{ComposingError, TaskHandle, Update};
use tokio::time::sleep;

use super::containers::amounts;
use super::kind::{End, Kind};
use super::tasks::{Tasks, Wishes};
use super::updates::Wanted;
use crate::core::Run;

/// The first pause before an engine that is away is asked for an update again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What came of an update.
enum Updated {
    /// It is answered.
    Answered,
    /// The engine did not hear it, or did not say what came of it.
    EngineAway(Wanted),
}

/// Who follows one run.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) tasks: Tasks,
    pub(super) run: Run,
    pub(super) kind: Kind,
}

impl Follower {
    /// Carries a run's news to the core until its end.
    pub(super) async fn follow(self, mut handle: TaskHandle, wishes: Wishes) {
        let Wishes { mut kills, updates } = wishes;
        let mut updating = std::pin::pin!(async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.update(updates.next().await).await {
                    Updated::Answered => pause = FIRST_PAUSE,
                    Updated::EngineAway(wanted) => {
                        updates.again(wanted);
                        sleep(pause).await;
                        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                    }
                }
            }
        });
        loop {
            tokio::select! {
                update = handle.updates.recv() => {
                    let Some(update) = update else {
                        let why = "its supervision ended without a word".to_owned();
                        return self.end(End::Refused(why)).await;
                    };
                    match update {
                        Update::Terminal(status, _, termination) => {
                            return self.end(End::Ended(status, termination)).await;
                        }
                        Update::Running(status, _) => {
                            updates.up();
                            self.tasks.send(self.kind.running(&self.run, *status)).await;
                        }
                        other => self.news(other).await,
                    }
                }
                Some(request) = kills.recv() => {
                    // A run that ended meanwhile takes no kill.
                    let _ = handle.kills.send(request).await;
                }
                () = &mut updating => {}
            }
        }
    }

    /// What is told between the first word and the last.
    async fn news(&self, update: Update) {
        match update {
            Update::Status(status) => {
                if let Some(event) = self.kind.status(&self.run, *status) {
                    self.tasks.send(event).await;
                }
            }
            Update::Pull(news) if matches!(news.stage, PullStage::Queued) => {
                self.tasks.send(self.kind.waiting(&self.run)).await;
            }
            Update::Fetch(_) | Update::Pull(_) => self.tasks.progress(&self.run, self.kind).await,
            Update::Warning(text) => {
                tracing::warn!(container_id = %self.run.container_id, text, "the engine warns");
            }
            other => tracing::debug!(?other, "an update that the agent does not know"),
        }
    }

    /// Performs an update and answers it. One for an engine that is away is not answered: the core would destroy the
    /// container with all of its tasks.
    async fn update(&self, wanted: Wanted) -> Updated {
        let result = match amounts(&wanted.resources, &wanted.limits) {
            Ok((resources, limits)) => {
                let containerizer = self.tasks.supervisor().containerizer();
                match containerizer.update(self.run.container_id, resources, limits).await {
                    Err(error) if is_engine_away(&error) => {
                        tracing::warn!(container_id = %self.run.container_id, error = chain(&error),
                            "a container is not updated: the engine is away; trying again");
                        return Updated::EngineAway(wanted);
                    }
                    updated => updated.map_err(|error| chain(&error)),
                }
            }
            Err(why) => Err(why),
        };
        self.tasks.answer(&self.run, &wanted.tokens, result).await;
        Updated::Answered
    }

    async fn end(&self, end: End) {
        self.tasks.end(&self.run, self.kind, end).await;
    }
}

/// Whether an update is worth trying again: what it is for may be well.
fn is_engine_away(error: &ComposingError) -> bool {
    matches!(error, ComposingError::Docker(ContainerizerError::Engine { source, .. }) if source.is_engine_away())
}
