//! The documentation of flags, made from the tables so that it cannot be wrong.

use std::fmt::Write as _;

use crate::agent::{AgentFlag, FlagClass, agent_flags, is_stock};
use crate::definition::FlagDef;
use crate::docker_table::DOCKER_FLAGS;

/// What stands before the tables.
const HEAD: &str = "\
# Flags

Made from the tables in `crates/flags`; after a change there run `UPDATE_DOCS=1 cargo test -p flags`.

A flag is written `--name=value`; booleans also `--name` and `--no-name`. Dashes may stand for underscores.
The environment variable does the same, and the command line beats it. A value `file:///path` is the content
of that file (at most 1 MB). Durations have the units ns, us, ms, secs, mins, hrs, days and weeks
(`1.5mins`); sizes have B, KB, MB, GB and TB, which are powers of 1024. Values of secret flags print as `***`.

## The Docker containerizer

Flags of `mesos-agent` and of `mesos-docker`.

| Flag | Kind | Default | Environment | Meaning |
|---|---|---|---|---|
";

/// What stands before the tables of the agent.
const AGENT_HEAD: &str = "
## mesos-agent

`mesos-agent` takes the flags above, these, and every other flag of the stock agent 1.11. Each flag is

- **honoured**: it does what it does in Mesos;
- or **accepted**: setting it changes nothing here, and a line at the start says so and why;
- or **refused**: setting it to something else than its default stops the start with exit code 1, because an agent that
  went on without it would be less safe than its operator thinks, or do other things. Setting it to what is true anyway
  (`--no-authenticate_http_readonly`) is fine. So it is with the environment variable `LIBPROCESS_SSL_ENABLED`.

A bad value, an unknown flag or one that is given twice stops the start too, with one line that names flag and remedy.
Variables `MESOS_*` that are no flags are ignored, and so are arguments that are no flags. Files are read from
`file:///path` for every flag except those of the kind *file*, whose value is the path itself; `file://` before it is
dropped. `/flags` shows values as Mesos prints them, `--master` without its password.

### The directory of flags

`--config_dir=/etc/mesos-agent` reads further flags from a directory, as the packages of Mesos have it. The command line
wins over the environment, which wins over the directory.

| In the directory | Means |
|---|---|
| file `port` with `5052` | `--port=5052`; line ends at the end of a file are dropped |
| file `?strict` or `?no-strict` | `--strict` or `--no-strict`, whatever is in it |
| directory `attributes` with a file `rack` with `r1`, or `resources` likewise | `--attributes=rack:r1`, several joined with `;` in the order of their names |
| hidden files, and what editors and package managers leave (`.bak`, `.dpkg-old`, `.rpmsave`, `~`, ...) | nothing |

Where nothing names the master, the file `mesos/zk` beside the directory does: `/etc/mesos/zk` for `/etc/mesos-agent` and
`/etc/mesos-slave`. The shell variables of `/etc/default/mesos*` (`MASTER`, `IP`, `LOGS`, `ULIMIT`, `ISOLATION`) are those
of the packages' wrapper script and are not read; `MESOS_*` in these files reaches the agent through the systemd unit. A
secret that every user can read is warned of.

";

const AGENT_COLUMNS: &str = "| Flag | Kind | Default | Environment | Meaning |\n|---|---|---|---|---|\n";
const CLASS_COLUMNS: &str = "| Flag | Default | What it is | Why |\n|---|---|---|---|\n";

/// The page `docs/flags.md`.
pub fn markdown_table() -> String {
    let mut page = String::from(HEAD);
    for flag in DOCKER_FLAGS {
        row(&mut page, flag, &[]);
    }
    page.push_str(AGENT_HEAD);
    let others =
        || agent_flags().iter().filter(|row| DOCKER_FLAGS.iter().all(|flag| flag.name != row.flag.name));
    let honoured = |row: &&AgentFlag| row.class == FlagClass::Honoured;
    page.push_str("### Honoured\n\n");
    page.push_str(AGENT_COLUMNS);
    for AgentFlag { flag, aliases, .. } in others().filter(honoured).filter(|row| is_stock(row)) {
        row(&mut page, flag, aliases);
    }
    page.push_str("\n### Ours\n\n");
    page.push_str(AGENT_COLUMNS);
    for AgentFlag { flag, aliases, .. } in others().filter(honoured).filter(|row| !is_stock(row)) {
        row(&mut page, flag, aliases);
    }
    page.push_str("\n### Accepted\n\n");
    page.push_str(CLASS_COLUMNS);
    for flag in agent_flags() {
        if let FlagClass::NoEffect(reason) = flag.class {
            with_reason(&mut page, flag, reason);
        }
    }
    page.push_str("\n### Refused\n\n");
    page.push_str(CLASS_COLUMNS);
    for flag in agent_flags() {
        if let FlagClass::Refused(reason) = flag.class {
            with_reason(&mut page, flag, reason);
        }
    }
    page
}

fn row(page: &mut String, flag: &FlagDef, aliases: &[&str]) {
    let secret = if flag.shown("x") == "x" { "" } else { ", secret" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "| {} | {}{secret} | {} | `{}` | {} |",
        names(flag, aliases),
        flag.kind.word(),
        default(flag),
        flag.env(),
        cell(flag.help),
    );
}

fn with_reason(page: &mut String, row: &AgentFlag, reason: &str) {
    let AgentFlag { flag, aliases, .. } = row;
    let _ = writeln!(
        page,
        "| {} | {} | {} | {} |",
        names(flag, aliases),
        default(flag),
        cell(flag.help),
        cell(reason),
    );
}

fn names(flag: &FlagDef, aliases: &[&str]) -> String {
    let older: String = aliases.iter().map(|alias| format!(", `--{alias}`")).collect();
    format!("`--{}`{older}", flag.name)
}

fn default(flag: &FlagDef) -> String {
    match flag.default {
        None => "unset".to_owned(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
