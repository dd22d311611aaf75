//! Which text each flag has, and where it was set: the command line wins over the environment, which wins over the
//! directory of `--config_dir`.

use std::collections::BTreeMap;

use super::class::AgentFlag;
use super::error::{AgentFlagsError, Origin};
use super::table::{row, spellings};
use crate::command_line;
use crate::error::FlagError;

/// The text of a flag as it was set.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// The flag.
    pub(super) row: &'static AgentFlag,
    /// The text, `file://` and all.
    pub(super) text: String,
    /// Where it was set.
    pub(super) origin: Origin,
}

/// The flags of one place, by name.
pub(super) type Layer = BTreeMap<&'static str, Given>;

/// Reads the flags of the command line; the second part is what is no flag.
pub(super) fn from_arguments(args: Vec<String>) -> Result<(Layer, Vec<String>), AgentFlagsError> {
    let parsed = command_line::parse(spellings(), args, std::iter::empty())?;
    let mut layer = Layer::new();
    for (name, text) in parsed.values {
        add(&mut layer, name, text, Origin::CommandLine)?;
    }
    Ok((layer, parsed.positionals))
}

/// Reads the flags of the environment; variables that are no flags are somebody else's.
pub(super) fn from_environment(environment: Vec<(String, String)>) -> Result<Layer, AgentFlagsError> {
    let parsed = command_line::parse(spellings(), std::iter::empty(), environment)?;
    let mut layer = Layer::new();
    for (name, text) in parsed.values {
        let variable = format!("MESOS_{}", name.to_ascii_uppercase());
        add(&mut layer, name, text, Origin::Environment(variable))?;
    }
    Ok(layer)
}

/// Adds a flag once, under its own name.
pub(super) fn add(
    layer: &mut Layer,
    spelling: &str,
    text: String,
    origin: Origin,
) -> Result<(), AgentFlagsError> {
    let Some(row) = row(spelling) else {
        let unknown = command_line::lookup(spellings(), spelling)
            .err()
            .unwrap_or(FlagError::Unknown { name: spelling.to_owned(), nearest: None });
        return Err(AgentFlagsError::at(Some(&origin), unknown));
    };
    let name = row.flag.name;
    if layer.contains_key(name) {
        return Err(AgentFlagsError::at(Some(&origin), FlagError::Duplicate { name }));
    }
    layer.insert(name, Given { row, text, origin });
    Ok(())
}

/// Adds what only `lower` has to `upper`.
pub(super) fn below(mut upper: Layer, lower: Layer) -> Layer {
    for (name, given) in lower {
        upper.entry(name).or_insert(given);
    }
    upper
}
