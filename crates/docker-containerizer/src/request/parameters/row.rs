//! One option of `docker run`: what its value looks like, where it goes, and how it combines.

use docker_engine::ApiVersion;

use super::draft::Draft;
use super::error::Bad;

/// What reads a value and puts it into the request.
pub(super) type Setter = fn(&mut Draft<'_>, &str) -> Result<(), Bad>;

/// A text of the request.
pub(super) type TextOf = for<'a> fn(&'a mut Draft<'_>) -> &'a mut String;

/// A list of the request.
pub(super) type ListOf = for<'a> fn(&'a mut Draft<'_>) -> &'a mut Vec<String>;

/// One row of the table.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// The long name, as the newest client writes it.
    pub(super) name: &'static str,
    /// Other spellings of it.
    pub(super) aliases: &'static [&'static str],
    /// The form of its value, and what becomes of it.
    pub(super) grammar: Grammar,
    /// How a value meets those before it.
    pub(super) combines: Combines,
    /// The field of the create request that it sets.
    pub(super) field: &'static str,
    /// The first API version that has it, where that is newer than the oldest that we speak.
    pub(super) since: Option<ApiVersion>,
    /// Whether a value may hold a secret, so that no error quotes it.
    pub(super) secrecy: Secrecy,
    /// What a user must know beside the form.
    pub(super) note: &'static str,
}

/// The form of a value, with the place that it is put.
#[derive(Clone, Copy)]
pub(super) enum Grammar {
    /// `strconv.ParseBool`.
    Bool(fn(&mut Draft<'_>, bool)),
    /// Any text; the form says what the engine takes.
    Text(&'static str, TextOf),
    /// One text of a list.
    Item(&'static str, ListOf),
    /// `strconv.ParseInt` with the base from its prefix.
    Integer(fn(&mut Draft<'_>, i64)),
    /// `units.RAMInBytes`.
    Size(fn(&mut Draft<'_>, i64)),
    /// `time.ParseDuration`, in nanoseconds.
    Duration(fn(&mut Draft<'_>, i64)),
    /// A form of its own.
    Own(&'static str, Setter),
    /// Only these values, which change nothing; all others are refused for the reason.
    Inert(&'static [&'static str], Refusal),
    /// Never taken.
    Refused(Refusal),
}

/// Why an option is refused, as the end of a sentence that begins with its name, and what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Why.
    pub(super) reason: &'static str,
    /// The remedy.
    pub(super) remedy: &'static str,
}

/// How a value meets what Mesos set and what an earlier parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combines {
    /// The last one counts.
    Replaces,
    /// All count, in their order.
    Appends,
    /// The last one of each key counts.
    ByKey,
    /// It sets nothing.
    Nothing,
}

/// Whether a value may be quoted in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// It may.
    Plain,
    /// It may hold a password or a token.
    Secret,
}

impl Row {
    /// A row without aliases, notes or a minimum version.
    pub(super) const fn new(
        name: &'static str,
        grammar: Grammar,
        combines: Combines,
        field: &'static str,
    ) -> Self {
        let secrecy = Secrecy::Plain;
        Self { name, aliases: &[], grammar, combines, field, since: None, secrecy, note: "" }
    }

    /// A row that is never taken.
    pub(super) const fn refused(name: &'static str, reason: &'static str, remedy: &'static str) -> Self {
        Self::new(name, Grammar::Refused(Refusal { reason, remedy }), Combines::Nothing, "")
    }

    /// A row that takes only values that change nothing.
    pub(super) const fn inert(
        name: &'static str,
        values: &'static [&'static str],
        reason: &'static str,
        remedy: &'static str,
    ) -> Self {
        Self::new(name, Grammar::Inert(values, Refusal { reason, remedy }), Combines::Nothing, "")
    }

    /// Adds other spellings.
    pub(super) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Adds the first API version that has it.
    pub(super) const fn since(mut self, minor: u16) -> Self {
        self.since = Some(ApiVersion::new(1, minor));
        self
    }

    /// Says that values may hold secrets.
    pub(super) const fn secret(mut self) -> Self {
        self.secrecy = Secrecy::Secret;
        self
    }

    /// Adds a note.
    pub(super) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// All names of the option.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

impl Grammar {
    /// The form that a value must have, for errors and for the page.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Bool(_) => "`true` or `false`".to_owned(),
            Self::Text(form, _) | Self::Item(form, _) | Self::Own(form, _) => (*form).to_owned(),
            Self::Integer(_) => "a whole number".to_owned(),
            Self::Size(_) => "a size such as `64m` or `1.5g`".to_owned(),
            Self::Duration(_) => "a duration such as `30s` or `1m30s`".to_owned(),
            Self::Inert(values, _) => {
                let quoted: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                format!("{} only", quoted.join(" or "))
            }
            Self::Refused(_) => String::new(),
        }
    }
}
