//! The page of options says what the table says.

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/docker-run-options.md");

#[test]
fn the_page_is_made_from_the_table() {
    let expected = docker_containerizer::request::options_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap();
    assert_eq!(found, expected, "run UPDATE_DOCS=1 cargo test -p docker-containerizer --test docs");
}
