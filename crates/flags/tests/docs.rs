//! The page of flags is what the table says.

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
    for (index, flag) in flags::DOCKER_FLAGS.iter().enumerate() {
        assert_eq!(flags::normalize_name(flag.name), flag.name);
        assert!(flag.help.ends_with('.') || flag.help.ends_with("]}."), "{}", flag.name);
        assert!(
            flags::DOCKER_FLAGS[index + 1..].iter().all(|other| other.name != flag.name),
            "{}",
            flag.name
        );
    }
}
