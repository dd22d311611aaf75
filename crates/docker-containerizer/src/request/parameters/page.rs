//! `docs/docker-run-options.md`, made from the table.

use std::fmt::Write;

use super::row::{Combines, Grammar, Row};
use super::table::ROWS;

/// What stands before the tables.
const HEAD: &str = "# Options of docker run

Made from the table in `crates/docker-containerizer/src/request/parameters/table.rs`; after a change there run
`UPDATE_DOCS=1 cargo test -p docker-containerizer --test docs`.

`container.docker.parameters` (Marathon: `container.docker.parameters` of an app) are options of `docker run` by their
long names, without dashes. Stock passes each to the docker client as `--key=value` after its own options; here each is
translated to the Engine API, with the values that the client takes. A key that holds an equals sign is split there, as
on a command line. One-letter names and keys with dashes are refused, as the client refuses `--v` and `----volume`.

Each parameter comes after everything that Mesos sets. How it combines:

| | |
|---|---|
| replaces | The last value counts: of Mesos, or of the last parameter. |
| appends | All values count, in their order, after those of Mesos. |
| by key | All values count; of those with one key, the last. |

Sizes are those of the client: a number, with a fraction or not, and `b`, `k`, `m`, `g`, `t` or `p` in powers of 1024,
perhaps followed by `b` or `ib`. Durations are Go's: numbers with `ns`, `us`, `ms`, `s`, `m` and `h`. Whole numbers may
have a base's prefix. Lists with commas are CSV: a field in double quotes may hold commas.

A value that is not of the form is refused before anything is pulled; the refusal names option, value and form, but
quotes no value of an option that may hold a secret. Where a column says so, an engine must have at least that API
version; an older one is named in the refusal, with its own version.

";

/// The page.
pub fn options_page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("## Translated\n\n| Option | Value | Engine field | API | Combines | Notes |\n|---|---|---|---|---|---|\n");
    for row in ROWS.iter().filter(|row| !matches!(row.grammar, Grammar::Inert(..) | Grammar::Refused(_))) {
        translated(&mut page, row);
    }
    page.push_str("\n## Accepted without effect, or refused\n\n");
    page.push_str("A value in the second column changes nothing and is accepted. Any other is refused, for the reason.\n\n");
    page.push_str("| Option | Accepted | It is refused because it | Instead |\n|---|---|---|---|\n");
    for row in &ROWS {
        if let Grammar::Inert(_, refusal) | Grammar::Refused(refusal) = row.grammar {
            // Formatting into a String cannot fail.
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                names(row),
                cell(&accepted(row.grammar)),
                refusal.reason,
                refusal.remedy
            );
        }
    }
    page.push_str("\nAny other key is refused as unknown, with the nearest known one.\n");
    page
}

fn translated(page: &mut String, row: &Row) {
    let combines = match row.combines {
        Combines::Replaces => "replaces",
        Combines::Appends => "appends",
        Combines::ByKey => "by key",
        Combines::Nothing => "",
    };
    let since = row.since.map(|version| version.to_string()).unwrap_or_default();
    let expected = cell(&row.grammar.expected());
    let _ = writeln!(
        page,
        "| {} | {expected} | `{}` | {since} | {combines} | {} |",
        names(row),
        row.field,
        row.note
    );
}

fn accepted(grammar: Grammar) -> String {
    match grammar {
        Grammar::Inert(values, _) => {
            let quoted = values
                .iter()
                .map(|value| if value.is_empty() { "empty".into() } else { format!("`{value}`") });
            quoted.collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}

fn names(row: &Row) -> String {
    row.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
