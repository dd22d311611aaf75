//! Whom a launch tells of its pull: the sandbox's stderr, and whoever follows the launch.

use std::sync::{Mutex, PoisonError};

use docker_engine::ImageRef;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::failure::PullError;
use super::news::{PullNews, Reporter};
use crate::logs::LogFiles;
use crate::order::Progress;
use containerizer::blocking;

/// Who hears of the pulls of one launch.
#[derive(Debug)]
pub(crate) struct PullListener<'a> {
    /// Shared with the fetch that goes on beside the pull; held for a line at a time.
    files: &'a Mutex<LogFiles>,
    progress: Option<&'a mpsc::Sender<Progress>>,
    reporter: Option<Reporter>,
}

impl<'a> PullListener<'a> {
    pub(crate) fn new(files: &'a Mutex<LogFiles>, progress: Option<&'a mpsc::Sender<Progress>>) -> Self {
        Self { files, progress, reporter: None }
    }

    /// A pull is asked for.
    pub(super) fn begins(&mut self, image: &ImageRef) {
        self.reporter = Some(Reporter::new(image.familiar(), Instant::now()));
    }

    /// Something is new of it, or time has passed.
    pub(super) fn hears(&mut self, news: &PullNews) {
        if let Some(progress) = self.progress {
            // Progress is a courtesy: a listener that is slow misses lines, never the launch its time.
            let _ = progress.try_send(Progress::Pull(news.clone()));
        }
        let line = self.reporter.as_mut().and_then(|reporter| reporter.line(news, Instant::now()));
        if let Some(line) = line {
            self.write(&line);
        }
    }

    /// The pull failed, and the image on the host is used.
    pub(super) fn falls_back(&mut self, error: &PullError) {
        self.write(&format!(
            "warning: {}; the image on this host is used, which may be older",
            crate::chain(error)
        ));
    }

    /// The image was removed between the look and the create.
    pub(crate) fn vanished(&mut self, image: &ImageRef) {
        self.write(&format!("image {} was removed meanwhile and is pulled again", image.familiar()));
    }

    fn write(&mut self, line: &str) {
        if let Err(error) = blocking(|| self.files.lock().unwrap_or_else(PoisonError::into_inner).note(line))
        {
            tracing::warn!(error = crate::chain(&error), "a line about a pull was not written");
        }
    }
}
