//! Tables for the books, and a property test against a model that is too simple to be wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn key(uri: &str) -> Key {
    Key { user: "alice".into(), uri: uri.into() }
}

/// Takes a new entry and fills it.
fn fill(books: &mut Books, uri: &str, size: u64) -> (EntryId, Vec<CacheFile>) {
    let Taken::New(id) = books.take(&key(uri), uri) else { panic!("{uri} is there already") };
    let evicted = books.reserve(id, size).expect("room");
    assert_eq!(books.complete(id, size, Validators::default()), Completed::Kept(Vec::new()));
    assert_eq!(books.release(id), None);
    (id, evicted)
}

#[rstest]
#[case("", "c7-")]
#[case("a.tgz", "c7-a.tgz")]
#[case("01234567890123456789", "c7-01234567890123456789")]
#[case("012345678901234567890", "c7-0123456789_1234567890")]
#[case("a-very-long-name-of-an.tar.gz", "c7-a-very-lon_-an.tar.gz")]
#[case("äöüäöüäöüäöüäöüäöüäöüäöü.zip", "c7-äöüäöüäöüä_üäöüäö.zip")]
fn a_file_name_keeps_the_extension(#[case] name: &str, #[case] expected: &str) {
    let name = file_name(7, name);
    assert!(name.starts_with("c7-"));
    if expected.is_ascii() {
        assert_eq!(name, expected);
    } else {
        assert!(name.ends_with(".zip") && name.chars().count() == 3 + 21, "{name}");
    }
}

#[test]
fn users_share_nothing() {
    let mut books = Books::new(100);
    fill(&mut books, "u", 10);
    let other = Key { user: "bob".into(), uri: "u".into() };
    let Taken::New(id) = books.take(&other, "u") else { panic!("bob got the file of alice") };
    assert_eq!(books.file(id).expect("an entry").user, "bob");
    assert_eq!(books.entries(), 2);
}

#[test]
fn one_fills_and_the_others_wait() {
    let mut books = Books::new(100);
    let Taken::New(id) = books.take(&key("u"), "u") else { panic!("new") };
    assert_eq!(books.take(&key("u"), "u"), Taken::Filling(id));
    books.reserve(id, 10).expect("room");
    books.complete(id, 10, Validators::default());
    assert_eq!(books.take(&key("u"), "u"), Taken::Complete(id));
    assert_eq!((books.used(), books.entries()), (10, 1));
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let mut books = Books::new(20);
    fill(&mut books, "0", 10);
    let (one, _) = fill(&mut books, "1", 10);
    let Taken::Complete(_) = books.take(&key("0"), "0") else { panic!("there") };
    let one = books.file(one).expect("there").clone();
    let zero = books.complete_entry(&key("0")).expect("there").0;
    assert_eq!(books.release(zero), None);
    let (_, evicted) = fill(&mut books, "2", 10);
    assert_eq!(evicted, [one]);
}

#[test]
fn what_is_in_use_stays_and_the_error_says_how_much_there_is() {
    let mut books = Books::new(20);
    fill(&mut books, "0", 5);
    fill(&mut books, "1", 10);
    assert!(matches!(books.take(&key("1"), "1"), Taken::Complete(_)));
    let Taken::New(id) = books.take(&key("2"), "2") else { panic!("new") };
    let no_room = books.reserve(id, 11).expect_err("in use");
    assert_eq!(no_room, NoRoom { wanted: 11, free: 5, reclaimable: 5, limit: 20 });
    assert_eq!((books.used(), books.entries()), (15, 3), "a refusal changes nothing");
    assert_eq!(books.reserve(id, 10).expect("room").len(), 1);
    assert_eq!(books.used(), 20);
}

#[test]
fn a_file_that_is_smaller_than_announced_gives_room_back() {
    let mut books = Books::new(20);
    let Taken::New(id) = books.take(&key("u"), "u") else { panic!("new") };
    books.reserve(id, 20).expect("room");
    assert_eq!(books.complete(id, 3, Validators::default()), Completed::Kept(Vec::new()));
    assert_eq!(books.used(), 3);
}

#[test]
fn a_file_that_is_larger_than_announced_stays_while_there_is_room() {
    let mut books = Books::new(20);
    fill(&mut books, "old", 10);
    let Taken::New(id) = books.take(&key("u"), "u") else { panic!("new") };
    books.reserve(id, 10).expect("room");
    let Completed::Kept(evicted) = books.complete(id, 15, Validators::default()) else { panic!("kept") };
    assert_eq!((evicted.len(), books.used()), (1, 15));
    let Taken::New(id) = books.take(&key("v"), "v") else { panic!("new") };
    books.reserve(id, 5).expect("room");
    let Completed::Refused(file, _) = books.complete(id, 25, Validators::default()) else {
        panic!("refused")
    };
    assert!(file.expect("was an entry").name.ends_with("-v"));
    assert_eq!((books.used(), books.entries()), (15, 1));
}

