//! The page of flags is what the tables say.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_page_of_flags_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/flags.md");
    let expected = flags::markdown_table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("docs/flags.md can be written");
    }
    let found = std::fs::read_to_string(&path).expect("docs/flags.md exists");
    assert_eq!(found, expected, "run UPDATE_DOCS=1 cargo test -p flags");
}

#[test]
fn names_are_unique_and_spelled_as_mesos_spells_them() {
    let mut seen = BTreeSet::new();
    for row in flags::agent::agent_flags() {
        let flag = row.flag;
        assert_eq!(flags::normalize_name(flag.name), flag.name);
        assert!(flag.help.ends_with('.'), "{}", flag.name);
        for name in row.aliases.iter().chain([&flag.name]) {
            assert!(seen.insert(*name), "{name} twice");
        }
    }
    for flag in flags::DOCKER_FLAGS {
        assert!(seen.contains(flag.name), "{}", flag.name);
    }
}
