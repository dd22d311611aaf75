//! What a policy found in a request.

use std::fmt;

use mesos_types::FieldError;

use super::rule::Rule;

/// What a request asks for and the policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule that stopped it.
    pub rule: Rule,
    /// The field of the engine's request.
    pub field: String,
    /// What it asks for.
    pub what: String,
    /// What to do instead.
    pub remedy: String,
}

/// All that a policy found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    violations: Vec<Violation>,
}

impl Verdict {
    /// What is not allowed; empty for a request that is.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Whether the request is allowed.
    ///
    /// # Errors
    ///
    /// The first violation, with the number of others.
    pub fn into_result(self) -> Result<(), FieldError> {
        let Some(first) = self.violations.first() else { return Ok(()) };
        let more = match self.violations.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more; mesos-docker validate shows all)"),
        };
        Err(FieldError::new(
            &first.field,
            format!("the host policy does not allow {} (rule {}){more}", first.what, first.rule),
        )
        .hint(&first.remedy))
    }

    /// Adds a violation of `rule` by `field`.
    pub(super) fn deny(
        &mut self,
        rule: Rule,
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let remedy = format!("{}; an operator can allow it with {rule} in --docker_policy", remedy.into());
        self.violations.push(Violation { rule, field: field.into(), what: what.into(), remedy });
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {} (field {}); {}", self.rule, self.what, self.field, self.remedy)
    }
}
