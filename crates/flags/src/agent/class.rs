//! What the agent does with a flag, and one row of its table.

use crate::definition::{FlagDef, FlagKind, Sensitivity};

/// What becomes of a flag that is set to something else than its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagClass {
    /// It does what its help says.
    Honoured,
    /// It is accepted, and this is why it changes nothing; the operator is told at the start.
    NoEffect(&'static str),
    /// The start is refused, because going on as if it were not set would be unsafe: why, and what to do instead.
    Refused(&'static str),
}

/// One row of the agent's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentFlag {
    /// The flag itself.
    pub flag: FlagDef,
    /// What the agent does with it.
    pub class: FlagClass,
    /// Older names that stock still takes.
    pub aliases: &'static [&'static str],
}

impl AgentFlag {
    /// A flag that does what its help says.
    pub(super) const fn new(
        name: &'static str,
        kind: FlagKind,
        default: Option<&'static str>,
        help: &'static str,
    ) -> Self {
        let flag = FlagDef { name, kind, default, help, sensitivity: Sensitivity::Public };
        Self { flag, class: FlagClass::Honoured, aliases: &[] }
    }

    /// The same flag with an older name.
    pub(super) const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// The same flag, printed as `***`.
    pub(super) const fn secret(self) -> Self {
        Self { flag: FlagDef { sensitivity: Sensitivity::Secret, ..self.flag }, ..self }
    }

    /// The same flag, accepted without effect because of `reason`.
    pub(super) const fn no_effect(self, reason: &'static str) -> Self {
        Self { class: FlagClass::NoEffect(reason), ..self }
    }

    /// The same flag, refused because of `reason`.
    pub(super) const fn refused(self, reason: &'static str) -> Self {
        Self { class: FlagClass::Refused(reason), ..self }
    }
}
