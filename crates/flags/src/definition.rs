//! What a flag is: one row of a table that parsing, settings and documentation share.

/// One flag of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagDef {
    /// Name in lower case with underscores; dashes are accepted as an alias.
    pub name: &'static str,
    /// Form of the value.
    pub kind: FlagKind,
    /// Default in the flag's own notation; absent means unset.
    pub default: Option<&'static str>,
    /// One or two sentences for the operator.
    pub help: &'static str,
    /// Whether the value may be shown.
    pub sensitivity: Sensitivity,
}

/// The form of a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagKind {
    /// `true`, `false`, `1`, `0`; `--name` alone is true and `--no-name` is false.
    Bool,
    /// A duration in Mesos units.
    Duration,
    /// A size in Mesos units.
    Bytes,
    /// A whole number.
    Count,
    /// A decimal number.
    Fraction,
    /// A path on the host.
    Path,
    /// The path of a file that is read by who uses it, with or without `file://`.
    File,
    /// Any text.
    Text,
    /// JSON; the value may also be the absolute path of a file that holds it (deprecated, as in Mesos).
    Json,
}

/// Whether a flag's value may be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitivity {
    /// Shown as it is.
    Public,
    /// Shown as `***` everywhere.
    Secret,
}

impl FlagDef {
    /// The name of the environment variable that sets this flag.
    pub fn env(&self) -> String {
        format!("MESOS_{}", self.name.to_ascii_uppercase())
    }

    /// The value as it may be shown to anyone.
    pub fn shown<'v>(&self, value: &'v str) -> &'v str {
        match self.sensitivity {
            Sensitivity::Public => value,
            Sensitivity::Secret => "***",
        }
    }
}

impl FlagKind {
    /// The word for this kind in the documentation.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
            Self::Count => "number",
            Self::Fraction => "decimal number",
            Self::Path => "path",
            Self::File => "file",
            Self::Text => "text",
            Self::Json => "JSON",
        }
    }
}

/// Spells a name as the tables do: lower case with underscores.
pub fn normalize_name(name: &str) -> String {
    name.replace('-', "_").to_ascii_lowercase()
}

/// Finds the definition called `name`, which must be normalized.
pub(crate) fn find(table: &'static [FlagDef], name: &str) -> Option<&'static FlagDef> {
    table.iter().find(|flag| flag.name == name)
}

/// The known name closest to `name`, when it is close enough to be what was meant.
pub(crate) fn nearest(table: &'static [FlagDef], name: &str) -> Option<&'static str> {
    table
        .iter()
        .map(|flag| (strsim::jaro_winkler(flag.name, name), flag.name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
