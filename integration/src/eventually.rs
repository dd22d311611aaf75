//! Owns waiting in tests: on a predicate, with a deadline, never on time alone.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two looks, at first; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Asks `look` again and again until it finds something, and returns that.
///
/// `what` completes the sentence "waited in vain for …". A look that hangs counts against the deadline too.
///
/// # Errors
///
/// The deadline passes first, or `look` fails: an error isn't "not yet".
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    loop {
        match timeout_at(deadline, look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error.context(format!("while waiting for {what}"))),
            Err(_) => bail!("waited in vain for {what}: the last look did not end within {within:?}"),
        }
        if Instant::now() + pause >= deadline {
            bail!("waited in vain for {what} for {within:?}");
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_what_is_found_and_when_it_is_found() {
        let mut looks = 0;
        let found = eventually("the third look", Duration::from_secs(5), async || {
            looks += 1;
            Ok((looks == 3).then_some("here"))
        })
        .await;
        assert_eq!((found.expect("found"), looks), ("here", 3));
    }

    #[tokio::test]
    async fn the_deadline_the_subject_and_a_hanging_look_are_told() {
        let error =
            eventually("godot", Duration::from_millis(30), async || Ok(None::<()>)).await.unwrap_err();
        assert!(error.to_string().starts_with("waited in vain for godot"), "{error}");
        let error = eventually("godot", Duration::from_millis(30), async || {
            std::future::pending::<()>().await;
            Ok(Some(()))
        })
        .await
        .unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[tokio::test]
    async fn an_error_ends_the_wait() {
        let error =
            eventually("godot", Duration::from_secs(60), async || -> Result<Option<()>> { bail!("broken") })
                .await;
        assert_eq!(format!("{:#}", error.unwrap_err()), "while waiting for godot: broken");
    }
}
