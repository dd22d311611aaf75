//! Why a verb of the composed containerizers was not performed.

use std::fmt;

use docker_containerizer::ContainerizerError as DockerError;
use mesos_containerizer::ContainerizerError as MesosError;
use mesos_types::ContainerId;
use sandbox::SandboxError;

use super::kind::Kind;

/// Why a verb was not performed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposingError {
    /// The id is in use.
    #[error("container {0} is already started")]
    AlreadyStarted(ContainerId),
    /// No container has the id.
    #[error("unknown container: {0}")]
    Unknown(ContainerId),
    /// It was destroyed before a member had it.
    #[error("Container was destroyed while launching")]
    Destroyed(ContainerId),
    /// No member takes it.
    #[error("{0}")]
    Unsupported(Refusal),
    /// The containerizer that it needs is not there.
    #[error("the containerizer {0} is not among --containerizers; add it, and start again")]
    Absent(Kind),
    /// The sandbox of a container that is to be taken over.
    #[error("the sandbox cannot be looked at")]
    Sandbox(#[source] SandboxError),
    /// The Docker containerizer.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The Mesos containerizer.
    #[error(transparent)]
    Mesos(#[from] MesosError),
}

/// What each member said of a container that none takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In the order in which they were asked.
    pub said: Vec<(Kind, &'static str)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.said.iter().map(|(kind, _)| kind.name()).collect();
        write!(
            f,
            "None of the enabled containerizers ({}) could create a container for the task or executor",
            names.join(",")
        )?;
        self.said.iter().try_for_each(|(kind, why)| write!(f, "; {kind}: {why}"))?;
        let has = |kind| self.said.iter().any(|(asked, _)| *asked == kind);
        f.write_str(match (has(Kind::Docker), has(Kind::Mesos)) {
            // Each takes what the other does not.
            (true, true) => "; set container.type to DOCKER or MESOS, or leave the container out",
            (true, false) => "; add mesos to --containerizers",
            (false, _) => "; add docker to --containerizers",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_each_said_and_what_to_do() {
        let refusal = Refusal { said: vec![(Kind::Docker, "it has no container")] };
        assert_eq!(
            refusal.to_string(),
            "None of the enabled containerizers (docker) could create a container for the task or executor; \
             docker: it has no container; add mesos to --containerizers"
        );
    }

    #[rstest::rstest]
    #[case(&[Kind::Mesos], "; add docker to --containerizers")]
    #[case(&[Kind::Mesos, Kind::Docker], "; set container.type to DOCKER or MESOS, or leave the container out")]
    fn what_to_do_is_not_done_already(#[case] asked: &[Kind], #[case] remedy: &str) {
        let said = asked.iter().map(|kind| (*kind, "the type of its container is not known")).collect();
        let refusal = Refusal { said }.to_string();
        assert!(refusal.ends_with(remedy), "{refusal}");
    }
}
