//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::mesos_flags::MesosFlags;

/// Runs Marathon app definitions and Mesos TaskInfos in Docker, as a Mesos agent would, without a cluster.
#[derive(Debug, Parser)]
#[command(name = "mesos-docker", version, max_term_width = 110)]
#[command(after_help = "Exit codes are those of docker run: the task's own (128+n for signal n), 126 and 127 for a command \
that cannot be run or found, 125 for everything of ours or the engine's, 124 for --timeout, 130 for Ctrl-C.")]
pub(crate) struct Cli {
    /// Say more on standard error; twice for the traffic with the engine.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an app definition, an array of them, or a TaskInfo, and follow it to its end.
    Run(RunArgs),
    /// Check a definition; print the TaskInfo and the create request, and send nothing.
    Validate(ValidateArgs),
}

/// How the tasks of a definition are made.
#[derive(Debug, Clone, Args)]
pub(crate) struct DefinitionArgs {
    /// The definition: a file, or - for standard input.
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// The agent id in names and labels.
    #[arg(long, alias = "agent_id", default_value = "local", value_name = "ID")]
    pub(crate) agent_id: String,
    /// How many tasks of each app, whatever the definition says.
    #[arg(long, value_name = "N")]
    pub(crate) instances: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) definition: DefinitionArgs,
    /// Kill the tasks after this time and exit with 124, for example 90secs or 1.5mins.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Print one JSON object a line: statuses in Mesos' JSON form, and the output.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) flags: MesosFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) definition: DefinitionArgs,
    #[command(flatten)]
    pub(crate) flags: MesosFlags,
}

/// A duration in Mesos' units, or a plain number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => flags::parse_duration(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[rstest::rstest]
    #[case("--work_dir=/w")]
    #[case("--work-dir=/w")]
    #[case("--no-switch_user")]
    #[case("--cgroups_enable_cfs")]
    #[case("--cgroups_enable_cfs=false")]
    fn mesos_flags_are_taken_in_any_spelling(#[case] flag: &str) {
        Cli::try_parse_from(["mesos-docker", "run", flag, "app.json"]).unwrap();
    }

    #[rstest::rstest]
    #[case("90secs", 90_000)]
    #[case("1.5mins", 90_000)]
    #[case("3", 3000)]
    fn a_timeout_is_a_mesos_duration_or_seconds(#[case] text: &str, #[case] millis: u64) {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
    }
}
