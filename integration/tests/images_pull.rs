//! Pulls through a real engine from a real registry behind a proxy that fails: sharing, the cap, retries, deadlines,
//! kills, policies, and what is told of all that.

#[path = "images_pull/deadlines.rs"]
mod deadlines;
#[path = "images_pull/failures.rs"]
mod failures;
#[path = "images_pull/policies.rs"]
mod policies;
#[path = "images_pull/sharing.rs"]
mod sharing;
#[path = "images_pull/told.rs"]
mod told;

use std::path::Path;
use std::time::Duration;

use docker_containerizer::PullSettings;
use docker_containerizer::images::{Backoff, NegativeSettings, RetrySettings};
use integration::supervised::{Options, Task};

/// A second, of which tests' limits are made.
const SECOND: Duration = Duration::from_secs(1);

/// What a kill that waits for nothing may take on a busy machine. The engine and the registries that it must not wait for
/// hang for longer.
const PROMPT: Duration = Duration::from_secs(20);

/// A layer that takes a moment to send, in bytes.
const SOME: usize = 2 << 20;

/// Settings with limits of seconds.
fn pulls() -> PullSettings {
    PullSettings {
        retry: RetrySettings {
            max_retries: 2,
            network: Backoff { from: SECOND / 10, to: SECOND },
            rate_limit: Backoff { from: SECOND, to: SECOND * 2 },
        },
        negative: NegativeSettings { ttl: SECOND * 300, size: 16 },
        ..PullSettings::default()
    }
}

/// A supervisor's options with these settings.
fn with(pulls: PullSettings) -> Options {
    Options { pulls, ..Options::default() }
}

/// The same, through a proxy in front of the engine.
fn through(socket: &Path, pulls: PullSettings) -> Options {
    Options { pulls, ..Options::through(socket) }
}

/// A task of an image that ends at once.
fn task(id: &str, image: &str) -> Task {
    Task::shell("true").id(id).image_named(image)
}

/// The same, pulled whatever is there.
fn forced(id: &str, image: &str) -> Task {
    task(id, image).docker(|docker| docker.force_pull_image = Some(true))
}
