//! What a run is, which decides how its news are told to the core.

use docker_containerizer::Termination;
use mesos_proto::v1;

use super::containers;
use crate::core::{ContainerEvent, Event, Gone, Run, TaskEvent};

/// What a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A command task, whose statuses this process tells.
    Task,
    /// An executor with a program of its own, which tells the statuses of its tasks.
    Executor,
}

/// How a run ended, or why it did not begin.
#[derive(Debug)]
pub(super) enum End {
    /// Its container ended while it was followed.
    Ended(Box<v1::TaskStatus>, Box<Termination>),
    /// It had ended when it was found; this is what its record says.
    Recorded(Box<v1::TaskStatus>),
    /// The launch was refused, or it cannot be carried on; nothing of it is left. Says why.
    Refused(String),
    /// An earlier process did not come to launch it.
    NeverLaunched,
    /// It is gone, and this is all that is known.
    Gone(String),
}

impl Kind {
    /// The launch goes on.
    pub(super) fn progress(self, run: &Run) -> Event {
        self.event(run, TaskEvent::Progress, ContainerEvent::Progress)
    }

    /// The launch waits for its turn.
    pub(super) fn waiting(self, run: &Run) -> Event {
        self.event(run, TaskEvent::Waiting, ContainerEvent::Waiting)
    }

    /// A status before the last; of an executor its container's, which nobody is told.
    pub(super) fn status(self, run: &Run, status: v1::TaskStatus) -> Option<Event> {
        match self {
            Self::Task => Some(Event::Task(run.clone(), Box::new(TaskEvent::Status(status)))),
            Self::Executor => None,
        }
    }

    /// TASK_RUNNING; of an executor: its program was started.
    pub(super) fn running(self, run: &Run, status: v1::TaskStatus) -> Event {
        self.event(run, TaskEvent::Status(status), ContainerEvent::Up)
    }

    /// The last news.
    pub(super) fn end(self, run: &Run, end: End) -> Event {
        match end {
            End::Ended(status, termination) => {
                let container = containers::end(&status, &termination);
                self.event(run, TaskEvent::Ended(*status), container)
            }
            End::Recorded(status) => {
                let container = containers::end_of_record(&status);
                self.event(run, TaskEvent::Ended(*status), container)
            }
            End::Refused(why) => {
                self.event(run, TaskEvent::Refused(why.clone()), ContainerEvent::Refused(why))
            }
            End::NeverLaunched => self.event(run, TaskEvent::NeverLaunched, ContainerEvent::NeverLaunched),
            // Nobody supervised the task, so there is no status to tell of it, whoever made its executor up.
            End::Gone(message) => {
                let gone = Gone { message: Some(message), ..Gone::default() };
                Event::Container(run.clone(), ContainerEvent::Terminated(Box::new(gone)))
            }
        }
    }

    fn event(self, run: &Run, task: TaskEvent, container: ContainerEvent) -> Event {
        match self {
            Self::Task => Event::Task(run.clone(), Box::new(task)),
            Self::Executor => Event::Container(run.clone(), container),
        }
    }
}
