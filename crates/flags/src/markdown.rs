//! The documentation of flags, made from the table so that it cannot be wrong.

use std::fmt::Write as _;

use crate::definition::FlagDef;
use crate::docker_table::DOCKER_FLAGS;

/// The page `docs/flags.md`.
pub fn markdown_table() -> String {
    let mut page = String::from(
        "# Flags\n\n\
         Made from the table in `crates/flags`; after a change there run `UPDATE_DOCS=1 cargo test -p flags`.\n\n\
         A flag is written `--name=value`; booleans also `--name` and `--no-name`. Dashes may stand for underscores.\n\
         The environment variable does the same, and the command line beats it. A value `file:///path` is the content\n\
         of that file (at most 1 MB). Durations have the units ns, us, ms, secs, mins, hrs, days and weeks\n\
         (`1.5mins`); sizes have B, KB, MB, GB and TB, which are powers of 1024. Values of secret flags print as `***`.\n\n\
         | Flag | Kind | Default | Environment | Meaning |\n|---|---|---|---|---|\n",
    );
    for flag in DOCKER_FLAGS {
        row(&mut page, flag);
    }
    page
}

fn row(page: &mut String, flag: &FlagDef) {
    let default = flag.default.map_or("unset".to_owned(), |value| format!("`{value}`"));
    let secret = if flag.shown("x") == "x" { "" } else { ", secret" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "| `--{}` | {}{secret} | {default} | `{}` | {} |",
        flag.name,
        flag.kind.word(),
        flag.env(),
        flag.help.replace('|', "\\|"),
    );
}
