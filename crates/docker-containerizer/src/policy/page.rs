//! The table of rules in `docs/policy.md`, made from the table in the code.

use std::fmt::Write as _;

use super::rule::{Form, Preset, Rule};
use super::setting::Setting;

/// The table of all rules, with what each takes and what the strict preset says.
pub fn rules_table() -> String {
    let mut table = String::from("| rule | about | takes | in `strict` |\n|---|---|---|---|\n");
    for &rule in Rule::ALL {
        let takes = match rule.form() {
            Form::Flag => "`true`, `false`".to_owned(),
            Form::List => "`\"any\"`, a list".to_owned(),
            Form::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("`\"any\"`, a list of {}", words.join(" "))
            }
            Form::Grant => "`\"any\"`, `\"resources\"`, `\"none\"`".to_owned(),
            Form::Paths => "`\"any\"`, a list of paths".to_owned(),
        };
        let strict = match rule.preset(Preset::Strict) {
            Setting::Any => "any".to_owned(),
            Setting::Resources => "resources".to_owned(),
            Setting::Only(_) if rule.form() == Form::Flag => "false".to_owned(),
            Setting::Only(list) if list.is_empty() => "none".to_owned(),
            Setting::Only(list) => {
                list.iter().map(|entry| format!("`{entry}`")).collect::<Vec<_>>().join(" ")
            }
        };
        // Writing to a text does not fail.
        let _ = writeln!(table, "| `{rule}` | {} | {takes} | {strict} |", rule.about());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str =
        "<!-- rules: made by UPDATE_DOCS=1 cargo test -p docker-containerizer --lib policy -->\n";
    const END: &str = "<!-- end of rules -->";

    #[test]
    fn the_page_has_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (table, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", rules_table())).unwrap();
        } else {
            assert_eq!(table, rules_table(), "run it with UPDATE_DOCS=1 and read the difference");
        }
    }

    /// Each example of the page is a policy.
    #[test]
    fn the_examples_of_the_page_can_be_loaded() {
        let page = include_str!("../../../../docs/policy.md");
        let examples: Vec<_> = page.split("```").skip(1).step_by(2).collect();
        let policies = examples
            .iter()
            .filter_map(|example| example.strip_prefix("toml\n").or_else(|| example.strip_prefix("json\n")));
        let mut read = 0;
        for policy in policies {
            // The directories of an example are not here.
            let policy = policy
                .replace("/srv/", "/usr/")
                .replace("/usr/data", "/usr/bin")
                .replace("/usr/share/ca", "/usr");
            let policy = super::super::file::parse(&policy, Default::default())
                .unwrap_or_else(|error| panic!("{error}: {policy}"));
            assert_eq!(policy.caution(), None, "an example is a boundary");
            read += 1;
        }
        assert!(read >= 3, "{read}");
    }
}
