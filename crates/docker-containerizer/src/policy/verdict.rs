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

/// The most violations that are told; a task may name a hundred thousand ports.
const MOST_TOLD: usize = 64;

/// All that a policy found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    violations: Vec<Violation>,
    /// How many there are beyond those.
    untold: usize,
}

impl Verdict {
    /// What is not allowed, the first 64; empty for a request that is.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many violations there are beyond those that are told.
    pub fn untold(&self) -> usize {
        self.untold
    }

    /// Whether as many violations were found as are told: what is found now is only counted.
    pub(super) fn is_full(&self) -> bool {
        self.violations.len() >= MOST_TOLD
    }

    /// Counts a violation of a verdict that is full.
    pub(super) fn count(&mut self) {
        self.untold += 1;
    }

    /// Whether the request is allowed.
    ///
    /// # Errors
    ///
    /// The first violation, with the number of others.
    pub fn into_result(self) -> Result<(), FieldError> {
        let Some(first) = self.violations.first() else { return Ok(()) };
        let more = match self.violations.len() - 1 + self.untold {
            0 => String::new(),
            more => format!(" (and {more} more; mesos-docker validate shows more)"),
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
        if self.is_full() {
            return self.count();
        }
        let remedy = format!("{}; an operator can allow it with {rule} in --docker_policy", remedy.into());
        self.violations.push(Violation { rule, field: field.into(), what: what.into(), remedy });
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {} (field {}); {}", self.rule, self.what, self.field, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_to_tell_is_counted() {
        let mut verdict = Verdict::default();
        for at in 0..1000 {
            verdict.deny(Rule::Ports, format!("field {at}"), "a port", "use another");
        }
        assert_eq!((verdict.violations().len(), verdict.untold()), (MOST_TOLD, 1000 - MOST_TOLD));
        assert_eq!(verdict.violations()[0].field, "field 0");
        assert!(verdict.into_result().unwrap_err().to_string().contains("and 999 more"));
    }
}
