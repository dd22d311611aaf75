//! What the owner of a container shows of it, and the [`Handle`] that others watch it with.

use std::sync::Arc;

use mesos_types::ContainerId;
use tokio::sync::watch;

use crate::termination::Termination;

/// What the outside sees of a container; `R` is what a containerizer tells of one that runs. Its owner alone changes it,
/// and each part is set once.
#[derive(Debug, Clone)]
pub struct View<R> {
    /// What was seen of it when it started.
    pub running: Option<R>,
    /// Whether it has had its stop signal.
    pub signalled: bool,
    /// Whether its process is known to be gone; what is known of the end may come much later.
    pub is_gone: bool,
    /// How it ended.
    pub termination: Option<Arc<Termination>>,
    /// Whether nothing is left of it, or what is left is to stay.
    pub settled: bool,
}

/// What is known of a container (`ContainerStatus`).
#[derive(Debug, Clone)]
pub struct ContainerStatus<R> {
    /// The container.
    pub container_id: ContainerId,
    /// What was seen of it when it started; `None` before.
    pub running: Option<R>,
}

/// A container that was handed over, from its owner's side.
#[derive(Debug)]
pub struct Handle<R> {
    view: watch::Receiver<View<R>>,
}

impl<R> Default for View<R> {
    fn default() -> Self {
        Self { running: None, signalled: false, is_gone: false, termination: None, settled: false }
    }
}

impl<R> Clone for Handle<R> {
    fn clone(&self) -> Self {
        Self { view: self.view.clone() }
    }
}

impl<R: Clone> Handle<R> {
    /// The handle of the container that this view shows.
    pub fn new(view: watch::Receiver<View<R>>) -> Self {
        Self { view }
    }

    /// Waits until the container was seen started; `None` if it ended without.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn running(&mut self) -> Option<R> {
        let seen = self.view.wait_for(|view| view.running.is_some() || view.termination.is_some()).await;
        seen.ok()?.running.clone()
    }

    /// Waits until the container has had the stop signal of a kill, or for ever if there is none to take.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn signalled(&mut self) {
        if self.view.wait_for(|view| view.signalled).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until the container's process is known to be gone, or for ever if the runtime shuts down before. The end is
    /// told later: when the exit code is known, and the output is in the sandbox.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn gone(&mut self) {
        if self.view.wait_for(|view| view.is_gone).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits for the end. `None` only when the runtime shuts down.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn terminated(&mut self) -> Option<Arc<Termination>> {
        let seen = self.view.wait_for(|view| view.termination.is_some()).await;
        seen.ok()?.termination.clone()
    }

    /// Waits until nothing is left of the stopped container, or what is left is to stay.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn settled(&mut self) {
        // A sender that is gone has nothing left to do.
        let _ = self.view.wait_for(|view| view.settled).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ending, Failure};

    #[tokio::test]
    async fn a_container_that_never_ran_is_waited_for_no_longer() {
        let (view, seen) = watch::channel(View::<u8>::default());
        let mut handle = Handle::new(seen);
        let end = Termination::new(Ending::LaunchFailed(Failure::new("start", "E")));
        view.send_modify(|view| view.termination = Some(Arc::new(end.clone())));
        assert_eq!(handle.running().await, None);
        assert_eq!(handle.terminated().await.as_deref(), Some(&end));
        drop(view);
        handle.settled().await;
    }

    #[tokio::test]
    async fn a_runtime_that_shuts_down_tells_no_end() {
        let (view, seen) = watch::channel(View::default());
        let mut handle = Handle::new(seen);
        view.send_modify(|view| view.running = Some(7));
        drop(view);
        assert_eq!(handle.running().await, Some(7));
        assert_eq!(handle.terminated().await, None);
        let at_once = std::time::Duration::ZERO;
        assert!(tokio::time::timeout(at_once, handle.gone()).await.is_err());
    }
}
