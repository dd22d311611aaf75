//! When an image is pulled, and what becomes of a launch whose pull fails: pure.

use mesos_types::PullPolicy as TaskPolicy;

use super::failure::PullClass;

/// When images are pulled (`--docker_pull_policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Only images that are not on the host.
    #[default]
    IfNotPresent,
    /// Every image, before every launch.
    Always,
    /// As `IfNotPresent`; and a task that forces a pull starts from the image on the host when the registry fails.
    PreferCached,
}

/// What a launch does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// It looks whether the image is on the host, and pulls it if it is not.
    Look,
    /// It pulls.
    Pull,
}

/// What becomes of a launch whose forced pull failed for a reason that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// It waits for the retries, and fails with the last one.
    None,
    /// It starts from the image on the host at the first failure, if there is one.
    Cached,
}

impl Fallback {
    /// Whether a failure of this class is one to fall back at.
    pub(crate) fn takes(self, class: PullClass) -> bool {
        self == Self::Cached
            && match class {
                PullClass::RateLimited | PullClass::Network => true,
                // The registry answered, and what it said holds; or the trouble is on this host.
                PullClass::NotFound
                | PullClass::Denied
                | PullClass::DiskFull
                | PullClass::Engine
                | PullClass::EngineAway => false,
            }
    }
}

/// How a launch comes to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) first: First,
    pub(crate) fallback: Fallback,
}

impl PullPolicy {
    /// The plan for a task. A task that forces the pull wins over every policy. `force_pull_image = false` is what
    /// schedulers send for all tasks that say nothing, so it does not weaken `Always`.
    pub(crate) fn plan(self, task: TaskPolicy) -> Plan {
        match (self, task) {
            (Self::IfNotPresent | Self::PreferCached, TaskPolicy::IfMissing) => {
                Plan { first: First::Look, fallback: Fallback::None }
            }
            (Self::Always, TaskPolicy::IfMissing)
            | (Self::IfNotPresent | Self::Always, TaskPolicy::Always) => {
                Plan { first: First::Pull, fallback: Fallback::None }
            }
            (Self::PreferCached, TaskPolicy::Always) => {
                Plan { first: First::Pull, fallback: Fallback::Cached }
            }
        }
    }
}

impl Plan {
    /// Whether a failure of this class sends the launch to the image on the host.
    pub(crate) fn falls_back(self, class: PullClass) -> bool {
        self.fallback.takes(class)
    }

    /// The plan for an image that is named by its id, which no registry knows: whatever was forced, it is on the host or
    /// cannot be had.
    pub(crate) fn of_an_id(self) -> Self {
        Self { first: First::Look, fallback: Fallback::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(PullPolicy::IfNotPresent, TaskPolicy::IfMissing, First::Look, Fallback::None)]
    #[case(PullPolicy::IfNotPresent, TaskPolicy::Always, First::Pull, Fallback::None)]
    #[case(PullPolicy::Always, TaskPolicy::IfMissing, First::Pull, Fallback::None)]
    #[case(PullPolicy::Always, TaskPolicy::Always, First::Pull, Fallback::None)]
    #[case(PullPolicy::PreferCached, TaskPolicy::IfMissing, First::Look, Fallback::None)]
    #[case(PullPolicy::PreferCached, TaskPolicy::Always, First::Pull, Fallback::Cached)]
    fn the_task_wins_over_the_flag(
        #[case] flag: PullPolicy,
        #[case] task: TaskPolicy,
        #[case] first: First,
        #[case] fallback: Fallback,
    ) {
        assert_eq!(flag.plan(task), Plan { first, fallback });
    }

    #[test]
    fn an_id_is_looked_for_whatever_is_forced() {
        for policy in [PullPolicy::IfNotPresent, PullPolicy::Always, PullPolicy::PreferCached] {
            for task in [TaskPolicy::IfMissing, TaskPolicy::Always] {
                let plan = Plan { first: First::Look, fallback: Fallback::None };
                assert_eq!(policy.plan(task).of_an_id(), plan);
            }
        }
    }

    #[rstest::rstest]
    #[case(PullClass::Network, true)]
    #[case(PullClass::RateLimited, true)]
    #[case(PullClass::NotFound, false)]
    #[case(PullClass::Denied, false)]
    #[case(PullClass::DiskFull, false)]
    #[case(PullClass::Engine, false)]
    #[case(PullClass::EngineAway, false)]
    fn only_a_registry_that_fails_sends_a_launch_to_the_host(#[case] class: PullClass, #[case] falls: bool) {
        let cached = PullPolicy::PreferCached.plan(TaskPolicy::Always);
        assert_eq!(cached.falls_back(class), falls);
        assert!(!PullPolicy::Always.plan(TaskPolicy::Always).falls_back(class));
    }
}
