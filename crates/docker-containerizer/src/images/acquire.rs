//! A launch's way to its image: look at the host, pull what is missing or forced, fall back where the policy says so.

use docker_engine::{EngineError, ImageDetails, ImageRef};
use mesos_types::PullPolicy as TaskPolicy;

use super::failure::{PullClass, PullError};
use super::key::PullKey;
use super::listener::PullListener;
use super::manager::Patience;
use super::policy::{Fallback, First, Plan};
use crate::credentials::{Login, when_refused};
use crate::launch::Launcher;
use crate::termination::Failure;

impl Launcher<'_> {
    /// Has the image on the host: by looking, or by pulling.
    ///
    /// # Errors
    ///
    /// The launch's failure: of the credentials, of the pull, or of an engine that stays away.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the pull, which is cancelled in the engine when nobody else waits for it.
    pub(crate) async fn image(
        &self,
        task: TaskPolicy,
        listener: &mut PullListener<'_>,
    ) -> Result<ImageDetails, Failure> {
        let image = &self.request.image;
        let mut plan = self.pulls.settings().policy.plan(task);
        if plan.first == First::Look
            && let Some(details) = self.patiently(|| self.look_for(image)).await.map_err(look_failure)?
        {
            return Ok(details);
        }
        let cached = match plan.fallback {
            Fallback::None => None,
            Fallback::Cached => self.patiently(|| self.look_for(image)).await.map_err(look_failure)?,
        };
        if cached.is_none() {
            plan.fallback = Fallback::None;
        }
        let login = self.login().await?;
        match (self.pull(plan, login.as_ref(), listener).await, cached) {
            (Ok(()), _) => self.pulled(image).await,
            (Err(error), Some(cached)) if error.class().is_some_and(|class| plan.falls_back(class)) => {
                listener.falls_back(&error);
                Ok(cached)
            }
            (Err(error), _) => Err(refused(error, image, login.as_ref())),
        }
    }

    /// Pulls the image that was there a moment ago and is not any more.
    ///
    /// # Errors
    ///
    /// As [`Launcher::image`].
    ///
    /// # Cancel safety
    ///
    /// As [`Launcher::image`].
    pub(crate) async fn image_again(&self, listener: &mut PullListener<'_>) -> Result<ImageDetails, Failure> {
        let image = &self.request.image;
        let plan = Plan { first: First::Pull, fallback: Fallback::None };
        let login = self.login().await?;
        let pulled = self.pull(plan, login.as_ref(), listener).await;
        pulled.map_err(|error| refused(error, image, login.as_ref()))?;
        self.pulled(image).await
    }

    async fn pull(
        &self,
        plan: Plan,
        login: Option<&Login>,
        listener: &mut PullListener<'_>,
    ) -> Result<(), PullError> {
        let image = &self.request.image;
        let key = PullKey::new(image, None, login.map(|login| login.credentials.clone()));
        let patience = match plan.fallback {
            Fallback::None => Patience::ToTheEnd,
            Fallback::Cached => Patience::FirstFailure,
        };
        listener.begins(image);
        self.pulls.pull(&key, image, patience, |news| listener.hears(news)).await
    }

    async fn pulled(&self, image: &ImageRef) -> Result<ImageDetails, Failure> {
        self.patiently(|| self.look_for(image)).await.map_err(look_failure)?.ok_or_else(|| {
            let message = format!("the image {} was pulled and is not there", image.familiar());
            Failure::new("pull", message).exit_code(125)
        })
    }

    async fn look_for(&self, image: &ImageRef) -> Result<Option<ImageDetails>, EngineError> {
        self.engine.image_inspect(image, self.engine.deadlines().image_inspect).await
    }

    /// The credentials for the image.
    async fn login(&self) -> Result<Option<Login>, Failure> {
        self.credentials
            .resolve(&self.request.image, self.sandbox)
            .await
            .map_err(|error| Failure::new("pull", crate::chain(&error)).exit_code(125))
    }
}

fn look_failure(error: EngineError) -> Failure {
    Failure::new("pull", crate::chain(&error)).exit_code(125)
}

/// The failure of a launch; of a refusal it is said whose credentials the registry was shown.
fn refused(error: PullError, image: &ImageRef, login: Option<&Login>) -> Failure {
    let class = error.class();
    let failure = error.into_failure();
    if class != Some(PullClass::Denied) {
        return failure;
    }
    Failure::new("pull", format!("{} (hint: {})", failure.message(), when_refused(image, login)))
        .exit_code(125)
}
