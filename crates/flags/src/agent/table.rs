//! The one table of the agent's flags, put together from its parts.

use std::sync::LazyLock;

use super::class::{AgentFlag, FlagClass};
use super::table_containment::CONTAINMENT;
use super::table_honoured::{HONOURED, OURS};
use super::table_no_effect::{BUILD_OPTIONS, NO_EFFECT};
use super::table_refused::REFUSED;
use crate::definition::FlagDef;
use crate::docker_table::DOCKER_FLAGS;

/// The flags of the stock agent as they were recorded, a name or `name=default` a line.
const RECORDED: &str = include_str!("../../data/agent-flags-1.11.txt");

static TABLE: LazyLock<Vec<AgentFlag>> = LazyLock::new(|| {
    let has_own_row = |flag: &&FlagDef| NO_EFFECT.iter().all(|row| row.flag.name != flag.name);
    let docker = DOCKER_FLAGS.iter().filter(has_own_row).map(|&flag| AgentFlag {
        flag,
        class: FlagClass::Honoured,
        aliases: &[],
    });
    HONOURED
        .iter()
        .copied()
        .chain(docker)
        .chain([CONTAINMENT, OURS, NO_EFFECT, BUILD_OPTIONS, REFUSED].into_iter().flatten().copied())
        .collect()
});

/// The names that may be written, older ones included, as definitions for the rules of the command line.
static SPELLINGS: LazyLock<Vec<FlagDef>> = LazyLock::new(|| {
    let of = |row: &AgentFlag| {
        let flag = row.flag;
        std::iter::once(flag.name)
            .chain(row.aliases.iter().copied())
            .map(move |name| FlagDef { name, ..flag })
    };
    TABLE.iter().flat_map(of).collect()
});

/// Every flag of `mesos-agent`.
pub fn agent_flags() -> &'static [AgentFlag] {
    &TABLE
}

/// Every name of every flag.
pub(super) fn spellings() -> &'static [FlagDef] {
    &SPELLINGS
}

/// The row of a flag by one of its names, normalized.
pub(super) fn row(name: &str) -> Option<&'static AgentFlag> {
    TABLE.iter().find(|row| row.flag.name == name || row.aliases.contains(&name))
}

/// The flags of the stock agent with the defaults that it prints, as they were recorded.
pub fn recorded_stock_flags() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    RECORDED.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        match line.split_once('=') {
            Some((name, default)) => (name, Some(default)),
            None => (line, None),
        }
    })
}

/// Whether stock has this flag, in the recorded build or another.
pub(crate) fn is_stock(row: &AgentFlag) -> bool {
    let is_recorded = recorded_stock_flags().any(|(name, _)| name == row.flag.name);
    is_recorded || BUILD_OPTIONS.iter().any(|other| other.flag.name == row.flag.name)
}
