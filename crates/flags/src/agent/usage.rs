//! The text of `--help`.

use std::fmt::Write as _;

use super::class::{AgentFlag, FlagClass};
use super::table::{agent_flags, is_stock};
use crate::definition::FlagKind;
use crate::docker_table::DOCKER_FLAGS;

/// Columns of the text; a terminal has at least as many.
const WIDTH: usize = 80;

/// How far the meaning of a flag is to the right of its name.
const INDENT: usize = 6;

/// Every flag with its default and meaning, in groups.
pub(super) fn text() -> String {
    let mut text = String::from(
        "Usage: mesos-agent --master=ADDRESS --work_dir=DIRECTORY [--name=value ...]\n\n\
         A flag is --name=value; booleans also --name and --no-name. MESOS_NAME in the\n\
         environment does the same, and so does a file of that name in --config_dir; the\n\
         command line wins over the environment, which wins over the directory. A value\n\
         file:///path is the content of that file.\n\n\
         mesos-agent --master=10.0.0.1:5050 --work_dir=/var/lib/mesos --containerizers=docker,mesos\n",
    );
    let all = agent_flags().iter();
    for topic in Topic::ALL {
        let of_topic = |row: &&AgentFlag| row.class == FlagClass::Honoured && Topic::of(row) == topic;
        group(&mut text, topic.title(), all.clone().filter(of_topic));
    }
    let without_effect = all.clone().filter(|row| matches!(row.class, FlagClass::NoEffect(_)));
    names(&mut text, "Flags of Mesos that are accepted and change nothing here", without_effect);
    let refused = all.filter(|row| matches!(row.class, FlagClass::Refused(_)));
    names(&mut text, "Flags of Mesos that stop the start when they are set", refused);
    text.push_str("\ndocs/flags.md says why.\n");
    text
}

/// What a flag is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Topic {
    Agent,
    Containers,
    Pulls,
    Fetcher,
}

impl Topic {
    const ALL: [Self; 4] = [Self::Agent, Self::Containers, Self::Pulls, Self::Fetcher];

    fn title(self) -> &'static str {
        match self {
            Self::Agent => "The agent",
            Self::Containers => "Containers",
            Self::Pulls => "Images and the credentials of registries",
            Self::Fetcher => "Fetching",
        }
    }

    fn of(row: &AgentFlag) -> Self {
        let name = row.flag.name;
        if name.contains("pull") || name.contains("credential_helper") || name == "docker_config" {
            Self::Pulls
        } else if name.starts_with("fetcher_")
            || ["frameworks_home", "hadoop_home", "launcher_dir"].contains(&name)
        {
            Self::Fetcher
        } else if DOCKER_FLAGS.iter().any(|flag| flag.name == name) && name != "work_dir" {
            Self::Containers
        } else {
            Self::Agent
        }
    }
}

fn group<'r>(text: &mut String, title: &str, rows: impl Iterator<Item = &'r AgentFlag>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{title}\n");
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| row.flag.name);
    for row in rows {
        let flag = &row.flag;
        let head = match flag.kind {
            FlagKind::Bool => format!("--[no-]{}", flag.name),
            kind => format!("--{}={}", flag.name, kind.word().to_uppercase().replace(' ', "_")),
        };
        let default = flag.default.filter(|default| !default.is_empty());
        let default = default.map(|default| format!(" (default {default})")).unwrap_or_default();
        let ours = if is_stock(row) { "" } else { " (not in Mesos)" };
        let _ = writeln!(text, "  {head}{default}{ours}");
        wrapped(text, flag.help);
    }
}

fn names<'r>(text: &mut String, title: &str, rows: impl Iterator<Item = &'r AgentFlag>) {
    let _ = writeln!(text, "\n{title}\n");
    let mut names: Vec<_> = rows.map(|row| row.flag.name).collect();
    names.sort_unstable();
    wrapped(text, &names.join(", "));
}

/// Adds a sentence in lines of at most [`WIDTH`] columns, if its words allow.
fn wrapped(text: &mut String, sentence: &str) {
    let mut column = 0;
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if column == 0 {
            text.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else if column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}