#[test]
fn an_entry_that_failed_is_gone_for_those_who_come_later() {
    let mut books = Books::new(20);
    let Taken::New(id) = books.take(&key("u"), "u") else { panic!("new") };
    assert_eq!(books.take(&key("u"), "u"), Taken::Filling(id));
    books.reserve(id, 20).expect("room");
    assert!(books.remove(id).is_some());
    assert_eq!((books.used(), books.entries(), books.remove(id)), (0, 0, None));
    let Taken::New(next) = books.take(&key("u"), "u") else { panic!("new again") };
    // The one who waited gives back what is no more; the new entry keeps its own reference.
    assert_eq!(books.release(id), None);
    assert_ne!(next, id);
    assert!(matches!(books.take(&key("u"), "u"), Taken::Filling(_)));
}

#[test]
fn empty_files_are_not_kept_without_a_bound() {
    let mut books = Books::new(20);
    for number in 0..MOST_ENTRIES + 100 {
        fill(&mut books, &number.to_string(), 0);
    }
    assert_eq!(books.entries(), MOST_ENTRIES);
}

#[test]
fn debug_does_not_print_a_password() {
    let key = Key { user: "alice".into(), uri: "http://u:hunter2@h/a".into() };
    assert!(!format!("{key:?}").contains("hunter2"));
}

#[derive(Debug, Clone)]
enum Step {
    Take(u8),
    Reserve(usize, u64),
    Complete(usize, u64),
    Remove(usize),
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..6).prop_map(Step::Take),
        2 => (any::<usize>(), 0_u64..70).prop_map(|(at, size)| Step::Reserve(at, size)),
        3 => (any::<usize>(), 0_u64..70).prop_map(|(at, size)| Step::Complete(at, size)),
        1 => any::<usize>().prop_map(Step::Remove),
        4 => any::<usize>().prop_map(Step::Release),
    ]
}

proptest! {
    /// The model holds, for each entry, its size, its references and whether it is complete.
    #[test]
    fn the_books_balance(steps in proptest::collection::vec(step(), 0..120)) {
        const LIMIT: u64 = 100;
        let mut books = Books::new(LIMIT);
        let mut model: BTreeMap<EntryId, (u8, u64, usize, bool)> = BTreeMap::new();
        let mut held: Vec<EntryId> = Vec::new();
        for step in steps {
            let pick = |at: usize| if held.is_empty() { None } else { Some(held[at % held.len()]) };
            let mut gone: Vec<CacheFile> = Vec::new();
            match step {
                Step::Take(number) => {
                    let (Taken::New(id) | Taken::Filling(id) | Taken::Complete(id)) =
                        books.take(&key(&number.to_string()), "n");
                    let known = model.iter().find(|(_, entry)| entry.0 == number).map(|(id, _)| *id);
                    prop_assert!(known.is_none_or(|known| known == id), "two entries of one key");
                    model.entry(id).or_insert((number, 0, 0, false)).2 += 1;
                    held.push(id);
                }
                Step::Reserve(at, size) => {
                    if let Some(id) = pick(at).filter(|id| model.get(id).is_some_and(|entry| !entry.3))
                        && let Ok(evicted) = books.reserve(id, size)
                    {
                        gone = evicted;
                        model.get_mut(&id).expect("filling").1 = size;
                    }
                }
                Step::Complete(at, size) => {
                    if let Some(id) = pick(at).filter(|id| model.get(id).is_some_and(|entry| !entry.3)) {
                        match books.complete(id, size, Validators::default()) {
                            Completed::Kept(evicted) => {
                                gone = evicted;
                                let entry = model.get_mut(&id).expect("filling");
                                (entry.1, entry.3) = (size, true);
                            }
                            Completed::Refused(..) => drop(model.remove(&id)),
                        }
                    }
                }
                Step::Remove(at) => {
                    if let Some(id) = pick(at) {
                        prop_assert_eq!(books.remove(id).is_some(), model.remove(&id).is_some());
                    }
                }
                Step::Release(at) => {
                    if !held.is_empty() {
                        let id = held.swap_remove(at % held.len());
                        assert_eq!(books.release(id), None);
                        if let Some(entry) = model.get_mut(&id) {
                            entry.2 -= 1;
                        }
                    }
                }
            }
            let before = model.clone();
            model.retain(|id, _| books.file(*id).is_some());
            prop_assert_eq!(before.len() - model.len(), gone.len(), "what went was told");
            for (id, (_, _, references, complete)) in &before {
                let evicted = !model.contains_key(id);
                prop_assert!(!evicted || (*references == 0 && *complete), "evicted while in use");
            }
            prop_assert!(books.used() <= LIMIT);
            prop_assert_eq!(books.used(), model.values().map(|entry| entry.1).sum::<u64>());
            prop_assert_eq!(books.entries(), model.len());
        }
        // Once everything is given back and what still fills has failed, all room can be had again.
        for id in held.drain(..) {
            assert_eq!(books.release(id), None);
        }
        let filling: Vec<_> = model.iter().filter(|(_, entry)| !entry.3).map(|(id, _)| *id).collect();
        for id in filling {
            books.remove(id);
        }
        let Taken::New(id) = books.take(&key("last"), "n") else { panic!("new") };
        prop_assert!(books.reserve(id, LIMIT).is_ok());
        prop_assert_eq!(books.used(), LIMIT);
    }
}
