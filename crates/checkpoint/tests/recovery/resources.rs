//! Checkpointed resources: the two steps of their commit, and the lists of old agents.

use super::*;

fn resource(name: &str) -> v1::Resource {
    v1::Resource { name: name.to_owned(), r#type: v1::value::Type::Scalar.into(), ..Default::default() }
}

fn state_of(names: &[&str]) -> ResourceState {
    ResourceState { operations: Vec::new(), resources: names.iter().map(|name| resource(name)).collect() }
}

fn change(names: &[&str]) -> ResourceChange {
    let state = state_of(names);
    ResourceChange { resources: Some(state.resources.clone()), state }
}

/// Every point at which a commit can be cut short, by which files it leaves.
#[rstest::rstest]
#[case("nothing", None, None)]
#[case("the first target", Some("old"), Some("new"))]
#[case("both targets", Some("old"), Some("new"))]
#[case("the list", Some("old"), Some("new"))]
#[case("all", Some("new"), None)]
fn a_commit_that_is_cut_short_is_found(
    #[case] written: &str,
    #[case] committed: Option<&str>,
    #[case] target: Option<&str>,
) {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("opened");
    let layout = store.layout().clone();
    let list = |name: &str| vec![resource(name)];
    if written != "nothing" {
        store.commit_resources(&change(&["old"]), || Ok::<_, std::io::Error>(())).expect("committed");
    }
    match written {
        "nothing" => {}
        "the first target" => {
            store.write_message(&layout.resource_state_target(), &state_of(&["new"])).expect("written");
        }
        "both targets" => {
            let failing = || Err(std::io::Error::other("no volume"));
            let error = store.commit_resources(&change(&["new"]), failing).expect_err("the volumes failed");
            assert!(matches!(error, CommitError::Volumes(_)));
            assert!(layout.resources_target().exists() && layout.resource_state_target().exists());
        }
        "the list" => {
            store.write_message(&layout.resource_state_target(), &state_of(&["new"])).expect("written");
            store.write_list(&layout.resources_info(), &list("new")).expect("written");
        }
        _ => store.commit_resources(&change(&["new"]), || Ok::<_, std::io::Error>(())).expect("committed"),
    }
    drop(store);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    let committed = committed.map(|name| CommittedResources::State(state_of(&[name])));
    assert_eq!(state.resources.committed, committed);
    assert_eq!(state.resources.target, target.map(|name| state_of(&[name])));

    // The next start commits what it finds once more.
    let newest = state.resources.newest();
    let store = Store::open(root.path()).expect("opened");
    let again = ResourceChange { resources: Some(newest.resources.clone()), state: newest.clone() };
    store.commit_resources(&again, || Ok::<_, std::io::Error>(())).expect("committed");
    drop(store);
    let state = recorded(root.path(), Strictness::Strict).expect("recovered");
    assert_eq!(state.resources.committed, Some(CommittedResources::State(newest)));
    assert_eq!(state.resources.target, None);
    assert!(!layout.resources_target().exists());
}

/// Volumes are made and removed after both targets are written and before either takes effect; operations that change no
/// resources touch none.
#[test]
fn volumes_follow_the_target_and_precede_the_commit() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("opened");
    let layout = store.layout();
    let mut called = false;
    let sync = || {
        called = true;
        assert!(layout.resource_state_target().exists() && layout.resources_target().exists());
        assert!(!layout.resource_state().exists() && !layout.resources_info().exists());
        Ok::<_, std::io::Error>(())
    };
    store.commit_resources(&change(&["volume"]), sync).expect("committed");
    assert!(called);
    assert!(layout.resource_state().exists() && layout.resources_info().exists());
    let before = std::fs::read(layout.resources_info()).expect("read");
    let unchanged = ResourceChange { state: state_of(&["volume"]), resources: None };
    let never = || Err(std::io::Error::other("called"));
    store.commit_resources(&unchanged, never).expect("committed");
    assert_eq!(std::fs::read(layout.resources_info()).expect("read"), before);
}

/// Agents before 1.5 had the list alone.
#[test]
fn an_old_list_of_resources_is_read() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("opened");
    store.write_list(&store.layout().resources_info(), &[resource("a"), resource("b")]).expect("written");
    store.write_list(&store.layout().resources_target(), &[resource("c")]).expect("written");
    drop(store);
    let resources = recorded(root.path(), Strictness::Strict).expect("recovered").resources;
    assert_eq!(resources.committed, Some(CommittedResources::List(vec![resource("a"), resource("b")])));
    assert_eq!(resources.newest(), state_of(&["c"]));
}
