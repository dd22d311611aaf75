//! What frameworks are told, in the form that the tests compare.

use std::time::Duration;

use integration::reference::Events;

/// How long a framework's tasks may take in all.
pub(crate) const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// What a task tells that ends well.
pub(crate) const WHOLE_LIFE: [&str; 3] = ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];

/// Each task's states, with a status that was sent twice counted once.
pub(crate) fn states(events: &Events) -> Vec<Vec<String>> {
    events.by_task().into_values().collect()
}

/// The same states for so many tasks, to compare [`states`] with.
pub(crate) fn each(tasks: usize, states: &[&str]) -> Vec<Vec<String>> {
    vec![states.iter().map(|state| (*state).to_owned()).collect(); tasks]
}

/// That each of so many tasks told one terminal status, this one.
///
/// # Panics
///
/// One told another, or more than one.
#[track_caller]
pub(crate) fn all_end_once(events: &Events, tasks: usize, state: &str) {
    let ends = integration::agent::ends(events);
    assert_eq!(ends.len(), tasks, "{:?}", events.summary());
    for (task, ends) in ends {
        assert_eq!(ends, [state], "{task}: {:?}", events.summary());
    }
}
