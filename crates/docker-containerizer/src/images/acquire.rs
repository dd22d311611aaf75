//! A launch's way to its image: look at the host, pull what is missing or forced, fall back where the policy says so.

use std::time::Duration;

use docker_engine::{Credentials, EngineError, ImageDetails, ImageRef};
use mesos_types::PullPolicy as TaskPolicy;
use tokio::time::Instant;

use super::failure::{PullClass, PullError};
use super::key::PullKey;
use super::listener::PullListener;
use super::policy::{Fallback, First, Plan};
use crate::credentials::{Login, when_not_found, when_refused};
use crate::launch::Launcher;
use containerizer::Failure;

/// How long credentials are taken for good after they were looked for: tokens live for minutes.
const FRESH: Duration = Duration::from_secs(60);

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
        let since = Instant::now();
        let details = self.find_image(task, listener).await?;
        self.pulls.record_image_time(since.elapsed());
        Ok(details)
    }

    async fn find_image(
        &self,
        task: TaskPolicy,
        listener: &mut PullListener<'_>,
    ) -> Result<ImageDetails, Failure> {
        let image = &self.request.image;
        let mut plan = self.pulls.settings().policy.plan(task);
        if image.pull_target().is_none() {
            plan = plan.of_an_id();
        }
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
        let mut login = self.login().await?;
        match (self.pull(plan, &mut login, listener).await, cached) {
            (Ok(()), _) => match self.look_after_pull(image).await? {
                Some(details) => Ok(details),
                // A prune came between.
                None => {
                    listener.vanished(image);
                    self.image_again(listener).await
                }
            },
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
        let mut login = self.login().await?;
        let pulled = self.pull(plan, &mut login, listener).await;
        pulled.map_err(|error| refused(error, image, login.as_ref()))?;
        self.look_after_pull(image).await?.ok_or_else(|| {
            let message = format!("the image {} was pulled and is not there", image.familiar());
            Failure::new("pull", message).exit_code(125)
        })
    }

    /// Pulls. Credentials that the registry refused after a wait, in which they may have expired or been replaced, are
    /// looked for once more; others than those are in `login` then, and have the deadline anew.
    async fn pull(
        &self,
        plan: Plan,
        login: &mut Option<Login>,
        listener: &mut PullListener<'_>,
    ) -> Result<(), PullError> {
        let since = Instant::now();
        let Err(error) = self.pull_as(plan, login.as_ref(), listener).await else { return Ok(()) };
        if !may_be_outdated(&error, since.elapsed()) {
            return Err(error);
        }
        match self.credentials.resolve(&self.request.image, self.sandbox).await {
            Ok(now) if credentials_of(now.as_ref()) != credentials_of(login.as_ref()) => {
                *login = now;
                self.pull_as(plan, login.as_ref(), listener).await
            }
            // Why there are none any more is not why the registry refused.
            Ok(_) | Err(_) => Err(error),
        }
    }

    async fn pull_as(
        &self,
        plan: Plan,
        login: Option<&Login>,
        listener: &mut PullListener<'_>,
    ) -> Result<(), PullError> {
        let image = &self.request.image;
        let key = PullKey::new(image, None, credentials_of(login).cloned());
        listener.begins(image);
        self.pulls.pull(&key, image, plan.fallback, |news| listener.hears(news)).await
    }

    async fn look_after_pull(&self, image: &ImageRef) -> Result<Option<ImageDetails>, Failure> {
        self.patiently(|| self.look_for(image)).await.map_err(look_failure)
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

fn credentials_of(login: Option<&Login>) -> Option<&Credentials> {
    login.map(|login| &login.credentials)
}

/// Whether a refusal may be of credentials that were in order when they were looked for: the pull was paused, or it
/// took long, in the queue or under way.
fn may_be_outdated(error: &PullError, waited: Duration) -> bool {
    let was_paused = matches!(error, PullError::Failed { attempts: 2.., .. });
    error.class() == Some(PullClass::Denied) && (was_paused || waited >= FRESH)
}

/// The failure of a launch. It is said whose credentials the registry was shown: of a refusal, and of an image that is
/// not there, since most registries answer so to credentials that do not reach to it.
fn refused(error: PullError, image: &ImageRef, login: Option<&Login>) -> Failure {
    let hint = match error.class() {
        Some(PullClass::Denied) => when_refused(image, login),
        Some(PullClass::NotFound) => when_not_found(image, login),
        _ => return error.into_failure(),
    };
    Failure::new("pull", format!("{} (hint: {hint})", error.into_failure().message())).exit_code(125)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::CredentialSource;
    use std::sync::Arc;

    fn failed(class: PullClass, attempts: u32) -> PullError {
        let source = Arc::new(std::io::Error::other("denied"));
        PullError::Failed { image: "reg.test/a".into(), attempts, class, source }
    }

    #[rstest::rstest]
    #[case::at_once(failed(PullClass::Denied, 1), 0, false)]
    #[case::after_a_pause(failed(PullClass::Denied, 2), 0, true)]
    #[case::after_the_queue(failed(PullClass::Denied, 1), 60, true)]
    #[case::not_refused(failed(PullClass::NotFound, 2), 600, false)]
    #[case::another_failure(PullError::Abandoned { image: "a".into() }, 600, false)]
    fn credentials_are_looked_for_again_after_a_wait(
        #[case] error: PullError,
        #[case] waited: u64,
        #[case] expected: bool,
    ) {
        assert_eq!(may_be_outdated(&error, Duration::from_secs(waited)), expected);
    }

    #[test]
    fn a_failure_that_credentials_may_be_the_cause_of_has_one_hint_that_names_them() {
        let image = ImageRef::parse("reg.test/a").unwrap();
        let login = Login {
            credentials: Credentials { password: "hunter2".into(), ..Credentials::default() },
            source: CredentialSource::Operator,
        };
        for class in PullClass::ALL {
            for login in [None, Some(&login)] {
                let message = refused(failed(class, 1), &image, login).message().to_owned();
                let is_about_them = matches!(class, PullClass::Denied | PullClass::NotFound);
                assert_eq!(message.contains("registry reg.test"), is_about_them, "{message}");
                let is_named = message.contains("the credentials of --docker_config");
                assert_eq!(is_named, is_about_them && login.is_some(), "{message}");
                assert!(message.matches("hint").count() <= 1 && !message.contains("hunter2"), "{message}");
            }
        }
    }
}
