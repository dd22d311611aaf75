//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use docker_engine::ApiVersion;

use crate::mesos_flags::{MesosFlags, PlaceFlags};

const HELP: &str = "\
Examples:
  mesos-docker run app.json                 run an app and follow it; Ctrl-C kills it
  mesos-docker ps                           what runs
  mesos-docker logs -f web                  the output of the task whose id begins with web
  mesos-docker kill web                     end it with its grace
  mesos-docker cleanup --dry-run            what earlier runs left behind

Exit codes are those of docker run: the task's own (128+n for signal n), 126 and 127 for a command that cannot be run \
or found, 125 for everything of ours or the engine's, 124 for --timeout, 130 for Ctrl-C.";

const RUN_HELP: &str = "\
Examples:
  mesos-docker run app.json
  echo '{\"id\": \"/hi\", \"cmd\": \"echo hi\", \"container\": {\"docker\": {\"image\": \"busybox\"}}}' | mesos-docker run -
  mesos-docker run --instances 3 --timeout 5mins app.json
  mesos-docker run --json task.json | jq -r 'select(.type == \"status\").status.state'

The task's output goes to standard output and standard error, the statuses to standard error. Its sandbox stays in the \
--work_dir until mesos-docker cleanup. With several instances the exit code is the first that is not 0.";

const VALIDATE_HELP: &str = "\
Examples:
  mesos-docker validate app.json
  mesos-docker validate --docker_policy=strict --api-version 1.41 app.json | jq .policy

No engine is needed: without one the newest API is assumed, and a line on standard error says so. With one that answers, \
its own version counts. Exits with 0, or 125 for a definition that is wrong or that the policy does not allow.";

const ID_HELP: &str = "\
ID is a task id, a container id, the engine's container id, or the beginning of one, as long as it names one task. Of \
several runs of one task id the one that has not ended is meant.";

const LOGS_HELP: &str = "\
Examples:
  mesos-docker logs web                     all of it, rotated files first
  mesos-docker logs -f web 2>/dev/null      standard output only, until the task ends

ID is a task id, a container id, the engine's container id, or the beginning of one.";

const KILL_HELP: &str = "\
Examples:
  mesos-docker kill web
  mesos-docker kill --grace 30secs web      another grace than the task's own
  mesos-docker kill --now web               SIGKILL at once

A process that supervises the task does it, and reports TASK_KILLED. Without one it is done here. Prints the state in \
which the task ended.";

const ADOPT_HELP: &str = "\
Takes over the tasks of runs whose mesos-docker ended before them, as by kill -9: their output goes on where it \
stopped, without gap or double (that of tasks without an image from now on), and they are followed to their end as by run, with its exit codes and Ctrl-C. \
Without an ID all such runs of the --work_dir are taken over; with one, all tasks of its run.

Example:
  mesos-docker adopt web";

const CLEANUP_HELP: &str = "\
Removes the containers (with their anonymous volumes), processes, sandboxes and records of this --work_dir's runs that no process \
supervises, also of tasks that still run without a supervisor. Runs that a mesos-docker supervises are left alone, and \
so is everything of agents.

Examples:
  mesos-docker cleanup --dry-run
  mesos-docker cleanup --work_dir=/tmp/w";

/// Runs Marathon app definitions and Mesos TaskInfos, in Docker or as processes, as a Mesos agent would, without a cluster.
#[derive(Debug, Parser)]
#[command(name = "mesos-docker", version, max_term_width = 110)]
#[command(after_help = HELP)]
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
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Check a definition; print the TaskInfo and what would run, with the policy's verdict, and do nothing.
    #[command(after_help = VALIDATE_HELP)]
    Validate(ValidateArgs),
    /// List the tasks of this work_dir.
    Ps(PsArgs),
    /// Print a task's output.
    #[command(after_help = LOGS_HELP)]
    Logs(LogsArgs),
    /// Kill a task, and wait until it ended.
    #[command(after_help = KILL_HELP)]
    Kill(KillArgs),
    /// Print all that is known of a task, as JSON. Values of secrets are left out.
    #[command(after_help = ID_HELP)]
    Inspect(InspectArgs),
    /// Take over tasks whose mesos-docker is gone.
    #[command(after_help = ADOPT_HELP)]
    Adopt(AdoptArgs),
    /// Remove what earlier runs left behind.
    #[command(after_help = CLEANUP_HELP)]
    Cleanup(CleanupArgs),
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
    /// The Engine API version to check for, such as 1.41, whatever engine is here.
    #[arg(long, alias = "api_version", value_name = "VERSION")]
    pub(crate) api_version: Option<ApiVersion>,
    #[command(flatten)]
    pub(crate) flags: MesosFlags,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Also tasks that have ended.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) flags: PlaceFlags,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The task.
    pub(crate) id: String,
    /// Go on until the task has ended.
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) flags: PlaceFlags,
}

#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// The task.
    pub(crate) id: String,
    /// How long it has from the stop signal to SIGKILL, whatever its definition says, for example 30secs.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
    /// SIGKILL at once: no grace.
    #[arg(long, conflicts_with = "grace")]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) flags: MesosFlags,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The task.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) flags: PlaceFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// The tasks whose runs are taken over; all without an owner if none is named.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Print one JSON object a line: statuses in Mesos' JSON form, and the output.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) flags: MesosFlags,
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    /// Say what would be removed, and remove nothing.
    #[arg(long, alias = "dry_run")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) flags: PlaceFlags,
}

/// A duration in Mesos' units, or a plain number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) => flags::parse_duration(&format!("{seconds}secs")).map_err(|error| error.to_string()),
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

    #[test]
    fn a_timeout_beyond_time_is_refused() {
        assert!(duration(&u64::MAX.to_string()).is_err());
    }
}
